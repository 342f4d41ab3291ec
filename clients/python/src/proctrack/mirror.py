# SPDX-License-Identifier: Apache-2.0
"""What a block is running, without polling: a picture that is kept right by events and lists."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from .errors import NoReply
from .messages import ProcessRecord
from .picture import Change, Picture
from .subscriber import Subscriber
from .wire import is_uint

if TYPE_CHECKING:
    from .client import Client

LIST_TIMEOUT = 2.0  # seconds; then it is asked again
CHECK_EVERY = 30.0  # seconds


class Mirror:
    """Iterated over, it gives the changes of a block as they come; what it holds is as after the
    newest of them. It lists by itself where something was missed, waits for a broker that is not
    there, and follows one that comes back. Nothing runs but while a change is waited for.
    For one task.

    Every `check_every` seconds it asks whether the block is still what it takes it for: where the
    broker drops what is too much for a slow reader, the last event of a block may be lost, and
    what tells of it again too.
    """

    def __init__(self, client: Client, block_id: str, *, check_every: float = CHECK_EVERY) -> None:
        self._client = client
        self._picture = Picture(block_id)
        self._subscriber = Subscriber(client, self._picture.topic)
        self._in_force = False
        self._check_every = check_every
        self._check_at = 0.0  # by the loop's clock, once what is subscribed to is in force
        self._checked_seq: int | None = None  # where it was when it asked last
        self._changes: deque[Change] = deque()

    async def __aenter__(self) -> Mirror:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._subscriber.close()

    def __aiter__(self) -> Mirror:
        return self

    async def __anext__(self) -> Change:
        while not self._changes:
            self._changes.extend(await self._step())
        return self._changes.popleft()

    @property
    def processes(self) -> Collection[ProcessRecord]:
        """Who is in the block."""
        return self._picture.processes.values()

    @property
    def whole(self) -> bool:
        """False from where something was missed until it is listed."""
        return self._picture.whole

    @property
    def epoch(self) -> str | None:
        """Which life of the block this is; None: there is no such block."""
        return self._picture.epoch

    @property
    def seq(self) -> int:
        """The number of the newest event that is counted in."""
        return self._picture.seq

    @property
    def confidence(self) -> str:
        """How sure it is that no process is missed: `high`, `best_effort` or `none`."""
        return self._picture.confidence

    @property
    def confidence_reason(self) -> str:
        """Why, in a sentence."""
        return self._picture.confidence_reason

    async def _step(self) -> list[Change]:
        if not self._in_force:
            await self._subscriber.in_force()
            self._in_force = True
            self._check_later()
        if not self._picture.whole:
            return await self._list()
        try:
            async with asyncio.timeout_at(self._check_at):
                event = await self._subscriber.next_or_lost()
        except TimeoutError:
            return await self._check()
        if event is None:
            self._in_force = False
            return self._picture.lost()
        return self._picture.event(event)

    async def _list(self) -> list[Change]:
        with contextlib.suppress(NoReply):
            reply = await self._client.ask(
                "control", "list_block", {"block_id": self._picture.block_id}, timeout=LIST_TIMEOUT
            )
            return self._picture.listed(reply)
        return []

    def _check_later(self) -> None:
        self._check_at = asyncio.get_running_loop().time() + self._check_every

    async def _check(self) -> list[Change]:
        """Events of a block that is at work may be on their way: it is behind if it stayed there."""
        picture = self._picture
        stays, self._checked_seq = self._checked_seq == picture.seq, picture.seq
        self._check_later()
        with contextlib.suppress(NoReply):
            there = await self._client.ask(
                "control", "confidence_of", {"block_id": picture.block_id}, timeout=LIST_TIMEOUT
            )
            ahead = is_uint(there.get("seq"), picture.seq + 1)
            if there.get("epoch") != picture.epoch or (stays and ahead):
                return picture.lost()
        return []
