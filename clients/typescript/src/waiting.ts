// SPDX-License-Identifier: Apache-2.0
/** Waiting that ends: by a time, by an AbortSignal, by somebody who wakes us. */

/** What comes back where the time was up. */
export const LATE = Symbol("late");

/** What the promise gives, or LATE after `ms`. An abort is thrown, as its reason. */
export async function within<T>(
    promise: Promise<T>,
    ms: number,
    signal?: AbortSignal,
): Promise<T | typeof LATE> {
    promise.catch(() => undefined); // where nobody waits for it any more
    signal?.throwIfAborted();
    let end = (): void => undefined;
    const ended = new Promise<typeof LATE>((resolve, reject) => {
        // Beyond that setTimeout would not wait at all.
        const timer = ms < 2 ** 31 ? setTimeout(() => resolve(LATE), ms) : undefined;
        const abort = (): void => reject(signal?.reason as Error);
        signal?.addEventListener("abort", abort);
        end = () => {
            clearTimeout(timer);
            signal?.removeEventListener("abort", abort);
        };
    });
    try {
        return await Promise.race([promise, ended]);
    } finally {
        end();
    }
}

/** A bell that one waits for: it may ring before. */
export class Bell {
    private rang = false;
    private answer: (() => void) | undefined;

    ring(): void {
        this.rang = true;
        this.answer?.();
    }

    /** Whether it rang, within `ms`. */
    async heard(ms: number, signal?: AbortSignal): Promise<boolean> {
        signal?.throwIfAborted();
        if (!this.rang) {
            const ringing = new Promise<void>((resolve) => {
                this.answer = resolve;
            });
            await within(ringing, ms, signal).finally(() => {
                this.answer = undefined;
            });
        }
        const rang = this.rang;
        this.rang = false;
        return rang;
    }
}
