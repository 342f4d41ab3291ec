# SPDX-License-Identifier: Apache-2.0
"""The publish socket: what other services send, and what is dropped of it."""

import unittest

import msgpack
import zmq

from wpsd import DEADLINE, BrokerTest


class Publish(BrokerTest):
    def setUp(self):
        super().setUp()
        self.wpsd = self.broker()
        self.sub = self.subscribe(self.wpsd, "")
        self.pub = self.connected_pub()

    def connected_pub(self, **options):
        """A PUB socket of which it is known that the broker's subscription has reached it (an XPUB
        is one that is told so)."""
        pub = self.connect(zmq.XPUB, self.wpsd.endpoint("publish"), **options)
        self.assertTrue(pub.poll(DEADLINE * 1000))
        self.assertEqual(pub.recv(), b"\x01")
        return pub

    def send(self, topic, event, pub=None):
        (pub or self.pub).send_multipart([topic.encode(), msgpack.packb(event)])

    def assert_dropped(self, *frames):
        before = self.counters()["publish_dropped"]
        self.pub.send_multipart(frames)
        self.wait_counter("publish_dropped", before + 1)
        self.assert_no_event(self.sub, "marker")

    def test_a_good_event_reaches_subscribers(self):
        event = {"event": "e", "scopes": ["a"], "sender": "me", "data": {"x": 1}}
        self.send("a", event)
        self.assertEqual(self.next_event(self.sub), ("a", event))

    def test_one_without_scopes_has_the_empty_topic(self):
        self.send("", {"event": "e"})
        self.assertEqual(self.next_event(self.sub), ("", {"event": "e"}))

    def test_one_with_several_scopes_goes_out_for_each_of_them(self):
        self.send("b", {"event": "e", "scopes": ["a", "b"]})
        self.assertEqual([self.next_event(self.sub)[0] for _ in range(2)], ["a", "b"])

    def test_a_topic_that_is_no_scope_of_it_is_dropped(self):
        body = msgpack.packb({"event": "e", "scopes": ["block:1"]})
        for topic in (b"block:2", b"", b"block:10", b"block:", b"block:1\0"):
            self.assert_dropped(topic, body)
        self.assert_dropped(b"a", msgpack.packb({"event": "e"}))

    def test_the_names_of_plugins_are_dropped(self):
        self.assert_dropped(b"a", msgpack.packb({"event": "agent:block-added", "scopes": ["a"]}))

    def test_what_does_not_decode_is_dropped(self):
        for body in (b"", b"\xc1", b"\xdf\xff\xff\xff\xff", msgpack.packb([1]),
                     msgpack.packb({"scopes": ["a"]}), msgpack.packb({"event": 1}), b"\x91" * 1000,
                     msgpack.packb({"event": "e", "scopes": ["a"]}) + b"x"):
            self.assert_dropped(b"a", body)

    def test_one_with_a_str_that_is_not_utf8_is_dropped(self):
        for data in (b"\xff", {"k": [b"\xe2\x82"]}, {b"\xc1": 1}):
            self.assert_dropped(b"a", msgpack.packb({"event": "e", "scopes": ["a"], "data": data},
                                                    use_bin_type=False))

    def test_any_other_number_of_frames_is_dropped(self):
        body = msgpack.packb({"event": "e", "scopes": ["a"]})
        self.assert_dropped(b"a")
        self.assert_dropped(b"a", body, b"")
        self.assert_dropped(*[b"a"] * 2000)

    def test_one_that_is_too_great_closes_its_connection_alone(self):
        other = self.connected_pub()
        monitor = self.pub.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.pub.send_multipart([b"a", b"x" * (1024 * 1024 + 1)])
        self.assertTrue(monitor.poll(DEADLINE * 1000))
        self.pub.disable_monitor()
        monitor.close(0)
        self.send("a", {"event": "e", "scopes": ["a"]}, other)
        self.assertEqual(self.next_event(self.sub)[0], "a")

    def test_the_order_of_one_publisher_is_kept(self):
        for i in range(1000):
            self.send("a", {"event": "e", "scopes": ["a"], "data": i})
        self.assertEqual([self.next_event(self.sub)[1]["data"] for _ in range(1000)],
                         list(range(1000)))

    def test_what_is_published_here_can_be_persisted(self):
        self.send("a", {"event": "e", "scopes": ["a"], "persist": 1, "data": 1})
        self.next_event(self.sub)
        kept = self.ask_ok("eventreadhistory", {"event": "e", "scope": "a", "maxitems": 5})
        self.assertEqual([event["data"] for event in kept["events"]], [1])


if __name__ == "__main__":
    unittest.main()
