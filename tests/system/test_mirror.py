# SPDX-License-Identifier: Apache-2.0
"""A mirror kept by events agrees with the registry, and the registry with the kernel; also where
events are lost on the way."""

from __future__ import annotations

import os
import pathlib
import random
import time

from blackbox import programs
from blackbox.case import Block, SystemCase
from blackbox.mirror import Mirror
from blackbox.programs import Odd
from blackbox.proxy import LossyProxy


class Mirrors(SystemCase):
    """One block, a workload, and a mirror of it."""

    options = {"poll_ms": 20}

    def mirror(self, block: Block, endpoint: str | None = None) -> Mirror:
        return Mirror(self.broker.subscriber(endpoint), self.control, block.id)

    def assert_all_agree(self, block: Block, mirror: Mirror) -> None:
        """mirror == list == kernel, when nothing moves."""
        kernel = truth(block)

        def listed() -> bool:
            return set(block.listed()) == kernel
        mirror.until(listed, f"the list becomes {sorted(kernel)}")
        here, there = mirror.compared()
        self.assertEqual(here, there)
        self.assertEqual({pid for pid, _ in here}, kernel)

    def workload(self, block: Block, seed: random.Random, held: list[Odd]) -> None:
        """Some lives that end at once, some that hold; some that held are let go."""
        for _ in range(3):
            block.run(*seed.choice([("spawn", 20), ("vfork-exec",), ("storm", 3, 2), ("exit", 1),
                                    ("thread-exec",), ("posix-spawn",), ("fork-chain", 5)]))
        held.append(block.odd(*seed.choice([("hold",), ("setsid-child",), ("orphan",),
                                            ("exec-chain", 3), ("threads", 3)])))
        held[-1].until("ready")
        if len(held) > 3:
            held.pop(seed.randrange(len(held))).finish()

    def test_the_mirror_agrees_without_any_repair_where_nothing_is_lost(self) -> None:
        block, seed, held = self.block(), random.Random(1), []
        mirror = self.mirror(block)
        for _ in range(8):
            self.workload(block, seed, held)
            self.assert_all_agree(block, mirror)
        self.assertEqual(mirror.repairs, 0)

    def test_through_a_line_that_drops_events_the_mirror_agrees_after_each_repair(self) -> None:
        for number in range(3):
            with self.subTest(seed=number):
                self.lossy(number)

    def proxy(self, block: Block, seed: int) -> LossyProxy:
        proxy = LossyProxy(self.broker.endpoint("events"), f"inproc://lossy-{block.id}", seed)
        self.addCleanup(proxy.close)
        return proxy

    def lossy(self, number: int) -> None:
        block, seed, held = self.block(), random.Random(number), []
        proxy = self.proxy(block, number)
        mirror = self.mirror(block, proxy.endpoint)
        for _ in range(6):
            proxy.loss = seed.choice([0.1, 0.5, 1.0])
            self.workload(block, seed, held)
            while mirror.pump(0.01):
                pass
            proxy.loss = 0.0
            # What was lost at the very end shows with the mark, at the latest.
            self.assert_all_agree(block, mirror)
        self.assertGreater(proxy.dropped, 0)
        self.assertGreater(mirror.repairs, 0)
        for odd in held:
            odd.finish()
        mirror.until(lambda: not mirror.picture.processes, "empty")
        self.assert_all_agree(block, mirror)

    def test_a_mirror_that_comes_late_agrees(self) -> None:
        block, seed, held = self.block(), random.Random(2), []
        for _ in range(3):
            self.workload(block, seed, held)
            self.assert_all_agree(block, self.mirror(block))

    def test_a_removal_whose_event_was_lost_is_noticed_by_the_mark(self) -> None:
        block = self.block()
        proxy = self.proxy(block, 1)
        mirror = self.mirror(block, proxy.endpoint)
        proxy.loss = 1.0
        block.remove()
        removed = block.watch.until_event("block-removed")
        block.watch.until_event("block-mark", seq=removed.data["seq"])  # the first; both are lost
        proxy.loss = 0.0
        mirror.until(lambda: mirror.picture.epoch is None, "no block")
        self.assertEqual(mirror.repairs, 1)

    def test_a_removal_whose_event_was_lost_is_noticed_by_the_next_epoch(self) -> None:
        block = self.block()
        proxy = self.proxy(block, 1)
        mirror = self.mirror(block, proxy.endpoint)
        odd = block.odd("hold")
        mirror.until(lambda: mirror.picture.processes, "one process")
        proxy.loss = 1.0
        block.remove()
        block.watch.until_event("block-removed")
        odd.process.wait()
        proxy.loss = 0.0
        again = self.control("ensure_tracker", block_id=block.id)
        mirror.until(lambda: mirror.picture.epoch == again["epoch"], "the new epoch")
        self.assertEqual(mirror.picture.processes, {})


class Marks(SystemCase):
    """block-mark, 1 s and 10 s after a block's last event."""

    def test_marks_come_1_and_10_seconds_after_the_last_event_and_not_again(self) -> None:
        block = self.block()
        odd, _ = block.run("exit", 0)
        block.check_end(odd.pid, ("exit_code", 0))
        block.watch.catch_up()
        self.check_marks(block)

    def test_a_block_that_was_removed_is_marked_as_any(self) -> None:
        block = self.block()
        block.remove()
        block.watch.until_event("block-removed")
        self.check_marks(block)

    def check_marks(self, block: Block) -> None:
        last = time.monotonic()
        newest = block.watch.events[-1].data
        marks = []
        while time.monotonic() < last + 12.5:
            event = block.watch.pump(0.1)
            if event is not None:
                self.assertEqual(event.name, "agent:block-mark")
                self.assertEqual((event.data["epoch"], event.data["seq"]), (newest["epoch"], newest["seq"]))
                marks.append(time.monotonic() - last)
        self.assertEqual(len(marks), 2, f"at {marks}")
        self.assertAlmostEqual(marks[0], 1.0, delta=0.6)
        self.assertAlmostEqual(marks[1], 10.0, delta=1.0)

    def test_no_mark_comes_while_events_do(self) -> None:
        if not self.tells_all:
            self.skipTest("a scan may see nothing of lives so short")
        block = self.block()
        first = last = time.monotonic()
        pauses = 0  # that a busy machine made, in which a mark may come
        while time.monotonic() < first + 2.0:
            before, last = last, time.monotonic()
            odd, _ = block.run("vfork-exec")
            block.watch.until_added(odd.pid)
            pauses += time.monotonic() - before >= 1.0
        block.watch.catch_up()
        marks = block.watch.named("block-mark")
        self.assertLessEqual(len(marks), pauses, marks)


def truth(block: Block) -> set[int]:
    """Who is in the block, by the kernel's account: in its cgroup, or with its tag where there is none."""
    if block.case.tracker == "cgroup":
        return programs.pids_below(block_directory(block))
    return {pid for pid in programs.tagged(block.tag) if programs.is_running(pid)}


def block_directory(block: Block) -> pathlib.Path:
    """The cgroup directory of a block: what the paths of two of its sub-scopes have in common."""
    other = block.case.control("ensure_tracker", block_id=block.id, scope="another")
    return pathlib.Path(os.path.commonpath([block.procs_path, other["procs_path"]]))
