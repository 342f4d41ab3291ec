# SPDX-License-Identifier: Apache-2.0
"""What ./run shows: the demo, without a terminal and on one."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time
import unittest

from blackbox import programs
from blackbox.wire import DEADLINE

DEMO = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "demo"
BUILD = pathlib.Path(os.environ["PROCTRACK_WPSD"]).parent


class Demo(unittest.TestCase):
    """Run as a user runs it."""

    def setUp(self) -> None:
        self.directory = self.own_directory()
        self.environment = os.environ | {"PROCTRACK_BUILD": str(BUILD), "TMPDIR": self.directory}
        self.addCleanup(programs.kill_children)

    def own_directory(self) -> str:
        directory = subprocess.run(["mktemp", "-d"], check=True, capture_output=True,
                                   text=True).stdout.strip()

        def check_and_remove() -> None:
            left = os.listdir(directory)
            subprocess.run(["rm", "-rf", directory], check=True)
            self.assertEqual(left, [], "the demo left something behind")
        self.addCleanup(check_and_remove)
        return directory

    def run_demo(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([DEMO, *args], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=self.environment, timeout=4 * DEADLINE, check=False,
                              cwd="/")

    def assert_nothing_left(self) -> None:
        orphans = programs.children()  # they become ours
        left = [pid for pid in orphans if programs.is_running(pid)]
        self.assertEqual(left, [], "processes are left")

    def test_without_a_terminal_it_shows_its_tree_ends_it_and_ends_itself(self) -> None:
        done = self.run_demo()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for sight in ("sh examples/agent-tree.sh", "sleep 3001", "http.server", "/bin/sleep 3002",
                      "sleep 3003", "kill_tree", "killed by SIGKILL", "Nothing of it is left"):
            self.assertIn(sight, done.stdout)
        self.assertNotIn("\x1b", done.stdout, "colours without a terminal")
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
        self.assert_nothing_left()

    def test_a_command_is_tracked_and_its_status_passed_on(self) -> None:
        done = self.run_demo("--", "sh", "-c", "sleep 3004 & exit 7")
        self.assertEqual(done.returncode, 7, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\+ +\d+ .*sleep 3004")
        self.assertIn("Nothing of it is left", done.stdout)
        self.assert_nothing_left()

    def test_a_command_that_is_not_there_is_a_failure(self) -> None:
        done = self.run_demo("--", "there-is-no-such-program")
        self.assertEqual(done.returncode, 127)
        self.assertIn("there-is-no-such-program", done.stderr)

    def test_arguments_that_make_no_sense_are_refused(self) -> None:
        for args in (["--"], ["sleep", "1"], ["--colour"]):
            self.assertEqual(self.run_demo(*args).returncode, 64, args)

    def test_on_a_terminal_it_serves_on_until_ctrl_c(self) -> None:
        pid, terminal = self.on_terminal()
        seen = self.read_until(terminal, "Ctrl-C ends it")
        self.assertIn("\x1b[", seen, "colours on a terminal")
        directory = re.search(r"WPS_RUNTIME_DIR=(\S+)", seen).group(1)
        self.assertTrue(pathlib.Path(directory, "events").exists())
        os.write(terminal, b"\x03")
        self.assertEqual(self.status_of(pid, terminal), 0)
        self.assert_nothing_left()

    def test_ctrl_c_in_the_middle_leaves_no_mess(self) -> None:
        pid, terminal = self.on_terminal()
        self.read_until(terminal, "sleep 3001")
        os.write(terminal, b"\x03")
        self.status_of(pid, terminal)
        self.assert_nothing_left()

    def test_a_demo_that_is_terminated_takes_its_broker_and_tree_along(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
            pid, terminal = self.on_terminal()
            self.read_until(terminal, "sleep 3001")
            os.kill(pid, number)
            self.status_of(pid, terminal)
            for orphan in programs.children():  # the broker of a demo that was killed ends, too
                os.waitpid(orphan, 0)
            if number == signal.SIGKILL:
                subprocess.run(f"rm -rf {self.directory}/wps-demo-*", shell=True, check=True)

    def on_terminal(self) -> tuple[int, int]:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(DEMO, [str(DEMO)], self.environment)
        self.addCleanup(os.close, terminal)
        return pid, terminal

    def read_until(self, terminal: int, text: str) -> str:
        seen, end = "", time.monotonic() + 2 * DEADLINE
        while text not in seen:
            self.assertGreater(end, time.monotonic(), f"{text!r} did not come:\n{seen}")
            if select.select([terminal], [], [], 0.5)[0]:
                try:
                    seen += os.read(terminal, 65536).decode(errors="replace")
                except OSError:
                    self.fail(f"it ended before {text!r}:\n{seen}")
        return seen

    def status_of(self, pid: int, terminal: int) -> int:
        """Reads what it still writes, and reaps it."""
        end = time.monotonic() + 2 * DEADLINE
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if select.select([terminal], [], [], 0.05)[0]:
                try:
                    os.read(terminal, 65536)
                except OSError:
                    pass
        self.fail("it does not end")
