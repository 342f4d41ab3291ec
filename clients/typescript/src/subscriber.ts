// SPDX-License-Identifier: Apache-2.0
/** Events as they come: of exact scopes, of star scopes, or all; each of them once. */

import { randomUUID } from "node:crypto";

import { Subscriber as Socket } from "zeromq";

import type { Client } from "./client.js";
import { Malformed, NoReply } from "./errors.js";
import { checkPattern, delivers, prefix } from "./names.js";
import { Bell } from "./waiting.js";
import { type Event, readEvent } from "./wire.js";

const EVENTS_AHEAD = 100_000;
const SYNC_EVERY_MS = 50; // between two tries
const SYNC_REPLY_MS = 1000;

/**
 * A SUB socket on which ZeroMQ's matching by prefixes is made exact: an event arrives once, however
 * many of its scopes match. One at a time may wait for its events.
 *
 * The broker drops what is too much for a slow reader; the events of a block tell by their `seq`.
 */
export class Subscriber implements AsyncIterable<Event> {
    /** Messages that were passed over, as they are no events. */
    malformed = 0;
    /** How often the connection was lost. Events are missing where it was, and what was subscribed
     * to is in force again after `inForce`. */
    losses = 0;

    private readonly socket: Socket;
    private readonly patterns = new Map<string, number>();
    private readonly queue: Event[] = [];
    private readonly bell = new Bell();
    private wantsAll = false;
    private receiving = false;
    private nonce = ""; // the scope of our own that is waited for

    constructor(
        private readonly client: Client,
        scopes: readonly string[],
        eventsAhead = EVENTS_AHEAD,
    ) {
        this.socket = new Socket({ linger: 0, receiveHighWaterMark: eventsAhead });
        this.socket.events.on("disconnect", () => {
            this.losses++;
            this.bell.ring();
        });
        this.socket.connect(client.endpoint("events"));
        this.subscribe(...scopes);
    }

    get closed(): boolean {
        return this.socket.closed;
    }

    /** Who waits for an event is told that there are no more. */
    close(): void {
        this.socket.close();
        this.bell.ring();
    }

    /** To events of these scopes, which may have stars: `block:*`. In force a moment later. */
    subscribe(...scopes: readonly string[]): void {
        scopes.forEach(checkPattern);
        for (const pattern of scopes) {
            this.patterns.set(pattern, (this.patterns.get(pattern) ?? 0) + 1);
            this.socket.subscribe(prefix(pattern));
        }
    }

    /** Takes that back. */
    unsubscribe(...scopes: readonly string[]): void {
        for (const pattern of scopes) {
            const times = this.patterns.get(pattern) ?? 0;
            if (times > 0) {
                this.socket.unsubscribe(prefix(pattern));
            }
            if (times > 1) {
                this.patterns.set(pattern, times - 1);
            } else {
                this.patterns.delete(pattern);
            }
        }
    }

    /** To every event, also those without a scope. */
    subscribeAll(): void {
        this.wantsAll = true;
        this.socket.subscribe("");
    }

    [Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
        return this.events();
    }

    /** The events, until it is closed. An abort is thrown, as the reason of the signal. */
    async *events(signal?: AbortSignal): AsyncGenerator<Event, void, undefined> {
        for (let event; (event = await this.next(signal)); ) {
            yield event;
        }
    }

    /** The next event; undefined where it is closed. */
    async next(signal?: AbortSignal): Promise<Event | undefined> {
        while (!this.closed) {
            const event = await this.nextWithin(Infinity, signal);
            if (event !== undefined) {
                return event;
            }
        }
        return undefined;
    }

    /** The next event; undefined after `ms`, and where the connection is lost or it is closed. */
    async nextWithin(ms: number, signal?: AbortSignal): Promise<Event | undefined> {
        const { losses } = this;
        const end = performance.now() + ms;
        let inTime = true;
        while (inTime && this.queue.length === 0 && !this.closed && this.losses === losses) {
            this.receive();
            inTime = await this.bell.heard(end - performance.now(), signal);
        }
        return this.queue.shift();
    }

    /** Comes back when all that was subscribed to so far is in force: an event that we publish
     * ourselves has come round. Waits for a broker that is not there. */
    async inForce(signal?: AbortSignal): Promise<void> {
        while (!this.closed && (await this.tryInForce(signal))) {
            // why not, it says
        }
    }

    /** The same, for as long as a reply may take; undefined where it is in force, else why not. */
    async tryInForce(signal?: AbortSignal): Promise<NoReply | undefined> {
        const scope = `sync:${randomUUID()}`;
        this.nonce = scope;
        this.socket.subscribe(scope);
        try {
            while (this.nonce !== "" && !this.closed) {
                await this.client.publish(
                    { event: "sync", scopes: [scope] },
                    { timeoutMs: SYNC_REPLY_MS, signal },
                );
                await this.comesRound(signal);
            }
            return undefined;
        } catch (error) {
            if (error instanceof NoReply) {
                return error;
            }
            throw error;
        } finally {
            this.nonce = "";
            if (!this.closed) {
                this.socket.unsubscribe(scope);
            }
        }
    }

    /** Waits, but not beyond the end of this. */
    async rest(ms: number, signal?: AbortSignal): Promise<void> {
        const end = performance.now() + ms;
        while (!this.closed && performance.now() < end) {
            await this.bell.heard(end - performance.now(), signal);
        }
    }

    private async comesRound(signal?: AbortSignal): Promise<void> {
        const end = performance.now() + SYNC_EVERY_MS;
        while (this.nonce !== "" && !this.closed && performance.now() < end) {
            this.receive();
            await this.bell.heard(end - performance.now(), signal);
        }
    }

    /** Begins to wait for a message, where nobody does: ZeroMQ holds the others. */
    private receive(): void {
        if (this.receiving || this.closed) {
            return;
        }
        this.receiving = true;
        const closed = (): void => undefined;
        void this.socket
            .receive()
            .then((frames) => this.sort(frames), closed)
            .finally(() => {
                this.receiving = false;
                this.bell.ring();
            });
    }

    private sort(frames: readonly Buffer[]): void {
        if (this.nonce !== "" && frames[0]?.toString() === this.nonce) {
            this.nonce = "";
            return;
        }
        let event: Event;
        try {
            event = readEvent(frames);
        } catch (error) {
            if (error instanceof Malformed) {
                this.malformed++;
                return;
            }
            throw error;
        }
        if (delivers(this.patterns.keys(), this.wantsAll, event.topic, event.scopes)) {
            this.queue.push(event);
        }
    }
}
