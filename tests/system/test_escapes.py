# SPDX-License-Identifier: Apache-2.0
"""What leaves a block alive, or has its tag and is outside: told, doubted, named, and ended if that is wanted."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import time
from typing import Any

from blackbox import hanging, programs
from blackbox.broker import Broker, remove_cgroup
from blackbox.case import Block, SystemCase, feed_wanted
from blackbox.programs import Odd
from blackbox.wire import DEADLINE, GRACE_MS

#: A shell that is ready, and then makes such children one by one.
FORKS = "echo '{{\"what\":\"ready\"}}'; i=0; while [ $i -lt {n} ]; do sleep 1000 & i=$((i+1)); sleep 0.01; done; wait"

CROWD_SIZE = 300
#: A shell with so many children, which is ready when all are there.
CROWD = f"i=0; while [ $i -lt {CROWD_SIZE} ]; do sleep 1000 & i=$((i+1)); done; echo '{{\"what\":\"ready\"}}'; wait"


class EscapeCase(SystemCase):
    """A canary that has no tag lives through every test."""

    def setUp(self) -> None:
        super().setUp()
        self.canary = self.outside("hold")
        self.addCleanup(lambda: self.assertTrue(programs.is_running(self.canary.pid), "the canary was ended"))

    def outside(self, *args: object, **options: Any) -> Odd:
        odd = Odd(*args, **options)
        self.addCleanup(odd.close)
        odd.until("ready")
        return odd

    def shell(self, script: str, environment: dict[str, str]) -> Odd:
        return self.outside(argv=["/bin/sh", "-c", script], environment=environment)

    def remove(self, block: Block, **more: Any) -> dict[str, Any]:
        return self.control("remove", block_id=block.id, **more)

    def stop(self, block: Block, **more: Any) -> dict[str, Any]:
        return self.control("stop_tree", block_id=block.id, **more)

    def confidence(self, block: Block) -> tuple[str, str]:
        """By every command that tells it. An event that comes between two replies may change it;
        then they are asked again."""
        while True:
            first = self.control("ensure_tracker", block_id=block.id)
            told = [self.control("list_block", block_id=block.id),
                    self.control("confidence_of", block_id=block.id),
                    *(one for one in self.control("list_all_blocks")["blocks"]
                      if one["block_id"] == block.id)]
            if told[-1]["seq"] == first["seq"]:
                break
        self.assertEqual([one["confidence"] for one in told], [first["confidence"]] * 3)
        return first["confidence"], first["confidence_reason"]

    def check_outside(self, survivors: list[dict[str, Any]], *pids: int) -> None:
        self.assertEqual({one["pid"] for one in survivors}, set(pids))
        self.assertEqual(len(survivors), len(pids), "named twice")
        for one in survivors:
            self.assertIs(one["escaped"], True)
            self.assertIn(one["state"], "RSDT")
            self.assertAlmostEqual(one["started_at_ms"], programs.started_at_ms(one["pid"]), delta=20)
            self.assertEqual(one["command"], programs.command_of(one["pid"]))

    def until_gone(self, *pids: int) -> None:
        for pid in pids:
            programs.wait_for(lambda p=pid: not programs.is_running(p), f"pid {pid} is gone")


class Tagged(EscapeCase):
    """Found by their environment alone. No rights are needed, and no cgroups."""

    def stray(self, block: Block, *args: object, **tag: str) -> Odd:
        return self.outside(*args, environment=block.tag | tag)

    def test_a_stop_names_who_has_the_tag_and_is_outside(self) -> None:
        block = self.block()
        odd = self.stray(block, "hold")
        if self.tracker == "lineage":
            self.skipTest("here it is a member by its tag: test_lineage.py")
        reply = self.stop(block, grace_ms=50)
        self.assertEqual((reply["exited"], reply["killed"]), (0, 0))
        self.check_outside(reply["survivors"], odd.pid)
        self.check_outside(self.remove(block)["survivors"], odd.pid)
        self.assertEqual(self.control("list_block", block_id=block.id)["tracked"], False)
        self.assertTrue(programs.is_running(odd.pid))

    def test_a_stop_ends_it_where_that_is_wanted(self) -> None:
        block = self.block()
        polite, stubborn = self.stray(block, "hold"), self.stray(block, "ignore-term")
        reply = self.stop(block, grace_ms=GRACE_MS, include_escaped=True)
        self.assertEqual(reply["survivors"], [])
        self.assertEqual(reply["exited"] + reply["killed"], 2)
        self.assertEqual(reply["killed"], 1)
        self.assertGreaterEqual(reply["elapsed_ms"], GRACE_MS)
        self.assertEqual(polite.process.wait(DEADLINE), -signal.SIGTERM)
        self.assertEqual(stubborn.process.wait(DEADLINE), -signal.SIGKILL)

    def test_one_whose_leader_left_is_found_by_its_other_threads(self) -> None:
        block = self.block()
        odd = self.stray(block, "leader-leaves", "exit_group", 0)
        self.assertEqual(self.stop(block, grace_ms=GRACE_MS, include_escaped=True)["survivors"], [])
        self.assertEqual(odd.process.wait(DEADLINE), -signal.SIGTERM)

    def test_a_removal_ends_it_and_what_it_makes_meanwhile(self) -> None:
        block = self.block()
        shell = self.shell(FORKS.format(n=200), block.tag)
        setsid = self.stray(block, "setsid-child")
        reply = self.remove(block, include_escaped=True)
        self.assertEqual((reply["ok"], reply["survivors"]), (True, []))
        self.until_gone(shell.pid, setsid.pid, *setsid.births())
        self.assertEqual(programs.tagged(block.tag), set())

    def test_it_is_remembered_by_nobody_and_lowers_nothing_under_cgroups(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("without cgroups it is a member")
        block = self.block()
        self.stray(block, "hold")
        self.stop(block, grace_ms=50)
        self.assertEqual(self.confidence(block)[0], "high")

    def test_the_tags_of_others_are_left_alone(self) -> None:
        block, other = self.block(), self.block()
        strangers = [self.outside("hold", environment=block.tag | changed) for changed in (
            {"PROCTRACK_BLOCK": other.id}, {"PROCTRACK_BLOCK": ""}, {"PROCTRACK_BLOCK": block.id + "0"},
            {"WPS_RUNTIME_DIR": "/run/of/another/broker"})]
        reply = self.stop(block, grace_ms=50, include_escaped=True)
        self.assertEqual((reply["exited"], reply["killed"], reply["survivors"]), (0, 0, []))
        self.assertEqual(self.remove(block, include_escaped=True)["survivors"], [])
        for stranger in strangers:
            self.assertTrue(programs.is_running(stranger.pid))

    def test_below_one_that_is_ended_another_ones_live_on(self) -> None:
        block = self.block()
        shell = self.shell("WPS_RUNTIME_DIR=/run/of/another sleep 1000 & "
                           "echo \"{\\\"what\\\":\\\"ready\\\",\\\"pid\\\":$!}\"; wait", block.tag)
        foreign = shell.told("ready")[0]["pid"]
        programs.wait_for(lambda: programs.tagged(
            {"WPS_RUNTIME_DIR": "/run/of/another", "PROCTRACK_BLOCK": block.id}), "it is another one's")
        if self.tracker == "lineage":
            self.skipTest("here a descendant of a member is one, whatever its tag says")
        self.assertEqual(self.remove(block, include_escaped=True)["survivors"], [])
        self.until_gone(shell.pid)
        self.assertTrue(programs.is_running(foreign))

    def test_a_member_of_another_block_with_an_inherited_tag_is_that_ones(self) -> None:
        block, owner = self.block(), self.block()
        odd = Odd("setsid-child", environment=block.tag, joins=owner.assign)
        self.addCleanup(odd.close)
        odd.until("ready")
        members = {odd.pid, *odd.births()}
        for pid in members:
            owner.watch.until_added(pid)
        reply = self.stop(block, grace_ms=50, include_escaped=True)
        self.assertEqual((reply["exited"], reply["killed"], reply["survivors"]), (0, 0, []))
        self.assertEqual(self.remove(block, include_escaped=True)["survivors"], [])
        self.assertEqual(set(owner.listed()), members)
        self.assertTrue(programs.is_running(odd.pid))

    def test_a_sub_scope_is_that_of_the_tag_and_main_where_none_is_named(self) -> None:
        if self.tracker == "lineage":
            self.skipTest("here they are members")
        block = self.block()
        inner = self.stray(block, "hold", PROCTRACK_SCOPE="bg/7")
        plain = self.outside("hold", environment={key: value for key, value in block.tag.items()
                                                  if key != "PROCTRACK_SCOPE"})
        self.check_outside(self.stop(block, scope="bg", grace_ms=50)["survivors"], inner.pid)
        self.check_outside(self.stop(block, scope="main", grace_ms=50)["survivors"], plain.pid)
        self.check_outside(self.stop(block, grace_ms=50)["survivors"], inner.pid, plain.pid)
        self.assertEqual(self.stop(block, scope="bg", include_escaped=True)["exited"], 1)
        self.assertEqual(inner.process.wait(DEADLINE), -signal.SIGTERM)
        self.assertTrue(programs.is_running(plain.pid))

    def test_a_fork_bomb_outside_is_ended_or_named_by_the_deadline(self) -> None:
        block = self.block()
        # Bounded by its depth: at most 2^9 at a time.
        script = "bomb() { [ $1 -gt 0 ] || { sleep 1000; return; }; bomb $(($1-1)) & bomb $(($1-1)) & wait; }; " \
                 "echo '{\"what\":\"ready\"}'; bomb 8"
        shell = self.shell(script, block.tag)
        reply = self.remove(block, include_escaped=True, timeout_ms=int(DEADLINE * 1000))
        self.assertEqual((reply["ok"], reply["survivors"]), (True, []))
        self.until_gone(shell.pid)
        self.assertEqual(programs.tagged(block.tag), set())

    def test_a_hundred_removals_at_once_share_their_looks(self) -> None:
        if self.tracker == "lineage":
            self.skipTest("here strays are killed with their blocks")
        ids = [self.new_id("crowd") for _ in range(100)]
        for block_id in ids:
            self.control("ensure_tracker", block_id=block_id)
        stray = self.outside("hold", environment={"PROCTRACK_BLOCK": ids[50]})
        before = self.control("stats")["counters"]["outside_looks"]
        replies = self.ask_all([{"command": "remove", "data": {"block_id": block_id}} for block_id in ids])
        for block_id, reply in zip(ids, replies):
            self.assertEqual([one["pid"] for one in reply["data"]["survivors"]],
                             [stray.pid] if block_id == ids[50] else [])
        self.assertLess(self.control("stats")["counters"]["outside_looks"] - before, 100)

    def unreadable(self, **options: Any) -> tuple[Odd, hanging.HangingFile]:
        """A process that waits for its memory until the file is released: so does who reads its environment."""
        if os.geteuid() != 0:
            self.skipTest("mounting a file system needs root")
        file = hanging.hanging_file(self)
        odd = self.outside(argv=["/usr/bin/python3", "-c", hanging.SCRIPT, str(file.path)], **options)
        odd.say()
        self.assertTrue(file.wanted.wait(DEADLINE), "nobody reads the file")
        odd.say()
        programs.wait_for(lambda: programs.stat_fields(odd.pid)[0] == "D", "it waits for its memory")
        return odd, file

    def test_a_member_of_another_block_is_not_even_read(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("here who is a member is known from what is read")
        block, other = self.block(), self.block()
        stray = self.outside("hold", environment=block.tag)
        odd, file = self.unreadable(procs_path=other.procs_path, environment=block.tag)
        before = self.control("stats")["counters"]["outside_late"]
        self.check_outside(self.stop(block, grace_ms=50)["survivors"], stray.pid)
        self.assertEqual(self.remove(block, include_escaped=True)["survivors"], [])
        self.assertEqual(self.control("stats")["counters"]["outside_late"], before)
        self.until_gone(stray.pid)
        self.assertTrue(programs.is_running(odd.pid))
        file.release()

    def test_one_that_cannot_be_read_holds_up_nobody(self) -> None:
        block = self.block()
        stray = self.outside("hold", environment=block.tag)
        odd, file = self.unreadable()
        if self.tracker == "cgroup":
            self.check_outside(self.stop(block, grace_ms=50)["survivors"], stray.pid)
            reply = self.remove(block, include_escaped=True)
            self.assertIs(reply["ok"], True)
        else:  # a removal there reads tags itself, and waits for that
            reply = self.stop(block, include_escaped=True)
        self.assertEqual(reply["survivors"], [])
        self.until_gone(stray.pid)
        self.assertTrue(programs.is_running(odd.pid))
        file.release()


class Moved(EscapeCase):
    """Members that are moved to another cgroup."""

    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "cgroup":
            self.skipTest("a move means nothing here: test_lineage.py")
        mount = programs.cgroup2_mount()
        self.away = mount / programs.cgroup_of(os.getpid()).lstrip("/") / f"away-{os.getpid()}"
        self.away.mkdir()
        self.addCleanup(remove_cgroup, self.away)

    def member(self, block: Block, *args: object, **options: Any) -> Odd:
        odd = Odd(*args, procs_path=block.procs_path, **options)
        self.addCleanup(odd.close)
        odd.until("ready")
        block.watch.until_added(odd.pid)
        return odd

    def move(self, pid: int) -> None:
        (self.away / "cgroup.procs").write_text(str(pid))

    def escape(self, block: Block, *pids: int) -> None:
        """Moved, and that was told. A feed without places finds it by a scan, while things happen."""
        for pid in pids:
            self.move(pid)
        end = time.monotonic() + DEADLINE
        while any(block.watch.stay(pid).alive for pid in pids) and time.monotonic() < end:
            if self.feed != "bpf":
                block.run("exit", 0)
                block.listed()
            block.watch.pump(0.05)
            block.watch.catch_up()
        for pid in pids:
            self.assertEqual(block.watch.stay(pid).end.name, "agent:process-escaped")

    def changes(self, block: Block) -> list[str]:
        block.watch.catch_up()
        return [event.data["confidence"] for event in block.watch.named("block-changed")]

    def test_the_confidence_falls_until_it_is_gone(self) -> None:
        block = self.block()
        odd = self.member(block, "hold")
        self.assertEqual(self.confidence(block)[0], "high")
        self.escape(block, odd.pid)
        confidence, reason = self.confidence(block)
        self.assertEqual(confidence, "best_effort")
        self.assertIn(f"1 process left it and runs on outside, pid {odd.pid}", reason)
        self.assertEqual(self.changes(block), ["best_effort"])
        odd.finish()
        block.watch.until(lambda: self.changes(block) == ["best_effort", "high"], "it rises again")
        self.assertEqual(self.confidence(block), ("high", block.ensured["confidence_reason"]))
        self.assertEqual(self.remove(block)["survivors"], [])

    def test_each_one_counts(self) -> None:
        block = self.block()
        odds = [self.member(block, "hold") for _ in range(3)]
        self.escape(block, *[odd.pid for odd in odds])
        self.assertIn("3 processes left it", self.confidence(block)[1])
        for n, odd in zip((2, 1), odds):
            odd.finish()
            block.watch.until(lambda n=n: f"{n} process" in self.confidence(block)[1], f"{n} are left")
            self.assertEqual(self.confidence(block)[0], "best_effort")
        self.assertEqual(self.control("stats")["gauges"]["escaped"], 1)
        odds[2].finish()
        block.watch.until(lambda: self.confidence(block)[0] == "high", "none is left")

    def test_one_of_a_crowd_is_missed_too(self) -> None:
        """Where many are known a scan does not read all of them again."""
        block = self.block()
        crowd = self.member(block, argv=["/bin/sh", "-c", CROWD])
        sleepers = sorted(programs.children(crowd.pid))
        self.assertEqual(len(sleepers), CROWD_SIZE)
        for pid in sleepers:
            block.watch.until_added(pid)
        self.escape(block, sleepers[7])
        self.assertEqual(set(block.listed()), {crowd.pid, *sleepers} - {sleepers[7]})
        os.kill(sleepers[7], signal.SIGKILL)

    def test_a_removal_names_it_and_goes_on_without_it(self) -> None:
        block = self.block()
        odd, inside = self.member(block, "hold"), self.member(block, "hold")
        self.escape(block, odd.pid)
        reply = self.remove(block)
        self.assertIs(reply["ok"], True)
        self.check_outside(reply["survivors"], odd.pid)
        block.watch.until_event("block-removed")
        block.check_end(inside.pid, ("signal", 9))
        self.assertTrue(programs.is_running(odd.pid))

    def test_untagged_it_is_ended_all_the_same_with_its_children(self) -> None:
        for how in ("remove", "stop_tree"):
            block = self.block()
            odd = self.member(block, "setsid-child")
            (child,) = odd.births()
            block.watch.until_added(child)
            self.escape(block, odd.pid, child)
            late = self.member(block, "hold")
            reply = self.control(how, block_id=block.id, include_escaped=True)
            self.assertEqual(reply["survivors"], [])
            if how == "stop_tree":
                self.assertEqual((reply["exited"], reply["killed"]), (3, 0))
                self.assertEqual(self.confidence(block)[0], "high")
            self.until_gone(odd.pid, child, late.pid)

    def test_children_that_an_escaped_one_makes_outside_are_named_and_ended(self) -> None:
        block = self.block()
        shell = Odd(argv=["/bin/sh", "-c", "echo '{\"what\":\"ready\"}'; read x; sleep 1000 & "
                          "echo \"{\\\"what\\\":\\\"child\\\",\\\"pid\\\":$!}\"; wait"],
                    procs_path=block.procs_path)
        self.addCleanup(shell.close)
        shell.until("ready")
        block.watch.until_added(shell.pid)
        self.escape(block, shell.pid)
        shell.say()
        child = shell.until("child")[0]["pid"]
        programs.wait_for(lambda: programs.command_of(child) == "sleep 1000", "its exec")
        self.check_outside(self.stop(block, grace_ms=50)["survivors"], shell.pid, child)
        self.assertEqual(self.remove(block, include_escaped=True)["survivors"], [])
        self.until_gone(shell.pid, child)

    def test_one_that_is_taken_back_is_a_member_as_any(self) -> None:
        block = self.block()
        odd = self.member(block, "hold")
        self.escape(block, odd.pid)
        self.assertEqual(block.assign(odd.pid), 1)
        self.assertEqual(self.confidence(block)[0], "high")
        self.assertEqual(self.remove(block)["survivors"], [])
        self.until_gone(odd.pid)

    def test_one_that_another_block_takes_is_no_escape(self) -> None:
        block, owner = self.block(), self.block()
        odd, other = self.member(block, "hold"), self.member(block, "hold")
        owner.assign(odd.pid)
        pathlib.Path(owner.procs_path).write_text(str(other.pid))
        owner.watch.until_added(odd.pid)
        if self.feed == "bpf":
            owner.watch.until_added(other.pid)
        self.assertEqual(self.confidence(block)[0], "high")
        self.assertNotIn("best_effort", self.changes(block))
        self.assertEqual(self.remove(block, include_escaped=True)["survivors"], [])
        for pid in (odd.pid, other.pid):
            self.assertTrue(programs.is_running(pid))

    def test_a_sub_scope_is_the_one_that_it_was_in(self) -> None:
        block = self.block()
        path = self.control("ensure_tracker", block_id=block.id, scope="bg")["procs_path"]
        odd = self.outside("hold", procs_path=path)
        block.watch.until_added(odd.pid)
        self.escape(block, odd.pid)
        self.assertEqual(self.stop(block, scope="main", grace_ms=50)["survivors"], [])
        self.check_outside(self.stop(block, scope="bg", grace_ms=50)["survivors"], odd.pid)

    def test_who_does_not_end_is_named_by_the_deadline_beside_the_block_that_is_gone(self) -> None:
        file = hanging.hanging_file(self)
        block = self.block()
        odd = block.odd("exec-later", "cat", file.path)
        block.watch.until_added(odd.pid)
        self.escape(block, odd.pid)
        odd.say()
        self.assertTrue(file.wanted.wait(DEADLINE), "nobody reads the file")
        reply = self.remove(block, include_escaped=True, timeout_ms=500)
        self.assertEqual((reply["ok"], [(one["pid"], one["escaped"]) for one in reply["survivors"]]),
                         (True, [(odd.pid, True)]))
        self.assertIn(reply["survivors"][0]["state"], ("S", "D"), "it waits; in D once its kill has reached it")
        self.assertIs(self.control("list_block", block_id=block.id)["tracked"], False)
        file.release()

    def test_escapes_in_a_storm_leave_nothing_behind(self) -> None:
        block = self.block()
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        storm = block.begin(["/bin/sh", "-c", "while :; do /bin/true; sleep 1000 & done"])
        escaped: set[int] = set()
        end = time.monotonic() + 2
        while time.monotonic() < end and len(escaped) < 50:
            listed = [pid for pid, record in block.listed().items() if record["command"] == "sleep 1000"]
            if not listed:
                continue
            pid = chance.choice(listed)
            try:
                self.move(pid)
            except OSError:
                continue
            escaped.add(pid)
        reply = self.remove(block, include_escaped=True, timeout_ms=int(DEADLINE * 1000))
        self.assertEqual((reply["ok"], reply["survivors"]), (True, []), f"seed {seed}")
        self.until_gone(storm.pid, *escaped)
        block.watch.until_event("block-removed")


class Lineage(EscapeCase):
    """Without cgroups one that is found by its tag alone is taken back, and its block says so."""

    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "lineage":
            self.skipTest("with cgroups a tag makes no member")

    def test_the_reason_names_who_was_found_by_its_tag_alone(self) -> None:
        block = self.block()
        before = self.confidence(block)
        odd = self.outside("hold", environment=block.tag)
        end = time.monotonic() + DEADLINE
        while block.watch.stay(odd.pid) is None and time.monotonic() < end:
            block.run("exit", 0)
            block.listed()
            block.watch.catch_up()
        block.watch.until(lambda: f"pid {odd.pid}" in self.confidence(block)[1], "the reason names it")
        self.assertEqual(self.confidence(block)[0], "best_effort")
        self.assertIn("found by PROCTRACK_BLOCK alone", self.confidence(block)[1])
        odd.finish()
        block.watch.until(lambda: self.confidence(block) == before, "it is as it was")
        block.watch.catch_up()
        self.assertGreaterEqual(len(block.watch.named("block-changed")), 2)

    def test_a_stop_ends_strays_that_no_scan_has_seen_where_that_is_wanted(self) -> None:
        broker = Broker(feed=feed_wanted(), poll_ms=3600000)
        self.addCleanup(broker.destroy)
        broker.start()
        broker.control("ensure_tracker", block_id="b")
        tag = {"PROCTRACK_BLOCK": "b", "WPS_RUNTIME_DIR": str(broker.runtime)}
        odd = self.outside("hold", environment=tag)
        reply = broker.control("stop_tree", block_id="b", include_escaped=True)
        self.assertEqual(reply["survivors"], [])
        self.assertEqual(odd.process.wait(DEADLINE), -signal.SIGTERM)
