// SPDX-License-Identifier: Apache-2.0
/**
 * The messages, as the JSON Schemas have them. Made by `npm run messages`: change schemas/ and run
 * that. Readers ignore keys that they do not know.
 */

/**
 * How sure it is that no process of the block is missed
 */
export type Confidence = "high" | "best_effort" | "none";
/**
 * A sentence
 */
export type ConfidenceReason = string;
/**
 * What owns the processes: cgroup, lineage, none, or a later one
 */
export type Tracker = string;
/**
 * What tells of births and deaths: bpf, netlink, poll, or a later one
 */
export type Feed = string;
export type BlockId = string;
/**
 * One life of one block; at most 32 bytes, compared for equality only
 */
export type Epoch = string;
/**
 * 1, 2, 3 and so on within the epoch
 */
export type Seq = number;
/**
 * `seq` is that of the newest event; a mark takes no number of its own.
 */
export type AgentBlockMark = BlockPoint;
/**
 * msgpack uint
 */
export type Uint = number;
/**
 * A process, in the broker's pid namespace
 */
export type Pid = number;
/**
 * 1 to 3 parts of the block id alphabet joined by '/'; a command that takes one means it and all below it
 */
export type SubScope = string;
/**
 * msgpack str, valid UTF-8
 */
export type Text = string;
/**
 * "scan" where a scan found it rather than the feed
 */
export type Source = string;
/**
 * Number of a signal
 */
export type Signal = number;
/**
 * At most one day
 */
export type TimeoutMs = number;
/**
 * Scope of an event; at most 245 bytes of UTF-8
 */
export type Scope = string;
/**
 * Chosen by the client, repeated in the reply as resid; a str of at most 256 bytes, or a uint
 */
export type Reqid = string | Uint;
export type Errorcode =
    | "bad_request"
    | "unknown_command"
    | "invalid_argument"
    | "no_such_block"
    | "no_such_process"
    | "not_permitted"
    | "not_supported"
    | "limit"
    | "timeout"
    | "internal";
/**
 * PROTOCOL.md, section 4: data, or an error.
 */
export type ReplyBody =
    | {
          /**
           * The reqid of the request
           */
          resid?: Reqid;
          data: {};
      }
    | ErrorBody;
/**
 * An event.
 */
export type RpcEventpublishRequest = EventBody;

/**
 * Data of agent:block-added
 */
export interface AgentBlockAdded extends BlockPoint {
    confidence: Confidence;
    confidence_reason: ConfidenceReason;
    tracker: Tracker;
    feed: Feed;
    /**
     * The block was taken over from an earlier broker
     */
    adopted: boolean;
}
/**
 * PROTOCOL.md, section 3.1. Part of the data of every agent:* event.
 */
export interface BlockPoint {
    block_id: BlockId;
    epoch: Epoch;
    seq: Seq;
}
/**
 * One of the values changed; all are those after that.
 */
export interface AgentBlockChanged extends BlockPoint {
    confidence: Confidence;
    confidence_reason: ConfidenceReason;
    tracker: Tracker;
    feed: Feed;
    /**
     * The block was taken over from an earlier broker
     */
    adopted: boolean;
}
/**
 * Data of agent:block-removed
 */
export interface AgentBlockRemoved extends BlockPoint {
    reason: "removed" | "expired" | "shutdown";
}
/**
 * Something was missed; what follows with source "scan" repairs the reader.
 */
export interface AgentBlockResync extends BlockPoint {
    reason: "overflow" | "feed_restarted" | "adopted" | "unpublished";
    /**
     * How many events; absent: unknown
     */
    lost?: Uint;
}
/**
 * A process was born in the block, or assigned to it.
 */
export interface AgentProcessAdded extends BlockPoint {
    process: ProcessRecord;
    source?: Source;
}
/**
 * PROTOCOL.md, section 3.2.
 */
export interface ProcessRecord {
    pid: Pid;
    /**
     * argv joined by single spaces, or [name]; at most 4096 bytes
     */
    command: string;
    /**
     * true where the command was cut
     */
    command_truncated?: boolean;
    /**
     * Resident set when the record was made; 0: unavailable
     */
    rss_bytes: Uint;
    /**
     * Creation time since the Unix epoch; with the pid it names one life of one process
     */
    started_at_ms: Uint;
    /**
     * The parent at birth
     */
    parent_pid?: Pid;
    /**
     * It was assigned, rather than born in the block
     */
    root: boolean;
    /**
     * The agent started it through its tools
     */
    started: boolean;
    scope: SubScope;
    /**
     * Path of the program; with `detail`, as all below
     */
    exe?: Text;
    /**
     * Its working directory; " (deleted)" behind it where it was removed, as in exe
     */
    cwd?: Text;
    /**
     * Its real user
     */
    uid?: number;
    /**
     * The letter of /proc; no member is a zombie
     */
    state?: string;
    threads?: number;
    /**
     * What all of its threads used so far
     */
    cpu_ms?: Uint;
    argv?: Text[];
    /**
     * true where argv was cut
     */
    argv_truncated?: boolean;
    /**
     * TCP ports it listens on; left out where they are not known
     */
    ports?: {
        port: number;
        address: Text;
        family: "inet" | "inet6";
    }[];
}
/**
 * The sub-scope or `root` of a process changed; the record is the one after that.
 */
export interface AgentProcessChanged extends BlockPoint {
    process: ProcessRecord;
}
/**
 * A process left the block alive.
 */
export interface AgentProcessEscaped extends BlockPoint {
    pid: Pid;
    started_at_ms: Uint;
    reason: "moved" | "reassigned" | "found_outside";
    /**
     * Path of the cgroup that it is in now
     */
    where?: Text;
}
/**
 * A process replaced its program; the record is the one after that.
 */
export interface AgentProcessExec extends BlockPoint {
    process: ProcessRecord;
}
/**
 * A process ended. `exit_code`, or `signal` with `core_dumped`, or none of them where it is unknown how.
 */
export interface AgentProcessExited extends BlockPoint {
    pid: Pid;
    started_at_ms: Uint;
    /**
     * It called exit
     */
    exit_code?: number;
    /**
     * It was ended by a signal
     */
    signal?: Signal;
    core_dumped?: boolean;
    runtime_ms: Uint;
    /**
     * 0: unavailable
     */
    cpu_ms: Uint;
    /**
     * 0: unavailable
     */
    max_rss_bytes: Uint;
    source?: Source;
}
/**
 * PROTOCOL.md, section 4.1. All events counted in it were published before the reply. Absent where the block is unknown.
 */
export interface BlockVersion {
    epoch?: Epoch;
    seq?: Seq;
}
/**
 * Data of the reply to assign_process
 */
export interface ControlAssignProcessReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    /**
     * The process and its descendants; 0 if all were there
     */
    assigned: Uint;
}
/**
 * Data of a request assign_process
 */
export interface ControlAssignProcessRequest {
    block_id: BlockId;
    pid: Pid;
    /**
     * Refused where it differs
     */
    started_at_ms?: Uint;
    scope?: SubScope;
    root?: boolean;
}
/**
 * Data of the reply to confidence_of
 */
export interface ControlConfidenceOfReply extends BlockVersion {
    confidence: Confidence;
    confidence_reason: ConfidenceReason;
}
/**
 * Data of a request confidence_of
 */
export interface ControlConfidenceOfRequest {
    block_id: BlockId;
}
/**
 * Data of the reply to describe
 */
export interface ControlDescribeReply {
    protocol: 1;
    name: Text;
    version: Text;
    commands: Text[];
    tracker: Tracker;
    feed: Feed;
    confidence: Confidence;
    confidence_reason: ConfidenceReason;
    /**
     * What was tried at start, and why it was not chosen
     */
    tried: {
        what: Text;
        ok: boolean;
        why: Text;
    }[];
    limits: Counts;
}
/**
 * Names and numbers
 */
export interface Counts {
    [k: string]: Uint;
}
/**
 * It takes none; the key may be absent.
 */
export interface ControlDescribeRequest {}
/**
 * Data of the reply to ensure_tracker
 */
export interface ControlEnsureTrackerReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    created: boolean;
    confidence: Confidence;
    confidence_reason: ConfidenceReason;
    tracker: Tracker;
    feed: Feed;
    /**
     * Write 0 there between fork and exec to be born in that scope
     */
    procs_path?: Text;
}
/**
 * Data of a request ensure_tracker
 */
export interface ControlEnsureTrackerRequest {
    block_id: BlockId;
    scope?: SubScope;
    /**
     * When the broker stops in order
     */
    on_exit?: "kill" | "keep";
    /**
     * When the broker is killed
     */
    on_crash?: "keep" | "kill";
}
/**
 * Data of the reply to freeze
 */
export interface ControlFreezeReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    ok: boolean;
}
/**
 * Data of a request freeze
 */
export interface ControlFreezeRequest {
    block_id: BlockId;
    scope?: SubScope;
}
/**
 * Data of the reply to kill_pid
 */
export interface ControlKillPidReply extends BlockVersion {
    /**
     * false: not a member
     */
    ok: boolean;
}
/**
 * Data of a request kill_pid
 */
export interface ControlKillPidRequest {
    block_id: BlockId;
    pid: Pid;
    started_at_ms?: Uint;
}
/**
 * Data of the reply to kill_started
 */
export interface ControlKillStartedReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    killed: Pid[];
}
/**
 * Data of a request kill_started
 */
export interface ControlKillStartedRequest {
    block_id: BlockId;
    /**
     * Only the subtree of this one
     */
    pid?: Pid;
}
/**
 * Data of the reply to kill_tree
 */
export interface ControlKillTreeReply extends BlockVersion {
    /**
     * Found; the kill is dispatched
     */
    ok: boolean;
}
/**
 * Data of a request kill_tree
 */
export interface ControlKillTreeRequest {
    block_id: BlockId;
    scope?: SubScope;
}
/**
 * Data of the reply to list_all_blocks
 */
export interface ControlListAllBlocksReply {
    block_ids: BlockId[];
    blocks: {
        block_id: BlockId;
        confidence: Confidence;
        epoch: Epoch;
        seq: Seq;
        processes: Uint;
        /**
         * When its epoch began: it was made, or adopted by this broker
         */
        created_at_ms?: Uint;
        /**
         * With `detail`: resident sets of its members, added up
         */
        rss_bytes?: Uint;
        /**
         * With `detail`: what its members used, those that ended included
         */
        cpu_ms?: Uint;
    }[];
}
/**
 * Data of a request list_all_blocks
 */
export interface ControlListAllBlocksRequest {
    detail?: boolean;
}
/**
 * Data of the reply to list_block
 */
export interface ControlListBlockReply extends BlockVersion {
    /**
     * false: no such block
     */
    tracked: boolean;
    confidence: Confidence;
    confidence_reason: ConfidenceReason;
    processes: ProcessRecord[];
}
/**
 * Data of a request list_block
 */
export interface ControlListBlockRequest {
    block_id: BlockId;
    scope?: SubScope;
    only?: "started";
    detail?: boolean;
}
/**
 * Data of the reply to remove
 */
export interface ControlRemoveReply extends BlockVersion {
    /**
     * The block is gone. false: no such block, or members are left
     */
    ok: boolean;
    survivors: Survivor[];
}
/**
 * PROTOCOL.md, section 4.1.
 */
export interface Survivor {
    pid: Pid;
    started_at_ms: Uint;
    /**
     * The letter of /proc, or ? where it is unknown
     */
    state: string;
    command: Text;
    /**
     * It left the block, or has its tag, and is outside
     */
    escaped: boolean;
}
/**
 * Data of a request remove
 */
export interface ControlRemoveRequest {
    block_id: BlockId;
    timeout_ms?: TimeoutMs;
    /**
     * Also end what left the block, or has its tag and is outside
     */
    include_escaped?: boolean;
}
/**
 * Data of the reply to signal_tree
 */
export interface ControlSignalTreeReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    signalled: Pid[];
}
/**
 * Data of a request signal_tree
 */
export interface ControlSignalTreeRequest {
    block_id: BlockId;
    signal: Signal;
    scope?: SubScope;
}
/**
 * Data of the reply to stats
 */
export interface ControlStatsReply {
    counters: Counts;
    gauges: {
        [k: string]: number;
    };
}
/**
 * It takes none; the key may be absent.
 */
export interface ControlStatsRequest {}
/**
 * Data of the reply to stop_tree
 */
export interface ControlStopTreeReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    /**
     * How many ended by the signal
     */
    exited: Uint;
    /**
     * How many had to be killed
     */
    killed: Uint;
    survivors: Survivor[];
    elapsed_ms: Uint;
}
/**
 * Data of a request stop_tree
 */
export interface ControlStopTreeRequest {
    block_id: BlockId;
    scope?: SubScope;
    signal?: Signal;
    grace_ms?: TimeoutMs;
    timeout_ms?: TimeoutMs;
    /**
     * Also end what left the block, or has its tag and is outside
     */
    include_escaped?: boolean;
}
/**
 * Data of the reply to thaw
 */
export interface ControlThawReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    ok: boolean;
}
/**
 * Data of a request thaw
 */
export interface ControlThawRequest {
    block_id: BlockId;
    scope?: SubScope;
}
/**
 * Data of the reply to wait_empty
 */
export interface ControlWaitEmptyReply extends BlockVersion {
    epoch: Epoch;
    seq: Seq;
    empty: boolean;
    remaining: Uint;
}
/**
 * Data of a request wait_empty
 */
export interface ControlWaitEmptyRequest {
    block_id: BlockId;
    scope?: SubScope;
    timeout_ms: TimeoutMs;
}
/**
 * What each socket is for, and its address
 */
export interface Endpoints {
    [k: string]: string;
}
/**
 * PROTOCOL.md, section 4.
 */
export interface ErrorBody {
    /**
     * The reqid of the request
     */
    resid?: Reqid;
    /**
     * A sentence for a person
     */
    error: Text;
    errorcode: Errorcode;
}
/**
 * PROTOCOL.md, section 3: the second frame of an event, the data of eventpublish, an item of eventreadhistory. Absent means empty.
 */
export interface EventBody {
    /**
     * Its name; names agent:* belong to plugins
     */
    event: string;
    /**
     * It goes out once for each; none: once, with the empty topic
     */
    scopes?: Scope[];
    sender?: Text;
    /**
     * How many of this event to keep for late readers; more than 4096 counts as that
     */
    persist?: Uint;
    data?: unknown;
}
/**
 * PROTOCOL.md, section 4. At most 64 KiB and 16 levels deep.
 */
export interface RequestBody {
    command: Text;
    reqid?: Reqid;
    data?: {};
}
/**
 * Data of the reply to brokerinfo
 */
export interface RpcBrokerinfoReply {
    name: Text;
    version: Text;
    endpoints: Endpoints;
    plugins: {
        name: Text;
        version: Text;
        state: Text;
        endpoints: Endpoints;
    }[];
    counters: Counts;
}
/**
 * It takes none; the key may be absent.
 */
export interface RpcBrokerinfoRequest {}
/**
 * Data of the reply to eventpublish
 */
export interface RpcEventpublishReply {
    /**
     * Messages sent
     */
    routed: Uint;
}
/**
 * Data of the reply to eventreadhistory
 */
export interface RpcEventreadhistoryReply {
    /**
     * Oldest first
     */
    events: EventBody[];
}
/**
 * Data of a request eventreadhistory
 */
export interface RpcEventreadhistoryRequest {
    /**
     * Name of the event
     */
    event: string;
    /**
     * "": all scopes
     */
    scope: Scope;
    maxitems: Uint;
}

/** What each event of a block holds. */
export interface BlockEvents {
    "agent:block-added": AgentBlockAdded;
    "agent:block-changed": AgentBlockChanged;
    "agent:block-mark": AgentBlockMark;
    "agent:block-removed": AgentBlockRemoved;
    "agent:block-resync": AgentBlockResync;
    "agent:process-added": AgentProcessAdded;
    "agent:process-changed": AgentProcessChanged;
    "agent:process-escaped": AgentProcessEscaped;
    "agent:process-exec": AgentProcessExec;
    "agent:process-exited": AgentProcessExited;
}

/** What can be asked, where. */
export interface Commands {
    control: {
        assign_process: { request: ControlAssignProcessRequest; reply: ControlAssignProcessReply };
        confidence_of: { request: ControlConfidenceOfRequest; reply: ControlConfidenceOfReply };
        describe: { request: ControlDescribeRequest; reply: ControlDescribeReply };
        ensure_tracker: { request: ControlEnsureTrackerRequest; reply: ControlEnsureTrackerReply };
        freeze: { request: ControlFreezeRequest; reply: ControlFreezeReply };
        kill_pid: { request: ControlKillPidRequest; reply: ControlKillPidReply };
        kill_started: { request: ControlKillStartedRequest; reply: ControlKillStartedReply };
        kill_tree: { request: ControlKillTreeRequest; reply: ControlKillTreeReply };
        list_all_blocks: { request: ControlListAllBlocksRequest; reply: ControlListAllBlocksReply };
        list_block: { request: ControlListBlockRequest; reply: ControlListBlockReply };
        remove: { request: ControlRemoveRequest; reply: ControlRemoveReply };
        signal_tree: { request: ControlSignalTreeRequest; reply: ControlSignalTreeReply };
        stats: { request: ControlStatsRequest; reply: ControlStatsReply };
        stop_tree: { request: ControlStopTreeRequest; reply: ControlStopTreeReply };
        thaw: { request: ControlThawRequest; reply: ControlThawReply };
        wait_empty: { request: ControlWaitEmptyRequest; reply: ControlWaitEmptyReply };
    };
    rpc: {
        brokerinfo: { request: RpcBrokerinfoRequest; reply: RpcBrokerinfoReply };
        eventpublish: { request: RpcEventpublishRequest; reply: RpcEventpublishReply };
        eventreadhistory: { request: RpcEventreadhistoryRequest; reply: RpcEventreadhistoryReply };
    };
}
