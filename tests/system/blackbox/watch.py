# SPDX-License-Identifier: Apache-2.0
"""Watching a block: every event is taken, held against the law, and can be waited for."""

from __future__ import annotations

import time
from typing import Any, Callable

from .law import Law, Stay
from .wire import DEADLINE, Ask, Event, Subscriber


class Watch:
    """All events of one block, from before it exists."""

    def __init__(self, subscriber: Subscriber, control: Ask, block_id: str) -> None:
        self.block_id = block_id
        self.events: list[Event] = []
        self.law = Law(block_id)
        self._control = control
        self._subscriber = subscriber
        self._topic = f"block:{block_id}"
        subscriber.subscribe(self._topic)

    def close(self) -> None:
        self._subscriber.close()

    def pump(self, timeout: float = 0.0) -> Event | None:
        """Takes one event of this block, waiting so long for it."""
        end = time.monotonic() + timeout
        while True:
            event = self._subscriber.next(max(0.0, end - time.monotonic()))
            if event is None:
                return None
            if event.topic == self._topic:
                self.events.append(event)
                self.law.apply(event)
                return event

    def until(self, reached: Callable[[], Any], what: str, timeout: float = DEADLINE) -> Any:
        """Takes events until `reached` gives something true, and gives that."""
        end = time.monotonic() + timeout
        while not (result := reached()):
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{what}: not in {timeout:.0f} s. Came:\n{self.story()}")
            self.pump(left)
        return result

    def until_event(self, name: str, timeout: float = DEADLINE, **data: Any) -> Event:
        """The first event so named (without `agent:`) with such data, early or late."""
        def wanted() -> Event | None:
            for event in self.events:
                if event.name == f"agent:{name}" and \
                        all(event.data.get(key) == value for key, value in data.items()):
                    return event
            return None
        return self.until(wanted, f"{name} {data}", timeout)

    def until_added(self, pid: int, timeout: float = DEADLINE) -> Stay:
        return self.until(lambda: self.stay(pid), f"pid {pid} added", timeout)

    def until_ended(self, pid: int, timeout: float = DEADLINE) -> Stay:
        def ended() -> Stay | None:
            stay = self.stay(pid)
            return stay if stay and not stay.alive else None
        return self.until(ended, f"pid {pid} ended", timeout)

    def until_empty(self, timeout: float = DEADLINE) -> None:
        self.until(lambda: not self.law.living(), "no member lives", timeout)

    def catch_up(self) -> None:
        """Takes all events that were published before now."""
        reply = self._control("confidence_of", block_id=self.block_id)
        here = (reply.get("epoch"), reply.get("seq", 0))
        self.until(lambda: (self.law.epoch, self.law.seq) >= here if here[0] is None
                   else self.law.epoch == here[0] and self.law.seq >= here[1],
                   f"the events up to {here}")

    def stay(self, pid: int) -> Stay | None:
        """The newest stay of a pid."""
        stays = self.stays(pid)
        return stays[-1] if stays else None

    def stays(self, pid: int) -> list[Stay]:
        return [stay for stay in self.law.all_stays() if stay.added["pid"] == pid]

    def named(self, name: str, pid: int | None = None) -> list[Event]:
        """The events so named (without `agent:`) that came, of one pid where one is given."""
        return [event for event in self.events if event.name == f"agent:{name}" and
                pid in (None, event.data.get("pid"), event.data.get("process", {}).get("pid"))]

    def story(self) -> str:
        return "\n".join(f"  {event!r}" for event in self.events[-60:]) or "  (nothing)"
