# SPDX-License-Identifier: Apache-2.0
"""Ending processes: kill_pid, kill_tree, remove; and nobody else is touched."""

from __future__ import annotations

import pathlib
import signal
import threading

from blackbox import programs
from blackbox.case import Block, SystemCase
from blackbox.programs import Odd


class Kill(SystemCase):
    """A canary outside lives through every test."""

    def setUp(self) -> None:
        super().setUp()
        self.canary = self.outside("hold")
        self.addCleanup(self.check_canary)

    def outside(self, *args: object) -> Odd:
        odd = Odd(*args)
        self.addCleanup(odd.close)
        odd.until("ready")
        return odd

    def check_canary(self) -> None:
        self.assertTrue(programs.is_running(self.canary.pid), "the canary outside was killed")

    def tree(self, block: Block, *args: object) -> tuple[Odd, set[int]]:
        """An odd life and all its processes that live, when the registry has them."""
        odd = block.odd(*args)
        odd.until("ready")
        for pid in odd.ends():  # they said so: that takes them some microseconds
            programs.wait_for(lambda pid=pid: not programs.is_running(pid), f"pid {pid} is gone")
        pids = {pid for pid in {odd.pid, *odd.births()} if programs.is_running(pid)}
        for pid in list(pids):  # one that is on its way to its end may be gone before a scan sees it
            programs.wait_for(lambda pid=pid: self.is_known(block, pid) or not programs.is_running(pid),
                              f"pid {pid} is added")
        return odd, {pid for pid in pids if self.is_known(block, pid)}

    def is_known(self, block: Block, pid: int) -> bool:
        block.watch.pump(0.01)
        return block.watch.stay(pid) is not None

    # ---- kill_pid

    def test_kill_pid_kills_a_member_and_no_other(self) -> None:
        block = self.block()
        odd, pids = self.tree(block, "setsid-child")
        (child,) = pids - {odd.pid}
        self.assertIs(self.kill_pid(block, child), True)
        block.check_end(child, ("signal", 9))
        self.assertEqual(odd.finish(), 0)
        block.check_end(odd.pid, ("exit_code", 0))

    def kill_pid(self, block: Block, pid: int, **more: int) -> bool:
        return self.control("kill_pid", block_id=block.id, pid=pid, **more)["ok"]

    def test_kill_pid_never_touches_who_is_no_member(self) -> None:
        block, other = self.block(), self.block()
        neighbour, _ = self.tree(other, "hold")
        for pid in (self.canary.pid, neighbour.pid, self.broker.pid, 1, 2):
            self.assertIs(self.kill_pid(block, pid), False, f"pid {pid}")
        self.assertTrue(programs.is_running(neighbour.pid))

    def test_a_broker_that_was_put_into_a_block_is_no_member_and_outlives_its_kill(self) -> None:
        block = self.block()
        pathlib.Path(block.procs_path).write_text(str(self.broker.pid))
        _, pids = self.tree(block, "setsid-child")
        self.assertEqual(set(block.listed()), pids)
        self.assertIs(self.control("kill_tree", block_id=block.id)["ok"], True)
        for pid in pids:
            block.check_end(pid, ("signal", 9))
        self.assertEqual(self.control("remove", block_id=block.id)["survivors"], [])
        self.assertTrue(self.broker.is_alive())

    def test_kill_pid_of_a_life_that_is_over_is_not_ok(self) -> None:
        block = self.block()
        odd, _ = block.run("exit", 0)
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertIs(self.kill_pid(block, odd.pid), False)

    def test_kill_pid_with_another_start_time_kills_nobody(self) -> None:
        block = self.block()
        odd, _ = self.tree(block, "hold")
        started = block.listed()[odd.pid]["started_at_ms"]
        self.assertIs(self.kill_pid(block, odd.pid, started_at_ms=started + 10), False)
        self.assertIs(self.kill_pid(block, odd.pid, started_at_ms=started - 10), False)
        self.assertTrue(programs.is_running(odd.pid))
        self.assertIs(self.kill_pid(block, odd.pid, started_at_ms=started), True)
        block.check_end(odd.pid, ("signal", 9))

    def test_kill_pid_in_an_unknown_block_is_not_ok(self) -> None:
        reply = self.control("kill_pid", block_id=self.new_id("unknown"), pid=self.canary.pid)
        self.assertIs(reply["ok"], False)

    # ---- kill_tree

    def end_by_kill_tree(self, *args: object) -> None:
        """Still listed, whatever it did; gone after kill_tree."""
        block = self.block()
        _, pids = self.tree(block, *args)
        # One that is on its way to its end may have got there since.
        programs.wait_for(lambda: set(block.listed()) == {pid for pid in pids if programs.is_running(pid)},
                          f"the list is {pids}")
        pids = set(block.listed())
        self.assertIs(self.control("kill_tree", block_id=block.id)["ok"], True)
        for pid in pids:
            block.check_end(pid, ("signal", 9))
        block.check_gone(pids)
        self.assertEqual(block.listed(), {})

    def test_a_daemon_with_a_cleared_environment_is_listed_then_gone(self) -> None:
        self.end_by_kill_tree("double-fork")

    def test_one_that_ignores_hangup_and_term_is_listed_then_gone(self) -> None:
        self.end_by_kill_tree("ignore-term")

    def test_an_orphan_is_listed_then_gone(self) -> None:
        self.end_by_kill_tree("orphan")

    def test_a_child_in_a_session_of_its_own_is_listed_then_gone(self) -> None:
        self.end_by_kill_tree("setsid-child")

    def test_a_server_is_listed_then_gone(self) -> None:
        self.end_by_kill_tree("listen", 0)

    def test_a_process_whose_leader_left_is_listed_then_gone(self) -> None:
        self.end_by_kill_tree("leader-leaves", "exit_group", 0)

    # ---- one whose leader had left before it was assigned: the kernel moves the threads that run alone

    def assigned_without_leader(self, block: Block, **more: str) -> Odd:
        odd = self.outside("leader-leaves", "exit_group", 0)
        self.assertEqual(block.assign(odd.pid, **more), 1)
        block.watch.until_added(odd.pid)
        return odd

    def until_looked_at(self, block: Block) -> None:
        """Where scans tell who is in it, one has gone over it since."""
        before = self.control("stats")["counters"]["scans"]
        block.assign(self.outside("hold").pid)
        if self.feed == "poll":
            programs.wait_for(lambda: self.control("stats")["counters"]["scans"] > before + 1, "a scan")

    def test_one_assigned_without_its_leader_stays_listed_where_it_is(self) -> None:
        block = self.block()
        odd = self.assigned_without_leader(block, scope="bg")
        self.until_looked_at(block)
        self.assertEqual(block.listed()[odd.pid]["scope"], "bg")
        self.assertEqual(block.assign(odd.pid, scope="bg"), 0)
        self.assertEqual(block.assign(odd.pid, scope="main"), 1)
        self.assertEqual(block.listed()[odd.pid]["scope"], "main")
        self.assertEqual(block.watch.named("process-escaped"), [])
        odd.finish()
        block.watch.until_ended(odd.pid)

    def test_one_assigned_without_its_leader_is_ended_by_kill_pid(self) -> None:
        block = self.block()
        odd = self.assigned_without_leader(block)
        self.assertIs(self.kill_pid(block, odd.pid), True)
        block.check_end(odd.pid, ("signal", 9))

    def test_one_assigned_without_its_leader_is_ended_by_kill_tree(self) -> None:
        block = self.block()
        odd = self.assigned_without_leader(block, scope="bg")
        self.assertIs(self.control("kill_tree", block_id=block.id, scope="bg")["ok"], True)
        block.check_end(odd.pid, ("signal", 9))

    def test_one_assigned_without_its_leader_is_ended_by_stop_tree(self) -> None:
        block = self.block()
        odd = self.assigned_without_leader(block)
        stopped = self.control("stop_tree", block_id=block.id)
        self.assertEqual((stopped["exited"], stopped["killed"], stopped["survivors"]), (1, 0, []))
        block.check_end(odd.pid, ("signal", 15))

    def test_one_assigned_without_its_leader_is_ended_by_remove(self) -> None:
        block = self.block()
        odd = self.assigned_without_leader(block)
        reply = self.control("remove", block_id=block.id)
        self.assertEqual((reply["ok"], reply["survivors"]), (True, []))
        self.assertFalse(programs.is_running(odd.pid))

    def test_one_without_its_leader_that_went_to_another_block_is_that_ones(self) -> None:
        block, other = self.block(), self.block()
        stays, goes = (self.tree(block, "leader-leaves", "exit_group", 0)[0] for _ in range(2))
        self.assertEqual(other.assign(goes.pid), 1)
        self.until_looked_at(block)
        self.assertNotIn(goes.pid, block.listed())
        self.assertIs(self.control("kill_tree", block_id=block.id)["ok"], True)
        block.check_end(stays.pid, ("signal", 9))
        self.assertIs(block.remove()["ok"], True)
        self.assertTrue(programs.is_running(goes.pid))
        self.assertEqual(set(other.listed()), {goes.pid})
        self.assertIs(self.kill_pid(other, goes.pid), True)
        other.check_end(goes.pid, ("signal", 9))

    def test_setsid_nohup_from_a_shell_that_ends_is_listed_then_gone(self) -> None:
        block = self.block()
        shell = block.sh(f"exec 3<&0; setsid nohup {Odd.path} ignore-term <&3 & exit 0")
        shell.until("ready")
        server = shell.told("ready")[0]["pid"]
        block.watch.until_added(server)
        block.check_end(shell.pid, ("exit_code", 0))
        self.assertIn(server, block.listed())
        self.control("kill_tree", block_id=block.id)
        block.check_end(server, ("signal", 9))
        block.watch.until_empty()
        block.check_gone({server})

    def test_kill_tree_ends_a_stopped_process(self) -> None:
        block = self.block()
        odd, _ = self.tree(block, "hold")
        odd.process.send_signal(signal.SIGSTOP)
        self.control("kill_tree", block_id=block.id)
        block.check_end(odd.pid, ("signal", 9))

    def test_kill_tree_leaves_other_blocks_alone(self) -> None:
        block, other = self.block("near"), self.block("near-1")
        odd, _ = self.tree(block, "hold")
        neighbour, _ = self.tree(other, "hold")
        self.control("kill_tree", block_id=block.id)
        block.check_end(odd.pid, ("signal", 9))
        self.assertTrue(programs.is_running(neighbour.pid))
        self.assertEqual(set(other.listed()), {neighbour.pid})
        block.remove()

    def test_a_block_serves_on_after_kill_tree(self) -> None:
        block = self.block()
        for _ in range(5):
            odd = self.outside("hold")
            block.assign(odd.pid)  # waits until a kill is over: what joins by itself may be killed
            self.assertEqual(set(block.listed()), {odd.pid})
            self.assertIs(self.control("kill_tree", block_id=block.id)["ok"], True)
            block.check_end(odd.pid, ("signal", 9))

    def test_kill_tree_of_an_empty_block_is_ok_and_of_an_unknown_one_is_not(self) -> None:
        block = self.block()
        self.assertIs(self.control("kill_tree", block_id=block.id)["ok"], True)
        self.assertIs(self.control("kill_tree", block_id=self.new_id("unknown"))["ok"], False)

    def test_kill_tree_ends_a_tree_that_forks_all_the_time(self) -> None:
        block = self.block()
        shell = block.sh(f"echo '{{\"what\":\"ready\"}}'; while :; do {Odd.path} exit 0; done")
        shell.until("ready")
        block.watch.until_added(shell.pid)
        self.control("kill_tree", block_id=block.id)
        block.check_end(shell.pid, ("signal", 9))
        block.watch.until_empty()
        programs.wait_for(lambda: not block.listed(), "the list is empty")

    # ---- remove

    def test_remove_kills_the_tree_and_says_so_last(self) -> None:
        block = self.block()
        _, pids = self.tree(block, "setsid-child")
        reply = block.remove()
        self.assertIs(reply["ok"], True)
        self.assertEqual(reply["survivors"], [])
        removed = block.watch.until_event("block-removed", epoch=block.ensured["epoch"])
        self.assertEqual(removed.data["reason"], "removed")
        block.check_gone(pids)
        self.assertEqual({stay.added["pid"] for stay in block.watch.law.all_stays()}, pids)
        self.assertIs(self.control("list_block", block_id=block.id)["tracked"], False)

    def test_remove_of_an_unknown_block_is_not_ok(self) -> None:
        self.assertIs(self.control("remove", block_id=self.new_id("unknown"))["ok"], False)

    def test_a_block_that_was_removed_can_be_made_again_with_another_epoch(self) -> None:
        block = self.block()
        block.remove()
        block.watch.until_event("block-removed")
        again = self.control("ensure_tracker", block_id=block.id)
        self.assertIs(again["created"], True)
        self.assertNotEqual(again["epoch"], block.ensured["epoch"])
        block.watch.until_event("block-added", epoch=again["epoch"])
        self.control("remove", block_id=block.id)

    def test_removing_twice_at_once_answers_both(self) -> None:
        block = self.block()
        self.tree(block, "hold")
        replies: list[bool] = []
        asks = [self.broker.ask() for _ in range(2)]
        threads = [threading.Thread(
            target=lambda ask=ask: replies.append(ask("remove", block_id=block.id)["ok"]))
            for ask in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ask in asks:
            ask.close()
        self.assertIn(sorted(replies), ([False, True], [True, True]))
        self.assertIs(block.remove()["ok"], False)
