# SPDX-License-Identifier: Apache-2.0
"""Real processes: the odd program and others, born in a block or outside, and what /proc says."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import time
from typing import Any, Callable

from .wire import DEADLINE

#: tests/programs/launch.c, which is built beside the broker.
LAUNCH = str(pathlib.Path(os.environ.get("PROCTRACK_WPSD", "wpsd")).with_name("launch"))

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """From here on orphans of our children become our children: nothing is lost, and a pid that
    is a child of ours stays taken until we reap it, so killing it is safe."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def children(pid: int | str = "self") -> set[int]:
    """Our own children, or another process's, zombies too."""
    found: set[int] = set()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def kill_children(spare: set[int] = frozenset()) -> list[int]:
    """Kills and reaps all our children, and theirs as they become ours. Returns who it was."""
    killed = []
    end = time.monotonic() + DEADLINE
    while (left := children() - spare) and time.monotonic() < end:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            killed.append(pid)
    return killed


# ---- /proc ---------------------------------------------------------------------------------------

def stat_fields(pid: int, below: str = "") -> list[str]:
    """/proc/PID/stat from the state on (field 3 is [0]). Empty where there is none."""
    try:
        line = pathlib.Path(f"/proc/{pid}/{below}stat").read_text(errors="replace")
    except OSError:
        return []
    return line.rpartition(")")[2].split()


def is_running(pid: int) -> bool:
    """A zombie does not run, unless only its first thread is one."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    states = [stat_fields(pid, f"task/{thread}/") for thread in threads]
    return any(fields and fields[0] not in "ZX" for fields in states)


def started_at_ms(pid: int) -> int:
    """When a process was made, by its clock tick and the boot time."""
    ticks = int(stat_fields(pid)[19])
    now = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
    return round((now + ticks / os.sysconf("SC_CLK_TCK")) * 1000)


def command_of(pid: int) -> str:
    """The command as PROTOCOL.md, section 3.2 has it, without its limit of 4,096 bytes."""
    argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().removesuffix(b"\0")
    if not argv:
        return f"[{pathlib.Path(f'/proc/{pid}/comm').read_text().rstrip()}]"
    return argv.replace(b"\0", b" ").decode("utf-8", "replace")


def cgroup_of(pid: int) -> str:
    """The path in the cgroup v2 tree."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:]
    raise AssertionError("no cgroup v2 here")


def cgroup2_mount() -> pathlib.Path | None:
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return pathlib.Path(before.split()[4])
    return None


def tells_memory_at_exec() -> bool:
    """Where the BPF programs can add up what a program has in memory: they say so nowhere, so this is
    what it takes (trackers/feeds/proctrack.bpf.c)."""
    release = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])
    possible = pathlib.Path("/sys/devices/system/cpu/possible").read_text()
    return release >= (6, 2) and 1 < int(re.findall(r"\d+", possible)[-1]) + 1 <= 64 and \
        pathlib.Path("/proc/self/smaps_rollup").exists()


def tagged(environment: dict[str, str]) -> set[int]:
    """All processes that began with these variables in their environment, as far as we may know."""
    wanted = {f"{name}={value}".encode() for name, value in environment.items()}
    found: set[int] = set()
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted <= environment_of(directory):
                found.add(int(directory.name))
    return found


def environment_of(directory: pathlib.Path) -> set[bytes]:
    """Of the process with that directory in /proc; where its leader left, its other threads have it."""
    for place in [directory, *directory.glob("task/*")]:
        with contextlib.suppress(OSError):
            if found := (place / "environ").read_bytes():
                return set(found.split(b"\0"))
    return set()


def numbers(file: pathlib.Path) -> set[int]:
    """Those in a file of the kernel's; none where there is no such file any more."""
    with contextlib.suppress(OSError):
        return {int(number) for number in file.read_text().split()}
    return set()


def process_of(tid: int) -> set[int]:
    """The pid of a thread's process; none where it has ended."""
    with contextlib.suppress(OSError):
        return {int(pid) for pid in re.findall(r"^Tgid:\s+(\d+)", pathlib.Path(f"/proc/{tid}/status").read_text(), re.M)}
    return set()


def runs_elsewhere(pid: int, threads: set[int]) -> bool:
    """Its leader left, and none of these is a thread of it."""
    with contextlib.suppress(OSError):
        tasks = {int(task) for task in os.listdir(f"/proc/{pid}/task")}
        return stat_fields(pid)[:1] == ["Z"] and not tasks & threads
    return False


def pids_below(directory: pathlib.Path) -> set[int]:
    """All processes of a cgroup directory and those below it, zombies left out. Where a leader left, the process
    is where its threads run: cgroup.procs has it where it was when its leader did."""
    found: set[int] = set()
    for file in directory.rglob("cgroup.procs"):
        procs, threads = numbers(file), numbers(file.with_name("cgroup.threads"))
        found |= {pid for pid in procs if pid in threads or not runs_elsewhere(pid, threads)}
        found |= {pid for tid in threads - procs for pid in process_of(tid)}
    return found


def wait_for(reached: Callable[[], Any], what: str, timeout: float = DEADLINE) -> Any:
    """For what no event tells: looks every few milliseconds."""
    end = time.monotonic() + timeout
    while not (result := reached()):
        assert time.monotonic() < end, f"{what}: not in {timeout:.0f} s"
        time.sleep(0.005)
    return result


# ---- programs ------------------------------------------------------------------------------------

def spawn(argv: list[str], procs_path: str | None = None, cwd: str | None = None,
          environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """Starts a program that is killed when we end; with `procs_path` it is born in that scope. It runs when this
    returns: an OSError where it cannot."""
    joins = ["-j", procs_path] if procs_path is not None else []
    adds = [word for item in (environment or {}).items() for word in ("-e", "=".join(item))]
    runs, told = os.pipe()
    try:
        process = subprocess.Popen([LAUNCH, str(told), *joins, *adds, "--", *argv], cwd=cwd, pass_fds=(told,),
                                   **options)
    finally:
        os.close(told)
        with open(runs, "rb") as file:
            error = file.read()
    if error:
        process.wait()
        raise OSError(int(error), os.strerror(int(error)), argv[0])
    return process


class Odd:
    """A run of tests/programs/odd, and what it told. `joins` makes it a member before its life begins,
    where it cannot be born one."""

    path = os.environ.get("PROCTRACK_ODD", "odd")

    def __init__(self, *args: object, procs_path: str | None = None, cwd: str | None = None,
                 argv: list[str] | None = None, environment: dict[str, str] | None = None,
                 joins: Callable[[int], Any] | None = None) -> None:
        self.command = argv or [self.path, *map(str, args)]
        gate = {"ODD_GATE": "1"} if joins else {}
        self.process = spawn(self.command, procs_path, cwd, (environment or {}) | gate,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.lines: list[dict[str, Any]] = []
        self._rest = b""
        if joins is not None:  # it is there, and waits until it is let in
            try:
                joins(self.pid)
            except BaseException:
                self.process.kill()
                self.process.wait()
                self.close()
                raise
            self.say()

    @property
    def shown(self) -> str:
        """Its command as it is shown."""
        return " ".join(self.command)

    def until(self, what: str, times: int = 1, timeout: float = DEADLINE) -> list[dict[str, Any]]:
        """The lines that tell `what`, when so many are there."""
        end = time.monotonic() + timeout
        while len(found := self.told(what)) < times:
            assert self._read(end - time.monotonic()), \
                f"{self.shown}: {what!r} did not come {times} times; it told {self.lines!r}"
        return found

    def told(self, what: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["what"] == what]

    def births(self) -> dict[int, dict[str, Any]]:
        return {line["pid"]: line for line in self.told("born")}

    def ends(self) -> dict[int, int]:
        """The wait status by pid."""
        return {line["pid"]: line["status"] for line in self.told("ends")}

    def say(self, line: str = "") -> None:
        """One line on its stdin."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def let_go(self) -> None:
        """Ends its stdin: all that hold go on."""
        self.process.stdin.close()

    def finish(self, timeout: float = DEADLINE) -> int:
        """Lets it go, reads all it tells, reaps it. Returns what Popen.returncode is."""
        self.let_go()
        end = time.monotonic() + timeout
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def _read(self, timeout: float) -> bool:
        """Takes in what came. False at the end or when time is up."""
        fd = self.process.stdout.fileno()
        if timeout <= 0 or not select.select([fd], [], [], timeout)[0]:
            return False
        bytes_read = os.read(fd, 65536)
        *lines, self._rest = (self._rest + bytes_read).split(b"\n")
        self.lines += [json.loads(line) for line in lines]
        return bool(bytes_read)

    def close(self) -> None:
        for file in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                file.close()


def exit_of(returncode: int) -> tuple[str, int]:
    """Popen.returncode as an exit event tells it."""
    return ("exit_code", returncode) if returncode >= 0 else ("signal", -returncode)


def exit_of_status(status: int) -> tuple[str, int]:
    """A wait status as an exit event tells it."""
    if os.WIFSIGNALED(status):
        return "signal", os.WTERMSIG(status)
    return "exit_code", os.WEXITSTATUS(status)
