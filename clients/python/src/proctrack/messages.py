# SPDX-License-Identifier: Apache-2.0
"""The shapes of messages, for type checkers. They are those of schemas/*.schema.json. Readers ignore
keys that they do not know."""

from typing import Any, Literal, NotRequired, TypedDict

Confidence = Literal["high", "best_effort", "none"]


class Port(TypedDict):
    port: int
    address: str
    family: Literal["inet", "inet6"]


class ProcessRecord(TypedDict):
    pid: int
    command: str
    command_truncated: NotRequired[bool]
    rss_bytes: int
    started_at_ms: int
    parent_pid: NotRequired[int]
    root: bool
    started: bool
    scope: str
    # With `detail`, and where they are known:
    exe: NotRequired[str]
    cwd: NotRequired[str]
    uid: NotRequired[int]
    state: NotRequired[str]
    threads: NotRequired[int]
    cpu_ms: NotRequired[int]
    argv: NotRequired[list[str]]
    argv_truncated: NotRequired[bool]
    ports: NotRequired[list[Port]]


class Survivor(TypedDict):
    pid: int
    started_at_ms: int
    state: str
    command: str
    escaped: bool


# ---- replies about one block --------------------------------------------------------------------


class Versioned(TypedDict):
    """All events up to `seq` of this epoch were published before the reply."""

    epoch: str
    seq: int


class MaybeVersioned(TypedDict):
    """The same; absent where there is no such block."""

    epoch: NotRequired[str]
    seq: NotRequired[int]


class Ensured(Versioned):
    created: bool
    confidence: Confidence
    confidence_reason: str
    tracker: str
    feed: str
    procs_path: NotRequired[str]


class Assigned(Versioned):
    assigned: int


class BlockList(MaybeVersioned):
    tracked: bool
    confidence: Confidence
    confidence_reason: str
    processes: list[ProcessRecord]


class ConfidenceOf(MaybeVersioned):
    confidence: Confidence
    confidence_reason: str


class MaybeOk(MaybeVersioned):
    ok: bool


class Ok(Versioned):
    ok: bool


class KilledStarted(Versioned):
    killed: list[int]


class Signalled(Versioned):
    signalled: list[int]


class Stopped(Versioned):
    exited: int
    killed: int
    survivors: list[Survivor]
    elapsed_ms: int


class Emptied(Versioned):
    empty: bool
    remaining: int


class Removed(MaybeVersioned):
    ok: bool
    survivors: list[Survivor]


# ---- replies about all of it --------------------------------------------------------------------


class BlockSummary(Versioned):
    block_id: str
    confidence: Confidence
    processes: int
    rss_bytes: NotRequired[int]
    cpu_ms: NotRequired[int]


class AllBlocks(TypedDict):
    block_ids: list[str]
    blocks: list[BlockSummary]


class Attempt(TypedDict):
    what: str
    ok: bool
    why: str


class Description(TypedDict):
    protocol: Literal[1]
    name: str
    version: str
    commands: list[str]
    tracker: str
    feed: str
    confidence: Confidence
    confidence_reason: str
    tried: list[Attempt]
    limits: dict[str, int]


class Stats(TypedDict):
    counters: dict[str, int]
    gauges: dict[str, int]


class PluginInfo(TypedDict):
    name: str
    version: str
    state: str
    endpoints: dict[str, str]


class BrokerInfo(TypedDict):
    name: str
    version: str
    endpoints: dict[str, str]
    plugins: list[PluginInfo]
    counters: dict[str, int]


class EventBody(TypedDict):
    event: str
    scopes: NotRequired[list[str]]
    sender: NotRequired[str]
    persist: NotRequired[int]
    data: NotRequired[Any]
