// SPDX-License-Identifier: Apache-2.0
/** A broker, and what it can be asked: a method for each command of PROTOCOL.md, section 4. */

import { geteuid } from "node:process";

import { Asking, type AskOptions } from "./asking.js";
import { ProctrackError } from "./errors.js";
import type { Commands, EventBody } from "./messages.js";
import { Mirror, type MirrorOptions } from "./mirror.js";
import { Subscriber } from "./subscriber.js";
import type { Fields } from "./wire.js";

type Control = Commands["control"];
type Rpc = Commands["rpc"];
/** What a command takes besides the block. */
type Asked<Command extends keyof Control> = Omit<Control[Command]["request"], "block_id">;
type Reply<Command extends keyof Control> = Promise<Control[Command]["reply"]>;
/** What must be said stands before that. */
type AskedBesides<Command extends keyof Control, Said extends string> = Omit<Asked<Command>, Said>;

export type Service = "control" | "rpc" | "events" | "publish";

export interface ClientOptions {
    /** The runtime directory of the broker; without it, as `runtimeDir` says. */
    directory?: string;
    /** Sockets that are elsewhere: `{ control: "tcp://..." }`. */
    endpoints?: Partial<Record<Service, string>>;
    /** How long each reply may take. */
    timeoutMs?: number;
}

/** Where the broker's sockets are. */
export function runtimeDir(environment: NodeJS.ProcessEnv = process.env): string {
    const { WPS_RUNTIME_DIR: set, XDG_RUNTIME_DIR: ofUser } = environment;
    if (set) {
        return set;
    }
    if (geteuid?.() === 0) {
        return "/run/wps";
    }
    if (ofUser) {
        return `${ofUser}/wps`;
    }
    throw new ProctrackError(
        "Where is the broker? Set WPS_RUNTIME_DIR to the directory of its sockets.",
    );
}

/**
 * A broker; there need not be one yet.
 *
 * Commands throw Refused, NoReply, Malformed or InvalidArgument, and the reason of an AbortSignal.
 * What they mean, and the keys of what is asked and replied, is in PROTOCOL.md.
 */
export class Client {
    private readonly askings = new Map<string, Asking>();
    private readonly opened = new Set<Subscriber | Mirror>();
    private readonly timeoutMs: number;
    private isClosed = false;

    constructor(private readonly options: ClientOptions = {}) {
        this.timeoutMs = options.timeoutMs ?? 10_000;
    }

    /** Closes its sockets, and its subscribers and mirrors. */
    close(): void {
        this.isClosed = true;
        for (const each of [...this.opened, ...this.askings.values()]) {
            each.close();
        }
        this.opened.clear();
    }

    endpoint(service: Service): string {
        return (
            this.options.endpoints?.[service] ??
            `ipc://${this.options.directory ?? runtimeDir()}/${service}`
        );
    }

    /** Events of these scopes, as they come. */
    subscriber(...scopes: readonly string[]): Subscriber {
        return this.open(new Subscriber(this, scopes));
    }

    /** What a block is running, or without one all of them, kept up to date. */
    mirror(blockId?: string, options?: MirrorOptions): Mirror {
        return this.open(new Mirror(this, blockId, options));
    }

    /** Any command. */
    ask<S extends keyof Commands, Command extends keyof Commands[S] & string>(
        service: S,
        command: Command,
        data: Commands[S][Command] extends { request: infer Request } ? Request : never,
        options?: AskOptions,
    ): Promise<Commands[S][Command] extends { reply: infer Reply } ? Reply : never>;
    /** One that this version does not know. */
    ask(service: string, command: string, data?: object, options?: AskOptions): Promise<Fields>;
    async ask(
        service: string,
        command: string,
        data: object = {},
        options: AskOptions = {},
    ): Promise<Fields> {
        let asking = this.askings.get(service);
        if (asking === undefined) {
            asking = new Asking(this.endpoint(service as Service));
            this.askings.set(service, asking);
        }
        if (this.isClosed) {
            asking.close();
        }
        const timeoutMs = options.timeoutMs ?? this.timeoutMs;
        return await asking.ask(command, data as Fields, timeoutMs, options);
    }

    // ---- the registry of blocks ---------------------------------------------------------------

    describe(options?: AskOptions): Reply<"describe"> {
        return this.ask("control", "describe", {}, options);
    }

    ensureTracker(
        block_id: string,
        asked?: Asked<"ensure_tracker">,
        options?: AskOptions,
    ): Reply<"ensure_tracker"> {
        return this.ask("control", "ensure_tracker", { block_id, ...asked }, options);
    }

    assignProcess(
        block_id: string,
        pid: number,
        asked?: AskedBesides<"assign_process", "pid">,
        options?: AskOptions,
    ): Reply<"assign_process"> {
        return this.ask("control", "assign_process", { block_id, pid, ...asked }, options);
    }

    listBlock(
        block_id: string,
        asked?: Asked<"list_block">,
        options?: AskOptions,
    ): Reply<"list_block"> {
        return this.ask("control", "list_block", { block_id, ...asked }, options);
    }

    listAllBlocks(
        asked: Control["list_all_blocks"]["request"] = {},
        options?: AskOptions,
    ): Reply<"list_all_blocks"> {
        return this.ask("control", "list_all_blocks", asked, options);
    }

    confidenceOf(block_id: string, options?: AskOptions): Reply<"confidence_of"> {
        return this.ask("control", "confidence_of", { block_id }, options);
    }

    killPid(
        block_id: string,
        pid: number,
        asked?: AskedBesides<"kill_pid", "pid">,
        options?: AskOptions,
    ): Reply<"kill_pid"> {
        return this.ask("control", "kill_pid", { block_id, pid, ...asked }, options);
    }

    killTree(
        block_id: string,
        asked?: Asked<"kill_tree">,
        options?: AskOptions,
    ): Reply<"kill_tree"> {
        return this.ask("control", "kill_tree", { block_id, ...asked }, options);
    }

    killStarted(
        block_id: string,
        asked?: Asked<"kill_started">,
        options?: AskOptions,
    ): Reply<"kill_started"> {
        return this.ask("control", "kill_started", { block_id, ...asked }, options);
    }

    signalTree(
        block_id: string,
        signal: number,
        asked?: AskedBesides<"signal_tree", "signal">,
        options?: AskOptions,
    ): Reply<"signal_tree"> {
        return this.ask("control", "signal_tree", { block_id, signal, ...asked }, options);
    }

    stopTree(
        block_id: string,
        asked?: Asked<"stop_tree">,
        options?: AskOptions,
    ): Reply<"stop_tree"> {
        return this.ask("control", "stop_tree", { block_id, ...asked }, options);
    }

    waitEmpty(
        block_id: string,
        timeout_ms: number,
        asked?: AskedBesides<"wait_empty", "timeout_ms">,
        options?: AskOptions,
    ): Reply<"wait_empty"> {
        return this.ask("control", "wait_empty", { block_id, timeout_ms, ...asked }, options);
    }

    freeze(block_id: string, asked?: Asked<"freeze">, options?: AskOptions): Reply<"freeze"> {
        return this.ask("control", "freeze", { block_id, ...asked }, options);
    }

    thaw(block_id: string, asked?: Asked<"thaw">, options?: AskOptions): Reply<"thaw"> {
        return this.ask("control", "thaw", { block_id, ...asked }, options);
    }

    remove(block_id: string, asked?: Asked<"remove">, options?: AskOptions): Reply<"remove"> {
        return this.ask("control", "remove", { block_id, ...asked }, options);
    }

    stats(options?: AskOptions): Reply<"stats"> {
        return this.ask("control", "stats", {}, options);
    }

    // ---- the broker itself --------------------------------------------------------------------

    /** Publishes an event; how many messages were sent. */
    async publish(event: EventBody, options?: AskOptions): Promise<number> {
        return (await this.ask("rpc", "eventpublish", event, options)).routed;
    }

    /** The newest events of that name that were kept, oldest first; of all scopes with `""`. */
    async readHistory(
        event: string,
        scope = "",
        maxitems = 1,
        options?: AskOptions,
    ): Promise<EventBody[]> {
        const asked = { event, scope, maxitems };
        return (await this.ask("rpc", "eventreadhistory", asked, options)).events;
    }

    brokerInfo(options?: AskOptions): Promise<Rpc["brokerinfo"]["reply"]> {
        return this.ask("rpc", "brokerinfo", {}, options);
    }

    private open<T extends Subscriber | Mirror>(made: T): T {
        for (const each of this.opened) {
            if (each.closed) {
                this.opened.delete(each);
            }
        }
        this.opened.add(made);
        return made;
    }
}
