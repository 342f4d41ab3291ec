# SPDX-License-Identifier: Apache-2.0
"""What judges the histories of test_race_histories.py, by itself: legal ones pass, each kind of illegal one is
refused. Nothing of the broker runs here."""

from __future__ import annotations

import random
import unittest
from typing import Any, Iterable

from blackbox.block_model import BlockModel
from blackbox.order import Call, legal_order

INF = float("inf")


class Register:
    """The classic: a variable that is written and read."""

    def first(self) -> int:
        return 0

    def steps(self, call: Call) -> int:
        return 1

    def after(self, state: int, number: int, call: Call, step: int) -> Iterable[int]:
        if call.name == "write":
            return [call.argument]
        return [state] if call.reply == state else []


def write(value: int, began: float, ended: float) -> Call:
    return Call(0, "write", value, None, began, ended)


def read(value: int, began: float, ended: float) -> Call:
    return Call(0, "read", None, value, began, ended)


def is_legal(*history: Call) -> bool:
    return legal_order(history, Register()).legal


class Search(unittest.TestCase):
    def test_no_call_at_all_is_legal(self) -> None:
        self.assertTrue(legal_order([], Register()).legal)

    def test_a_read_behind_a_write_sees_it(self) -> None:
        self.assertTrue(is_legal(write(1, 0, 1), read(1, 2, 3)))
        self.assertFalse(is_legal(write(1, 0, 1), read(0, 2, 3)))

    def test_a_read_beside_a_write_may_see_the_value_before_and_behind_it(self) -> None:
        self.assertTrue(is_legal(write(1, 0, 9), read(0, 1, 2), read(1, 3, 4)))

    def test_two_reads_beside_a_write_do_not_go_back(self) -> None:
        self.assertFalse(is_legal(write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)))

    def test_a_value_that_nobody_wrote_is_never_read(self) -> None:
        self.assertFalse(is_legal(write(1, 0, 9), read(2, 0, 9)))

    def test_what_was_overwritten_does_not_come_back(self) -> None:
        self.assertFalse(is_legal(write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)))
        self.assertTrue(is_legal(write(1, 0, 3), write(2, 0, 3), read(1, 4, 5)))

    def test_the_order_found_is_one_that_the_times_and_the_model_allow(self) -> None:
        history = [read(2, 0, 9), write(1, 0, 1), write(2, 2, 3), read(1, 0, 9)]
        self.assertEqual(legal_order(history, Register()).order, [1, 3, 2, 0])

    def test_of_an_illegal_history_the_longest_order_is_told(self) -> None:
        history = [write(1, 0, 1), read(1, 2, 3), read(7, 4, 5)]
        self.assertEqual(legal_order(history, Register()), (False, [0, 1]))

    def test_many_overlapping_calls_are_judged_as_all_orders_tried_one_by_one_would_judge_them(self) -> None:
        chance = random.Random(1)
        verdicts = set()
        for _ in range(300):
            history = [self.any_call(chance) for _ in range(6)]
            verdict = is_legal(*history)
            self.assertEqual(verdict, self.by_force(history, 0), history)
            verdicts.add(verdict)
        self.assertEqual(verdicts, {True, False})

    @staticmethod
    def any_call(chance: random.Random) -> Call:
        began = chance.random() * 3
        made = write if chance.random() < 0.5 else read
        return made(chance.randrange(2), began, began + chance.random())

    def by_force(self, left: list[Call], state: int) -> bool:
        if not left:
            return True
        model = Register()
        return any(self.by_force([other for other in left if other is not call], after)
                   for call in left
                   if all(call.began <= other.ended for other in left)
                   for after in model.after(state, 0, call, 0))


class Steps(unittest.TestCase):
    """A call of two steps: others may come between them, but not before its beginning nor behind its end."""

    class Lock:
        def first(self) -> int | None:
            return None

        def steps(self, call: Call) -> int:
            return 2

        def after(self, state: int | None, number: int, call: Call, step: int) -> Iterable[int | None]:
            if step == 0:
                return [number] if state is None else []
            return [None] if state == number else []

    def judge(self, *times: tuple[float, float]) -> bool:
        return legal_order([Call(0, "hold", None, None, *of) for of in times], self.Lock()).legal

    def test_one_behind_the_other(self) -> None:
        self.assertTrue(self.judge((0, 1), (0, 1), (2, 3)))

    def test_a_model_that_allows_no_two_at_once_is_kept_to_for_as_many_as_overlap(self) -> None:
        history = [Call(0, "hold", None, None, 0, 1), Call(0, "hold", None, None, 0, 1)]
        order = legal_order(history, self.Lock()).order
        self.assertEqual(order[0], order[1])
        self.assertEqual(order[2], order[3])


# ---- the block -----------------------------------------------------------------------------------

class History:
    """Calls one behind the other, unless said otherwise: each takes the time from n to n + 0.5."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def _add(self, name: str, argument: Any, reply: dict[str, Any], during: tuple[float, float] | None) -> "History":
        began, ended = during or (len(self.calls), len(self.calls) + 0.5)
        self.calls.append(Call(0, name, argument, reply, began, ended))
        return self

    def ensure(self, created: bool, epoch: str = "a", seq: int = 1, during: Any = None) -> "History":
        return self._add("ensure", None, {"created": created, "epoch": epoch, "seq": seq}, during)

    def assign(self, number: int, assigned: int | str, epoch: str = "a", seq: int = 2,
               during: Any = None) -> "History":
        reply = {"errorcode": assigned} if isinstance(assigned, str) else \
            {"assigned": assigned, "epoch": epoch, "seq": seq}
        return self._add("assign", number, reply, during)

    def kill(self, ok: bool = True, epoch: str = "a", during: Any = None) -> "History":
        return self._add("kill", None, {"ok": ok, "epoch": epoch} if ok else {"ok": False}, during)

    def list(self, *shown: int, epoch: str | None = "a", seq: int = 2, during: Any = None) -> "History":
        reply = {"tracked": epoch is not None, "shown": frozenset(shown), "epoch": epoch, "seq": seq}
        return self._add("list", None, reply, during)

    def remove(self, ok: bool = True, epoch: str = "a", during: Any = None) -> "History":
        return self._add("remove", None, {"ok": ok, "epoch": epoch} if ok else {"ok": False}, during)

    def look(self, *alive: int) -> "History":
        return self._add("look", None, {"alive": frozenset(alive)}, None)

    def is_legal(self) -> bool:
        return legal_order(self.calls, BlockModel(3)).legal


def history() -> History:
    return History()


def block() -> History:
    """Process 0 is in it."""
    return History().ensure(True).assign(0, 1)


class Block(unittest.TestCase):
    def legal(self, *histories: History) -> None:
        for one in histories:
            self.assertTrue(one.is_legal(), one.calls)

    def illegal(self, *histories: History) -> None:
        for one in histories:
            self.assertFalse(one.is_legal(), one.calls)

    def test_a_whole_life_is_legal(self) -> None:
        self.legal(block().list(0).look(0, 1, 2).kill().list().look(1, 2).remove().list(epoch=None).look(1, 2)
                   .ensure(True, "b"))

    def test_a_block_is_created_once_in_each_life(self) -> None:
        self.legal(history().ensure(True).ensure(False))
        self.illegal(history().ensure(True).ensure(True), history().ensure(True).ensure(True, "b"),
                     history().ensure(False))

    def test_one_of_two_who_ensure_at_once_creates_it(self) -> None:
        both = (0, 9)
        self.legal(history().ensure(True, during=both).ensure(False, during=both))
        self.illegal(history().ensure(True, during=both).ensure(True, "b", during=both),
                     history().ensure(False, during=both).ensure(False, during=both))

    def test_each_life_has_an_epoch_of_its_own(self) -> None:
        self.illegal(history().ensure(True).remove().ensure(True, "a"), history().ensure(True).ensure(False, "b"),
                     block().list(0, epoch="b"), block().kill(epoch="b"), block().remove(epoch="b"))

    def test_sequence_numbers_do_not_go_back(self) -> None:
        self.legal(block().list(0, seq=7).list(0, seq=7).list(0, seq=8))
        self.illegal(block().list(0, seq=7).list(0, seq=6), block().list(0, seq=1))

    def test_what_was_assigned_is_listed_and_nobody_else(self) -> None:
        self.illegal(block().list(), block().list(0, 1), history().ensure(True).list(0))

    def test_a_process_is_assigned_once(self) -> None:
        self.legal(block().assign(0, 0), block().kill().assign(0, 0),
                   block().kill().assign(0, 0, during=(3, 6)).list(during=(4, 5)))
        self.illegal(block().assign(0, 1), history().ensure(True).assign(0, 0),
                     block().kill().list().assign(0, 0))

    def test_nobody_is_assigned_where_there_is_no_block(self) -> None:
        self.legal(history().assign(0, "no_such_block"), block().remove().assign(1, "no_such_block"))
        self.illegal(history().assign(0, 1), block().assign(1, "no_such_block"),
                     block().remove().assign(1, 1))

    def test_a_living_process_is_never_said_not_to_exist(self) -> None:
        self.legal(block().kill().assign(0, "no_such_process"))
        self.illegal(block().assign(1, "no_such_process"), block().kill().assign(1, "no_such_process"))

    def test_an_unexpected_error_is_illegal(self) -> None:
        self.illegal(block().assign(1, "internal"))

    def test_who_was_killed_may_be_listed_until_it_was_seen_to_end(self) -> None:
        self.legal(block().kill().list(0).list(0).list(), block().kill().list())
        self.illegal(block().kill().list().list(0))

    def test_who_was_not_killed_stays(self) -> None:
        self.illegal(block().list(), block().look(1, 2), block().kill().assign(1, 1).list(),
                     block().kill().assign(1, 1).look(2))
        self.legal(block().kill().assign(1, 1).list(1).look(1, 2))

    def test_who_was_joining_when_all_were_killed_may_be_among_them(self) -> None:
        def joining() -> History:
            return history().ensure(True).assign(0, 1, seq=3, during=(1, 4)).kill(during=(2, 3))
        self.legal(joining().list(0, seq=3, during=(5, 6)).list(0, seq=3, during=(7, 8)),
                   joining().list(seq=3, during=(5, 6)),
                   joining().list(0, seq=3, during=(5, 6)).list(seq=4, during=(7, 8)),
                   history().ensure(True).assign(0, "no_such_process", during=(1, 4)).kill(during=(2, 3)))
        self.illegal(joining().list(seq=3, during=(5, 6)).list(0, seq=4, during=(7, 8)),
                     history().ensure(True).kill(during=(1, 2)).assign(0, 1, during=(3, 4)).list(during=(5, 6)),
                     history().ensure(True).assign(0, "no_such_process", during=(3, 4)).kill(during=(1, 2)))

    def test_who_is_joining_may_be_listed_before_it_was_told(self) -> None:
        early = history().ensure(True).assign(0, 1, during=(1, 4)).list(0, during=(2, 3))
        self.legal(early)
        self.illegal(history().ensure(True).assign(0, 1, during=(1, 6)).list(0, during=(2, 3)).list(during=(4, 5)),
                     history().ensure(True).list(0, during=(1, 2)).assign(0, 1, during=(3, 4)))

    def test_one_of_two_who_assign_it_at_once_is_told_so(self) -> None:
        both = (2, 9)
        self.legal(history().ensure(True).assign(0, 1, during=both).assign(0, 0, during=both))
        self.illegal(history().ensure(True).assign(0, 1, during=both).assign(0, 1, during=both),
                     history().ensure(True).assign(0, 0, during=both).assign(0, 0, during=both))

    def test_a_removal_ends_who_is_joining(self) -> None:
        def removed() -> History:
            return history().ensure(True).assign(0, 1, during=(1, 6)).remove(during=(2, 9)) \
                .assign(1, "no_such_block", during=(3, 4))
        self.legal(removed().ensure(True, "b", during=(10, 11)).list(epoch="b", during=(12, 13)))
        self.illegal(removed().ensure(True, "b", during=(10, 11)).list(0, epoch="b", during=(12, 13)))

    def test_nobody_outside_the_block_is_killed(self) -> None:
        self.illegal(block().kill().look(1), block().remove().look(2))

    def test_killing_and_removing_say_whether_there_was_a_block(self) -> None:
        self.legal(history().kill(False).remove(False), block().remove().kill(False).remove(False))
        self.illegal(history().kill(), history().remove(), block().kill(False), block().remove(False),
                     block().remove().list())

    def test_a_list_without_a_block_is_empty(self) -> None:
        self.legal(history().list(epoch=None))
        self.illegal(history().list(1, epoch=None), block().list(epoch=None))

    def test_who_remove_at_once_may_have_removed_the_same_life(self) -> None:
        both = (2, 9)
        self.legal(block().remove(during=both).remove(during=both),
                   block().remove(during=both).remove(False, during=both))
        self.illegal(block().remove().remove(), block().remove(False, during=both).remove(False, during=both))

    def test_while_a_removal_runs_nobody_gets_in_and_the_block_is_still_listed(self) -> None:
        self.legal(block().remove(during=(2, 9)).assign(1, "no_such_block", during=(3, 4))
                   .list(0, during=(5, 6)).kill(during=(7, 8)))
        self.illegal(block().remove(during=(2, 9)).assign(1, "no_such_block", during=(3, 4))
                     .assign(1, 1, during=(5, 6)),
                     block().remove(during=(2, 9)).assign(1, "no_such_block", during=(3, 4))
                     .ensure(False, during=(5, 6)))

    def test_who_ensures_while_a_removal_runs_makes_the_next_life(self) -> None:
        self.legal(block().remove(during=(2, 9)).assign(1, "no_such_block", during=(3, 4))
                   .ensure(True, "b", during=(5, 12)).assign(1, 1, "b", during=(13, 14)))
        self.illegal(block().remove(during=(2, 9)).ensure(True, "b", during=(5, 12))
                     .list(0, epoch="a", during=(13, 14)))

    def test_a_removal_ends_whoever_was_in_the_block(self) -> None:
        self.illegal(block().remove().ensure(True, "b").list(0, epoch="b"),
                     block().remove().ensure(True, "b").assign(0, 1, "b"))
        self.legal(block().remove().ensure(True, "b").assign(0, "no_such_process"))

    def test_a_removal_that_is_over_does_not_end_the_next_life(self) -> None:
        both = (2, 9)
        self.legal(block().remove(during=both).remove(during=both).ensure(True, "b", during=(10, 11))
                   .assign(1, 1, "b", during=(12, 13)).list(1, epoch="b", during=(14, 15)))
        self.illegal(block().remove(during=(2, 3)).remove(during=(2, 99)).ensure(True, "b", during=(10, 11))
                     .assign(1, 1, "b", during=(12, 13)).list(epoch=None, during=(14, 15)))


if __name__ == "__main__":
    unittest.main()
