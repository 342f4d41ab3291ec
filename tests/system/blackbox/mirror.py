# SPDX-License-Identifier: Apache-2.0
"""Knowing a block without polling: PROTOCOL.md, section 5, and no more than that.

`Picture` is the logic alone: events and lists go in, the set of processes comes out, and it says
when a list is needed. `Mirror` puts sockets to it.
"""

from __future__ import annotations

import time
from typing import Any, Callable

from .wire import DEADLINE, Event

Key = tuple[int, int]  # pid and started_at_ms
Record = dict[str, Any]

#: What a mirror knows as well as the registry does.
MIRRORED = ("pid", "started_at_ms", "command", "root", "started", "scope")


def mirrored(records: list[Record]) -> dict[Key, Record]:
    """Records by process, cut down to what a mirror keeps up to date."""
    return {(record["pid"], record["started_at_ms"]): {key: record[key] for key in MIRRORED}
            for record in records}


class Picture:
    """What a reader knows of one block. It is whole unless `needs_list`."""

    def __init__(self) -> None:
        self.epoch: str | None = None  # None: there is no such block, as far as is known
        self.seq = 0
        self.processes: dict[Key, Record] = {}
        self.needs_list = True
        self._past: set[str] = set()  # epochs that are over
        self._seen: set[str] = set()  # epochs of events that came while a list was needed
        self._by_event = False  # an event began the epoch, not a list

    def event(self, event: Event) -> None:
        """Takes the next event of the block, in the order of arrival."""
        if event.data["epoch"] in self._past:
            # A list may overtake events. What began before this one came is older, and over too.
            self.needs_list |= self._by_event
            return
        if self.needs_list:
            self._seen.add(event.data["epoch"])
        else:
            self._apply(event)

    def list(self, reply: dict[str, Any]) -> None:
        """Takes the reply of a `list_block` that was asked for after all events so far had come: it
        counts them all, so an epoch among them that is not its own is over."""
        self._begin(reply.get("epoch"))
        self._by_event = False
        self._past |= self._seen - {self.epoch}
        self._seen = set()
        self.seq = reply.get("seq", 0)
        self.processes = {(record["pid"], record["started_at_ms"]): record
                          for record in reply["processes"]}
        self.needs_list = False

    def _begin(self, epoch: str | None) -> None:
        if self.epoch is not None and epoch != self.epoch:
            self._past.add(self.epoch)
        self.epoch = epoch

    def _apply(self, event: Event) -> None:
        epoch, seq = event.data["epoch"], event.data["seq"]
        if epoch == self.epoch and seq <= self.seq:
            return  # known already, or a mark that agrees
        first = self.epoch is None and seq == 1
        following = epoch == self.epoch and seq == self.seq + 1
        if event.name == "agent:block-mark" or not (first or following):
            self.needs_list = True
            self._seen.add(epoch)
            return
        self.epoch, self.seq = epoch, seq
        self._by_event |= first
        self._change(event.name, event.data)

    def _change(self, name: str, data: dict[str, Any]) -> None:
        if name in ("agent:process-added", "agent:process-exec", "agent:process-changed"):
            record = data["process"]
            self.processes[record["pid"], record["started_at_ms"]] = record
        elif name in ("agent:process-exited", "agent:process-escaped"):
            self.processes.pop((data["pid"], data["started_at_ms"]), None)
        elif name == "agent:block-removed":
            self._begin(None)
            self._by_event = False
            self.seq = 0
            self.processes = {}


class Mirror:
    """A picture that keeps itself right, from a Subscriber and a control Ask."""

    def __init__(self, subscriber: Any, control: Any, block_id: str) -> None:
        self._subscriber = subscriber
        self._control = control
        self.block_id = block_id
        self._topic = f"block:{block_id}"
        self.picture = Picture()
        self.repairs = -1  # the first list is none
        subscriber.subscribe(self._topic)
        self._repair()

    def _repair(self) -> None:
        while self.picture.needs_list:
            self.picture.list(self._control("list_block", block_id=self.block_id))
            self.repairs += 1

    def rejoin(self) -> None:
        """There was another broker meanwhile: step 1 again, what came before that, and a list."""
        self.picture.needs_list = True
        self._subscriber.sync()
        while (event := self._subscriber.next(0)) is not None:
            if event.topic == self._topic:
                self.picture.event(event)
        self._repair()

    def pump(self, timeout: float = 0.0) -> bool:
        """Takes one event, waiting so long for it. False where none came."""
        event = self._subscriber.next(timeout)
        if event is None:
            return False
        if event.topic == self._topic:  # a prefix lets others through
            self.picture.event(event)
            self._repair()
        return True

    def until(self, reached: Callable[[], bool], what: str, timeout: float = DEADLINE) -> None:
        """Takes events until that is so."""
        end = time.monotonic() + timeout
        while not reached():
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"the mirror of {self.block_id}: {what}: not in {timeout} s; "
                                     f"it holds {list(self.picture.processes.values())!r}")
            self.pump(min(left, 0.1))

    def compared(self) -> tuple[dict[Key, Record], dict[Key, Record]]:
        """The mirror and the registry as they were at one and the same sequence number."""
        end = time.monotonic() + DEADLINE
        while True:
            reply = self._control("list_block", block_id=self.block_id)
            here = (reply.get("epoch"), reply.get("seq", 0))
            while (self.picture.epoch, self.picture.seq) != here and self.pump(0.2):
                pass
            if (self.picture.epoch, self.picture.seq) == here:
                return mirrored(list(self.picture.processes.values())), mirrored(reply["processes"])
            assert time.monotonic() < end, f"the mirror does not come to {here}: it is at " \
                f"{self.picture.epoch}, {self.picture.seq}"
