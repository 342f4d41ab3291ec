# SPDX-License-Identifier: Apache-2.0
"""The life of a block: how fast it is made and taken away, what it costs to start a program in it, how
long its processes take to end politely, and to be found again by the next broker."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import time

from blackbox.programs import pids_below

from .. import machine
from ..parameters import Parameters
from ..peers import Tracked, in_rounds
from ..programs import DEADLINE, LEAF, Holder
from ..table import Row
from .control import beside_bare

CLI = os.environ.get("PROCTRACK_CLI", "proctrack")


# ---- made and removed ----------------------------------------------------------------------------

def blocks_a_second(broker: Tracked, count: int) -> tuple[float, float]:
    """Many requests are under way at a time. A removal is over when the block's cgroup is gone."""
    block_ids = [f"made-{time.monotonic_ns()}-{number}" for number in range(count)]
    begin = time.perf_counter()
    broker.make_blocks(block_ids)
    made = time.perf_counter()
    replies = broker.ask_many("remove", [{"block_id": block_id} for block_id in block_ids])
    removed = time.perf_counter()
    assert all(reply["ok"] for reply in replies), "a block was not removed"
    return count / (made - begin), count / (removed - made)


def bare_cgroups_a_second(count: int) -> tuple[float, float]:
    """The two directories that a block is."""
    with machine.bench_cgroup("made") as place:
        paths = [place.parent / f"b-{number}" for number in range(count)]
        begin = time.perf_counter()
        for path in paths:
            os.mkdir(path)
            os.mkdir(path / "s-main")
        made = time.perf_counter()
        for path in paths:
            os.rmdir(path / "s-main")
            os.rmdir(path)
        removed = time.perf_counter()
    return count / (made - begin), count / (removed - made)


def made(p: Parameters) -> list[Row]:
    rows = []
    for feed in p.feeds:
        with Tracked(feed, p.poll_ms) as broker:
            results = in_rounds(p.rounds, {"ours": lambda: blocks_a_second(broker, p.made),
                                           "bare": lambda: bare_cgroups_a_second(p.made)})
        for index, what in enumerate(("made", "removed")):
            rows.append(Row(f"blocks {what} a second, of {p.made}", feed, "1/s",
                            [taken[index] for taken in results["ours"]],
                            {"made": "two mkdir", "removed": "two rmdir"}[what],
                            [taken[index] for taken in results["bare"]]))
    return rows


# ---- proctrack run -------------------------------------------------------------------------------

def start_ms(command: list[str], count: int, environment: dict[str, str]) -> float:
    """From the fork to the end of a program that ends at once, one after the other."""
    begin = time.perf_counter()
    for _ in range(count):
        subprocess.run(command, env=environment, check=True, timeout=DEADLINE)
    return (time.perf_counter() - begin) * 1000 / count


def run(p: Parameters) -> list[Row]:
    rows, leaf = [], [LEAF, "exit", "0"]
    for feed in p.feeds:
        with Tracked(feed, p.poll_ms) as broker:
            environment = os.environ | {"WPS_RUNTIME_DIR": str(broker.runtime)}
            ours = [CLI, "run", "--block", broker.block_ids[0], "--", *leaf]
            results = in_rounds(p.rounds, {"ours": lambda: start_ms(ours, p.started, environment),
                                           "plain": lambda: start_ms(leaf, p.started, environment)})
        rows.append(Row("proctrack run, until its program ended", feed, "ms", results["ours"],
                        "fork and exec", results["plain"]))
    return rows


# ---- stop_tree -----------------------------------------------------------------------------------

def stop_ms(broker: Tracked, count: int) -> float:
    """From the request to the reply that all have ended, which they do by SIGTERM."""
    block_id = f"stop-{time.monotonic_ns()}"
    place = broker.make_blocks([block_id])[0]
    with Holder([place], count):
        broker.wait_until_counted(count)
        begin = time.perf_counter()
        reply = broker.control("stop_tree", block_id=block_id)
        took = (time.perf_counter() - begin) * 1000
        assert reply["exited"] == count and reply["killed"] == 0, reply
    assert broker.control("remove", block_id=block_id)["ok"]
    return took


def bare_stop_ms(count: int) -> float:
    with machine.bench_cgroup("stop") as place, Holder([place], count):
        empty = machine.Emptiness(place.parent)
        begin = time.perf_counter()
        for pid in (place / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGTERM)
        return (empty.wait(DEADLINE) - begin) * 1000


def stop_tree(p: Parameters) -> list[Row]:
    return beside_bare(p, f"stop_tree of {p.stopped}, until it answers",
                       lambda broker: stop_ms(broker, p.stopped), "a loop of kill(SIGTERM)",
                       lambda: bare_stop_ms(p.stopped))


# ---- adoption ------------------------------------------------------------------------------------

def adoption_ms(broker: Tracked, count: int) -> float:
    """From the start of the next broker to its first count that has all."""
    broker.process.kill()
    broker.process.wait()
    begin = time.perf_counter()
    broker.start()
    broker.wait_until_counted(count)
    return (time.perf_counter() - begin) * 1000


def read_ms(directory: pathlib.Path, count: int) -> float:
    """Who is there, and since when."""
    found = 0
    begin = time.perf_counter()
    for pid in pids_below(directory):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
            found += bool(file.read())
    took = time.perf_counter() - begin
    assert found == count, f"{found} were read, not {count}"
    return took * 1000


def adoption(p: Parameters) -> list[Row]:
    rows = []
    for feed in p.feeds:
        with Tracked(feed, p.poll_ms) as broker, Holder(broker.places, p.adopted):
            broker.wait_until_counted(p.adopted)
            place = broker.places[0]
            results = in_rounds(p.rounds, {"ours": lambda: adoption_ms(broker, p.adopted),
                                           "read": lambda: read_ms(place, p.adopted)})
        rows.append(Row(f"adoption of {p.adopted} after a crash, start included", feed, "ms",
                        results["ours"], "reading cgroup.procs and /proc/PID/stat",
                        results["read"]))
    return rows
