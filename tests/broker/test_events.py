# SPDX-License-Identifier: Apache-2.0
"""Events to subscribers: section 3 of the protocol, and subscribers that do not behave."""

import signal
import threading
import time
import unittest

import msgpack
import zmq

from wpsd import DEADLINE, PATIENCE, SANITIZED, BrokerTest, fixture


class Events(BrokerTest):
    def setUp(self):
        super().setUp()
        self.wpsd = self.broker()

    def test_an_event_goes_out_once_for_each_scope_with_all_scopes_in_it(self):
        sub = self.subscribe(self.wpsd, "")
        self.publish("e", ["b", "a:1", "c"], sender="me", persist=2, data=[1])
        for scope in ("b", "a:1", "c"):
            topic, event = self.next_event(sub)
            self.assertEqual(topic, scope)
            self.assertEqual(event, {"event": "e", "scopes": ["b", "a:1", "c"], "sender": "me",
                                     "persist": 2, "data": [1]})

    def test_an_event_without_scopes_has_the_empty_topic_and_no_empty_keys(self):
        sub = self.subscribe(self.wpsd, "")
        self.publish("e", [], sender="", persist=0)
        self.assertEqual(self.next_event(sub), ("", {"event": "e"}))

    def test_a_subscription_is_a_prefix_so_a_receiver_compares(self):
        sub = self.subscribe(self.wpsd, "block:1")
        self.publish("e", ["block:10"])
        self.publish("e", ["block:2"])
        self.publish("e", ["block:1"])
        self.assertEqual(self.next_event(sub)[0], "block:10")
        self.assertEqual(self.next_event(sub)[0], "block:1")

    def test_order_is_kept(self):
        sub = self.subscribe(self.wpsd, "s")
        for i in range(500):
            self.publish("e", ["s"], data=i)
        self.assertEqual([self.next_event(sub)[1]["data"] for _ in range(500)], list(range(500)))

    def test_what_subscribers_send_does_no_harm(self):
        sub = self.connect(zmq.XSUB, self.wpsd.endpoint("events"))
        for _ in range(300):
            sub.send_multipart([b"\x01", b"hello", b"x" * 400])
            sub.send(b"neither a subscription nor an end of one")
            sub.send(b"")
        self.ask_ok("brokerinfo")

    def test_a_subscription_that_is_no_topic_closes_only_its_own_connection(self):
        good = self.subscribe(self.wpsd, "s")
        bad = self.connect(zmq.XSUB, self.wpsd.endpoint("events"))
        monitor = bad.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        bad.send(b"\x01" + b"x" * 100000)
        self.assertTrue(monitor.poll(DEADLINE * 1000))
        bad.disable_monitor()
        monitor.close(0)
        self.assert_no_event(good, "s")


class SlowSubscribers(BrokerTest):
    def test_one_that_never_reads_takes_nothing_from_the_others(self):
        wpsd = self.broker("--subscriber-queue=100")
        deaf = self.subscribe(wpsd, "s", rcvhwm=1)
        good = self.subscribe(wpsd, "s", rcvhwm=0)
        filler = "x" * 10000
        for i in range(500):
            self.publish("e", ["s"], data=[i, filler])
            self.assertEqual(self.next_event(good)[1]["data"][0], i)
        self.assertGreater(self.counters()["subscriber_overflows"], 0)
        # The deaf one has the beginning, in order, as far as its queue went (a sync took some).
        got = [self.next_event(deaf)[1]["data"][0] for _ in range(90)]
        self.assertEqual(got, list(range(90)))

    def test_one_that_wakes_up_is_served_again(self):
        wpsd = self.broker("--subscriber-queue=10")
        slow = self.subscribe(wpsd, "s", rcvhwm=1)
        for i in range(1000):
            self.publish("e", ["s"], data=[i, "x" * 1000])
        self.assertGreater(self.counters()["subscriber_overflows"], 0)
        seen = -1
        until = time.monotonic() + DEADLINE
        while seen != "again":  # first what its queue held, then what is sent now
            self.assertLess(time.monotonic(), until)
            self.publish("e", ["s"], data=["again", ""])
            while slow.poll(5):
                seen = msgpack.unpackb(slow.recv_multipart()[1])["data"][0]

    def test_outside_publishers_wait_while_too_much_is_unread(self):
        wpsd = self.broker("--unsent-bytes=1M", "--linger-ms=0")
        deaf = self.subscribe(wpsd, "s", rcvhwm=1)
        until = time.monotonic() + DEADLINE
        while "error" not in (reply := self.ask(
                "eventpublish", {"event": "e", "scopes": ["s"], "data": "x" * 5000})):
            self.assertLess(time.monotonic(), until)
        self.assert_refused(reply, "limit")
        deaf.close(0)  # with it goes what it did not read
        while "error" in self.ask("eventpublish", {"event": "e"}):
            self.assertLess(time.monotonic(), until)


    def test_subscribers_that_come_and_go_under_fire_do_no_harm(self):
        wpsd = self.broker("--subscriber-queue=50")
        steady = self.subscribe(wpsd, "s", rcvhwm=0)
        failures, over = [], threading.Event()

        def come_and_go():
            try:
                while not over.is_set():
                    socket = self.zmq.socket(zmq.SUB)
                    socket.linger = 0
                    socket.subscribe("s")
                    socket.connect(wpsd.endpoint("events"))
                    socket.poll(5)
                    socket.close(0)  # whatever is on its way to it
            except Exception as failure:  # a thread's failure must reach the test
                failures.append(failure)

        threads = [threading.Thread(target=come_and_go) for _ in range(4)]
        for thread in threads:
            thread.start()
        for i in range(1500 // PATIENCE):
            self.publish("e", ["s"], data=i)
            self.assertEqual(self.next_event(steady)[1]["data"], i)
        over.set()
        for thread in threads:
            thread.join(DEADLINE)
        self.assertEqual(failures, [])


class Plugins(BrokerTest):
    def test_four_threads_of_a_plugin_keep_each_its_order(self):
        wpsd = self.broker("--plugin", fixture("many_threads"))
        sub = self.subscribe(wpsd, "thread:", rcvhwm=0)
        wpsd.signal(signal.SIGHUP)
        seen = {}
        while True:
            topic, event = self.next_event(sub)
            if event["event"] == "fixture:all-done":
                break
            self.assertEqual(event["data"], seen.get(topic, 0))
            seen[topic] = event["data"] + 1
        self.assertEqual(seen, {f"thread:{i}": 2000 for i in range(4)})
        self.assertEqual(self.wait_counter("events_accepted", 8001), 8001)

    def test_a_plugin_that_floods_is_refused_warned_once_and_never_blocked(self):
        wpsd = self.broker("--plugin", fixture("flood"), "--queue-events=500")
        sub = self.subscribe(wpsd, "flood:result")
        wpsd.signal(signal.SIGHUP)
        results = {}
        while len(results) < 3:
            _, event = self.next_event(sub)
            results[event["event"]] = event["data"]
        self.assertEqual(results["fixture:refused"], 1000)
        self.assertGreaterEqual(results["fixture:taken"], 500)
        if not SANITIZED:  # nor a machine so loaded that a thread waits this long for its turn
            self.assertLess(results["fixture:longest-us"], 500000)
        # An event may be on its way before its own thread has counted it.
        self.wait_counter("events_accepted", results["fixture:taken"] + 3)
        counters = self.counters()
        self.assertEqual(counters["events_accepted"], results["fixture:taken"] + 3)
        self.assertGreaterEqual(counters["events_refused"], 1000)
        self.assertEqual(wpsd.end(), 0)
        warnings = [line for line in wpsd.lines if "queue of events is full" in line]
        self.assertGreaterEqual(len(warnings), 1)
        self.assertLess(len(warnings), counters["events_refused"] / 10)

    def test_what_is_no_event_is_refused_with_einval(self):
        wpsd = self.broker("--plugin", fixture("bad_events"))
        self.assertIn("refused 0x3ff, good ones gave 0", wpsd.log())
        self.assertEqual(self.counters()["events_invalid"], 10)


if __name__ == "__main__":
    unittest.main()
