# SPDX-License-Identifier: Apache-2.0
"""Where there is no room for events: the registry goes on, what could not be told is counted, and readers
learn that they missed something as soon as there is room. Who does not read is the only one who loses."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import Any

from blackbox import intrude, programs
from blackbox.case import Block, SystemCase
from blackbox.mirror import Mirror
from blackbox.programs import Odd

QUEUE = 50
#: A subscriber that takes nothing: it says so when it is subscribed, and sleeps.
DEAF = """
import sys, time, zmq
socket = zmq.Context.instance().socket(zmq.SUB)
socket.rcvhwm = 1
socket.connect(sys.argv[1])
socket.subscribe(b"")
socket.recv_multipart()
print("subscribed", flush=True)
sys.stdin.read()
"""


class Readers(SystemCase):
    """What all here need."""

    def setUp(self) -> None:
        if not self.tells_all:
            self.skipTest("a scan sees too little of a storm to fill anything")
        super().setUp()

    def counted(self, service: str, name: str) -> int:
        if service == "rpc":
            return self.broker.rpc("brokerinfo")["counters"][name]
        return self.control("stats")["counters"][name]

    def storm(self, block: Block, *life: object) -> Odd:
        """A life that begins when it is told to."""
        odd = block.odd("exec-later", Odd.path, *life)
        block.watch.until_added(odd.pid)
        return odd


class FullQueue(Readers):
    """The broker takes no event for a while: its thread stands still, or is slower than the storm."""

    wpsd = {"queue-events": QUEUE, "send-at-once": "no"}

    def unpublished(self) -> int:
        return self.counted("control", "unpublished")

    def all_agree(self, block_id: str, mirror: Mirror) -> None:
        here, there = mirror.compared()
        self.assertEqual(here, there)

    def resyncs(self, subscriber: Any, topic: str, until_seq: int) -> list[str]:
        """The reasons that came, up to a number."""
        reasons, end = [], time.monotonic() + programs.DEADLINE
        while time.monotonic() < end:
            event = subscriber.next(0.1)
            if event is None or event.topic != topic:
                continue
            if event.name == "agent:block-resync":
                reasons.append(event.data["reason"])
            if event.data["seq"] >= until_seq:
                return reasons
        self.fail(f"number {until_seq} does not come")

    def test_what_the_broker_cannot_take_is_counted_and_told_when_there_is_room(self) -> None:
        block = self.block()
        odd = self.storm(block, "spawn", 100, Odd.path, "hold")
        mirror = Mirror(self.broker.subscriber(), self.control, block.id)
        raw = self.broker.subscriber()
        raw.subscribe(f"block:{block.id}")
        refused, unpublished = self.counted("rpc", "events_refused"), self.unpublished()
        with intrude.held(self.broker.pid):  # its first thread, that has the sockets
            odd.say()
            odd.until("ready", times=100)
            # The registry does not wait: it is asked while nothing can be told.
            programs.wait_for(lambda: len(block.listed()) == 101, "all are listed")
            programs.wait_for(lambda: self.unpublished() > unpublished, "counted")
        mirror.until(lambda: len(mirror.picture.processes) == 101, "the mirror has them all")
        self.all_agree(block.id, mirror)
        self.assertGreater(mirror.repairs, 0, "it saw a gap")
        seq = self.control("list_block", block_id=block.id)["seq"]
        self.assertEqual(set(self.resyncs(raw, f"block:{block.id}", seq)), {"unpublished"})
        self.assertGreater(self.counted("rpc", "events_refused"), refused)
        odd.finish()
        mirror.until(lambda: not mirror.picture.processes, "empty")

    def test_a_block_that_goes_while_nothing_can_be_told_is_told_removed(self) -> None:
        block, other = self.block(), self.block()
        odd, before = self.storm(other, "spawn", 100, Odd.path, "hold"), self.unpublished()
        mirror = Mirror(self.broker.subscriber(), self.control, block.id)
        with intrude.held(self.broker.pid):  # its first thread, that has the sockets
            odd.say()
            odd.until("ready", times=100)
            programs.wait_for(lambda: self.unpublished() > before, "full")
            ask = self.broker.ask()
            with contextlib.suppress(AssertionError):  # it is answered behind the event
                ask.ask("remove", {"block_id": block.id}, timeout=0.3)
            ask.close()
        mirror.until(lambda: mirror.picture.epoch is None, "removed")
        self.assertEqual(mirror.repairs, 0)
        odd.finish()

    def test_a_storm_that_the_broker_is_too_slow_for_ends_in_agreement(self) -> None:
        blocks = [self.block() for _ in range(2)]
        mirrors = [Mirror(self.broker.subscriber(), self.control, block.id) for block in blocks]
        before = self.unpublished()
        storms = [self.storm(block, "storm", 8, 3) for block in blocks]
        with intrude.stopped(self.broker.pid):  # what it then drains at once is more than the queue
            for odd in storms:
                odd.say()
                self.assertEqual(odd.finish(), 0)
        for block, mirror in zip(blocks, mirrors, strict=True):
            mirror.until(lambda b=block, m=mirror: not b.listed() and not m.picture.processes, "empty")
            self.all_agree(block.id, mirror)
        self.assertGreater(self.unpublished(), before)


class SentAtOnce(Readers):
    """What need not wait for the broker's thread."""

    def test_while_the_brokers_thread_stands_still_events_go_out(self) -> None:
        block = self.block()
        odd = self.storm(block, "spawn", 3, Odd.path, "hold")
        with intrude.held(self.broker.pid):  # its first thread, that has the sockets
            odd.say()
            children = {told["pid"] for told in odd.until("ready", times=3)}
            for pid in children:
                block.watch.until_added(pid)


class Deaf(Readers):
    """Subscribers that never read."""

    wpsd = {"subscriber-queue": 2000}

    def deaf(self) -> subprocess.Popen[bytes]:
        process = programs.spawn([sys.executable, "-c", DEAF, self.broker.endpoint("events")],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        os.set_blocking(process.stdout.fileno(), False)

        def subscribed() -> bytes | None:
            self.broker.rpc("eventpublish", event="test:wake", scopes=["test:wake"])
            return process.stdout.read()
        programs.wait_for(subscribed, "the deaf one is subscribed")
        return process

    def bytes_enough(self, block: Block) -> None:
        """Storms until the queue of who does not read has run over."""
        before = self.counted("rpc", "subscriber_overflows")
        for _ in range(20):
            odd = self.storm(block, "storm", 8, 3)
            odd.say()
            self.assertEqual(odd.finish(), 0)
            block.check_ends(odd)
            if self.counted("rpc", "subscriber_overflows") > before:
                return
        self.fail("nobody's queue ran over")

    def nobody_else_noticed(self, block: Block) -> None:
        """The law holds every number that came against the one before."""
        block.watch.catch_up()
        self.assertEqual(block.watch.named("block-resync"), [])
        self.assertEqual(self.counted("control", "unpublished"), 0)
        self.assertEqual(block.listed(), {})

    def test_one_that_never_reads_changes_nothing_for_others(self) -> None:
        self.deaf()
        block = self.block()
        self.bytes_enough(block)
        self.nobody_else_noticed(block)

    def test_one_that_stands_still_changes_nothing_for_others(self) -> None:
        process, block = self.deaf(), self.block()
        with intrude.stopped(process.pid):
            self.bytes_enough(block)
            self.nobody_else_noticed(block)

    def test_one_that_dies_unread_changes_nothing_for_others(self) -> None:
        process, block = self.deaf(), self.block()
        with intrude.stopped(process.pid):
            self.bytes_enough(block)
            process.kill()
        process.wait()
        odd, _ = block.run("exit", 3)
        block.check_end(odd.pid, ("exit_code", 3))
        self.nobody_else_noticed(block)
