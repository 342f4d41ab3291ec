# SPDX-License-Identifier: Apache-2.0
"""Idle costs nothing: blocks full of sleeping processes wake no thread of the broker."""

from __future__ import annotations

import collections
import os
import pathlib
import select

from blackbox import programs
from blackbox.case import SystemCase
from blackbox.connector import Connector
from blackbox.programs import Odd

N_BLOCKS, MEMBERS = 100, 10
WINDOW, WINDOWS = 5.0, 5


def switches(pid: int) -> dict[tuple[int, str], int]:
    """How often each thread of a process gave up a processor, or was taken off it."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines()
                      if ":" in line)
        found[int(task.name), status["Name"].strip()] = \
            int(status["voluntary_ctxt_switches"]) + int(status["nonvoluntary_ctxt_switches"])
    return found


class Idle(SystemCase):
    """Nothing happens in any block, nobody asks."""

    options = {"poll_ms": 3600000}

    def setUp(self) -> None:
        if not self.tells_all:
            self.skipTest("this feed looks at an interval, and says so")
        super().setUp()

    def fill(self) -> None:
        """One program a block that holds nine others, and the last mark of each block is over."""
        events = self.broker.subscriber()
        events.subscribe("block:")
        marks: collections.Counter[str] = collections.Counter()
        ids = [self.new_id("idle") for _ in range(N_BLOCKS)]
        for block_id in ids:
            ensured = self.control("ensure_tracker", block_id=block_id)
            odd = Odd("spawn", MEMBERS - 1, Odd.path, "hold", procs_path=ensured["procs_path"])
            self.addCleanup(odd.close)
            odd.until("ready", times=MEMBERS - 1)
        for block_id in ids:
            programs.wait_for(lambda b=block_id: len(self.listed(b)) == MEMBERS, "all are listed")

        def over() -> bool:
            while (event := events.next(0.0)) is not None:
                if event.name == "agent:block-mark":
                    marks[event.topic] += 1
                else:
                    marks[event.topic] = 0
            return len(marks) == N_BLOCKS and min(marks.values()) >= 2
        programs.wait_for(over, "each block was marked for the last time",
                          12 + programs.DEADLINE)
        events.close()

    def one_window(self, machine: Connector | None) -> tuple[dict[tuple[int, str], int], int]:
        """The switches of each thread in it, and how much else the machine told of meanwhile."""
        if machine is not None:
            machine.take()
        before = switches(self.broker.pid)
        select.select([], [], [], WINDOW)  # the measure itself: so long
        after = switches(self.broker.pid)
        return {thread: after.get(thread, 0) - before.get(thread, 0)
                for thread in before.keys() | after.keys()
                if after.get(thread) != before.get(thread)}, len(machine.take()) if machine else 0

    def test_a_thousand_sleeping_members_cost_no_context_switch(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("filled by procs_path")
        if os.environ.get("PROCTRACK_SANITIZE") == "thread":
            self.skipTest("the thread sanitizer has a thread of its own, which wakes ten times a second")
        self.fill()
        machine = Connector() if self.feed == "netlink" else None
        if machine is not None:
            self.addCleanup(machine.close)
        seen = []
        for _ in range(WINDOWS):
            woken, others = self.one_window(machine)
            if not woken:
                return
            seen.append((woken, others))
        if machine is not None and all(others for _, others in seen):
            self.skipTest("this feed hears of every process of the machine, and the machine was never "
                          f"silent: {[others for _, others in seen]} events in the windows")
        self.fail(f"threads of an idle broker woke up in each of {WINDOWS} windows of {WINDOW} s: "
                  f"{seen}")
