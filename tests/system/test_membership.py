# SPDX-License-Identifier: Apache-2.0
"""Who belongs to which block, and who cannot be assigned."""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Any

from blackbox import programs
from blackbox.case import SystemCase
from blackbox.programs import Odd


class Membership(SystemCase):
    """A process is a member of one block at most."""

    def outside(self, *args: object, **options: Any) -> Odd:
        odd = Odd(*args, **options)
        self.addCleanup(odd.close)
        odd.until("waiting" if args[0] == "exec-later" else "ready")
        return odd

    def test_a_member_of_another_block_leaves_that_one(self) -> None:
        old, new = self.block(), self.block()
        odd = self.outside("hold")
        old.assign(odd.pid)
        self.assertEqual(new.assign(odd.pid), 1)
        escaped = old.watch.until_event("process-escaped", pid=odd.pid)
        self.assertEqual(escaped.data["reason"], "reassigned")
        new.watch.until_added(odd.pid)
        self.assertEqual((set(old.listed()), set(new.listed())), (set(), {odd.pid}))
        odd.finish()
        new.check_end(odd.pid, ("exit_code", 0))
        old.watch.catch_up()
        self.assertEqual(old.watch.named("process-exited"), [])

    def test_whoever_is_assigned_right_behind_its_exec_is_told_once(self) -> None:
        block = self.block()
        sleeps = [subprocess.Popen(["sleep", str(1000 + i)]) for i in range(20)]
        for sleep in sleeps:
            block.assign(sleep.pid)
        for i, sleep in enumerate(sleeps):
            stay = block.watch.until_added(sleep.pid)
            self.assertEqual(stay.added["command"], f"sleep {1000 + i}")
            sleep.kill()
            sleep.wait()
            block.check_end(sleep.pid, ("signal", 9))
        self.assertEqual(block.watch.named("process-exec"), [])

    def test_of_many_who_assign_it_at_once_one_is_told_to_have_done_so(self) -> None:
        block = self.block()
        for _ in range(6):
            sleep = subprocess.Popen(["sleep", "1000"])
            request = {"command": "assign_process", "data": {"block_id": block.id, "pid": sleep.pid}}
            told = [reply["data"]["assigned"] for reply in self.ask_all([request] * 5)]
            self.assertEqual(sorted(told), [0] * 4 + [1])

    def test_a_member_that_is_assigned_becomes_a_root_and_is_not_started(self) -> None:
        block = self.block()
        shell = block.sh("echo '{\"what\":\"ready\"}'; sh -c 'read x; true'; true")
        shell.until("ready")
        child = programs.wait_for(lambda: [pid for pid, record in block.listed().items()
                                           if record["parent_pid"] == shell.pid], "its child")[0]
        self.assertEqual((block.listed()[child]["root"], block.listed()[child]["started"]), (False, True))
        self.assertEqual(block.assign(child), 0)
        changed = block.watch.until_event("process-changed")
        self.assertEqual((changed.data["process"]["pid"], changed.data["process"]["root"],
                          changed.data["process"]["started"]), (child, True, False))
        self.assertEqual(block.listed()[child]["started"], False)
        shell.finish()

    def test_one_that_comes_back_has_two_stays(self) -> None:
        home, away = self.block(), self.block()
        odd = self.outside("hold")
        for block in (home, away, home):
            block.assign(odd.pid)
        home.watch.until(lambda: len(home.watch.stays(odd.pid)) == 2, "two stays")
        self.assertEqual([stay.alive for stay in home.watch.stays(odd.pid)], [False, True])
        odd.finish()
        home.watch.until_ended(odd.pid)

    def test_reassigning_takes_the_descendants_along(self) -> None:
        old, new = self.block(), self.block()
        odd = old.odd("setsid-child")
        odd.until("ready")
        pids = {odd.pid, *odd.births()}
        for pid in pids:
            old.watch.until_added(pid)
        self.assertEqual(new.assign(odd.pid), 2)
        self.assertEqual(set(new.listed()), pids)
        for pid in pids:
            old.watch.until_event("process-escaped", pid=pid)
        self.assertEqual(old.listed(), {})

    def test_children_born_after_assigning_are_members(self) -> None:
        block = self.block()
        odd = self.outside("exec-later", Odd.path, "setsid-child")
        block.assign(odd.pid)
        odd.say()
        odd.until("ready")
        (child,) = odd.births()
        record = block.watch.until_added(child).added
        self.assertFalse(record["root"])
        self.assertEqual(record["parent_pid"], odd.pid)
        self.assertEqual(set(block.listed()), {odd.pid, child})

    def test_a_member_stays_one_when_its_root_is_gone(self) -> None:
        block = self.block()
        odd = self.outside("exec-later", Odd.path, "orphan", environment=block.tag)
        block.assign(odd.pid)
        odd.say()
        odd.until("ready")
        (orphan,) = odd.births()
        block.watch.until_added(orphan)
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertEqual(set(block.listed()), {orphan})

    def test_one_that_moves_itself_out_is_reported(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("a cgroup is no membership here: test_lineage.py")
        block = self.block()
        outside = programs.cgroup2_mount() / self.own_cgroup() / "cgroup.procs"
        odd = block.odd("move-cgroup", outside)
        odd.until("waiting")
        block.watch.until_added(odd.pid)
        odd.say()
        odd.until("moved")
        if self.feed == "netlink":
            self.skipTest("a move out is invisible to this feed until a scan")
        escaped = block.watch.until_event("process-escaped", pid=odd.pid)
        self.assertIn(escaped.data["reason"], ("moved", "found_outside"))
        self.assertEqual(block.listed(), {})

    def own_cgroup(self) -> str:
        return programs.cgroup_of(os.getpid()).lstrip("/")

    # ---- refusals

    def assert_refused(self, pid: int, *errorcodes: str, **more: int) -> None:
        block = self.block()
        with self.refused(*errorcodes):
            self.control.ask("assign_process", {"block_id": block.id, "pid": pid} | more,
                             right=pid > 0)
        block.watch.catch_up()
        self.assertEqual(block.listed(), {})
        self.assertEqual(block.watch.named("process-added"), [])
        block.remove()

    def test_pid_0_is_refused(self) -> None:
        self.assert_refused(0, "invalid_argument", "not_permitted", "no_such_process")

    def test_pid_1_is_refused(self) -> None:
        before = programs.cgroup_of(1)
        self.assert_refused(1, "not_permitted", "invalid_argument")
        self.assertEqual(programs.cgroup_of(1), before)

    def test_a_kernel_thread_is_refused(self) -> None:
        if not self.is_kernel_thread(2):
            self.skipTest("no kernel threads are seen here")
        self.assert_refused(2, "not_permitted", "invalid_argument")

    @staticmethod
    def is_kernel_thread(pid: int) -> bool:
        comm = pathlib.Path(f"/proc/{pid}/comm")
        return comm.exists() and comm.read_text().strip() == "kthreadd"

    def test_the_broker_is_refused(self) -> None:
        before = programs.cgroup_of(self.broker.pid)
        self.assert_refused(self.broker.pid, "not_permitted", "invalid_argument")
        self.assertEqual(programs.cgroup_of(self.broker.pid), before)

    def test_a_pid_that_does_not_exist_is_no_such_process(self) -> None:
        odd = Odd("exit", 0)
        self.addCleanup(odd.close)
        odd.finish()
        self.assert_refused(odd.pid, "no_such_process")

    def test_a_zombie_is_no_such_process(self) -> None:
        odd = self.outside("zombie")
        (zombie,) = odd.births()
        self.assert_refused(zombie, "no_such_process")

    def test_another_start_time_is_refused(self) -> None:
        odd = self.outside("hold")
        before = programs.cgroup_of(odd.pid)
        self.assert_refused(odd.pid, "no_such_process", started_at_ms=12345)
        self.assertEqual(programs.cgroup_of(odd.pid), before)

    def test_a_thread_that_is_no_leader_is_refused(self) -> None:
        odd = self.outside("threads", 3)
        threads = {int(name) for name in os.listdir(f"/proc/{odd.pid}/task")} - {odd.pid}
        self.assert_refused(min(threads), "no_such_process", "invalid_argument")
        self.assertTrue(programs.is_running(odd.pid))

    def test_assigning_does_not_make_a_block(self) -> None:
        odd = self.outside("hold")
        unknown = self.new_id("unknown")
        with self.refused("no_such_block"):
            self.control("assign_process", block_id=unknown, pid=odd.pid)
        self.assertNotIn(unknown, self.control("list_all_blocks")["block_ids"])
