# SPDX-License-Identifier: Apache-2.0
"""Is every life told, once and rightly? The spawners' own record is the oracle."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import pathlib
import tempfile
from typing import Any, Iterator

import msgpack

from ..parameters import Parameters
from ..peers import Tracked
from ..programs import LEAF, Life, Message, Program, read_record
from ..table import Row

BLOCKS, BATCH = 8, 250


@dataclasses.dataclass
class Stay:
    """What was told of one process in one block."""
    block: str
    command: str
    status: tuple[str, int] | None = None
    ended: bool = False
    sources: tuple[str | None, ...] = ()  # `source` of its beginning and its end


@dataclasses.dataclass
class Verdict:
    right: int = 0
    lost: int = 0
    twice: int = 0
    unended: int = 0
    wrong_status: int = 0
    wrong_block: int = 0
    wrong_command: int = 0
    strange: int = 0  # events that make no sense: an end without a beginning
    resyncs: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)  # of what was wrong, a few

    def note(self, example: str) -> None:
        if len(self.examples) < 3:
            self.examples.append(example)

    def __str__(self) -> str:
        said = [f"{field.name.replace('_', ' ')} {value}" for field in dataclasses.fields(self)
                if field.name not in ("right", "examples") and (value := getattr(self, field.name))]
        return ", ".join(said + self.examples) or "nothing wrong"


# ---- what the spawners say -----------------------------------------------------------------------

@contextlib.contextmanager
def hands(broker: Tracked, lives: int) -> Iterator[list[tuple[Program, pathlib.Path]]]:
    """Half as many spawners as blocks: two hands that take turns are one spawner."""
    each = lives // BLOCKS
    with contextlib.ExitStack() as stack:
        made = []
        for pair in range(0, BLOCKS, 2):
            there, back = os.pipe(), os.pipe()
            os.write(back[1], b"x")  # the first one's turn
            for number, (source, sink) in enumerate(((back[0], there[1]), (there[0], back[1]))):
                block = pair + number
                record = pathlib.Path(tempfile.mktemp(dir=broker.runtime, prefix="record-"))
                made.append((stack.enter_context(Program(
                    "bench_spawn", LEAF, each, "ends=all", f"first={block * each}",
                    f"record={record}", f"turn={source},{sink},{BATCH}",
                    procs=broker.places[block] / "cgroup.procs", pass_fds=(source, sink))), record))
            for end in (*there, *back):
                os.close(end)
        for hand, _ in made:
            hand.expect("ready")
        yield made


def status_of(status: int) -> tuple[str, int]:
    return ("signal", os.WTERMSIG(status)) if os.WIFSIGNALED(status) else \
        ("exit_code", os.WEXITSTATUS(status))


def command_of(number: int) -> str:
    if number % 16 == 15:
        return f"{LEAF} signal {9 if number % 32 == 31 else 15} {number}"
    return f"{LEAF} exit {number % 256} {number}"


# ---- what was told -------------------------------------------------------------------------------

def stays_of(messages: list[Message], verdict: Verdict) -> dict[int, list[Stay]]:
    """By pid, in the order in which they began."""
    told: dict[int, list[Stay]] = collections.defaultdict(list)
    open_stays: dict[tuple[str, int], Stay] = {}
    for message in messages:
        event = msgpack.unpackb(message.body)
        name, data = event["event"].removeprefix("agent:"), event["data"]
        block = data["block_id"]
        if name == "block-resync":
            verdict.resyncs += 1
        elif name == "process-added":
            pid = data["process"]["pid"]
            verdict.strange += (block, pid) in open_stays
            open_stays[block, pid] = Stay(block, data["process"]["command"],
                                         sources=(data.get("source"),))
            told[pid].append(open_stays[block, pid])
        elif name == "process-exec":
            _exec(open_stays, block, data["process"], verdict)
        elif name in ("process-exited", "process-escaped"):
            _end(open_stays, block, data, verdict)
    return told


def _exec(open_stays: dict, block: str, process: dict[str, Any], verdict: Verdict) -> None:
    stay = open_stays.get((block, process["pid"]))
    if stay is None:
        verdict.strange += 1
    else:
        stay.command = process["command"]


def _end(open_stays: dict, block: str, data: dict[str, Any], verdict: Verdict) -> None:
    stay = open_stays.pop((block, data["pid"]), None)
    if stay is None:
        verdict.strange += 1
        return
    stay.ended = True
    stay.sources += (data.get("source"),)
    for key in ("exit_code", "signal"):
        if key in data:
            stay.status = key, data[key]


# ---- both ----------------------------------------------------------------------------------------

def judge(lives: dict[int, list[tuple[str, Life]]], told: dict[int, list[Stay]],
          verdict: Verdict, commands_too: bool) -> None:
    """A pid is used again and again: its first life is the first that was told, and so on."""
    for pid in lives.keys() | told.keys():
        there, said = lives.get(pid, []), told.get(pid, [])
        verdict.lost += max(0, len(there) - len(said))
        verdict.twice += max(0, len(said) - len(there))
        for (block, life), stay in zip(there, said):
            faults = {"unended": not stay.ended, "wrong_block": stay.block != block,
                      "wrong_status": stay.ended and stay.status != status_of(life.status)}
            wrong_command = stay.command != command_of(life.number)
            verdict.wrong_command += wrong_command
            for name, fault in faults.items():
                setattr(verdict, name, getattr(verdict, name) + fault)
            if any(faults.values()):
                verdict.note(f"pid {pid} number {life.number} of {block}, wait status {life.status}, "
                             f"life {there.index((block, life)) + 1} of {len(there)}, was told as {stay}")
            verdict.right += not any(faults.values()) and not (commands_too and wrong_command)


def once(feed: str, p: Parameters) -> tuple[Verdict, dict[str, int]]:
    verdict = Verdict()
    with Tracked(feed, p.poll_ms, BLOCKS) as broker, \
            broker.subscriber_to_all(quiet_ms=p.poll_ms + p.quiet_ms) as subscriber:
        subscriber.sync(broker.publish_sync)
        with hands(broker, p.lives) as made:
            pids = {hand.pid for hand, _ in made}
            if feed != "poll":
                broker.wait_until_listed(pids)
            for hand, _ in made:
                hand.say()
            for hand, _ in made:
                hand.expect("done")
            messages = subscriber.collect()
        lives: dict[int, list[tuple[str, Life]]] = collections.defaultdict(list)
        for number, (_, record) in enumerate(made):
            for life in read_record(record):
                lives[life.pid].append((broker.block_ids[number], life))
        stats = broker.stats()
    for pid in lives:
        lives[pid].sort(key=lambda item: item[1].time_ns)
    told = stays_of(messages, verdict)
    for pid in pids:
        told.pop(pid, None)
    judge(lives, told, verdict, commands_too=feed == "bpf")
    return verdict, stats


def completeness(p: Parameters) -> list[Row]:
    rows = []
    for feed in p.feeds:
        verdict, stats = once(feed, p)
        lives = p.lives // BLOCKS * BLOCKS
        target = lives if feed != "poll" else None
        note = f"of {lives}: {verdict}; the feed counted {stats.get('feed_lost', 0)} lost"
        rows.append(Row("lives told rightly", feed, "lives", [verdict.right], at_least=target,
                        note=note))
        rows.append(Row("commands told rightly", feed, "lives",
                        [lives - verdict.lost - verdict.wrong_command],
                        at_least=lives if feed == "bpf" else None))
    return rows
