# SPDX-License-Identifier: Apache-2.0
"""Faults of time: the wall clock jumps, and every system call is interrupted."""

from __future__ import annotations

import datetime
import re
import signal
import struct
import subprocess
import sys
import time

from blackbox import programs

from fault import Fault
from kills import BrokerKilled

HANDLED = struct.Struct("=qQQ")  # struct disturb of disturb.c
FAR = 30 * 24 * 3600  # seconds
#: Sends a signal to each thread of a process, again and again, until its stdin ends.
SENDER = """
import ctypes, os, select, sys
libc = ctypes.CDLL(None)
pid, number = map(int, sys.argv[1:])
while not select.select([sys.stdin], [], [], 0.0002)[0]:
    for tid in os.listdir(f"/proc/{pid}/task"):
        libc.tgkill(pid, int(tid), number)
"""


class ClockJumps(Fault):
    """The wall clock jumps, by up to a month either way. What began when it began did so still."""

    name = "clock-jumps"
    lasts = True

    def do(self) -> None:
        self.by_s = self.world.chance.choice((-FAR, -3600, -1, 1, 3600, FAR))
        self.put(self.by_s)
        self.asked = self.read()[2]

    def put(self, seconds: int) -> None:
        with open(self.world.disturb, "r+b") as file:
            file.write(struct.pack("=q", seconds * 10 ** 9))

    def read(self) -> tuple[int, int, int]:
        return HANDLED.unpack(self.world.disturb.read_bytes()[:HANDLED.size])

    def logged_s(self) -> float:
        """When it thinks that it is, by its log."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self.world.broker.process.send_signal(number)
        lines = programs.wait_for(lambda: re.findall(
            r"^(\S+)Z \S+ wpsd: log level is", self.world.said(), re.MULTILINE), "it logs something")
        return datetime.datetime.fromisoformat(lines[-1] + "+00:00").timestamp()

    def undo(self) -> None:
        self.off_s = self.logged_s() - time.time()
        self.put(0)

    def check_seen(self) -> None:
        assert abs(self.off_s - self.by_s) < 30, f"its clock is off by {self.off_s}, not by {self.by_s}"


class ClockJumpsBetweenBrokers(BrokerKilled):
    """The broker is killed, and the next one finds another wall clock: to it, too, each life began when it
    did."""

    name = "clock-jumps-between-brokers"

    def why_not(self) -> str | None:
        return None if self.world.tracker == "cgroup" else "no clock is handed on where no block is"

    def do(self) -> None:
        super().do()
        self.clock = ClockJumps(self.world)
        self.clock.do()

    def undo(self) -> None:
        super().undo()
        self.clock.undo()

    def check_seen(self) -> None:
        super().check_seen()
        self.clock.check_seen()


class Interrupted(Fault):
    """A signal with a handler and without SA_RESTART comes to each thread thousands of times a second."""

    name = "interrupted"
    lasts = True

    def do(self) -> None:
        self.before = self.handled()
        self.sender = programs.spawn(
            [sys.executable, "-c", SENDER, str(self.world.broker.pid), str(signal.SIGRTMIN + 7)],
            stdin=subprocess.PIPE)
        self.world._helpers = {self.sender.pid}
        programs.wait_for(lambda: self.handled() > self.before + 500, "signals are handled")

    def handled(self) -> int:
        return HANDLED.unpack(self.world.disturb.read_bytes()[:HANDLED.size])[1]

    def undo(self) -> None:
        programs.wait_for(lambda: self.handled() > self.before + 1000, "many more are")
        self.sender.stdin.close()
        self.sender.wait()
        self.world._helpers = set()

    def check_seen(self) -> None:
        assert self.sender.returncode == 0 and self.handled() > self.before + 1000
