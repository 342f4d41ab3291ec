# SPDX-License-Identifier: Apache-2.0
"""What happens to a broker from outside: threads held still, its subscriptions taken from it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pathlib
import platform
import resource
import signal
import socket
import struct
import unittest
from typing import Iterator

from . import programs

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long

SYS_PIDFD_GETFD = 438
NETLINK_CONNECTOR = 11


def descriptors(pid: int) -> dict[int, str]:
    """What each descriptor of a process is, as /proc names it."""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found[int(entry.name)] = os.readlink(entry)
    return found


def threads(pid: int) -> dict[int, str]:
    """The names of its threads."""
    return {int(task.name): (task / "comm").read_text().strip()
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir()}


# ---- held still ----------------------------------------------------------------------------------

@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A whole process stands still in the body: each thread stops when it is its turn."""
    def stands_still() -> bool:
        tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/stat")
        return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
    os.kill(pid, signal.SIGSTOP)
    try:
        programs.wait_for(stands_still, f"process {pid} stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


PTRACE_PEEKTEXT, PTRACE_CONT, PTRACE_SINGLESTEP = 1, 7, 9
PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 12, 13, 16, 17
WALL = 0x40000000


def _ptrace(request: int, tid: int, address: object = None, data: object = None) -> int:
    ctypes.set_errno(0)
    result = _libc.ptrace(request, tid, address, data)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace {request} of {tid}: "
                      f"{os.strerror(ctypes.get_errno())}")
    return result


def _wait_stopped(tid: int, wanted: int) -> None:
    """Until it stands still for that signal; others that come first are handed on."""
    while True:
        _, status = os.waitpid(tid, WALL)
        if not os.WIFSTOPPED(status):
            raise AssertionError(f"thread {tid} ended while it was looked into")
        if os.WSTOPSIG(status) == wanted:
            return
        _ptrace(PTRACE_CONT, tid, None, os.WSTOPSIG(status))


@contextlib.contextmanager
def held(tid: int) -> Iterator[None]:
    """One thread stands still in the body, the others of its process go on."""
    try:
        _ptrace(PTRACE_ATTACH, tid)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            raise
        raise unittest.SkipTest(f"threads cannot be held still here: {error}") from None
    try:
        _wait_stopped(tid, signal.SIGSTOP)
        yield
    finally:
        _ptrace(PTRACE_DETACH, tid)


class _Registers(ctypes.Structure):
    """struct user_regs_struct of x86-64."""
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
        "fs_base gs_base ds es fs gs").split()]


SYS_DUP3, SYSCALL_INSTRUCTION = 292, 0x050f


def _holds_waiting(stack: contextlib.ExitStack, pid: int, registers: _Registers) -> bool:
    """Holds it for as long as the stack lasts, and not where it is not in a system call."""
    with contextlib.ExitStack() as attempt:
        attempt.enter_context(held(pid))
        _ptrace(PTRACE_GETREGS, pid, None, ctypes.byref(registers))
        if _ptrace(PTRACE_PEEKTEXT, pid, registers.rip - 2) & 0xffff != SYSCALL_INSTRUCTION:
            return False
        stack.enter_context(attempt.pop_all())
        return True


def _dup3_inside(pid: int, old: int, new: int) -> None:
    """Has the first thread of a process call dup3, as soon as it waits in the kernel."""
    before = _Registers()
    with contextlib.ExitStack() as stack:
        programs.wait_for(lambda: _holds_waiting(stack, pid, before), "it waits in the kernel")
        call = _Registers.from_buffer_copy(before)
        call.rip, call.orig_rax = before.rip - 2, 2 ** 64 - 1
        call.rax, call.rdi, call.rsi, call.rdx = SYS_DUP3, old, new, os.O_CLOEXEC
        _ptrace(PTRACE_SETREGS, pid, None, ctypes.byref(call))
        _ptrace(PTRACE_SINGLESTEP, pid)
        _wait_stopped(pid, signal.SIGTRAP)
        _ptrace(PTRACE_GETREGS, pid, None, ctypes.byref(call))
        _ptrace(PTRACE_SETREGS, pid, None, ctypes.byref(before))
    assert call.rax == new, f"dup3 gave {ctypes.c_longlong(call.rax).value}"


# ---- subscriptions -------------------------------------------------------------------------------

def cut_feed(pid: int, feed: str) -> None:
    """Takes away what the feed of a broker is subscribed by, without a word to it."""
    if feed == "netlink":
        _unsubscribe(pid)
    else:
        _detach(pid)


def _detach(pid: int) -> None:
    """Links of BPF programs end with their descriptors."""
    found = descriptors(pid)
    links = [fd for fd, what in found.items() if "bpf" in what and "link" in what]
    assert links, f"it has no links: {found}"
    take_descriptors(pid, links)


def take_descriptors(pid: int, taken: list[int]) -> None:
    """Each becomes /dev/null, as its stdin is, all of them at once for its other threads."""
    if platform.machine() != "x86_64":
        raise unittest.SkipTest("descriptors can be taken from outside on x86-64 alone")
    stdin = descriptors(pid)[0]
    assert stdin == "/dev/null", stdin
    with contextlib.ExitStack() as others:
        for tid in threads(pid):
            if tid != pid:
                others.enter_context(held(tid))
        for fd in taken:
            _dup3_inside(pid, 0, fd)


def connectors_of(pid: int) -> list[int]:
    """The descriptors of a process that are sockets of the process connector."""
    names = {f"socket:[{inode}]" for inode in _connectors()}
    return [fd for fd, what in descriptors(pid).items() if what in names]


def _connectors() -> set[str]:
    """The inodes of all connector sockets of the machine."""
    lines = pathlib.Path("/proc/net/netlink").read_text().splitlines()[1:]
    return {fields[-1] for fields in map(str.split, lines) if int(fields[1]) == NETLINK_CONNECTOR}


def _unsubscribe(pid: int) -> None:
    """The subscription is the socket's: who has a copy of its descriptor can end it."""
    sockets = connectors_of(pid)
    assert sockets, "it has no connector socket"
    pidfd = os.pidfd_open(pid)
    try:
        for fd in sockets:
            copy = _libc.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
            if copy < 0:
                raise unittest.SkipTest("descriptors of others cannot be had here: "
                                        f"{os.strerror(ctypes.get_errno())}")
            with socket.socket(fileno=copy) as connector:
                connector.send(connector_message(2))
    finally:
        os.close(pidfd)


def connector_message(operation: int) -> bytes:
    """A request to the process connector: 1 subscribes, 2 ends it (linux/cn_proc.h)."""
    body = struct.pack("=IIIIHHI", 1, 1, 0, 0, 4, 0, operation)
    return struct.pack("=IHHII", 16 + len(body), 3, 0, 0, 0) + body


def limit_for(pid: int, room: int, apart_from: str) -> int:
    """The limit on descriptors with which a process can open so many more, when those whose name has
    that word are closed."""
    kept = [fd for fd, what in descriptors(pid).items() if apart_from not in what]
    limit = room
    while limit - sum(fd < limit for fd in kept) < room:
        limit += 1
    return limit


@contextlib.contextmanager
def few_descriptors(pid: int, limit: int) -> Iterator[None]:
    """In the body the process can have no descriptor from that number on, but those it has."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
