// SPDX-License-Identifier: Apache-2.0
/** One request, one reply, or a sentence that says why there is none. */

import { Request } from "zeromq";

import { Closed, NoReply } from "./errors.js";
import { LATE, within } from "./waiting.js";
import { type Fields, msAtBroker, packRequest, readReply } from "./wire.js";

export interface AskOptions {
    /** How long each try may take, besides what the broker itself waits. */
    timeoutMs?: number | undefined;
    /** How often it is asked again where no reply came. Then it may be carried out more than once. */
    retries?: number | undefined;
    /** Ends the waiting; what was asked for may still be carried out. */
    signal?: AbortSignal | undefined;
}

/**
 * Asks at one endpoint. Any number of requests may be under way: each has a socket to itself. One
 * whose reply did not come is closed, and the next request goes over a fresh one.
 */
export class Asking {
    private readonly idle: Request[] = [];
    private readonly busy = new Set<Request>();
    private closed = false;

    constructor(private readonly endpoint: string) {}

    /** The data of the reply. */
    async ask(
        command: string,
        data: Fields,
        timeoutMs: number,
        { retries = 0, signal }: AskOptions = {},
    ): Promise<Fields> {
        const body = packRequest(command, data);
        const patience = timeoutMs + msAtBroker(command, data);
        for (let left = retries; left >= 0; left--) {
            const frames = await this.exchange(body, patience, signal);
            if (frames !== LATE) {
                return readReply(frames);
            }
        }
        throw new NoReply(
            `${command}: no reply from ${this.endpoint} in ${patience / 1000} s. Is wpsd there?`,
        );
    }

    close(): void {
        this.closed = true;
        for (const socket of [...this.idle.splice(0), ...this.busy]) {
            socket.close();
        }
    }

    private async exchange(
        body: Buffer,
        patience: number,
        signal: AbortSignal | undefined,
    ): Promise<Buffer[] | typeof LATE> {
        signal?.throwIfAborted();
        this.checkOpen();
        const socket = this.idle.pop() ?? this.connect();
        this.busy.add(socket);
        try {
            await socket.send(body);
            const frames = await within(socket.receive(), patience, signal);
            if (frames !== LATE && !this.closed) {
                this.idle.push(socket);
            }
            return frames;
        } catch (error) {
            signal?.throwIfAborted();
            this.checkOpen(); // ZeroMQ's own words for that are others
            throw error;
        } finally {
            this.busy.delete(socket);
            if (!this.idle.includes(socket)) {
                socket.close(); // a REQ that waits for a reply can do nothing else
            }
        }
    }

    private connect(): Request {
        const socket = new Request({ linger: 0 });
        socket.connect(this.endpoint);
        return socket;
    }

    private checkOpen(): void {
        if (this.closed) {
            throw new Closed("The client is closed.");
        }
    }
}
