# SPDX-License-Identifier: Apache-2.0
"""`proctrack top` on a terminal that tmux draws: what is seen of real processes, what keys do to them, and how the
terminal is left."""

from __future__ import annotations

import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from unittest import SkipTest

import test_command as commands
from blackbox import programs
from blackbox.case import Block
from blackbox.intrude import stopped
from blackbox.wire import DEADLINE

READY = commands.READY
OK, FAILED = commands.OK, commands.FAILED

#: A process whose command line is what was told, which sleeps.
NAMED = "import os, sys; os.execv('/bin/sleep', [sys.argv[1], '1000'])"


class Screen:
    """A shell in a terminal of tmux."""

    def __init__(self, case: TopCase, width: int = 80, height: int = 24, **environment: str) -> None:
        self.home = tempfile.mkdtemp(prefix="proctrack-tmux-")
        case.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.environment = case.environment(**{"TERM": "xterm-256color"} | environment)
        self.tmux("new-session", "-d", "-x", width, "-y", height, "bash --norc --noprofile")
        case.addCleanup(self.tmux, "kill-server")
        self.until(r"[$#] *$")

    def tmux(self, *words: object) -> str:
        line = ["tmux", "-S", f"{self.home}/tmux", "-f", "/dev/null", *map(str, words)]
        return subprocess.run(line, env=self.environment, check=True, capture_output=True,
                              timeout=DEADLINE).stdout.decode()

    def says(self, what: str) -> str:
        return self.tmux("display-message", "-p", f"#{{{what}}}").strip()

    def lines(self) -> list[str]:
        return self.tmux("capture-pane", "-p").split("\n")[:-1]

    def text(self) -> str:
        return "\n".join(self.lines())

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def run(self, *words: object) -> None:
        self.type(shlex.join(map(str, words)))
        self.press("Enter")

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-x", width, "-y", height)

    def until(self, pattern: str, there: bool = True) -> str:
        """The screen, as soon as it has that; or, not `there`, as soon as it has not."""
        seen = ""

        def reached() -> bool:
            nonlocal seen
            seen = self.text()
            return bool(re.search(pattern, seen, re.M)) == there
        try:
            programs.wait_for(reached, pattern)
        except AssertionError:
            raise AssertionError(f"{'no' if there else 'still'} {pattern!r} in\n{seen}") from None
        return seen

    def line(self, pattern: str) -> str:
        """The line that has it."""
        return next(line for line in self.until(pattern).split("\n") if re.search(pattern, line))


class TopCase(commands.CommandCase):
    @classmethod
    def setUpClass(cls) -> None:
        for program in ("tmux", "bash"):
            if not shutil.which(program):
                raise SkipTest(f"{program} is not installed")
        super().setUpClass()

    def top(self, *words: object, width: int = 80, height: int = 24, **environment: str) -> Screen:
        screen = Screen(self, width, height, **environment)
        screen.run(*commands.command("top", *words))
        screen.until(r" [1-9]\d* of \d+")
        return screen

    def named(self, block: Block, command: str) -> int:
        """A process with that for its command line."""
        odd = block.begin([sys.executable, "-c", NAMED, command])
        programs.wait_for(lambda: block.listed().get(odd.pid, {}).get("command", "").startswith(command[:4]), command)
        return odd.pid


class Looks(TopCase):
    """What is seen."""

    def test_it_shows_blocks_with_their_trees_and_what_they_use(self) -> None:
        block = self.block()
        shell = self.sleepers(block)
        screen = self.top(block.id, "--interval", "200ms")
        screen.until(rf"(?m)^ +\d+ +[\d.]+[KM] +0\.0 +0\.0\ds +\d+s +└─sleep 1000")
        lines = screen.lines()
        self.assertRegex(lines[0], r"^ proctrack  1 block  3 processes  [\d.]+[KM]  [\d.]+% cpu .*by birth ▲")
        self.assertRegex(lines[1], r"^ processes +\S* +memory")
        head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("PID"))
        self.assertEqual(lines[head].split()[:6], ["PID", "MEMORY", "CPU%", "TIME", "AGE", "COMMAND"])
        self.assertRegex(lines[head + 1], rf"^ +[\d.]+[KM] +[\d.]+ +▾ {block.id}  3 processes")
        self.assertRegex(lines[head + 2], rf"^ +{shell.pid} +[\d.]+[KM].* /bin/sh -c ")
        self.assertRegex(lines[head + 3], r"├─sleep 1000$")
        self.assertRegex(lines[head + 4], r"└─sleep 1000$")
        self.assertRegex(lines[-1], r"^\?help /filter")
        self.assertEqual(len(lines), 24)

    def test_births_and_deaths_are_seen_and_counted(self) -> None:
        block = self.block()
        screen = self.top(block.id)
        odd = block.begin(["/bin/sh", "-c", f"{READY}; read x; exit 7"])
        screen.until(rf"^ +{odd.pid} .* /bin/sh -c ")
        odd.finish()
        dead = screen.line(rf"^ +{odd.pid} +(exit 7|ended) ")
        if self.tells_all:
            self.assertIn("exit 7", dead)
        screen.until(rf"^ +{odd.pid} ", there=False)
        screen.until(rf"▾ {block.id}  0 processes")

    def test_two_hundred_columns_show_more(self) -> None:
        block = self.block()
        server = block.begin([sys.executable, "-c", commands.LISTEN])
        port = server.until("listens")[0]["port"]
        screen = self.top(block.id, "--interval", "200ms", width=200, height=50)
        line = screen.line(rf"^ +{server.pid} .* {port} ")
        self.assertRegex(line, rf"^ +{server.pid} .* S  +{port} +\S")
        self.assertRegex(screen.line(block.id + "  1 process"), "[\u2801-\u28ff]$")
        self.assertIn("S SCOPE      PORTS       COMMAND", screen.text())

    def test_it_follows_the_size_of_the_terminal(self) -> None:
        block = self.block()
        self.sleepers(block, 8)
        screen = self.top(block.id)
        for width, height in ((120, 30), (200, 50), (30, 12), (80, 24)):
            screen.resize(width, height)
            screen.until(r"^\?help /filter" if width > 40 else r"^\?help")
            programs.wait_for(lambda: len(screen.lines()) == height and screen.lines()[-1].startswith("?help"),
                              "the last line is the last")
            self.assertEqual("SCOPE" in screen.text(), width >= 96)
        screen.resize(10, 3)
        screen.until("^too small")
        screen.resize(80, 24)
        screen.until("├─sleep 1000")

    def test_without_utf8_it_draws_in_ascii(self) -> None:
        block = self.block()
        self.sleepers(block)
        for words, environment in (([], {"LC_ALL": "C"}), (["--ascii"], {})):
            screen = self.top(block.id, *words, **environment)
            text = screen.until(r"\|-sleep 1000")
            self.assertTrue(text.isascii(), text)
            self.assertIn(f"- {block.id}  3 processes", text)

    def test_what_a_command_line_holds_cannot_command_the_terminal(self) -> None:
        block = self.block()
        evil = self.named(block, "evil\x1b]2;owned\x07\x1b[2J\x1b[31m\r\n\t\x7f\u202egnp\u2028\u0085")
        wide = self.named(block, "\u6f22\u5b57\u6f22\u5b57e\u0301\u0301\u0301\u0301\u0301\u0301|\U0001f980" * 20)
        mark = self.named(block, "\u0301\u0301mark\u200b\u200d\ufeff")
        screen = self.top(block.id, width=140)
        self.assertIn(r"evil\x1B]2;owned\x07\x1B[2J\x1B[31m\x0D\x0A\x09\x7F\u{202E}gnp\u{2028}\u{85}",
                      screen.line(rf"^ +{evil} "))
        self.assertNotIn("owned", screen.says("pane_title"))
        self.assertIn("\u6f22\u5b57", screen.line(rf"^ +{wide} "))
        self.assertRegex(screen.line(rf"^ +{mark} "), r" mark\\u\{200B\}\\u\{200D\}\\u\{FEFF\} 1000")
        lines = screen.lines()
        self.assertEqual(sum(block.id in line for line in lines), 1)
        self.assertRegex(lines[-1], r"^\?help")
        screen.press("End", "Enter")
        screen.until("command ")
        self.assertNotIn("owned", screen.says("pane_title"))
        screen.press("Escape", "/")
        screen.type("evil")
        screen.until("Filter: evil")
        screen.press("Enter", "End", "k")
        self.assertIn(r"(evil\x1B]2;owned\x07", screen.until(r"\[y/N\]"))
        self.assertNotIn("owned", screen.says("pane_title"))

    def test_a_storm_of_processes_is_followed_and_keys_work(self) -> None:
        block = self.block()
        screen = self.top(block.id)
        storm = block.sh(f"n=0; while [ $n -lt 1500 ]; do /bin/true; n=$((n + 1)); done; {READY}; read x")
        screen.press("?")
        screen.until("─ ?Keys|Keys ─")
        screen.press("q")
        screen.until("─ ?Keys|Keys ─", there=False)
        storm.until("ready", timeout=4 * DEADLINE)
        screen.until(rf"▾ {block.id}  1 process( |$)")
        self.assertRegex(screen.text(), rf"(?m)^ +{storm.pid} ")

    def test_the_list_is_of_all_blocks(self) -> None:
        blocks = [self.block(self.new_id("list")) for _ in range(2)]
        pids = [self.named(block, f"sleeper-{i}") for i, block in enumerate(blocks)]
        screen = self.top("--list", "list-*", width=100)
        for block, pid in zip(blocks, pids):
            self.assertRegex(screen.line(rf"^ +{pid} "), rf" {block.id} .* sleeper-\d 1000$")
        screen.press("v")
        screen.until(f"▾ {blocks[0].id}  1 process")


class Keys(TopCase):
    """What keys do."""

    def test_the_filter_shows_what_matches_and_those_above(self) -> None:
        block = self.block()
        self.sleepers(block)
        keeps = self.named(block, "needle in here")
        screen = self.top(block.id)
        screen.until("├─sleep 1000")
        screen.press("/")
        screen.type("NEEDLE")
        text = screen.until("sleep 1000", there=False)
        self.assertRegex(text, rf"(?m)^ +{keeps} ")
        screen.press("Enter")
        screen.until(r"^\?help")
        screen.press("Escape")
        screen.until("├─sleep 1000")

    def test_the_order_is_by_memory_at_the_press_of_a_key(self) -> None:
        block = self.block()
        small = block.sh(f"{READY}; read x")
        small.until("ready")
        large = block.begin([sys.executable, "-c", "x = bytearray(60 << 20)\n"
                             "print('{\"what\":\"ready\"}', flush=True)\nimport sys\nsys.stdin.read()"])
        large.until("ready")
        screen = self.top(block.id, "--interval", "200ms")
        text = screen.until(rf"^ +{large.pid} +[6-9]\d\.\dM")
        self.assertLess(text.index(f" {small.pid} "), text.index(f" {large.pid} "))
        screen.press("m")
        text = screen.until("by memory ▼")
        self.assertLess(text.index(f" {large.pid} "), text.index(f" {small.pid} "))
        screen.press("r")
        text = screen.until("by memory ▲")
        self.assertLess(text.index(f" {small.pid} "), text.index(f" {large.pid} "))

    def test_folding_hides_a_block_and_a_subtree(self) -> None:
        block = self.block()
        self.sleepers(block)
        screen = self.top(block.id)
        screen.until("├─sleep 1000")
        screen.press("Down", "Left")
        screen.until(r"\(\+2\) /bin/sh")
        screen.press("Left", "Left")
        screen.until(f"▸ {block.id}  3 processes")
        self.assertNotIn("/bin/sh", screen.text())
        screen.press("Right")
        screen.until(r"\(\+2\) /bin/sh")

    def test_enter_tells_all_of_a_process(self) -> None:
        block = self.block()
        server = block.begin([sys.executable, "-c", commands.LISTEN])
        port = server.until("listens")[0]["port"]
        screen = self.top(block.id, "--interval", "200ms")
        screen.until(rf"^ +{server.pid} +\S+ +\d+\.\d ")
        screen.press("Down", "Enter")
        text = screen.until("listens on")
        for part in (rf"pid +{server.pid}", rf"listens on +127\.0\.0\.1:{port}",
                     rf"directory +{re.escape(os.readlink(f'/proc/{server.pid}/cwd'))}", rf"uid +{os.geteuid()}"):
            self.assertRegex(text, part)

    def test_stop_asks_and_then_stops(self) -> None:
        block, other = self.block(), self.block()
        self.sleepers(block)
        self.sleepers(other)
        screen = self.top(block.id)
        screen.until("sleep 1000")
        screen.press("s")
        screen.until(rf"^ Stop all of {block.id}\? 3 processes\. \[y/N\]")
        screen.press("n")
        screen.until("nothing was done")
        self.assertEqual(len(block.listed()), 3)
        screen.press("s")
        screen.until(r"\[y/N\]")
        screen.press("y")
        screen.until(rf"^ {block.id}: 3 ended, 0 killed, \d+\.\d\ds")
        self.assertEqual((len(block.listed()), len(other.listed())), (0, 3))
        screen.until(rf"▾ {block.id}  0 processes")

    def about_to_kill(self, block: Block) -> tuple[Screen, int]:
        """It is asked whether that one of three is to be killed."""
        self.sleepers(block)
        victim = max(block.listed())
        screen = self.top(block.id)
        screen.until(rf"^ +{victim} ")
        screen.press("End", "k")
        screen.until(rf"Kill {victim} of {block.id}\? \(sleep 1000\) \[y/N\]")
        return screen, victim

    def test_kill_of_a_process_spares_the_others(self) -> None:
        block = self.block()
        screen, victim = self.about_to_kill(block)
        screen.press("y")
        screen.until(rf"^ {block.id}: killed {victim}")
        block.watch.until_ended(victim)
        self.assertEqual(len(block.listed()), 2)

    def test_who_has_ended_before_the_answer_is_not_killed(self) -> None:
        block = self.block()
        screen, victim = self.about_to_kill(block)
        os.kill(victim, signal.SIGKILL)
        block.watch.until_ended(victim)
        screen.press("y")
        screen.until(rf"^ could not kill {victim}.*: it is not there any more")
        self.assertEqual(len(block.listed()), 2)

    def test_a_request_that_is_not_answered_is_told(self) -> None:
        block = self.block()
        self.sleepers(block)
        screen = self.top("--timeout-ms", "500", block.id)
        screen.until("sleep 1000")
        with stopped(self.broker.process.pid):
            screen.press("k", "y")
            screen.until("^ no answer to: .*; it may still be done")
        programs.wait_for(lambda: len(block.listed()) < 3, "it is done then")

    def test_x_kills_what_the_agent_started(self) -> None:
        block = self.block()
        agent = block.begin([sys.executable, "-c", commands.AGENT])
        agent.until("ready")
        screen = self.top(block.id)
        screen.until("sleep 1000")
        screen.press("x", "y")
        screen.until(rf"^ {block.id}: killed 2 started processes")
        programs.wait_for(lambda: set(block.listed()) == {agent.pid}, "only the agent is left")

    def test_freeze_and_thaw(self) -> None:
        block = self.block()
        ticking = block.sh("""while :; do echo '{"what":"tick"}'; sleep 0.02; done""")
        ticking.until("tick")
        screen = self.top(block.id, "--interval", "200ms")
        screen.press("f")
        if self.tracker != "cgroup":
            screen.until(f"^ {block.id}: .*cgroup")
            return
        screen.until(rf"^ {block.id}: frozen; t thaws it")
        self.assertIn("frozen", screen.line(f"▾ {block.id}"))
        events = pathlib.Path(block.procs_path).with_name("cgroup.events")
        programs.wait_for(lambda: "frozen 1" in events.read_text(), "it is frozen")
        screen.press("t")
        screen.until(rf"^ {block.id}: thawed")
        ticking.until("tick", len(ticking.told("tick")) + 3)


class Ends(TopCase):
    """The broker goes and comes; and the terminal is as it was."""

    def test_without_the_broker_it_says_so_and_goes_on_with_the_next(self) -> None:
        block = self.block()
        self.sleepers(block)
        screen = self.top()
        screen.until("├─sleep 1000")
        self.broker.process.kill()
        self.broker.process.wait(DEADLINE)
        text = screen.until(r"^ no broker: shown is what was")
        self.assertIn("├─sleep 1000", text)
        self.assertIn(" no broker ", text.split("\n")[0])
        screen.press("k")
        screen.until("there is no broker now")
        self.broker.start()
        screen.until(r"^ a broker is there again")
        again = self.block()
        self.named(again, "after the restart")
        screen.until("after the restart 1000")
        self.assertNotIn(" no broker ", screen.lines()[0])

    def test_every_end_leaves_the_terminal_as_it_was(self) -> None:
        block = self.block()
        self.sleepers(block)
        screen = Screen(self)
        screen.run("ulimit", "-c", "0")
        for end, status in (("q", 0), ("F10", 0), ("C-c", 130), ("C-\\", 131), (signal.SIGTERM, 143)):
            with self.subTest(end=end):
                screen.type("clear; echo what was there before")
                screen.press("Enter")
                screen.until("^what was there before")
                after = pathlib.Path(screen.home, "after")
                after.unlink(missing_ok=True)
                screen.type(f"stty -g > {screen.home}/before; {shlex.join(commands.command('top', block.id))}; "
                            f"echo \"$? `stty -g`\" > {screen.home}/after")
                screen.press("Enter")
                screen.until("├─sleep 1000")
                self.assertEqual(screen.says("alternate_on"), "1")
                if isinstance(end, str):
                    screen.press(end)
                else:
                    self.signal_top(screen, end)
                screen.until("PID", there=False)
                before = pathlib.Path(screen.home, "before").read_text().strip()
                if end != "C-c":  # the shell ends the whole line with that
                    programs.wait_for(lambda: after.exists() and after.read_text(), "it has ended")
                    self.assertEqual(after.read_text().split(), [str(status), before])
                screen.press("Enter")
                screen.until("^what was there before")
                self.assertEqual((screen.says("alternate_on"), screen.says("cursor_flag")), ("0", "1"))
                self.assertNotIn("PID", screen.text())

    @staticmethod
    def signal_top(screen: Screen, number: int) -> None:
        (pid,) = [pid for pid in programs.children(int(screen.says("pane_pid")))]
        os.kill(pid, number)

    def test_it_stops_and_goes_on(self) -> None:
        block = self.block()
        self.sleepers(block)
        screen = Screen(self)
        screen.run("echo", "what was there before")
        screen.run(*commands.command("top", block.id))
        screen.until("├─sleep 1000")
        screen.press("C-z")
        text = screen.until("(?i)stopped|suspended")
        self.assertIn("what was there before", text)
        self.assertEqual((screen.says("alternate_on"), screen.says("cursor_flag")), ("0", "1"))
        screen.run("fg")
        screen.until("├─sleep 1000")
        self.assertEqual(screen.says("alternate_on"), "1")
        self.signal_top(screen, signal.SIGSTOP)
        screen.until("(?i)stopped")
        screen.run("fg")
        screen.until("^ proctrack  1 block  3 processes")
        self.assertIn("?help", screen.lines()[-1])
        screen.press("q")
        screen.until("what was there before")

    def test_where_it_cannot_draw_it_says_so(self) -> None:
        self.run_it("top", status=FAILED)
        self.assertIn("proctrack ps", self.errors)
        for kind in ("dumb", "no-such-terminal", ""):
            terminal = commands.Terminal(self, "top", TERM=kind)
            self.assertIn(f"a terminal of the kind '{kind}'", terminal.finish())
            self.assertEqual(terminal.process.returncode, FAILED)


class Costs(TopCase):
    """A slow link: few bytes, and none where nothing changes."""

    def bytes_in(self, terminal: commands.Terminal, seconds: float) -> int:
        end, n = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            if select.select([terminal.ours], [], [], left)[0]:
                n += len(os.read(terminal.ours, 65536))
        return n

    def cpu_in(self, terminal: commands.Terminal, seconds: float) -> float:
        """Seconds of a processor that it uses meanwhile, as a part of them."""
        def used() -> int:
            return sum(map(int, programs.stat_fields(terminal.process.pid)[11:13]))
        before = used()
        self.bytes_in(terminal, seconds)
        return (used() - before) / os.sysconf("SC_CLK_TCK") / seconds

    def test_where_nothing_changes_nothing_is_sent_and_hardly_anything_done(self) -> None:
        block = self.block()
        terminal = commands.Terminal(self, "top", "--interval", "200ms", block.id)
        terminal.until(block.id)
        self.bytes_in(terminal, 1)
        self.assertLess(self.cpu_in(terminal, 1), 0.1)
        self.assertEqual(self.bytes_in(terminal, 2), 0)

    def test_a_storm_is_a_few_pictures_a_second(self) -> None:
        block = self.block()
        terminal = commands.Terminal(self, "top", block.id)
        terminal.until(block.id)
        storm = block.sh("while :; do /bin/true; done")
        terminal.until(str(storm.pid))
        self.assertLess(self.bytes_in(terminal, 1), 5 * 4000)
        self.assertLess(self.cpu_in(terminal, 1), 0.5)

    def test_a_terminal_that_takes_nothing_is_not_waited_for(self) -> None:
        block = self.block()
        terminal = commands.Terminal(self, "top", block.id)
        terminal.until(block.id)
        block.sh("while :; do /bin/true; done")
        os.write(terminal.ours, b"\x13")  # Ctrl-S
        self.bytes_in(terminal, 0.5)
        self.assertEqual(self.bytes_in(terminal, 0.5), 0)
        self.assertLess(self.cpu_in(terminal, 1), 0.5)
        terminal.process.send_signal(signal.SIGTERM)
        os.write(terminal.ours, b"\x11")
        terminal.finish()
        self.assertEqual(terminal.process.returncode, -signal.SIGTERM)


class Json(TopCase):
    """For scripts."""

    def test_json_is_an_object_each_interval(self) -> None:
        block = self.block()
        busy = block.sh(f"{READY}; while :; do :; done")
        busy.until("ready")
        told = self.run_it("top", "--json", "--interval", "300ms", "--iterations", "2", block.id)
        first, second = map(json.loads, told.splitlines())
        self.assertGreater(second["at_ms"], first["at_ms"])
        for told in (first, second):
            self.assertTrue(told["current"])
            (shown,) = told["blocks"]
            self.assertEqual(shown["block_id"], block.id)
            (process,) = shown["processes"]
            self.assertEqual((process["pid"], process["root"]), (busy.pid, block.listed()[busy.pid]["root"]))
            self.assertGreater(process["rss_bytes"], 0)
            self.assertGreater(process["cpu_percent"], 5)
            self.assertEqual(shown["cpu_percent"], process["cpu_percent"])

    def test_it_ends_in_order_when_nobody_reads_it(self) -> None:
        self.block()
        streaming = subprocess.Popen(commands.command("top", "--json", "--interval", "100ms"),
                                     env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for step in (streaming.stderr.close, streaming.stdout.close, streaming.wait, streaming.kill):
            self.addCleanup(step)
        self.assertIn("blocks", json.loads(streaming.stdout.readline()))
        streaming.stdout.close()
        self.assertEqual((streaming.wait(DEADLINE), streaming.stderr.read()), (OK, b""))


if __name__ == "__main__":
    import unittest
    unittest.main()
