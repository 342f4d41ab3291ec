# SPDX-License-Identifier: Apache-2.0
"""A file system that takes questions and never answers: who asks is in state D, and SIGKILL waits too."""

from __future__ import annotations

import ctypes
import os
import pathlib
import select
import struct
import tempfile
import threading

_INIT, _OUT_HEADER, _INIT_OUT = 26, struct.Struct("<IiQ"), struct.Struct("<IIIIHHIIHH8I")
_IN_HEADER = struct.Struct("<IIQQIIII")
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


class Stall:
    """Made by root only. Whoever opens `path` waits until close()."""

    def __init__(self) -> None:
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-stall-"))
        self.path = self.directory / "file"
        try:
            self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            self._mount()
        except OSError:
            self.directory.rmdir()
            raise
        self._end, self._wake = os.pipe()
        self._reader = threading.Thread(target=self._take, daemon=True)
        self._reader.start()

    def _mount(self) -> None:
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0,allow_other"
        if _libc.mount(b"stall", bytes(self.directory), b"fuse", 0, options.encode()) < 0:
            os.close(self._fd)
            raise OSError(ctypes.get_errno(), "cannot mount a fuse file system")

    def _take(self) -> None:
        """Answers the greeting alone. A question that was read cannot be taken back by a signal."""
        try:
            while self._end not in select.select([self._fd, self._end], [], [])[0]:
                try:
                    request = os.read(self._fd, 1 << 20)
                except BlockingIOError:
                    continue
                _, opcode, unique, *_ = _IN_HEADER.unpack_from(request)
                if opcode == _INIT:
                    body = _INIT_OUT.pack(7, 31, 65536, 0, 0, 0, 65536, 0, 0, 0, *[0] * 8)
                    os.write(self._fd, _OUT_HEADER.pack(_OUT_HEADER.size + len(body), 0, unique) + body)
        except OSError:
            return  # the end

    def close(self) -> None:
        """Everybody who waits gets an error."""
        _libc.umount2(bytes(self.directory), _MNT_DETACH)
        os.close(self._wake)  # while somebody reads, the descriptor is not closed for good
        self._reader.join()
        os.close(self._end)
        os.close(self._fd)
        self.directory.rmdir()
