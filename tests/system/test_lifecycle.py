# SPDX-License-Identifier: Apache-2.0
"""A process's stay in a block: it is added, may exec, and exits (PROTOCOL.md, 3.1 and 3.2)."""

from __future__ import annotations

import signal
import tempfile
import time

from blackbox import programs
from blackbox.broker import Broker
from blackbox.case import SystemCase
from blackbox.programs import Odd


class Lifecycle(SystemCase):
    """One process, from birth to end."""

    def test_what_is_born_through_procs_path_is_added_and_exits(self) -> None:
        block = self.block()
        odd = block.odd("hold")
        stay = block.watch.until(lambda: self.shown_as(block, odd.pid, odd.shown), "added")
        self.assertFalse(stay.added["root"], "born in the block, not assigned")
        odd.until("ready")
        odd.finish()
        block.check_end(odd.pid, ("exit_code", 0))

    def shown_as(self, block, pid: int, command: str):
        """The stay of a pid, once its command is that."""
        stay = block.watch.stay(pid)
        return stay if stay and stay.record["command"] == command else None

    def test_an_assigned_process_is_a_root_and_not_started(self) -> None:
        block = self.block()
        odd = self.outside("hold")
        self.assertEqual(block.assign(odd.pid), 1)
        block.watch.catch_up()
        record = block.watch.until_added(odd.pid).added
        self.assertEqual(record["command"], odd.shown)
        self.assertTrue(record["root"])
        self.assertFalse(record["started"])
        self.assertEqual(record["scope"], "main")
        odd.finish()
        block.check_end(odd.pid, ("exit_code", 0))

    def outside(self, *args: object) -> Odd:
        """An odd life in no block, ready."""
        odd = Odd(*args)
        self.addCleanup(odd.close)
        odd.until("ready")
        return odd

    def test_assigning_a_member_again_assigns_nobody(self) -> None:
        block = self.block()
        odd = self.outside("hold")
        self.assertEqual(block.assign(odd.pid), 1)
        self.assertEqual(block.assign(odd.pid), 0)
        self.assertEqual(block.assign(odd.pid, started_at_ms=self.started(block, odd.pid)), 0)
        block.watch.catch_up()
        self.assertEqual(len(block.watch.named("process-added", odd.pid)), 1)

    def started(self, block, pid: int) -> int:
        return block.listed()[pid]["started_at_ms"]

    def test_assigning_a_process_brings_the_descendants_it_has(self) -> None:
        block = self.block()
        odd = self.outside("setsid-child")
        (child,) = odd.births()
        self.assertEqual(block.assign(odd.pid), 2)
        listed = block.listed()
        self.assertEqual(set(listed), {odd.pid, child})
        self.assertEqual((listed[odd.pid]["root"], listed[child]["root"]), (True, False))
        self.assertEqual(listed[child]["parent_pid"], odd.pid)
        odd.finish()
        for pid in (odd.pid, child):
            block.check_end(pid, ("exit_code", 0))

    def test_every_exit_code_is_told(self) -> None:
        block = self.block()
        for code in (0, 1, 2, 77, 127, 128, 254, 255):
            odd, _ = block.run("exit", code)
            block.check_end(odd.pid, ("exit_code", code))

    def test_a_process_that_a_signal_ends_tells_the_signal(self) -> None:
        block = self.block()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGUSR1,
                       signal.SIGSEGV, signal.SIGABRT, signal.SIGRTMIN + 3):
            odd, _ = block.run("signal", int(number))
            block.check_end(odd.pid, ("signal", int(number)))
            if self.tells_all:
                self.assertFalse(block.watch.stay(odd.pid).end.data["core_dumped"])

    def test_a_core_dump_is_told(self) -> None:
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            if file.read().strip() not in ("core", "core.%p"):
                self.skipTest("cores go somewhere else here: kernel.core_pattern")
        block = self.block()
        with tempfile.TemporaryDirectory() as directory:
            odd, _ = block.run("signal", int(signal.SIGABRT), "core", cwd=directory)
            block.check_end(odd.pid, ("signal", int(signal.SIGABRT)))
            if self.tells_all:
                self.assertTrue(block.watch.stay(odd.pid).end.data["core_dumped"])

    def test_a_record_says_when_its_process_was_made_and_who_made_it(self) -> None:
        block = self.block()
        odd = block.odd("hold")
        odd.until("ready")
        record = block.watch.until_added(odd.pid).added
        self.assertAlmostEqual(record["started_at_ms"], programs.started_at_ms(odd.pid), delta=100)
        listed = block.listed()[odd.pid]
        self.assertEqual(listed["started_at_ms"], record["started_at_ms"])
        self.assertEqual(listed["command"], odd.shown)

    def test_an_exit_tells_how_long_it_ran_and_what_it_took(self) -> None:
        block = self.block()
        begun = time.monotonic()
        odd = block.odd("hold")
        odd.until("ready")
        block.watch.until_added(odd.pid)
        odd.finish()
        lasted = (time.monotonic() - begun) * 1000
        data = block.watch.until_ended(odd.pid).end.data
        self.assertLessEqual(data["runtime_ms"], lasted + 100)
        self.assertLessEqual(data["cpu_ms"], data["runtime_ms"] + 100)
        self.assertGreaterEqual(data["max_rss_bytes"], 0)

    def test_a_zombie_ended_when_it_exited(self) -> None:
        block = self.block()
        odd = block.odd("zombie")
        odd.until("ready")
        (zombie,) = odd.births()
        block.check_end(zombie, ("exit_code", 4))
        self.assertNotIn(zombie, block.listed())
        self.assertIn(odd.pid, block.listed())
        odd.finish()
        block.check_end(odd.pid, ("exit_code", 0))

    def test_a_program_that_execs_later_gives_an_exec_event(self) -> None:
        block = self.block()
        odd = block.odd("exec-later", Odd.path, "hold")
        odd.until("waiting")
        block.watch.until(lambda: self.shown_as(block, odd.pid, odd.shown), "added")
        odd.say()
        odd.until("ready")
        new = f"{Odd.path} hold"
        if self.tells_all:
            block.watch.until(lambda: self.shown_as(block, odd.pid, new), "exec")
            self.assertEqual(block.watch.stay(odd.pid).execs[-1], new)
        odd.finish()
        block.check_end(odd.pid, ("exit_code", 0))


class Loss(SystemCase):
    """What is no loss is not told as one."""

    def test_another_listener_that_comes_and_goes_is_no_loss(self) -> None:
        block = self.block()
        for _ in range(2):
            other = Broker(feed=self.feed)
            self.addCleanup(other.destroy)
            other.start()
            other.stop()
        odd, _ = block.run("exit", 0)
        block.watch.until_ended(odd.pid)
        self.assertEqual(block.watch.named("block-resync"), [])


class Settling(SystemCase):
    """Who knows only `added` and `exited` sees the command that really runs."""

    options = {"settle-ms": 200}  # a busy machine may take longer to an exec than the default

    def setUp(self) -> None:
        super().setUp()
        if not self.tells_all:
            self.skipTest("a scan sees what is there when it looks, not how it came to be")

    def test_a_child_that_execs_at_once_is_added_as_what_it_runs(self) -> None:
        block = self.block()
        for life in ("vfork-exec", "posix-spawn"):
            with self.subTest(life):
                odd = block.odd("exec-later", Odd.path, life, Odd.path, "hold")
                block.watch.until_added(odd.pid)
                odd.say()
                odd.until("born")
                (child,) = odd.births()
                block.watch.until_added(child)
                odd.finish()
                self.assert_folded(block, child, f"{Odd.path} hold")

    def test_a_child_that_is_gone_at_once_is_added_as_what_it_ran(self) -> None:
        if self.feed != "bpf":
            self.skipTest("argv of what is gone cannot be read: this feed does not bring it along")
        block = self.block()
        for life in ("vfork-exec", "posix-spawn"):
            with self.subTest(life):
                odd, _ = block.run(life, Odd.path, "exit", "0")
                (child,) = odd.births()
                block.check_end(child, ("exit_code", 0))
                self.assert_folded(block, child, f"{Odd.path} exit 0")

    def assert_folded(self, block, pid: int, command: str) -> None:
        stay = block.watch.until_ended(pid)
        self.assertEqual(stay.added["command"], command)
        self.assertEqual(stay.execs, [], "an exec that is folded into added gives no event")

    def test_what_a_shell_runs_is_added_as_itself(self) -> None:
        block = self.block()
        shell = block.sh(f"{Odd.path} hold; exit 9")
        shell.until("ready")
        child = shell.told("ready")[0]["pid"]
        stay = block.watch.until_added(child)
        self.assertEqual(stay.added["command"], f"{Odd.path} hold")
        self.assertEqual(stay.execs, [])
        self.assertTrue(stay.added["started"], "the child of a shell")
        self.assertEqual(stay.added["parent_pid"], shell.pid)
        self.assertTrue(block.listed()[shell.pid]["started"], "a shell, and no root")
        self.assertEqual(shell.finish(), 9)
        block.check_end(child, ("exit_code", 0))
        block.check_end(shell.pid, ("exit_code", 9))

    def test_a_quick_shell_and_all_it_runs_are_added_as_what_they_are(self) -> None:
        if self.feed != "bpf":
            self.skipTest("argv of what is gone cannot be read: this feed does not bring it along")
        block = self.block()
        busy = f"{Odd.path} exit 7; {Odd.path} exit 8; exit 9"
        for script, codes in (("true", ()), (busy, (7, 8))):
            shell = block.sh(script)
            block.check_end(shell.pid, programs.exit_of(shell.finish()))
            stay = block.watch.stay(shell.pid)
            self.assertEqual(stay.record["command"], f"/bin/sh -c {script}")
            self.assertTrue(stay.record["started"], "a shell is started")
            commands = {stay.added["command"]: stay for stay in block.watch.law.all_stays()}
            for code in codes:
                stay = commands[f"{Odd.path} exit {code}"]
                self.assertEqual(stay.status(), ("exit_code", code))
                self.assertTrue(stay.added["started"], "the child of a shell")
                self.assertEqual(stay.added["parent_pid"], shell.pid)

    def test_one_that_only_forks_is_shown_as_its_parent_and_comes_before_its_children(self) -> None:
        block = self.block()
        odd, _ = block.run("fork-chain", 20)
        for pid, line in odd.births().items():
            stay = block.watch.until_ended(pid)
            block.check_command(stay.added["command"], odd.shown)
            self.assertEqual(stay.added["parent_pid"], line["ppid"])
        block.check_ends(odd)


class Started(SystemCase):
    """`started`: what an agent runs through its tools, told from its own helpers."""

    options = {"settle-ms": 200}

    def test_a_root_is_not_started_and_neither_is_its_helper(self) -> None:
        block = self.block()
        odd = Odd("setsid-child")
        self.addCleanup(odd.close)
        odd.until("ready")
        block.assign(odd.pid)
        self.assertEqual({pid: record["started"] for pid, record in block.listed().items()},
                         {pid: False for pid in (odd.pid, *odd.births())})

    def test_what_a_root_that_is_a_shell_runs_is_started_and_all_below_it(self) -> None:
        block = self.block()
        shell = Odd(argv=["/bin/sh", "-c", "echo '{\"what\":\"ready\"}'; read line; "
                          f"{Odd.path} setsid-child; exit 0"])
        self.addCleanup(shell.close)
        shell.until("ready")
        block.assign(shell.pid)
        shell.say()
        shell.until("ready", times=2)
        child = shell.told("ready")[1]["pid"]
        block.watch.until_added(child)
        records = block.listed()
        middle = records[child]["parent_pid"]
        self.assertFalse(records[shell.pid]["started"], "a root is never started")
        self.assertTrue(records[middle]["started"], "its parent is a shell")
        self.assertTrue(records[child]["started"], "its parent is started")
