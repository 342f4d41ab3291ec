# SPDX-License-Identifier: Apache-2.0
"""The broker as it is measured, and who is measured beside it."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import shutil
import subprocess
import time
from typing import Any, Iterator

import msgpack
import zmq

from blackbox.broker import Broker
from blackbox.programs import die_with_parent, wait_for
from blackbox.wire import Ask

from . import machine
from .programs import DEADLINE, Program, Subscriber

IN_FLIGHT = 256


class Tracked(Broker):
    """A broker with the module and some blocks, in a `with`. Nothing checks its messages here: that
    takes time and is done by the tests."""

    def __init__(self, feed: str, poll_ms: int, blocks: int = 1, **options: object) -> None:
        super().__init__(feed=feed, poll_ms=poll_ms, **options)
        self.control = Ask(self.endpoint("control"), "control", None)
        self.rpc = Ask(self.endpoint("rpc"), "rpc", None)
        self.feed = feed
        self.block_ids = [f"b{number}" for number in range(blocks)]
        self.places: list[pathlib.Path] = []

    @staticmethod
    def _make_cgroup_root() -> pathlib.Path | None:
        return machine.make_cgroup("broker")

    def __enter__(self) -> "Tracked":
        try:
            self.start()
            self.places = self.make_blocks(self.block_ids)
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.destroy()

    def make_blocks(self, block_ids: list[str]) -> list[pathlib.Path]:
        """Their cgroup directories. Many requests are under way at a time."""
        replies = self.ask_many("ensure_tracker", [{"block_id": block_id} for block_id in block_ids])
        return [pathlib.Path(reply["procs_path"]).parent for reply in replies]

    def ask_many(self, command: str, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        replies: dict[int, dict[str, Any]] = {}
        with zmq.Context.instance().socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(self.endpoint("control"))
            sent = 0
            while len(replies) < len(requests):
                while sent < len(requests) and sent - len(replies) < IN_FLIGHT:
                    socket.send_multipart([b"", msgpack.packb(
                        {"command": command, "reqid": sent, "data": requests[sent]})])
                    sent += 1
                assert socket.poll(DEADLINE * 1000), f"no reply to {command}"
                reply = msgpack.unpackb(socket.recv_multipart()[1])
                assert "data" in reply, reply
                replies[reply["resid"]] = reply["data"]
        return [replies[number] for number in range(len(requests))]

    def counted(self) -> int:
        """Processes in all blocks."""
        return sum(block["processes"] for block in self.control("list_all_blocks")["blocks"])

    def wait_until_counted(self, count: int) -> None:
        wait_for(lambda: self.counted() >= count, f"{count} processes are tracked", DEADLINE)

    def wait_until_listed(self, pids: set[int]) -> None:
        """A feed that is told no cgroups knows children by their parent: that must be known first."""
        wait_for(lambda: pids <= {process["pid"] for block_id in self.block_ids[:len(pids)]
                                  for process in self.control("list_block", block_id=block_id)
                                  ["processes"]}, "the spawners are tracked")

    def subscriber_to_all(self, quiet_ms: int) -> Subscriber:
        return Subscriber(self.endpoint("events"), self.runtime, quiet_ms)

    def publish_sync(self) -> None:
        self.rpc("eventpublish", event="bench:sync", scopes=["sync:bench"])

    def stats(self) -> dict[str, int]:
        return self.control("stats")["counters"]


# ---- forkstat ------------------------------------------------------------------------------------

def forkstat_is_there() -> bool:
    return shutil.which("forkstat", path=_PATH) is not None


def no_forkstat() -> str:
    """The sentence for a row that has no peer."""
    return "" if forkstat_is_there() else \
        "forkstat is not installed: `scripts/install-deps bench` gets it"


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin"


@contextlib.contextmanager
def forkstat() -> Iterator[int]:
    """Its pid. It tells of forks, execs and exits, as by its preset, to /dev/null: the kindest way."""
    process = subprocess.Popen([shutil.which("forkstat", path=_PATH), "-e", "fork,exec,exit"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               preexec_fn=die_with_parent)  # noqa: PLW1509
    try:
        wait_for(lambda: _listens(process.pid), "forkstat listens")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _listens(pid: int) -> bool:
    """A netlink socket of the connector's kind that is in a group and of that process."""
    for line in pathlib.Path("/proc/net/netlink").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "11" and fields[2] == str(pid) and int(fields[3], 16):
            return True
    return False


# ---- the bare way --------------------------------------------------------------------------------

@contextlib.contextmanager
def bare(feed: str, cgroup: pathlib.Path, folder: pathlib.Path, way: str,
         quiet_ms: int) -> Iterator[Subscriber]:
    """A subscriber to a bare reader of the same feed; `way` is `hop` or `direct`."""
    endpoint = f"ipc://{folder}/bare-{time.monotonic_ns()}"
    with Program("bench_bare", feed, cgroup, endpoint, way) as reader:
        reader.expect("ready")
        with Subscriber(endpoint, folder, quiet_ms) as subscriber:
            subscriber.sync()
            reader.say()
            yield subscriber
        reader.end_input()
        reader.process.wait(DEADLINE)


# ---- rounds --------------------------------------------------------------------------------------

def in_rounds(rounds: int, ways: dict[str, Any]) -> dict[str, list[Any]]:
    """Each way once a round, one after the other, so that what the machine does besides hits all
    alike; every second round in the other order."""
    results: dict[str, list[Any]] = collections.defaultdict(list)
    for number in range(rounds):
        names = list(ways)
        for name in names if number % 2 == 0 else reversed(names):
            results[name].append(ways[name]())
    return results
