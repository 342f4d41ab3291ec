# SPDX-License-Identifier: Apache-2.0
"""One request, one reply, or a sentence that says why there is none."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import zmq
import zmq.asyncio

from .errors import NoReply
from .wire import pack_request, read_reply, seconds_at_broker


class Asking:
    """Asks at one endpoint. Any number of tasks may ask at once: each has a socket to itself. One
    whose reply did not come is closed, and the next request goes over a fresh one."""

    def __init__(self, make: Callable[[int], zmq.asyncio.Socket], endpoint: str) -> None:
        self._make = make
        self._endpoint = endpoint
        self._idle: list[zmq.asyncio.Socket] = []

    async def ask(
        self, command: str, data: Mapping[str, Any], timeout: float, retries: int = 0
    ) -> dict[str, Any]:
        """The data of the reply. Each try has `timeout` seconds, and what the broker itself waits."""
        body = pack_request(command, data)
        patience = timeout + seconds_at_broker(command, data)
        for _ in range(retries + 1):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    frames = await self._exchange(body)
                return read_reply(frames)
        raise NoReply(f"{command}: no reply from {self._endpoint} in {patience:g} s. Is wpsd there?")

    def close(self) -> None:
        for socket in self._idle:
            socket.close(linger=0)
        self._idle.clear()

    async def _exchange(self, body: bytes) -> list[bytes]:
        socket = self._idle.pop() if self._idle else self._connect()
        try:
            await socket.send(body)
            frames = await socket.recv_multipart()
        except BaseException:
            socket.close(linger=0)  # a REQ that waits for a reply can do nothing else
            raise
        self._idle.append(socket)
        return frames

    def _connect(self) -> zmq.asyncio.Socket:
        socket = self._make(zmq.REQ)
        socket.connect(self._endpoint)
        return socket
