# SPDX-License-Identifier: Apache-2.0
"""What a broker says of itself holds, whatever its rights are: test_rights.py runs this with many.

PROCTRACK_EXPECT has tracker, feed and confidence as they are to be, or the word `refused` and a word of the reason
why the feed in PROCTRACK_FEED does not work.
"""

from __future__ import annotations

import os
import pathlib
import unittest

from blackbox import programs
from blackbox.broker import describe_feed, make_cgroup_root, remove_cgroup
from blackbox.case import Block, SystemCase
from blackbox.programs import Odd

EXPECT = os.environ.get("PROCTRACK_EXPECT", "").split()
BEST = {"tracker": ["cgroup", "lineage", "none"], "feed": ["bpf", "netlink", "poll"]}


@unittest.skipUnless(EXPECT[:1] == ["refused"], "this feed is to work")
class Refusal(unittest.TestCase):
    def test_a_feed_that_does_not_work_says_why(self) -> None:
        why = describe_feed(os.environ["PROCTRACK_FEED"])
        self.assertIsNotNone(why, "it works")
        self.assertIn(EXPECT[1], why)


@unittest.skipIf(EXPECT[:1] == ["refused"], "this feed is not to work")
class Promises(SystemCase):
    def assigned(self, block: Block, *args: object) -> Odd:
        """A member that was assigned: that needs no right of ours to any cgroup."""
        odd = Odd(*args, joins=lambda pid: block.assign(pid))
        self.addCleanup(odd.close)
        return odd

    @property
    def is_certain(self) -> bool:
        return self.control("describe")["confidence"] == "high"

    def test_it_is_as_it_is_to_be_and_says_why_it_is_no_better(self) -> None:
        told = self.control("describe")
        if EXPECT:
            self.assertEqual([told["tracker"], told["feed"], told["confidence"]], EXPECT, told["tried"])
        self.assertIn(told["feed"], told["confidence_reason"])
        tried = {attempt["what"]: attempt for attempt in told["tried"]}
        forced = {"feed": os.environ.get("PROCTRACK_FEED"), "tracker": os.environ.get("PROCTRACK_TRACKER")}
        for kind, names in BEST.items():
            self.assertTrue(tried[f"{kind} {told[kind]}"]["ok"])
            for better in [] if forced[kind] else names[:names.index(told[kind])]:
                self.assertFalse(tried[f"{kind} {better}"]["ok"])
                self.assertGreater(len(tried[f"{kind} {better}"]["why"]), 20)

    def test_a_daemon_stays_in_its_block(self) -> None:
        block = self.block()
        odd = self.assigned(block, "double-fork")
        daemon = odd.until("born", 2)[1]["pid"]
        if not self.is_certain and not self.tells_all:
            self.assertIn("can leave unseen", self.control("describe")["confidence_reason"])
            return  # it may have; as our orphan it is ended with us
        block.watch.until_added(daemon)
        self.assertIn(daemon, block.listed())
        self.assertTrue(self.control("kill_tree", block_id=block.id)["ok"])
        block.watch.until_ended(daemon)
        programs.wait_for(lambda: not programs.is_running(daemon), "the daemon is ended")

    def test_who_leaves_is_told_of_or_the_confidence_is_no_more_than_best_effort(self) -> None:
        block = self.block()
        if not self.is_certain:
            self.assertEqual(block.ensured["confidence"], "best_effort")
            self.assertIn("can leave unseen", block.ensured["confidence_reason"])
            return
        away = make_cgroup_root()
        if away is None:
            self.skipTest("nobody here may move anybody out of a block")
        self.addCleanup(remove_cgroup, away)
        odd = self.assigned(block, "hold")
        odd.until("ready")
        block.watch.until_added(odd.pid)
        (pathlib.Path(away) / "cgroup.procs").write_text(str(odd.pid))
        block.watch.until_event("process-escaped", pid=odd.pid, reason="moved")
        self.assertEqual(self.control("confidence_of", block_id=block.id)["confidence"], "best_effort")

    def test_a_removed_block_leaves_nobody(self) -> None:
        block = self.block()
        odd = self.assigned(block, "spawn", 3, Odd.path, "hold")
        pids = set(programs.wait_for(lambda: len(block.listed()) == 4 and block.listed(), "all are listed"))
        reply = block.remove()
        self.assertEqual((reply["ok"], reply["survivors"]), (True, []))
        self.assertIn(odd.pid, pids)
        for pid in pids:
            self.assertFalse(programs.is_running(pid))


if __name__ == "__main__":
    unittest.main()
