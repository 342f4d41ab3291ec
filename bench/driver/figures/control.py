# SPDX-License-Identifier: Apache-2.0
"""A list beside `ps`, a kill beside a bare write to cgroup.kill, and a removal, which looks for what belongs to the
block and is outside of it, beside a `ps` of all with their environment."""

from __future__ import annotations

import subprocess
import time
from typing import Callable

from blackbox.programs import pids_below
from blackbox.wire import pack

from .. import machine
from ..parameters import Parameters
from ..peers import Tracked, in_rounds
from ..programs import DEADLINE, Holder
from ..table import Row

PS_FORMAT = "pid,ppid,rss,lstart,args"


def list_ms(broker: Tracked, count: int) -> float:
    """From the request to the whole reply."""
    request = pack({"command": "list_block", "reqid": 1, "data": {"block_id": broker.block_ids[0]}})
    begin = time.perf_counter()
    reply = broker.control.raw(request)
    took = time.perf_counter() - begin
    assert len(reply) > count * 50, "the list is not complete"
    return took * 1000


def ps_ms(pids: set[int]) -> float:
    """From its start to its end; it writes into a pipe that is read."""
    command = ["ps", "-o", PS_FORMAT, "-p", ",".join(map(str, sorted(pids)))]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)
    took = time.perf_counter() - begin
    assert done.stdout.count(b"\n") == len(pids) + 1, "ps left some out"
    return took * 1000


def list_block(p: Parameters) -> list[Row]:
    rows = []
    for feed in p.feeds:
        with Tracked(feed, p.poll_ms) as broker, Holder(broker.places, p.listed):
            broker.wait_until_counted(p.listed)
            pids = pids_below(broker.places[0])
            results = in_rounds(p.rounds, {"ours": lambda: list_ms(broker, p.listed),
                                           "ps": lambda: ps_ms(pids)})
        rows.append(Row(f"list_block of {p.listed}", feed, "ms", results["ours"],
                        f"ps -o {PS_FORMAT}", results["ps"], ratio_at_most=0.5))
    return rows


# ---- the kill ------------------------------------------------------------------------------------

def kill_tree_ms(broker: Tracked, count: int) -> float:
    """From the request to the kernel's word that nobody is there. Each in a block of its own: who joins
    while a kill runs may be killed too."""
    block_id = f"kill-{time.monotonic_ns()}"
    place = broker.make_blocks([block_id])[0]
    with Holder([place], count):
        broker.wait_until_counted(count)
        empty = machine.Emptiness(place.parent)
        begin = time.perf_counter()
        broker.control("kill_tree", block_id=block_id)
        took = (empty.wait(DEADLINE) - begin) * 1000
    assert broker.control("remove", block_id=block_id)["ok"]
    return took


def bare_kill_ms(count: int) -> float:
    with machine.bench_cgroup("kill") as place, Holder([place], count):
        empty = machine.Emptiness(place.parent)
        begin = time.perf_counter()
        (place.parent / "cgroup.kill").write_text("1")
        return (empty.wait(DEADLINE) - begin) * 1000


def beside_bare(p: Parameters, title: str, ours: Callable[[Tracked], float], peer: str,
                bare: Callable[[], float], ratio_at_most: float | None = None) -> list[Row]:
    """Milliseconds of each feed beside the same done with nothing but the kernel."""
    rows = []
    for feed in p.feeds:
        with Tracked(feed, p.poll_ms) as broker:
            results = in_rounds(p.rounds, {"ours": lambda: ours(broker), "bare": bare})
        rows.append(Row(title, feed, "ms", results["ours"], peer, results["bare"],
                        ratio_at_most=ratio_at_most))
    return rows


def kill_tree(p: Parameters) -> list[Row]:
    return beside_bare(p, f"kill_tree of {p.killed}, until empty",
                       lambda broker: kill_tree_ms(broker, p.killed), "a write to cgroup.kill",
                       lambda: bare_kill_ms(p.killed), 1.1)


# ---- the look outside ----------------------------------------------------------------------------

def remove_ms(broker: Tracked) -> float:
    """Of an empty block, from the request to the reply."""
    block_id = f"remove-{time.monotonic_ns()}"
    broker.make_blocks([block_id])
    begin = time.perf_counter()
    assert broker.control("remove", block_id=block_id)["ok"]
    return (time.perf_counter() - begin) * 1000


def ps_environment_ms(count: int) -> float:
    """Who wants to find processes by a variable can ask ps."""
    begin = time.perf_counter()
    done = subprocess.run(["ps", "axe", "-o", "pid,args"], check=True, capture_output=True, timeout=DEADLINE)
    took = time.perf_counter() - begin
    assert done.stdout.count(b"\n") > count, "ps left some out"
    return took * 1000


def look(p: Parameters) -> list[Row]:
    rows = []
    for feed in p.feeds:
        with Tracked(feed, p.poll_ms, p.idle_blocks) as broker, Holder(broker.places, p.idle_members):
            count = p.idle_blocks * p.idle_members
            broker.wait_until_counted(count)
            results = in_rounds(p.rounds, {"ours": lambda: remove_ms(broker),
                                           "ps": lambda: ps_environment_ms(count)})
        rows.append(Row(f"remove of an empty block beside {p.idle_blocks} of {p.idle_members}", feed, "ms",
                        results["ours"], "ps axe -o pid,args", results["ps"]))
    return rows
