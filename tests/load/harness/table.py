# SPDX-License-Identifier: Apache-2.0
"""What is printed: a line for each checkpoint, and at the end what grew."""

from __future__ import annotations

from typing import Any

from . import rules

#: Title, key, digits behind the point, by how much to divide.
COLUMNS = [("s", "at_s", 0, 1), ("births/s", "births_a_second", 0, 1), ("events/s", "events_a_second", 0, 1),
           ("exec p50", "exec_p50_us", 1, 1000), ("p99 ms", "exec_p99_us", 1, 1000),
           ("exit p50", "exit_p50_us", 1, 1000), ("p99 ms", "exit_p99_us", 1, 1000),
           ("requests", "requests", 0, 1), ("p50", "request_p50_ms", 1, 1), ("p99", "request_p99_ms", 1, 1),
           ("max ms", "request_max_ms", 0, 1),
           ("ends p50", "waiting_p50_ms", 0, 1), ("max ms", "waiting_max_ms", 0, 1),
           ("RSS KiB", "rss_kib", 0, 1), ("heap", "heap_kib", 0, 1), ("fds", "descriptors", 0, 1),
           ("threads", "threads", 0, 1), ("workers", "workers", 0, 1), ("dying", "dying_cgroups", 0, 1),
           ("members", "processes", 0, 1), ("killed", "subscribers_killed", 0, 1), ("repairs", "repairs", 0, 1),
           ("dropped", "mirror_dropped", 0, 1), ("unheard", "missed_removals", 0, 1), ("settled s", "settle_s", 1, 1)]


def head() -> str:
    return "  ".join(f"{title:>8}" for title, *_ in COLUMNS)


def line(checkpoint: dict[str, Any]) -> str:
    def cell(key: str, digits: int, by: float) -> str:
        value = checkpoint.get(key)
        return "-" if value is None else f"{value / by:.{digits}f}"
    return "  ".join(f"{cell(*column[1:]):>8}" for column in COLUMNS)


def verdicts(told: list[dict[str, Any]]) -> list[rules.Verdict]:
    times = [checkpoint["at_s"] for checkpoint in told]
    return [rules.judge(name, times, [checkpoint[name] for checkpoint in told]) for name in rules.RULES]


def shown(all_verdicts: list[rules.Verdict]) -> str:
    lines = [f"{'':14}{'middle':>10}{'last':>10}{'allowed':>10}{'an hour':>10}"]
    for of in all_verdicts:
        word = {True: "flat", False: "GROWS", None: "too few checkpoints to say"}[of.flat]
        lines.append(f"{of.name:14}{of.middle:10.0f}{of.last:10.0f}{of.allowed:+10.0f}{of.slope_an_hour:+10.1f}  "
                     f"{word}")
    return "\n".join([*lines, f"({rules.RULE})"])
