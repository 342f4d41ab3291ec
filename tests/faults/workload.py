# SPDX-License-Identifier: Apache-2.0
"""What goes on while things go wrong. A step is a line of text: a verb and what it is about, so that a list of
them can be printed, cut down by hand, and run again."""

from __future__ import annotations

import random
import time
from typing import Callable

from blackbox.programs import Odd, is_running
from blackbox.wire import Refused

from world import OLDEST, USUAL, Held, Member, World

#: Lives that stay until they are let go, each with something that trackers get wrong.
LIVES = ("hold", "setsid-child", "orphan", "double-fork", "threads 3", "leader-leaves exit_group 0", "ignore-term",
         "exec-chain 3", "comm-odd", "zombie")
#: Of those, lives whose child has lost its parent: where no cgroup holds it, it does not come along.
PARTED = ("orphan", "double-fork")
#: Lives that are over when they have told so.
SHORT = ("storm 4 3", "fork-chain 6", "vfork-exec", "spawn 20", "posix-spawn")
MEMBERS = 6  # of a block, held by this harness

STEPS: dict[str, Callable[..., None]] = {}


def step(function: Callable[..., None]) -> Callable[..., None]:
    STEPS[function.__name__.removesuffix("_").replace("_", "-")] = function
    return function


def run(world: World, text: str) -> None:
    verb, *words = text.split()
    try:
        STEPS[verb](world, *words)
    except Refused as refusal:
        if refusal.errorcode not in world.requests.allowed | USUAL:
            raise AssertionError(f"{text}: {refusal}") from None
        world.requests.refusals.append(refusal.sentence)


def block(world: World, number: str) -> Held:
    held = world.blocks[int(number) % len(world.blocks)]
    held.make_sure()
    return held


def one_of(held: Held, number: str) -> Member | None:
    return held.members[int(number) % len(held.members)] if held.members else None


# ---- the steps -----------------------------------------------------------------------------------

@step
def ensure(world: World, number: str) -> None:
    world.requests.send("ensure_tracker", block_id=block(world, number).id)


@step
def start(world: World, number: str, *life: str) -> None:
    held = block(world, number)
    too_many = len(held.members) - MEMBERS
    for i, member in enumerate(list(held.members)):
        if i < too_many or time.monotonic() - member.begun > OLDEST:
            held.let_go(member)
    held.start(list(life))


@step
def short(world: World, number: str, *life: str) -> None:
    """It begins as a known member; it may end while this goes on."""
    block(world, number).pass_by(list(life))


@step
def in_scope(world: World, number: str, scope: str, *life: str) -> None:
    held = block(world, number)
    told = held.ensure(scope)
    if "procs_path" in told:
        held.start(list(life), told["procs_path"])


@step
def assign(world: World, number: str, *life: str) -> None:
    """A tree that began outside."""
    held = block(world, number)
    if world.tracker != "cgroup" and life[0] in PARTED:
        return
    held.assign(held.add(Odd(*life)))  # its children may be found after they were born


@step
def move(world: World, number: str, other: str, which: str) -> None:
    """From one block into another."""
    source, target = block(world, number), block(world, other)
    member = one_of(source, which)
    if member is None or source is target or member.doomed:
        return
    if not is_running(member.odd.pid):
        return  # who leaves its child alone takes nobody along
    if world.tracker != "cgroup" and set(member.odd.command) & set(PARTED):
        return
    if set(member.odd.command) & set(PARTED):
        member.stayers = set()  # its daemon is no descendant: it stays, and ends with the source
    # While there is a fault it may be refused, and the member ends with the source.
    member.doomed = not world.is_calm or any(held.on_crash == "kill" for held in (source, target))
    source.members.remove(member)
    target.members.append(member)
    member.held = target
    world.requests.settle()
    target.assign(member)
    if world.is_calm:
        world.requests.settle()  # before a fault comes


@step
def let_go(world: World, number: str, which: str) -> None:
    member = one_of(block(world, number), which)
    if member is not None:
        block(world, number).let_go(member)


@step
def kill_pid(world: World, number: str, which: str) -> None:
    held = block(world, number)
    member = one_of(held, which)
    if member is not None:
        member.doomed = True
        world.requests.send("kill_pid", block_id=held.id, pid=member.odd.pid)


@step
def kill_tree(world: World, number: str) -> None:
    end_with(world, number, "kill_tree")


@step
def stop_tree(world: World, number: str, grace_ms: str) -> None:
    end_with(world, number, "stop_tree", grace_ms=int(grace_ms))


@step
def kill_started(world: World, number: str) -> None:
    end_with(world, number, "kill_started")


@step
def remove(world: World, number: str) -> None:
    held = block(world, number)
    end_with(world, number, "remove")
    held.procs_path = None


def end_with(world: World, number: str, command: str, **data: int) -> None:
    held = block(world, number)
    held.doom()
    held.is_killed = True
    world.requests.send(command, block_id=held.id, **data)


@step
def freeze_thaw(world: World, number: str) -> None:
    for command in ("freeze", "thaw") if world.tracker == "cgroup" else ():
        world.requests.send(command, block_id=block(world, number).id)


@step
def list_(world: World) -> None:
    world.requests.send("list_all_blocks", detail=True)
    for held in world.blocks:
        world.requests.send("list_block", block_id=held.id, detail=True)


# ---- by chance -----------------------------------------------------------------------------------

#: Verbs and how often each comes; those that end things are few, or nothing would live.
WEIGHTS = {"start": 10, "short": 6, "in-scope": 3, "assign": 4, "move": 3, "let-go": 3, "ensure": 2, "kill-pid": 2,
           "kill-tree": 1, "stop-tree": 1, "kill-started": 1, "remove": 1, "freeze-thaw": 1, "list": 2}


def by_chance(chance: random.Random) -> str:
    verb = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    number = str(chance.randrange(3))
    words = {
        "start": lambda: [number, chance.choice(LIVES)],
        "short": lambda: [number, chance.choice(SHORT)],
        "in-scope": lambda: [number, chance.choice(("bg/7", "bg", "a.b/c-d/e")), chance.choice(LIVES)],
        "assign": lambda: [number, chance.choice(LIVES)],
        "move": lambda: [number, str(chance.randrange(3)), str(chance.randrange(10))],
        "stop-tree": lambda: [number, str(chance.choice((0, 5, 50)))],
        "list": list,
    }
    with_member = {"let-go", "kill-pid"}
    rest = words[verb]() if verb in words else \
        [number, str(chance.randrange(10))] if verb in with_member else [number]
    return " ".join([verb, *rest])
