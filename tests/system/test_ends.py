# SPDX-License-Identifier: Apache-2.0
"""Orderly ends: stop_tree, signal_tree, kill_started, wait_empty, freeze, thaw."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time
import unittest
from typing import Any

import zmq

from blackbox import hanging, programs
from blackbox.case import Block, SystemCase
from blackbox.programs import Odd
from blackbox.wire import DEADLINE, GRACE_MS, Ask, pack

READY = "echo '{\"what\":\"ready\"}'"


class EndsCase(SystemCase):
    """A canary outside lives through every test."""

    def setUp(self) -> None:
        super().setUp()
        self.canary = Odd("hold")
        self.addCleanup(self.canary.close)
        self.canary.until("ready")
        self.addCleanup(self.check_canary)

    def check_canary(self) -> None:
        self.assertTrue(programs.is_running(self.canary.pid), "the canary outside was ended")

    def members(self, block: Block, *args: object, n: int = 1) -> list[Odd]:
        odds = [block.odd(*args) for _ in range(n)]
        for odd in odds:
            odd.until("ready")
            block.watch.until_added(odd.pid)
        return odds

    def in_scope(self, block: Block, scope: str, *args: object) -> Odd:
        """A member of a sub-scope that is made for it."""
        odd = Odd(*args, environment=block.tag | {"PROCTRACK_SCOPE": scope})
        self.addCleanup(odd.close)
        odd.until("ready")
        block.assign(odd.pid, scope=scope)
        block.watch.until_added(odd.pid)
        return odd

    def stop(self, block: Block, **more: Any) -> dict[str, Any]:
        return self.control("stop_tree", block_id=block.id, **more)


class StopTree(EndsCase):
    def test_those_who_obey_are_not_killed(self) -> None:
        block = self.block()
        odds = self.members(block, "hold", n=3)
        reply = self.stop(block)
        self.assertEqual((reply["exited"], reply["killed"], reply["survivors"]), (3, 0, []))
        for odd in odds:
            block.check_end(odd.pid, ("signal", signal.SIGTERM))
        self.assertEqual(block.listed(), {})
        self.assertTrue(self.control("list_block", block_id=block.id)["tracked"], "the block stays")

    def test_who_does_not_obey_is_killed_when_grace_is_over(self) -> None:
        block = self.block()
        (polite,), (stubborn,) = self.members(block, "hold"), self.members(block, "ignore-term")
        reply = self.stop(block, grace_ms=GRACE_MS)
        self.assertEqual((reply["exited"], reply["killed"], reply["survivors"]), (1, 1, []))
        self.assertGreaterEqual(reply["elapsed_ms"], GRACE_MS)
        block.check_end(polite.pid, ("signal", signal.SIGTERM))
        block.check_end(stubborn.pid, ("signal", signal.SIGKILL))

    def test_grace_of_nothing_kills_at_once(self) -> None:
        block = self.block()
        self.members(block, "ignore-term", n=2)
        reply = self.stop(block, grace_ms=0)
        self.assertEqual(reply["killed"] + reply["exited"], 2)
        self.assertEqual(block.listed(), {})

    def test_another_signal_is_sent_where_one_is_named(self) -> None:
        block = self.block()
        (odd,) = self.members(block, "hold")
        self.stop(block, signal=signal.SIGUSR1)
        block.check_end(odd.pid, ("signal", signal.SIGUSR1))

    def test_an_empty_block_is_stopped_at_once(self) -> None:
        block = self.block()
        reply = self.stop(block)
        self.assertEqual((reply["exited"], reply["killed"], reply["survivors"]), (0, 0, []))
        self.assertEqual(self.stop(block, scope="never/made")["survivors"], [])

    def test_a_sub_scope_that_is_made_while_it_is_stopped_does_not_stay_behind(self) -> None:
        for _ in range(20):
            block = self.block()
            scope = {"block_id": block.id, "scope": "bg/1"}
            self.ask_all([{"command": "stop_tree", "data": scope | {"grace_ms": 0}},
                          {"command": "ensure_tracker", "data": scope}] * 3)
            self.assertIs(block.remove()["ok"], True)

    def test_a_sub_scope_is_stopped_alone(self) -> None:
        block = self.block()
        (main,) = self.members(block, "hold")
        inner = [self.in_scope(block, scope, "hold") for scope in ("bg/7", "bg/8")]
        self.assertEqual(self.stop(block, scope="bg/7")["exited"], 1)
        self.assertEqual(set(block.listed()), {main.pid, inner[1].pid})
        self.assertEqual(self.stop(block, scope="bg")["exited"], 1)
        self.assertEqual(set(block.listed()), {main.pid})

    def test_killing_main_leaves_background_work_running_and_listed(self) -> None:
        block = self.block()
        (main,) = self.members(block, "hold")
        background = self.in_scope(block, "bg/7", "hold")
        self.control("kill_tree", block_id=block.id, scope="main")
        block.check_end(main.pid, ("signal", signal.SIGKILL))
        self.assertEqual(block.listed()[background.pid]["scope"], "bg/7")
        self.assertTrue(programs.is_running(background.pid))

    def test_those_who_are_born_while_it_stops_end_too(self) -> None:
        block = self.block()
        shell = block.sh(f"trap '' TERM; {READY}; while :; do {Odd.path} exit 0; done")
        shell.until("ready")
        reply = self.stop(block, grace_ms=300)
        self.assertEqual(reply["survivors"], [])
        self.assertEqual(reply["killed"] > 0, True)
        self.assertEqual(block.listed(), {})
        self.assertEqual(shell.process.wait(DEADLINE), -signal.SIGKILL)

    def test_a_frozen_tree_hears_of_it(self) -> None:
        block = self.block()
        (odd,) = self.members(block, "hold")
        if not self.freezes():
            self.skipTest("freezing needs cgroups")
        self.assertTrue(self.control("freeze", block_id=block.id)["ok"])
        self.assertEqual(self.stop(block)["exited"], 1)
        block.check_end(odd.pid, ("signal", signal.SIGTERM))

    def freezes(self) -> bool:
        return self.tracker == "cgroup"

    def test_a_hundred_stops_at_once_hold_up_nobody(self) -> None:
        blocks = [self.block() for _ in range(25)]
        for block in blocks:
            self.members(block, "ignore-term")
        requests = [{"command": "stop_tree", "data": {"block_id": block.id, "grace_ms": 700}}
                    for block in blocks for _ in range(4)]
        done: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: done.extend(self.ask_all(requests)))
        thread.start()
        begun = time.monotonic()
        for _ in range(20):
            self.control("describe")
        spent = time.monotonic() - begun
        thread.join()
        self.assertLess(spent, 0.7 * DEADLINE / 15 * 10)
        self.assertEqual(len(done), 100)
        for reply in done:
            self.assertEqual(reply["data"]["survivors"], [], reply)

    def test_a_client_that_is_gone_by_then_changes_nothing(self) -> None:
        block = self.block()
        (odd,) = self.members(block, "ignore-term")
        with zmq.Context.instance().socket(zmq.DEALER) as dealer:
            dealer.linger = -1
            dealer.connect(self.broker.endpoint("control"))
            dealer.send_multipart([b"", pack({"command": "stop_tree", "data": {
                "block_id": block.id, "grace_ms": 100}})])
            dealer.poll(50)
        block.check_end(odd.pid, ("signal", signal.SIGKILL))
        self.control("describe")

    def test_a_removal_meanwhile_ends_the_wait(self) -> None:
        block = self.block()
        self.members(block, "ignore-term")
        replies: list[dict[str, Any]] = []
        other = Ask(self.broker.endpoint("control"), "control", self.broker.schemas)
        thread = threading.Thread(target=lambda: replies.append(other(
            "stop_tree", block_id=block.id, grace_ms=9000)))
        thread.start()
        programs.wait_for(lambda: self.control("stats")["gauges"]["requests_waiting"] > 1,
                          "it waits, and we do")
        self.assertEqual(block.remove()["survivors"], [])
        thread.join()
        other.close()
        self.assertEqual(replies[0]["survivors"], [])

    def test_what_makes_no_sense_is_refused(self) -> None:
        block = self.block()
        with self.refused("no_such_block"):
            self.control("stop_tree", block_id="unknown")
        for bad in ({"signal": 0}, {"signal": 65}, {"grace_ms": 500, "timeout_ms": 500},
                    {"grace_ms": -1}, {"scope": "/x"}):
            with self.refused("invalid_argument"):
                self.broker.control.ask("stop_tree", {"block_id": block.id} | bad, right=False)

    @unittest.skipUnless(os.geteuid() == 0, "making cgroups by hand needs root")
    def test_cgroups_that_members_made_themselves_are_stopped_too(self) -> None:
        block = self.block()
        inside = pathlib.Path(block.procs_path).parent / "own" / "deeper"
        inside.mkdir(parents=True)
        odds = self.members(block, "ignore-term", n=2)
        (inside / "cgroup.procs").write_text(str(odds[0].pid))
        reply = self.stop(block, grace_ms=100)
        self.assertEqual(reply["survivors"], [])
        for odd in odds:
            block.check_end(odd.pid, ("signal", signal.SIGKILL))
        self.assertEqual(block.remove()["survivors"], [])

    @unittest.skipUnless(os.geteuid() == 0, "making cgroups by hand needs root")
    def test_who_has_threads_in_a_threaded_cgroup_is_listed_and_stopped_too(self) -> None:
        block = self.block()
        inside = pathlib.Path(block.procs_path).parent / "threads"
        inside.mkdir()
        (inside / "cgroup.type").write_text("threaded")
        odd = block.odd("threads", 3)
        odd.until("ready")
        for thread in os.listdir(f"/proc/{odd.pid}/task"):
            (inside / "cgroup.threads").write_text(thread)
        block.watch.until_added(odd.pid)
        self.assertEqual(set(block.listed()), {odd.pid})
        self.assertEqual(self.control("signal_tree", block_id=block.id, signal=0x12)["signalled"], [odd.pid])
        self.assertEqual(self.stop(block, grace_ms=100)["survivors"], [])
        self.assertEqual(block.remove()["survivors"], [])
        block.watch.until_ended(odd.pid)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a file system needs root")
    def test_a_removal_that_has_nobody_left_to_name_says_why_it_is_not_over(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("a block without a cgroup has nothing that could be busy")
        block = self.block()
        odd = self.members(block, "hold")[0]
        busy = pathlib.Path(block.procs_path).parent  # nobody removes what something is mounted on
        subprocess.run(["mount", "-t", "tmpfs", "proctrack-test", busy], check=True)
        mounted = contextlib.ExitStack()
        mounted.callback(subprocess.run, ["umount", busy], check=True)
        self.addCleanup(mounted.close)
        with self.refused("timeout"):
            self.control("remove", block_id=block.id, timeout_ms=100)
        block.check_end(odd.pid, ("signal", 9))
        self.assertIn(block.id, self.control("list_all_blocks")["block_ids"])
        mounted.close()
        block.watch.until_event("block-removed", reason="removed")  # it went on
        self.assertIs(self.control("ensure_tracker", block_id=block.id)["created"], True)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a file system needs root")
    def test_one_in_state_d_is_named_by_the_deadline(self) -> None:
        block, file = self.block(), hanging.hanging_file(self)
        odd = block.odd("exec-later", "cat", file.path)
        block.watch.until_added(odd.pid)
        odd.say()
        self.assertTrue(file.wanted.wait(DEADLINE), "nobody reads the file")
        reply = self.stop(block, grace_ms=50, timeout_ms=600)
        self.assertEqual([(one["pid"], one["state"], one["escaped"]) for one in reply["survivors"]],
                         [(odd.pid, "D", False)])
        self.assertIs(self.control("wait_empty", block_id=block.id, timeout_ms=50)["empty"], False)
        file.release()
        self.assertTrue(self.control("wait_empty", block_id=block.id,
                                     timeout_ms=int(DEADLINE * 1000))["empty"])


class WaitEmpty(EndsCase):
    def test_an_empty_block_is_empty_at_once(self) -> None:
        block = self.block()
        reply = self.control("wait_empty", block_id=block.id, timeout_ms=0)
        self.assertEqual((reply["empty"], reply["remaining"]), (True, 0))

    def test_it_is_told_when_the_last_one_ends(self) -> None:
        block = self.block()
        odds = self.members(block, "hold", n=2)
        reply = self.control("wait_empty", block_id=block.id, timeout_ms=1)
        self.assertEqual((reply["empty"], reply["remaining"]), (False, 2))
        other = Ask(self.broker.endpoint("control"), "control", self.broker.schemas)
        replies: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: replies.append(other(
            "wait_empty", block_id=block.id, timeout_ms=int(DEADLINE * 1000))))
        thread.start()
        odds[0].finish()
        block.watch.until_ended(odds[0].pid)
        self.assertEqual(replies, [])
        odds[1].finish()
        thread.join()
        other.close()
        self.assertEqual((replies[0]["empty"], replies[0]["remaining"]), (True, 0))
        block.watch.until_ended(odds[1].pid)
        self.assertGreaterEqual(replies[0]["seq"], block.watch.stay(odds[1].pid).end.data["seq"])

    def test_a_sub_scope_is_waited_for_alone(self) -> None:
        block = self.block()
        self.members(block, "hold")
        background = self.in_scope(block, "bg/7", "hold")
        self.assertFalse(self.control("wait_empty", block_id=block.id, scope="bg", timeout_ms=1)["empty"])
        background.finish()
        self.assertTrue(self.control("wait_empty", block_id=block.id, scope="bg",
                                     timeout_ms=int(DEADLINE * 1000))["empty"])

    def test_an_unknown_block_is_no_such_block(self) -> None:
        with self.refused("no_such_block"):
            self.control("wait_empty", block_id="unknown", timeout_ms=0)


class SignalTree(EndsCase):
    def test_all_members_get_it_and_nobody_else(self) -> None:
        block, other = self.block(), self.block()
        odds = self.members(block, "ignore-term", n=3)
        (neighbour,) = self.members(other, "hold")
        reply = self.control("signal_tree", block_id=block.id, signal=signal.SIGTERM)
        self.assertEqual(set(reply["signalled"]), {odd.pid for odd in odds})
        self.assertEqual(len(reply["signalled"]), 3)
        self.control("signal_tree", block_id=block.id, signal=signal.SIGUSR2)
        for odd in odds:
            block.check_end(odd.pid, ("signal", signal.SIGUSR2))
        self.assertTrue(programs.is_running(neighbour.pid))

    def test_a_sub_scope_alone_is_signalled(self) -> None:
        block = self.block()
        (main,) = self.members(block, "hold")
        background = self.in_scope(block, "bg/7", "hold")
        reply = self.control("signal_tree", block_id=block.id, scope="bg", signal=signal.SIGTERM)
        self.assertEqual(reply["signalled"], [background.pid])
        block.check_end(background.pid, ("signal", signal.SIGTERM))
        self.assertTrue(programs.is_running(main.pid))

    def test_nobody_is_signalled_in_an_empty_block(self) -> None:
        reply = self.control("signal_tree", block_id=self.block().id, signal=signal.SIGTERM)
        self.assertEqual(reply["signalled"], [])

    def test_what_makes_no_sense_is_refused(self) -> None:
        block = self.block()
        with self.refused("no_such_block"):
            self.control("signal_tree", block_id="unknown", signal=15)
        for bad in ({}, {"signal": 0}, {"signal": 65}, {"signal": "TERM"}):
            with self.refused("invalid_argument"):
                self.broker.control.ask("signal_tree", {"block_id": block.id} | bad, right=False)


class Freeze(EndsCase):
    def spinner(self, block: Block) -> Odd:
        odd = block.begin(["/bin/sh", "-c", f"{READY}; while :; do :; done"])
        odd.until("ready")
        return odd

    def ticks(self, pid: int) -> int:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "cgroup":
            self.skipTest("freezing needs cgroups")

    def test_a_frozen_tree_stands_still_until_it_is_thawed(self) -> None:
        block = self.block()
        odd = self.spinner(block)
        self.assertTrue(self.control("freeze", block_id=block.id)["ok"])
        before = self.ticks(odd.pid)
        time.sleep(0.3)
        self.assertEqual(self.ticks(odd.pid), before)
        self.assertTrue(self.control("thaw", block_id=block.id)["ok"])
        programs.wait_for(lambda: self.ticks(odd.pid) > before, "it goes on")

    def test_a_frozen_tree_is_killed_as_any_other(self) -> None:
        block = self.block()
        (odd,) = self.members(block, "hold")
        self.control("freeze", block_id=block.id)
        self.assertEqual(block.remove()["survivors"], [])
        block.check_end(odd.pid, ("signal", signal.SIGKILL))

    def test_a_sub_scope_is_frozen_alone(self) -> None:
        block = self.block()
        (main,) = self.members(block, "hold")
        self.in_scope(block, "bg/7", "hold")
        self.assertTrue(self.control("freeze", block_id=block.id, scope="bg")["ok"])
        main.finish()
        block.check_end(main.pid, ("exit_code", 0))

    def test_a_sub_scope_that_is_not_there_is_not_ok(self) -> None:
        block = self.block()
        for command in ("freeze", "thaw"):
            self.assertFalse(self.control(command, block_id=block.id, scope="none")["ok"])
            with self.refused("no_such_block"):
                self.control(command, block_id="unknown")


class FreezeWithoutCgroups(EndsCase):
    def test_it_is_refused_with_the_reason(self) -> None:
        if self.tracker == "cgroup":
            self.skipTest("here it is possible")
        with self.refused("not_supported"):
            self.control("freeze", block_id=self.block().id)


class KillStarted(EndsCase):
    """`started` by the rule: children of shells and of what is started, shells themselves, orphans."""

    def agent(self, block: Block, script: str) -> Odd:
        """A root that is an agent: its own helper, and a shell that runs a tool call."""
        agent = Odd(argv=["/usr/bin/python3", "-c", script, Odd.path], environment=block.tag)
        self.addCleanup(agent.close)
        agent.until("ready")
        block.assign(agent.pid)
        block.watch.until_added(agent.pid)
        agent.say()
        return agent

    SCRIPT = """
import subprocess, sys
print('{"what":"ready"}', flush=True)
sys.stdin.readline()
helper = subprocess.Popen(["sleep", "1001"], stdin=subprocess.DEVNULL)
tools = [subprocess.Popen(["sh", "-c", f"sleep 200{i} & sleep 300{i}; true"], stdin=subprocess.DEVNULL)
         for i in range(2)]
print('{"what":"going"}', flush=True)
sys.stdin.readline()
"""

    def by_command(self, block: Block, wanted: int) -> dict[str, int]:
        """So many members, each with a command of its own: until its exec a child has its parent's."""
        def found() -> dict[str, int] | None:
            pids = {record["command"]: pid for pid, record in block.listed().items()}
            return pids if len(pids) == wanted else None

        return programs.wait_for(found, f"{wanted} members")

    def test_what_was_started_ends_and_the_agent_and_its_helpers_live_on(self) -> None:
        block = self.block()
        agent = self.agent(block, self.SCRIPT)
        agent.until("going")
        pids = self.by_command(block, 8)
        started = {pid for command, pid in pids.items()
                   if command.startswith(("sh -c", "sleep 200", "sleep 300"))}
        listed = self.control("list_block", block_id=block.id, only="started")["processes"]
        self.assertEqual({record["pid"] for record in listed}, started)
        reply = self.control("kill_started", block_id=block.id)
        self.assertEqual(set(reply["killed"]), started)
        for pid in started:
            block.check_end(pid, ("signal", signal.SIGKILL))
        self.assertEqual(set(block.listed()), {agent.pid, pids["sleep 1001"]})

    def test_the_subtree_of_one_pid_ends_alone(self) -> None:
        block = self.block()
        agent = self.agent(block, self.SCRIPT)
        agent.until("going")
        pids = self.by_command(block, 8)
        tool = next(pid for command, pid in pids.items() if "2001" in command and "sh -c" in command)
        mine = {tool, pids["sleep 2001"], pids["sleep 3001"]}
        reply = self.control("kill_started", block_id=block.id, pid=tool)
        self.assertEqual(set(reply["killed"]), mine)
        for pid in mine:
            block.check_end(pid, ("signal", signal.SIGKILL))
        self.assertEqual(set(block.listed()), set(pids.values()) - mine)
        agent_reply = self.control("kill_started", block_id=block.id, pid=agent.pid)
        self.assertEqual(len(agent_reply["killed"]), 3)

    def test_a_root_is_never_killed_even_if_it_is_a_shell(self) -> None:
        block = self.block()
        shell = Odd(argv=["/bin/sh", "-c", f"{READY}; sleep 1000 & read x"], environment=block.tag)
        self.addCleanup(shell.close)
        shell.until("ready")
        block.assign(shell.pid)
        pids = self.by_command(block, 2)
        reply = self.control("kill_started", block_id=block.id)
        # What was there before the root was assigned came along, and has a shell as its parent.
        self.assertEqual(reply["killed"], [pids["sleep 1000"]])
        self.assertTrue(programs.is_running(shell.pid))

    def test_what_is_made_while_it_kills_ends_too(self) -> None:
        block = self.block()
        agent = self.agent(block, """
import subprocess, sys
print('{"what":"ready"}', flush=True)
sys.stdin.readline()
subprocess.Popen(["sh", "-c", "while :; do sleep 0.01 & sleep 0.01; done"], stdin=subprocess.DEVNULL)
print('{"what":"going"}', flush=True)
sys.stdin.readline()
""")
        agent.until("going")
        programs.wait_for(lambda: len(block.listed()) > 1, "the loop")
        self.assertGreater(len(self.control("kill_started", block_id=block.id)["killed"]), 0)
        programs.wait_for(lambda: set(block.listed()) == {agent.pid}, "the agent alone is left")

    def test_what_makes_no_sense_is_refused(self) -> None:
        with self.refused("no_such_block"):
            self.control("kill_started", block_id="unknown")
        with self.refused("no_such_process"):
            self.control("kill_started", block_id=self.block().id, pid=self.canary.pid)
