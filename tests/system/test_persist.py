# SPDX-License-Identifier: Apache-2.0
"""Process events kept for late readers: the option `persist` of the module."""

from __future__ import annotations

from typing import Any

from blackbox.broker import Broker, NotStarted
from blackbox.case import SystemCase, feed_wanted


class PersistCase(SystemCase):
    """What a reader finds that was not there when it happened."""

    def exited(self, scope: str, maxitems: int = 4096) -> list[dict[str, Any]]:
        """The ends that are kept, each held against its schema."""
        events = self.broker.rpc("eventreadhistory", event="agent:process-exited", scope=scope,
                                 maxitems=maxitems)["events"]
        for event in events:
            self.broker.schemas.check("agent.process-exited", event["data"])
        return events

    def pids(self, scope: str, maxitems: int = 4096) -> list[int]:
        return [event["data"]["pid"] for event in self.exited(scope, maxitems)]


class Kept(PersistCase):
    """persist=3: the newest three of each event, for each block and for all."""

    options = {"persist": 3}

    def test_a_late_reader_finds_the_newest_three_oldest_first(self) -> None:
        block = self.block()
        ended = block.come_and_go(5)
        self.assertEqual(self.pids(f"block:{block.id}"), ended[-3:])
        self.assertEqual(self.pids(""), ended[-3:])
        self.assertEqual(self.pids(f"block:{block.id}", maxitems=2), ended[-2:])

    def test_it_finds_them_as_they_were_published(self) -> None:
        block = self.block()
        block.come_and_go(2)
        kept = self.exited(f"block:{block.id}")
        sent = [event.body for event in block.watch.named("process-exited")]
        self.assertEqual(kept, sent)
        self.assertEqual([event["persist"] for event in kept], [3, 3])

    def test_blocks_share_nothing_but_the_scope_of_all(self) -> None:
        one, other = self.block(), self.block()
        of_one = one.come_and_go(2)
        of_other = other.come_and_go(2)
        self.assertEqual(self.pids(f"block:{one.id}"), of_one)
        self.assertEqual(self.pids(f"block:{other.id}"), of_other)
        self.assertEqual(self.pids(""), [of_one[1], *of_other])
        self.assertEqual(self.pids("block:*"), [], "stars are no wildcards here")

    def test_each_event_is_kept_for_itself(self) -> None:
        block = self.block()
        ended = block.come_and_go(4)
        added = self.broker.rpc("eventreadhistory", event="agent:process-added",
                                scope=f"block:{block.id}", maxitems=4096)["events"]
        self.assertEqual([event["data"]["process"]["pid"] for event in added], ended[-3:])

    def test_what_a_block_did_can_be_read_when_it_is_gone(self) -> None:
        block = self.block()
        ended = block.come_and_go(1)
        block.remove()
        self.assertEqual(self.pids(f"block:{block.id}"), ended)


class NotKept(PersistCase):
    """Without the option nothing is kept."""

    def test_nothing_is_kept_by_default(self) -> None:
        block = self.block()
        block.come_and_go(1)
        self.assertEqual(self.pids(f"block:{block.id}"), [])
        self.assertEqual(self.pids(""), [])
        self.assertNotIn("persist", block.watch.named("process-exited")[0].body)


class Values(PersistCase):
    """What the option takes."""

    def with_persist(self, value: str) -> Broker:
        broker = Broker(feed=feed_wanted(), persist=value)
        self.addCleanup(broker.destroy)
        return broker

    def test_the_ends_of_its_range_are_taken(self) -> None:
        for value in ("0", "4096"):
            broker = self.with_persist(value)
            broker.start()
            broker.stop()

    def test_what_is_no_number_of_events_is_refused_with_what_is(self) -> None:
        for value in ("4097", "-1", "many", "", "3.5", "18446744073709551616"):
            with self.subTest(value), self.assertRaises(NotStarted) as refused:
                self.with_persist(value).start()
            self.assertIn(f"option persist: '{value}' is not a whole number from 0 to 4096",
                          str(refused.exception))
            self.assertIn("wpsd ended with 3", str(refused.exception))
