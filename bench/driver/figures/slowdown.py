# SPDX-License-Identifier: Apache-2.0
"""How much longer it takes while somebody looks: a storm on all cores, a storm in no block, a build."""

from __future__ import annotations

import contextlib
import pathlib
import statistics
import subprocess
import tempfile
import time
from typing import Callable, Iterator

from blackbox.programs import die_with_parent

from .. import machine, peers, sources
from ..parameters import Parameters
from ..peers import Tracked, in_rounds
from ..programs import DEADLINE
from ..storms import Storm
from ..table import Row

NOBODY, AGAIN = "nobody", "nobody again"  # the second shows what the machine does by itself
Work = Callable[[list[pathlib.Path], pathlib.Path], float]  # places, folder; seconds


@contextlib.contextmanager
def _somewhere(p: Parameters) -> Iterator[tuple[list[pathlib.Path], pathlib.Path]]:
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield [stack.enter_context(machine.bench_cgroup("storm")) for _ in range(p.spawners)], folder


def unwatched(p: Parameters, work: Work) -> float:
    with _somewhere(p) as (places, folder):
        return work(places, folder)


def under_forkstat(p: Parameters, work: Work) -> float:
    with _somewhere(p) as (places, folder), peers.forkstat():
        return work(places, folder)


def tracked(feed: str, p: Parameters, work: Work, in_blocks: bool) -> float:
    """With a subscriber to all, which costs time on these cores too."""
    with Tracked(feed, p.poll_ms, p.spawners) as broker, \
            broker.subscriber_to_all(p.quiet_ms) as subscriber, _somewhere(p) as (elsewhere, folder):
        subscriber.sync(broker.publish_sync)
        return work(broker.places if in_blocks else elsewhere, folder)


def compared(p: Parameters, work: Work, in_blocks: bool = True) -> dict[str, list[float]]:
    ways = {name: lambda: unwatched(p, work) for name in (NOBODY, AGAIN)}
    ways |= {feed: lambda feed=feed: tracked(feed, p, work, in_blocks) for feed in p.feeds}
    if peers.forkstat_is_there() and in_blocks:
        ways["forkstat"] = lambda: under_forkstat(p, work)
    return in_rounds(p.rounds, ways)


def slower(results: dict[str, list[float]], way: str) -> list[float]:
    """Per cent, round by round."""
    return [(time_with / time_without - 1) * 100
            for time_with, time_without in zip(results.get(way, []), results[NOBODY])]


def rows_of(title: str, results: dict[str, list[float]], p: Parameters, **target: float) -> list[Row]:
    alone = statistics.median(results[NOBODY])
    again = statistics.median(slower(results, AGAIN))
    return [Row(title, feed, "%", slower(results, feed), "forkstat" if "forkstat" in results else "",
                slower(results, "forkstat"), **(target if feed != "poll" else {}),
                note=(f"{peers.no_forkstat()}; " if peers.no_forkstat() else "") +
                f"alone it took {alone:.2f} s, and once more alone {again:+.1f} % of that")
            for feed in p.feeds]


# ---- the work ------------------------------------------------------------------------------------

def storm_work(p: Parameters) -> Work:
    """A short one goes before, so that what the way before left to do, and how awake the processors are,
    is the same for all."""
    def work(places: list[pathlib.Path], folder: pathlib.Path) -> float:
        with Storm(places, max(1, p.storm // 5), folder) as first:
            first.run()
        with Storm(places, p.storm, folder) as storm:
            return storm.run()
    return work


def build_work(tree: pathlib.Path, targets: tuple[str, ...]) -> Work:
    """`make -j2` of a tree that is clean; it is cleaned again behind the clock."""
    def work(places: list[pathlib.Path], folder: pathlib.Path) -> float:
        def before_exec() -> None:
            die_with_parent()
            (places[0] / "cgroup.procs").write_text("0")
        sources.clean(tree)
        begin = time.perf_counter()
        subprocess.run([*sources.BUILD, *targets], cwd=tree, check=True,
                       preexec_fn=before_exec,  # noqa: PLW1509
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        took = time.perf_counter() - begin
        sources.clean(tree)
        return took
    return work


# ---- the figures ---------------------------------------------------------------------------------

def storm(p: Parameters) -> list[Row]:
    return rows_of("slow-down of a storm on all cores", compared(p, storm_work(p)), p,
                   ratio_at_most=0.4)


def outside(p: Parameters) -> list[Row]:
    """Nothing measurable: not more than the same storm differs from itself."""
    results = compared(p, storm_work(p), in_blocks=False)
    alone = results[NOBODY] + results[AGAIN]
    noise = (max(alone) - min(alone)) / statistics.median(alone) * 100 if p.rounds > 1 else 100.0
    return rows_of("slow-down of a storm in no block", results, p, at_most=round(noise, 2))


def make(p: Parameters) -> list[Row]:
    title = f"slow-down of `make -j2` of {sources.PACKAGE}"
    with tempfile.TemporaryDirectory(prefix="proctrack-bench-") as folder:
        try:
            tree = sources.fetch(pathlib.Path(folder))
        except sources.NotThere as reason:
            return [Row(title, feed, "%", [], skipped=str(reason)) for feed in p.feeds]
        work = build_work(tree, p.build_targets)
        unwatched(p, work)  # its files are in memory from here on
        return rows_of(title, compared(p, work), p, at_most=1.5)
