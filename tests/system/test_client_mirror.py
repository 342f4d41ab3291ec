# SPDX-License-Identifier: Apache-2.0
"""The mirror of client/ with a real broker: its calls and its look-ups agree with list_block, also after
whatever made it miss something."""

from __future__ import annotations

import os
import pathlib
import queue
import signal
import subprocess
import threading
import time
from typing import Any

from blackbox import programs
from blackbox.broker import Broker
from blackbox.case import SystemCase, feed_wanted
from blackbox.intrude import stopped
from blackbox.mirror import mirrored
from blackbox.programs import Odd
from blackbox.wire import DEADLINE

Picture = dict[str, dict[tuple[int, int], dict[str, Any]]]  # processes by block and birth
COUNTS = ("events", "lists", "gaps", "malformed", "overflows", "reconnects")


def record_of(words: list[str]) -> dict[str, Any]:
    pid, started_at_ms, _, root, started, scope = words[:6]
    command = bytes.fromhex(words[6] if len(words) > 6 else "").decode()
    return {"pid": int(pid), "started_at_ms": int(started_at_ms), "command": command,
            "root": root == "1", "started": started == "1", "scope": scope}


class Probe:
    """A program that mirrors. `told` is the picture that its calls alone give."""

    def __init__(self, case: SystemCase, broker: Broker, scope: str, **milliseconds: int) -> None:
        path = pathlib.Path(os.environ["PROCTRACK_WPSD"]).with_name("mirror_probe")
        options = {f"MIRROR_PROBE_{name.upper()}": str(value) for name, value in milliseconds.items()}
        self.process = subprocess.Popen([path, str(broker.runtime), scope], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | options)
        self.told: Picture = {}
        self.calls: list[list[str]] = []
        self.counts: dict[str, int] = {}
        self.depths: dict[int, int] = {}
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        case.addCleanup(self.end, case)

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def end(self, case: SystemCase) -> None:
        """It must end well, which a sanitizer sees to."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            status = self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join(DEADLINE)
            self.process.stdout.close()
        case.assertEqual(status, 0)

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")

    def next(self) -> list[str]:
        line = self._lines.get(timeout=DEADLINE)
        assert line is not None, "the probe ended"
        words = line.split(" ")
        if words[0] not in ("block", "process", "counts", "end"):
            self.calls.append(words)
            self._apply(words)
        return words

    def _apply(self, words: list[str]) -> None:
        """What a user who draws what it is told would have. Each call must make sense."""
        what, block = words[0], words[1]
        if what == "block-added":
            assert block not in self.told, words
            self.told[block] = {}
        elif what == "block-removed":
            assert not self.told.pop(block), words
        elif what in ("added", "changed"):
            record = record_of(words[2:])
            key = record["pid"], record["started_at_ms"]
            assert (key in self.told[block]) == (what == "changed"), words
            self.told[block][key] = record
        elif what == "gone":
            del self.told[block][int(words[2]), int(words[3])]

    def dump(self) -> tuple[str, Picture]:
        """Its state and the picture that look-ups give."""
        self.say("dump")
        shown: Picture = {}
        while (words := self.next())[0] != "end":
            if words[0] == "block":
                shown[words[1]] = {}
            elif words[0] == "process":
                record = record_of(words[2:])
                shown[words[1]][record["pid"], record["started_at_ms"]] = record
                self.depths[record["pid"]] = int(words[4])
            elif words[0] == "counts":
                self.counts = dict(zip(COUNTS, map(int, words[1:])))
        return words[1], shown

    def until_call(self, *begin: str) -> list[str]:
        """The next call that begins so, of those not yet read."""
        end = time.monotonic() + DEADLINE
        while (words := self.next())[:len(begin)] != list(begin):
            assert time.monotonic() < end, f"{begin} does not come: {self.calls[-20:]}"
        return words


class ClientMirrors(SystemCase):
    """Storms, losses and restarts, each ending in agreement."""

    options = {"poll_ms": 20}

    def probe(self, scope: str, broker: Broker | None = None) -> Probe:
        return Probe(self, broker or self.broker, scope)

    def agree(self, probe: Probe, *block_ids: str, broker: Broker | None = None) -> Picture:
        """Waits until calls, look-ups and lists are the same, and the mirror says it is current."""
        control = (broker or self.broker).control
        last: list[Any] = []

        def same() -> bool:
            state, shown = probe.dump()
            listed = {block_id: mirrored(reply["processes"]) for block_id in block_ids
                      if (reply := control("list_block", block_id=block_id))["tracked"]}
            last[:] = [state, shown, listed, probe.counts]
            self.assertEqual(probe.told, shown)
            return state == "current" and shown == listed
        try:
            programs.wait_for(same, "the mirror agrees with the list")
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None
        return last[1]

    def test_it_agrees_after_a_storm_without_a_second_list(self) -> None:
        block = self.block()
        probe = self.probe(f"block:{block.id}")
        self.agree(probe, block.id)
        holding = block.odd("hold")
        for _ in range(3):
            block.run("storm", 3, 2)
            block.run("fork-chain", 5)
        programs.wait_for(lambda: [pid for pid, _ in self.agree(probe, block.id)[block.id]] ==
                          [holding.pid], "one is left")
        if self.tells_all:
            programs.wait_for(lambda: self.agree(probe, block.id) and
                              sum(call[0] == "gone" for call in probe.calls) > 30, "ends are told")
        self.assertEqual((probe.counts["lists"], probe.counts["gaps"]), (1, 0))
        holding.finish()
        programs.wait_for(lambda: self.agree(probe, block.id) == {block.id: {}}, "none is left")

    def test_children_stand_below_their_parents(self) -> None:
        block = self.block()
        probe = self.probe(f"block:{block.id}")
        shell = block.sh("sleep 1000 & echo '{\"what\":\"ready\"}'; wait")
        shell.until("ready")
        programs.wait_for(lambda: len(self.agree(probe, block.id)[block.id]) == 2, "two are there")
        child, = programs.children(shell.pid)
        self.assertEqual((probe.depths[shell.pid], probe.depths[child]), (0, 1))
        block.remove()

    def test_one_that_was_stopped_meanwhile_agrees(self) -> None:
        block = self.block()
        probe = self.probe(f"block:{block.id}")
        self.agree(probe, block.id)
        probe.process.send_signal(signal.SIGSTOP)
        held = block.odd("hold")
        for _ in range(3):
            block.run("storm", 3, 2)
        probe.process.send_signal(signal.SIGCONT)
        programs.wait_for(lambda: {pid for pid, _ in self.agree(probe, block.id)[block.id]} ==
                          {held.pid}, "one is left")

    def test_a_block_that_is_removed_and_ensured_again_is_another_one(self) -> None:
        block = self.block()
        probe = self.probe(f"block:{block.id}")
        self.agree(probe, block.id)
        block.odd("hold")
        self.agree(probe, block.id)
        self.assertTrue(block.remove()["ok"])
        self.assertEqual(probe.until_call("block-removed", block.id)[2], "removed")
        self.assertEqual(self.agree(probe, block.id), {})
        block.ensured = self.control("ensure_tracker", block_id=block.id)
        held = block.odd("hold")
        programs.wait_for(lambda: self.agree(probe, block.id)[block.id], "somebody is in it again")
        self.assertEqual({pid for pid, _ in probe.told[block.id]}, {held.pid})
        self.assertEqual(probe.counts["gaps"], 0)

    def test_a_star_scope_has_all_blocks_that_come_and_go(self) -> None:
        blocks = [self.block(self.new_id("star")), self.block(self.new_id("other"))]
        others = set(self.control("list_all_blocks")["block_ids"]) - {block.id for block in blocks}
        probe = self.probe("block:*")
        self.agree(probe, *others, *(block.id for block in blocks))
        blocks.append(self.block(self.new_id("star")))
        held = {block.id: block.odd("hold").pid for block in blocks}
        def all_are_there() -> bool:
            picture = self.agree(probe, *others, *held)
            return all([pid for pid, _ in picture[block_id]] == [pid_held]
                       for block_id, pid_held in held.items())
        programs.wait_for(all_are_there, "each block has its member")
        for block in blocks:
            block.remove()
        self.assertEqual(set(self.agree(probe, *others, *held)), others)
        lists = probe.counts["lists"]
        for block in blocks:
            block.watch.until_event("block-mark", seq=block.watch.until_event("block-removed").data["seq"])
        self.agree(probe, *others)
        self.assertEqual((probe.counts["lists"], probe.counts["gaps"]), (lists, 0), "what is known asks for nothing")

    def test_it_says_that_it_is_stale_while_the_broker_hangs_and_goes_on_when_it_does(self) -> None:
        block = self.block()
        held = block.odd("hold")
        for scope in (f"block:{block.id}", "block:*"):
            with self.subTest(scope=scope):
                probe = Probe(self, self.broker, scope, check_ms=100, timeout_ms=300)
                probe.until_call("state", "current")
                others = set(self.control("list_all_blocks")["block_ids"]) if scope == "block:*" else set()
                with stopped(self.broker.process.pid):
                    told = probe.until_call("state", "stale")
                    self.assertRegex(" ".join(told), r"no answer from ipc:\S+/\w+ in 300 ms")
                    self.assertIn(held.pid, {pid for pid, _ in probe.dump()[1][block.id]}, "it shows what it knew")
                probe.until_call("state", "current")
                self.agree(probe, block.id, *others)

    def test_it_finds_the_broker_that_takes_the_place_of_a_killed_one(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("only cgroups outlive a broker")
        broker = Broker(feed=feed_wanted(), **self.options)
        self.addCleanup(broker.destroy)
        broker.start()
        told = broker.control("ensure_tracker", block_id="kept")
        odds = [Odd("hold", procs_path=told["procs_path"]) for _ in range(2)]
        for odd in odds:
            self.addCleanup(odd.close)
        for scope in ("block:kept", "block:**"):
            with self.subTest(scope=scope):
                self.survive(self.probe(scope, broker), broker, odds)

    def survive(self, probe: Probe, broker: Broker, odds: list[Odd]) -> None:
        programs.wait_for(lambda: len(self.agree(probe, "kept", broker=broker)["kept"]) == len(odds),
                          "all are there")
        broker.process.kill()
        broker.process.wait()
        probe.until_call("state", "stale")
        odds.pop().process.kill()
        broker.start()
        probe.until_call("state", "current")
        picture = self.agree(probe, "kept", broker=broker)
        self.assertEqual({pid for pid, _ in picture["kept"]}, {odd.pid for odd in odds})
        self.assertEqual(probe.counts["reconnects"], 1)
        # Who was there before and after is neither gone nor added.
        added = [call for call in probe.calls if call[0] == "added" and int(call[2]) in
                 {odd.pid for odd in odds}]
        self.assertEqual(len(added), len(odds))
