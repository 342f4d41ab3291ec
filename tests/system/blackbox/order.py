# SPDX-License-Identifier: Apache-2.0
"""Has a history of calls that overlap a legal order? (Linearizability: Herlihy and Wing 1990; the search
is that of Wing and Gong 1993, with Lowe's memory of what was tried.)

A call takes effect at one moment, or at several one after the other (its steps), between its beginning and
its end. The history is legal where these moments can be chosen so that a model, which does one step at a
time, gives each call the reply that it had.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Hashable, Iterable, NamedTuple, Protocol, Sequence


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a client and its reply. The times are of one clock, in any unit."""
    client: int
    name: str
    argument: Any
    reply: Any
    began: float
    ended: float


class Model(Protocol):
    """What one caller alone would see."""

    def first(self) -> Hashable:
        """The state before any call."""

    def steps(self, call: Call) -> int:
        """In how many steps a call takes effect: at least 1."""

    def after(self, state: Any, number: int, call: Call, step: int) -> Iterable[Hashable]:
        """The states that this step (from 0) of call `number` may lead to; none: its reply would be
        another."""


class Verdict(NamedTuple):
    legal: bool
    order: list[int]  #: the calls, once for each step; of an illegal history, the longest that is legal


class _Node(NamedTuple):
    done: tuple[int, ...]  #: how many steps of each call
    state: Any
    path: Any  #: the call that led here, and the path before it


def legal_order(history: Sequence[Call], model: Model) -> Verdict:
    """Looks for an order of all calls that the model allows. The time it takes grows with how many calls
    overlap, not with how many there are."""
    steps = tuple(model.steps(call) for call in history)
    todo = [_Node((0,) * len(history), model.first(), None)]
    tried = {(todo[0].done, todo[0].state)}
    longest: list[int] = []
    while todo:
        node = todo.pop()
        if sum(node.done) >= len(longest):
            longest = _order(node.path)
        if node.done == steps:
            return Verdict(True, longest)
        for following in _following(node, history, steps, model):
            known = (following.done, following.state)
            if known not in tried:
                tried.add(known)
                todo.append(following)
    return Verdict(False, longest)


def _following(node: _Node, history: Sequence[Call], steps: tuple[int, ...],
               model: Model) -> Iterable[_Node]:
    """A call may be next if it began before the end of all that are not over."""
    left = [number for number, count in enumerate(steps) if node.done[number] < count]
    horizon = min(history[number].ended for number in left)
    for number in left:
        call, step = history[number], node.done[number]
        if call.began > horizon:
            continue
        for state in model.after(node.state, number, call, step):
            done = node.done[:number] + (step + 1,) + node.done[number + 1:]
            yield _Node(done, state, (number, node.path))


def _order(path: Any) -> list[int]:
    order = []
    while path is not None:
        number, path = path
        order.append(number)
    return order[::-1]


def shown(history: Sequence[Call], verdict: Verdict) -> str:
    """The history and how far an order of it came, for a person."""
    begin = min(call.began for call in history)
    lines = [f"  {number:3} client {call.client} {(call.began - begin) * 1000:9.3f} to "
             f"{(call.ended - begin) * 1000:9.3f} ms: {call.name} {call.argument!r} -> {call.reply!r}"
             for number, call in enumerate(history)]
    return "\n".join([*lines, f"  the longest legal order: {verdict.order}"])
