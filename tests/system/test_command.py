# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `proctrack` that show blocks and act on them: what they print, plain and as JSON, and
how they end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from typing import Any
from unittest import SkipTest

from blackbox import programs
from blackbox.broker import make_cgroup_root, remove_cgroup
from blackbox.case import Block, SystemCase
from blackbox.intrude import stopped
from blackbox.programs import Odd
from blackbox.wire import DEADLINE, GRACE_MS

try:
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    openmetrics = None

CLI = os.environ.get("PROCTRACK_CLI", "proctrack")
OK, NO, USAGE, FAILED, ABSENT = range(5)
READY = """echo '{"what":"ready"}'"""

#: Acts on a block: its words, {} for the block.
ACTS = ["kill {}", "stop {}", "signal {} HUP", "freeze {}", "thaw {}", "wait {}", "rm {}"]

#: Listens on a free port and tells which.
LISTEN = """import json, signal, socket
server = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"what": "listens", "port": server.getsockname()[1]}), flush=True)
signal.pause()"""

#: Starts a shell, and is none itself.
AGENT = """import subprocess, sys
subprocess.Popen(["sh", "-c", "sleep 1000; true"])
print('{"what":"ready"}', flush=True)
sys.stdin.read()"""


def command(*words: object) -> list[str]:
    """proctrack, as it can be started here."""
    line = [CLI, *map(str, words)]
    setarch = shutil.which("setarch")
    if os.environ.get("PROCTRACK_SANITIZE") == "thread" and setarch:
        line = [setarch, "-R", *line]
    return line


class CommandCase(SystemCase):
    """Runs the command for the broker of this class."""

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
        return kept | {"WPS_RUNTIME_DIR": str(self.broker.runtime), "LC_ALL": "C.UTF-8"} | more

    def run_it(self, *words: object, status: int = OK, **options: Any) -> str:
        """What it prints. It must end with that status, and say why on stderr unless all was well."""
        options.setdefault("env", self.environment())
        ended = subprocess.run(command(*words), stdin=subprocess.DEVNULL, capture_output=True,
                               timeout=2 * DEADLINE, **options)
        errors = ended.stderr.decode()
        self.assertEqual(ended.returncode, status, f"{words}: {errors}")
        self.assertEqual(bool(errors), status not in (OK, NO), errors)
        self.errors = errors
        return ended.stdout.decode()

    def json_of(self, *words: object, status: int = OK) -> dict[str, Any]:
        """The one object that it prints with --json."""
        told = self.run_it(words[0], "--json", *words[1:], status=status)
        self.assertEqual(len(told.splitlines()), 1, told)
        return json.loads(told)

    def sleepers(self, block: Block, n: int = 2) -> Odd:
        """A shell in the block with n children that sleep; all are listed by their last command."""
        shell = block.sh("sleep 1000 & " * n + f"{READY}; wait")
        shell.until("ready")
        programs.wait_for(lambda: sum(process["command"] == "sleep 1000"
                                      for process in block.listed().values()) == n, "they sleep")
        return shell

    def watching(self, block: Block, *words: object) -> Watching:
        """A watch that is known to see what comes: processes come until it shows one."""
        watching = Watching(self, *words)
        watching.until("process-added", lambda: block.begin(["/bin/true"]).finish())
        return watching

    def check_empty(self, block: Block) -> None:
        programs.wait_for(lambda: not block.listed(), f"{block.id} is empty")


class Lists(CommandCase):
    """ls, ps and stats."""

    def test_ls_has_a_line_for_each_block(self) -> None:
        block, empty = self.block(), self.block()
        self.sleepers(block)
        head, *lines = self.run_it("ls").splitlines()
        self.assertEqual(head.split(), ["BLOCK", "PROCESSES", "MEMORY", "CPU", "CONFIDENCE", "AGE"])
        rows = {line.split()[0]: line.split() for line in lines}
        self.assertEqual(rows[block.id][1], "3")
        self.assertRegex(rows[block.id][2], r"^[\d.]+[KMG]$")
        self.assertEqual(rows[empty.id][1], "0")
        self.assertIn(rows[block.id][4], ("high", "best_effort"))
        ids = self.run_it("ls", "--quiet").split()
        self.assertEqual(set(ids), set(rows))

    def test_ls_as_json_is_the_reply(self) -> None:
        block = self.block()
        self.sleepers(block)
        told = {entry["block_id"]: entry for entry in self.json_of("ls")["blocks"]}
        self.assertEqual(told[block.id]["processes"], 3)
        self.assertGreater(told[block.id]["rss_bytes"], 0)

    def test_ps_draws_who_is_below_whom(self) -> None:
        block = self.block()
        shell = self.sleepers(block)
        title, head, *lines = self.run_it("ps", block.id).splitlines()
        self.assertRegex(title, rf"^{block.id}: 3 processes, confidence (high|best_effort \(.+\))$")
        self.assertEqual(head.split(), ["PID", "MEMORY", "CPU", "AGE", "SCOPE", "PORTS", "COMMAND"])
        self.assertEqual(len(lines), 3)
        self.assertEqual(int(lines[0].split()[0]), shell.pid)
        self.assertRegex(lines[0], r"main +/bin/sh -c ")
        for line, branch in zip(lines[1:], ("├─", "└─")):
            self.assertTrue(line.endswith(f"{branch}sleep 1000"), line)
        self.assertEqual({int(line.split()[0]) for line in lines}, set(block.listed()))

    def test_ps_without_utf8_draws_in_ascii(self) -> None:
        block = self.block()
        self.sleepers(block)
        told = self.run_it("ps", block.id, env=self.environment(LC_ALL="C"))
        self.assertTrue(told.isascii())
        self.assertRegex(told, r"\|-sleep 1000")

    def test_ps_tells_ports_and_in_detail_who_and_where(self) -> None:
        block = self.block()
        server = block.begin([sys.executable, "-c", LISTEN])
        port = server.until("listens")[0]["port"]
        line = self.run_it("ps", block.id).splitlines()[2]
        self.assertEqual(line.split()[5], str(port))
        told = self.run_it("ps", "--detail", block.id).splitlines()
        self.assertEqual(told[1].split()[6:], ["UID", "STATE", "THREADS", "CWD", "COMMAND"])
        words = told[2].split()
        self.assertEqual(words[5:7], [f"127.0.0.1:{port}", str(os.geteuid())])
        self.assertIn(os.readlink(f"/proc/{server.pid}/cwd"), words)

    def test_ps_as_json_is_the_replies_of_all_blocks(self) -> None:
        blocks = [self.block(), self.block()]
        shell = self.sleepers(blocks[0])
        told = {entry["block_id"]: entry for entry in self.json_of("ps")["blocks"]}
        self.assertLessEqual({block.id for block in blocks}, set(told))
        self.assertIn(shell.pid, {process["pid"] for process in told[blocks[0].id]["processes"]})
        self.assertEqual(told[blocks[1].id]["processes"], [])

    def test_ps_of_a_scope_shows_only_that(self) -> None:
        block = self.block()
        self.sleepers(block)
        self.assertEqual(len(self.run_it("ps", "--scope", "main", block.id).splitlines()), 5)
        self.assertRegex(self.run_it("ps", "--scope", "bg", block.id), r"^\S+: 0 processes, [^\n]+\n$")

    def test_ps_names_a_block_that_is_not_there_and_shows_the_others(self) -> None:
        block = self.block()
        told = self.run_it("ps", "nobody", block.id, status=ABSENT)
        self.assertTrue(told.startswith(f"{block.id}: 0 processes"), told)
        self.assertIn("nobody: there is no such block", self.errors)
        self.assertEqual([entry["block_id"] for entry in
                          self.json_of("ps", "nobody", block.id, status=ABSENT)["blocks"]], [block.id])

    def test_what_a_command_line_holds_cannot_command_the_terminal(self) -> None:
        block = self.block()
        watching = self.watching(block, block.id)
        self.check_empty(block)
        nasty = "evil\x1b]0;title\x07\x1b[2J\r\n\t\x7f\u202egnp.exe\u2028\u00e4\udcff"
        block.begin([sys.executable, "-c",
                     "import os, sys; os.execv('/bin/sleep', [sys.argv[1], '1000'])", nasty])
        programs.wait_for(lambda: any(process["command"].startswith("evil")
                                      for process in block.listed().values()), "it is what it became")
        shown = r"evil\x1B]0;title\x07\x1B[2J\x0D\x0A\x09\x7F\u{202E}gnp.exe\u{2028}ä"
        for words in (["ps", block.id], ["ps", "--detail", block.id]):
            told = self.run_it(*words)
            self.assertIn(shown, told)
            self.assertEqual(len(told.splitlines()), 3)
            self.assertEqual(re.findall(r"[^\x20-\x7e\n\u00e4\ufffd]", told), [])
        self.assertIn(r"\u{E4}", self.run_it("ps", block.id, env=self.environment(LC_ALL="C")))
        record = self.json_of("ps", block.id)["blocks"][0]["processes"][0]
        self.assertTrue(record["command"].startswith(nasty[:-1]), "JSON says all of it")
        self.assertNotIn("\x1b", watching.until(re.escape(shown)))
        watching.end()

    def test_stats_are_names_and_numbers(self) -> None:
        self.block()
        reply = self.json_of("stats")
        told = dict(line.split(" ") for line in self.run_it("stats").splitlines())
        self.assertEqual(set(told), set(reply["counters"]) | set(reply["gauges"]))
        self.assertTrue(all(re.fullmatch(r"-?\d+", value) for value in told.values()))

    def test_stats_as_openmetrics_are_what_its_parser_takes(self) -> None:
        if openmetrics is None:
            raise SkipTest("python3-prometheus-client is not installed")
        told = self.run_it("stats", "--openmetrics")
        families = {family.name: family for family in openmetrics.text_string_to_metric_families(told)}
        reply = self.json_of("stats")
        self.assertEqual(len(families), len(reply["counters"]) + len(reply["gauges"]))
        for kind in ("counter", "gauge"):
            for name in reply[f"{kind}s"]:
                family = families["proctrack_" + re.sub(r"_ms$", "_seconds", name)]
                self.assertEqual((family.type, len(family.samples)), (kind, 1), name)
        self.assertEqual(len({family.documentation for family in families.values()}), len(families),
                         "each has a sentence of its own")


class Acts(CommandCase):
    """kill, stop, signal, freeze, thaw, wait and rm."""

    def test_kill_ends_all_of_a_block_and_the_block_stays(self) -> None:
        block, other = self.block(), self.block()
        self.sleepers(block)
        kept = set(self.sleepers(other) and other.listed())
        self.assertEqual(self.run_it("kill", block.id), f"{block.id}: killed\n")
        self.check_empty(block)
        self.assertEqual(set(other.listed()), kept, "and nobody else")
        self.assertEqual(self.json_of("kill", other.id)["block_id"], other.id)
        self.check_empty(other)

    def test_kill_of_one_pid_spares_the_others_and_strangers(self) -> None:
        block = self.block()
        self.sleepers(block)
        victim, *_ = [pid for pid, process in block.listed().items() if process["command"] == "sleep 1000"]
        self.assertEqual(self.run_it("kill", block.id, victim), f"{block.id}: killed {victim}\n")
        block.watch.until_ended(victim)
        self.assertEqual(len(block.listed()), 2)
        self.assertEqual(self.run_it("kill", block.id, os.getpid(), status=ABSENT), "")
        self.assertIn(f"pid {os.getpid()} is not in it", self.errors)

    def test_kill_of_a_scope_that_is_not_there_kills_nobody(self) -> None:
        block = self.block()
        self.sleepers(block)
        self.assertEqual(self.run_it("kill", "--scope", "bg/9", block.id, status=ABSENT), "")
        self.assertIn(f"{block.id}: it has no scope bg/9: nothing was killed", self.errors)
        self.assertEqual(len(block.listed()), 3)

    def test_kill_started_ends_the_tool_calls_and_says_how_many(self) -> None:
        block = self.block()
        agent = self.agent(block)
        self.assertEqual(self.run_it("kill", "--started", block.id, os.getpid(), status=ABSENT), "")
        self.assertEqual(len(block.listed()), 3, "below somebody else nobody is meant")
        self.assertEqual(self.run_it("kill", "--started", block.id, agent.pid),
                         f"{block.id}: killed 2 started processes\n")
        programs.wait_for(lambda: set(block.listed()) == {agent.pid}, "the agent is left")
        self.assertEqual(self.json_of("kill", "--started", block.id, status=NO)["killed"], [])

    def test_stop_lets_them_end_and_kills_those_that_do_not(self) -> None:
        gentle, stubborn = self.block(), self.block()
        self.sleepers(gentle)
        stubborn.sh(f"trap '' TERM; {READY}; while :; do sleep 0.05; done").until("ready")
        told = self.run_it("stop", "--grace", f"{GRACE_MS}ms", gentle.id, stubborn.id)
        self.assertRegex(told, rf"(?m)^{gentle.id}: 3 ended, 0 killed, \d+\.\d\ds$")
        self.assertRegex(told, rf"(?m)^{stubborn.id}: \d+ ended, [1-9]\d* killed, \d+\.\d\ds$")
        self.assertIn("2 blocks: 2 stopped, 0 with processes left, 0 failed\n", told)
        self.check_empty(stubborn)
        self.assertEqual(self.json_of("stop", gentle.id)["block_id"], gentle.id)

    def test_stop_all_is_all_there_are(self) -> None:
        blocks = [self.block(), self.block()]
        for block in blocks:
            self.sleepers(block, 1)
        told = self.run_it("stop", "--all", "--yes")
        for block in blocks:
            self.assertIn(f"\n{block.id}: 2 ended", "\n" + told)
            self.assertEqual(block.listed(), {})

    def agent(self, block: Block) -> Odd:
        """No shell, with a tool call of a shell that has a child; both are started, it is not."""
        agent = block.begin([sys.executable, "-c", AGENT])
        agent.until("ready")
        programs.wait_for(lambda: "sleep 1000" in {process["command"] for process in block.listed().values()},
                          "its tool call runs")
        return agent

    def test_stop_started_ends_the_tool_calls_and_spares_the_agent(self) -> None:
        blocks = [self.block(), self.block()]
        agents = [self.agent(block) for block in blocks]
        told = self.run_it("stop", "--started", *(block.id for block in blocks))
        for block, agent in zip(blocks, agents):
            self.assertRegex(told, rf"(?m)^{block.id}: 2 started processes killed, \d+\.\d\ds$")
            self.assertEqual(set(block.listed()), {agent.pid}, "they are gone when it says so")
        reply = self.json_of("stop", "--started", blocks[0].id)
        self.assertEqual((reply["block_id"], reply["killed"], reply["survivors"]), (blocks[0].id, [], []))
        self.run_it("stop", "--started", "nobody", status=ABSENT)
        self.assertIn("nobody: ", self.errors)

    def test_signal_reaches_every_process(self) -> None:
        block = self.block()
        shell = block.sh(f"""trap 'echo "{{\\"what\\":\\"got\\"}}"' USR1; {READY}
while :; do sleep 0.02; done""")
        shell.until("ready")
        told = self.run_it("signal", block.id, "SIGUSR1")
        self.assertRegex(told, rf"^{block.id}: sent USR1 to \d+ process(es)?\n$")
        shell.until("got")
        self.assertIn(shell.pid, self.json_of("signal", block.id, "CONT")["signalled"])
        empty = self.block()
        self.assertEqual(self.run_it("signal", empty.id, "9", status=NO), f"{empty.id}: sent KILL to 0 processes\n")

    def test_freeze_and_thaw(self) -> None:
        block = self.block()
        ticking = block.sh("""while :; do echo '{"what":"tick"}'; sleep 0.02; done""")
        ticking.until("tick")
        if self.tracker != "cgroup":
            self.run_it("freeze", block.id, status=FAILED)
            self.assertIn("cgroup", self.errors)
            return
        self.assertEqual(self.run_it("freeze", block.id), f"{block.id}: frozen\n")
        events = pathlib.Path(block.procs_path).with_name("cgroup.events")
        programs.wait_for(lambda: "frozen 1" in events.read_text(), "it is frozen")
        self.assertEqual(self.run_it("thaw", block.id), f"{block.id}: thawed\n")
        ticking.until("tick", len(ticking.told("tick")) + 3)
        self.assertEqual(self.json_of("freeze", block.id)["block_id"], block.id)
        self.assertEqual(self.json_of("thaw", block.id)["block_id"], block.id)

    def test_wait_ends_when_the_block_is_empty(self) -> None:
        block = self.block()
        self.sleepers(block, 1)
        self.assertEqual(self.run_it("wait", "-t", "10ms", block.id, status=NO), f"{block.id}: 2 processes are left\n")
        waiting = subprocess.Popen(command("wait", block.id), env=self.environment(), stdout=subprocess.PIPE)
        self.addCleanup(waiting.stdout.close)
        self.addCleanup(waiting.wait)
        self.addCleanup(waiting.kill)
        self.assertIsNone(waiting.poll())
        self.run_it("kill", block.id)
        self.assertEqual(waiting.communicate(timeout=DEADLINE)[0].decode(), f"{block.id}: empty\n")
        self.assertEqual(waiting.returncode, OK)
        self.assertTrue(self.json_of("wait", block.id)["empty"])

    def test_a_signal_ends_the_wait_and_not_the_block(self) -> None:
        block = self.block()
        self.sleepers(block, 1)
        for number in (signal.SIGINT, signal.SIGTERM):
            waiting = subprocess.Popen(command("wait", block.id), env=self.environment(),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(waiting.wait)
            self.addCleanup(waiting.kill)
            programs.wait_for(lambda: catches(waiting.pid, number), "it is ready for signals")
            waiting.send_signal(number)
            out, errors = waiting.communicate(timeout=DEADLINE)
            self.assertEqual((waiting.returncode, out), (-number, b""), errors)
        self.assertEqual(len(block.listed()), 2)

    def test_rm_ends_what_is_there_and_takes_the_block_away(self) -> None:
        block = self.block()
        self.sleepers(block)
        self.assertEqual(self.run_it("rm", block.id), f"{block.id}: removed\n")
        self.assertNotIn(block.id, self.run_it("ls", "--quiet").split())
        self.assertEqual(self.json_of("rm", self.block().id)["survivors"], [])

    def test_rm_names_who_has_the_tag_and_is_outside_and_ends_it_where_that_is_wanted(self) -> None:
        block, other = self.block(), self.block()
        spared, ended = (Odd("hold", environment=each.tag) for each in (block, other))
        for odd in (spared, ended):
            self.addCleanup(odd.close)
            odd.until("ready")
        told = self.run_it("rm", "--include-escaped", "--timeout", "20s", other.id)
        self.assertEqual(told, f"{other.id}: removed\n")
        self.assertEqual(ended.process.wait(DEADLINE), -signal.SIGKILL)
        if self.tracker == "cgroup":  # without cgroups it is a member
            self.assertIn(f"{spared.pid}", self.run_it("rm", block.id, status=NO))
            self.assertTrue(programs.is_running(spared.pid))


def catches(pid: int, number: int) -> bool:
    """It has blocked that signal, to read it in its own time."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        blocked = int(re.search(r"^SigBlk:\s*(\w+)", file.read(), re.M)[1], 16)
    return bool(blocked >> (number - 1) & 1)


class Statuses(CommandCase):
    """How they end where nothing can be done."""

    def test_a_block_that_is_not_there_is_status_4(self) -> None:
        for act in ACTS:
            with self.subTest(act=act):
                self.assertEqual(self.run_it(*act.format("nobody").split(), status=ABSENT), "")
                self.assertIn("nobody", self.errors)
                self.assertEqual(len(self.errors.splitlines()), 1, self.errors)

    def test_the_worst_of_several_is_the_status(self) -> None:
        block = self.block()
        told = self.run_it("rm", "nobody", block.id, status=ABSENT)
        self.assertEqual(told, f"{block.id}: removed\n")

    def test_what_makes_no_sense_is_status_2(self) -> None:
        for words in ("ls word", "ls --no-such", "ps not/allowed", "kill", "kill demo 0", "kill demo x",
                      "kill --started --scope bg demo", "stop", "stop --all demo", "stop --grace x demo",
                      "stop --timeout 2d demo", "stop --started --grace 1s demo", "top --interval 10ms",
                      "top --order x", "top not/allowed", "top --iterations 1", "signal demo",
                      "signal demo NOSUCH", "signal demo 65", "freeze", "thaw", "wait", "wait --timeout 0 demo", "rm", "stats --json --openmetrics", "stats word",
                      "watch --event nonsense", "watch --since-history 0", "watch not/allowed",
                      "ls --timeout-ms 0", "ps --scope /"):
            with self.subTest(words=words):
                self.assertEqual(self.run_it(*words.split(), status=USAGE), "")

    def test_without_a_broker_it_is_status_3(self) -> None:
        nowhere = self.environment(WPS_RUNTIME_DIR=f"{self.broker.runtime}/nowhere")
        for words in ("ls", "ps", "stats", "top", "top --json", "watch", *ACTS):
            with self.subTest(words=words):
                told = self.run_it(*words.format("demo").split(), "--timeout-ms", "200", status=FAILED, env=nowhere)
                self.assertEqual(told, "")
                self.assertIn(f"{self.broker.runtime}/nowhere", self.errors)

    def test_a_broker_that_does_not_answer_is_status_3_when_the_time_is_over(self) -> None:
        block = self.block()
        with stopped(self.broker.process.pid):
            for words in ("ls", "freeze {}", "wait --timeout 100ms {}", "rm --timeout 100ms {}"):
                with self.subTest(words=words):
                    told = self.run_it(*words.format(block.id).split(), "--timeout-ms", "300", status=FAILED)
                    self.assertEqual(told, "")
                    self.assertRegex(self.errors, r"no (answer|reply) from ipc://\S+/control")

    def test_a_broker_that_ends_before_it_answered_is_status_3(self) -> None:
        block = self.block()
        self.sleepers(block, 1)
        waiting = subprocess.Popen(command("wait", block.id), env=self.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(waiting.wait)
        self.addCleanup(waiting.kill)
        programs.wait_for(lambda: self.control("stats")["gauges"]["requests_waiting"] > 1, "it waits, and we do")
        self.broker.process.kill()
        self.broker.process.wait(DEADLINE)
        out, errors = waiting.communicate(timeout=DEADLINE)
        self.broker.start()
        self.assertEqual((waiting.returncode, out), (FAILED, b""), errors)
        self.assertIn(b"ended before it answered", errors)

    def test_without_its_exporter_it_says_where_it_looked(self) -> None:
        alone = self.broker.runtime / "proctrack"
        shutil.copy(shutil.which(CLI), alone)
        ended = subprocess.run([alone, "exporter", "--help"], capture_output=True, text=True, timeout=DEADLINE)
        alone.unlink()
        self.assertEqual((ended.returncode, ended.stdout), (FAILED, ""))
        self.assertIn("no proctrack-exporter beside proctrack", ended.stderr)

    def test_help_is_told_without_a_broker(self) -> None:
        for act in ("ls", "ps", "stats", "top", "watch", *ACTS):
            name = act.split()[0]
            told = self.run_it(name, "--help", env={"PATH": ""})
            self.assertTrue(told.startswith(f"usage: proctrack {name} "), told)
            for word in ("--json", "--endpoint", "--runtime-dir", "--timeout-ms", "Exit status:", "Examples:"):
                self.assertIn(word, told)
            self.assertLessEqual(max(map(len, told.splitlines())), 100, name)

    def test_output_that_cannot_be_written_is_a_failure(self) -> None:
        with open("/dev/full", "wb") as full:
            ended = subprocess.run(command("stats"), env=self.environment(), stdout=full,
                                   stderr=subprocess.PIPE, timeout=DEADLINE)
        self.assertEqual(ended.returncode, FAILED)
        self.assertIn(b"cannot write the output", ended.stderr)


class Watching:
    """`proctrack watch` at work; it has subscribed when this is made."""

    def __init__(self, case: CommandCase, *words: object) -> None:
        self.case = case
        self.process = subprocess.Popen(command("watch", *words), env=case.environment(),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out = b""
        for step in (self.process.stderr.close, self.process.stdout.close, self.process.wait, self.process.kill):
            case.addCleanup(step)

    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    def read(self) -> None:
        """What is there within a moment."""
        if select.select([self.process.stdout], [], [], 0.1)[0]:
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise AssertionError(f"it ended: {self.process.stderr.read()}")
            self.out += piece

    def until(self, pattern: str, provoke: Any = None) -> str:
        """The first line that fits. What is told only to who has subscribed is provoked again and again."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if found := [line for line in self.lines() if re.search(pattern, line)]:
                return found[0]
            if provoke:
                provoke()
            self.read()
        raise AssertionError(f"no line {pattern!r} in {self.lines()}")

    def end(self, number: int = signal.SIGINT) -> None:
        """It ends in order, by that signal, and says nothing of it."""
        programs.wait_for(lambda: catches(self.process.pid, number), "it is ready for signals")
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=DEADLINE)
        self.out += out
        self.case.assertEqual((self.process.returncode, errors), (-number, b""))


class Watches(CommandCase):
    """watch."""

    def test_when_nobody_reads_it_any_more_it_ends_in_order(self) -> None:
        block = self.block()
        watching = self.watching(block, block.id)
        odd = block.begin(["/bin/sh", "-c", f"{READY}; read x"])
        odd.until("ready")
        watching.until(rf"process-added +{odd.pid} ")
        watching.process.stdout.close()
        odd.finish()
        self.assertEqual(watching.process.wait(DEADLINE), 0)
        self.assertEqual(watching.process.stderr.read(), b"")

    def test_it_shows_the_life_of_a_process_a_line_each(self) -> None:
        block = self.block()
        watching = self.watching(block, block.id)
        odd = block.begin(["/bin/sh", "-c", f"{READY}; read x; exit 7"])
        odd.until("ready")
        self.assertRegex(watching.until(rf"process-added +{odd.pid} "), rf"^\d\d:\d\d:\d\d\.\d{{3}}  {block.id} ")
        odd.finish()
        ended = watching.until(rf"process-exited +{odd.pid} ")
        if self.tells_all:
            self.assertRegex(ended, r"  status 7, ran \d+\.\d\ds")
        self.assertRegex(ended, r": /bin/sh -c ")
        watching.end()
        self.assertNotIn("\033", watching.out.decode())

    def test_as_json_each_event_is_as_the_protocol_has_it(self) -> None:
        block = self.block()
        watching = self.watching(block, "--json", block.id)
        block.remove()
        watching.until('"agent:block-removed"')
        watching.end(signal.SIGTERM)
        last = 0
        for event in map(json.loads, watching.lines()):
            self.assertEqual(event["scopes"], [f"block:{block.id}"])
            if event["data"]["epoch"] == block.ensured["epoch"]:
                self.assertGreater(event["data"]["seq"], last)
                last = event["data"]["seq"]

    def test_patterns_and_events_choose_what_is_shown(self) -> None:
        block, other = self.block(self.new_id("alpha")), self.block(self.new_id("beta"))
        watching = self.watching(block, "--event", "process-added", "--event", "block-removed", "alpha-*")
        other.begin(["/bin/true"]).finish()
        other.remove()
        block.remove()
        watching.until("block-removed")
        watching.end()
        for line in watching.lines():
            self.assertRegex(line, rf"^\S+  {block.id} +(process-added|block-removed) ")

    def test_who_leaves_for_another_block_is_shown(self) -> None:
        block, other = self.block(), self.block()
        watching = self.watching(block, block.id)
        odd = block.odd("hold")
        watching.until(rf"process-added +{odd.pid} ")
        self.control("assign_process", block_id=other.id, pid=odd.pid)
        self.assertRegex(watching.until("process-escaped"), rf" +{odd.pid}  reassigned: ")
        watching.end()

    def test_who_is_moved_out_of_its_block_is_shown_with_where_to(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("only cgroups can be left")
        block = self.block()
        watching = self.watching(block, block.id)
        odd = block.odd("hold")
        watching.until(rf"process-added +{odd.pid} ")
        away = make_cgroup_root()
        if away is None:
            self.skipTest("nobody here may move anybody out of a block")
        self.addCleanup(remove_cgroup, away)
        (away / "cgroup.procs").write_text(str(odd.pid))
        line = watching.until("process-escaped", lambda: block.begin(["/bin/true"]).finish())
        self.assertRegex(line, rf" +{odd.pid}  moved to /\S*{away.name}: ")
        watching.end()

    def test_marks_and_events_of_others_are_shown_where_they_are_asked_for(self) -> None:
        block = self.block()
        watching = Watching(self, "--event", "block-mark", "--event", "own:thing", block.id)
        block.run("exit", 0)
        watching.until(rf"^\S+  {block.id} +block-mark +at \d+$")
        data = {"text": "a\x1b[1m", "list": [-3, None, True]}
        watching.until("own:thing", lambda: self.broker.rpc(
            "eventpublish", event="own:thing", scopes=[f"block:{block.id}"], data=data))
        self.assertRegex(watching.until("own:thing"),
                         r'\{"text":"a\\u001B\[1m","list":\[-3,null,true\]\}$')
        watching.end()

    def test_a_socket_that_is_not_its_brokers_is_told(self) -> None:
        block = self.block()
        for option, word in (("--rpc", "control"), ("--rpc", "nowhere"), ("--events", "nowhere")):
            with self.subTest(option=option, word=word):
                self.run_it("watch", option, f"ipc://{self.broker.runtime}/{word}", "--timeout-ms", "300", block.id,
                            status=FAILED)
                self.assertIn("no events arrive in 300 ms", self.errors)
                self.assertIn("--rpc and --events say where they are", self.errors)

    def test_it_goes_on_with_the_next_broker(self) -> None:
        block = self.block()
        watching = self.watching(block)
        self.broker.process.terminate()
        self.broker.process.wait(DEADLINE)
        self.assertIn(b"ended; waiting", watching.process.stderr.readline())
        self.broker.start()
        self.assertIn(b"is at", watching.process.stderr.readline())
        again = self.block()
        watching.until(rf"{again.id} +process-added", lambda: again.begin(["/bin/true"]).finish())
        watching.end()


def without_persist(body: dict[str, Any]) -> dict[str, Any]:
    """How many of its kind are kept is no part of what happened."""
    return {key: value for key, value in body.items() if key != "persist"}


class WatchesWhatWas(CommandCase):
    """watch --since-history, of a broker that keeps events."""

    options = {"persist": 50}

    def lives(self, block: Block, n: int) -> list[dict[str, Any]]:
        """So many processes come and go. All events that the block has had since it began."""
        block.come_and_go(n)
        block.watch.catch_up()
        return [without_persist(event.body) for event in block.watch.events if event.name != "agent:block-mark"]

    def shown(self, n: int, *words: object) -> list[dict[str, Any]]:
        """What it shows until there are so many."""
        watching = Watching(self, "--json", *words)
        programs.wait_for(lambda: watching.read() or len(watching.lines()) >= n, f"{n} lines")
        watching.end()
        return [json.loads(line) for line in watching.lines()]

    def test_it_begins_with_all_that_was_kept_in_the_order_of_publishing(self) -> None:
        block = self.block()
        told = self.lives(block, 3)
        self.assertEqual(self.shown(len(told), "--since-history", 100, block.id), told)

    def test_it_goes_on_where_what_was_kept_ends(self) -> None:
        block = self.block()
        self.lives(block, 2)
        watching = Watching(self, "--json", "--since-history", 100, block.id)
        watching.until("agent:process-exited")
        told = self.lives(block, 2)
        newest = told[-1]["data"]["seq"]
        watching.until(f'"seq": *{newest}\\b')
        watching.end()
        self.assertEqual([json.loads(line) for line in watching.lines()], told)

    def test_of_each_block_the_newest_are_shown(self) -> None:
        one, other = self.block(self.new_id("alpha")), self.block(self.new_id("alpha"))
        told = {block.id: self.lives(block, 3) for block in (one, other)}
        shown = self.shown(4, "--since-history", 2, "alpha-*")
        for block_id, events in told.items():
            self.assertEqual([event for event in shown if event["data"]["block_id"] == block_id], events[-2:])

    def test_only_the_wanted_events_are_shown(self) -> None:
        block = self.block()
        told = self.lives(block, 3)
        wanted = [event for event in told if event["event"] == "agent:process-exited"]
        self.assertEqual(self.shown(3, "-n", 100, "--event", "process-exited", block.id), wanted)

    def test_the_lives_of_a_block_come_one_after_the_other(self) -> None:
        block = self.block()
        told = self.lives(block, 1)
        block.remove()
        removed = block.watch.until_event("block-removed")
        block.ensured = self.control("ensure_tracker", block_id=block.id)
        told = [*told, without_persist(removed.body), *self.lives(block, 1)[len(told) + 1:]]
        self.assertEqual(self.shown(len(told), "-n", 100, block.id), told)

    def test_marks_are_none_of_the_newest(self) -> None:
        block = self.block()
        told = self.lives(block, 1)
        block.watch.until_event("block-mark", seq=told[-1]["data"]["seq"])
        self.assertEqual(self.shown(1, "--since-history", 1, block.id), told[-1:])

    def test_behind_what_was_kept_of_all_blocks_a_gap_is_no_loss(self) -> None:
        quiet, busy = self.block(self.new_id("beta")), self.block(self.new_id("beta"))
        self.lives(quiet, 1)
        self.lives(busy, 60)  # of the quiet one only what was told once is kept now
        watching = Watching(self, "--since-history", 100, "beta-*")
        watching.until("block-added")
        self.lives(quiet, 1)
        watching.until(rf" {quiet.id} +process-exited")
        watching.end()

    def test_where_nothing_was_kept_it_shows_what_comes(self) -> None:
        block = self.block()
        watching = Watching(self, "--event", "own:never-kept", "--since-history", 5, block.id)
        watching.until("own:never-kept", lambda: self.broker.rpc(
            "eventpublish", event="own:never-kept", scopes=[f"block:{block.id}"]))
        watching.end()


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, case: CommandCase, *words: object, **environment: str) -> None:
        self.ours, theirs = pty.openpty()
        case.addCleanup(os.close, self.ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x18\x00\xf0\x00\0\0\0\0")  # 24 lines of 240
        self.process = subprocess.Popen(command(*words), stdin=theirs, stdout=theirs, stderr=theirs,
                                        start_new_session=True, env=case.environment(**{"TERM": "xterm"} | environment))
        os.close(theirs)
        case.addCleanup(self.process.wait)
        case.addCleanup(self.process.kill)
        self.out = ""

    def until(self, part: str) -> str:
        end = time.monotonic() + DEADLINE
        while part not in self.out:
            if not select.select([self.ours], [], [], end - time.monotonic())[0]:
                raise AssertionError(f"no {part!r} in {self.out!r}")
            self.out += os.read(self.ours, 65536).decode()
        return self.out

    def finish(self) -> str:
        with contextlib.suppress(OSError):  # so ends a terminal that nobody has open
            while select.select([self.ours], [], [], DEADLINE)[0]:
                self.out += os.read(self.ours, 65536).decode()
        self.process.wait(DEADLINE)
        return self.out


class OnATerminal(CommandCase):
    """Colours, and the question before something is stopped that others use."""

    def test_colours_are_for_terminals_that_want_them(self) -> None:
        block = self.block()
        for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            watch = Terminal(self, "watch", block.id, **environment)
            end = time.monotonic() + DEADLINE
            while "process-added" not in watch.out and time.monotonic() < end:
                block.begin(["/bin/true"]).finish()
                if select.select([watch.ours], [], [], 0.1)[0]:
                    watch.out += os.read(watch.ours, 65536).decode()
            watch.process.send_signal(signal.SIGINT)
            self.assertIn("process-added", watch.finish())
            self.assertEqual("\033[3" in watch.out, coloured, watch.out)
            self.assertEqual(watch.process.returncode, -signal.SIGINT)

    def listening(self) -> tuple[Block, Odd, int]:
        block = self.block()
        server = block.begin([sys.executable, "-c", LISTEN])
        return block, server, server.until("listens")[0]["port"]

    def test_stop_asks_where_something_listens_and_takes_no_for_an_answer(self) -> None:
        block, server, port = self.listening()
        for answer in ("n", "", "nonsense"):
            stop = Terminal(self, "stop", block.id)
            told = stop.until("[y/N] ")
            self.assertIn(f"{block.id}: port {port} is served by {server.pid} ", told)
            os.write(stop.ours, answer.encode() + b"\n")
            self.assertIn("nothing was stopped", stop.finish())
            self.assertEqual(stop.process.returncode, NO)
            socket.create_connection(("127.0.0.1", port), DEADLINE).close()

    def test_stop_goes_on_after_yes(self) -> None:
        block, _, _ = self.listening()
        stop = Terminal(self, "stop", block.id)
        stop.until("[y/N] ")
        os.write(stop.ours, b"y\n")
        self.assertIn(f"{block.id}: 1 ended", stop.finish())
        self.assertEqual(stop.process.returncode, OK)
        self.assertEqual(block.listed(), {})

    def test_stop_does_not_ask_where_yes_was_said_or_nobody_can_answer(self) -> None:
        block, _, _ = self.listening()
        stop = Terminal(self, "stop", "--yes", block.id)
        self.assertNotIn("[y/N]", stop.finish())
        self.assertEqual(stop.process.returncode, OK)
        block, _, _ = self.listening()
        self.assertNotIn("[y/N]", self.run_it("stop", block.id))
        self.check_empty(block)

    def test_stop_shows_who_is_left_while_it_takes_time(self) -> None:
        block = self.block()
        block.sh(f"trap '' TERM; {READY}; while :; do sleep 0.05; done").until("ready")
        stop = Terminal(self, "stop", "--grace", "2s", block.id)
        self.assertRegex(stop.until("left, "), rf"\rstopping {block.id}: \d+ process(es)? left, \d+ s")
        self.assertRegex(stop.finish(), rf"\r\033\[K{block.id}: \d+ ended, [1-9]\d* killed")


if __name__ == "__main__":
    import unittest
    unittest.main()
