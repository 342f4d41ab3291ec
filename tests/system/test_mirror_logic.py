# SPDX-License-Identifier: Apache-2.0
"""The mirror against a world made up here: no broker, no processes."""

from __future__ import annotations

import random
import threading
import unittest
from typing import Any

import zmq

from blackbox.law import Law, Unlawful
from blackbox.mirror import Key, Mirror, Picture, mirrored
from blackbox.proxy import LossyProxy
from blackbox.wire import Ask, Event, Subscriber, pack, unpack


class World:
    """A block as a registry would have it: changes at random, and tells each change as an event."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.epoch: str | None = None
        self.seq = 0
        self.processes: dict[Key, dict[str, Any]] = {}
        self._newest: tuple[str, int] | None = None  # epoch and number of the newest event
        self._epochs = self._clock = 0

    def _event(self, name: str, **data: Any) -> Event:
        self.seq += 1
        assert self.epoch is not None
        self._newest = self.epoch, self.seq
        data |= {"block_id": "b", "epoch": self.epoch, "seq": self.seq}
        return Event("block:b", {"event": f"agent:{name}", "scopes": ["block:b"], "data": data})

    def change(self) -> Event:
        if self.epoch is None:
            self._epochs += 1
            self.epoch, self.seq = f"e{self._epochs}", 0
            return self._event("block-added")
        if not self.processes and self.random.random() < 0.1:
            event = self._event("block-removed", reason="removed")
            self.epoch, self.seq = None, 0
            return event
        what = self.random.random()
        if not self.processes or (what < 0.4 and len(self.processes) < 8):
            return self._add()
        key = self.random.choice(list(self.processes))
        if what < 0.6:
            record = dict(self.processes[key], command=f"program {self.random.random()}")
            self.processes[key] = record
            return self._event("process-exec", process=record)
        del self.processes[key]
        return self._event("process-exited", pid=key[0], started_at_ms=key[1])

    def _add(self) -> Event:
        self._clock += 1
        pid = self.random.choice([pid for pid in range(2, 20)
                                  if all(pid != other for other, _ in self.processes)])
        record = {"pid": pid, "started_at_ms": self._clock, "command": "new", "root": False,
                  "started": True, "scope": "main", "rss_bytes": self._clock}
        self.processes[pid, self._clock] = record
        return self._event("process-added", process=record)

    def mark(self) -> Event:
        """Of a block that is gone too."""
        assert self._newest is not None
        epoch, seq = self._newest
        return Event("block:b", {"event": "agent:block-mark", "data": {
            "block_id": "b", "epoch": epoch, "seq": seq}})

    def list(self) -> dict[str, Any]:
        reply: dict[str, Any] = {"tracked": self.epoch is not None,
                                 "processes": list(self.processes.values())}
        return reply | ({"epoch": self.epoch, "seq": self.seq} if self.epoch else {})

    def snapshot(self) -> dict[Key, dict[str, Any]]:
        return mirrored(list(self.processes.values()))


class PictureCases(unittest.TestCase):
    """The logic alone."""

    def setUp(self) -> None:
        self.world = World(7)
        self.picture = Picture()

    def fill(self, changes: int) -> None:
        for _ in range(changes):
            self.world.change()
        self.picture.list(self.world.list())

    def assert_whole(self) -> None:
        self.assertFalse(self.picture.needs_list)
        self.assertEqual(mirrored(list(self.picture.processes.values())), self.world.snapshot())

    def test_it_needs_a_list_to_begin_with(self) -> None:
        self.assertTrue(self.picture.needs_list)
        self.fill(20)
        self.assert_whole()

    def test_events_that_the_list_counts_change_nothing(self) -> None:
        events = [self.world.change() for _ in range(20)]
        self.picture.list(self.world.list())
        for event in events:
            self.picture.event(event)
        self.assert_whole()

    def test_events_behind_the_list_are_applied_in_order(self) -> None:
        self.fill(20)
        for _ in range(50):
            self.picture.event(self.world.change())
            self.assert_whole()

    def test_a_gap_asks_for_a_list(self) -> None:
        self.fill(5)
        self.world.change()
        self.picture.event(self.world.change())
        self.assertTrue(self.picture.needs_list)
        self.picture.list(self.world.list())
        self.assert_whole()

    def test_a_mark_ahead_asks_for_a_list_and_one_that_agrees_does_not(self) -> None:
        self.fill(5)
        self.picture.event(self.world.mark())
        self.assertFalse(self.picture.needs_list)
        self.world.change()
        self.picture.event(self.world.mark())
        self.assertTrue(self.picture.needs_list)

    def test_a_late_event_of_an_epoch_that_is_over_asks_for_one_list_and_no_more(self) -> None:
        old = self.world.change()
        self.world.epoch = "another"
        self.picture.event(old)
        self.picture.list(self.world.list())
        self.picture.event(old)
        self.assertFalse(self.picture.needs_list)

    def test_after_block_removed_a_new_epoch_needs_no_list(self) -> None:
        self.fill(1)
        while self.world.epoch is not None:
            self.picture.event(self.world.change())
        for _ in range(10):
            self.picture.event(self.world.change())
            self.assert_whole()

    def test_whatever_is_lost_the_picture_is_right_whenever_it_says_so(self) -> None:
        for seed in range(200):
            self.lose_at_random(seed)

    def lose_at_random(self, seed: int) -> None:
        """A reader behind a slow and lossy line; it asks for lists when it must."""
        world, picture, line = World(seed), Picture(), []
        moments: dict[tuple[str | None, int], Any] = {(None, 0): {}}
        for _ in range(400):
            event = world.change()
            if world.epoch is not None:
                moments[world.epoch, world.seq] = world.snapshot()
            if world.random.random() > 0.2:
                line.append(event)
            while line and world.random.random() < 0.5:
                picture.event(line.pop(0))
                if picture.needs_list:
                    picture.list(world.list())
                self.assertEqual(mirrored(list(picture.processes.values())),
                                 moments[picture.epoch, picture.seq], f"seed {seed}")


class LawCases(unittest.TestCase):
    """The law finds what must not be."""

    def law_after(self, *events: tuple[str, dict[str, Any]]) -> Law:
        law = Law("b")
        for seq, (name, data) in enumerate([("block-added", {}), *events], start=1):
            body = {"event": f"agent:{name}", "scopes": ["block:b"],
                    "data": {"block_id": "b", "epoch": "e", "seq": seq} | data}
            law.apply(Event("block:b", body))
        return law

    def record(self, pid: int, **more: Any) -> dict[str, Any]:
        return {"process": {"pid": pid, "started_at_ms": pid, "command": "x", "root": False,
                            "started": False, "scope": "main"} | more}

    def test_a_life_in_order_is_lawful(self) -> None:
        end = {"pid": 5, "started_at_ms": 5, "exit_code": 0}
        law = self.law_after(("process-added", self.record(5)), ("process-exec", self.record(5)),
                             ("process-exited", end))
        self.assertEqual(law.living(), {})

    def test_breaches_are_seen(self) -> None:
        end = {"pid": 5, "started_at_ms": 5}
        added = ("process-added", self.record(5))
        for what, events in {
                "added twice": (added, added),
                "ended twice": (added, ("process-exited", end), ("process-exited", end)),
                "exec after the end": (added, ("process-exited", end),
                                       ("process-exec", self.record(5))),
                "never added": (("process-exited", end),),
                "parent after child": (("process-added", self.record(9, parent_pid=5)), added),
                "a gap": (added, ("process-exited", end | {"seq": 9})),
                "two seqs": (added, ("process-exited", end | {"seq": 2})),
                "another epoch": (added, ("process-exited", end | {"epoch": "f"})),
                "removed with members": (added, ("block-removed", {})),
                "signal without core_dumped": (added, ("process-exited", end | {"signal": 9})),
        }.items():
            with self.subTest(what), self.assertRaises(Unlawful):
                self.law_after(*events)


class FakeBroker:
    """Events, rpc and control of one block, from a World: enough to test the sockets."""

    def __init__(self) -> None:
        self.world = World(3)
        self.lock = threading.Lock()
        self._context = zmq.Context.instance()
        self._events = self._context.socket(zmq.PUB)
        self._events.sndhwm = 0
        self._router = self._context.socket(zmq.ROUTER)
        port = self._events.bind_to_random_port("tcp://127.0.0.1")
        self.events = f"tcp://127.0.0.1:{port}"
        self.requests = f"tcp://127.0.0.1:{self._router.bind_to_random_port('tcp://127.0.0.1')}"
        self.deaf = 0  # so many requests are not answered
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)
        self._events.close(linger=0)
        self._router.close(linger=0)

    def step(self, mark: bool = False) -> None:
        with self.lock:
            event = self.world.mark() if mark else self.world.change()
            self._send("block:b", event.body)

    def _send(self, topic: str, body: dict[str, Any]) -> None:
        self._events.send_multipart([topic.encode(), pack(body)])

    def _serve(self) -> None:
        while not self._over.is_set():
            if self._router.poll(20):
                peer, empty, body = self._router.recv_multipart()
                if self.deaf:
                    self.deaf -= 1
                    continue
                self._router.send_multipart([peer, empty, pack(self._answer(unpack(body)))])

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            data: dict[str, Any] = {"routed": 1}
            if request["command"] == "eventpublish":
                self._send(request["data"]["scopes"][0], request["data"])
            else:
                data = self.world.list()
        return {"resid": request["reqid"], "data": data}


class SocketCases(unittest.TestCase):
    """The client against the fake."""

    def setUp(self) -> None:
        self.fake = FakeBroker()
        self.addCleanup(self.fake.close)
        self.rpc = Ask(self.fake.requests, "rpc", None)
        self.control = Ask(self.fake.requests, "control", None)
        self.addCleanup(self.rpc.close)
        self.addCleanup(self.control.close)

    def subscriber(self, endpoint: str) -> Subscriber:
        subscriber = Subscriber(endpoint, self.rpc, None)
        self.addCleanup(subscriber.close)
        return subscriber

    def test_asking_goes_on_after_a_reply_that_never_came(self) -> None:
        self.fake.deaf = 1
        with self.assertRaises(AssertionError):
            self.control.ask("list_block", {"block_id": "b"}, timeout=0.2)
        self.assertIn("processes", self.control("list_block", block_id="b"))

    def test_the_mirror_follows_a_line_without_loss_with_no_repair(self) -> None:
        mirror = Mirror(self.subscriber(self.fake.events), self.control, "b")
        for _ in range(300):
            self.fake.step()
        here, there = mirror.compared()
        self.assertEqual(here, there)
        self.assertEqual(mirror.repairs, 0)

    def test_the_mirror_repairs_itself_behind_a_lossy_line(self) -> None:
        proxy = LossyProxy(self.fake.events, f"inproc://lossy-{id(self)}", seed=5)
        self.addCleanup(proxy.close)
        mirror = Mirror(self.subscriber(proxy.endpoint), self.control, "b")
        proxy.loss = 0.3
        for _ in range(500):
            self.fake.step()
            mirror.pump(0.001)
        proxy.loss = 0.0
        self.fake.step(mark=True)
        here, there = mirror.compared()
        self.assertEqual(here, there)
        self.assertGreater(proxy.dropped, 50)
        self.assertGreater(mirror.repairs, 5)


if __name__ == "__main__":
    unittest.main()
