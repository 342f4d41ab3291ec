# SPDX-License-Identifier: Apache-2.0
"""A broker that gets a small share of the machine, and cannot keep up with what its block does."""

from __future__ import annotations

import os
import pathlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from blackbox import programs
from blackbox.broker import Broker
from blackbox.wire import SLOW

if TYPE_CHECKING:
    from blackbox.case import Block

FORKERS = 3
STOPPED = 0.05  # seconds
#: Under a sanitizer the broker does so much less in a time, and who forks does not.
RUNS = 0.005 * SLOW * SLOW
PAUSE = "sleep 0.05; " if SLOW > 1 else ""
LATE_TURNS = 40  #: so often stopped: it has been late many times


class Starved:
    """While it is entered, the broker is stopped nine tenths of the time (less, where it is slow itself), and processes
    of the block fork."""

    def __init__(self, broker: Broker, block: "Block") -> None:
        self._broker = broker
        self._block = block
        self._turns = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take_turns)

    def __enter__(self) -> "Starved":
        for _ in range(FORKERS):
            self._block.sh(f"while :; do /bin/true; {PAUSE}done")
        self._thread.start()
        return self

    def __exit__(self, *what: Any) -> None:
        self._over.set()
        self._thread.join()
        self._block.case.control("kill_tree", block_id=self._block.id)

    def _take_turns(self) -> None:
        while not self._over.is_set():
            os.kill(self._broker.pid, signal.SIGSTOP)
            time.sleep(STOPPED)
            os.kill(self._broker.pid, signal.SIGCONT)
            time.sleep(RUNS)
            self._turns += 1

    def nice(self) -> int:
        """Of the module's thread."""
        for task in pathlib.Path(f"/proc/{self._broker.pid}/task").iterdir():
            if (task / "comm").read_text() == "proctrack\n":
                return os.getpriority(os.PRIO_PROCESS, int(task.name))
        raise AssertionError("the module has no thread")

    def until_late(self) -> None:
        begun = self._turns
        programs.wait_for(lambda: self._turns >= begun + LATE_TURNS, "it has been late many times")
