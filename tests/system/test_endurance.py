# SPDX-License-Identifier: Apache-2.0
"""Rounds of create, run, kill, remove: nothing grows.

PROCTRACK_ROUNDS says how many (300; docs/limits.md has the figures of 20,000). What there is before the first
round is not counted: a hundred of them go before, for what is made once and kept.

The heap is counted block by block, in front of the allocator: there a broker that kept one block every ten
rounds would be seen at once. The resident set says less: the allocator keeps pages of what was freed, in each
thread, and how many depends on which thread did what when.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
from typing import NamedTuple

from blackbox import programs
from blackbox.case import SystemCase
from blackbox.memory import CountedHeap
from blackbox.programs import Odd

ROUNDS = int(os.environ.get("PROCTRACK_ROUNDS", "300"))
BEFORE = 100
#: However many rounds: a thread more, a table one size up.
MORE_BLOCKS = 30
MORE_HEAP_BYTES = 32 << 10
#: However many rounds: what thirteen workers more keep of their arenas.
MORE_RSS_BYTES = 8 << 20




class Heap(NamedTuple):
    """What a broker holds of its heap (tests/programs/count_heap.c)."""
    blocks: int
    bytes: int


class Held(NamedTuple):
    """What a broker holds of the machine."""
    descriptors: int
    heap: Heap | None  #: None: its allocator is a sanitizer's
    rss_bytes: int
    cgroups: int
    dying: int
    threads: int  #: without the workers, of whom a busy machine has more, up to a limit
    gauges: dict[str, int]


class Endurance(SystemCase):
    counted: CountedHeap | None = None  # the broker's

    @classmethod
    def setUpClass(cls) -> None:
        if not os.environ.get("PROCTRACK_SANITIZE"):
            cls.count_heap()
        super().setUpClass()

    @classmethod
    def count_heap(cls) -> None:
        directory = tempfile.TemporaryDirectory(prefix="proctrack-test-")
        cls.addClassCleanup(directory.cleanup)
        cls.counted = CountedHeap(pathlib.Path(directory.name) / "heap")
        cls.broker_environment = cls.counted.environment

    def heap(self) -> Heap | None:
        if self.counted is None:
            return None
        return Heap(*self.counted.read(self.broker.pid))

    def held(self) -> Held:
        process = pathlib.Path(f"/proc/{self.broker.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        root = self.broker.cgroup_root
        gauges = self.control("stats")["gauges"]
        return Held(len(os.listdir(process / "fd")), self.heap(), int(status["VmRSS"].split()[0]) * 1024,
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
        before = self.at_rest()
        print(f"        before: {before}\n        since then, at each tenth:", file=sys.stderr)
        for number in range(BEFORE, BEFORE + ROUNDS):
            self.one_round(number)
            if (number - BEFORE + 1) % max(1, ROUNDS // 10) == 0:
                self.tell(before)
        try:
            programs.wait_for(lambda: self.settled(before), "what a round used is let go of")
        finally:
            print(f"        after: {self.held()}", file=sys.stderr, flush=True)
        if self.counted is not None:  # else what was freed is kept for a while
            self.assertLess(self.held().rss_bytes - before.rss_bytes, MORE_RSS_BYTES)

    def at_rest(self) -> Held:
        """When the last round is over: nothing is being done, and what is held stays the same."""
        seen = [self.held()]

        def is_at_rest() -> bool:
            seen.append(self.held())
            return not self.busy(seen[-1]) and seen[-1].heap == seen[-2].heap
        programs.wait_for(is_at_rest, "the last round is over")
        return seen[-1]

    @staticmethod
    def busy(now: Held) -> list[str]:
        return [name for name in ("blocks", "processes", "jobs_pending") if now.gauges[name]]

    def tell(self, before: Held) -> None:
        """In the middle of things: what the last round used may be there yet."""
        now = self.held()
        heap = f"{now.heap.blocks - before.heap.blocks:+} blocks, {now.heap.bytes - before.heap.bytes:+} bytes, " \
            if now.heap and before.heap else ""
        print(f"        {heap}RSS {(now.rss_bytes - before.rss_bytes) >> 10:+} KiB", file=sys.stderr, flush=True)

    def settled(self, before: Held) -> bool:
        """The kernel and ZeroMQ let go of the last round a moment after it."""
        now = self.held()
        grown = [name for name in ("descriptors", "cgroups", "dying", "threads")
                 if getattr(now, name) > getattr(before, name)]
        return not (grown or self.busy(now)) and self.is_flat(before.heap, now.heap)

    @staticmethod
    def is_flat(before: Heap | None, now: Heap | None) -> bool:
        return before is None or now is None or (now.blocks <= before.blocks + MORE_BLOCKS
                                                 and now.bytes <= before.bytes + MORE_HEAP_BYTES)
