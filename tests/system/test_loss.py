# SPDX-License-Identifier: Apache-2.0
"""Losses by force. A loss is told, a scan repairs it, and then events alone are enough again: the list
equals the kernel's account, and a mirror that never asked equals the list."""

from __future__ import annotations

from blackbox import intrude, programs
from blackbox.broker import Broker, NotStarted
from blackbox.case import Block, SystemCase, feed_wanted
from blackbox.mirror import Mirror
from blackbox.programs import Odd
from test_mirror import truth

N_BLOCKS, HELD = 3, 60
WIDTH = 12  # of storms that are more than one turn of the broker takes in


class LossCase(SystemCase):
    """A broker for each case, so that what it counts is the case's."""

    def setUp(self) -> None:
        if not self.tells_all:
            self.skipTest("this feed promises what it sees in a scan, and no more")
        super().setUp()
        self.blocks: list[Block] = []
        self.mirrors: list[Mirror] = []

    # ---- blocks with a mirror each, which lives by events alone

    def make_blocks(self, n: int = N_BLOCKS) -> None:
        self.blocks = [self.block() for _ in range(n)]
        self.mirrors = [Mirror(self.broker.subscriber(), self.control, block.id)
                        for block in self.blocks]

    def waiting(self, block: Block, *args: object) -> Odd:
        """A member that becomes that when a line comes, and until then does nothing."""
        odd = block.odd("exec-later", Odd.path, *args)
        odd.until("waiting")
        programs.wait_for(lambda: odd.pid in block.listed(), f"pid {odd.pid} is listed")
        return odd

    def spawners(self, width: int = 8) -> list[Odd]:
        """Four: two that leave many behind, two that storm; over all blocks."""
        lives: list[tuple[object, ...]] = [("spawn", HELD, Odd.path, "hold"), ("storm", width, 3)] * 2
        return [self.waiting(self.blocks[number % len(self.blocks)], *life)
                for number, life in enumerate(lives)]

    def storm(self, spawners: list[Odd]) -> None:
        """From their first to the last of those that do not stay."""
        for odd in spawners:
            odd.say()
        for odd in spawners:
            if "storm" in odd.command:
                self.assertEqual(odd.finish(), 0)
            else:
                odd.until("ready", times=HELD)

    # ---- what must hold

    def counters(self) -> dict[str, int]:
        return self.control("stats")["counters"]

    def resynced(self, block: Block, reason: str) -> None:
        block.watch.until_event("block-resync", reason=reason)

    def all_agree(self) -> None:
        """kernel == list == mirror == what the events were held against, for each block."""
        for block, mirror in zip(self.blocks, self.mirrors, strict=True):
            kernel = truth(block)
            mirror.until(lambda b=block, k=kernel: set(b.listed()) == k,
                         f"the list becomes {len(kernel)} processes: {sorted(kernel)}")
            here, there = mirror.compared()
            self.assertEqual(here, there)
            self.assertEqual({pid for pid, _ in here}, kernel)
            self.assertEqual(mirror.repairs, 0, "events alone were enough")
            block.watch.catch_up()
            self.assertEqual({pid for pid, _ in block.watch.law.living()}, kernel)

    def found_by_scan(self) -> int:
        return sum(event.data.get("source") == "scan"
                   for block in self.blocks for event in block.watch.events)

    def still_tells(self) -> None:
        """What happens now is told as if nothing had been."""
        for block in self.blocks:
            odd = block.odd("exec-later", Odd.path, "exit", 6)
            stay = block.watch.until_added(odd.pid)
            odd.say()
            self.assertEqual(odd.finish(), 6)
            block.check_end(odd.pid, ("exit_code", 6))
            self.assertNotIn("source", stay.end.data)
            if self.feed == "bpf":  # to others who joins is invisible until it execs, or a scan sees it
                self.assertNotIn("source", block.watch.named("process-added", odd.pid)[0].data)


class TinyBuffer(LossCase):
    """Room for a few events."""

    options = {"feed_buffer_kib": 4}

    @classmethod
    def setUpClass(cls) -> None:
        """What else happens on the machine may fill so small a buffer while it is tried."""
        for attempt in range(20):
            try:
                super().setUpClass()
                return
            except NotStarted:
                cls.doClassCleanups()
                if attempt == 19:
                    raise

    def test_what_a_buffer_cannot_hold_is_told_scanned_and_repaired(self) -> None:
        self.make_blocks()
        before = self.counters()
        spawners = self.spawners()
        self.storm(spawners)
        for block in self.blocks:
            self.resynced(block, "overflow")
        self.all_agree()
        self.assertGreater(self.found_by_scan(), 0)
        self.check_counters(before)
        self.let_go(spawners)
        self.all_agree()

    def check_counters(self, before: dict[str, int]) -> None:
        after = self.counters()
        for name in ("feed_lost", "resyncs", "scans", "scan_repairs"):
            self.assertGreater(after[name], before[name], name)
        self.assertEqual(after["feed_restarts"], 0)
        told = [event for block in self.blocks for event in block.watch.named("block-resync")]
        self.assertLessEqual(len(told), after["resyncs"])
        self.assertTrue(all(event.data.get("lost", 0) > 0 for event in told), told)

    def let_go(self, spawners: list[Odd]) -> None:
        """All that were held end at once, and each end is told, by the feed or by a scan."""
        for odd in spawners:
            if not odd.process.stdin.closed:
                odd.finish()
        for block in self.blocks:
            block.watch.until_empty()


class HeldStill(LossCase):
    """The broker stands still for seconds while it storms."""

    options = {"feed_buffer_kib": 64}

    def test_a_broker_that_stood_still_during_a_storm_repairs_what_it_lost(self) -> None:
        self.make_blocks()
        spawners = self.spawners()
        with intrude.stopped(self.broker.pid):
            self.storm(spawners)
        for block in self.blocks:
            self.resynced(block, "overflow")
        self.all_agree()
        self.assertGreater(self.found_by_scan(), 0)
        self.assertGreater(self.counters()["feed_lost"], 0)
        self.still_tells_when_quiet()

    def still_tells_when_quiet(self) -> None:
        """A gap that shows only now is one more loss: until none is open."""
        for attempt in range(10):
            try:
                self.still_tells()
                return
            except AssertionError:
                if attempt == 9:
                    raise


class HeldStillWithRoom(LossCase):
    """The same with the room that there commonly is."""

    def test_what_the_buffer_holds_is_told_to_the_last_life(self) -> None:
        self.make_blocks()
        spawners = self.spawners(WIDTH)
        with intrude.stopped(self.broker.pid):
            self.storm(spawners)
        self.all_agree()
        if self.counters()["feed_lost"]:
            self.skipTest("others on this machine did more than the buffer holds")
        for odd in spawners:
            block = self.blocks[spawners.index(odd) % N_BLOCKS]
            if "storm" in odd.command:
                self.assertEqual(len(odd.births()), WIDTH + WIDTH ** 2 + WIDTH ** 3)
                block.check_ends(odd)
        self.assertEqual(self.found_by_scan(), 0)
        self.assertEqual([event for block in self.blocks
                          for event in block.watch.named("block-resync")], [])


class Cut(LossCase):
    """The subscription is taken away under the feed: nothing would be told any more."""

    def setUp(self) -> None:
        """What it restarts is counted: each case has a broker of its own."""
        super().setUp()
        self._end_broker()
        type(self).broker = Broker(feed=feed_wanted(), **self.options)
        self.broker.start()

    def unseen(self) -> list[Odd]:
        """Lives that no feed tells of: one that stays and one that does not, in each block."""
        odds = []
        for block in self.blocks:
            if self.tracker == "cgroup":
                block.odd("exit", 0).finish()
            odds.append(block.odd("setsid-child"))
            odds[-1].until("ready")
        return odds

    def check_replaced(self, feed: str, restarts: int = 1) -> None:
        """Every block was told, and everybody who asks is."""
        described = self.control("describe")
        self.assertEqual(described["feed"], feed)
        for block in self.blocks:
            self.resynced(block, "feed_restarted")
            changed = block.watch.until_event("block-changed")
            for key in ("feed", "tracker", "confidence", "confidence_reason"):
                self.assertEqual(changed.data[key], described[key], key)
            confidence = self.control("confidence_of", block_id=block.id)
            self.assertEqual(confidence["confidence_reason"], described["confidence_reason"])
        self.assertIn(f"feed {feed}", described["confidence_reason"])
        self.assertEqual(self.counters()["feed_restarts"], restarts)

    def test_a_cut_feed_is_noticed_by_the_next_request_and_started_again(self) -> None:
        self.make_blocks()
        held = [self.waiting(block, "hold") for block in self.blocks]
        intrude.cut_feed(self.broker.pid, self.feed)
        held[0].finish()  # an end that nobody tells of
        self.unseen()
        programs.wait_for(lambda: self.counters()["feed_restarts"], "the feed is started again")
        self.check_replaced(self.feed)
        self.all_agree()
        self.assertGreater(self.found_by_scan(), 0)
        self.assertGreater(self.counters()["scan_repairs"], 0)
        self.still_tells()

    def test_a_cut_feed_is_noticed_without_a_request_by_the_mark(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("nobody comes into a block here but by a request")
        self.make_blocks(1)
        (block,) = self.blocks
        self.waiting(block, "hold")
        block.watch.catch_up()
        programs.wait_for(lambda: block.watch.pump(0.01) is None, "nothing more comes")
        intrude.cut_feed(self.broker.pid, self.feed)
        odd = block.odd("setsid-child")
        odd.until("ready")
        self.resynced(block, "feed_restarted")
        for pid in (odd.pid, *odd.births()):
            block.watch.until_added(pid)
        self.all_agree()
        self.still_tells()

    def test_cut_again_and_again_it_is_started_each_time(self) -> None:
        self.make_blocks(1)
        for number in range(1, 4):
            intrude.cut_feed(self.broker.pid, self.feed)
            self.unseen()
            programs.wait_for(lambda n=number: self.counters()["feed_restarts"] >= n, "noticed")
            self.assertEqual(self.counters()["feed_restarts"], number)
            self.all_agree()
            self.still_tells()

    def test_one_that_cannot_be_started_again_is_replaced_by_the_next_best(self) -> None:
        if self.feed != "bpf":
            self.skipTest("what keeps this feed from starting keeps the others, too")
        if self.tracker != "cgroup":
            self.skipTest("nothing can be assigned without descriptors either")
        self.make_blocks()
        limit = intrude.limit_for(self.broker.pid, room=7, apart_from="bpf")
        intrude.cut_feed(self.broker.pid, "bpf")
        with intrude.few_descriptors(self.broker.pid, limit):
            self.unseen()
            programs.wait_for(lambda: self.counters()["feed_restarts"], "the feed is replaced")
        described = self.control("describe")
        self.assertIn(described["feed"], ("netlink", "poll"))
        tried = {attempt["what"]: attempt for attempt in described["tried"]}
        self.assertFalse(tried["feed bpf"]["ok"])
        self.assertGreater(len(tried["feed bpf"]["why"]), 8)
        self.check_replaced(described["feed"])
        self.all_agree()
        if described["feed"] == "netlink":
            self.still_tells()
