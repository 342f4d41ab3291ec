# SPDX-License-Identifier: Apache-2.0
"""Behind its fence the broker tells and ends all that it did before, and has nothing in there that it could do without."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest
from typing import Any

from blackbox import programs
from blackbox.broker import Broker
from blackbox.case import Block, SystemCase, feed_wanted
from blackbox.starve import Starved

OTHER = 64322
AS_OTHER = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "--inh-caps=-all"]


def status(pid: int) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):\t(.*)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M))


class FenceCase(SystemCase):
    """A process of another user in a block."""

    def setUp(self) -> None:
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("needs root, to be another user")
        super().setUp()

    def other(self, block: Block) -> int:
        process = subprocess.Popen([*AS_OTHER, "sleep", "1000"], cwd="/")
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        programs.wait_for(lambda: programs.command_of(process.pid) == "sleep 1000", "it is another user's")
        block.assign(process.pid)
        block.watch.until_added(process.pid)
        return process.pid

    def detail(self, block: Block, pid: int) -> dict[str, Any]:
        listed = self.control("list_block", block_id=block.id, detail=True)["processes"]
        return {record["pid"]: record for record in listed}[pid]

    def given_away(self, block: Block) -> pathlib.Path:
        """A cgroup in the block's, as a container with a user of its own leaves it."""
        made = pathlib.Path(block.procs_path).parent / "given-away"
        (made / "inner").mkdir(parents=True)
        os.chown(made, OTHER, OTHER)
        return made


class Fenced(FenceCase):
    """Whatever the feed and the tracker."""

    def test_the_keeper_is_behind_it_too(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("there is no keeper")
        self.control("ensure_tracker", block_id=self.new_id(), on_crash="kill")
        bounds = int(status(self.broker.pid)["CapBnd"], 16)
        for pid in programs.wait_for(self.broker.helpers, "there is a keeper"):
            keeper = status(pid)
            self.assertEqual((keeper["Seccomp"], keeper["NoNewPrivs"]), ("2", "1"))
            self.assertEqual((int(keeper["CapEff"], 16) & ~bounds, int(keeper["CapBnd"], 16)), (0, bounds))

    def test_a_process_of_another_user_is_looked_into_and_signalled(self) -> None:
        block = self.block()
        pid = self.other(block)
        record = self.detail(block, pid)
        self.assertEqual((record["uid"], record["cwd"], record["ports"]), (OTHER, "/", []))
        self.assertEqual(record["exe"], os.path.realpath(shutil.which("sleep") or ""))
        told = self.control("signal_tree", block_id=block.id, signal=signal.SIGTERM)
        self.assertEqual(told["signalled"], [pid])
        block.watch.until_ended(pid)

    def test_a_block_is_removed_with_a_cgroup_in_it_that_is_another_users(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("there are no cgroups")
        block = self.block()
        made = self.given_away(block)
        pid = self.other(block)
        self.assertEqual(block.remove()["survivors"], [])
        block.watch.until_event("block-removed")
        self.assertFalse(programs.is_running(pid))
        self.assertFalse(made.exists())


@unittest.skipIf(os.environ.get("PROCTRACK_FEED", "bpf") != "bpf" or os.environ.get("PROCTRACK_TRACKER"),
                 "once is enough")
class Needed(FenceCase):
    """Each capability that is kept: what is missing without it."""

    def without(self, capability: str, feed: str | None = None) -> None:
        """Another broker in place of ours."""
        own = type(self).broker
        without = Broker(feed=feed or feed_wanted(), before=["setpriv", f"--bounding-set=-{capability}"])
        self.addCleanup(setattr, type(self), "broker", own)
        self.addCleanup(without.destroy)
        type(self).broker = without
        without.start()

    def test_bpf_and_perfmon_for_the_feed_bpf(self) -> None:
        for capability in ("bpf", "perfmon"):
            self.without(capability, feed="netlink")
            tried = {each["what"]: each for each in self.control("describe")["tried"]}
            self.assertNotIn("feed bpf", [what for what, each in tried.items() if each["ok"]])
            with self.subTest(capability=capability), self.assertRaisesRegex(AssertionError, "CAP_BPF and CAP_PERFMON"):
                self.without(capability, feed="bpf")

    def test_sys_ptrace_to_look_into_others(self) -> None:
        self.without("sys_ptrace")
        block = self.block()
        self.assertEqual(set(self.detail(block, self.other(block))) & {"cwd", "exe", "ports"}, set())

    def test_kill_to_signal_others(self) -> None:
        self.without("kill")
        block = self.block()
        pid = self.other(block)
        self.assertEqual(self.control("signal_tree", block_id=block.id, signal=signal.SIGTERM)["signalled"], [])
        self.assertTrue(programs.is_running(pid))

    def test_sys_nice_to_keep_up(self) -> None:
        self.without("sys_nice")
        with Starved(self.broker, self.block()) as starved:
            starved.until_late()
            self.assertEqual(starved.nice(), 0)

    def test_dac_override_to_remove_what_is_given_away(self) -> None:
        self.without("dac_override")
        block = self.block()
        made = self.given_away(block)
        self.control("remove", block_id=block.id, timeout_ms=200)
        self.assertTrue((made / "inner").exists())


if __name__ == "__main__":
    unittest.main()
