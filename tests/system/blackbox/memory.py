# SPDX-License-Identifier: Apache-2.0
"""What a program holds of its heap, and memory that runs out at the n-th allocation of our own programs: the other
sides of tests/programs/count_heap.c and fail_alloc.c."""

from __future__ import annotations

import mmap
import os
import pathlib
import struct
import tempfile

_HEAD = struct.Struct("=IIQQQQ")  # armed, from_then_on, nth, calls, injected, n_sites
_SITE = struct.Struct("=Q24s")
_SITES_MAX = 1024
_ARMED = struct.Struct("=I")
_COUNTED = struct.Struct("qqq")  # pid, blocks, bytes


class CountedHeap:
    """What the program that is started with `environment` holds of its heap. What the allocator keeps of what was
    freed is not in it."""

    def __init__(self, path: pathlib.Path) -> None:
        """`path`: of the file in which it is told; it is made."""
        self._path = path
        path.write_bytes(bytes(_COUNTED.size))
        self.environment = {"LD_PRELOAD": os.environ["PROCTRACK_COUNT_HEAP"], "COUNT_HEAP_FILE": str(path)}

    def read(self, expected_pid: int) -> tuple[int, int]:
        """Blocks and bytes."""
        pid, blocks, size = _COUNTED.unpack(self._path.read_bytes())
        assert pid == expected_pid, "another process's heap"
        return blocks, size


class Allocator:
    """A file that a preloaded program shares with us. One moment is armed at a time."""

    def __init__(self, *names: str) -> None:
        """`names`: of the programs and modules whose allocations count."""
        fd, path = tempfile.mkstemp(prefix="proctrack-memory-")
        self._path = pathlib.Path(path)
        os.ftruncate(fd, _HEAD.size + _SITES_MAX * _SITE.size)
        self._map = mmap.mmap(fd, 0)
        os.close(fd)
        self.environment = {"LD_PRELOAD": os.environ["PROCTRACK_FAIL_ALLOC"], "FAIL_ALLOC": path,
                            "FAIL_ALLOC_IN": ":".join(names)}
        self.moments = self.injected = 0  # of all so far

    def close(self) -> None:
        self._map.close()
        self._path.unlink(missing_ok=True)

    def arm(self, nth: int, from_then_on: bool = False) -> None:
        """From now on the nth allocation fails, from 1; with `from_then_on` all behind it too."""
        sites = _HEAD.unpack_from(self._map)[5]
        _HEAD.pack_into(self._map, 0, 0, from_then_on, nth, 0, 0, sites)
        _ARMED.pack_into(self._map, 0, 1)
        self.moments += 1

    def disarm(self) -> int:
        """There is memory again. Returns how many allocations failed."""
        _ARMED.pack_into(self._map, 0, 0)
        injected = int(_HEAD.unpack_from(self._map)[4])
        self.injected += injected
        return injected

    def sites(self) -> set[tuple[str, int]]:
        """Where allocations failed so far: module, and offset in it."""
        n = min(_HEAD.unpack_from(self._map)[5], _SITES_MAX)
        found = set()
        for i in range(n):
            offset, module = _SITE.unpack_from(self._map, _HEAD.size + i * _SITE.size)
            found.add((module.rstrip(b"\0").decode(), offset))
        return found
