# SPDX-License-Identifier: Apache-2.0
"""A process whose argv cannot be read: somebody holds the lock of its memory.

That somebody reads a page of a mapped file whose content never comes; the file lies in a file system of
our own (FUSE), which answers everything but reads. (To map such a file over argv does not do since
Linux 4.17, where /proc reads anonymous memory only.)"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pathlib
import struct
import tempfile
import threading
import unittest

_libc = ctypes.CDLL(None, use_errno=True)

_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _RELEASE, _FLUSH, _INIT, _INTERRUPT, _BATCH_FORGET = \
    1, 2, 3, 14, 15, 18, 25, 26, 36, 42
_MNT_DETACH = 2
_FILE, _NODE, _SIZE = b"never-read", 2, 1 << 20

#: For `python -c`: when a line comes, a thread reads a page that never comes through /proc/self/mem, which holds the
#: lock of the process's memory meanwhile; at a second line the main thread wants to change that
#: memory. Whoever wants to read it now waits behind that.
SCRIPT = """
import ctypes, mmap, os, sys, threading
file = os.open(sys.argv[1], os.O_RDONLY)
page = mmap.mmap(file, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
address = ctypes.addressof((ctypes.c_char * 4096).from_buffer(page))
memory = os.open("/proc/self/mem", os.O_RDONLY)
os.write(1, b'{"what": "ready"}\\n')
sys.stdin.readline()
def read():
    try:
        os.pread(memory, 1, address)
    except OSError:
        pass
threading.Thread(target=read, daemon=True).start()
sys.stdin.readline()
while True:
    mmap.mmap(-1, 4096)
"""


class Unavailable(Exception):
    """It cannot be made here; says why."""


class HangingFile:
    """Mounted on `start`; reads of `path` hang until `release`."""

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="proctrack-hang-")
        self.path = pathlib.Path(self._directory) / _FILE.decode()
        self._fd = -1
        self._thread: threading.Thread | None = None
        self.wanted = threading.Event()  # somebody reads

    def start(self) -> None:
        try:
            self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            self.release()
            raise Unavailable(f"no /dev/fuse: {error}") from None
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0".encode()
        if _libc.mount(b"proctrack-hang", self._directory.encode(), b"fuse", 6, options) < 0:
            why = os.strerror(ctypes.get_errno())
            self.release()
            raise Unavailable(f"FUSE cannot be mounted: {why}")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Whoever reads gets an error now. May be called again."""
        _libc.umount2(self._directory.encode(), _MNT_DETACH | 1)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with contextlib.suppress(OSError):
            os.rmdir(self._directory)

    # ---- the file system (linux/fuse.h)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fd, 1 << 17)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return  # unmounted
            _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            answer = self._answer(opcode, node, request[40:])
            if answer is None:
                continue
            code, body = (answer, b"") if isinstance(answer, int) else (0, answer)
            with contextlib.suppress(OSError):  # the asker may be gone
                os.write(self._fd, struct.pack("<IiQ", 16 + len(body), -code, unique) + body)

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes | int | None:
        """The body of the reply, or an errno, or None: no reply, now or ever."""
        if opcode == _READ:
            self.wanted.set()
        if opcode in (_READ, _FORGET, _BATCH_FORGET, _INTERRUPT):
            return None
        if opcode == _INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 16, 12, 1 << 16, 1, 0, 0, 0, *[0] * 7)
        if opcode == _LOOKUP:
            return struct.pack("<QQQQII", _NODE, 0, 60, 60, 0, 0) + self._attributes(_NODE) \
                if body.rstrip(b"\0") == _FILE else errno.ENOENT
        if opcode == _GETATTR:
            return struct.pack("<QII", 60, 0, 0) + self._attributes(node)
        if opcode == _OPEN:
            return struct.pack("<QII", 1, 0, 0)
        return b"" if opcode in (_RELEASE, _FLUSH) else errno.ENOSYS

    @staticmethod
    def _attributes(node: int) -> bytes:
        mode, size = (0o100644, _SIZE) if node == _NODE else (0o40755, 0)
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def hanging_file(test: unittest.TestCase) -> HangingFile:
    """One for a test, released at its end; the test is skipped where none can be made."""
    file = HangingFile()
    try:
        file.start()
    except Unavailable as why:
        test.skipTest(str(why))
    test.addCleanup(file.release)
    return file
