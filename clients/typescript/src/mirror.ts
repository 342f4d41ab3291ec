// SPDX-License-Identifier: Apache-2.0
/**
 * What one block is running, or all of them, without polling: a picture that is kept right by
 * events and lists.
 */

import type { Client } from "./client.js";
import { Closed, Malformed, ProctrackError } from "./errors.js";
import type { ProcessRecord } from "./messages.js";
import { blockScope } from "./names.js";
import { type Block, type BlockChange, Picture } from "./picture.js";
import { Subscriber } from "./subscriber.js";
import { type Event, isMap } from "./wire.js";

const LISTS_AT_ONCE = 8; // each listens to the signal, and Node warns of more than ten
const GONE_KEPT_MS = 15_000; // a block's last mark comes ten seconds behind its end
const RETRY_MS = 50; // before something is asked again, doubled up to the next
const RETRY_MAX_MS = 2000;

/**
 * - `starting`: nothing is known yet
 * - `current`: it agrees with the broker, as far as events have arrived
 * - `repairing`: something was missed; it is being listed again
 * - `stale`: no broker, or it does not answer; it is tried again and again
 */
export type MirrorState = "starting" | "current" | "repairing" | "stale";

/** The state of the whole mirror changed. `why` is a sentence, and empty when it is current. */
export interface StateChange {
    readonly type: "state";
    readonly state: MirrorState;
    readonly why: string;
}

export type Change = BlockChange | StateChange;

/** A function for each type of change; who leaves one out does not want to know. */
export type Calls = {
    [Type in Change["type"]]?: (change: Extract<Change, { type: Type }>) => void | Promise<void>;
};

export interface MirrorOptions {
    /** How long the broker may take to answer a list. */
    timeoutMs?: number;
    /** How often it asks whether its blocks are still there, for the last event of one may be lost. */
    checkMs?: number;
    /** How many events may wait here while nobody takes them, before the broker drops some. */
    eventsAhead?: number;
}

/**
 * Iterated over, it gives the changes as they come; what it holds is as after the newest of them
 * that was made out at once. It lists by itself where something was missed, waits for a broker that
 * is not there, and follows one that comes back: who lives through that is neither gone nor added.
 * Nothing runs but while a change is waited for.
 */
export class Mirror implements AsyncIterable<Change> {
    private readonly pictures = new Map<string, Picture>();
    private readonly subscriber: Subscriber;
    private readonly queue: Change[] = [];
    private readonly timeoutMs: number;
    private readonly checkMs: number;
    private readonly gone = new Map<string, number>(); // blocks, since when, the oldest first
    private readonly checked = new Map<string, number>(); // by block, its seq at the last check
    private standing: MirrorState = "starting";
    private isRead = false;
    private proven = false; // the subscription is in force
    private losses = 0; // of the connection, that are reckoned with
    private checkAt = 0;
    private retryMs = RETRY_MS;

    /** Without a block it is a mirror of all of them, also of those that come later. */
    constructor(
        private readonly client: Client,
        private readonly blockId: string | undefined,
        { timeoutMs = 5000, checkMs = 30_000, eventsAhead }: MirrorOptions = {},
    ) {
        this.timeoutMs = timeoutMs;
        this.checkMs = checkMs;
        const scope = blockId === undefined ? "block:*" : blockScope(blockId);
        this.subscriber = new Subscriber(client, [scope], eventsAhead);
        if (blockId !== undefined) {
            this.pictures.set(blockId, new Picture(blockId));
        }
    }

    get state(): MirrorState {
        return this.standing;
    }

    /** The blocks that there are. */
    get blocks(): Block[] {
        return [...this.pictures.values()].filter(({ epoch }) => epoch !== undefined);
    }

    /** The block of that id, if there is one. */
    block(blockId: string): Block | undefined {
        const picture = this.pictures.get(blockId);
        return picture?.epoch === undefined ? undefined : picture;
    }

    /** The processes of all its blocks. */
    get processes(): ProcessRecord[] {
        return this.blocks.flatMap(({ processes }) => [...processes.values()]);
    }

    /** Messages that were passed over, as they are no events. */
    get malformed(): number {
        return this.subscriber.malformed;
    }

    get closed(): boolean {
        return this.subscriber.closed;
    }

    /** Who iterates over it comes to an end. Nobody is told that the processes are gone. */
    close(): void {
        this.subscriber.close();
    }

    /** Calls back until it is closed. An abort, and what a call throws, is thrown. */
    async run(calls: Calls, signal?: AbortSignal): Promise<void> {
        for await (const change of this.changes(signal)) {
            await (calls[change.type] as ((change: Change) => void | Promise<void>) | undefined)?.(
                change,
            );
        }
    }

    [Symbol.asyncIterator](): AsyncGenerator<Change, void, undefined> {
        return this.changes();
    }

    /** The changes, until it is closed. An abort is thrown, as the reason of the signal; like a
     * `break`, it ends nothing: who iterates again gets what came after. */
    async *changes(signal?: AbortSignal): AsyncGenerator<Change, void, undefined> {
        if (this.isRead) {
            throw new ProctrackError("The mirror is iterated over already: one at a time may.");
        }
        this.isRead = true;
        try {
            for (let change; (change = await this.next(signal)); ) {
                yield change;
            }
        } finally {
            this.isRead = false;
        }
    }

    private async next(signal?: AbortSignal): Promise<Change | undefined> {
        while (!this.closed) {
            signal?.throwIfAborted();
            const change = this.queue.shift();
            if (change !== undefined) {
                return change;
            }
            await this.step(signal).catch((error: unknown) => this.failed(error, signal));
        }
        return undefined;
    }

    /** What is to be done next, on the way from no connection to a picture that follows. */
    private async step(signal?: AbortSignal): Promise<void> {
        if (this.losses !== this.subscriber.losses) {
            this.losses = this.subscriber.losses;
            this.proven = false;
            this.become("stale", "the broker ended, or closed the connection");
            this.missed(...this.pictures.values());
        } else if (!this.proven) {
            await this.prove(signal);
        } else if (performance.now() >= this.checkAt) {
            await this.check(signal);
        } else if (this.which(({ whole }) => !whole).length > 0) {
            await this.list(signal);
        } else if (this.standing !== "current") {
            this.retryMs = RETRY_MS;
            this.become("current", "");
        } else {
            const left = this.checkAt - performance.now();
            const event = await this.subscriber.nextWithin(left, signal);
            if (event !== undefined) {
                this.take(event);
            }
        }
    }

    /** It is not the caller's trouble that a broker cannot answer. */
    private async failed(error: unknown, signal: AbortSignal | undefined): Promise<void> {
        if (!(error instanceof ProctrackError)) {
            throw error;
        }
        if (this.closed || error instanceof Closed) {
            this.close(); // with its client
            return;
        }
        this.become("stale", error.message);
        await this.subscriber.rest(this.retryMs, signal);
        this.retryMs = Math.min(2 * this.retryMs, RETRY_MAX_MS);
    }

    private async prove(signal?: AbortSignal): Promise<void> {
        const whyNot = await this.subscriber.tryInForce(signal);
        if (whyNot !== undefined) {
            this.become("stale", whyNot.message);
        } else if (this.losses === this.subscriber.losses) {
            this.proven = true;
            const isKnown = this.blockId !== undefined; // which blocks there are
            this.checkAt = isKnown ? performance.now() + this.checkMs : 0;
        }
    }

    /** Asks which blocks there are, and at what number. Those that we do not have right are listed. */
    private async check(signal?: AbortSignal): Promise<void> {
        const there = new Map<string, { epoch?: unknown; seq?: unknown }>();
        const options = { timeoutMs: this.timeoutMs, signal };
        if (this.blockId === undefined) {
            const { blocks } = await this.client.listAllBlocks({}, options);
            for (const block of checkedBlocks(blocks)) {
                there.set(block.block_id, block);
            }
        } else {
            there.set(this.blockId, await this.client.confidenceOf(this.blockId, options));
        }
        for (const blockId of there.keys()) {
            this.pictureOf(blockId, (id) => new Picture(id));
        }
        this.missed(...this.which((picture) => this.isBehind(picture, there)));
        this.checkAt = performance.now() + this.checkMs;
    }

    /** Events of a block that is at work may be under way: it is behind if it stayed behind. */
    private isBehind(
        picture: Picture,
        there: ReadonlyMap<string, { epoch?: unknown; seq?: unknown }>,
    ): boolean {
        const { epoch, seq } = there.get(picture.blockId) ?? {};
        const stays = this.checked.get(picture.blockId) === picture.seq;
        this.checked.set(picture.blockId, picture.seq);
        return epoch !== picture.epoch || (stays && typeof seq === "number" && seq > picture.seq);
    }

    private async list(signal?: AbortSignal): Promise<void> {
        const stale = this.which(({ whole }) => !whole).slice(0, LISTS_AT_ONCE);
        if (this.standing === "current") {
            this.become("repairing", "events were missed");
        }
        const options = { timeoutMs: this.timeoutMs, signal };
        const replies = await Promise.allSettled(
            stale.map(({ blockId }) => this.client.listBlock(blockId, {}, options)),
        );
        if (this.losses !== this.subscriber.losses) {
            return; // it may be of the broker that was there before
        }
        for (const [number, picture] of stale.entries()) {
            const reply = replies[number];
            if (reply?.status === "fulfilled") {
                this.queue.push(...picture.listed(reply.value));
                this.trim(picture);
            }
        }
        for (const reply of replies) {
            if (reply.status === "rejected") {
                throw reply.reason;
            }
        }
    }

    private take(event: Event): void {
        const blockId = isMap(event.data) ? event.data["block_id"] : undefined;
        if (typeof blockId !== "string" || event.topic !== `block:${blockId}`) {
            return;
        }
        const picture = this.pictureOf(blockId, (id) => Picture.ofNone(id));
        const changes = picture?.event(event) ?? [];
        this.queue.push(...changes);
        if (picture !== undefined) {
            this.trim(picture);
        }
    }

    /** Made where it is not there; undefined where no block can have that id. */
    private pictureOf(blockId: string, make: (blockId: string) => Picture): Picture | undefined {
        let picture = this.pictures.get(blockId);
        if (picture === undefined) {
            try {
                picture = make(blockId);
            } catch {
                return undefined;
            }
            this.pictures.set(blockId, picture);
        }
        return picture;
    }

    /** What is known of a block that is gone is kept for a while: what is late of it is known then
     * for what it is. */
    private trim(picture: Picture): void {
        if (this.blockId !== undefined) {
            return;
        }
        if (picture.epoch !== undefined || !picture.whole) {
            this.gone.delete(picture.blockId);
        } else if (!this.gone.has(picture.blockId)) {
            this.gone.set(picture.blockId, performance.now());
        }
        for (const [blockId, since] of this.gone) {
            if (performance.now() - since < GONE_KEPT_MS) {
                break; // the oldest come first
            }
            this.gone.delete(blockId);
            this.pictures.delete(blockId);
            this.checked.delete(blockId);
        }
    }

    private which(wanted: (picture: Picture) => boolean): Picture[] {
        return [...this.pictures.values()].filter(wanted);
    }

    private missed(...pictures: readonly Picture[]): void {
        for (const picture of pictures) {
            this.queue.push(...picture.lost());
        }
    }

    private become(state: MirrorState, why: string): void {
        if (state !== this.standing) {
            this.standing = state;
            this.queue.push({ type: "state", state, why });
        }
    }
}

function checkedBlocks(blocks: unknown): { block_id: string; epoch?: unknown; seq?: unknown }[] {
    const isRight = (each: unknown): boolean => isMap(each) && typeof each["block_id"] === "string";
    if (!Array.isArray(blocks) || !blocks.every(isRight)) {
        throw new Malformed("list_all_blocks: its blocks are none");
    }
    return blocks as { block_id: string }[];
}
