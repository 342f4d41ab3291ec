# SPDX-License-Identifier: Apache-2.0
"""What outlives a broker, and what does not: adoption, on_crash, the keeper, expiry."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
from typing import Any

from blackbox import programs
from blackbox.broker import Broker
from blackbox.case import SystemCase, feed_wanted
from blackbox.programs import Odd
from blackbox.wire import DEADLINE, SLOW


class SurvivingCase(SystemCase):
    """Each with a broker of its own, whose end leaves nothing."""

    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "cgroup":
            self.skipTest("only cgroups outlive a broker")

    def own_broker(self, **options: object) -> Broker:
        broker = Broker(feed=feed_wanted(), persist=100, **options)
        self.addCleanup(broker.destroy)
        broker.start()
        return broker

    def ensure(self, broker: Broker, block_id: str, **more: Any) -> dict[str, Any]:
        return broker.control("ensure_tracker", block_id=block_id, **more)

    def odd(self, told: dict[str, Any], *args: object) -> Odd:
        odd = Odd(*args, procs_path=told["procs_path"])
        self.addCleanup(odd.close)
        odd.until("ready")
        return odd

    def member(self, broker: Broker, block_id: str, *args: object, **more: Any) -> Odd:
        """An odd life in a block that is made for it."""
        return self.odd(self.ensure(broker, block_id, **more), *(args or ("hold",)))

    def listed(self, broker: Broker, block_id: str) -> dict[int, dict[str, Any]]:
        return {record["pid"]: record for record in
                broker.control("list_block", block_id=block_id)["processes"]}

    def until_listed(self, broker: Broker, block_id: str, pids: set[int]) -> dict[int, dict[str, Any]]:
        programs.wait_for(lambda: set(self.listed(broker, block_id)) == pids,
                          f"{block_id} holds {pids}, not {set(self.listed(broker, block_id))}")
        return self.listed(broker, block_id)

    def gauge(self, broker: Broker, name: str) -> int:
        return broker.control("stats")["gauges"][name]

    def keeper(self, broker: Broker) -> int:
        pid = self.gauge(broker, "keeper_pid")
        self.assertTrue(pid and programs.is_running(pid), f"keeper {pid}")
        return pid

    def crash(self, broker: Broker) -> None:
        broker.process.kill()
        broker.process.wait()

    def until_gone(self, *pids: int) -> None:
        for pid in pids:
            programs.wait_for(lambda pid=pid: not programs.is_running(pid), f"pid {pid} is gone")

    def assert_running(self, *pids: int) -> None:
        for pid in pids:
            self.assertTrue(programs.is_running(pid), f"pid {pid} has ended")

    def block_directories(self, broker: Broker) -> set[str]:
        return {path.name for path in broker.cgroup_root.glob("*/b-*")}

    def history(self, broker: Broker, event: str, block_id: str) -> list[dict[str, Any]]:
        """The data of the newest such events of this block that the broker at hand has."""
        events = broker.rpc("eventreadhistory", event=f"agent:{event}", scope=f"block:{block_id}",
                            maxitems=100)["events"]
        return [event["data"] for event in events]


class Adoption(SurvivingCase):
    """A broker was killed, and the next one finds what it left."""

    def test_members_are_adopted_with_their_start_times_and_scopes(self) -> None:
        broker = self.own_broker()
        first = self.ensure(broker, "b")
        lives = [self.member(broker, "b", "setsid-child"),
                 self.member(broker, "b", "leader-leaves", "exit_group", 0),
                 self.member(broker, "b", "hold", scope="bg/7")]
        pids = {odd.pid for odd in lives} | set(lives[0].births())
        before = self.until_listed(broker, "b", pids)
        self.crash(broker)
        broker.start()
        after = self.until_listed(broker, "b", pids)
        for pid in pids:
            for key in ("started_at_ms", "scope", "command"):
                self.assertEqual(after[pid][key], before[pid][key], (pid, key))
            if pid != lives[1].pid:  # what stat says of one without its leader is the leader's
                self.assertLessEqual(abs(after[pid]["started_at_ms"] - programs.started_at_ms(pid)),
                                     20)
        self.assertEqual(after[lives[2].pid]["scope"], "bg/7")
        (added,) = self.history(broker, "block-added", "b")
        self.assertIs(added["adopted"], True)
        self.assertEqual(added["seq"], 1)
        self.assertNotEqual(added["epoch"], first["epoch"])
        again = self.ensure(broker, "b")
        self.assertIs(again["created"], False)
        self.assertEqual(again["epoch"], added["epoch"])
        broker.stop()
        self.until_gone(*pids)

    def test_one_that_was_assigned_without_its_leader_is_adopted(self) -> None:
        broker = self.own_broker()
        self.ensure(broker, "b")
        odd = Odd("leader-leaves", "exit_group", 0)
        self.addCleanup(odd.close)
        odd.until("ready")
        broker.control("assign_process", block_id="b", pid=odd.pid)
        before = self.until_listed(broker, "b", {odd.pid})
        self.crash(broker)
        broker.start()
        after = self.until_listed(broker, "b", {odd.pid})
        self.assertEqual(after[odd.pid]["started_at_ms"], before[odd.pid]["started_at_ms"])
        broker.stop()
        self.until_gone(odd.pid)

    def test_what_died_meanwhile_is_not_invented(self) -> None:
        broker = self.own_broker()
        dies, stays = self.member(broker, "b"), self.member(broker, "b")
        self.until_listed(broker, "b", {dies.pid, stays.pid})
        self.crash(broker)
        dies.finish()
        broker.start()
        self.until_listed(broker, "b", {stays.pid})
        self.assertEqual({data["process"]["pid"] for data in self.history(broker, "process-added", "b")},
                         {stays.pid})
        self.assertEqual(self.history(broker, "process-exited", "b"), [])
        broker.stop()

    def test_an_adopted_block_serves_as_any_other(self) -> None:
        broker = self.own_broker()
        old = self.member(broker, "b")
        self.crash(broker)
        broker.start()
        new = self.member(broker, "b", scope="bg")
        self.until_listed(broker, "b", {old.pid, new.pid})
        broker.control("kill_tree", block_id="b", scope="bg")
        self.until_gone(new.pid)
        self.assert_running(old.pid)
        self.assertIs(broker.control("remove", block_id="b")["ok"], True)
        self.until_gone(old.pid)
        self.assertEqual(self.block_directories(broker), set())
        broker.stop()

    def test_a_broker_that_ends_in_order_leaves_what_on_exit_keeps(self) -> None:
        broker = self.own_broker()
        kept = self.member(broker, "kept", on_exit="keep", on_crash="kill")
        killed = self.member(broker, "killed", on_exit="kill", on_crash="keep")
        before = self.until_listed(broker, "kept", {kept.pid})
        keeper = self.keeper(broker)
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.process.wait(2 * DEADLINE), 0)
        self.assertFalse(programs.is_running(keeper), "its keeper is left")
        self.until_gone(killed.pid)
        self.assert_running(kept.pid)
        broker.start()
        after = self.until_listed(broker, "kept", {kept.pid})
        self.assertEqual(after[kept.pid]["started_at_ms"], before[kept.pid]["started_at_ms"])
        self.assertEqual(broker.control("list_all_blocks")["block_ids"], ["kept"])
        broker.control("remove", block_id="kept")
        broker.stop()

    def test_what_a_client_said_of_on_exit_holds_through_many_brokers(self) -> None:
        broker = self.own_broker(on_exit="keep")
        kept = self.member(broker, "kept", on_exit="kill")
        self.ensure(broker, "kept", on_exit="keep")  # the last word counts
        killed = self.member(broker, "killed", on_exit="kill")
        unsaid = self.member(broker, "unsaid")
        self.crash(broker)
        broker.options["on-exit"] = "kill"
        broker.start()
        self.until_listed(broker, "kept", {kept.pid})
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.process.wait(2 * DEADLINE), 0)
        self.until_gone(killed.pid, unsaid.pid)
        self.assert_running(kept.pid)
        broker.start()
        self.until_listed(broker, "kept", {kept.pid})
        self.ensure(broker, "kept", on_exit="kill")
        broker.stop()
        self.until_gone(kept.pid)


class Expiry(SurvivingCase):
    """Adopted blocks that nobody wants, and those that somebody does."""

    expire_ms = int(1500 * SLOW)

    def test_only_adopted_blocks_that_are_empty_and_that_nobody_ensures_expire(self) -> None:
        broker = self.own_broker(adopt_expire_ms=self.expire_ms)
        for block_id in ("empty", "wanted"):
            self.ensure(broker, block_id)
        odd = self.member(broker, "filled")
        self.crash(broker)
        broker.start()
        self.ensure(broker, "wanted")
        self.ensure(broker, "made")
        self.until_expired(broker, "empty")
        self.assertEqual(set(broker.control("list_all_blocks")["block_ids"]),
                         {"wanted", "filled", "made"})
        self.assert_running(odd.pid)
        odd.finish()
        self.until_expired(broker, "filled")
        # That was one time-out later, and these two were empty all the while.
        self.assertEqual(set(broker.control("list_all_blocks")["block_ids"]), {"wanted", "made"})
        self.assertEqual(self.block_directories(broker), {"b-wanted", "b-made"})
        self.assertEqual(broker.control("stats")["counters"]["blocks_expired"], 2)
        self.assertIs(self.ensure(broker, "empty")["created"], True)
        broker.stop()

    def until_expired(self, broker: Broker, block_id: str) -> None:
        (removed,) = programs.wait_for(lambda: self.history(broker, "block-removed", block_id),
                                       f"{block_id} is removed")
        self.assertEqual(removed["reason"], "expired")

    def test_its_time_is_told_by_describe(self) -> None:
        self.assertEqual(self.control("describe")["limits"]["adopt_expire_ms"], 60000)


class OnCrash(SurvivingCase):
    """Nothing of a block with on_crash kill outlives its broker."""

    def test_all_of_it_dies_with_the_broker_and_the_others_live_on(self) -> None:
        broker = self.own_broker()
        told = self.ensure(broker, "b", on_crash="kill")
        lives = [self.odd(told, *life) for life in
                 (["double-fork"], ["leader-leaves", "exit_group", 0], ["ignore-term"], ["hold"])]
        pids = {odd.pid for odd in lives} | {pid for odd in lives for pid in odd.births()}
        kept = self.member(broker, "kept")
        before = self.until_listed(broker, "kept", {kept.pid})
        own = pathlib.Path(told["procs_path"]).parent / "own" / "below"  # members may make cgroups
        own.mkdir(parents=True)
        (own / "cgroup.procs").write_text(str(lives[3].pid))
        (own / "cgroup.freeze").write_text("1")
        programs.wait_for(lambda: "frozen 1" in (own / "cgroup.events").read_text(), "frozen")
        keeper = self.keeper(broker)
        self.crash(broker)
        self.until_gone(*pids, keeper)
        self.assert_running(kept.pid)
        self.assertEqual(self.block_directories(broker), {"b-kept"})
        broker.start()
        after = self.until_listed(broker, "kept", {kept.pid})
        self.assertEqual(after[kept.pid]["started_at_ms"], before[kept.pid]["started_at_ms"])
        self.assertEqual(broker.control("list_all_blocks")["block_ids"], ["kept"])
        broker.stop()

    def test_a_broker_that_starts_at_once_does_not_adopt_them(self) -> None:
        broker = self.own_broker()
        odds = [self.member(broker, f"b-{number}", on_crash="kill") for number in range(10)]
        self.crash(broker)
        broker.start()
        self.assertEqual(broker.control("list_all_blocks")["block_ids"], [])
        self.until_gone(*(odd.pid for odd in odds))
        broker.stop()

    def test_two_hundred_blocks_die_with_the_broker(self) -> None:
        broker = self.own_broker()
        pids = set()
        for number in range(200):
            told = self.ensure(broker, f"b-{number}", on_crash="kill")
            process = programs.spawn(["sleep", "1000"], told["procs_path"])
            pids.add(process.pid)
        self.assertEqual(self.gauge(broker, "keeper_blocks"), 200)
        keeper = self.keeper(broker)
        self.crash(broker)
        self.until_gone(*pids, keeper)
        self.assertEqual(self.block_directories(broker), set())
        broker.start()
        broker.stop()

    def test_one_that_was_assigned_without_its_leader_dies_with_the_broker(self) -> None:
        broker = self.own_broker()
        self.ensure(broker, "b", on_crash="kill")
        odd = Odd("leader-leaves", "exit_group", 0)
        self.addCleanup(odd.close)
        odd.until("ready")
        broker.control("assign_process", block_id="b", pid=odd.pid)
        keeper = self.keeper(broker)
        self.crash(broker)
        self.until_gone(odd.pid, keeper)
        self.assertEqual(self.block_directories(broker), set())
        broker.start()
        broker.stop()

    def crash_with_keeper(self, broker: Broker) -> None:
        """Nobody is left to end anything, and the broker has no time to notice."""
        keeper = self.keeper(broker)
        broker.process.send_signal(signal.SIGSTOP)
        programs.wait_for(lambda: programs.stat_fields(broker.pid)[0] == "T", "stopped")
        os.kill(keeper, signal.SIGKILL)
        self.until_gone(keeper)
        self.crash(broker)

    def test_what_the_keeper_did_not_end_the_next_broker_ends(self) -> None:
        broker = self.own_broker()
        dies, lives = self.member(broker, "dies", on_crash="kill", on_exit="keep"), self.member(broker, "lives")
        self.crash_with_keeper(broker)
        self.assert_running(dies.pid, lives.pid)
        broker.start()
        self.until_gone(dies.pid)
        (removed,) = programs.wait_for(lambda: self.history(broker, "block-removed", "dies"), "it is removed")
        self.assertEqual(removed["reason"], "shutdown")
        self.until_listed(broker, "lives", {lives.pid})
        self.assertEqual(self.block_directories(broker), {"b-lives"})
        self.assertIs(self.ensure(broker, "dies")["created"], True)
        broker.stop()

    def test_who_ensures_what_the_next_broker_ends_gets_another_block(self) -> None:
        broker = self.own_broker()
        dies = self.member(broker, "b", on_crash="kill")
        self.crash_with_keeper(broker)
        broker.start()
        self.assertIs(self.ensure(broker, "b")["created"], True)
        self.until_gone(dies.pid)
        lives = self.member(broker, "b")
        self.crash(broker)
        broker.start()  # nothing is left of what was said of the first one
        self.until_listed(broker, "b", {lives.pid})
        broker.stop()

    def test_what_was_changed_to_keep_the_next_broker_adopts(self) -> None:
        broker = self.own_broker()
        self.ensure(broker, "other", on_crash="kill")
        odd = self.member(broker, "b", on_crash="kill")
        self.ensure(broker, "b", on_crash="keep")
        self.crash_with_keeper(broker)
        broker.start()
        self.until_listed(broker, "b", {odd.pid})
        broker.stop()

    def test_what_a_broker_left_in_order_outlives_the_next_ones_crash(self) -> None:
        broker = self.own_broker()
        kept = self.member(broker, "kept", on_exit="keep", on_crash="kill")
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.process.wait(2 * DEADLINE), 0)
        broker.start()
        self.until_listed(broker, "kept", {kept.pid})
        self.crash(broker)
        broker.start()
        self.until_listed(broker, "kept", {kept.pid})
        broker.control("remove", block_id="kept")
        broker.stop()

    def test_it_can_be_changed_to_keep_and_back(self) -> None:
        broker = self.own_broker()
        stays, dies = self.member(broker, "stays", on_crash="kill"), self.member(broker, "dies")
        self.ensure(broker, "dies", on_crash="kill")
        self.ensure(broker, "stays", on_crash="keep")
        self.ensure(broker, "dies")  # says nothing of it: as it was
        self.crash(broker)
        self.until_gone(dies.pid)
        self.assert_running(stays.pid)
        broker.start()
        self.ensure(broker, "stays", on_crash="kill")  # adopted, and wanted so again
        self.crash(broker)
        self.until_gone(stays.pid)
        broker.start()
        broker.stop()

    def test_many_clients_that_want_it_differently_are_all_answered(self) -> None:
        broker = self.own_broker()
        asks = [broker.ask() for _ in range(8)]
        for ask in asks:
            self.addCleanup(ask.close)
        for turn in range(20):
            for number, ask in enumerate(asks):
                ask("ensure_tracker", block_id="b", on_crash=("kill", "keep")[(turn + number) % 2])
            if turn % 5 == 4:
                asks[0]("remove", block_id="b")
        odd = self.member(broker, "b", on_crash="kill")
        self.crash(broker)
        self.until_gone(odd.pid)
        broker.start()
        broker.stop()

    def test_a_block_made_again_begins_with_keep(self) -> None:
        broker = self.own_broker()
        self.ensure(broker, "b", on_crash="kill")
        broker.control("remove", block_id="b")
        odd = self.member(broker, "b")
        self.assertEqual(self.gauge(broker, "keeper_blocks"), 0)
        self.crash(broker)
        broker.start()
        self.until_listed(broker, "b", {odd.pid})
        broker.stop()


class Keeper(SurvivingCase):
    """The process that keeps the promise: what it is, and what can befall it."""

    def test_there_is_one_only_while_a_block_wants_it(self) -> None:
        broker = self.own_broker()
        self.ensure(broker, "a")
        self.assertEqual(self.gauge(broker, "keeper_pid"), 0)
        self.ensure(broker, "b", on_crash="kill")
        keeper = self.keeper(broker)
        self.ensure(broker, "c", on_crash="kill")
        self.assertEqual(self.keeper(broker), keeper)
        broker.control("remove", block_id="b")
        self.assertEqual(self.keeper(broker), keeper)
        self.ensure(broker, "c", on_crash="keep")
        self.until_gone(keeper)
        programs.wait_for(lambda: self.gauge(broker, "keeper_pid") == 0, "no keeper")
        self.assertEqual(broker.control("stats")["counters"]["keeper_restarts"], 0)
        broker.stop()

    def test_it_has_nothing_of_its_host(self) -> None:
        broker = self.own_broker()
        self.ensure(broker, "b", on_crash="kill")
        keeper = self.keeper(broker)
        proc = pathlib.Path(f"/proc/{keeper}")
        self.assertEqual((proc / "environ").read_bytes(), b"")
        self.assertEqual(os.readlink(proc / "cwd"), "/")
        self.assertNotEqual(os.getsid(keeper), os.getsid(broker.pid))
        self.assertNotIn(keeper, programs.children(broker.pid))
        open_files = {int(fd.name): os.readlink(fd) for fd in (proc / "fd").iterdir()}
        self.assertEqual([open_files.pop(fd) for fd in (1, 2)], ["/dev/null"] * 2)
        self.assertRegex(open_files.pop(0), "^socket:")
        for name in open_files.values():
            self.assertRegex(name, r"pidfd|/cgroup\.kill$")
        self.assertLessEqual(len(open_files), 2)
        self.assertEqual(programs.cgroup_of(keeper), programs.cgroup_of(broker.pid))
        broker.stop()

    def test_it_hears_no_signal_that_ends_services(self) -> None:
        broker = self.own_broker()
        odd = self.member(broker, "b", on_crash="kill")
        keeper = self.keeper(broker)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
            os.kill(keeper, number)
        self.ensure(broker, "c", on_crash="kill")  # it has answered
        self.assertEqual(self.keeper(broker), keeper)
        self.assert_running(odd.pid)
        broker.stop()
        self.assertFalse(programs.is_running(keeper))

    def test_one_that_is_killed_is_started_again_and_the_promise_holds(self) -> None:
        broker = self.own_broker()
        odds = [self.member(broker, f"b-{number}", on_crash="kill") for number in range(3)]
        keeper = self.keeper(broker)
        os.kill(keeper, signal.SIGKILL)
        programs.wait_for(lambda: self.gauge(broker, "keeper_pid") not in (0, keeper), "another one")
        self.ensure(broker, "b-2", on_crash="kill")  # it has answered, in the order of messages
        self.assertEqual(broker.control("stats")["counters"]["keeper_restarts"], 1)
        self.assert_running(*(odd.pid for odd in odds))
        second = self.keeper(broker)
        self.crash(broker)
        self.until_gone(*(odd.pid for odd in odds), second)
        broker.start()
        broker.stop()

    def test_the_next_one_is_told_more_blocks_than_its_socket_takes_at_once(self) -> None:
        broker = self.own_broker()
        for number in range(1000):
            self.ensure(broker, f"b-{number}", on_crash="kill")
        os.kill(self.keeper(broker), signal.SIGKILL)
        odd = self.member(broker, "last", on_crash="kill")
        self.crash(broker)
        self.until_gone(odd.pid)
        programs.wait_for(lambda: not self.block_directories(broker), "all blocks are removed")
        broker.start()
        broker.stop()

    def test_one_that_is_stopped_is_replaced_and_harms_nobody(self) -> None:
        broker = self.own_broker()
        odd = self.member(broker, "b", on_crash="kill")
        keeper = self.keeper(broker)
        os.kill(keeper, signal.SIGSTOP)
        self.ensure(broker, "c", on_crash="kill")
        self.until_gone(keeper)
        self.assertNotEqual(self.keeper(broker), keeper)
        self.assert_running(odd.pid)
        broker.stop()

    def test_a_broker_that_is_stopped_for_a_while_is_not_dead(self) -> None:
        broker = self.own_broker()
        odd = self.member(broker, "b", on_crash="kill")
        keeper = self.keeper(broker)
        broker.process.send_signal(signal.SIGSTOP)
        self.addCleanup(lambda: broker.process and broker.process.send_signal(signal.SIGCONT))
        programs.wait_for(lambda: programs.stat_fields(broker.pid)[0] == "T", "stopped")
        for _ in range(3):  # it wakes, and finds nothing to do
            os.kill(keeper, signal.SIGSTOP)
            programs.wait_for(lambda: programs.stat_fields(keeper)[0] == "T", "keeper stopped")
            os.kill(keeper, signal.SIGCONT)
            programs.wait_for(lambda: programs.stat_fields(keeper)[0] == "S", "keeper waits")
        self.assert_running(odd.pid)
        broker.process.send_signal(signal.SIGCONT)
        self.ensure(broker, "b", on_crash="kill")
        self.assertEqual(self.keeper(broker), keeper)
        broker.stop()

    def test_a_signal_to_the_brokers_whole_group_is_an_end_in_order(self) -> None:
        broker = Broker(feed=feed_wanted(), own_session=True)
        self.addCleanup(broker.destroy)
        broker.start()
        kept = self.member(broker, "kept", on_exit="keep", on_crash="kill")
        keeper = self.keeper(broker)
        os.killpg(broker.pid, signal.SIGTERM)
        self.assertEqual(broker.process.wait(2 * DEADLINE), 0)
        self.until_gone(keeper)
        self.assert_running(kept.pid)
        broker.start()
        self.ensure(broker, "kept", on_crash="kill")
        keeper = self.keeper(broker)
        os.killpg(broker.pid, signal.SIGKILL)
        broker.process.wait()
        self.until_gone(kept.pid, keeper)
        broker.start()
        broker.stop()

    def test_it_belongs_to_no_block(self) -> None:
        broker = self.own_broker()
        told = self.ensure(broker, "b", on_crash="kill")
        keeper = self.keeper(broker)
        with self.refused("not_permitted"):
            broker.control("assign_process", block_id="b", pid=keeper)
        odd = self.odd(told, "hold")
        pathlib.Path(told["procs_path"]).write_text(str(keeper))  # anybody of ours may do that
        self.crash(broker)
        self.until_gone(odd.pid, keeper)
        self.assertEqual(self.block_directories(broker), set())
        broker.start()
        broker.stop()

    def test_without_its_program_kill_is_refused_and_nothing_is_made(self) -> None:
        broker = self.own_broker(keeper="/no/such/keeper")
        (tried,) = [tried for tried in broker.control("describe")["tried"] if tried["what"] == "keeper"]
        self.assertIs(tried["ok"], False)
        self.assertIn("/no/such/keeper", tried["why"])
        for _ in range(2):
            with self.refused("not_supported"), self.naming("/no/such/keeper"):
                self.ensure(broker, "b", on_crash="kill")
        self.assertEqual(broker.control("list_all_blocks")["block_ids"], [])
        self.assertIs(self.ensure(broker, "b", on_crash="keep")["created"], True)
        broker.stop()

    @contextlib.contextmanager
    def naming(self, word: str) -> Any:
        try:
            yield
        except Exception as refusal:
            self.assertIn(word, str(refusal))
            raise

    def test_one_that_ends_at_once_is_a_refusal_too(self) -> None:
        broker = self.own_broker(keeper="/bin/false")
        with self.refused("not_supported"):
            self.ensure(broker, "b", on_crash="kill")
        self.assertEqual(broker.control("list_all_blocks")["block_ids"], [])
        broker.stop()

    MUTE = """#!/usr/bin/python3
import os
os.write(0, f"ready {os.getpid()}".encode())
while os.read(0, 256):
    pass
"""

    def test_one_that_runs_and_never_answers_is_a_refusal_too(self) -> None:
        with tempfile.TemporaryDirectory(prefix="proctrack-test-") as name:
            keeper = pathlib.Path(name) / "keeper"
            keeper.write_text(self.MUTE)
            keeper.chmod(0o755)
            broker = self.own_broker(keeper=keeper)
            with self.refused("not_supported"), self.naming("does not answer"):
                broker.control.ask("ensure_tracker", {"block_id": "b", "on_crash": "kill"},
                                   timeout=DEADLINE + 20)  # three tries of 5 s each
            self.assertEqual(broker.control("list_all_blocks")["block_ids"], [])
            broker.stop()

    PROGRAM = pathlib.Path(os.environ["PROCTRACK_SO"]).parent / "proctrack-keeper"

    def with_linked_keeper(self) -> tuple[Broker, pathlib.Path]:
        """A broker whose keeper can be had as long as this link is there."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-test-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", directory], check=True)
        link = directory / "keeper"
        link.symlink_to(self.PROGRAM)
        return self.own_broker(keeper=link), link

    def test_a_promise_that_ceases_to_hold_is_told_and_so_is_its_return(self) -> None:
        broker, link = self.with_linked_keeper()
        watch = broker.watch("b")
        odd = self.member(broker, "b", on_crash="kill")
        reason = broker.control("confidence_of", block_id="b")["confidence_reason"]
        link.unlink()
        os.kill(self.keeper(broker), signal.SIGKILL)
        told = watch.until_event("block-changed").data["confidence_reason"]
        self.assertIn("on_crash: kill does not hold", told)
        with self.refused("not_supported"):
            self.ensure(broker, "b", on_crash="kill")
        self.assertIs(self.ensure(broker, "b")["created"], False)
        link.symlink_to(self.PROGRAM)
        watch.until_event("block-changed", confidence_reason=reason)
        self.ensure(broker, "b", on_crash="kill")
        self.crash(broker)
        self.until_gone(odd.pid)
        broker.start()
        broker.stop()

    def lose_keeper(self, broker: Broker, link: pathlib.Path) -> None:
        """And no other one can be had."""
        link.unlink()
        os.kill(self.keeper(broker), signal.SIGKILL)
        programs.wait_for(lambda: self.is_doubted(broker, "b"), "it is known to be lost")

    @staticmethod
    def is_doubted(broker: Broker, block_id: str) -> bool:
        told = broker.control("confidence_of", block_id=block_id)
        return "on_crash: kill does not hold" in told["confidence_reason"]

    def test_who_asks_while_it_cannot_be_had_has_it_tried_at_once(self) -> None:
        broker, link = self.with_linked_keeper()
        odd = self.member(broker, "b", on_crash="kill")
        self.lose_keeper(broker, link)
        with self.refused("not_supported"):
            self.ensure(broker, "b", on_crash="kill")
        link.symlink_to(self.PROGRAM)
        self.ensure(broker, "c", on_crash="kill")  # the first that asks, and no later one
        self.ensure(broker, "b", on_crash="kill")
        self.assertFalse(self.is_doubted(broker, "b"))
        self.crash(broker)
        self.until_gone(odd.pid)
        broker.start()
        broker.stop()

    def test_it_can_be_had_again_though_the_last_that_wanted_it_is_gone(self) -> None:
        broker, link = self.with_linked_keeper()
        self.ensure(broker, "b", on_crash="kill")
        self.lose_keeper(broker, link)
        broker.control("remove", block_id="b")
        with self.refused("not_supported"):
            self.ensure(broker, "b", on_crash="kill")
        link.symlink_to(self.PROGRAM)
        odd = self.member(broker, "b", on_crash="kill")
        self.crash(broker)
        self.until_gone(odd.pid)
        broker.start()
        broker.stop()
