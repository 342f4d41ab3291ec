# SPDX-License-Identifier: Apache-2.0
"""Asking and subscribing: the sockets of PROTOCOL.md, sections 1, 3, 4 and 5."""

from __future__ import annotations

import collections
import itertools
import os
import time
import uuid
from typing import Any

import msgpack
import zmq

from .schemas import Schemas

#: How many times slower than an optimised build the broker is: deadlines follow it, and how much is done.
SLOW = float(os.environ.get("PROCTRACK_SLOW", "1"))
#: How many times longer than on most machines things take on this one: deadlines follow it, and how often is done
#: what is done by the thousand.
PATIENCE = float(os.environ.get("PROCTRACK_PATIENCE", "1"))
#: Nothing that is expected may take longer than so many seconds.
DEADLINE = 15.0 * SLOW * PATIENCE
#: A grace that whoever obeys does not use up, milliseconds.
GRACE_MS = int(20 * DEADLINE)


class Refused(Exception):
    """A reply that says no."""

    def __init__(self, errorcode: str, sentence: str) -> None:
        super().__init__(f"{errorcode}: {sentence}")
        self.errorcode = errorcode
        self.sentence = sentence


class NoReply(AssertionError):
    """No reply within the deadline."""


def pack(message: Any) -> bytes:
    return msgpack.packb(message, use_bin_type=True)


def unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, raw=False, strict_map_key=False)


class Ask:
    """One client of a ROUTER: a REQ socket that is made anew when a reply does not come."""

    def __init__(self, endpoint: str, service: str, schemas: Schemas | None,
                 context: zmq.Context | None = None) -> None:
        self.endpoint = endpoint
        self.service = service  # "control" or "rpc": the first word of the schemas' names
        self._schemas = schemas
        self._context = context or zmq.Context.instance()
        self._numbers = itertools.count(1)
        self._socket: zmq.Socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None

    def raw(self, body: bytes, timeout: float = DEADLINE) -> bytes:
        """One body there, one body back."""
        if self._socket is None:
            self._socket = self._context.socket(zmq.REQ)
            self._socket.connect(self.endpoint)
        try:
            self._socket.send(body)
            if not self._socket.poll(timeout * 1000):
                raise NoReply(f"{self.service}: no reply in {timeout:.1f} s to {body[:200]!r}")
            frames = self._socket.recv_multipart()
        except BaseException:
            self.close()  # a REQ socket that waits can do nothing else
            raise
        assert len(frames) == 1, f"a reply of {len(frames)} frames"
        return frames[0]

    def exchange(self, request: Any, timeout: float = DEADLINE) -> dict[str, Any]:
        """Sends any value at all; gives the whole reply, its form checked."""
        reply = unpack(self.raw(pack(request), timeout))
        assert isinstance(reply, dict), f"the reply is not a map: {reply!r}"
        if "error" in reply:
            self._check("error", reply)
        else:
            self._check("reply", reply)
            assert isinstance(reply.get("data"), dict), f"neither data nor error: {reply!r}"
        return reply

    def ask(self, command: str, data: dict[str, Any] | None, timeout: float = DEADLINE,
            right: bool = True) -> dict[str, Any]:
        """The data of the reply, or Refused. `right`: the request is one that the schema allows."""
        number = next(self._numbers)
        reqid = number if number % 2 else f"request {number}"
        request = {"command": command, "reqid": reqid} | ({} if data is None else {"data": data})
        if right:
            self._check("request", request)
            self._check(f"{self.service}.{command}.request", data or {})
        reply = self.exchange(request, timeout)
        assert reply.get("resid") == reqid, f"resid {reply.get('resid')!r} to reqid {reqid!r}"
        if "error" in reply:
            raise Refused(reply["errorcode"], reply["error"])
        self._check(f"{self.service}.{command}.reply", reply["data"])
        return reply["data"]

    def __call__(self, command: str, **data: Any) -> dict[str, Any]:
        return self.ask(command, data)

    def _check(self, name: str, message: Any) -> None:
        if self._schemas is not None:
            self._schemas.check(name, message)


class Event:
    """One event as it arrived."""

    def __init__(self, topic: str, body: dict[str, Any]) -> None:
        self.topic = topic
        self.name: str = body.get("event", "")
        self.body = body
        self.data: Any = body.get("data", {})

    def __repr__(self) -> str:
        return f"{self.topic} {self.name} {self.data!r}"


class Subscriber:
    """A SUB socket whose subscriptions are known to be in force (PROTOCOL.md, 5, step 1)."""

    def __init__(self, endpoint: str, rpc: Ask, schemas: Schemas | None,
                 context: zmq.Context | None = None) -> None:
        self._schemas = schemas
        self._rpc = rpc
        self._early: collections.deque[Event] = collections.deque()
        self._socket = (context or zmq.Context.instance()).socket(zmq.SUB)
        self._socket.rcvhwm = 0
        self._socket.connect(endpoint)

    def close(self) -> None:
        self._socket.close(linger=0)

    def subscribe(self, topic: str) -> None:
        """Comes back when events of that topic reach this socket for sure."""
        self._socket.subscribe(topic)
        self.sync()

    def sync(self) -> None:
        nonce = f"sync:{uuid.uuid4().hex}"
        self._socket.subscribe(nonce)
        end = time.monotonic() + DEADLINE
        while not self._sync_arrived(nonce):
            assert time.monotonic() < end, "no event arrives on the events socket"
            self._rpc("eventpublish", event="test:sync", scopes=[nonce])
        self._socket.unsubscribe(nonce)

    def _sync_arrived(self, nonce: str) -> bool:
        """Waits a moment; what else arrives is kept for later."""
        end = time.monotonic() + 0.05
        while (left := end - time.monotonic()) > 0:
            event = self._receive(left)
            if event is not None and event.topic == nonce:
                return True
            if event is not None:
                self._early.append(event)
        return False

    def next(self, timeout: float) -> Event | None:
        """The next event that is no left-over of a sync, or None."""
        end = time.monotonic() + timeout
        while True:
            if self._early:
                event = self._early.popleft()
            else:
                event = self._receive(max(0.0, end - time.monotonic()))
            if event is None or not event.topic.startswith("sync:"):
                return event

    def _receive(self, timeout: float) -> Event | None:
        if not self._socket.poll(max(0, int(timeout * 1000 + 0.999))):
            return None
        frames = self._socket.recv_multipart()
        assert len(frames) == 2, f"an event of {len(frames)} frames"
        event = Event(frames[0].decode("utf-8"), unpack(frames[1]))
        if self._schemas is not None:
            self._check(self._schemas, event)
        return event

    @staticmethod
    def _check(schemas: Schemas, event: Event) -> None:
        schemas.check("event", event.body)
        if event.name.startswith("agent:"):
            schemas.check(event.name.replace(":", "."), event.data)
        scopes = event.body.get("scopes", [])
        assert event.topic in (scopes or [""]), f"topic {event.topic!r} is none of {scopes!r}"
