# SPDX-License-Identifier: Apache-2.0
"""A block as one caller alone would see it (PROTOCOL.md, 4.1): the model that histories of many callers are
held against, with some processes that only these calls put into the block and end.

A call is one of

    ensure ()      -> {created, epoch, seq}
    assign (i)     -> {assigned, epoch, seq} or {errorcode}: process number i
    kill ()        -> {ok, epoch?, seq?}
    list ()        -> {tracked, shown (the numbers), epoch?, seq?}
    remove ()      -> {ok, epoch?}
    look ()        -> {alive (the numbers)}: what the kernel says

A killed process is listed until its end was seen. A kill goes on behind its reply: an assignment that began
before it waits for nothing, so that who joins by it may be killed too; a later one waits until the kill is over.
A removal has a beginning, behind which the block takes nobody in, and an end, which is that of all who asked for
it meanwhile.
"""

from __future__ import annotations

import itertools
from typing import Iterable, NamedTuple

from .order import Call

#: EXPOSED: it was joining when all were killed, and may have been among them.
FREE, EXPOSED, MEMBER, DOOMED, GONE = "free", "exposed", "member", "doomed", "gone"


class Process(NamedTuple):
    fate: str = FREE
    joining: int = 0  #: how many assignments of it are under way
    told: bool = False  #: somebody was told to have assigned it


class State(NamedTuple):
    processes: tuple[Process, ...]
    epoch: str | None = None  #: None: there is no such block
    seq: int = 0
    past: frozenset[str] = frozenset()  #: epochs that are over
    removers: frozenset[int] | None = None  #: the calls that a running removal will answer; None: none runs

    @property
    def takes_in(self) -> bool:
        return self.epoch is not None and self.removers is None

    def killed(self) -> "State":
        def after(process: Process) -> Process:
            fate = {MEMBER: DOOMED, FREE: EXPOSED if process.joining else FREE}.get(process.fate, process.fate)
            return process._replace(fate=fate)
        return self._replace(processes=tuple(after(process) for process in self.processes))

    def removed(self) -> "State | None":
        """A removal waits for the assignments under way."""
        if any(process.joining for process in self.processes):
            return None
        processes = tuple(process._replace(fate=GONE) if process.fate == DOOMED else process
                          for process in self.processes)
        return State(processes, past=self.past | {self.epoch})

    def at(self, call: Call) -> "State | None":
        """It with the reply's sequence number; None: the reply is of another life, or of an older moment."""
        seq = call.reply.get("seq", self.seq)
        if self.epoch is None or call.reply["epoch"] != self.epoch or seq < self.seq:
            return None
        return self._replace(seq=seq)

    def put(self, number: int, process: Process) -> "State":
        return self._replace(processes=self.processes[:number] + (process,) + self.processes[number + 1:])


def _listed(process: Process, is_shown: bool) -> list[Process]:
    """What it may be, seen that it is listed or not. Who is joining may be there already."""
    if is_shown:
        fates = {FREE: [MEMBER] if process.joining else [], EXPOSED: [MEMBER, DOOMED], MEMBER: [MEMBER],
                 DOOMED: [DOOMED], GONE: []}
    else:
        fates = {MEMBER: [], DOOMED: [GONE]}
    return [process._replace(fate=fate) for fate in fates.get(process.fate, [process.fate])]


class BlockModel:
    def __init__(self, processes: int) -> None:
        self._processes = processes

    def first(self) -> State:
        return State((Process(),) * self._processes)

    def steps(self, call: Call) -> int:
        both = call.name == "remove" and call.reply["ok"] or call.name == "assign" and \
            (call.reply.get("assigned") in (0, 1) or call.reply.get("errorcode") == "no_such_process")
        return 2 if both else 1

    def after(self, state: State, number: int, call: Call, step: int) -> Iterable[State]:
        following = getattr(self, f"_{call.name}")(state, call, number, step)
        return [after for after in following if after is not None]

    @staticmethod
    def _ensure(state: State, call: Call, number: int, step: int) -> Iterable[State | None]:
        reply = call.reply
        if not reply["created"]:
            return [state.at(call)] if state.takes_in else []
        if state.epoch is not None or reply["epoch"] in state.past or reply["seq"] < 1:
            return []
        return [state._replace(epoch=reply["epoch"], seq=reply["seq"])]

    def _assign(self, state: State, call: Call, number: int, step: int) -> Iterable[State | None]:
        process = state.processes[call.argument]
        if call.reply.get("errorcode") == "no_such_block":
            return [] if state.takes_in else [state]
        if self.steps(call) == 1:
            return []
        if call.reply.get("assigned") == 0:
            if step == 0:
                return [state] if state.takes_in and process.fate != GONE else []
            was_there = process.fate in (MEMBER, DOOMED, GONE) or process.joining
            return [state.at(call)] if was_there else []
        if step == 0:
            joining = state.put(call.argument, process._replace(joining=process.joining + 1))
            return [joining] if state.takes_in else []
        return [state.put(call.argument, after) if "errorcode" in call.reply else
                state.put(call.argument, after).at(call) for after in self._ends(state, process, call)]

    @staticmethod
    def _ends(state: State, process: Process, call: Call) -> Iterable[Process]:
        """What may have become of a process when its assignment is over."""
        after = process._replace(joining=process.joining - 1)
        if "errorcode" in call.reply:  # no such process
            fates = {EXPOSED: [DOOMED], DOOMED: [DOOMED], GONE: [GONE]}.get(process.fate, [])
            return [after._replace(fate=fate) for fate in fates]
        if process.told:
            return []
        fates = {FREE: [MEMBER], EXPOSED: [MEMBER, DOOMED]}.get(process.fate, [process.fate])
        if state.removers is not None:
            fates = [DOOMED if fate == MEMBER else fate for fate in fates]
        return [after._replace(fate=fate, told=True) for fate in fates]

    @staticmethod
    def _kill(state: State, call: Call, number: int, step: int) -> Iterable[State | None]:
        if not call.reply["ok"]:
            return [state] if state.epoch is None else []
        return [state.killed().at(call)]

    @staticmethod
    def _list(state: State, call: Call, number: int, step: int) -> Iterable[State | None]:
        shown = call.reply["shown"]
        if not call.reply["tracked"]:
            return [state] if state.epoch is None and not shown else []
        choices = [_listed(process, index in shown) for index, process in enumerate(state.processes)]
        return [state._replace(processes=processes).at(call) for processes in itertools.product(*choices)]

    @staticmethod
    def _look(state: State, call: Call, number: int, step: int) -> Iterable[State | None]:
        """Nobody dies but who was killed; when those do, the kernel says."""
        spared = {index for index, process in enumerate(state.processes) if process.fate in (FREE, MEMBER)}
        return [state] if spared <= call.reply["alive"] else []

    @staticmethod
    def _remove(state: State, call: Call, number: int, step: int) -> Iterable[State | None]:
        if not call.reply["ok"]:
            return [state] if state.epoch is None else []
        if step == 0:
            begun = state.killed().at(call)
            return [begun and begun._replace(removers=(state.removers or frozenset()) | {number})]
        if state.removers is not None and number in state.removers:
            return [state.removed()]
        return [state]  # the removal was over with another's answer
