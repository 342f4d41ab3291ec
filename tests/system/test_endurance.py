# SPDX-License-Identifier: Apache-2.0
"""Rounds of create, run, kill, remove: nothing grows.

PROCTRACK_ROUNDS says how many (300; docs/limits.md has the figures of 20,000). What there is before the first
round is not counted: a hundred of them go before, for what is made once and kept.
"""

from __future__ import annotations

import os
import pathlib
import sys
from typing import NamedTuple

from blackbox import programs
from blackbox.case import SystemCase
from blackbox.programs import Odd

ROUNDS = int(os.environ.get("PROCTRACK_ROUNDS", "300"))
BEFORE = 100
#: A broker that kept a few dozen bytes of each round would grow by a page every hundred.
BYTES_A_ROUND = 64
#: What the heap may grow by without growing with the rounds: it is cut in pieces of this size.
SLACK_BYTES = 1 << 20


class Held(NamedTuple):
    """What a broker holds of the machine."""
    descriptors: int
    rss_bytes: int
    cgroups: int
    dying: int
    threads: int  #: without the workers, of whom a busy machine has more, up to a limit
    gauges: dict[str, int]


class Endurance(SystemCase):
    def held(self) -> Held:
        process = pathlib.Path(f"/proc/{self.broker.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        root = self.broker.cgroup_root
        gauges = self.control("stats")["gauges"]
        return Held(len(os.listdir(process / "fd")), int(status["VmRSS"].split()[0]) * 1024,
                    len([path for path in root.rglob("*") if path.is_dir()]) if root else 0,
                    self.dying(root), int(status["Threads"]) - gauges["workers"], gauges)

    @staticmethod
    def dying(root: pathlib.Path | None) -> int:
        """Cgroups that were removed and that the kernel still keeps, for what was in them."""
        if root is None:
            return 0
        stat = dict(line.split() for line in (root / "cgroup.stat").read_text().splitlines())
        return int(stat["nr_dying_descendants"])

    def one_round(self, number: int) -> None:
        """A block with a shell and its child, killed and removed; every eighth removed as it runs."""
        block_id = f"round-{number}"
        told = self.control("ensure_tracker", block_id=block_id)
        script = "sleep 1000 & echo '{\"what\":\"ready\"}'; wait"
        if "procs_path" in told:
            odd = Odd(argv=["/bin/sh", "-c", script], procs_path=told["procs_path"])
        else:
            odd = Odd(argv=["/bin/sh", "-c", script], joins=lambda pid: self.control(
                "assign_process", block_id=block_id, pid=pid, root=False))
        odd.until("ready")
        if number % 8:
            self.assertTrue(self.control("kill_tree", block_id=block_id)["ok"])
        reply = self.control("remove", block_id=block_id)
        self.assertEqual((reply["ok"], reply["survivors"]), (True, []))
        odd.close()
        odd.process.wait()
        programs.kill_children(spare={self.broker.pid})  # the orphan: it is ours to reap

    def test_nothing_grows_with_the_rounds(self) -> None:
        for number in range(BEFORE):
            self.one_round(number)
        before = self.held()
        sizes = []
        for number in range(BEFORE, BEFORE + ROUNDS):
            self.one_round(number)
            if (number - BEFORE + 1) % max(1, ROUNDS // 10) == 0:
                sizes.append((self.held().rss_bytes - before.rss_bytes) >> 10)
        try:
            programs.wait_for(lambda: self.settled(before), "what a round used is let go of")
        finally:
            after = self.held()
            print(f"        {ROUNDS} rounds: {before} -> {after}; RSS in KiB more than before, at each tenth: {sizes}",
                  file=sys.stderr, flush=True)
        if not os.environ.get("PROCTRACK_SANITIZE"):  # they keep what was freed for a while
            self.assertLess(after.rss_bytes - before.rss_bytes, SLACK_BYTES + ROUNDS * BYTES_A_ROUND)

    def settled(self, before: Held) -> Held | None:
        """The kernel and ZeroMQ let go of the last round a moment after it."""
        now = self.held()
        grown = [name for name in ("descriptors", "cgroups", "dying", "threads")
                 if getattr(now, name) > getattr(before, name)]
        busy = [name for name in ("blocks", "processes", "jobs_pending") if now.gauges[name]]
        return None if grown or busy else now
