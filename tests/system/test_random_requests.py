# SPDX-License-Identifier: Apache-2.0
"""Requests made up by chance, many under way at a time: each gets one reply, and nothing grows.

PROCTRACK_REQUESTS says how many go to each socket (20,000; docs/reliability.md has the figures of ten
million), PROCTRACK_SEED where chance begins: a run can be had again.

No process is assigned but sleepers of the test's own: a random pid may be anybody's.
"""

from __future__ import annotations

import os
import pathlib
import random
import sys
import time
from typing import Any

import msgpack
import zmq

from blackbox.case import SystemCase
from blackbox.wire import DEADLINE, unpack

REQUESTS = int(os.environ.get("PROCTRACK_REQUESTS", "20000"))
SEED = int(os.environ.get("PROCTRACK_SEED", "1"))
UNDER_WAY = 256
#: What is made once and kept: buffers, the heap's own, history of published events.
SLACK_BYTES = 8 << 20
BYTES_A_REQUEST = 4
NO_PID = 1 << 23  # beyond what the kernel gives out

BLOCKS = ["a", "b", "c.d", "c_d", "x" * 128]
VALUES: list[Any] = [None, True, False, 0, 1, -1, 15, 64, 65, 2**31, 2**63, 2**64 - 1, -2**63, 0.5, float("nan"),
                     "", "a", "a/b", "../..", "/", ".", "-x", "é\n\x1b[2J", "x" * 300, b"\xff\x00", [], {},
                     [1, [2, [3]]], {"a": {"b": {}}}, msgpack.ExtType(5, b"12"), msgpack.Timestamp(1, 2)]
CONTROL: dict[str, dict[str, list[Any]]] = {
    "describe": {}, "stats": {}, "confidence_of": {}, "list_all_blocks": {"detail": [True, False]},
    "ensure_tracker": {"scope": ["bg/7", "main"], "on_exit": ["kill", "keep"]},
    "list_block": {"scope": ["bg", "main"], "only": ["started"], "detail": [True, False]},
    "kill_pid": {"pid": [NO_PID, 1, 2**31 - 1], "started_at_ms": [1]}, "kill_tree": {"scope": ["bg"]},
    "kill_started": {}, "signal_tree": {"signal": [1, 15, 64]},
    "stop_tree": {"grace_ms": [0, 5], "timeout_ms": [10, 20], "signal": [15]},
    "wait_empty": {"timeout_ms": [0, 5]}, "freeze": {}, "thaw": {}, "remove": {"timeout_ms": [100]},
    "assign_process": {"pid": [0, 1, NO_PID], "started_at_ms": [1], "root": [True, False]},
}
RPC: dict[str, dict[str, list[Any]]] = {
    "brokerinfo": {}, "eventreadhistory": {"event": ["e"], "scope": ["", "s:1"], "maxitems": [0, 5, 2**63]},
    "eventpublish": {"event": ["e", "agent:process-added"], "scopes": [["s:1"], ["s:1", "s:2"]],
                     "sender": ["t"], "persist": [0, 3], "data": [{"x": [1, 2]}, "text"]},
}


class Chance:
    """Requests for one socket, and how each has to be answered."""

    def __init__(self, commands: dict[str, dict[str, list[Any]]], seed: int) -> None:
        self._random = random.Random(seed)
        self._commands = commands
        self._names = list(commands)

    def request(self, number: int) -> tuple[bytes, bool]:
        """The body, and whether the reply repeats the number."""
        kind = self._random.random()
        if kind < 0.1:
            return self._random.randbytes(self._random.randrange(64)), False
        body = self._made(number)
        if kind < 0.4:
            return self._broken(body), False
        return body, True

    def _made(self, number: int) -> bytes:
        name = self._random.choice(self._names)
        keys = self._commands[name]
        data: dict[Any, Any] = {key: self._random.choice(values) for key, values in keys.items()
                                if self._random.random() < 0.8}
        if self._commands is CONTROL and self._random.random() < 0.9:
            data["block_id"] = self._random.choice(BLOCKS)
        while self._random.random() < 0.2:
            key = self._random.choice([*keys, "block_id", "scope", "unknown", 7])
            if key != "pid":
                data[key] = self._random.choice(VALUES)
        request: dict[str, Any] = {"command": name, "reqid": number, "data": data}
        if self._random.random() < 0.05:
            request["command"] = self._random.choice(VALUES)
        return bytes(msgpack.packb(request, use_bin_type=True))

    def _broken(self, body: bytes) -> bytes:
        """Not where it could become a pid that is somebody's."""
        if b"assign_process" in body:
            return body[:self._random.randrange(len(body))]
        broken = bytearray(body)
        for _ in range(self._random.randrange(1, 5)):
            broken[self._random.randrange(len(broken))] = self._random.randrange(256)
        return bytes(broken[:self._random.randrange(1, len(broken) + 1)]
                     if self._random.random() < 0.3 else broken)


def decoded(body: bytes) -> dict[str, Any]:
    """An event's data may have maps whose keys are arrays, of which Python makes no dict."""
    def any_map(pairs: list[tuple[Any, Any]]) -> Any:
        try:
            return dict(pairs)
        except TypeError:
            return pairs
    try:
        return unpack(body)
    except TypeError:
        return msgpack.unpackb(body, raw=False, strict_map_key=False, object_pairs_hook=any_map)


class RandomRequests(SystemCase):
    def rss_bytes(self) -> int:
        status = pathlib.Path(f"/proc/{self.broker.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def storm(self, service: str, chance: Chance, first: int, count: int) -> int:
        """Sends so many and takes as many replies; returns how many said yes."""
        with zmq.Context.instance().socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(self.broker.endpoint(service))
            sent = taken = good = 0
            waiting: set[int] = set()
            while taken < count:
                while sent < count and sent - taken < UNDER_WAY:
                    body, tells = chance.request(first + sent)
                    if tells:
                        waiting.add(first + sent)
                    dealer.send_multipart([b"", body])
                    sent += 1
                if not dealer.poll(DEADLINE * 1000):
                    self.fail(f"{sent - taken} of {sent} requests have no reply (seed {SEED})")
                good += self.take(dealer, waiting)
                taken += 1
            self.assertFalse(dealer.poll(200), "a reply too many")
            self.assertFalse(waiting, "not answered under their own number")
            return good

    def take(self, dealer: zmq.Socket[bytes], waiting: set[int]) -> bool:
        empty, body = dealer.recv_multipart()
        self.assertEqual(empty, b"")
        reply = decoded(body)
        waiting.discard(reply.get("resid"))
        if "data" in reply:
            return True
        self.assertGreater(len(reply["error"]), 8, "an error must be a sentence")
        self.assertNotEqual(reply["errorcode"], "internal", reply["error"])
        return False

    def remove_all(self) -> None:
        """Some are to be kept when the broker stops: chance said so."""
        for block_id in self.control("list_all_blocks")["block_ids"]:
            self.control("remove", block_id=block_id)

    def check(self, service: str, commands: dict[str, dict[str, list[Any]]]) -> None:
        self.addCleanup(self.remove_all)
        chance = Chance(commands, SEED)
        tenth = (REQUESTS // 4 if os.environ.get("PROCTRACK_SANITIZE") else REQUESTS) // 10
        count = tenth * 10
        self.storm(service, chance, 0, tenth)
        sizes, begun, good = [self.rss_bytes()], time.monotonic(), 0
        for number in range(1, 11):
            good += self.storm(service, chance, number * tenth, tenth)
            sizes.append(self.rss_bytes())
        spent, grown = time.monotonic() - begun, sizes[-1] - sizes[0]
        print(f"        {service}: {count} requests, {good} said yes, {count / spent:.0f} a second, "
              f"{grown / 1024:+.0f} KiB; RSS in KiB at first and at each tenth: {[size >> 10 for size in sizes]}",
              file=sys.stderr, flush=True)
        self.assertGreater(good, count // 10, "chance made next to nothing that is right")
        if not os.environ.get("PROCTRACK_SANITIZE"):
            self.assertLess(grown, SLACK_BYTES + BYTES_A_REQUEST * count)

    def test_each_random_request_to_control_has_one_reply(self) -> None:
        self.check("control", CONTROL)

    def test_each_random_request_to_rpc_has_one_reply(self) -> None:
        self.check("rpc", RPC)
