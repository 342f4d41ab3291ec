# SPDX-License-Identifier: Apache-2.0
"""A healthy subscriber to all blocks, as PROTOCOL.md, section 5 has it: from the events alone it knows what the
registry knows. It also notes when events arrived."""

from __future__ import annotations

import collections
import os
import time
from typing import Any, Callable

import msgpack
import zmq

from blackbox.mirror import Picture, mirrored
from blackbox.wire import Event

AT_ONCE = 64  # lists under way
BATCH = 500  # events, before it looks for other things
EXEC, EXIT = 1, 2
KINDS = {"agent:process-added": EXEC, "agent:process-exec": EXEC, "agent:process-exited": EXIT}


def unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, raw=False, strict_map_key=False)


class Mirror:
    """Pictures of all blocks. What arrives for a block while its list is asked for waits for the list."""

    def __init__(self, events: str, control: str) -> None:
        context = zmq.Context()
        self.socket = context.socket(zmq.SUB)
        self.socket.rcvhwm = 0
        for prefix in ("block:", "sync:"):
            self.socket.subscribe(prefix)
        self.socket.connect(events)
        self.lists = context.socket(zmq.DEALER)
        self.lists.connect(control)
        self._pictures: dict[str, Picture] = {}
        self._waiting: dict[str, list[Event]] = {}  # for their list, asked for or not yet
        self._to_ask: collections.deque[str] = collections.deque()
        self._asked: dict[int, str] = {}
        self._number = 0
        self.synced = False
        self.counts = {"events": 0, "repairs": 0, "missed_removals": 0}
        self.arrivals: list[tuple[int, int, int]] | None = None  # time, pid, kind; None: they are not noted

    def take_events(self) -> None:
        for _ in range(BATCH):
            try:
                topic, body = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(topic.decode(), body)

    def _take(self, topic: str, body: bytes) -> None:
        if topic.startswith("sync:"):
            self.synced = True
            return
        event = Event(topic, unpack(body))
        self.counts["events"] += 1
        if self.arrivals is not None and event.name in KINDS:
            self.arrivals.append((time.clock_gettime_ns(time.CLOCK_BOOTTIME),
                                  event.data.get("process", event.data)["pid"], KINDS[event.name]))
        block = topic.removeprefix("block:")
        if block in self._waiting:
            self._waiting[block].append(event)
        else:
            self._apply(block, [event])

    def _picture(self, block: str) -> Picture:
        """It listens since before there was any block: one that it does not know does not exist."""
        picture = self._pictures.get(block)
        if picture is None:
            picture = self._pictures[block] = Picture()
            picture.list({"processes": []})
        return picture

    def _apply(self, block: str, events: list[Event]) -> None:
        picture = self._picture(block)
        for number, event in enumerate(events):
            picture.event(event)
            if picture.needs_list:
                self.counts["repairs"] += 1
                self._waiting[block] = events[number + 1:]
                self._to_ask.append(block)
                return

    def ask_for_lists(self) -> None:
        while self._to_ask and len(self._asked) < AT_ONCE:
            block = self._to_ask.popleft()
            self._number += 1
            self._asked[self._number] = block
            self.lists.send_multipart([b"", msgpack.packb(
                {"command": "list_block", "reqid": self._number, "data": {"block_id": block}})])

    def take_lists(self) -> None:
        while True:
            try:
                reply = unpack(self.lists.recv_multipart(zmq.NOBLOCK)[1])
            except zmq.Again:
                return
            block = self._asked.pop(reply["resid"])
            self._pictures[block].list(reply["data"])
            self._apply(block, self._waiting.pop(block))

    def look_for(self, blocks: list[str]) -> None:
        """The registry does not have these. Where the queue for us was full when it told so, and at both marks that
        followed, no event can show that; the client libraries ask every half minute."""
        for block in blocks:
            if block not in self._waiting and self._pictures[block].epoch is not None:
                self.counts["missed_removals"] += 1
                self._pictures[block].needs_list = True
                self._waiting[block] = []
                self._to_ask.append(block)

    def heads(self) -> dict[str, tuple[str, int]]:
        """Epoch and sequence number of each block that there is, and whose picture is whole."""
        return {block: (picture.epoch, picture.seq) for block, picture in self._pictures.items()
                if picture.epoch is not None and not picture.needs_list}

    def pictures(self) -> dict[str, dict[Any, Any]]:
        return {block: mirrored(list(self._pictures[block].processes.values())) for block in self.heads()}

    def note_arrivals(self, wanted: bool) -> list[tuple[int, int, int]]:
        """Those of the time that was noted until now."""
        noted, self.arrivals = self.arrivals or [], [] if wanted else None
        return noted


def run(pipe: Any, events: str, control: str, nice: int) -> None:
    """The work of an actor."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    mirror = Mirror(events, control)
    answers: dict[str, Callable[..., Any]] = {
        "synced": lambda: mirror.synced, "heads": mirror.heads, "pictures": mirror.pictures,
        "arrivals": mirror.note_arrivals, "look_for": mirror.look_for, "counts": lambda: dict(mirror.counts)}
    poller = zmq.Poller()
    for of in (mirror.socket, mirror.lists, pipe.fileno()):
        poller.register(of, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        mirror.take_events()
        mirror.take_lists()
        mirror.ask_for_lists()
        if pipe.fileno() in ready:
            command, *args = pipe.recv()
            pipe.send(("answer", answers[command](*args)))
