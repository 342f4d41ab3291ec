# SPDX-License-Identifier: Apache-2.0
"""Odd lives: for each, exactly one added and one end, whatever it does in between.

The law (blackbox/law.py) holds every event against the protocol as it comes; here stands what each
life needs besides. What happened in truth is told by the program itself."""

from __future__ import annotations

import os
import pathlib
import signal
import time
import unittest

from blackbox import programs
from blackbox.case import SystemCase
from blackbox.programs import Odd, exit_of
from blackbox.wire import SLOW


class OddLives(SystemCase):
    """Each runs in a block and ends by itself."""

    def whole_life(self, *args: object):
        """Runs it to its end; checks all the ends that it told of, and its own."""
        block = self.block()
        odd, status = block.run(*args)
        block.check_end(odd.pid, exit_of(status))
        block.check_ends(odd)
        return block, odd

    def test_a_vfork_child_that_execs(self) -> None:
        self.whole_life("vfork-exec")

    def test_a_posix_spawn_child(self) -> None:
        self.whole_life("posix-spawn")

    def test_an_exec_by_a_thread_that_is_not_the_leader_is_one_life(self) -> None:
        block, odd = self.whole_life("thread-exec")
        if self.tells_all:
            stay = block.watch.stay(odd.pid)
            block.check_command(stay.record["command"], odd.told("exec")[-1]["command"])
            self.assertEqual(stay.status(), ("exit_code", 3))

    def test_an_exec_by_a_thread_after_the_leader_left_is_one_life(self) -> None:
        self.whole_life("thread-exec", "--leader-gone")

    def test_a_thread_that_execs_later_gives_an_exec_of_its_process(self) -> None:
        block = self.block()
        odd = block.odd("thread-exec", Odd.path, "hold")
        odd.until("ready")
        if self.tells_all:
            block.watch.until(lambda: (stay := block.watch.stay(odd.pid)) and
                              stay.record["command"] == f"{Odd.path} hold", "shown as what it runs")
        self.assertEqual(exit_of(odd.finish()), ("exit_code", 0))
        block.check_end(odd.pid, ("exit_code", 0))

    def test_a_process_lives_on_when_its_leader_leaves(self) -> None:
        for args in (("exit_group", 7), ("raw", 8), ("signal", int(signal.SIGKILL))):
            with self.subTest(args[0]):
                block = self.block()
                odd = block.odd("leader-leaves", *args)
                odd.until("ready")  # the leader is gone by now
                block.watch.until_added(odd.pid)
                block.watch.catch_up()
                self.assertTrue(block.watch.stay(odd.pid).alive, "leader exit is not process exit")
                self.assertIn(odd.pid, block.listed())
                status = odd.finish()
                block.check_end(odd.pid, exit_of(status))
                block.check_ends(odd)

    def test_the_memory_of_a_program_that_ends_at_once_is_told(self) -> None:
        if self.feed != "bpf" or not programs.tells_memory_at_exec():
            self.skipTest("it is read of the process here, and who has ended cannot be asked")
        block = self.block()
        odd = block.sh("for i in $(seq 400); do /bin/true & done; wait")
        odd.finish()
        block.check_end(odd.pid, ("exit_code", 0))
        processes = [event.data.get("process", {}) for event in block.watch.events]
        told = [process["rss_bytes"] for process in processes if process.get("command") == "/bin/true"]
        self.assertEqual(len(told), 400)
        page = os.sysconf("SC_PAGESIZE")
        self.assertEqual([rss for rss in told if rss % page or not page <= rss <= 16 << 20], [])

    def test_threads_are_not_processes(self) -> None:
        block = self.block()
        odd = block.odd("threads", 50)
        odd.until("ready")
        block.watch.until_added(odd.pid)
        self.assertEqual(set(block.listed()), {odd.pid})
        odd.finish()
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertEqual(len(block.watch.law.all_stays()), 1)

    def test_a_clone_parent_child_whose_parent_is_outside_is_a_member(self) -> None:
        block = self.block()
        odd = block.odd("clone-parent")
        odd.until("ready")
        ((child, line),) = odd.births().items()
        stay = block.watch.until_added(child)
        self.assertEqual(line["ppid"], os.getpid())
        self.assertEqual(stay.added["parent_pid"], line["ppid"])
        self.assertEqual(odd.finish(), 0)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 5)
        block.check_ends(odd)
        block.check_end(odd.pid, ("exit_code", 0))

    def test_a_clone_parent_child_inside_has_its_makers_parent(self) -> None:
        block, odd = self.whole_life("clone-parent", "inside")
        for pid, line in odd.births().items():
            if stay := block.watch.stay(pid):
                self.assertEqual(stay.added["parent_pid"], line["ppid"])

    def test_a_child_made_into_another_block_is_a_member_there_and_only_there(self) -> None:
        here, there = self.block(), self.block()
        directory = pathlib.Path(there.procs_path).parent
        odd = here.odd("into-cgroup", directory, Odd.path, "hold")
        odd.until("ready")
        (child,) = odd.births()
        there.watch.until_added(child)
        self.assertEqual(set(there.listed()), {child})
        here.watch.until_added(odd.pid)
        self.assertEqual(set(here.listed()), {odd.pid})
        odd.finish()
        there.check_end(child, ("exit_code", 0))
        here.check_end(odd.pid, ("exit_code", 0))
        self.assertEqual(here.watch.stays(child), [])

    def test_a_child_that_joins_between_fork_and_exec_is_a_member(self) -> None:
        block = self.block()
        odd = Odd("join-cgroup", block.procs_path, Odd.path, "hold")
        self.addCleanup(odd.close)
        odd.until("ready")
        (child,) = odd.births()
        block.watch.until_added(child)
        self.assertEqual(set(block.listed()), {child})
        odd.finish()
        block.check_end(child, ("exit_code", 0))

    def test_a_daemon_stays_in_its_block(self) -> None:
        block = self.block()
        odd = block.odd("double-fork")
        odd.until("ready")
        daemon = odd.told("ready")[0]["pid"]
        block.watch.until_added(daemon)
        self.assertEqual(odd.finish(), 0)
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertEqual(set(block.listed()), {daemon})
        if self.tells_all:
            self.assertEqual(block.watch.stay(daemon).added["parent_pid"],
                             odd.births()[daemon]["ppid"], "the parent at birth, never rewritten")
        os.kill(daemon, signal.SIGTERM)
        block.check_end(daemon, ("signal", int(signal.SIGTERM)))

    def test_a_child_in_a_session_of_its_own_stays_in_its_block(self) -> None:
        block = self.block()
        odd = block.odd("setsid-child")
        odd.until("ready")
        (child,) = odd.births()
        block.watch.until_added(child)
        self.assertEqual(set(block.listed()), {odd.pid, child})
        odd.finish()
        for pid in (odd.pid, child):
            block.check_end(pid, ("exit_code", 0))

    def test_an_orphan_stays_in_its_block(self) -> None:
        block = self.block()
        odd = block.odd("orphan")
        odd.until("ready")
        (orphan,) = odd.births()
        block.watch.until_added(orphan)
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertEqual(set(block.listed()), {orphan})
        odd.finish()
        block.check_end(orphan, ("exit_code", 0))

    def test_a_server_that_setsid_started_is_listed(self) -> None:
        block = self.block()
        odd = block.odd("listen", 0)
        odd.until("ready")
        server = odd.told("ready")[0]["pid"]
        block.watch.until_added(server)
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertEqual(set(block.listed()), {server})

    def test_two_hundred_children_at_once(self) -> None:
        _, odd = self.whole_life("spawn", 200)
        self.assertEqual(len(odd.ends()), 200)

    def test_a_storm_is_seen_whole(self) -> None:
        block, odd = self.whole_life("storm", 4, 4)
        self.assertEqual(len(odd.births()), 4 + 16 + 64 + 256)
        if self.tells_all:
            for pid, line in odd.births().items():
                self.assertEqual(block.watch.stay(pid).added["parent_pid"], line["ppid"])

    def test_a_chain_of_forks_is_seen_whole(self) -> None:
        self.whole_life("fork-chain", 100)

    def test_what_one_that_just_joined_forks_is_seen_whole(self) -> None:
        if not self.tells_all:
            self.skipTest("a scan sees what is there when it looks")
        block = self.block()
        odd = block.odd("fork-chain", 50)  # it forks before anybody can have looked where it is
        self.assertEqual(odd.finish(), 0)
        self.assertEqual(len(odd.births()), 50)
        block.check_ends(odd)

    def test_a_chain_of_execs_is_one_life_and_ends_as_the_last(self) -> None:
        block = self.block()
        odd = block.odd("exec-chain", 20)
        odd.until("ready")
        block.watch.until_added(odd.pid)
        if self.tells_all:
            block.watch.until(lambda: block.watch.stay(odd.pid).record["command"] ==
                              f"{Odd.path} exec-chain 0", "shown as the last")
        self.assertEqual(odd.finish(), 0)
        block.check_end(odd.pid, ("exit_code", 0))

    @unittest.skipUnless(os.geteuid() == 0, "choosing a pid needs root")
    def test_a_pid_used_again_is_another_life(self) -> None:
        block, other = self.block(), self.block()
        first, _ = block.run("exit", 1)
        block.check_end(first.pid, ("exit_code", 1))
        for index, place in enumerate((block, other, block)):
            time.sleep(0.03)  # a life is told by pid and clock tick: let that go by
            again = place.odd("reuse-pid", first.pid, Odd.path, "hold")
            again.until("ready")
            place.watch.until(lambda p=place: (stay := p.watch.stay(first.pid)) and stay.alive,
                              "the pid lives again")
            again.finish()
            place.watch.until_ended(first.pid)
            if self.tells_all:
                self.assertEqual(place.watch.stay(first.pid).status(), ("exit_code", 0))
                self.assertEqual(len(place.watch.stays(first.pid)), (2, 1, 3)[index])


class AssignedWhileItForks(SystemCase):
    """Who is there, who is just being born, and who comes later: nobody slips through, nobody twice."""

    CHILDREN = 150

    def children(self, pid: int) -> set[int]:
        return {int(child) for child in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def test_all_children_of_one_assigned_while_it_forks_are_members_once(self) -> None:
        for after in (1, 10, 40, 80):
            with self.subTest(children=after):
                block = self.block()
                odd = Odd("spawn", self.CHILDREN, Odd.path, "hold")
                self.addCleanup(odd.close)
                programs.wait_for(lambda o=odd, n=after: len(self.children(o.pid)) >= n, "some are there")
                block.assign(odd.pid)
                odd.until("ready", times=self.CHILDREN)
                everybody = {odd.pid} | self.children(odd.pid)
                self.assertEqual(len(everybody), 1 + self.CHILDREN)
                programs.wait_for(lambda b=block, e=everybody: set(b.listed()) == e, "all are listed")
                self.assertEqual([record["pid"] for record in block.listed().values()
                                  if record["root"]], [odd.pid])
                block.watch.catch_up()
                odd.finish()
                block.watch.until_empty()
                self.assertEqual(len(block.watch.law.all_stays()), 1 + self.CHILDREN)
                for pid in everybody:
                    block.check_end(pid, ("exit_code", 0))


class InsideTheSettleTime(SystemCase):
    """What is over before its settle time is told at its end, and not when that time would be over."""

    options = {"settle-ms": 10000}

    def setUp(self) -> None:
        super().setUp()
        if not self.tells_all:
            self.skipTest("a scan sees what is there when it looks")

    def test_one_that_ends_in_it_gives_added_and_then_exited_at_once(self) -> None:
        block = self.block()
        begun = time.monotonic()
        odd, status = block.run("storm", 12, 1)  # children that fork nothing, exec nothing, and end
        for pid, line in odd.births().items():
            stay = block.watch.until_ended(pid)
            self.assertEqual(stay.added["parent_pid"], line["ppid"])
        block.check_ends(odd)
        block.check_end(odd.pid, exit_of(status))
        if SLOW == 1:
            self.assertLess(time.monotonic() - begun, 9.0, "nobody waited for the settle time")

    def test_one_that_a_signal_ends_in_it_tells_the_signal(self) -> None:
        block = self.block()
        odd = block.odd("zombie")  # its child exits with 4 at once
        odd.until("ready")
        (zombie,) = odd.births()
        block.check_end(zombie, ("exit_code", 4))
        os.kill(odd.pid, signal.SIGKILL)
        block.check_end(odd.pid, ("signal", int(signal.SIGKILL)))

    def test_one_that_lives_on_is_listed_before_it_is_over(self) -> None:
        block = self.block()
        odd = block.odd("setsid-child")
        odd.until("ready")
        (child,) = odd.births()
        self.assertEqual(set(block.listed()), {odd.pid, child})
        block.watch.until_added(child)


class OddNames(SystemCase):
    """What a command is shown as."""

    def shown(self, block, pid: int) -> str:
        return block.listed()[pid]["command"]

    def test_argv_of_every_shape_is_shown_as_the_protocol_says(self) -> None:
        for shape in ("none", "empty", "newlines", "invalid", "trailing", "spaces"):
            with self.subTest(shape):
                block = self.block()
                odd = block.odd("argv-odd", shape)
                odd.until("ready")
                block.watch.until(lambda: (stay := block.watch.stay(odd.pid)) and
                                  stay.record["command"] == programs.command_of(odd.pid),
                                  f"shown as {programs.command_of(odd.pid)!r}") \
                    if self.tells_all else block.watch.until_added(odd.pid)
                if self.tells_all:
                    self.assertEqual(self.shown(block, odd.pid), programs.command_of(odd.pid))
                odd.finish()
                block.check_end(odd.pid, ("exit_code", 0))

    def test_a_long_command_is_cut_and_says_so(self) -> None:
        block = self.block()
        odd = block.odd("argv-odd", "long")
        odd.until("ready")
        if not self.tells_all:
            self.skipTest("a scan may come before the exec")
        block.watch.until(lambda: (stay := block.watch.stay(odd.pid)) and
                          stay.record["command"].startswith("odd x"), "shown as the long one")
        record = block.listed()[odd.pid]
        self.assertEqual(record["command"], programs.command_of(odd.pid)[:4096])
        self.assertIs(record["command_truncated"], True)
        odd.finish()

    def test_a_name_with_brackets_and_spaces_confuses_nobody(self) -> None:
        block = self.block()
        odd = block.odd("comm-odd")
        odd.until("ready")
        (child,) = odd.births()
        record = block.watch.until_added(child).added
        self.assertEqual(record["parent_pid"], odd.pid)
        self.assertAlmostEqual(record["started_at_ms"], programs.started_at_ms(child), delta=100)
        odd.finish()
        for pid in (odd.pid, child):
            block.check_end(pid, ("exit_code", 0))

    def test_a_process_that_overwrites_its_title_is_the_same_life(self) -> None:
        block = self.block()
        odd = block.odd("retitle", "another title")
        odd.until("ready")
        stay = block.watch.until_added(odd.pid)
        self.assertIn(self.shown(block, odd.pid).rstrip(" "), (odd.shown, "another title"))
        odd.finish()
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertEqual(len(stay.execs), stay.retitled, "a scan may see the new title; nobody ran a program")
