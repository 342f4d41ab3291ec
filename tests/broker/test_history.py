# SPDX-License-Identifier: Apache-2.0
"""What late readers get: the rules of wps, by cases and against a slow and obvious model."""

import random
import time
import unittest

import msgpack
import zmq

from wpsd import DEADLINE, BrokerTest


class Model:
    """wps's rules, word by word: keep under each scope and under "", trim to the event's own n."""

    def __init__(self):
        self.kept = {}

    def publish(self, event):
        n = min(event.get("persist", 0), 4096)
        if n <= 0:
            return
        for scope in {*event["scopes"], ""}:
            kept = self.kept.setdefault((event["event"], scope), [])
            kept.append(event["data"])
            del kept[:-n]

    def read(self, event, scope, maxitems):
        return self.kept.get((event, scope), [])[-maxitems:] if maxitems > 0 else []


class History(BrokerTest):
    def setUp(self):
        super().setUp()
        self.wpsd = self.broker(*self.arguments())

    def arguments(self):
        return []

    def keep(self, persist, scopes, data, event="e"):
        self.publish(event, scopes, persist=persist, data=data)

    def read(self, event="e", scope="", maxitems=4096):
        reply = self.ask_ok("eventreadhistory",
                            {"event": event, "scope": scope, "maxitems": maxitems})
        return [item["data"] for item in reply["events"]]


class Rules(History):
    def test_nothing_is_kept_that_did_not_ask_for_it(self):
        self.keep(0, ["a"], 1)
        self.publish("e", ["a"], data=2)
        self.assertEqual(self.read(), [])

    def test_it_is_kept_under_each_scope_and_under_all(self):
        self.keep(5, ["a", "b"], 1)
        self.keep(5, ["b"], 2)
        self.keep(5, [], 3)
        self.assertEqual(self.read(scope="a"), [1])
        self.assertEqual(self.read(scope="b"), [1, 2])
        self.assertEqual(self.read(), [1, 2, 3])

    def test_events_come_oldest_first_and_maxitems_takes_the_newest(self):
        for i in range(10):
            self.keep(10, ["a"], i)
        self.assertEqual(self.read(scope="a", maxitems=3), [7, 8, 9])
        self.assertEqual(self.read(scope="a", maxitems=0), [])

    def test_the_newest_events_n_decides(self):
        for i in range(10):
            self.keep(10, ["a"], i)
        self.keep(3, ["a"], 10)
        self.assertEqual(self.read(scope="a"), [8, 9, 10])
        self.keep(5, ["a"], 11)  # what is gone does not come back
        self.assertEqual(self.read(scope="a"), [8, 9, 10, 11])

    def test_a_small_n_in_one_scope_shortens_what_all_share(self):
        for i in range(4):
            self.keep(4, ["a"], i)
        self.keep(1, ["b"], 9)
        self.assertEqual(self.read(scope="a"), [0, 1, 2, 3])
        self.assertEqual(self.read(), [9])

    def test_the_empty_scope_given_counts_once(self):
        self.keep(5, ["", "a"], 1)
        self.assertEqual(self.read(), [1])

    def test_stars_are_no_wildcards_here(self):
        self.keep(5, ["a:b"], 1)
        self.assertEqual(self.read(scope="a:*"), [])
        self.keep(5, ["a:*"], 2)
        self.assertEqual(self.read(scope="a:*"), [2])

    def test_n_is_at_most_4096(self):
        for i in range(4100):
            self.keep(1000000, ["a"], i)
        self.assertEqual(self.read(scope="a", maxitems=10**6), list(range(4, 4100)))

    def test_names_do_not_run_into_each_other(self):
        self.keep(5, ["b"], 1, event="a")
        self.keep(5, [""], 2, event="ab")
        self.keep(5, ["\0b"], 3, event="a")
        self.assertEqual(self.read("a", "b"), [1])
        self.assertEqual(self.read("ab", ""), [2])
        self.assertEqual(self.read("a", "\0b"), [3])

    def test_what_is_kept_is_the_whole_event(self):
        event = {"event": "e", "scopes": ["a", "b"], "sender": "me", "persist": 2, "data": {"x": 1}}
        self.ask_ok("eventpublish", event)
        reply = self.ask_ok("eventreadhistory", {"event": "e", "scope": "a", "maxitems": 1})
        self.assertEqual(reply["events"], [event])

    def test_a_request_without_event_or_maxitems_is_refused(self):
        for data in (None, {}, {"event": "e"}, {"maxitems": 1}, {"event": 1, "maxitems": 1},
                     {"event": "e", "maxitems": -1}, {"event": "e", "maxitems": "x"}):
            self.assert_refused(self.ask("eventreadhistory", data), "invalid_argument", "data")

    def test_an_unknown_event_has_no_history(self):
        self.assertEqual(self.read("never"), [])

    def test_random_events_give_what_the_model_gives(self):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        model = Model()
        names, scopes = ["e", "f"], ["a", "b", "a:b", "", "*"]
        for i in range(3000):
            event = {"event": chance.choice(names), "data": i,
                     "scopes": chance.sample(scopes, chance.randint(0, 3))}
            if chance.random() < 0.8:
                event["persist"] = chance.choice([0, 1, 2, 3, 10, 50])
            self.ask_ok("eventpublish", event)
            model.publish(event)
            if i % 10 == 0:
                question = (chance.choice(names), chance.choice(scopes),
                            chance.choice([0, 1, 5, 99]))
                self.assertEqual(self.read(*question), model.read(*question), (seed, i, question))


class Bounds(History):
    def arguments(self):
        return ["--history-bytes=100K", "--history-lists=10", "--reply-bytes=64K"]

    def test_the_oldest_are_forgotten_first_when_there_is_no_room(self):
        for i in range(100):
            self.keep(1000, ["a"], [i, "x" * 5000])
        kept = [data[0] for data in self.read(scope="a", maxitems=10)]
        self.assertEqual(kept, list(range(90, 100)))
        self.assertGreater(self.counters()["history_evicted"], 0)
        info = self.ask_ok("brokerinfo")
        self.assertLessEqual(info["gauges"]["history_bytes"], 100 * 1024)

    def test_a_peer_cannot_make_lists_without_end(self):
        for i in range(1000):
            self.keep(5, [f"s:{i}"], i)
        self.assertEqual(self.read(scope="s:999"), [999])
        self.assertEqual(self.read(scope="s:0"), [])
        self.assertLessEqual(self.ask_ok("brokerinfo")["gauges"]["history_events"], 10)

    def test_a_reply_that_would_be_too_great_is_refused_with_advice(self):
        for i in range(15):
            self.keep(1000, ["a"], "x" * 6000)
        reply = self.ask("eventreadhistory", {"event": "e", "scope": "a", "maxitems": 15})
        self.assert_refused(reply, "limit", "maxitems")
        self.assertEqual(len(self.read(scope="a", maxitems=5)), 5)

    def test_one_event_greater_than_all_room_is_not_kept(self):
        self.keep(1, ["a"], "x" * 60000)
        self.keep(1, ["b"], "x" * 60000)
        self.assertEqual(len(self.read(scope="b")), 1)
        self.assertEqual(self.read(scope="a"), [])


class Greed(History):
    def arguments(self):
        return ["--unsent-bytes=5M", "--linger-ms=0"]

    def test_a_client_that_asks_for_much_and_reads_nothing_does_not_fill_memory(self):
        for i in range(16):
            self.keep(1000, ["a"], "x" * 60000)
        question = {"event": "e", "scope": "a", "maxitems": 16}
        deaf = self.connect(zmq.DEALER, self.wpsd.endpoint("rpc"), rcvhwm=1, sndhwm=0)
        before = self.counters()["requests"]
        for _ in range(500):
            deaf.send_multipart([b"", msgpack.packb({"command": "eventreadhistory",
                                                     "data": question})])
        self.wait_counter("requests", before + 500)
        gauges = self.ask_ok("brokerinfo")["gauges"]
        self.assertLess(gauges["unsent_bytes"], 7 * 1024 * 1024)
        self.assert_refused(self.ask("eventreadhistory", question), "limit")
        deaf.close(0)  # with it goes what it did not read
        until = time.monotonic() + DEADLINE
        while "error" in self.ask("eventreadhistory", question):
            self.assertLess(time.monotonic(), until)


if __name__ == "__main__":
    unittest.main()
