// SPDX-License-Identifier: Apache-2.0
/**
 * What a reader knows of one block, by the rule of PROTOCOL.md, section 5. No sockets here: events
 * and lists go in, changes come out.
 */

import { Malformed } from "./errors.js";
import type {
    AgentProcessEscaped,
    AgentProcessExited,
    BlockEvents,
    ControlListBlockReply,
    ProcessRecord,
} from "./messages.js";
import { blockScope } from "./names.js";
import { type Event, type Fields, isMap, isUint } from "./wire.js";

/** What is kept equal to the registry; the rest of a record is as of when it was read. */
const MIRRORED = ["command", "root", "started", "scope"] as const;
/** More lives of a block than this are not late at the same time. */
const OVER_MAX = 64;

/** A block as it is known. */
export interface Block {
    readonly blockId: string;
    /** Which life of the block this is; undefined: there is no such block. */
    readonly epoch: string | undefined;
    /** The number of the newest event that is counted in. */
    readonly seq: number;
    /** False from where something was missed until it is listed. */
    readonly whole: boolean;
    /** How sure it is that no process is missed: `high`, `best_effort`, `none`. */
    readonly confidence: string;
    /** Why, in a sentence. */
    readonly confidenceReason: string;
    /** Empty until an event told: lists do not have them. */
    readonly tracker: string;
    readonly feed: string;
    /** Who is in it, by `lifeOf`, in the order in which they became known. */
    readonly processes: ReadonlyMap<string, ProcessRecord>;
    /** The process of that pid. */
    find(pid: number): ProcessRecord | undefined;
    /** The processes as a tree: each right before its children, siblings by age. */
    tree(): Branch[];
}

/** One line of a tree. `depth` is 0 where its parent is not in the block (any more). */
export interface Branch {
    readonly process: ProcessRecord;
    readonly depth: number;
}

/** How a process left; `missed`: nobody told; `untracked`: its block is removed, it may live on. */
export type Gone =
    | { readonly how: "exited"; readonly data: AgentProcessExited }
    | { readonly how: "escaped"; readonly data: AgentProcessEscaped }
    | { readonly how: "missed" | "untracked" };

/** What changed in a process. `exec`: it runs another program; the command may be the same. */
export type Aspect = "exec" | (typeof MIRRORED)[number];

/** One thing that happened in a block. */
export type BlockChange =
    | { readonly type: "added"; readonly block: Block; readonly process: ProcessRecord }
    | {
          readonly type: "changed";
          readonly block: Block;
          readonly process: ProcessRecord;
          readonly before: ProcessRecord;
          readonly what: readonly Aspect[];
      }
    | {
          readonly type: "gone";
          readonly block: Block;
          readonly process: ProcessRecord;
          readonly gone: Gone;
      }
    /** There are no processes in it yet. */
    | { readonly type: "blockAdded"; readonly block: Block }
    /** Its confidence, tracker or feed changed, or whether it is whole. */
    | { readonly type: "blockChanged"; readonly block: Block }
    /** After `gone` for all in it. `removed`, `expired`, `shutdown`; empty where it was missed. */
    | { readonly type: "blockRemoved"; readonly block: Block; readonly reason: string };

/** One life of one process: a pid is used again. */
export function lifeOf(process: { pid: number; started_at_ms: number }): string {
    return `${process.pid}@${process.started_at_ms}`;
}

/** The processes of a block. It begins stale: it needs a list. */
export class Picture implements Block {
    readonly topic: string;
    whole = false;
    epoch: string | undefined;
    seq = 0;
    confidence = "none";
    confidenceReason = "";
    tracker = "";
    feed = "";
    readonly processes = new Map<string, ProcessRecord>();

    private noted = new Set<string>(); // epochs of events that came while stale
    private readonly over = new Set<string>(); // epochs that are over
    private byEvent = false; // an event began the epoch, not a list

    constructor(readonly blockId: string) {
        this.topic = blockScope(blockId);
    }

    /** It is known that there is no such block yet: no list is needed for that. */
    static ofNone(blockId: string): Picture {
        const picture = new Picture(blockId);
        picture.whole = true;
        return picture;
    }

    find(pid: number): ProcessRecord | undefined {
        return [...this.processes.values()].find((process) => process.pid === pid);
    }

    tree(): Branch[] {
        // The oldest last: it is taken first.
        const byAge = [...this.processes.values()].sort(
            (one, other) => other.started_at_ms - one.started_at_ms || other.pid - one.pid,
        );
        const children = new Map(byAge.map(({ pid }) => [pid, [] as ProcessRecord[]]));
        const open: Branch[] = [];
        for (const process of byAge) {
            const siblings = children.get(process.parent_pid ?? 0);
            if (siblings !== undefined && process.parent_pid !== process.pid) {
                siblings.push(process);
            } else {
                open.push({ process, depth: 0 });
            }
        }
        const branches: Branch[] = [];
        for (let branch; (branch = open.pop()); ) {
            const depth = branch.depth + 1;
            branches.push(branch);
            for (const process of children.get(branch.process.pid) ?? []) {
                open.push({ process, depth });
            }
        }
        return branches;
    }

    /** Something may have been missed: a list is needed. */
    lost(): BlockChange[] {
        const told = this.whole && this.epoch !== undefined;
        this.whole = false;
        return told ? [{ type: "blockChanged", block: this }] : [];
    }

    /** Takes the next event, in the order of arrival. */
    event(event: Event): BlockChange[] {
        const data = event.data;
        if (!this.isOurs(event, data)) {
            return [];
        }
        if (this.over.has(data.epoch)) {
            // A list may overtake events. What began before this one came is older, and over too.
            return this.whole && this.byEvent ? this.lost() : [];
        }
        const { epoch, seq } = data;
        if (!this.whole) {
            this.noted.add(epoch); // the list to come counts it
            return [];
        }
        if (epoch === this.epoch && seq <= this.seq) {
            return [];
        }
        const follows =
            epoch === this.epoch ? seq === this.seq + 1 : this.epoch === undefined && seq === 1;
        if (event.name === "agent:block-mark" || !follows) {
            this.noted.add(epoch);
            return this.lost();
        }
        const isNew = this.epoch === undefined;
        this.byEvent ||= isNew;
        this.epoch = epoch;
        this.seq = seq;
        const changes = this.apply(event.name as keyof BlockEvents, data, isNew);
        return isNew && this.epoch !== undefined
            ? [{ type: "blockAdded", block: this }, ...changes]
            : changes;
    }

    /** Takes the reply of a `list_block` that was asked for after all events taken so far: an epoch
     * of theirs that is not the reply's is over. */
    listed(reply: unknown): BlockChange[] {
        const list = readList(reply);
        const before = this.epoch;
        const told = before !== undefined && !this.whole;
        this.end([before, ...this.noted], list.epoch);
        this.noted = new Set();
        this.whole = true;
        this.byEvent = false;
        this.epoch = list.epoch;
        this.seq = list.seq;
        if (list.epoch === undefined) {
            return before === undefined ? [] : this.forget("missed", "");
        }
        const changes = this.compare(list.processes);
        const confidence = this.setConfidence(list.confidence, list.confidenceReason);
        if (before === undefined) {
            changes.unshift({ type: "blockAdded", block: this });
        } else if (told || confidence) {
            changes.push({ type: "blockChanged", block: this });
        }
        return changes;
    }

    /** Takes who is there in the place of who was. */
    private compare(processes: readonly ProcessRecord[]): BlockChange[] {
        const changes: BlockChange[] = [];
        const there = new Set(processes.map(lifeOf));
        for (const [life, process] of this.processes) {
            if (!there.has(life)) {
                this.processes.delete(life);
                changes.push({ type: "gone", block: this, process, gone: { how: "missed" } });
            }
        }
        for (const process of processes) {
            changes.push(...this.put(process, false));
        }
        return changes;
    }

    /** Anybody may publish on the same scope. One of ours that cannot be read counts as lost: the
     * next number tells. */
    private isOurs(event: Event, data: unknown): data is { epoch: string; seq: number } & Fields {
        if (!event.name.startsWith("agent:") || event.topic !== this.topic) {
            return false;
        }
        if (!isMap(data) || data["block_id"] !== this.blockId) {
            return false;
        }
        if (typeof data["epoch"] !== "string" || !isUint(data["seq"], 1)) {
            return false;
        }
        switch (event.name) {
            case "agent:process-added":
            case "agent:process-exec":
            case "agent:process-changed":
                return isRecord(data["process"]);
            case "agent:process-exited":
            case "agent:process-escaped":
                return isUint(data["pid"], 1) && isUint(data["started_at_ms"]);
            default:
                return true;
        }
    }

    private apply(name: keyof BlockEvents, data: Fields, isNew: boolean): BlockChange[] {
        switch (name) {
            case "agent:process-added":
            case "agent:process-exec":
            case "agent:process-changed":
                return this.put(data["process"] as ProcessRecord, name === "agent:process-exec");
            case "agent:process-exited":
                return this.take({ how: "exited", data: data as unknown as AgentProcessExited });
            case "agent:process-escaped":
                return this.take({ how: "escaped", data: data as unknown as AgentProcessEscaped });
            case "agent:block-removed":
                this.end([this.epoch], undefined);
                this.byEvent = false;
                this.epoch = undefined;
                this.seq = 0;
                return isNew ? [] : this.forget("untracked", textOf(data["reason"]));
            case "agent:block-added":
            case "agent:block-changed":
                return this.describe(data) && !isNew ? [{ type: "blockChanged", block: this }] : [];
            default:
                return []; // what repairs a reader follows a resync; others are of a later protocol
        }
    }

    private put(process: ProcessRecord, exec: boolean): BlockChange[] {
        const life = lifeOf(process);
        const before = this.processes.get(life);
        this.processes.set(life, process);
        if (before === undefined) {
            return [{ type: "added", block: this, process }];
        }
        const what: Aspect[] = exec ? ["exec"] : [];
        what.push(...MIRRORED.filter((key) => process[key] !== before[key]));
        return what.length > 0 ? [{ type: "changed", block: this, process, before, what }] : [];
    }

    private take(gone: Gone & { data: { pid: number; started_at_ms: number } }): BlockChange[] {
        const process = this.processes.get(lifeOf(gone.data));
        this.processes.delete(lifeOf(gone.data));
        return process ? [{ type: "gone", block: this, process, gone }] : [];
    }

    private forget(how: "missed" | "untracked", reason: string): BlockChange[] {
        const changes: BlockChange[] = [...this.processes.values()].map((process) => ({
            type: "gone",
            block: this,
            process,
            gone: { how },
        }));
        this.processes.clear();
        this.setConfidence("none", "");
        this.tracker = this.feed = "";
        return [...changes, { type: "blockRemoved", block: this, reason }];
    }

    /** These epochs are over, but for the one that is not. */
    private end(epochs: Iterable<string | undefined>, but: string | undefined): void {
        for (const epoch of epochs) {
            if (epoch !== undefined && epoch !== but) {
                this.over.add(epoch);
            }
        }
        if (but !== undefined) {
            this.over.delete(but);
        }
        for (const oldest of this.over) {
            if (this.over.size <= OVER_MAX) {
                break;
            }
            this.over.delete(oldest);
        }
    }

    /** Whether something is other than before. */
    private describe(data: Fields): boolean {
        const before = [this.tracker, this.feed];
        this.tracker = textOf(data["tracker"]);
        this.feed = textOf(data["feed"]);
        const confidence = this.setConfidence(data["confidence"], data["confidence_reason"]);
        return confidence || before[0] !== this.tracker || before[1] !== this.feed;
    }

    private setConfidence(confidence: unknown, reason: unknown): boolean {
        const before = [this.confidence, this.confidenceReason];
        this.confidence = textOf(confidence) || "none";
        this.confidenceReason = textOf(reason);
        return before[0] !== this.confidence || before[1] !== this.confidenceReason;
    }
}

function textOf(value: unknown): string {
    return typeof value === "string" ? value : "";
}

function isRecord(value: unknown): value is ProcessRecord {
    return (
        isMap(value) &&
        isUint(value["pid"], 1) &&
        isUint(value["started_at_ms"]) &&
        isUint(value["rss_bytes"]) &&
        typeof value["command"] === "string" &&
        typeof value["scope"] === "string" &&
        typeof value["root"] === "boolean" &&
        typeof value["started"] === "boolean"
    );
}

interface List {
    epoch: string | undefined;
    seq: number;
    processes: readonly ProcessRecord[];
    confidence: unknown;
    confidenceReason: unknown;
}

function readList(reply: unknown): List {
    const { epoch, seq, processes, confidence, confidence_reason } = (
        isMap(reply) ? reply : {}
    ) as Partial<Record<keyof ControlListBlockReply, unknown>>;
    if (epoch !== undefined && (typeof epoch !== "string" || !isUint(seq, 1))) {
        throw new Malformed("list_block: its epoch or seq is none");
    }
    if (!Array.isArray(processes) || !processes.every(isRecord)) {
        throw new Malformed("list_block: its processes are none");
    }
    return {
        epoch,
        seq: epoch === undefined ? 0 : (seq as number),
        processes,
        confidence,
        confidenceReason: confidence_reason,
    };
}
