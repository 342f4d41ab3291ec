# SPDX-License-Identifier: Apache-2.0
"""The frame of a test: one broker for a class, blocks of its own for each test, nothing left."""

from __future__ import annotations

import contextlib
import itertools
import os
import unittest
from typing import Any, Iterator

import zmq

from . import programs
from .broker import Broker, describe_feed
from .programs import Odd
from .watch import Watch
from .wire import DEADLINE, Refused, pack, unpack

_refusals: dict[str, str | None] = {}


def feed_wanted() -> str | None:
    """The feed that this run is about; None: the best that works."""
    return os.environ.get("PROCTRACK_FEED") or None


class SystemCase(unittest.TestCase):
    """A class has a broker; a broker that died is replaced, so that one failure is one failure."""

    options: dict[str, object] = {}  # plugin options of this class
    wpsd: dict[str, object] = {}  # and those of the broker
    broker_environment: dict[str, str] = {}  # and what it has besides ours
    broker: Broker
    _ids = itertools.count(1)

    @classmethod
    def setUpClass(cls) -> None:
        feed = feed_wanted()
        if feed is not None and feed not in _refusals:
            _refusals[feed] = describe_feed(feed)
        if feed is not None and _refusals[feed] is not None:
            raise unittest.SkipTest(f"feed {feed} does not work here: {_refusals[feed]}")
        cls.broker = Broker(feed=feed, wpsd=cls.wpsd, environment=cls.broker_environment, **cls.options)
        cls.addClassCleanup(cls._end_broker)
        cls.broker.start()
        described = cls.broker.control("describe")
        cls.feed = described["feed"]
        cls.tracker = described["tracker"]
        if cls.tracker == "none":
            raise unittest.SkipTest(f"nothing is tracked here: {described['confidence_reason']}")

    @classmethod
    def _end_broker(cls) -> None:
        if cls.broker.is_alive():
            cls.broker.stop()
        else:
            cls.broker.destroy()

    def setUp(self) -> None:
        if not self.broker.is_alive():
            self.broker.destroy()
            type(self).broker = Broker(feed=feed_wanted(), wpsd=self.wpsd, environment=self.broker_environment,
                                       **self.options)
            self.broker.start()
        self.addCleanup(self._check_broker)
        self.addCleanup(self._take_away_processes)

    def _check_broker(self) -> None:
        self.assertTrue(self.broker.is_alive(), f"the broker died:\n{self.broker.log()}")

    def _take_away_processes(self) -> None:
        programs.kill_children(spare={self.broker.pid} | self.broker.helpers())

    # ---- what tests are made of

    @property
    def control(self) -> Any:
        return self.broker.control

    @property
    def tells_all(self) -> bool:
        """True where the feed tells every process and how it ended; a scan sees what is there."""
        return self.feed in ("bpf", "netlink")

    def new_id(self, hint: str = "t") -> str:
        return f"{hint}-{next(self._ids)}"

    def block(self, block_id: str | None = None) -> "Block":
        """A new block, watched from before it was made."""
        return Block(self, block_id or self.new_id())

    @contextlib.contextmanager
    def refused(self, *errorcodes: str) -> Iterator[None]:
        """The body is answered with one of these, and with a sentence."""
        try:
            yield
        except Refused as refusal:
            self.assertIn(refusal.errorcode, errorcodes, refusal.sentence)
            self.assertGreater(len(refusal.sentence), 8, "an error must be a sentence")
            return
        self.fail(f"allowed; expected {' or '.join(errorcodes)}")

    def ask_all(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Sends them all before it reads; the replies, in the order of the requests."""
        with zmq.Context.instance().socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(self.broker.endpoint("control"))
            for number, request in enumerate(requests):
                dealer.send_multipart([b"", pack(request | {"reqid": number})])
            replies: dict[int, dict[str, Any]] = {}
            while len(replies) < len(requests):
                missing = f"{len(requests) - len(replies)} of {len(requests)} replies are missing"
                self.assertTrue(dealer.poll(DEADLINE * 1000), missing)
                empty, body = dealer.recv_multipart()
                self.assertEqual(empty, b"")
                reply = unpack(body)
                self.assertNotIn(reply["resid"], replies, "answered twice")
                replies[reply["resid"]] = reply
            self.assertFalse(dealer.poll(100), "a reply too many")
        return [replies[number] for number in range(len(requests))]

    def listed(self, block_id: str) -> dict[int, dict[str, Any]]:
        """The records of a block by pid."""
        processes = self.control("list_block", block_id=block_id)["processes"]
        self.assertEqual(len({record["pid"] for record in processes}), len(processes))
        return {record["pid"]: record for record in processes}


class Block:
    """A block of a test and the watch on it."""

    def __init__(self, case: SystemCase, block_id: str) -> None:
        self.case = case
        self.id = block_id
        self.watch: Watch = case.broker.watch(block_id)
        case.addCleanup(self.watch.close)
        self.ensured = case.control("ensure_tracker", block_id=block_id)
        self.watch.until_event("block-added", epoch=self.ensured["epoch"])

    def way_in(self, tagged: bool = True) -> dict[str, Any]:
        """How an Odd becomes a member before it does anything: born one, or, where nothing can be, assigned
        and tagged as `proctrack run` does it."""
        if self.case.tracker == "cgroup":
            return {"procs_path": self.procs_path}
        return {"joins": lambda pid: self.assign(pid, root=False),
                "environment": self.tag if tagged else {}}

    @property
    def tag(self) -> dict[str, str]:
        return {"PROCTRACK_BLOCK": self.id, "PROCTRACK_SCOPE": "main",
                "WPS_RUNTIME_DIR": str(self.case.broker.runtime)}

    @property
    def procs_path(self) -> str:
        path = self.ensured.get("procs_path")
        if path is None:
            raise unittest.SkipTest("no procs_path here: nothing can be born in a block")
        return path

    def odd(self, *args: object, **options: Any) -> Odd:
        """An odd life, born in this block and known to the registry."""
        odd = Odd(*args, **self.way_in(), **options)
        self.case.addCleanup(odd.close)
        return odd

    def run(self, *args: object, **options: Any) -> tuple[Odd, int]:
        """An odd life from its birth in this block to its end."""
        odd = self.begin([Odd.path, *map(str, args)], **options)
        return odd, odd.finish()

    def come_and_go(self, n: int) -> list[int]:
        """So many processes, one after the other. Each is a member before it begins, so that every feed tells its
        end."""
        pids = []
        for _ in range(n):
            odd = self.odd("hold")
            odd.until("ready")
            self.watch.until_added(odd.pid)
            odd.finish()
            self.watch.until_ended(odd.pid)
            pids.append(odd.pid)
        return pids

    def sh(self, script: str) -> Odd:
        """A shell in this block. `echo '{"what":"ready"}'` tells that it is so far."""
        return self.begin(["/bin/sh", "-c", script])

    def begin(self, argv: list[str], **options: Any) -> Odd:
        """A program in this block that may end at once.

        What joins by procs_path and dies at once is invisible to feeds that tell no cgroups: with
        those it is a known member before it begins. (What a member forks is seen by netlink.)"""
        if self.case.feed == "bpf" and self.case.tracker == "cgroup":
            odd = Odd(argv=argv, procs_path=self.procs_path, **options)
            self.case.addCleanup(odd.close)
            return odd
        odd = self.odd("exec-later", *argv, **options)
        self.watch.until_added(odd.pid)
        odd.command = argv
        odd.say()
        return odd

    def assign(self, pid: int, **more: Any) -> int:
        return self.case.control("assign_process", block_id=self.id, pid=pid, **more)["assigned"]

    def listed(self) -> dict[int, dict[str, Any]]:
        return self.case.listed(self.id)

    def remove(self) -> dict[str, Any]:
        return self.case.control("remove", block_id=self.id)

    def check_gone(self, pids: set[int]) -> None:
        """Their ends were told and are complete: an exit is told shortly before it is."""
        for pid in pids:
            programs.wait_for(lambda pid=pid: not programs.is_running(pid), f"pid {pid} is gone")

    def check_ends(self, odd: Odd) -> None:
        """Every process that the odd life told of came and went, with the status it should have."""
        for pid, status in odd.ends().items():
            self.check_end(pid, programs.exit_of_status(status))

    def check_command(self, shown: str, command: str) -> None:
        """How a process is shown that may be gone by now: only bpf brings its argv along."""
        if self.case.feed == "bpf" or not shown.startswith("["):
            self.case.assertEqual(shown, command)

    def check_end(self, pid: int, expected: tuple[str, int]) -> None:
        """One stay of that pid, ended so. A scan may have missed it, or not know how it ended."""
        if not self.case.tells_all and self.watch.stay(pid) is None:
            return
        stay = self.watch.until_ended(pid)
        self.case.assertEqual(len(self.watch.stays(pid)), 1, f"pid {pid} came more than once")
        if self.case.tells_all or stay.status() is not None:
            self.case.assertEqual(stay.status(), expected, f"pid {pid}, {stay.added['command']!r}")
