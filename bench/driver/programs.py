# SPDX-License-Identifier: Apache-2.0
"""The benchmark's own programs (bench/programs), each in a `with`: nothing outlives it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import struct
import subprocess
import tempfile
import time
from typing import Any, Callable, NamedTuple

from blackbox.programs import die_with_parent

DEADLINE = 120.0
BUILD = pathlib.Path(os.environ.get("PROCTRACK_BENCH_BUILD", "build"))


def built(name: str) -> str:
    return str(BUILD / "bench" / name)


def is_built(name: str) -> bool:
    return os.path.exists(built(name))


LEAF = built("bench_leaf")


class Program(contextlib.AbstractContextManager):
    """A program that says a line when something is so, and is told by a line or the end of stdin."""

    def __init__(self, name: str, *args: object, procs: str | os.PathLike | None = None,
                 pass_fds: tuple[int, ...] = ()) -> None:
        def before_exec() -> None:
            die_with_parent()
            if procs is not None:
                with open(procs, "w", encoding="ascii") as file:
                    file.write("0")
        self.name = name
        self.process = subprocess.Popen([built(name), *map(str, args)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, preexec_fn=before_exec,  # noqa: PLW1509
                                        pass_fds=pass_fds)
        self.pid = self.process.pid
        self._rest = b""

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                file.close()

    def said(self, timeout: float) -> str | None:
        """The next line, or None."""
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = max(0.0, end - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise AssertionError(f"{self.name} ended with {self.process.wait()}")
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    def expect(self, word: str, timeout: float = DEADLINE) -> list[int]:
        """The numbers of the line that begins with that word, which must be the next."""
        line = self.said(timeout)
        assert line is not None and line.split()[0] == word, f"{self.name} said {line!r}, not {word}"
        return [int(number) for number in line.split()[1:]]

    def say(self, line: str = "") -> None:
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end_input(self) -> None:
        self.process.stdin.close()


class Life(NamedTuple):
    """One line of a spawner's record."""
    pid: int
    status: int
    number: int
    time_ns: int


def read_record(path: pathlib.Path) -> list[Life]:
    return [Life(*fields) for fields in struct.iter_unpack("<IiQQ", path.read_bytes())]


class Stamps(Program):
    """The kernel's times of execs and exits."""

    def __init__(self, feed: str, cgroup: pathlib.Path, folder: pathlib.Path) -> None:
        self._file = pathlib.Path(tempfile.mktemp(dir=folder, prefix="stamps-"))
        way = "netlink" if feed == "netlink" else "bpf"
        super().__init__("bench_stamps", way, cgroup, self._file)
        self.expect("ready")

    def collect(self) -> list[tuple[int, int, int]]:
        """(time, pid, kind: 1 exec, 2 exit)"""
        self.end_input()
        self.process.wait(DEADLINE)
        return list(struct.iter_unpack("<QII", self._file.read_bytes()))


class Message(NamedTuple):
    time_ns: int
    topic: str
    body: bytes


class Subscriber(Program):
    """Another process that takes all that is published."""

    def __init__(self, endpoint: str, folder: pathlib.Path, quiet_ms: int,
                 keeps: bool = True) -> None:
        self._file = pathlib.Path(tempfile.mktemp(dir=folder, prefix="messages-")) if keeps else "-"
        super().__init__("bench_subscribe", endpoint, self._file, quiet_ms)
        self.got: list[int] = []

    def sync(self, publish: Callable[[], Any] | None = None) -> None:
        """Until its subscriptions are in force. `publish` sends something to `sync:...`."""
        end = time.monotonic() + DEADLINE
        while (line := self.said(0.01)) is None:
            assert time.monotonic() < end, "the subscription does not come into force"
            if publish is not None:
                publish()
        assert line == "synced", line

    def collect(self) -> list[Message]:
        """Waits until it is quiet."""
        self.end_input()
        self.got = self.expect("got")
        if self._file == "-":
            return []
        data = self._file.read_bytes()
        self._file.unlink()
        messages, at = [], 0
        while at < len(data):
            when, topic, body = struct.unpack_from("<QII", data, at)
            at += 16
            messages.append(Message(when, data[at:at + topic].decode(),
                                    data[at + topic:at + topic + body]))
            at += topic + body
        return messages


class Holder(Program):
    """Waiting processes in cgroups."""

    def __init__(self, directories: list[pathlib.Path], count: int, command_bytes: int = 100) -> None:
        super().__init__("bench_hold", LEAF, count, command_bytes)
        for directory in directories:
            self.say(str(directory))
        self.say()
        self.expect("ready")

    def __exit__(self, *args: object) -> None:
        """It ends them itself, so that their end is over when the next thing is measured."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.end_input()
            self.process.wait(DEADLINE)
        super().__exit__(*args)
