# SPDX-License-Identifier: Apache-2.0
"""What holds for every event of every block (PROTOCOL.md, section 3.1), in every test."""

from __future__ import annotations

import dataclasses
from typing import Any

from .wire import Event

Key = tuple[int, int]  # pid and started_at_ms

#: Keys of a record that never change while a process stays in a block.
FIXED = ("pid", "started_at_ms", "parent_pid", "scope", "root")


class Unlawful(AssertionError):
    """An event that must not come, or not now."""


@dataclasses.dataclass
class Stay:
    """One stay of one process in one block."""

    added: dict[str, Any]  # the record it came with
    record: dict[str, Any]  # the newest
    execs: list[str] = dataclasses.field(default_factory=list)
    retitled: int = 0  # of the execs, those that a scan found: it sees another command, not why
    end: Event | None = None  # exited or escaped

    @property
    def alive(self) -> bool:
        return self.end is None

    def status(self) -> tuple[str, int] | None:
        """("exit_code", n) or ("signal", n) where the exit tells it."""
        data = self.end.data if self.end else {}
        for key in ("exit_code", "signal"):
            if key in data:
                return key, data[key]
        return None


class Law:
    """Takes all events of one block from a moment when it did not exist, or was listed."""

    def __init__(self, block_id: str) -> None:
        self.block_id = block_id
        self.epoch: str | None = None
        self.seq = 0
        self.resynced = False  # something was lost in this epoch
        self.stays: dict[Key, list[Stay]] = {}
        self._parents_missing: dict[int, int] = {}  # pid that is no member: birth of a child of it
        self._old_epochs: set[str] = set()
        self._listed = 0  # events up to this number are counted in the list that it began with

    def begin(self, reply: dict[str, Any]) -> None:
        """Takes up a block that was there before: from its list on."""
        self.epoch, self.seq = reply["epoch"], reply["seq"]
        self._listed = self.seq
        self.resynced = True  # what its members' parents were nobody told
        for record in reply["processes"]:
            self.stays[record["pid"], record["started_at_ms"]] = [Stay(record, record)]

    def all_stays(self) -> list[Stay]:
        return [stay for stays in self.stays.values() for stay in stays]

    def living(self) -> dict[Key, Stay]:
        return {key: stays[-1] for key, stays in self.stays.items() if stays[-1].alive}

    def apply(self, event: Event) -> None:
        try:
            self._apply(event)
        except AssertionError as error:
            raise Unlawful(f"{error}: {event!r}") from None

    def _apply(self, event: Event) -> None:
        data = event.data
        assert event.topic == f"block:{self.block_id}", "a foreign topic"
        assert event.body.get("scopes") == [event.topic], "scopes are not the topic"
        assert data["block_id"] == self.block_id, "a foreign block_id"
        assert 0 < len(data["epoch"].encode()) <= 32, "an epoch of a wrong size"
        if data["epoch"] == self.epoch and data["seq"] <= self._listed:
            return
        if event.name == "agent:block-mark":
            self._mark(data)
            return
        self._number(event, data["epoch"], data["seq"])
        kind = event.name.removeprefix("agent:").replace("-", "_")
        handler = getattr(self, f"_{kind}", None)
        assert handler is not None, "an event that is not in the protocol"
        handler(event, data)

    def _mark(self, data: dict[str, Any]) -> None:
        if data["epoch"] not in self._old_epochs:
            assert (data["epoch"], data["seq"]) == (self.epoch, self.seq), \
                f"a mark that is not at {self.epoch}, {self.seq}"

    def _number(self, event: Event, epoch: str, seq: int) -> None:
        assert epoch not in self._old_epochs, "an event of an epoch that is over"
        if self.epoch is None:
            assert event.name == "agent:block-added", "the first event is not block-added"
            assert seq == 1, "the first event has not seq 1"
            self.epoch = epoch
        assert epoch == self.epoch, f"another epoch than {self.epoch}"
        assert seq == self.seq + 1, f"seq after {self.seq}"
        self.seq = seq

    # ---- blocks

    def _block_added(self, event: Event, data: dict[str, Any]) -> None:
        assert data["seq"] == 1, "a second block-added"

    def _block_changed(self, event: Event, data: dict[str, Any]) -> None:
        pass

    def _block_resync(self, event: Event, data: dict[str, Any]) -> None:
        self.resynced = True

    def _block_removed(self, event: Event, data: dict[str, Any]) -> None:
        assert not self.living(), f"removed with members: {list(self.living())}"
        self._old_epochs.add(data["epoch"])
        self.epoch, self.seq, self.resynced, self._listed = None, 0, False, 0

    # ---- processes

    def _process_added(self, event: Event, data: dict[str, Any]) -> None:
        record = data["process"]
        key = (record["pid"], record["started_at_ms"])
        before = self.stays.get(key, [])
        assert all(stay.end is not None and stay.end.name == "agent:process-escaped"
                   for stay in before), "added twice"
        assert record["pid"] not in {pid for pid, _ in self.living()}, "its pid is a living member"
        self._parents_first(record, data)
        self.stays.setdefault(key, []).append(Stay(record, record))

    def _parents_first(self, record: dict[str, Any], data: dict[str, Any]) -> None:
        """No child may have come before this one. (A root may: it was assigned on its own.)"""
        born = self._parents_missing.get(record["pid"], 0)
        late = self.resynced and data.get("source") == "scan"  # its birth was lost, its child's not
        assert record["root"] or late or born < record["started_at_ms"], \
            "its child was added before it"
        parent = record.get("parent_pid")
        if parent and not record["root"] and not any(pid == parent for pid, _ in self.stays):
            self._parents_missing[parent] = record["started_at_ms"]

    def _living(self, key: Key) -> Stay:
        stays = self.stays.get(key)
        assert stays, "of a process that was never added"
        assert stays[-1].alive, "of a process whose stay is over"
        return stays[-1]

    def _process_exec(self, event: Event, data: dict[str, Any]) -> None:
        record = data["process"]
        stay = self._living((record["pid"], record["started_at_ms"]))
        for key in FIXED:
            assert record.get(key) == stay.record.get(key), f"exec changed {key}"
        assert record["started"] or not stay.record["started"], "exec took `started` away"
        stay.record = record
        stay.execs.append(record["command"])
        stay.retitled += data.get("source") == "scan"

    def _process_changed(self, event: Event, data: dict[str, Any]) -> None:
        record = data["process"]
        stay = self._living((record["pid"], record["started_at_ms"]))
        assert record.get("parent_pid") == stay.record.get("parent_pid"), "parent_pid was rewritten"
        stay.record = record

    def _process_exited(self, event: Event, data: dict[str, Any]) -> None:
        stay = self._living((data["pid"], data["started_at_ms"]))
        assert not ("exit_code" in data and "signal" in data), "both exit_code and signal"
        assert ("signal" in data) == ("core_dumped" in data), "core_dumped goes with signal"
        stay.end = event

    def _process_escaped(self, event: Event, data: dict[str, Any]) -> None:
        self._living((data["pid"], data["started_at_ms"])).end = event
