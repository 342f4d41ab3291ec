# SPDX-License-Identifier: Apache-2.0
"""What has to hold behind each fault, whatever it was. Each is a function that raises AssertionError."""

from __future__ import annotations

import pathlib
from typing import Callable

from blackbox import intrude, programs

from world import Held, Member, World

CLOSE_MS = 20  # two readers of the clock may be off by two of its ticks


class Accounts:
    """What the broker held of the machine when all was well, apart from what blocks and members cost."""

    def __init__(self) -> None:
        self.before: tuple[int, int] | None = None
        self.last: tuple[int, int] | None = None

    def forget(self) -> None:
        """There is another broker."""
        self.before = None

    def allow(self, descriptors: int) -> None:
        """So many more stay."""
        if self.before is not None:
            self.before = self.before[0] + descriptors, self.before[1]

    def check(self, world: World) -> None:
        if self.before is None:
            world.requests.send("list_all_blocks")  # everybody is connected, and counted
            world.requests.settle()
            self.before = held_by_the_broker(world)
        try:
            programs.wait_for(lambda: self._no_more(world), "descriptors and threads are as before")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.before}, now {self.last}: "
                                 f"{intrude.descriptors(world.broker.pid)}") from None

    def _no_more(self, world: World) -> bool:
        now = held_by_the_broker(world)
        if now[0] <= self.before[0] and now[1] <= self.before[1]:
            return True
        self.last = now
        return False


def held_by_the_broker(world: World) -> tuple[int, int]:
    """Descriptors without one an escaped process, with the tracker `cgroup` one a block, and with the feed `poll`
    one a member; threads without workers."""
    gauges = world.broker.control("stats")["gauges"]
    fds = len(intrude.descriptors(world.broker.pid)) - gauges["escaped"]
    if world.tracker == "cgroup":
        fds -= gauges["blocks"]
    if world.feed == "poll":
        fds -= gauges["processes"]
    keeper = 2 if gauges["keeper_pid"] else 0  # its socket and its pidfd
    return fds - keeper, len(intrude.threads(world.broker.pid)) - gauges["workers"]


def each_request_has_one_reply(world: World) -> None:
    world.requests.settle()
    assert not world.requests._socket.poll(20), "a reply too many"


def the_registry_is_what_the_kernel_says(world: World) -> None:
    for held in world.blocks:
        last: list[object] = []

        def same(held: Held = held, last: list[object] = last) -> bool:
            world.watch_everything()
            kernel, reply = held.truth(), held.listed()
            last[:] = [sorted(kernel), sorted(record["pid"] for record in reply["processes"])]
            return last[0] == last[1]
        try:
            programs.wait_for(same, f"{held.id} is listed as the kernel has it")
        except AssertionError as error:
            raise AssertionError(f"{error}: kernel {last[0]}, registry {last[1]}\n{held.watch.story()}") from None
        check_records(world, held)


def check_records(world: World, held: Held) -> None:
    """Each with the time that it began, and in the sub-scope where it is."""
    directory = held.directory()
    leaderless = {member.odd.pid for member in held.members if "leader-leaves" in member.odd.command}
    for record in held.listed()["processes"]:
        pid = record["pid"]
        if not programs.is_running(pid) or pid in leaderless:
            continue  # ended meanwhile; or /proc has the times of a leader that is no more
        off = abs(record["started_at_ms"] - programs.started_at_ms(pid))
        assert off <= CLOSE_MS, f"{held.id}: {pid} began {off} ms from {record['started_at_ms']}"
        if world.tracker == "cgroup":
            inside = pathlib.Path(programs.cgroup_of(pid)).parts
            scope = "/".join(part.removeprefix("s-") for part in inside[inside.index(directory.name) + 1:])
            assert record["scope"] == scope, f"{held.id}: {pid} is in {scope}, listed in {record['scope']}"


def a_mirror_is_the_registry(world: World) -> None:
    for held in world.blocks:
        here, there = held.mirror.compared()
        assert here == there, f"{held.id}: the mirror has {here}, the registry {there}"
        assert held.mirror.repairs == held.repairs_due, \
            f"{held.id}: the mirror had to list again: events alone were not enough"
        held.watch.catch_up()
        known = set(held.watch.law.living())
        assert known == set(there), f"{held.id}: by its events {known}, listed {set(there)}"


def each_life_was_told(world: World) -> None:
    """The law holds each event against those before; here none is missing."""
    for held in world.blocks:
        held.note_losses()
        for member in [*held.members, *(ended for ended in world.ended if ended.held is held)]:
            if member.seen and not (member.moved or member.lost) and tells_all(world):
                check_told(held, member)
    world.ended.clear()


def check_told(held: Held, member: Member) -> None:
    for pid in member.pids():
        stays = held.watch.stays(pid)
        assert stays, f"{held.id}: nothing was told of {pid}, of {member.odd.shown}"
    for pid in member.ended():
        assert not held.watch.stay(pid).alive, f"{held.id}: the end of {pid} was not told"


def tells_all(world: World) -> bool:
    return world.feed in ("bpf", "netlink")


def who_was_not_ended_lives(world: World) -> None:
    for held in world.blocks:
        for member in list(held.members):
            if member.doomed:
                if member.odd.process.poll() is not None:
                    held.let_go(member)
                continue
            for pid in member.stay_alive():
                assert programs.is_running(pid), f"{held.id}: {pid}, of {member.odd.shown}, was ended by nobody that may"


def nothing_is_left_over(world: World) -> None:
    """No cgroup without its block, no block without its cgroup, no member that nobody has listed."""
    tracked = set(world.broker.control("list_all_blocks")["block_ids"])
    root = world.broker.cgroup_root
    if world.tracker == "cgroup" and root is not None:
        def agree() -> bool:
            found = {path.name.removeprefix("b-") for path in root.glob("*/b-*")}
            return found == set(world.broker.control("list_all_blocks")["block_ids"])
        programs.wait_for(agree, f"each block has its cgroup, and the other way round ({tracked})")
        programs.wait_for(  # who ends between the two looks is in the first alone
            lambda: not programs.pids_below(root) - {pid for held in world.blocks for pid in held.truth()},
            "all processes below the root are in a block")
    listed = {record["pid"] for held in world.blocks for record in held.listed()["processes"]}
    for held in world.blocks:
        for member in held.members:
            if not member.moved and not member.doomed and programs.is_running(member.odd.pid):
                assert member.odd.pid in listed, f"{held.id}: {member.odd.pid} is tracked no more"
                member.seen = True


def nobody_else_was_touched(world: World) -> None:
    for witness in world.witnesses:
        witness.check()
        assert not world.named[witness.process.pid], f"the witness {witness.process.pid} was in an event"


ALL: tuple[Callable[[World], None], ...] = (
    each_request_has_one_reply, the_registry_is_what_the_kernel_says, a_mirror_is_the_registry,
    each_life_was_told, who_was_not_ended_lives, nothing_is_left_over, nobody_else_was_touched)


def check_all(world: World, accounts: Accounts) -> None:
    for invariant in ALL:
        try:
            world.watch_everything()
            invariant(world)
        except AssertionError as error:
            raise AssertionError(f"{invariant.__name__.replace('_', ' ')}: {error}") from error
    accounts.check(world)
