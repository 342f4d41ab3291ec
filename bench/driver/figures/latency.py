# SPDX-License-Identifier: Apache-2.0
"""From the kernel's time stamp to a subscriber in another process, at an ordinary rate."""

from __future__ import annotations

import pathlib
import tempfile

from .. import machine
from ..parameters import Parameters
from ..peers import Tracked, bare, in_rounds
from ..programs import Stamps, is_built
from ..storms import (EXEC, EXIT, Storm, arrivals_of_bare, arrivals_of_events, latencies, percentile,
                      pids_of, tracked_storm)
from ..table import Row

KINDS = {EXEC: "exec", EXIT: "exit"}


def of_broker(feed: str, p: Parameters) -> dict[int, list[float]]:
    slow = feed == "poll"
    options = {"life": p.poll_life_ms} if slow else {}
    with Tracked(feed, p.poll_ms) as broker, \
            Stamps(feed, broker.cgroup_root, broker.runtime) as stamps, \
            broker.subscriber_to_all(quiet_ms=(p.poll_ms if slow else 0) + p.quiet_ms) as subscriber:
        subscriber.sync(broker.publish_sync)
        with tracked_storm(broker, 1, p.paced, rate=p.rate, recorded=True, **options) as storm:
            storm.run()
            messages = subscriber.collect()
            pids = pids_of(storm.records())
        return latencies(stamps.collect(), arrivals_of_events(messages), pids)


def of_bare(feed: str, way: str, p: Parameters) -> dict[int, list[float]]:
    with tempfile.TemporaryDirectory(prefix="proctrack-bench-") as name, \
            machine.bench_cgroup("bare") as place:
        folder, root = pathlib.Path(name), place.parent.parent
        with bare(feed, root, folder, way, p.quiet_ms) as subscriber, \
                Stamps(feed, root, folder) as stamps, \
                Storm([place], p.paced, folder, rate=p.rate, recorded=True) as storm:
            storm.run()
            messages = subscriber.collect()
            return latencies(stamps.collect(), arrivals_of_bare(messages), pids_of(storm.records()))


def rows_of(feed: str, p: Parameters) -> list[Row]:
    ways = {"ours": lambda: of_broker(feed, p)}
    if feed != "poll":
        ways |= {way: lambda way=way: of_bare(feed, way, p) for way in ("hop", "direct")}
    results = in_rounds(p.rounds, ways)

    def values(way: str, kind: int, percent: float) -> list[float]:
        return [percentile(result[kind], percent) for result in results.get(way, [])]

    rows = []
    for kind, name in KINDS.items():
        for percent in (50, 99):
            told = sum(len(result[kind]) for result in results["ours"])
            rows.append(Row(
                f"latency of an {name}, p{percent}", feed, "us", values("ours", kind, percent),
                "bare reader, PUB behind a hop" if feed != "poll" else "", values("hop", kind, percent),
                ratio_at_most=1.1 if percent == 50 and feed != "poll" else None,
                note=f"{told} of {p.rounds * p.paced} were told; they lived {p.poll_life_ms} ms"
                if feed == "poll" and percent == 50 else ""))
        if feed != "poll":
            rows.append(Row(f"bare way without the hop, {name}, p50", feed, "us",
                            values("direct", kind, 50), "bare reader, PUB behind a hop",
                            values("hop", kind, 50)))
    return rows


def latency(p: Parameters) -> list[Row]:
    if not is_built("bench_stamps"):
        return [Row("latency", feed, "us", [], skipped="needs clang, bpftool and libbpf")
                for feed in p.feeds]
    return [row for feed in p.feeds for row in rows_of(feed, p)]
