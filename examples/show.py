# SPDX-License-Identifier: Apache-2.0
"""Events and trees of processes as lines for people: 80 columns, colours only on a terminal."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from typing import Any

Record = dict[str, Any]


def width() -> int:
    return max(60, shutil.get_terminal_size((80, 24)).columns) if sys.stdout.isatty() else 80


def paint(text: str, colour: str) -> str:
    """The text in a colour, where there is a terminal to see it."""
    numbers = {"green": "32", "red": "31", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}
    return f"\x1b[{numbers[colour]}m{text}\x1b[0m" if sys.stdout.isatty() else text


def cut(text: str, room: int) -> str:
    """At most that long, on one line, with nothing that a terminal would obey."""
    text = "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text)
    return text if len(text) <= room else text[:max(0, room - 3)] + "..."


def memory(size: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def duration(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds / 60_000:.0f} min"


def ending(data: dict[str, Any]) -> str:
    """How a process ended."""
    if "signal" in data:
        try:
            name = signal.Signals(data["signal"]).name
        except ValueError:
            name = f"signal {data['signal']}"
        return f"killed by {name}" + (" (core dumped)" if data.get("core_dumped") else "")
    return f"exit {data['exit_code']}" if "exit_code" in data else "ended"


class EventLines:
    """One line an event. It remembers commands, so that an exit tells whose it is."""

    def __init__(self) -> None:
        self._commands: dict[tuple[int, int], str] = {}

    def line(self, event: dict[str, Any]) -> str | None:
        """The line, or None for an event that is no news."""
        kind = event["event"].removeprefix("agent:")
        data = event.get("data", {})
        head = f"{time.strftime('%H:%M:%S')} {cut(data.get('block_id', ''), 12):8} "
        told = self._told(kind, data)
        if told is None:
            return None
        mark, colour, text = told
        return head + paint(mark + " " + cut(text, width() - len(head) - 2), colour)

    def _told(self, kind: str, data: dict[str, Any]) -> tuple[str, str, str] | None:
        if kind in ("process-added", "process-exec"):
            record = data["process"]
            self._commands[record["pid"], record["started_at_ms"]] = record["command"]
            if kind == "process-exec":
                return ">", "blue", f"{record['pid']:>7} is now {record['command']}"
            parent = f"(of {record['parent_pid']}) " if "parent_pid" in record else ""
            return "+", "green", f"{record['pid']:>7} {parent}{record['command']}"
        if kind in ("process-exited", "process-escaped"):
            command = self._commands.pop((data["pid"], data["started_at_ms"]), "")
            if kind == "process-escaped":
                return "!", "yellow", f"{data['pid']:>7} left ({data['reason']}): {command}"
            lasted = duration(data.get("runtime_ms", 0))
            return "-", "red", f"{data['pid']:>7} {ending(data)} after {lasted}: {command}"
        if kind == "block-mark":
            return None
        why = data.get("reason") or data.get("confidence", "")
        return "*", "dim", f"{kind} {why}"


def tree(records: list[Record]) -> list[str]:
    """Lines of a table: children below their parents. An orphan stands at the left again, under the
    parent that it was born of."""
    lines = [paint(f"{'PID':>8} {'PARENT':>8} {'MEMORY':>9} {'AGE':>8}  COMMAND", "bold")]
    by_pid = {record["pid"]: record for record in records}
    below: dict[int | None, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["started_at_ms"], r["pid"])):
        parent = record.get("parent_pid")
        below.setdefault(parent if parent in by_pid else None, []).append(record)
    stack = [(record, 0) for record in reversed(below.get(None, []))]
    while stack:
        record, depth = stack.pop()
        lines.append(_row(record, depth))
        stack += [(child, depth + 1) for child in reversed(below.get(record["pid"], []))]
    return lines


def _row(record: Record, depth: int) -> str:
    age = duration(max(0, time.time() * 1000 - record["started_at_ms"]))
    row = f"{record['pid']:>8} {record.get('parent_pid', '?'):>8} " \
          f"{memory(record['rss_bytes']):>9} {age:>8}  {'  ' * min(depth, 8)}"
    return row + cut(record["command"], width() - len(row))
