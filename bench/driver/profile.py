# SPDX-License-Identifier: Apache-2.0
"""Where the broker's processor time of a life goes: by thread, by system call, by function.

Three takings of the same lives, so that none is in another's way: one that only reads what the kernel
counts of each thread, one under `strace -c -f`, one under `perf record`. What strace costs is in its
times, not in its counts.
"""

from __future__ import annotations

import collections
import contextlib
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
from typing import Any, Callable, Iterator

from . import machine
from .parameters import Parameters
from .peers import Tracked
from .programs import DEADLINE
from .storms import tracked_storm

SYSCALLS, FUNCTIONS = 24, 40  # lines that are shown


def threads(pid: int) -> dict[str, dict[str, Any]]:
    """By thread id: its name, nanoseconds it ran and waited to run, how often it was switched to."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            ran, waited, _ = map(int, (task / "schedstat").read_text().split())
            found[task.name] = {"name": (task / "comm").read_text().strip(), "ran": ran,
                                "waited": waited}
    switches = {key.split()[0]: count for key, count in machine.context_switches(pid).items()}
    for tid, thread in found.items():
        thread["switches"] = switches.get(tid, 0)
    return found


def lines_of_threads(before: dict[str, Any], after: dict[str, Any], lives: int) -> list[str]:
    grouped: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0, 0.0])
    for tid, thread in after.items():
        old = before.get(tid, {"ran": 0, "waited": 0, "switches": 0})
        for i, key in enumerate(("ran", "waited", "switches")):
            grouped[thread["name"]][i] += thread[key] - old[key]
    lines = [f"{'thread':<18}{'us a life':>12}{'waited us':>12}{'switches':>10}"]
    for name, (ran, waited, switches) in [*sorted(grouped.items(), key=lambda item: -item[1][0]),
                                          ("all", [sum(column) for column in zip(*grouped.values())])]:
        lines.append(f"{name:<18}{ran / 1000 / lives:>12.1f}{waited / 1000 / lives:>12.1f}"
                     f"{switches / lives:>10.2f}")
    return lines


@contextlib.contextmanager
def tool(words: list[str], ready: str | None = None) -> Iterator[None]:
    """A tool that watches until SIGINT."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        if ready:
            for line in process.stderr:
                if re.search(ready, line):
                    break
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)


def taken(p: Parameters, feed: str, rate: int,
          watched: Callable[[int, pathlib.Path], Any]) -> tuple[Any, int]:
    """What `watched`, a context manager around the lives, yields; and how many lives there were."""
    places, each = (1, p.paced) if rate else (p.spawners, p.storm)
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Tracked(feed, p.poll_ms, places))
        subscriber = stack.enter_context(broker.subscriber_to_all(p.quiet_ms))
        subscriber.sync(broker.publish_sync)
        storm = stack.enter_context(tracked_storm(broker, places, each,
                                                  **({"rate": rate} if rate else {})))
        with watched(broker.pid, broker.runtime) as result:
            storm.run()
            subscriber.collect()
        return result, storm.lives


def by_thread(p: Parameters, feed: str, rate: int) -> list[str]:
    @contextlib.contextmanager
    def watched(pid: int, _: pathlib.Path) -> Iterator[list[dict[str, Any]]]:
        counts = [threads(pid)]
        yield counts
        counts.append(threads(pid))
    (before, after), lives = taken(p, feed, rate, watched)
    return lines_of_threads(before, after, lives)


def by_syscall(p: Parameters, feed: str, rate: int) -> list[str]:
    if not shutil.which("strace"):
        return ["strace is not installed"]
    with tempfile.NamedTemporaryFile("r") as file:
        @contextlib.contextmanager
        def watched(pid: int, _: pathlib.Path) -> Iterator[None]:
            with tool(["strace", "-c", "-f", "-p", str(pid), "-o", file.name, "-U", "calls,name"],
                      "attached"):
                yield
        _, lives = taken(p, feed, rate, watched)
        counts = re.findall(r"^\s*(\d+)\s+(\w+)\s*$", file.read(), re.M)
    calls = sorted(((int(count), name) for count, name in counts), reverse=True)
    return [f"{'system call':<18}{'a life':>12}",
            *(f"{name:<18}{count / lives:>12.2f}" for count, name in calls[:SYSCALLS]
              if count / lives >= 0.005)]


def by_function(p: Parameters, feed: str, rate: int) -> list[str]:
    if not shutil.which("perf"):
        return ["perf is not installed"]
    with tempfile.NamedTemporaryFile() as file:
        @contextlib.contextmanager
        def watched(pid: int, _: pathlib.Path) -> Iterator[None]:
            with tool(["perf", "record", "-q", "-F", "5000", "-g", "-p", str(pid), "-o", file.name]):
                yield
        taken(p, feed, rate, watched)
        told = subprocess.run(["perf", "report", "-i", file.name, "--no-children", "-g", "none",
                               "--percent-limit", "0.5", "--sort", "comm,dso,symbol", "--stdio"],
                              text=True, capture_output=True).stdout
    lines = [line.rstrip() for line in told.splitlines() if line.strip() and line[0] != "#"]
    return lines[:FUNCTIONS] or ["perf has nothing to say here"]


def report(p: Parameters) -> str:
    parts = []
    for feed in p.feeds:
        for rate, title in ((p.rate, f"{p.rate} lives a second"), (0, "a storm on all processors")):
            for way in (by_thread, by_syscall, by_function):
                parts += [f"\n{feed}, {title}, {way.__name__.replace('_', ' ')}\n",
                          *way(p, feed, rate)]
    return "\n".join(parts)
