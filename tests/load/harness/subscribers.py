# SPDX-License-Identifier: Apache-2.0
"""Subscribers of every kind, each a process: some read, some slowly, some never, some are stopped, and some are
killed again and again and come back. Half of them subscribe to all blocks, the others to a tenth."""

from __future__ import annotations

import contextlib
import random

from driver.programs import Program

#: In turn. Those that do not read all are dropped messages, and must not harm the others.
KINDS = ("reads", "reads", "mortal", "slow", "reads", "mortal", "deaf", "reads", "mortal", "stopped")
PART = 10


class Subscribers(contextlib.AbstractContextManager):
    def __init__(self, endpoint: str, count: int, blocks: list[str], seed: int) -> None:
        self._endpoint = endpoint
        self._blocks = blocks
        self._chance = random.Random(seed)
        self._programs: list[Program] = []
        self.killed = 0
        try:
            for number in range(count):
                self._programs.append(self._start(number))
            for program in self._programs:
                program.expect("ready")
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.process.kill()
        for program in self._programs:
            program.__exit__()

    def _start(self, number: int) -> Program:
        kind = KINDS[number % len(KINDS)].replace("mortal", "reads")
        prefixes = ["block:"]
        if number // len(KINDS) % 2:
            some = self._chance.sample(self._blocks, max(1, len(self._blocks) // PART))
            prefixes = [f"block:{block}" for block in some]
        return Program("load_subscriber", self._endpoint, kind, *prefixes)

    def kill_one(self) -> None:
        """With -9; another comes in its place."""
        mortal = [number for number in range(len(self._programs)) if KINDS[number % len(KINDS)] == "mortal"]
        if not mortal:
            return
        number = self._chance.choice(mortal)
        self._programs[number].__exit__()  # SIGKILL
        self._programs[number] = self._start(number)
        self._programs[number].expect("ready")
        self.killed += 1
