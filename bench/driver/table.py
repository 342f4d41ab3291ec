# SPDX-License-Identifier: Apache-2.0
"""Rows, and how they are shown."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any


def clean(values: list[Any] | None) -> list[float]:
    return [value for value in values or [] if value is not None]


@dataclasses.dataclass
class Row:
    """One figure with one feed. `ours` and `theirs` are one value a round."""
    figure: str
    feed: str
    unit: str
    ours: list[float]
    peer: str = ""
    theirs: list[float] | None = None
    at_most: float | None = None  # of the figure itself, in its unit
    at_least: float | None = None
    ratio_at_most: float | None = None
    ratio_at_least: float | None = None
    note: str = ""
    skipped: str = ""  # why there is no figure

    def __post_init__(self) -> None:
        self.ours, self.theirs = clean(self.ours), clean(self.theirs)
        if not self.ours and not self.skipped:
            self.skipped = "nothing was measured"

    @property
    def median(self) -> float | None:
        return statistics.median(self.ours) if self.ours else None

    @property
    def peer_median(self) -> float | None:
        return statistics.median(self.theirs) if self.theirs else None

    @property
    def ratio(self) -> float | None:
        """None too where the peer's figure is not above nothing."""
        if self.median is None or self.peer_median is None or self.peer_median <= 0:
            return None
        return self.median / self.peer_median

    @property
    def target(self) -> str:
        targets = [f"{sign} {number:g}{suffix}" for sign, number, suffix in (
            ("<=", self.at_most, ""), (">=", self.at_least, ""),
            ("<=", self.ratio_at_most, " x"), (">=", self.ratio_at_least, " x"))
            if number is not None]
        return ", ".join(targets)

    @property
    def reached(self) -> bool | None:
        """None: there is no target, or nothing to hold against it."""
        verdicts = [self._verdict(self.median, self.at_most, self.at_least),
                    self._verdict(self.ratio, self.ratio_at_most, self.ratio_at_least)]
        verdicts = [verdict for verdict in verdicts if verdict is not None]
        return all(verdicts) if verdicts else None

    @staticmethod
    def _verdict(value: float | None, most: float | None, least: float | None) -> bool | None:
        if value is None or (most is None and least is None):
            return None
        return (most is None or value <= most) and (least is None or value >= least)

    def as_json(self) -> dict[str, Any]:
        return {"figure": self.figure, "feed": self.feed, "unit": self.unit, "median": self.median,
                "min": min(self.ours, default=None), "max": max(self.ours, default=None),
                "rounds": self.ours, "peer": self.peer or None, "peer_median": self.peer_median,
                "peer_min": min(self.theirs, default=None),
                "peer_max": max(self.theirs, default=None), "peer_rounds": self.theirs,
                "ratio": self.ratio, "target": self.target or None, "reached": self.reached,
                "note": self.note or None, "skipped": self.skipped or None}


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _spread(values: list[float]) -> str:
    return f"{_number(min(values))}..{_number(max(values))}" if len(values) > 1 else ""


HEADS = ["figure", "feed", "unit", "median", "spread", "peer", "its median", "its spread", "ratio",
         "target", "reached"]


def cells(row: Row) -> list[str]:
    if row.skipped:
        return [row.figure, row.feed, row.unit, "-", "", row.peer, "", "", "", row.target, "skipped"]
    return [row.figure, row.feed, row.unit, _number(row.median), _spread(row.ours), row.peer,
            _number(row.peer_median), _spread(row.theirs),
            "" if row.ratio is None else f"{row.ratio:.2f}", row.target,
            {None: "", True: "yes", False: "NO"}[row.reached]]


def _notes(rows: list[Row]) -> list[str]:
    return [f"{row.figure} ({row.feed}): {row.skipped or row.note}" for row in rows
            if row.skipped or row.note]


def shown(rows: list[Row]) -> str:
    """The table, and below it the notes."""
    lines = [HEADS, *(cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    notes = _notes(rows)
    return "\n".join([*text, *([""] if notes else []), *notes])


def markdown(rows: list[Row], machine: dict[str, Any]) -> str:
    """The same for a page: what was measured where, the table, the notes."""
    def line(words: list[str]) -> str:
        return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"
    return "\n".join([
        f"{machine['time']}, {machine['cpus']} processors ({machine['machine']}), Linux "
        f"{machine['kernel']}, {machine['busy_percent']:g} % busy with other work before.", "",
        line(HEADS), "|" + "---|" * len(HEADS), *(line(cells(row)) for row in rows),
        *([""] if _notes(rows) else []), *(f"- {note}" for note in _notes(rows))]) + "\n"
