# SPDX-License-Identifier: Apache-2.0
"""`proctrack run`: the same process as before, and a member before its first instruction; or it does not run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import threading
import time
import unittest
from typing import Any

from blackbox import programs
from blackbox.broker import Broker
from blackbox.case import Block, SystemCase, feed_wanted
from blackbox.wire import DEADLINE, PATIENCE, SLOW, Subscriber

CLI = os.environ.get("PROCTRACK_CLI", "proctrack")
BIRTH_PROBE = os.environ.get("PROCTRACK_BIRTH_PROBE", "birth_probe")
FIRST_FORK = os.environ.get("PROCTRACK_FIRST_FORK", "first_fork")
RUN_FAILED, RUN_CANNOT, RUN_MISSING = 125, 126, 127

#: What a program can see of how it was started, but for its pid and its environment.
SIGNALS = "grep -E '^(Sig(Pnd|Blk|Ign|Cgt)|ShdPnd)' /proc/self/status"
DESCRIPTORS = "for fd in /proc/$$/fd/*; do echo ${fd##*/} $(readlink $fd); done"


def command(*words: object) -> list[str]:
    """proctrack run, as it can be started here."""
    line = [CLI, "run", *map(str, words)]
    setarch = shutil.which("setarch")
    if os.environ.get("PROCTRACK_SANITIZE") == "thread" and setarch:
        line = [setarch, "-R", *line]
    return line


class RunCase(SystemCase):
    """Starts `proctrack run` for the broker of this class."""

    def environment(self) -> dict[str, str]:
        return os.environ | {"WPS_RUNTIME_DIR": str(self.broker.runtime)}

    def start(self, *words: object, **options: Any) -> subprocess.Popen[bytes]:
        options.setdefault("env", self.environment())
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        return process

    def finish(self, process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
        out, errors = process.communicate(timeout=DEADLINE)
        return process.returncode, out.decode(), errors.decode()

    def run_it(self, *words: object, **options: Any) -> tuple[int, str, str]:
        """Its exit status, what came on stdout, and on stderr."""
        return self.finish(self.start(*words, **options))

    def line_of(self, process: subprocess.Popen[bytes]) -> str:
        ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
        self.assertTrue(ready, "it says nothing")
        return process.stdout.readline().decode().strip()

    def assert_not_run(self, ended: tuple[int, str, str], *words: str) -> None:
        """125, a sentence with these words, and nothing from the command."""
        status, out, errors = ended
        self.assertEqual((status, out), (RUN_FAILED, ""), errors)
        self.assertEqual(len(errors.splitlines()), 1, errors)
        self.assertIn("was not run", errors)
        for word in words:
            self.assertIn(word, errors)


class TheSameProcess(RunCase):
    """A command that is run so cannot tell, but by its cgroup and three variables."""

    def test_it_keeps_its_pid_and_is_a_root_of_the_block(self) -> None:
        block = self.block()
        process = self.start("--block", block.id, "--", "sh", "-c", "echo $$; read x; exit 0",
                             stdin=subprocess.PIPE)
        self.assertEqual(int(self.line_of(process)), process.pid)
        programs.wait_for(lambda: block.listed().get(process.pid, {}).get("command", "")
                          .startswith("sh -c"), "it is listed with its command")
        record = block.listed()[process.pid]
        self.assertEqual((record["root"], record["scope"]), (True, "main"))
        self.assertLessEqual(abs(record["started_at_ms"] - programs.started_at_ms(process.pid)), 20)
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 0)
        stay = block.watch.until_ended(process.pid)
        self.assertEqual(len(block.watch.stays(process.pid)), 1)
        if self.tells_all:
            self.assertEqual(stay.status(), ("exit_code", 0))

    def test_it_ends_as_the_command_does(self) -> None:
        block = self.block()
        for status in (0, 1, 7, 125, 255):
            self.assertEqual(self.run_it("-b", block.id, "sh", "-c", f"exit {status}")[0], status)
        for number in (signal.SIGTERM, signal.SIGKILL):
            ended = self.run_it("-b", block.id, "sh", "-c", f"kill -{number:d} $$")
            self.assertEqual(ended[0], -number)

    def test_a_signal_to_it_is_one_to_the_command(self) -> None:
        block = self.block()
        process = self.start("-b", block.id, "--", "sh", "-c",
                             "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
        self.assertEqual(self.line_of(process), "ready")
        process.terminate()
        self.assertEqual(self.finish(process)[:2], (3, "got it\n"))

    def test_it_has_the_same_descriptors(self) -> None:
        block = self.block()
        with tempfile.TemporaryFile() as file, open("/dev/null", "rb") as null:
            fcntl.fcntl(file, fcntl.F_DUPFD, 40)
            kept = (file.fileno(), null.fileno())
            told = [self.descriptors(words, pass_fds=kept, stdin=null) for words in
                    (["sh", "-c", DESCRIPTORS], command("-b", block.id, "sh", "-c", DESCRIPTORS))]
        self.assertEqual(told[0], told[1])
        self.assertTrue(any(line.startswith(f"{kept[0]} ") for line in told[1]))

    def descriptors(self, words: list[str], **options: Any) -> list[str]:
        ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               timeout=DEADLINE, env=self.environment(), check=True, **options)
        return [re.sub(r"pipe:\[\d+\]", "a pipe", line) for line in ended.stdout.splitlines()]

    def test_descriptors_that_are_closed_stay_closed(self) -> None:
        block = self.block()
        words = " ".join(command("-b", block.id, "sh", "-c", "'for fd in 0 1 2; do [ ! -e /proc/$$/fd/$fd ] || echo $fd >&3; done'"))
        for closed, left in (("<&-", {"1", "2"}), ("2>&-", {"0", "1"}), ("<&- >&- 2>&-", set())):
            ended = subprocess.run(["sh", "-c", f"exec {words} 3>&1 {closed}"], text=True, stdin=subprocess.DEVNULL,
                                   capture_output=True, timeout=DEADLINE, env=self.environment())
            self.assertEqual(set(ended.stdout.split()), left, f"{closed}: {ended.stderr}")

    def test_stdin_is_the_commands_to_read(self) -> None:
        block = self.block()
        process = self.start("-b", block.id, "cat", stdin=subprocess.PIPE)
        out, _ = process.communicate(b"all of it\n" * 1000, timeout=DEADLINE)
        self.assertEqual(out, b"all of it\n" * 1000)

    def test_blocked_and_ignored_signals_are_as_they_were(self) -> None:
        def odd_signals() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
        block = self.block()
        told = [subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, check=True,
                               env=self.environment(), preexec_fn=odd_signals).stdout  # noqa: PLW1509
                for words in (["sh", "-c", SIGNALS], command("-b", block.id, "sh", "-c", SIGNALS))]
        self.assertIn("SigBlk", told[0])
        self.assertEqual(told[0], told[1])

    def test_its_environment_has_three_variables_more(self) -> None:
        block = self.block()
        before = {**self.environment(), "ODD": "two\nlines", "PROCTRACK_BLOCK": "another"}
        for scope in ("main", "bg/7"):
            _, out, _ = self.run_it("-b", block.id, "-s", scope, "env", "-0", env=before)
            told = dict(entry.split("=", 1) for entry in out.split("\0") if entry)
            told.pop("__LLVM_PROFILE_RT_INIT_ONCE", None)  # of a build that counts what is reached
            self.assertEqual(told, before | {
                "PROCTRACK_BLOCK": block.id, "PROCTRACK_SCOPE": scope,
                "WPS_RUNTIME_DIR": str(self.broker.runtime)})

    def test_the_environment_names_the_broker_that_was_meant(self) -> None:
        block = self.block()
        elsewhere = os.environ | {"WPS_RUNTIME_DIR": "/nowhere"}
        for words in (["--runtime-dir", f"{self.broker.runtime}/"],
                      ["--endpoint", self.broker.endpoint("control")]):
            status, out, errors = self.run_it(*words, "-b", block.id, "sh", "-c",
                                              "echo $WPS_RUNTIME_DIR", env=elsewhere)
            self.assertEqual((status, out), (0, f"{self.broker.runtime}\n"), errors)


class OnATerminal(RunCase):
    """Job control and Ctrl-C are the terminal's business with the command."""

    def setUp(self) -> None:
        super().setUp()
        self.terminal, line = pty.openpty()
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(os.close, line)
        self.line = line

    def on_terminal(self, *words: str) -> subprocess.Popen[bytes]:
        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(self.line, termios.TIOCSCTTY, 0)
        process = subprocess.Popen(list(words), stdin=self.line, stdout=self.line, stderr=self.line,
                                   env=self.environment(), preexec_fn=take_terminal)  # noqa: PLW1509
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def read_until(self, end: str) -> str:
        told = b""
        until = time.monotonic() + DEADLINE
        while end.encode() not in told:
            ready, _, _ = select.select([self.terminal], [], [], max(0, until - time.monotonic()))
            self.assertTrue(ready, f"the terminal shows {told!r}")
            told += os.read(self.terminal, 4096)
        return told.decode()

    def test_it_has_the_terminal_and_is_in_the_foreground(self) -> None:
        block = self.block()
        process = self.on_terminal(*command("-b", block.id, "--", "sh", "-c",
                                            "tty; cat /proc/$$/stat; echo end.; read x"))
        told = self.read_until("end.")
        self.assertIn(os.ttyname(self.line), told)
        fields = told[told.index(")") + 2:].split()
        parent, group, session, foreground = (int(fields[i]) for i in (1, 2, 3, 5))
        self.assertEqual((parent, group, session, foreground),
                         (os.getpid(), process.pid, process.pid, process.pid))

    def test_ctrl_c_ends_the_command(self) -> None:
        block = self.block()
        process = self.on_terminal(*command("-b", block.id, "--", "sh", "-c", "echo on; exec sleep 100"))
        self.read_until("on")
        programs.wait_for(lambda: programs.command_of(process.pid) == "sleep 100", "it sleeps")
        os.write(self.terminal, b"\x03")
        self.assertEqual(process.wait(DEADLINE), -signal.SIGINT)


class Joining(RunCase):
    """Where it is put."""

    def test_create_makes_the_block_and_takes_one_that_is_there(self) -> None:
        block_id = self.new_id("made")
        self.addCleanup(self.control, "remove", block_id=block_id)
        for words in (["--create", "--block", block_id], ["-cb", block_id]):
            process = self.start(*words, "--", "sh", "-c", "echo on; read x; exit 0",
                                 stdin=subprocess.PIPE)
            self.assertEqual(self.line_of(process), "on")
            self.assertIn(process.pid, self.listed(block_id))
            process.stdin.close()
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_a_scope_is_made_and_listed(self) -> None:
        block = self.block()
        process = self.start("-b", block.id, "-s", "bg/7", "sh", "-c", "echo on; read x",
                             stdin=subprocess.PIPE)
        self.assertEqual(self.line_of(process), "on")
        listed = self.control("list_block", block_id=block.id, scope="bg")["processes"]
        self.assertEqual([(record["pid"], record["scope"]) for record in listed],
                         [(process.pid, "bg/7")])

    def test_what_a_member_runs_in_another_scope_moves_there_and_does_not_leave(self) -> None:
        block = self.block()
        inner = " ".join(command("-b", '"$PROCTRACK_BLOCK"', "-s", "bg/7", "sh", "-c", "'echo on; read x'"))
        process = self.start("-b", block.id, "sh", "-c", f"{inner}; exit 4", stdin=subprocess.PIPE)
        self.assertEqual(self.line_of(process), "on")
        scopes = sorted(record["scope"] for record in block.listed().values())
        self.assertEqual(scopes, ["bg/7", "main"])
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 4)
        block.watch.catch_up()
        self.assertEqual(block.watch.named("process-escaped", process.pid), [])

    def test_all_that_it_starts_is_in_the_block(self) -> None:
        block = self.block()
        process = self.start("-b", block.id, programs.Odd.path, "double-fork", stdin=subprocess.PIPE)
        self.assertIn("{", self.line_of(process))
        self.assertIn(process.pid, block.listed())

    def test_only_its_own_options_are_its_own(self) -> None:
        block = self.block()
        status, out, _ = self.run_it("-b", block.id, "echo", "--create", "-b", "--help")
        self.assertEqual((status, out), (0, "--create -b --help\n"))


class NotJoining(RunCase):
    """Whoever cannot join does not run, and says why."""

    def test_an_unknown_block(self) -> None:
        self.assert_not_run(self.run_it("-b", self.new_id("none"), "echo", "ran"), "--create")

    def test_no_broker(self) -> None:
        with tempfile.TemporaryDirectory() as runtime:
            begun = time.monotonic()
            ended = self.run_it("-b", "b", "echo", "ran", env=os.environ | {"WPS_RUNTIME_DIR": runtime})
            self.assert_not_run(ended, f"ipc://{runtime}/control", "wpsd --plugin")
            self.assertLess(time.monotonic() - begun, DEADLINE / 3, "it does not wait for one")

    def test_a_socket_that_nobody_listens_on(self) -> None:
        broker = Broker(feed=feed_wanted(), **self.options)
        self.addCleanup(broker.destroy)
        broker.start()
        broker.process.kill()
        broker.process.wait()
        ended = self.run_it("-b", "b", "echo", "ran", env=os.environ | {"WPS_RUNTIME_DIR": str(broker.runtime)})
        self.assert_not_run(ended, "nobody listens", "wpsd --plugin")

    def test_nothing_that_says_where_the_broker_is(self) -> None:
        if os.geteuid() == 0:
            self.skipTest("root has /run/wps")
        bare = {key: value for key, value in os.environ.items()
                if key not in ("WPS_RUNTIME_DIR", "XDG_RUNTIME_DIR")}
        self.assert_not_run(self.run_it("-b", "b", "echo", "ran", env=bare), "WPS_RUNTIME_DIR")

    def test_a_broker_that_does_not_answer(self) -> None:
        block = self.block()
        self.broker.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.broker.process.send_signal, signal.SIGCONT)
        begun = time.monotonic()
        ended = self.run_it("--timeout-ms", "300", "-b", block.id, "echo", "ran")
        self.assert_not_run(ended, "no answer", "300 ms")
        self.assertGreaterEqual(time.monotonic() - begun, 0.3)

    def test_a_broker_that_ends_while_it_is_asked(self) -> None:
        broker = Broker(feed=feed_wanted(), **self.options)
        self.addCleanup(broker.destroy)
        broker.start()
        broker.control("ensure_tracker", block_id="b")
        broker.process.send_signal(signal.SIGSTOP)
        process = self.start("-b", "b", "echo", "ran", env=os.environ | {"WPS_RUNTIME_DIR": str(broker.runtime)})
        programs.wait_for(lambda: self.is_asking(process), "it asks")
        broker.process.kill()
        self.assert_not_run(self.finish(process), "broker")

    @staticmethod
    def is_asking(process: subprocess.Popen[bytes]) -> bool:
        """ZeroMQ's threads are there, and it waits."""
        return len(os.listdir(f"/proc/{process.pid}/task")) >= 3

    def test_a_removal_meanwhile_means_that_it_does_not_run_or_ends_too(self) -> None:
        for _ in range(10):
            block = self.block()
            member = block.odd("hold")
            self.broker.process.send_signal(signal.SIGSTOP)
            removal = threading.Thread(target=self.broker.ask().ask,
                                       args=("remove", {"block_id": block.id}))
            removal.start()
            process = self.start("-b", block.id, "sh", "-c", "echo ran; exec sleep 100")
            programs.wait_for(lambda: self.is_asking(process), "it asks")
            self.broker.process.send_signal(signal.SIGCONT)
            removal.join(DEADLINE)
            status, out, errors = self.finish(process)
            if status != -signal.SIGKILL:
                self.assert_not_run((status, out, errors), "no such block")
            self.assertEqual(member.finish(), -signal.SIGKILL)

    def test_a_broker_that_can_hold_no_processes(self) -> None:
        broker = Broker(feed=feed_wanted(), tracker="none")
        self.addCleanup(broker.destroy)
        broker.start()
        ended = self.run_it("--create", "-b", "b", "echo", "ran",
                            env=os.environ | {"WPS_RUNTIME_DIR": str(broker.runtime)})
        self.assert_not_run(ended, "tracker 'none'")

    def test_a_hundred_at_once_join(self) -> None:
        block = self.block()
        patience = f"--timeout-ms={int(DEADLINE * 1000)}"
        started = [self.start("-b", block.id, "-s", f"bg/{i % 7}", patience, "sh", "-c", "read x; exit 0",
                              stdin=subprocess.PIPE) for i in range(100)]
        for process in started:
            block.watch.until_added(process.pid)
        self.assertEqual({pid: record["scope"] for pid, record in block.listed().items()},
                         {process.pid: f"bg/{i % 7}" for i, process in enumerate(started)})
        for process in started:
            process.stdin.close()
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_a_broker_in_another_pid_namespace(self) -> None:
        block = self.block()
        unshare = ["unshare", "--pid", "--fork", "--kill-child"]
        if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True).returncode:
            self.skipTest("no pid namespace can be made here")
        ended = subprocess.run([*unshare, *command("-b", block.id, "echo", "ran")], text=True,
                               capture_output=True, timeout=DEADLINE, env=self.environment())
        self.assert_not_run((ended.returncode, ended.stdout, ended.stderr), "pid namespace")

    def test_or_untracked_runs_it_with_a_warning_and_no_tag(self) -> None:
        bare = {key: value for key, value in self.environment().items() if not key.startswith("PROCTRACK_")}
        ended = self.run_it("--or-untracked", "-b", self.new_id("none"), "sh", "-c",
                            "echo ${PROCTRACK_BLOCK-none}; exit 5", env=bare)
        self.assertEqual(ended[:2], (5, "none\n"))
        self.assertRegex(ended[2], r"^proctrack run: warning: cannot join .*sh runs untracked\n$")

    def test_or_untracked_joins_where_that_is_possible(self) -> None:
        block = self.block()
        ended = self.run_it("--or-untracked", "-b", block.id, "sh", "-c", "echo $PROCTRACK_BLOCK")
        self.assertEqual(ended, (0, f"{block.id}\n", ""))

    def test_a_command_that_is_not_there(self) -> None:
        block = self.block()
        status, out, errors = self.run_it("-b", block.id, "/no/such/command")
        self.assertEqual((status, out), (RUN_MISSING, ""))
        self.assertIn("/no/such/command", errors)

    def test_a_command_that_cannot_be_executed(self) -> None:
        block = self.block()
        for path in ("/etc", "/etc/passwd"):
            status, out, errors = self.run_it("-b", block.id, path)
            self.assertEqual((status, out), (RUN_CANNOT, ""))
            self.assertIn(path, errors)

    def test_a_command_line_that_makes_no_sense(self) -> None:
        for words, told in ((["echo"], "--block"), (["-b", "b"], "which command"),
                            (["-b", "../b", "echo"], "--block"), (["-b", "b", "-s", "a//b", "echo"], "--scope"),
                            (["-b", "b", "--timeout-ms", "soon", "echo"], "--timeout-ms"),
                            (["--no-such", "echo"], "--no-such")):
            status, out, errors = self.run_it(*words)
            self.assertEqual((status, out), (RUN_FAILED, ""), words)
            self.assertIn(told, errors)

    def test_help_is_no_failure(self) -> None:
        status, out, errors = self.run_it("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("125", out)


@unittest.skipUnless(os.path.exists(FIRST_FORK), "its program is not built for this processor")
class NobodyIsBornOutside(RunCase):
    """A root whose first instruction is a fork, and its second the end: the child is inside, each time."""

    def place_of(self, block: Block) -> str:
        """The line that /proc has of its members' cgroup, told by one that stays."""
        member = block.odd("hold")
        block.watch.until_added(member.pid)
        return f"0::{programs.cgroup_of(member.pid)}"

    def check(self, block: Block, starter: subprocess.Popen[bytes], rounds: int, told: bool) -> None:
        """Each child said that it was inside; and, where every birth is told, all were, once."""
        place = self.place_of(block)
        count = Count(self, block)
        starter.stdin.close()
        lines = count.while_it_runs(starter, 2 * rounds if told else 0)
        self.assertEqual((starter.returncode, len(lines)), (0, rounds))
        if self.tracker == "cgroup":
            self.assertEqual(set(lines), {place})

    def starter(self, *words: str) -> subprocess.Popen[bytes]:
        """It begins when its stdin ends."""
        process = subprocess.Popen(["sh", "-c", 'read x; exec "$@"', "sh", *words], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=self.environment())
        self.addCleanup(process.kill)
        return process

    def check_helper(self, how: str, rounds: int = 2000) -> None:
        if self.tracker != "cgroup":
            self.skipTest("nothing is born in a block without cgroups; proctrack run is tested below")
        rounds = int(os.environ.get("PROCTRACK_ROUNDS", rounds / SLOW / PATIENCE))
        block = self.block()
        probe = self.starter(BIRTH_PROBE, how, block.procs_path, str(rounds), FIRST_FORK)
        self.check(block, probe, rounds, told=self.feed == "bpf")

    def test_spawned(self) -> None:
        self.check_helper("spawn", 10000 if self.feed == "bpf" else 2000)

    def test_made_by_clone3(self) -> None:
        self.check_helper("clone")

    def test_entering_between_fork_and_exec(self) -> None:
        self.check_helper("enter")

    def test_started_by_proctrack_run(self) -> None:
        rounds = round(300 / SLOW / PATIENCE)
        block = self.block()
        line = " ".join(command("-b", block.id, "--", FIRST_FORK))
        script = f"i=0; while [ $i -lt {rounds} ]; do {line} || exit 1; i=$((i+1)); done"
        self.check(block, self.starter("sh", "-c", script), rounds, told=self.tells_all)


class Count:
    """All stays in a block, where there are too many to hold each event against its schema."""

    def __init__(self, case: RunCase, block: Block) -> None:
        self.case = case
        self.subscriber = Subscriber(case.broker.endpoint("events"), case.broker.rpc, None)
        case.addCleanup(self.subscriber.close)
        self.topic = f"block:{block.id}"
        self.subscriber.subscribe(self.topic)
        self.alive: set[int] = set()
        self.added = self.ended = 0

    def take(self, event: Any) -> None:
        if event.name == "agent:process-added":
            pid = event.data["process"]["pid"]
            self.case.assertNotIn(pid, self.alive)
            self.alive.add(pid)
            self.added += 1
        elif event.name == "agent:process-exited":
            self.alive.remove(event.data["pid"])
            self.ended += 1
        self.case.assertNotIn(event.name, ("agent:process-escaped", "agent:block-resync"))

    def while_it_runs(self, process: subprocess.Popen[bytes], expected: int) -> list[str]:
        """Takes events until the process has ended and so many have come and gone, or nothing comes any more; gives
        its lines."""
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout))
        reader.start()
        end = time.monotonic() + 4 * DEADLINE
        while (reader.is_alive() or self.ended < expected) and time.monotonic() < end:
            event = self.subscriber.next(0.05)
            if event is not None and event.topic == self.topic:
                self.take(event)
                end = max(end, time.monotonic() + DEADLINE)
        reader.join(DEADLINE)
        process.wait(DEADLINE)
        process.stdout.close()
        if expected:
            self.case.assertEqual((self.added, self.ended, self.alive), (expected, expected, set()))
        return [line.decode().strip() for line in lines]


if __name__ == "__main__":
    unittest.main()
