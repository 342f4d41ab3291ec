# SPDX-License-Identifier: Apache-2.0
"""Rounds of workload and faults, chosen by a seed, and all invariants behind each. A round is a list of lines:
steps of the workload (workload.py), `fault NAME` and, after the steps that a lasting one is lived with,
`undo`. The lines are printed as they are done."""

from __future__ import annotations

import collections
import itertools
import random
import sys
import time
from typing import Iterator

import workload
from fault import FAULTS, Fault
from invariants import Accounts, check_all
from world import World

BEFORE, DURING = 6, 4  # steps, at most


def plan(seed: int, names: list[str]) -> Iterator[list[str]]:
    """Rounds without end: each fault in turn, in an order of its own each time."""
    chance = random.Random(seed)
    while True:
        for name in chance.sample(names, len(names)):
            lines = [workload.by_chance(chance) for _ in range(chance.randint(2, BEFORE))]
            lines.append(f"fault {name}")
            if FAULTS[name].lasts:
                lines += [workload.by_chance(chance) for _ in range(chance.randint(1, DURING))]
            yield [*lines, "undo"]


class Driver:
    """Runs lines in a world, and holds it to the invariants after each `undo`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.accounts = Accounts()
        self.fault: Fault | None = None
        self.done: collections.Counter[str] = collections.Counter()
        self.skipped: dict[str, str] = {}

    def run(self, line: str) -> None:
        print(f"  {line}", flush=True)
        verb, *words = line.split()
        if verb == "fault":
            self._begin(words[0])
        elif verb == "undo":
            self._end()
        elif self.fault is None or (self.fault.lasts and verb not in self.fault.without):
            workload.run(self.world, line)
            self.world.requests.take()

    def check(self) -> None:
        check_all(self.world, self.accounts)

    def _begin(self, name: str) -> None:
        fault = FAULTS[name](self.world)
        why = fault.why_not()
        if why is not None:
            self.skipped[name] = why
            return
        self.world.mark()
        self.pid = self.world.broker.pid
        self.fault = fault
        self.world.requests.allowed = fault.allows
        fault.do()  # whom it starts itself begins as in calm
        self.world.is_calm = False

    def _end(self) -> None:
        fault = self.fault
        if fault is not None:
            self.fault = None
            self._undo(fault)
        self.world.reap()
        self.check()

    def _undo(self, fault: Fault) -> None:
        try:
            if fault.lasts:
                self.world.requests.settle()
        finally:
            fault.undo()
        self.world.requests.settle()
        self.world.requests.allowed = frozenset()
        self.world.is_calm = True
        self.accounts.allow(fault.keeps)
        if fault.survives:
            assert self.world.broker.is_alive() and self.world.broker.pid == self.pid, \
                f"the broker died of it:\n{self.world.broker.log()}"
        else:
            self.accounts.forget()
        fault.check_seen()
        fault.check_said()
        self.done[fault.name] += 1


def run_rounds(feed: str | None, tracker: str | None, seed: int, rounds: Iterator[list[str]],
               seconds: float) -> Driver:
    """Until the rounds are over or the time is. Raises what the first of them raises."""
    world = World(feed, tracker, random.Random(seed))
    driver = Driver(world)
    end = time.monotonic() + seconds
    try:
        world.begin()
        driver.check()
        for number in itertools.count(1):
            lines = next(rounds, None)
            if lines is None or time.monotonic() > end:
                break
            print(f"round {number}", flush=True)
            for line in lines:
                driver.run(line)
        world.end()
    except BaseException:
        print(f"--- the broker's log\n{world.broker.log()}", file=sys.stderr)
        raise
    finally:
        world.destroy()
    return driver
