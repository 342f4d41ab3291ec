# SPDX-License-Identifier: Apache-2.0
"""What the agent started: `started` by the rule of PROTOCOL.md, section 3.2, as a table of cases with real
processes, and what kill_started ends of them. With the feed poll the rule holds for what a scan saw."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
from typing import Any, Callable, NamedTuple

from blackbox import programs
from blackbox.broker import Broker
from blackbox.case import SystemCase, feed_wanted
from blackbox.programs import Odd
from blackbox.wire import DEADLINE

#: An agent: no shell, in a session of its own as in a terminal. It launches what it is told, a line each.
AGENT = """
import json, os, subprocess, sys
os.setsid()
print('{"what":"ready"}', flush=True)
launched = []
for line in sys.stdin:
    told = json.loads(line)
    launched.append(subprocess.Popen(told["argv"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     env=os.environ | told.get("environment", {})))
    if told.get("waits"):
        launched[-1].wait()
    print('{"what":"launched"}', flush=True)
"""
AGENT_ARGV = ["/usr/bin/python3", "-c", AGENT]
SHELL_ARGV = ["/bin/sh", "-c", "echo '{\"what\":\"ready\"}'; while read -r line; do eval \"$line\"; done"]
AGENT_SHOWN, SHELL_SHOWN = " ".join(AGENT_ARGV), " ".join(SHELL_ARGV)


def call(*argv: str, **more: Any) -> str:
    """What an agent is told to launch."""
    return json.dumps({"argv": argv} | more)


class Case(NamedTuple):
    name: str
    root: list[str]  # its argv
    steps: list[str]  # lines that it is told
    started: set[str]  # the commands of those who are started, and of those who are not; the root is not
    spared: set[str] = frozenset()
    below: str = ""  # a member, and whom kill_started ends that is told its pid
    of_those: set[str] = frozenset()


CASES = [
    Case("an idle agent with helper servers", AGENT_ARGV,
         [call("sleep", "1001"), call("sleep", "1002"), call("env", "-i", "/bin/sleep", "1003")],
         started=set(), spared={"sleep 1001", "sleep 1002", "/bin/sleep 1003"}, below="sleep 1001"),
    Case("a helper that has helpers of its own", AGENT_ARGV,
         [call("/usr/bin/python3", "-c", "import subprocess; subprocess.run(['sleep', '1011'])")],
         started=set(), spared={"/usr/bin/python3 -c import subprocess; subprocess.run(['sleep', '1011'])",
                                "sleep 1011"}),
    Case("a tool call by a shell that stays", AGENT_ARGV,
         [call("sleep", "1021"), call("sh", "-c", "sleep 1022; true"), call("sh", "-c", "sleep 1023; true")],
         started={"sh -c sleep 1022; true", "sleep 1022", "sh -c sleep 1023; true", "sleep 1023"},
         spared={"sleep 1021"}, below="sh -c sleep 1022; true",
         of_those={"sh -c sleep 1022; true", "sleep 1022"}),
    Case("a tool call by bash, which stays", AGENT_ARGV,
         [call("bash", "-c", "sleep 1031; true")],
         started={"bash -c sleep 1031; true", "sleep 1031"}, below="sleep 1031", of_those={"sleep 1031"}),
    Case("a login shell", AGENT_ARGV,
         [call("/usr/bin/python3", "-c", "import os; os.execv('/bin/sh', ['-sh', '-c', 'sleep 1041; true'])")],
         started={"-sh -c sleep 1041; true", "sleep 1041"}),
    Case("a tool call through a wrapper that is no shell", AGENT_ARGV,
         [call("timeout", "1000", "sh", "-c", "sleep 1051; true")],
         started={"sh -c sleep 1051; true", "sleep 1051"},
         spared={"timeout 1000 sh -c sleep 1051; true"},
         below="timeout 1000 sh -c sleep 1051; true", of_those={"sh -c sleep 1051; true", "sleep 1051"}),
    Case("what a tool call makes without any shell", AGENT_ARGV,
         [call("sh", "-c", "/usr/bin/python3 -c 'import subprocess; subprocess.run([\"sleep\", \"1061\"])'; true")],
         started={"sh -c /usr/bin/python3 -c 'import subprocess; subprocess.run([\"sleep\", \"1061\"])'; true",
                  "/usr/bin/python3 -c import subprocess; subprocess.run([\"sleep\", \"1061\"])", "sleep 1061"}),
    Case("an orphan whose shell is gone", AGENT_ARGV,
         [call("sleep", "1071"), call("sh", "-c", "sleep 1072 & true", waits=True)],
         started={"sleep 1072"}, spared={"sleep 1071"}, below="sleep 1072", of_those={"sleep 1072"}),
    Case("a terminal that is rooted at a shell", SHELL_ARGV,
         ["sleep 1081 &", "bash -c 'sleep 1082; true' &"],
         started={"sleep 1081", "bash -c sleep 1082; true", "sleep 1082"},
         below="bash -c sleep 1082; true", of_those={"bash -c sleep 1082; true", "sleep 1082"}),
    Case("an agent in a terminal", SHELL_ARGV,
         ["/usr/bin/python3 -c 'import subprocess; subprocess.run([\"sleep\", \"1091\"])' &"],
         started={"/usr/bin/python3 -c import subprocess; subprocess.run([\"sleep\", \"1091\"])", "sleep 1091"}),
]


class StartedCase(SystemCase):
    def root(self, argv: list[str], environment: dict[str, str], assign: Callable[[int], Any]) -> Odd:
        odd = Odd(argv=argv, environment=environment)
        self.addCleanup(odd.close)
        odd.until("ready")
        assign(odd.pid)
        return odd

    def launch(self, root: Odd, steps: list[str]) -> None:
        before = len(root.told("launched"))
        for step in steps:
            root.say(step)
        if root.command == AGENT_ARGV:
            root.until("launched", times=before + len(steps))

    @staticmethod
    def until_there(listed: Callable[[], list[dict[str, Any]]], commands: set[str]) -> dict[str, dict]:
        """The records by command, when these are there and nobody else."""
        def all_there() -> list[dict[str, dict]]:
            found = {record["command"]: record for record in listed()}
            return [found] if set(found) == commands else []
        try:
            return programs.wait_for(all_there, "they are listed")[0]
        except AssertionError:
            raise AssertionError(f"not {commands}, but {[r['command'] for r in listed()]}") from None

    def assert_started(self, records: dict[str, dict], started: set[str]) -> None:
        self.assertEqual({command for command, record in records.items() if record["started"]}, started)
        for command, record in records.items():
            self.assertEqual(record["root"], command in (AGENT_SHOWN, SHELL_SHOWN), command)


class Rule(StartedCase):
    def listed_in(self, block_id: str, **more: Any) -> Callable[[], list[dict[str, Any]]]:
        return lambda: self.control("list_block", block_id=block_id, **more)["processes"]

    def test_the_table_of_cases(self) -> None:
        for case in CASES:
            with self.subTest(case.name):
                if not all(shutil.which(word) for word in ("bash", "timeout")):
                    self.skipTest("bash or timeout is not installed")
                self.one_case(case)

    def one_case(self, case: Case) -> None:
        block = self.block()
        root = self.root(case.root, block.tag, block.assign)
        self.launch(root, case.steps)
        shown = " ".join(case.root)
        records = self.until_there(self.listed_in(block.id), case.started | case.spared | {shown})
        self.assert_started(records, case.started)
        self.until_there(self.listed_in(block.id, only="started"), case.started)
        block.watch.catch_up()
        for record in records.values():  # events tell the same
            self.assertEqual(block.watch.stay(record["pid"]).record["started"], record["started"])
        self.check_kills(case, block, {name: record["pid"] for name, record in records.items()})
        self.assertEqual(block.remove()["survivors"], [])
        root.process.wait()

    def check_kills(self, case: Case, block: Any, pids: dict[str, int]) -> None:
        def kill(**of: int) -> set[int]:
            return set(self.control("kill_started", block_id=block.id, **of)["killed"])
        if case.below:
            of_those = {pids[command] for command in case.of_those}
            self.assertEqual(kill(pid=pids[case.below]), of_those)
            for pid in of_those:
                block.watch.until_ended(pid)
        else:
            of_those = set()
        started = {pids[command] for command in case.started}
        killed = kill()
        # A shell whose command was killed goes on and ends by itself: it may be faster.
        self.assertLessEqual(killed, started - of_those)
        for pid in started:
            block.watch.until_ended(pid)
        left = {pids[" ".join(case.root)]} | {pids[command] for command in case.spared}
        left -= {pids[command] for command in case.spared if command.startswith("timeout")}
        listed = set(block.listed())
        self.assertLessEqual(left, listed, "an agent or a helper was killed")
        self.assertLessEqual(listed, set(pids.values()) - started)
        self.assertEqual(kill(), set())

    def test_the_tool_call_of_bash_that_replaces_itself_is_started(self) -> None:
        """`bash -c` with one command execs it: there is no shell in the chain any more."""
        block = self.block()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-test-"))
        self.addCleanup(shutil.rmtree, folder)
        os.mkfifo(folder / "gate")
        (folder / "env").write_text(f"read -r line < {folder}/gate\n")
        agent = self.root(AGENT_ARGV, block.tag, block.assign)
        self.launch(agent, [call("bash", "-c", "sleep 1101", environment={"BASH_ENV": f"{folder}/env"})])
        listed = self.listed_in(block.id)
        before = self.until_there(listed, {AGENT_SHOWN, "bash -c sleep 1101"})
        (folder / "gate").write_text("go\n")
        records = self.until_there(listed, {AGENT_SHOWN, "sleep 1101"})
        self.assertEqual(records["sleep 1101"]["pid"], before["bash -c sleep 1101"]["pid"])
        self.assert_started(records, {"sleep 1101"})
        killed = self.control("kill_started", block_id=block.id, pid=agent.pid)["killed"]
        self.assertEqual(killed, [records["sleep 1101"]["pid"]])
        self.assertTrue(programs.is_running(agent.pid))

    def test_one_that_replaces_itself_at_once_is_started_where_the_shell_was_seen(self) -> None:
        block = self.block()
        agent = self.root(AGENT_ARGV, block.tag, block.assign)
        self.launch(agent, [call("bash", "-c", "sleep 1111")])
        listed = self.listed_in(block.id)
        record = self.until_there(listed, {AGENT_SHOWN, "sleep 1111"})["sleep 1111"]
        block.watch.catch_up()
        stay = block.watch.stay(record["pid"])
        seen = any(command.startswith("bash")
                   for command in (stay.added["command"], *stay.execs))
        self.assertEqual(record["started"], seen)
        if self.feed == "bpf":  # which brings the argv of each exec along
            self.assertTrue(seen)

    def test_the_helpers_of_a_root_that_is_respawned_are_spared_and_so_is_the_new_root(self) -> None:
        block = self.block()
        old = self.root(AGENT_ARGV, block.tag, block.assign)
        self.launch(old, [call("sleep", "1121"), call("sh", "-c", "sleep 1122; true")])
        tool = {"sh -c sleep 1122; true", "sleep 1122"}
        listed = self.listed_in(block.id)
        self.assert_started(self.until_there(listed, {AGENT_SHOWN, "sleep 1121"} | tool), tool)
        old.process.kill()
        old.process.wait()
        block.watch.until_ended(old.pid)
        new = self.root(AGENT_ARGV, block.tag, block.assign)
        self.launch(new, [call("sleep", "1123")])
        records = self.until_there(listed, {AGENT_SHOWN, "sleep 1121", "sleep 1123"} | tool)
        self.assertEqual(records[AGENT_SHOWN]["pid"], new.pid)
        self.assert_started(records, tool)
        pid_of = {command: record["pid"] for command, record in records.items()}
        of_new = self.control("kill_started", block_id=block.id, pid=new.pid)["killed"]
        self.assertEqual(of_new, [], "it started nothing")
        killed = self.control("kill_started", block_id=block.id)["killed"]
        self.assertEqual(set(killed), {pid_of[command] for command in tool})
        self.until_there(listed, {AGENT_SHOWN, "sleep 1121", "sleep 1123"})


class Orphans(StartedCase):
    """No scan comes by itself: a feed that tells of no births first sees who was left behind. Orphans are ours
    then, who are a child subreaper as service managers and terminals are, and not init's."""

    options = {"poll-ms": 3600000}

    def test_one_whose_shell_was_gone_before_anybody_saw_it_is_started_and_a_helper_is_not(self) -> None:
        block_id = self.new_id()
        self.control("ensure_tracker", block_id=block_id)
        agent = self.root(AGENT_ARGV, {"PROCTRACK_BLOCK": block_id, "WPS_RUNTIME_DIR": str(self.broker.runtime)},
                          lambda pid: self.control("assign_process", block_id=block_id, pid=pid))
        self.launch(agent, [call("sleep", "1301"), call("sh", "-c", "sleep 1302 & true", waits=True)])
        records = self.until_there(lambda: self.control("list_block", block_id=block_id)["processes"],
                                   {AGENT_SHOWN, "sleep 1301", "sleep 1302"})
        self.assert_started(records, {"sleep 1302"})
        [orphan] = [record["pid"] for record in records.values() if record["started"]]
        self.assertIn(orphan, programs.children(), "it is not ours, so this shows nothing")
        self.assertEqual(self.control("kill_started", block_id=block_id)["killed"], [orphan])


class AdoptedBlock(StartedCase):
    """Who is a root, and so not started, is kept with the block: the next broker knows it."""

    HELPER, TOOL = "sleep 1201", {"sh -c sleep 1202; true", "sleep 1202"}
    IN_SHELL = {"sleep 1211", "bash -c sleep 1212; true", "sleep 1212"}

    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "cgroup":
            self.skipTest("only cgroups outlive a broker")
        if not shutil.which("bash"):
            self.skipTest("bash is not installed")
        self.own = Broker(feed=feed_wanted())
        self.addCleanup(self.own.destroy)
        self.own.start()
        self.own.control("ensure_tracker", block_id="b", on_exit="keep")
        self.agent = self.root(AGENT_ARGV, {}, self.assign)
        self.shell = self.root(SHELL_ARGV, {}, self.assign)
        if not self.keeps_attributes():
            self.skipTest("this kernel keeps no attributes of a cgroup (Linux 5.7 does)")
        self.launch(self.agent, [call("sleep", "1201"), call("sh", "-c", "sleep 1202; true")])
        self.launch(self.shell, ["sleep 1211 &", "bash -c 'sleep 1212; true' &"])
        self.everybody = {AGENT_SHOWN, SHELL_SHOWN, self.HELPER} | self.TOOL | self.IN_SHELL

    def keeps_attributes(self) -> bool:
        (directory,) = self.own.cgroup_root.glob("*/b-b")
        try:
            os.setxattr(directory, "user.a_try", b"")
        except OSError:
            return False
        os.removexattr(directory, "user.a_try")
        return True

    def assign(self, pid: int, **more: Any) -> int:
        return self.own.control("assign_process", block_id="b", pid=pid, **more)["assigned"]

    def listed(self) -> list[dict[str, Any]]:
        return self.own.control("list_block", block_id="b")["processes"]

    def crash(self) -> None:
        self.own.process.kill()
        self.own.process.wait()

    def check_rule(self) -> dict[str, dict]:
        records = self.until_there(self.listed, self.everybody)
        self.assert_started(records, self.TOOL | self.IN_SHELL)
        return records

    def test_roots_are_roots_still_and_are_not_killed_with_what_they_started(self) -> None:
        before = self.check_rule()
        for _ in range(2):  # the second one adopts what was adopted
            self.crash()
            self.own.start()
            after = self.check_rule()
        self.assertEqual({record["pid"] for record in after.values()},
                         {record["pid"] for record in before.values()})
        pid_of = {command: record["pid"] for command, record in after.items()}
        of_shell = self.own.control("kill_started", block_id="b", pid=self.shell.pid)["killed"]
        self.assertNotIn(self.shell.pid, of_shell)
        self.assertLessEqual(set(of_shell), {pid_of[command] for command in self.IN_SHELL})
        killed = self.own.control("kill_started", block_id="b")["killed"]
        self.assertLessEqual(set(killed), {pid_of[command] for command in self.IN_SHELL | self.TOOL})
        self.until_there(self.listed, {AGENT_SHOWN, SHELL_SHOWN, self.HELPER})
        for root in (self.agent, self.shell):
            self.assertTrue(programs.is_running(root.pid), root.command)
        self.assertEqual(self.own.control("stats")["counters"]["roots_unmarked"], 0)

    def test_a_broker_that_ends_in_order_and_keeps_the_block_keeps_them_too(self) -> None:
        self.check_rule()
        self.own.process.terminate()
        self.assertEqual(self.own.process.wait(DEADLINE), 0)
        self.own.start()
        self.check_rule()

    def test_a_root_put_into_another_sub_scope_stays_one(self) -> None:
        self.check_rule()
        self.assign(self.shell.pid, root=False, scope="bg")
        self.assertTrue(self.check_rule()[SHELL_SHOWN]["root"])
        self.crash()
        self.own.start()
        self.assertEqual(self.check_rule()[SHELL_SHOWN]["scope"], "bg")

    def test_what_was_a_root_and_was_put_back_as_none_is_none(self) -> None:
        self.own.control("ensure_tracker", block_id="other")
        self.check_rule()
        self.own.control("assign_process", block_id="other", pid=self.shell.pid)
        self.assign(self.shell.pid, root=False)
        told = {record["pid"]: record["root"] for record in self.listed()}
        self.assertIs(told[self.shell.pid], False)
        self.crash()
        self.own.start()
        records = self.until_there(self.listed, self.everybody)
        self.assertIs(records[SHELL_SHOWN]["root"], False)
        self.assertIs(records[AGENT_SHOWN]["root"], True)
