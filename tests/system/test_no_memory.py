# SPDX-License-Identifier: Apache-2.0
"""Each allocation of the broker and of the module fails once, one after the other, at each thing that they do.

For n = 1, 2, 3 and so on, until nothing fails any more: the n-th allocation of a moment gives nothing. What was asked
for is answered, well or with an error that says so; what happened to processes is told in the end; the broker serves
on, and has no descriptor more than before. Only what our own code asks for fails (tests/programs/fail_alloc.c).

PROCTRACK_ALLOC_STEP: every so many n only (15); 1 is all of them, which is run class by class:
    for case in Requests Events Commands Starts; do
        PROCTRACK_ALLOC_STEP=1 PROCTRACK_CASE=$case ctest --test-dir build -R system.no_memory -V
    done
PROCTRACK_ALLOC_SEED: which ones these are, where it is more than 1.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import unittest
from typing import Any, Callable, Iterator

from blackbox import intrude, programs
from blackbox.broker import Broker
from blackbox.case import Block, SystemCase, feed_wanted
from blackbox.memory import Allocator
from blackbox.mirror import Mirror
from blackbox.programs import Odd
from blackbox.wire import DEADLINE, NoReply, Refused
from test_mirror import truth

STEP = int(os.environ.get("PROCTRACK_ALLOC_STEP", "15"))
SEED = int(os.environ.get("PROCTRACK_ALLOC_SEED", "0"))
LOST = "a reply is lost: no memory"
MOST = 3000  # allocations of one moment


def numbers(seed: object) -> Iterator[int]:
    """The n that are tried."""
    first = random.Random(f"{SEED} {seed}").randrange(1, STEP + 1)
    return iter(range(first, MOST, STEP))


class MemoryCase(SystemCase):
    """A broker whose memory runs out when a test says so."""

    memory: Allocator

    @classmethod
    def setUpClass(cls) -> None:
        if os.environ.get("PROCTRACK_SANITIZE") or not os.path.exists(os.environ.get("PROCTRACK_FAIL_ALLOC", "")):
            raise unittest.SkipTest("a sanitizer has an allocator of its own")
        cls.memory = Allocator("wpsd", "proctrack.so")
        cls.addClassCleanup(cls.memory.close)
        cls.addClassCleanup(cls.tell)
        os.environ.update(cls.memory.environment)
        try:
            super().setUpClass()
        finally:
            for name in cls.memory.environment:
                os.environ.pop(name)

    @classmethod
    def tell(cls) -> None:
        memory = cls.memory
        print(f"        {cls.__name__}: {memory.moments} moments, {memory.injected} allocations failed, "
              f"at {len(memory.sites())} places", flush=True)

    @contextlib.contextmanager
    def failing(self, nth: int, from_then_on: bool = False) -> Iterator[list[int]]:
        """In the body memory runs out; then the list has how often."""
        injected: list[int] = []
        self.memory.arm(nth, from_then_on)
        try:
            yield injected
        finally:
            injected.append(self.memory.disarm())

    def descriptors(self) -> int:
        """Of the broker, connected to us."""
        self.control("describe")
        self.broker.rpc("brokerinfo")
        return len(intrude.descriptors(self.broker.pid))

    def check_serves(self, before: int) -> None:
        """The broker is there, and has let go of all that it took."""
        self.assertTrue(self.broker.is_alive(), self.broker.log())
        programs.wait_for(lambda: self.descriptors() <= before, f"not more than {before} descriptors")


#: Of each command: what it is asked with; "pid" is a member that is started, "block" an id.
CONTROL: dict[str, dict[str, Any]] = {
    "describe": {}, "list_block": {"block_id": "block"}, "list_all_blocks": {}, "confidence_of": {"block_id": "block"},
    "stats": {}, "ensure_tracker": {"block_id": "new"}, "assign_process": {"block_id": "block", "pid": "outside"},
    "kill_pid": {"block_id": "block", "pid": "pid"}, "kill_tree": {"block_id": "block"},
    "kill_started": {"block_id": "block"}, "signal_tree": {"block_id": "block", "signal": 0 + signal.SIGCONT},
    "stop_tree": {"block_id": "block", "grace_ms": 50, "timeout_ms": 2000},
    "wait_empty": {"block_id": "block", "timeout_ms": 1}, "freeze": {"block_id": "block"},
    "thaw": {"block_id": "block"}, "remove": {"block_id": "block"}}
ENDING = ("kill_pid", "kill_tree", "kill_started", "stop_tree", "remove")
DETAILED = ("list_block", "list_all_blocks")
RPC: dict[str, dict[str, Any]] = {
    "brokerinfo": {}, "eventpublish": {"event": "test:kept", "scopes": ["a", "b"], "persist": 3, "data": {"x": [1, "y"]}},
    "eventreadhistory": {"event": "test:kept", "scope": "a", "maxitems": 10}}


class Requests(MemoryCase):
    """Exactly one reply: what was asked for, or `internal` and a sentence that says that there is no memory."""

    def ask(self, service: str, command: str, data: dict[str, Any]) -> str:
        """What came of it, in a word."""
        lost = self.broker.log().count(LOST)
        try:
            (self.control if service == "control" else self.broker.rpc).ask(command, data, timeout=DEADLINE / 3)
        except NoReply:
            if self.broker.log().count(LOST) == lost:
                raise
            return "lost"
        except Refused as refusal:
            self.assertEqual(refusal.errorcode, "internal", refusal.sentence)
            self.assertRegex(refusal.sentence, "(?i)memory")
            return "refused"
        return "done"

    def filled(self, data: dict[str, Any], block: Block, odd: Odd | None) -> dict[str, Any]:
        outside = None
        if "outside" in data.values():
            outside = Odd("hold")
            self.addCleanup(outside.close)
            outside.until("ready")
        words = {"block": block.id, "new": self.new_id("new"), "pid": odd and odd.pid, "outside": outside and outside.pid}
        return {key: words.get(value, value) if isinstance(value, str) else value for key, value in data.items()}

    def each(self, service: str, command: str, data: dict[str, Any]) -> None:
        changes = command in ENDING or command in ("assign_process", "ensure_tracker")
        block, odd = self.populated() if service == "control" and not changes else (None, None)
        for nth in numbers((command, len(data))):
            with self.subTest(command=command, nth=nth):
                before = self.descriptors()
                if changes:
                    block, odd = self.populated()
                filled = self.filled(data, block, odd) if service == "control" else data
                with self.failing(nth) as injected:
                    came = self.ask(service, command, filled)
                if came != "done":
                    self.assertEqual(self.ask(service, command, filled), "done", "with memory it can be had")
                if command in ("kill_tree", "stop_tree", "remove"):
                    programs.wait_for(lambda: not programs.is_running(odd.pid), "it is ended, as was said")
                if changes:
                    self.clear(block, odd, filled["block_id"])
                self.check_serves(before)
            if injected == [0]:
                break
        if service == "control" and not changes:
            self.clear(block, odd, block.id)

    def populated(self) -> tuple[Block, Odd]:
        block = self.block()
        odd = block.odd("spawn", 1, Odd.path, "hold")
        odd.until("ready", times=1)
        programs.wait_for(lambda: len(block.listed()) == 2, "both are listed")
        return block, odd

    def clear(self, block: Block, odd: Odd, named: str) -> None:
        """Whatever became of it: it can be removed, and then it is gone."""
        if named != block.id:
            self.control("remove", block_id=named)
        with contextlib.suppress(Refused):
            self.control("thaw", block_id=block.id)
        if block.id in self.control("list_all_blocks")["block_ids"]:
            self.assertEqual(block.remove()["survivors"], [])
        programs.wait_for(lambda: not programs.is_running(odd.pid), "it is ended")
        odd.close()
        block.watch.close()

    def test_each_command_of_control(self) -> None:
        for command, data in CONTROL.items():
            self.each("control", command, data)
        for command in DETAILED:
            self.each("control", command, CONTROL[command] | {"detail": True})

    def test_each_command_of_rpc(self) -> None:
        for command, data in RPC.items():
            self.each("rpc", command, data)
        for _ in range(4):  # a reply so great that it is handed over, not copied
            self.broker.rpc("eventpublish", event="test:great", scopes=["a"], persist=4, data="x" * 30000)
        self.each("rpc", "eventreadhistory", {"event": "test:great", "scope": "a", "maxitems": 4})


class Events(MemoryCase):
    """What happens to processes while there is no memory is known in the end, and told."""

    options = {"poll_ms": 20}

    def agree(self, block: Block, mirror: Mirror) -> None:
        """Kernel, registry and mirror."""
        programs.wait_for(lambda: set(block.listed()) == truth(block), "registry and kernel agree")
        here, there = mirror.compared()
        self.assertEqual(here, there)

    def each(self, name: str, happen: Callable[[Block], Callable[[], None]], from_then_on: bool = False) -> None:
        """`happen` prepares, and gives back what is to happen while memory runs out."""
        for nth in numbers((name, from_then_on)):
            before, injected = self.descriptors(), [0]
            block, subscriber = self.block(), self.broker.subscriber()
            mirror = Mirror(subscriber, self.control, block.id)
            with self.subTest(happens=name, nth=nth, from_then_on=from_then_on):
                go = happen(block)
                self.agree(block, mirror)
                with self.failing(nth, from_then_on) as injected:
                    go()
                self.agree(block, mirror)
                self.assertEqual(block.remove()["survivors"], [])
                block.watch.close()
                subscriber.close()
                self.check_serves(before)
            if injected == [0]:
                break

    def lives(self, block: Block, *life: object) -> Callable[[], None]:
        """A member, known, that begins that life; all of it is over when it is."""
        odd = block.odd("exec-later", Odd.path, *life)
        block.watch.until_added(odd.pid)

        def go() -> None:
            odd.say()
            odd.finish()
        return go

    def holds(self, block: Block) -> Callable[[], None]:
        """A member has children that stay."""
        odd = block.odd("exec-later", Odd.path, "spawn", 3, Odd.path, "hold")
        block.watch.until_added(odd.pid)

        def go() -> None:
            odd.say()
            odd.until("ready", times=3)
            with contextlib.suppress(Refused):  # it goes through the same loop, behind what happened
                self.control("confidence_of", block_id=block.id)
        return go

    def assigned(self, block: Block) -> Callable[[], None]:
        odd = Odd("spawn", 2, Odd.path, "hold")
        self.addCleanup(odd.close)
        odd.until("ready", times=2)

        def go() -> None:
            with contextlib.suppress(Refused):
                block.assign(odd.pid)
        return go

    def moved(self, block: Block) -> Callable[[], None]:
        """From one sub-scope into another, by a request."""
        odd = block.odd("hold")
        odd.until("ready")
        block.watch.until_added(odd.pid)

        def go() -> None:
            with contextlib.suppress(Refused):
                block.assign(odd.pid, scope="bg/1")
        return go

    def test_births_execs_and_ends(self) -> None:
        self.each("spawn", lambda block: self.lives(block, "spawn", 2))
        self.each("exec", lambda block: self.lives(block, "exec-chain", 2))
        self.each("orphan", lambda block: self.lives(block, "double-fork"))

    def test_births_of_those_that_stay(self) -> None:
        self.each("hold", self.holds)

    def test_an_assignment(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("who is assigned has no tag: the kernel has no account of its own")
        self.each("assign", self.assigned)

    def test_a_move(self) -> None:
        if self.tracker == "cgroup":
            self.each("move", self.moved)

    def test_no_memory_at_all_for_as_long_as_a_tree_lives(self) -> None:
        self.each("spawn", lambda block: self.lives(block, "spawn", 2), from_then_on=True)

    def test_a_subscriber_joins(self) -> None:
        for nth in numbers("subscriber"):
            with self.subTest(nth=nth):
                joined = self.broker.subscriber()
                with self.failing(nth) as injected, contextlib.suppress(Refused):
                    joined.subscribe("block:any")
                joined.subscribe("block:any")
                joined.close()
            if not injected[0]:
                break


#: Words of `proctrack` that say what is so, and change nothing; BLOCK is one with two members.
SHOWN = ("ls", "ls --json", "ps BLOCK", "ps --json BLOCK", "stats", "stats --json", "wait --timeout=10ms BLOCK", "version")
#: And those that act on a block of their own.
ACTING = ("signal BLOCK CONT", "freeze BLOCK", "thaw BLOCK", "run --block BLOCK -- true", "kill BLOCK", "stop BLOCK",
          "rm BLOCK")


class Commands(SystemCase):
    """`proctrack`: it does what it is for, or says that there is no memory and ends with a status that says so."""

    def setUp(self) -> None:
        if os.environ.get("PROCTRACK_SANITIZE") or not os.path.exists(os.environ.get("PROCTRACK_FAIL_ALLOC", "")):
            self.skipTest("a sanitizer has an allocator of its own")
        super().setUp()
        self.memory = Allocator("proctrack")
        self.addCleanup(self.memory.close)

    def run_it(self, words: str, block: str) -> subprocess.CompletedProcess[str]:
        line = [os.environ["PROCTRACK_CLI"], *words.replace("BLOCK", block).split()]
        return subprocess.run(line, env=os.environ | self.memory.environment | {"WPS_RUNTIME_DIR": str(self.broker.runtime)},
                              text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=DEADLINE, check=False)

    def each(self, words: str) -> None:
        block = self.block()
        odd = block.odd("spawn", 1, Odd.path, "hold")
        odd.until("ready")
        programs.wait_for(lambda: len(block.listed()) == 2, "both are listed")
        well = self.run_it(words, block.id) if words in SHOWN else None
        for nth in numbers(words):
            if words in ACTING and block.id not in self.control("list_all_blocks")["block_ids"]:
                self.control("ensure_tracker", block_id=block.id)
            with self.subTest(words=words, nth=nth):
                self.memory.arm(nth)
                try:
                    ended = self.run_it(words, block.id)
                finally:
                    injected = self.memory.disarm()
                self.assertGreaterEqual(ended.returncode, 0, "it was ended by a signal")
                if "memory" not in ended.stderr.lower() and injected and well:
                    self.assertEqual((ended.returncode, len(ended.stdout.splitlines())),
                                     (well.returncode, len(well.stdout.splitlines())), ended.stderr)
                elif injected and well:
                    self.assertNotEqual(ended.returncode, 0, "it says that memory was missing, and that all is well")
                elif injected and ended.returncode not in (0, 1, 4):
                    self.assertRegex(ended.stderr, "(?i)memory")
            if not injected:
                break
        with contextlib.suppress(Refused):
            self.control("thaw", block_id=block.id)
        if block.id in self.control("list_all_blocks")["block_ids"]:
            block.remove()

    def test_what_shows(self) -> None:
        for words in SHOWN:
            self.each(words)
        self.tell()

    def test_what_acts(self) -> None:
        for words in ACTING:
            self.each(words)
        self.tell()

    def tell(self) -> None:
        print(f"        proctrack: {self.memory.moments} moments, {self.memory.injected} allocations failed, at "
              f"{len(self.memory.sites())} places", flush=True)


class Starts(unittest.TestCase):
    """It serves, or it says that there is no memory and ends, and leaves nothing."""

    def setUp(self) -> None:
        if os.environ.get("PROCTRACK_SANITIZE") or not os.path.exists(os.environ.get("PROCTRACK_FAIL_ALLOC", "")):
            self.skipTest("a sanitizer has an allocator of its own")

    def test_a_start(self) -> None:
        memory = Allocator("wpsd", "proctrack.so")
        self.addCleanup(memory.close)
        refused = served = 0
        for nth in numbers("start"):
            with self.subTest(nth=nth):
                broker = Broker(feed=feed_wanted(), environment=memory.environment)
                try:
                    memory.arm(nth)
                    started = self.starts(broker)
                    injected = memory.disarm()
                    served, refused = served + started, refused + (not started)
                    if started:
                        broker._end_in_order()
                    broker.check_nothing_left()
                finally:
                    memory.disarm()
                    broker.destroy()
            if not injected:
                break
        print(f"        starts: {memory.moments} moments, {memory.injected} allocations failed, at "
              f"{len(memory.sites())} places; served all the same {served}, refused {refused}", flush=True)
        self.assertGreater(refused, 3)

    def starts(self, broker: Broker) -> bool:
        try:
            broker.start()
        except Refused:  # it serves, and lacked memory for the first answer
            return True
        except AssertionError:
            status = broker.process.wait(DEADLINE)
            self.assertIn(status, (1, 2, 3), broker.log())
            self.assertRegex(broker.log(), "(?i)memory", "it says why")
            return False
        return True


if __name__ == "__main__":
    unittest.main()
