# SPDX-License-Identifier: Apache-2.0
"""Processes of the harness that work beside it, and are told what to do over a pipe."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import traceback
from typing import Any, Callable

from blackbox.programs import die_with_parent

_context = multiprocessing.get_context("fork")


class Actor(contextlib.AbstractContextManager):
    """`work` runs in a process of its own with its end of the pipe, until that ends. To be made before any
    ZeroMQ context: a fork does not take one along."""

    def __init__(self, name: str, work: Callable[..., None], *args: Any) -> None:
        self.name = name
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=self._run, args=(work, theirs, *args), name=name)
        self._process.start()
        theirs.close()

    def _run(self, work: Callable[..., None], pipe: multiprocessing.connection.Connection, *args: Any) -> None:
        die_with_parent()
        self._pipe.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the harness
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            work(pipe, *args)
        except EOFError:
            pass  # the harness is through
        except BaseException:
            pipe.send(("failed", traceback.format_exc()))

    def ask(self, command: str, *args: Any, timeout: float = 120.0) -> Any:
        """Tells it something and gives its answer."""
        self._pipe.send((command, *args))
        assert self._pipe.poll(timeout), f"{self.name}: no answer to {command} in {timeout:.0f} s"
        try:
            kind, answer = self._pipe.recv()
        except EOFError:
            raise AssertionError(f"{self.name} ended with {self._process.exitcode}") from None
        assert kind == "answer", f"{self.name} failed:\n{answer}"
        return answer

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
