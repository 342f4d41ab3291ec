# SPDX-License-Identifier: Apache-2.0
"""Does a life cost more where there is more? One block and many, few members and many; what they take
of memory."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from .. import machine
from ..parameters import Parameters
from ..peers import Tracked, in_rounds
from ..programs import Holder, is_built
from ..table import Row
from . import cpu

COMMAND_BYTES = 100


def one(feed: str, p: Parameters, blocks: int, members: int) -> dict[str, Any]:
    """A storm and a paced run in the first block, beside all the others."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Tracked(feed, p.poll_ms, blocks))
        stack.enter_context(Holder(broker.places[:1], members))
        broker.wait_until_counted(members)
        if blocks > 1:
            time.sleep(p.idle_before_s)  # the marks of so many new blocks are no cost of a life
        storm = cpu.of_broker(broker, p, 1, p.storm, with_times=False)
        paced = cpu.of_broker(broker, p, 1, p.paced, is_built("bench_stamps"), p.rate)
        return {"storm_us": storm["us_per_life"], "paced_us": paced["us_per_life"],
                "p50_us": paced.get("p50_us")}


def growth(p: Parameters, what: str, less: dict[str, int], more: dict[str, int]) -> list[Row]:
    rows = []
    for feed in p.feeds:
        results = in_rounds(p.rounds, {"less": lambda: one(feed, p, **less),
                                       "more": lambda: one(feed, p, **more)})
        for key, title in (("storm_us", "processor time a life, in a storm"),
                           ("paced_us", f"processor time a life, at {p.rate}/s"),
                           ("p50_us", f"latency of an exec, p50, at {p.rate}/s")):
            if feed == "poll" and key == "p50_us":
                continue
            few, many = min(less[what], more[what]), max(less[what], more[what])
            rows.append(Row(f"{title}, {many} {what}", feed, "us",
                            [result[key] for result in results["more"]], f"{few} {what}",
                            [result[key] for result in results["less"]],
                            ratio_at_most=1.15 if feed != "poll" else None))
    return rows


def blocks(p: Parameters) -> list[Row]:
    return growth(p, "blocks", {"blocks": 1, "members": 1}, {"blocks": p.blocks, "members": 1})


def members(p: Parameters) -> list[Row]:
    return growth(p, "members", {"blocks": 1, "members": 10}, {"blocks": 1, "members": p.members})


# ---- memory --------------------------------------------------------------------------------------

def bytes_a_process(feed: str, p: Parameters) -> float:
    """Growth of the broker's resident set behind a first hundredth, which wakes up what there is."""
    first = max(1, p.members // 100)
    with Tracked(feed, p.poll_ms) as broker, Holder(broker.places, first, COMMAND_BYTES):
        broker.wait_until_counted(first)
        before = machine.rss_bytes(broker.pid)
        with Holder(broker.places, p.members, COMMAND_BYTES):
            broker.wait_until_counted(first + p.members)
            return (machine.rss_bytes(broker.pid) - before) / p.members


def bytes_a_block(feed: str, p: Parameters) -> float:
    with Tracked(feed, p.poll_ms, max(1, p.blocks // 100)) as broker:
        before = machine.rss_bytes(broker.pid)
        broker.make_blocks([f"more{number}" for number in range(p.blocks)])
        return (machine.rss_bytes(broker.pid) - before) / p.blocks


def memory(p: Parameters) -> list[Row]:
    rows = []
    for title, measure, most in (
            (f"memory a process with a command of {COMMAND_BYTES} bytes", bytes_a_process, 1024),
            ("memory an empty block", bytes_a_block, 4096)):
        for feed in p.feeds:
            results = in_rounds(min(p.rounds, 3), {feed: lambda: measure(feed, p)})
            rows.append(Row(title, feed, "bytes", results[feed],
                            at_most=most if feed != "poll" else None))
    return rows
