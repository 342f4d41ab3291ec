# SPDX-License-Identifier: Apache-2.0
"""Events as they come: of exact scopes, of star scopes, or all; each of them once."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter, deque
from typing import TYPE_CHECKING

import zmq
import zmq.asyncio

from . import names
from .errors import Malformed, NoReply
from .wire import Event, read_event

if TYPE_CHECKING:
    from .client import Client

EVENTS_AHEAD_MAX = 100_000  # what ZeroMQ holds for us before it drops
BATCH = 256  # messages taken at once
SYNC_EVERY = 0.05  # seconds between two tries


class Subscriber:
    """A SUB socket on which ZeroMQ's matching by prefixes is made exact: an event arrives once,
    however many of its scopes match. For one task at a time.

    The broker drops what is too much for a slow reader; the events of a block tell by their `seq`.
    """

    def __init__(self, client: Client, *scopes: str) -> None:
        self.malformed = 0  #: messages that were passed over, as they are no events
        self._client = client
        self._patterns: Counter[str] = Counter()
        self._wants_all = False
        self._queue: deque[Event | None] = deque()
        self._nonce = ""  # the scope of our own that is waited for
        self._socket = client.socket(zmq.SUB)
        self._socket.rcvhwm = EVENTS_AHEAD_MAX
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.asyncio.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._socket.connect(client.endpoint("events"))
        self.subscribe(*scopes)

    async def __aenter__(self) -> Subscriber:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close(linger=0)

    def subscribe(self, *scopes: str) -> None:
        """To events of these scopes, which may have stars: `block:*`. In force a moment later."""
        for pattern in scopes:
            names.check_pattern(pattern)
        for pattern in scopes:
            self._patterns[pattern] += 1
            self._socket.subscribe(names.prefix(pattern))

    def unsubscribe(self, *scopes: str) -> None:
        """Takes that back."""
        for pattern in scopes:
            if self._patterns[pattern] > 0:
                self._patterns[pattern] -= 1
                self._socket.unsubscribe(names.prefix(pattern))

    def subscribe_all(self) -> None:
        """To every event, also those without a scope."""
        self._wants_all = True
        self._socket.subscribe("")

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> Event:
        return await self.next()

    async def next(self) -> Event:
        """The next event."""
        while True:
            event = await self.next_or_lost()
            if event is not None:
                return event

    async def next_or_lost(self) -> Event | None:
        """The next event, or None where the connection was lost: events are missing there, and what
        was subscribed to is in force again after `in_force`."""
        while not self._queue:
            await self._take()
        return self._queue.popleft()

    async def in_force(self) -> None:
        """Comes back when all that was subscribed to so far is in force: an event that we publish
        ourselves has come round. Waits for a broker that is not there."""
        self._nonce = scope = f"sync:{uuid.uuid4().hex}"
        self._socket.subscribe(scope)
        try:
            while self._nonce:
                with contextlib.suppress(NoReply, TimeoutError):
                    await self._client.publish("sync", scopes=[scope], timeout=1.0)
                    async with asyncio.timeout(SYNC_EVERY):
                        while self._nonce:
                            await self._take()
        finally:
            self._socket.unsubscribe(scope)

    async def _take(self) -> None:
        """Waits for messages, and takes them into the queue."""
        await self._poller.poll()
        for frames in await _waiting(self._socket):
            self._sort(frames)
        for _ in await _waiting(self._monitor):
            self._queue.append(None)
        await asyncio.sleep(0)  # where messages never end, others have their turn too

    def _sort(self, frames: list[bytes]) -> None:
        if self._nonce and frames[0] == self._nonce.encode():
            self._nonce = ""
            return
        try:
            event = read_event(frames)
        except Malformed:
            self.malformed += 1
            return
        wanted = (pattern for pattern, times in self._patterns.items() if times)
        if names.delivers(wanted, self._wants_all, event.topic, event.scopes):
            self._queue.append(event)


async def _waiting(socket: zmq.asyncio.Socket) -> list[list[bytes]]:
    """The messages that are there, a batch of them at most."""
    messages: list[list[bytes]] = []
    with contextlib.suppress(zmq.Again):
        while len(messages) < BATCH:
            messages.append(await socket.recv_multipart(zmq.NOBLOCK))
    return messages
