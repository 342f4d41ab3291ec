# SPDX-License-Identifier: Apache-2.0
"""What must hold at a checkpoint, and what counts as growth. Pure rules over what others measured."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

Key = tuple[int, int]  # pid and started_at_ms
Picture = dict[Key, dict[str, Any]]


# ---- invariants ----------------------------------------------------------------------------------

def apart(registry: dict[str, tuple[str, int]], mirror: dict[str, tuple[str, int]]) -> list[str]:
    """Epoch and number of blocks, where the two do not have the same."""
    def place(at: tuple[str, int] | None) -> str:
        return "nowhere" if at is None else f"at {at[1]} of {at[0]}"
    return [f"block {block}: the registry is {place(registry.get(block))}, the mirror {place(mirror.get(block))}"
            for block in sorted(registry.keys() | mirror.keys()) if registry.get(block) != mirror.get(block)]


def against_kernel(registry: dict[str, set[int]], kernel: dict[str, set[int]]) -> list[str]:
    """Pids by block, as the registry lists them and as the cgroups have them."""
    told = [f"block {block}: there is one more in the kernel than in the registry or the other way round"
            for block in sorted(registry.keys() ^ kernel.keys())]
    for block in sorted(registry.keys() & kernel.keys()):
        for name, pids in (("unlisted", kernel[block] - registry[block]),
                           ("listed, but not there", registry[block] - kernel[block])):
            if pids:
                told.append(f"block {block}: {name}: {sorted(pids)[:10]} ({len(pids)})")
    return told


def against_mirror(registry: dict[str, Picture], mirror: dict[str, Picture]) -> list[str]:
    """Records by process and block, both at the same sequence numbers."""
    told = [f"block {block}: the mirror and the registry do not both have it"
            for block in sorted(registry.keys() ^ mirror.keys())]
    for block in sorted(registry.keys() & mirror.keys()):
        ours, theirs = registry[block], mirror[block]
        for key in sorted(ours.keys() | theirs.keys()):
            if ours.get(key) != theirs.get(key):
                told.append(f"block {block}: process {key}: the registry has {ours.get(key)}, the mirror "
                            f"{theirs.get(key)}")
    return told


#: A removal is told, and told once more by two marks.
REMOVAL_MESSAGES = 3


def unexplained(checkpoint: dict[str, Any]) -> list[str]:
    """Removals that a mirror missed, though too few messages were dropped for it to have missed them all."""
    missed, dropped = checkpoint["missed_removals"], checkpoint["mirror_dropped"]
    if missed * REMOVAL_MESSAGES <= dropped:
        return []
    return [f"the mirror had to ask about {missed} blocks that were removed, and was dropped {dropped} messages: "
            f"{missed * REMOVAL_MESSAGES} would have told it"]


#: Looks and scans, and those of them that were given up because a process hangs whoever reads it. Here none does for
#: long; one that loses its processor in the midst of an exec, which locks its memory, may for a moment. Of 727 looks
#: 12 were given up, and what held them was not seen.
HELD_UP = {"outside_looks": "outside_late", "scans": "scans_late"}
HELD_UP_PART = 0.1


def held_up(counters: dict[str, int]) -> list[str]:
    return [f"{counters[late]} {late} of {counters[of]} {of}, though no process hangs its reader: what is only slow was "
            "given up" for of, late in HELD_UP.items() if counters[late] > HELD_UP_PART * counters[of]]


# ---- growth --------------------------------------------------------------------------------------

class Allowed(NamedTuple):
    """How much greater the last third may be than the middle one."""
    part: float  #: of the middle third
    least: float  #: what is no growth anyhow, in the unit of the values


#: The first third is warm-up: queues of subscribers that do not read fill up, the heap takes its form. What is held of
#: the heap is the measure of a leak; it goes up and down with what waits in those queues. In the resident set there is
#: also what the allocator keeps of what was freed, in pieces among what stays.
RULES = {
    "rss_kib": Allowed(0.10, 1024),
    "heap_kib": Allowed(0.05, 512),
    "descriptors": Allowed(0.01, 4),
    "threads": Allowed(0, 0),
    "dying_cgroups": Allowed(0.25, 100),
}
#: With fewer checkpoints behind the warm-up nothing is said.
LEAST = 6
RULE = ("the first third of the checkpoints is warm-up; the median of the last third may exceed that of the "
        "middle third by " + ", ".join(f"{name} {of.part:.0%} or {of.least:g}" for name, of in RULES.items()) +
        ", whichever is more; slopes (Theil-Sen, an hour) are told beside")


class Verdict(NamedTuple):
    name: str
    middle: float
    last: float
    allowed: float
    slope_an_hour: float  #: of middle and last third together
    flat: bool | None  #: None: too few checkpoints to say


def thirds(values: list[float]) -> tuple[list[float], list[float], list[float]]:
    n = len(values)
    return values[:n // 3], values[n // 3:2 * n // 3], values[2 * n // 3:]


def slope(times: list[float], values: list[float]) -> float:
    """The median of the slopes between all pairs (Theil-Sen): single outliers do not move it."""
    slopes = [(values[j] - values[i]) / (times[j] - times[i])
              for i in range(len(times)) for j in range(i + 1, len(times))]
    return statistics.median(slopes) if slopes else 0.0


def judge(name: str, times_s: list[float], values: list[float]) -> Verdict:
    warm_up, middle, last = thirds(values)
    if len(middle) + len(last) < LEAST:
        return Verdict(name, values[-1], values[-1], 0, 0, None)
    before, after = statistics.median(middle), statistics.median(last)
    allowed = max(RULES[name].part * before, RULES[name].least)
    an_hour = 3600 * slope(times_s[len(warm_up):], values[len(warm_up):])
    return Verdict(name, before, after, allowed, an_hour, after - before <= allowed)
