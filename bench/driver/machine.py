# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of processes and cgroups, and the cgroups that the benchmark makes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import platform
import select
import time
from typing import Iterator

from blackbox.broker import remove_cgroup
from blackbox.programs import cgroup2_mount, cgroup_of

PREFIX = "proctrack-bench-"


def cpu_ns(pid: int) -> int:
    """Processor time, user and system, of all threads of a process. From schedstat: nanoseconds, where
    /proc/PID/stat has clock ticks. (A thread that ended is not in it: none does while we measure.)"""
    used = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            used += int((task / "schedstat").read_text().split()[0])
    return used


def rss_bytes(pid: int) -> int:
    return _status(f"/proc/{pid}/status", "VmRSS") * 1024


def context_switches(pid: int) -> dict[str, int]:
    """By thread: `tid name`."""
    return {f"{task.name} {(task / 'comm').read_text().strip()}":
            _status(task / "status", "voluntary_ctxt_switches") +
            _status(task / "status", "nonvoluntary_ctxt_switches")
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir()}


def _status(path: str | pathlib.Path, key: str) -> int:
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def forks() -> int:
    """All that the machine made since it runs."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if line.startswith("processes "):
            return int(line.split()[1])
    return 0


def described() -> dict[str, object]:
    return {"kernel": platform.release(), "machine": platform.machine(), "cpus": cpus(),
            "busy_percent": busy_percent(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def busy_percent(seconds: float = 1.0) -> float:
    """Of all processors, by what runs there besides us."""
    def ticks() -> tuple[int, int]:
        numbers = [int(n) for n in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return sum(numbers), numbers[3] + numbers[4]
    before = ticks()
    time.sleep(seconds)
    after = ticks()
    return round(100 * (1 - (after[1] - before[1]) / max(1, after[0] - before[0])), 1)


def cpus() -> int:
    return len(os.sched_getaffinity(0))


# ---- cgroups -------------------------------------------------------------------------------------

def own_cgroup() -> pathlib.Path | None:
    mount = cgroup2_mount()
    return None if mount is None else mount / cgroup_of(os.getpid()).lstrip("/")


def make_cgroup(hint: str) -> pathlib.Path:
    """A cgroup beside our own, named for this process."""
    number = 1
    while True:
        path = own_cgroup() / f"{PREFIX}{os.getpid()}-{hint}-{number}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
        number += 1


@contextlib.contextmanager
def bench_cgroup(hint: str) -> Iterator[pathlib.Path]:
    """As deep as a block's: what is in it at the end is killed."""
    root = make_cgroup(hint)
    try:
        place = root / "b-bench" / "s-main"
        place.mkdir(parents=True)
        yield place
    finally:
        remove_cgroup(root)


def clean_up(of_pid: int) -> None:
    for path in own_cgroup().glob(f"{PREFIX}{of_pid}-*"):
        remove_cgroup(path)


def clean_up_after_the_dead() -> None:
    """Cgroups of a run that could not take its own away."""
    for path in own_cgroup().glob(f"{PREFIX}*"):
        pid = path.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not pathlib.Path(f"/proc/{pid}").exists():
            remove_cgroup(path)


class Emptiness:
    """Waits until nobody is in a cgroup nor below it, by the kernel's own notice."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._file = open(directory / "cgroup.events", encoding="ascii")
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)

    def wait(self, timeout: float) -> float:
        """When it was so, as time.perf_counter."""
        end = time.monotonic() + timeout
        while True:
            self._file.seek(0)
            if "populated 0" in self._file.read():
                now = time.perf_counter()
                self._file.close()
                return now
            assert time.monotonic() < end, "a cgroup did not become empty"
            self._poll.poll(1000)
