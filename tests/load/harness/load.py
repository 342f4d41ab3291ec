# SPDX-License-Identifier: Apache-2.0
"""The whole of it: a broker, its blocks, the crowd in them, all who ask and subscribe, and the checkpoints."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
from typing import Any, Iterator

from blackbox.memory import CountedHeap
from blackbox.mirror import mirrored
from blackbox.programs import pids_below, wait_for
from driver import machine, storms
from driver.peers import Tracked
from driver.programs import LEAF, Program, Stamps, is_built

from . import clients, mirror, rules
from .actor import Actor
from .parameters import Parameters
from .subscribers import Subscribers

PATIENCE = 300.0  # seconds, for what takes long with so many
MARKED_S = 12.0  # a block's newest event is told once more for so long


class Crowd(Program):
    """Mothers and children in cgroups (programs/crowd.c)."""

    def __init__(self, places: list[pathlib.Path], children: int, at_work: int) -> None:
        super().__init__("load_crowd", LEAF, children, at_work)
        for place in places:
            self.say(str(place))
        self.say()
        self.expect("ready", PATIENCE)

    def __exit__(self, *args: object) -> None:
        """It ends them itself, where it can."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.end_input()
            self.process.wait(60)
        super().__exit__(*args)


class Load:
    """To be used by `running`."""

    def __init__(self, p: Parameters, broker: Tracked, heap: CountedHeap, stack: contextlib.ExitStack) -> None:
        self.p = p
        self.broker = broker
        self._heap = heap
        ids = broker.block_ids
        world = clients.World(broker.endpoint("control"), LEAF, ids, p.pace, p.clients, p.seed)
        self.mirror = stack.enter_context(Actor("the mirror", mirror.run, broker.endpoint("events"), world.endpoint,
                                               p.mirror_nice))
        self.clients = stack.enter_context(Actor("the clients", clients.run, world))
        broker.start()
        wait_for(self._is_synced, "the mirror's subscription is in force", PATIENCE)
        broker.places = broker.make_blocks(ids)
        self.crowd = stack.enter_context(Crowd(broker.places, p.processes // p.blocks - 1, min(p.at_work, p.blocks)))
        wait_for(lambda: broker.counted() >= p.processes // p.blocks * p.blocks, "all are tracked", PATIENCE)
        self.subscribers = stack.enter_context(
            Subscribers(broker.endpoint("events"), p.subscribers - 1, ids, p.seed))
        self.crowd.say("pause")
        births, deaths = self.crowd.expect("paused")  # those that it took to be there
        self._before = {"births": births, "deaths": deaths, "events": self.mirror.ask("counts")["events"], "killed": 0}
        self._began = time.monotonic()
        self._directories = {block: place.parent for block, place in zip(ids, broker.places)}

    def _is_synced(self) -> bool:
        self.broker.publish_sync()
        return bool(self.mirror.ask("synced"))

    # ---- an interval

    def interval(self, seconds: float) -> dict[str, Any]:
        """Loads so long, then a checkpoint: what was measured, and `violations`."""
        begun = time.monotonic()
        self.clients.ask("go")
        self.crowd.say("go")
        took = self._latencies(begun, seconds)
        while (left := begun + seconds - time.monotonic()) > 0:
            time.sleep(min(left, self.p.kill_every))
            self.subscribers.kill_one()
        self.crowd.say("pause")
        births, deaths = self.crowd.expect("paused", PATIENCE)
        spent = time.monotonic() - begun
        requests = self.clients.ask("pause", timeout=PATIENCE)
        return self._rates(births, deaths, spent) | took | of_requests(requests) | self.checkpoint()

    def _latencies(self, begun: float, seconds: float) -> dict[str, float | None]:
        """In a window around the middle: from the kernel's time to the mirror's."""
        if not is_built("bench_stamps") or not self.p.window:
            return {}
        self._kill_until(begun + (seconds - self.p.window) / 2)
        with Stamps("bpf", self.broker.cgroup_root, self.broker.runtime) as stamps:
            self.mirror.ask("arrivals", True)
            self._kill_until(time.monotonic() + min(self.p.window, seconds / 2))
            arrivals = [storms.Arrival(*arrival) for arrival in self.mirror.ask("arrivals", False)]
            found = storms.latencies(stamps.collect(), arrivals)
        return {f"{name}_p{percent}_us": storms.percentile(found[kind], percent)
                for kind, name in ((storms.EXEC, "exec"), (storms.EXIT, "exit")) for percent in (50, 99)}

    def _kill_until(self, end: float) -> None:
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.p.kill_every))
            self.subscribers.kill_one()

    def _rates(self, births: int, deaths: int, spent: float) -> dict[str, float]:
        now = {"births": births, "deaths": deaths, "events": self.mirror.ask("counts")["events"],
               "killed": self.subscribers.killed}
        since = {name: now[name] - self._before[name] for name in now}
        self._before = now
        return {"at_s": round(time.monotonic() - self._began, 1), "births": since["births"], "deaths": since["deaths"],
                "births_a_second": since["births"] / spent, "events_a_second": since["events"] / spent,
                "subscribers_killed": since["killed"]}

    # ---- a checkpoint

    def checkpoint(self) -> dict[str, Any]:
        """Nobody is born, dies or asks: all have to agree, and what the broker holds is measured."""
        begun = time.monotonic()
        while violations := self.violations():
            if time.monotonic() > begun + self.p.settle:
                break
            if time.monotonic() > begun + MARKED_S and self._mirror_is_through():
                self.mirror.ask("look_for", sorted(self.mirror.ask("heads").keys() - self._heads().keys()))
            time.sleep(0.1)
        settled = round(time.monotonic() - begun, 2)
        told = self.held() | self.missed()
        return {"settle_s": settled, "violations": [
            *violations, *rules.unexplained(told), *rules.held_up(told["counters"])]} | told

    def _mirror_is_through(self) -> bool:
        """For a second nothing came."""
        before = self.mirror.ask("counts")["events"]
        time.sleep(1)
        return bool(self.mirror.ask("counts")["events"] == before)

    def violations(self) -> list[str]:
        """What does not agree: the registry, the mirror, the kernel."""
        heads = self._heads()
        if moved := rules.apart(heads, self.mirror.ask("heads")):
            return [f"the mirror is not where the registry is: {', '.join(moved[:4])} ({len(moved)} blocks)"]
        blocks = sorted(heads)
        lists = dict(zip(blocks, self.broker.ask_many("list_block", [{"block_id": block} for block in blocks])))
        pictures = self.mirror.ask("pictures")
        if {block: (told.get("epoch"), told.get("seq")) for block, told in lists.items()} != heads \
                or self.mirror.ask("heads") != heads:
            return ["the registry changes, though nobody is born, dies or asks"]
        told = rules.against_mirror({block: mirrored(of["processes"]) for block, of in lists.items()}, pictures)
        listed = {block: {process["pid"] for process in of["processes"]} for block, of in lists.items()}
        return told + rules.against_kernel(listed, self._kernel(blocks))

    def _heads(self) -> dict[str, tuple[str, int]]:
        return {block["block_id"]: (block["epoch"], block["seq"])
                for block in self.broker.control("list_all_blocks")["blocks"]}

    def _kernel(self, blocks: list[str]) -> dict[str, set[int]]:
        """Who is in the blocks' cgroups, and, under the name of the cgroup, in any other beside them."""
        names = {}
        for block in blocks:
            if block not in self._directories:
                told = self.broker.control("ensure_tracker", block_id=block)
                self._directories[block] = pathlib.Path(told["procs_path"]).parent.parent
            names[self._directories[block]] = block
        ground = self.broker.places[0].parent.parent
        found = {names.get(directory, f"(cgroup {directory.name})"): pids_below(directory)
                 for directory in ground.iterdir() if directory.is_dir()}
        return {name: pids for name, pids in found.items() if pids or name in blocks}

    def held(self) -> dict[str, Any]:
        """What the broker holds of the machine, and what it counted."""
        process = pathlib.Path(f"/proc/{self.broker.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        stats = self.broker.control("stats")
        info = self.broker.rpc("brokerinfo")
        dying = dict(line.split() for line in
                     (self.broker.cgroup_root / "cgroup.stat").read_text().splitlines())["nr_dying_descendants"]
        return {"rss_kib": int(status["VmRSS"].split()[0]), "heap_kib": self.heap_kib(),
                "descriptors": len(os.listdir(process / "fd")),
                "threads": int(status["Threads"]) - stats["gauges"]["workers"], "dying_cgroups": int(dying),
                "workers": stats["gauges"]["workers"], "processes": stats["gauges"]["processes"],
                "counters": stats["counters"], "broker": info["counters"] | info.get("gauges", {})}

    def missed(self) -> dict[str, Any]:
        """What the mirror had not from the events: all messages since the beginning that were dropped for it (at
        least: the broker's count is read first), lists that it needed, and removals that it had to ask for."""
        published = self.broker.control("stats")["counters"]["published"]
        counts = self.mirror.ask("counts")
        return {"mirror_dropped": max(0, published - counts["events"]), "repairs": counts["repairs"],
                "missed_removals": counts["missed_removals"]}

    def heap_kib(self) -> int:
        """What it holds of its heap; what the allocator keeps of what was freed is in rss_kib alone."""
        return self._heap.read(self.broker.pid)[1] // 1024


def of_requests(took: list[tuple[str, float]]) -> dict[str, Any]:
    """Percentiles of those that are answered at once, and of those that wait for processes to end; and of each
    command."""
    waiting = [ms for command, ms in took if command in clients.WAITING]
    others = [ms for command, ms in took if command not in clients.WAITING]
    by_command: dict[str, list[float]] = {}
    for command, ms in took:
        by_command.setdefault(command, []).append(ms)
    each = {command: {"n": len(ms), "p50_ms": storms.percentile(ms, 50), "p99_ms": storms.percentile(ms, 99),
                      "max_ms": max(ms)} for command, ms in sorted(by_command.items())}
    return {"requests": len(took), "requests_by_command": each, "request_max_ms": max(others, default=None),
            "waiting_p50_ms": storms.percentile(waiting, 50), "waiting_max_ms": max(waiting, default=None)} | \
        {f"request_p{percent}_ms": storms.percentile(others, percent) for percent in (50, 99)}


@contextlib.contextmanager
def running(p: Parameters) -> Iterator[Load]:
    """All of it, and nothing of it afterwards. A run that came to its end checks that the broker left nothing."""
    heap = CountedHeap(pathlib.Path(tempfile.mkdtemp()) / "heap")
    broker = Tracked(p.feed, p.poll_ms, p.blocks, wpsd={"subscriber-queue": p.subscriber_queue},
                     environment=heap.environment)
    try:
        with contextlib.ExitStack() as stack:
            yield Load(p, broker, heap, stack)
        broker.stop()
    finally:
        broker.destroy()


def go(p: Parameters, tell: Any) -> list[dict[str, Any]]:
    """Interval by interval; `tell` is called with all checkpoints so far."""
    told: list[dict[str, Any]] = []
    with running(p) as load:
        left = p.minutes * 60
        while left > 0:
            told.append(load.interval(min(p.interval, left)))
            left -= p.interval
            tell(told)
            if told[-1]["violations"]:
                break
    return told


def write_json(p: Parameters, told: list[dict[str, Any]], verdicts: list[rules.Verdict],
               about: dict[str, Any]) -> None:
    if p.json:
        pathlib.Path(p.json).write_text(json.dumps(
            {"machine": about, "parameters": vars(p), "rule": rules.RULE, "checkpoints": told,
             "verdicts": [verdict._asdict() for verdict in verdicts]}, indent=1) + "\n", encoding="utf-8")


def measured_machine() -> dict[str, Any]:
    return dict(machine.described())
