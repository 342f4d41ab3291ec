# SPDX-License-Identifier: Apache-2.0
"""Processor time of the whole broker for a process life, in a storm on all cores and at a rate."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import time
from typing import Any

from .. import machine, peers
from ..parameters import Parameters
from ..peers import Tracked, in_rounds
from ..programs import Stamps, is_built
from ..storms import (EXEC, Storm, arrivals_of_events, latencies, percentile, pids_of,
                      tracked_storm)
from ..table import Row

Result = dict[str, Any]  # us_per_life, strangers, p50_us, p99_us


def of_broker(broker: Tracked, p: Parameters, places: int, each: int, with_times: bool,
              rate: int = 0) -> Result:
    """One storm with a subscriber to all. The kernel's time stamps cost the broker nothing."""
    with contextlib.ExitStack() as stack:
        subscriber = stack.enter_context(broker.subscriber_to_all(p.quiet_ms))
        subscriber.sync(broker.publish_sync)
        stamps = stack.enter_context(Stamps(broker.feed, broker.cgroup_root, broker.runtime)) \
            if with_times else None
        storm = stack.enter_context(tracked_storm(broker, places, each, recorded=with_times,
                                                  **({"rate": rate} if rate else {})))
        before, forks = machine.cpu_ns(broker.pid), machine.forks()
        storm.run()
        messages = subscriber.collect()
        used = machine.cpu_ns(broker.pid) - before
        result = {"us_per_life": used / 1000 / storm.lives,
                  "strangers": machine.forks() - forks - storm.lives}
        if stamps is not None:
            times = latencies(stamps.collect(), arrivals_of_events(messages),
                              pids_of(storm.records()))[EXEC]
            result |= {"p50_us": percentile(times, 50), "p99_us": percentile(times, 99)}
        return result


def with_broker(feed: str, p: Parameters, places: int, each: int, rate: int) -> Result:
    with Tracked(feed, p.poll_ms, places) as broker:
        return of_broker(broker, p, places, each, is_built("bench_stamps"), rate)


def with_forkstat(places: int, each: int, rate: int) -> Result:
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        where = [stack.enter_context(machine.bench_cgroup("forkstat")) for _ in range(places)]
        pid = stack.enter_context(peers.forkstat())
        storm = stack.enter_context(Storm(where, each, folder, **({"rate": rate} if rate else {})))
        before = machine.cpu_ns(pid)
        storm.run()
        _until_it_sleeps(pid)
        return {"us_per_life": (machine.cpu_ns(pid) - before) / 1000 / storm.lives}


def _until_it_sleeps(pid: int) -> None:
    """It has worked off what it had when its processor time stands still; where the machine never
    does, soon."""
    last, end = -1, time.monotonic() + 1.0
    while (now := machine.cpu_ns(pid)) != last and time.monotonic() < end:
        last = now
        time.sleep(0.1)


def measured(p: Parameters, places: int, each: int, rate: int) -> dict[str, list[Result]]:
    ways = {feed: lambda feed=feed: with_broker(feed, p, places, each, rate) for feed in p.feeds}
    if peers.forkstat_is_there():
        ways["forkstat"] = lambda: with_forkstat(places, each, rate)
    return in_rounds(p.rounds, ways)


def _values(results: dict[str, list[Result]], way: str, key: str) -> list[float]:
    return [result.get(key) for result in results.get(way, [])]


def cpu(p: Parameters) -> list[Row]:
    rows = []
    storm = measured(p, p.spawners, p.storm, 0)
    paced = measured(p, 1, p.paced, p.rate)
    for title, results, most in (("processor time a life, in a storm", storm, 0.4),
                                 (f"processor time a life, at {p.rate}/s", paced, 1.5)):
        lives = p.spawners * p.storm if results is storm else p.paced
        rows += [Row(title, feed, "us", _values(results, feed, "us_per_life"), "forkstat",
                     _values(results, "forkstat", "us_per_life"),
                     ratio_at_most=most if feed != "poll" else None,
                     note=peers.no_forkstat() or
                     f"beside its {lives} lives the machine made up to "
                     f"{max(_values(results, feed, 'strangers'))} others") for feed in p.feeds]
    for percent, most in ((50, 2000), (99, None)):
        rows += [Row(f"latency of an exec in that storm, p{percent}", feed, "us",
                     _values(storm, feed, f"p{percent}_us"),
                     at_most=most if feed != "poll" else None,
                     skipped="" if is_built("bench_stamps") else "needs clang, bpftool and libbpf")
                 for feed in p.feeds if feed != "poll"]
    return rows
