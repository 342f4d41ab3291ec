# SPDX-License-Identifier: Apache-2.0
"""Storms of short processes, and what a subscriber and the kernel say of them."""

from __future__ import annotations

import bisect
import collections
import contextlib
import pathlib
import tempfile
from typing import Iterator, NamedTuple

import msgpack

from .peers import Tracked
from .programs import LEAF, Life, Message, Program, read_record

EXEC, EXIT = 1, 2


class Storm(contextlib.AbstractContextManager):
    """Spawners that are ready, one in each place."""

    def __init__(self, places: list[pathlib.Path], each: int, folder: pathlib.Path,
                 recorded: bool = False, **options: object) -> None:
        self._stack = contextlib.ExitStack()
        self._records: list[pathlib.Path] = []
        self.spawners: list[Program] = []
        self.lives = each * len(places)
        words = [f"{key}={value}" for key, value in options.items()]
        with contextlib.ExitStack() as stack:
            for number, place in enumerate(places):
                mine = [f"first={number * each}"]
                if recorded:
                    self._records.append(pathlib.Path(tempfile.mktemp(dir=folder, prefix="record-")))
                    mine.append(f"record={self._records[-1]}")
                self.spawners.append(stack.enter_context(
                    Program("bench_spawn", LEAF, each, *words, *mine, procs=place / "cgroup.procs")))
            for spawner in self.spawners:
                spawner.expect("ready")
            self._stack = stack.pop_all()

    @property
    def pids(self) -> set[int]:
        return {spawner.pid for spawner in self.spawners}

    def run(self) -> float:
        """Seconds, of the spawner that took longest."""
        for spawner in self.spawners:
            spawner.say()
        return max(spawner.expect("done")[0] for spawner in self.spawners) / 1e9

    def records(self) -> list[list[Life]]:
        """By place."""
        return [read_record(path) for path in self._records]

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for path in self._records:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def tracked_storm(broker: Tracked, places: int, each: int, **options: object) -> Iterator[Storm]:
    """A storm in the broker's first blocks. Who spawns is known before it begins, except by scans."""
    with Storm(broker.places[:places], each, broker.runtime, **options) as storm:
        if broker.feed != "poll":
            broker.wait_until_listed(storm.pids)
        yield storm


# ---- latency -------------------------------------------------------------------------------------

class Arrival(NamedTuple):
    time_ns: int
    pid: int
    kind: int


def arrivals_of_events(messages: list[Message]) -> list[Arrival]:
    """An `added` tells of an exec, where that came within the settle time; else the `exec` does."""
    kinds = {"agent:process-added": EXEC, "agent:process-exec": EXEC, "agent:process-exited": EXIT}
    found = []
    for message in messages:
        event = msgpack.unpackb(message.body)
        kind = kinds.get(event["event"])
        if kind:
            data = event["data"]
            found.append(Arrival(message.time_ns, data.get("process", data)["pid"], kind))
    return found


def arrivals_of_bare(messages: list[Message]) -> list[Arrival]:
    return [Arrival(message.time_ns, int.from_bytes(message.body[4:8], "little"),
                    int.from_bytes(message.body[0:4], "little")) for message in messages]


def latencies(stamps: list[tuple[int, int, int]], arrivals: list[Arrival],
              pids: set[int] | None = None) -> dict[int, list[float]]:
    """Microseconds, by kind. An arrival is of the newest time of its pid and kind that is before it:
    long before a pid is used again its events have arrived. Each time is taken once."""
    times = collections.defaultdict(list)
    for time_ns, pid, kind in sorted(stamps):
        times[pid, kind].append(time_ns)
    taken: set[tuple[int, int, int]] = set()
    found: dict[int, list[float]] = {EXEC: [], EXIT: []}
    for arrival in arrivals:
        if pids is not None and arrival.pid not in pids:
            continue
        those = times.get((arrival.pid, arrival.kind), [])
        at = bisect.bisect_right(those, arrival.time_ns) - 1
        if at < 0 or (arrival.pid, arrival.kind, at) in taken:
            continue
        taken.add((arrival.pid, arrival.kind, at))
        found[arrival.kind].append((arrival.time_ns - those[at]) / 1000)
    return found


def percentile(values: list[float], percent: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def pids_of(records: list[list[Life]]) -> set[int]:
    return {life.pid for record in records for life in record}
