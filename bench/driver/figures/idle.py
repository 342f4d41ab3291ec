# SPDX-License-Identifier: Apache-2.0
"""What it costs that nothing happens."""

from __future__ import annotations

import time

from .. import machine
from ..parameters import Parameters
from ..peers import Tracked
from ..programs import Holder
from ..table import Row


def once(feed: str, p: Parameters) -> tuple[int, float, str]:
    """Context switches of all threads, processor time (ms), and which threads these were."""
    count = p.idle_blocks * p.idle_members
    with Tracked(feed, p.poll_ms, p.idle_blocks) as broker, Holder(broker.places, p.idle_members):
        broker.wait_until_counted(count)
        time.sleep(p.idle_before_s)  # nothing tells that the last mark was sent
        before, cpu, forks = (machine.context_switches(broker.pid), machine.cpu_ns(broker.pid),
                              machine.forks())
        time.sleep(p.idle_s)
        after = machine.context_switches(broker.pid)
        used = (machine.cpu_ns(broker.pid) - cpu) / 1e6
        strangers = machine.forks() - forks
    moved = {name: after[name] - before.get(name, 0) for name in after
             if after[name] != before.get(name, 0)}
    note = ", ".join(f"{name.split(maxsplit=1)[1]}: {n}" for name, n in moved.items())
    return sum(moved.values()), used, \
        f"{note or 'no thread woke'}; besides, the machine made {strangers} processes and threads"


def idle(p: Parameters) -> list[Row]:
    rows = []
    title = f"in {p.idle_s:g} s idle with {p.idle_blocks} blocks of {p.idle_members}"
    for feed in p.feeds:
        switches, used, note = once(feed, p)
        rows.append(Row(f"context switches {title}", feed, "", [switches],
                        at_most=0 if feed == "bpf" else None, note=note))
        rows.append(Row(f"processor time {title}", feed, "ms", [used]))
    return rows
