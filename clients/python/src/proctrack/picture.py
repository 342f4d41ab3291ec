# SPDX-License-Identifier: Apache-2.0
"""What a reader knows of one block, by the rule of PROTOCOL.md, section 5. No sockets here: events
and lists go in, changes come out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .errors import Malformed
from .messages import ProcessRecord
from .names import block_scope
from .wire import Event, is_uint

Key = tuple[int, int]
#: What is kept equal to the registry; the rest of a record is as of when it was read.
MIRRORED = ("command", "root", "started", "scope")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened. `kind` is the name of the event without `agent:`, or one of ours:

    - `process-gone`: it is there no more, and nobody told how it ended
    - `block-stale`: something was missed; what is known is old until the next list
    - `block-listed`: what is known is right again
    """

    kind: str
    process: ProcessRecord | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class Picture:
    """The processes of a block. It begins stale: it needs a list."""

    def __init__(self, block_id: str) -> None:
        self.topic = block_scope(block_id)
        self.block_id = block_id
        self.whole = False
        self.epoch: str | None = None  # None: there is no such block
        self.seq = 0
        self.processes: dict[Key, ProcessRecord] = {}
        self.confidence = "none"
        self.confidence_reason = ""
        self._noted: set[str | None] = set()  # epochs of events that came while stale
        self._over: set[str | None] = set()  # epochs that are over
        self._by_event = False  # an event began the epoch, not a list

    def lost(self) -> list[Change]:
        """Something may have been missed: a list is needed."""
        if not self.whole:
            return []
        self.whole = False
        return [Change("block-stale")]

    def event(self, event: Event) -> list[Change]:
        """Takes the next event, in the order of arrival."""
        data = event.data
        if not self._is_ours(event):
            return []
        if data["epoch"] in self._over:
            # A list may overtake events. What began before this one came is older, and over too.
            return self.lost() if self._by_event else []
        if not self.whole:  # the list to come counts it
            self._noted.add(data["epoch"])
            return []
        epoch, seq = data["epoch"], data["seq"]
        if epoch == self.epoch and seq <= self.seq:
            return []
        first = self.epoch is None and seq == 1
        following = seq == self.seq + 1 if epoch == self.epoch else first
        if event.name == "agent:block-mark" or not following:
            self._noted.add(epoch)
            return self.lost()
        self.epoch, self.seq = epoch, seq
        self._by_event |= first
        return self._apply(event.name.removeprefix("agent:"), data)

    def listed(self, reply: Mapping[str, Any]) -> list[Change]:
        """Takes the reply of a `list_block` that was asked for after all events taken so far: an
        epoch of theirs that is not the reply's is over."""
        epoch, seq, processes = _read_list(reply)
        before = self.processes
        self._over = (self._over | self._noted | {self.epoch}) - {epoch, None}
        self._noted = set()
        self.epoch, self.seq, self.processes, self.whole = epoch, seq, processes, True
        self._by_event = False
        self._set_confidence(reply)
        changes = [
            Change("process-gone", record)
            for key, record in before.items()
            if key not in processes
        ]
        for key, record in processes.items():
            if key not in before:
                changes.append(Change("process-added", record))
            elif _mirrored(record) != _mirrored(before[key]):
                changes.append(Change("process-changed", record))
        rest = {key: value for key, value in reply.items() if key != "processes"}
        return [*changes, Change("block-listed", data=rest)]

    def _is_ours(self, event: Event) -> bool:
        """Whether it is an event of this block that can be read. Anybody may publish others on the
        same scope; one of ours that cannot be read counts as lost, and the next number tells."""
        data = event.data
        if not event.name.startswith("agent:") or event.topic != self.topic:
            return False
        if not isinstance(data, dict) or data.get("block_id") != self.block_id:
            return False
        if not isinstance(data.get("epoch"), str) or not is_uint(data.get("seq"), 1):
            return False
        if event.name in ("agent:process-added", "agent:process-exec", "agent:process-changed"):
            return _is_record(data.get("process"))
        if event.name in ("agent:process-exited", "agent:process-escaped"):
            return is_uint(data.get("pid"), 1) and is_uint(data.get("started_at_ms"))
        return True

    def _apply(self, kind: str, data: Mapping[str, Any]) -> list[Change]:
        if kind in ("process-added", "process-exec", "process-changed"):
            record: ProcessRecord = data["process"]
            self.processes[record["pid"], record["started_at_ms"]] = record
            return [Change(kind, record, data)]
        if kind in ("process-exited", "process-escaped"):
            gone = self.processes.pop((data["pid"], data["started_at_ms"]), None)
            return [Change(kind, gone, data)] if gone else []
        if kind == "block-removed":
            return [*self._forget(), Change(kind, data=data)]
        if kind in ("block-added", "block-changed"):
            self._set_confidence(data)
        return [Change(kind, data=data)]

    def _forget(self) -> list[Change]:
        changes = [Change("process-gone", record) for record in self.processes.values()]
        self._over.add(self.epoch)
        self.epoch, self.seq, self.processes = None, 0, {}
        self._by_event = False
        self._set_confidence({})
        return changes

    def _set_confidence(self, of: Mapping[str, Any]) -> None:
        self.confidence = str(of.get("confidence", "none"))
        self.confidence_reason = str(of.get("confidence_reason", ""))


def _mirrored(record: ProcessRecord) -> list[object]:
    return [record.get(key) for key in MIRRORED]


def _is_record(value: object) -> bool:
    return (
        isinstance(value, dict)
        and is_uint(value.get("pid"), 1)
        and is_uint(value.get("started_at_ms"))
        and is_uint(value.get("rss_bytes"))
        and isinstance(value.get("command"), str)
        and isinstance(value.get("scope"), str)
        and isinstance(value.get("root"), bool)
        and isinstance(value.get("started"), bool)
    )


def _read_list(reply: Mapping[str, Any]) -> tuple[str | None, int, dict[Key, ProcessRecord]]:
    epoch, seq, listed = reply.get("epoch"), reply.get("seq", 0), reply.get("processes")
    if epoch is not None and not (isinstance(epoch, str) and is_uint(seq, 1)):
        raise Malformed("list_block: its epoch or seq is none")
    if not isinstance(listed, list) or not all(map(_is_record, listed)):
        raise Malformed("list_block: its processes are none")
    records = cast(list[ProcessRecord], listed)
    known = {(record["pid"], record["started_at_ms"]): record for record in records}
    return epoch, seq if epoch else 0, known
