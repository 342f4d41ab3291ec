# SPDX-License-Identifier: Apache-2.0
"""Faults that starve and fill: descriptors, processes, the disk of the log."""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import signal
import socket
import time

from blackbox import intrude, programs
from blackbox.programs import Odd
from blackbox.wire import Refused

from fault import Fault
from world import Held, World

TOLD_EVERY_S = 10.0  # the log has no more lines on connections that are refused


class DescriptorsOut(Fault):
    """The limit falls to what is open: no accept, no pidfd and no open gives a further one."""

    name = "descriptors-out"
    says = "descriptor|Too many open files"
    lasts = True
    without = frozenset({"remove"})  # a walk takes some: it is tried again until there are
    allows = frozenset({"limit", "internal", "not_supported"})  # the last: no keeper for on_crash: kill
    undone = -TOLD_EVERY_S  # when the last one was

    def do(self) -> None:
        time.sleep(max(0.0, self.undone + TOLD_EVERY_S - time.monotonic()))
        self.pid = self.world.broker.pid
        self.before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        self.refused = self.world.counter("connections_refused", "rpc")
        self.limit(max(intrude.descriptors(self.pid)) + 1)
        self.fill()

    def limit(self, n: int) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (n, self.before[1]))

    def fill(self) -> None:
        """What is free below the limit goes to connections that just stay, until one is refused."""
        self.crowd = contextlib.ExitStack()
        for _ in range(200):
            connection = self.crowd.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(f"{self.world.broker.runtime}/rpc")
        programs.wait_for(lambda: self.world.counter("connections_refused", "rpc") > self.refused,
                          "a connection is refused")
        self.made: list[str] = []
        if self.world.tracker == "cgroup":  # elsewhere a block takes none
            self.until_one_is_too_many()

    def until_one_is_too_many(self) -> None:
        """Whoever ends just now leaves a descriptor free, which a block more takes."""
        while len(self.made) < 64:
            name = f"one-too-many-{len(self.made)}"
            try:
                self.world.broker.control("ensure_tracker", block_id=name)
            except Refused as refusal:
                assert refusal.errorcode in self.allows, refusal
                self.world.requests.refusals.append(refusal.sentence)
                return
            self.made.append(name)
        raise AssertionError("there were descriptors for 64 blocks more")

    def undo(self) -> None:
        DescriptorsOut.undone = time.monotonic()
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.before)
        self.crowd.close()
        for name in self.made:
            self.world.broker.control("remove", block_id=name)

    def check_seen(self) -> None:
        assert self.world.counter("connections_refused", "rpc") > self.refused
        assert not [name for name in self.world.broker.control("list_all_blocks")["block_ids"]
                    if name.startswith("one-too-many")]


class PidsLimit:
    """A limit on tasks for who is put in: a cgroup of version 1, where that has the controller."""

    MOUNT = pathlib.Path("/sys/fs/cgroup/pids")

    @classmethod
    def why_not(cls) -> str | None:
        if os.geteuid() != 0:
            return "needs root"
        return None if (cls.MOUNT / "cgroup.procs").exists() else \
            "the pids controller is not mounted by itself (/sys/fs/cgroup/pids)"

    def __init__(self, world: World) -> None:
        self.path = self.MOUNT / world.place.name
        self.path.mkdir()

    def put(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def close(self, more: int) -> None:
        now = int((self.path / "pids.current").read_text())
        (self.path / "pids.max").write_text(str(now + more))

    def hits(self) -> int:
        return int((self.path / "pids.events").read_text().split()[1])

    def end(self) -> None:
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (self.MOUNT / "cgroup.procs").write_text(pid)
        self.path.rmdir()


class BlockPidsFull(Fault):
    """What lives in a block may have no more children: its forks fail."""

    name = "block-pids-full"

    def why_not(self) -> str | None:
        return PidsLimit.why_not()

    def do(self) -> None:
        held = self.world.blocks[0]
        held.make_sure()
        self.limit = PidsLimit(self.world)
        try:
            odd = held.spawn(["exec-later", Odd.path, "storm", "4", "2"])
            odd.until("waiting")
            self.limit.put(odd.pid)
            self.limit.close(2)
            odd.say()
            self.status = odd.finish()
            odd.close()
            self.hits = self.limit.hits()
            programs.wait_for(lambda: not (self.limit.path / "cgroup.procs").read_text(), "all have ended")
        finally:
            self.limit.end()

    def check_seen(self) -> None:
        assert self.hits > 0 and self.status != 0, f"{self.hits} forks refused, it ended with {self.status}"


class BrokerPidsFull(Fault):
    """The broker may have no more threads and no more children: no worker, no keeper."""

    name = "broker-pids-full"
    lasts = True
    allows = frozenset({"internal", "not_supported"})

    def why_not(self) -> str | None:
        return PidsLimit.why_not()

    def do(self) -> None:
        for held in self.world.blocks:  # it may be a broker whose keeper nobody has asked for yet
            if held.on_crash == "kill":
                held.ensure()
        self.limit = PidsLimit(self.world)
        self.limit.put(self.world.broker.pid)
        self.limit.close(0)
        if self.world.has_keeper:
            self.lose_keeper()

    def lose_keeper(self) -> None:
        """It cannot be replaced: whoever wants what it promises is told so."""
        os.kill(self.world.gauge("keeper_pid"), signal.SIGKILL)
        programs.wait_for(lambda: self.limit.hits() > 0, "it wants one more")
        self.sentence = self.world.refused("not_supported", "internal", command="ensure_tracker",
                                           block_id=self.world.blocks[0].id, on_crash="kill")

    def undo(self) -> None:
        self.hits = self.limit.hits()
        self.limit.end()

    def check_seen(self) -> None:
        if self.world.has_keeper:
            assert self.hits > 0
            assert "Resource temporarily unavailable" in self.sentence, self.sentence
            for held in self.world.blocks:
                programs.wait_for(lambda held=held: self.is_promised(held), "on_crash: kill holds again")

    @staticmethod
    def is_promised(held: Held) -> bool:
        """The keeper is tried again from time to time."""
        try:
            held.ensure()
        except Refused:
            return False
        return True


class LogFull(Fault):
    """No room on the disk that the log goes to."""

    name = "log-full"
    says = "log lines were lost here"
    lasts = True

    def why_not(self) -> str | None:
        return None if self.world.log_is_small else "a file system of its own cannot be mounted here"

    def do(self) -> None:
        self.filler = self.world.place / "log/filler"
        self.lost = self.world.counter("log_lines_lost", "rpc")
        with open(self.filler, "wb", buffering=0) as filler:
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(4096))
        self.say_something()
        programs.wait_for(lambda: self._lost() > self.lost, "a line is lost")

    def _lost(self) -> int:
        self.say_something()
        return self.world.counter("log_lines_lost", "rpc")

    def say_something(self) -> None:
        """One step up, one step down: each is a line."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self.world.broker.process.send_signal(number)

    def undo(self) -> None:
        self.filler.unlink()
        self.say_something()

    def check_seen(self) -> None:
        assert self.world.counter("log_lines_lost", "rpc") > self.lost
        programs.wait_for(lambda: "log lines were lost here" in self.world.said(), "it is told")
