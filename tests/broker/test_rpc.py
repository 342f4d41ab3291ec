# SPDX-License-Identifier: Apache-2.0
"""Requests to the broker: sections 4 and 4.2 of the protocol."""

import os
import subprocess
import sys
import threading
import unittest

import msgpack
import zmq

from wpsd import DEADLINE, BrokerTest


def nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


class Requests(BrokerTest):
    def setUp(self):
        super().setUp()
        self.wpsd = self.broker()

    def test_brokerinfo_tells_name_version_endpoints_plugins_counters(self):
        info = self.ask_ok("brokerinfo")
        self.assertEqual(info["name"], "wpsd")
        self.assertRegex(info["version"], r"^\d+\.\d+")
        self.assertEqual(info["endpoints"], {name: self.wpsd.endpoint(name)
                                             for name in ("events", "publish", "rpc")})
        self.assertEqual(info["plugins"], [])
        self.assertTrue(all(isinstance(n, int) for n in info["counters"].values()))

    def test_reqid_comes_back_as_resid_whether_str_or_uint(self):
        for reqid in ("a", "", "ü" * 100, 0, 7, 2**64 - 1):
            reply = self.ask_raw(msgpack.packb({"command": "brokerinfo", "reqid": reqid}))
            self.assertEqual(reply["resid"], reqid)

    def test_without_reqid_there_is_no_resid(self):
        self.assertNotIn("resid", self.ask("brokerinfo"))

    def test_errors_repeat_the_reqid_too(self):
        reply = self.ask_raw(msgpack.packb({"command": "nothing", "reqid": 5}))
        self.assertEqual((reply["resid"], reply["errorcode"]), (5, "unknown_command"))

    def test_unknown_keys_are_passed_over(self):
        reply = self.ask_raw(msgpack.packb({"command": "brokerinfo", "zzz": [1], "data": {"y": 2}}))
        self.assertIn("data", reply)

    def test_what_is_not_msgpack_is_a_bad_request(self):
        for body in (b"", b"\xc1", b"hello", b"\xdf\xff\xff\xff\xff", b"\x81\xa1", b"\xdd" * 5,
                     msgpack.packb({"command": "brokerinfo"}) + b"\x00"):
            self.assert_refused(self.ask_raw(body), "bad_request")

    def test_what_is_not_a_map_is_a_bad_request(self):
        for value in (None, 1, "brokerinfo", ["brokerinfo"], True):
            self.assert_refused(self.ask_raw(msgpack.packb(value)), "bad_request", "map")

    def test_a_command_that_is_missing_or_no_str_is_a_bad_request(self):
        self.assert_refused(self.ask_raw(msgpack.packb({})), "bad_request", "command")
        self.assert_refused(self.ask_raw(msgpack.packb({"command": 3})), "bad_request", "command")

    def test_an_unknown_command_is_named_harmlessly(self):
        reply = self.ask("list_block\n\x1b[31m")
        self.assert_refused(reply, "unknown_command", "list_block")
        self.assertNotIn("\x1b", reply["error"])

    def test_a_request_over_64_kib_is_answered(self):
        fits = msgpack.packb({"command": "brokerinfo", "x": "x" * (64 * 1024 - 30)})
        self.assertLess(len(fits), 64 * 1024)
        self.assertIn("data", self.ask_raw(fits))
        for size in (64 * 1024, 1000 * 1000):
            body = msgpack.packb({"command": "brokerinfo", "reqid": 9, "x": "x" * size})
            reply = self.ask_raw(body)
            self.assert_refused(reply, "bad_request", "65536")
            self.assertEqual(reply["resid"], 9)

    def test_a_request_over_1_mib_closes_the_connection_and_no_other(self):
        other = self.connect(zmq.REQ, self.wpsd.endpoint("rpc"))
        self.ask_ok("brokerinfo", client=other)
        monitor = self.client.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.client.send(b"\xc0" * (1024 * 1024 + 1))
        self.assertTrue(monitor.poll(DEADLINE * 1000), "still connected")
        self.client.disable_monitor()
        monitor.close(0)
        self.ask_ok("brokerinfo", client=other)
        self.client = other

    def test_17_levels_are_too_deep_and_16_are_not(self):
        def request(depth):  # the map is one level
            return msgpack.packb({"command": "brokerinfo", "x": nested(depth - 1)})
        self.assertIn("data", self.ask_raw(request(16)))
        self.assert_refused(self.ask_raw(request(17)), "bad_request")
        self.assert_refused(self.ask_raw(b"\x91" * 60000), "bad_request")

    def test_eventpublish_counts_its_messages(self):
        self.assertEqual(self.publish("e"), {"routed": 1})
        self.assertEqual(self.publish("e", ["a"]), {"routed": 1})
        self.assertEqual(self.publish("e", ["a", "b", "c"]), {"routed": 3})
        self.assertEqual(self.publish("e", ["a", "b", "a"]), {"routed": 2})

    def test_eventpublish_names_what_is_wrong(self):
        for data, part in ((None, "data"), ({}, "data.event"), ({"event": ""}, "data.event"),
                           ({"event": 1}, "data.event: expected str, got uint"),
                           ({"event": "e", "scopes": "a"}, "data.scopes"),
                           ({"event": "e", "scopes": ["a", 2]}, "data.scopes[1]"),
                           ({"event": "e", "scopes": ["s" * 246]}, "data.scopes[0]"),
                           ({"event": "e", "persist": -1}, "data.persist"),
                           ({"event": "e", "sender": 1}, "data.sender")):
            self.assert_refused(self.ask("eventpublish", data), "invalid_argument", part)

    def test_a_scope_of_245_bytes_is_delivered(self):
        scope = "s" * 245
        sub = self.subscribe(self.wpsd, scope)
        self.publish("e", [scope])
        self.assertEqual(self.next_event(sub)[0], scope)

    def test_the_names_of_plugins_are_not_permitted(self):
        sub = self.subscribe(self.wpsd, "")
        for name in ("agent:process-added", "agent:", "agent:x"):
            self.assert_refused(self.ask("eventpublish", {"event": name, "scopes": ["block:1"]}),
                                "not_permitted", "agent:")
        self.assertEqual(self.publish("agentx", ["block:1"]), {"routed": 1})
        self.assertEqual(self.next_event(sub)[1]["event"], "agentx")

    def test_data_of_any_kind_is_passed_on_unchanged(self):
        sub = self.subscribe(self.wpsd, "s")
        for data in (1, -1, 1.5, "x", b"bytes", [1, [2]], {"a": {"b": None}}, False, 2**63,
                     msgpack.ExtType(5, b"ext")):
            self.publish("e", ["s"], data=data)
            self.assertEqual(self.next_event(sub)[1]["data"], data)


class Frames(BrokerTest):
    """What is not framed as REQ frames it."""

    def setUp(self):
        super().setUp()
        self.wpsd = self.broker()
        self.dealer = self.connect(zmq.DEALER, self.wpsd.endpoint("rpc"))
        self.request = msgpack.packb({"command": "brokerinfo", "reqid": 1})

    def reply_to(self, *frames):
        self.dealer.send_multipart(frames)
        self.assertTrue(self.dealer.poll(DEADLINE * 1000), "no reply")
        empty, body = self.dealer.recv_multipart()
        self.assertEqual(empty, b"")
        return msgpack.unpackb(body)

    def test_a_dealer_that_sends_the_empty_delimiter_is_answered(self):
        self.assertEqual(self.reply_to(b"", self.request)["resid"], 1)

    def test_one_without_is_told_so(self):
        self.assert_refused(self.reply_to(self.request), "bad_request", "frames")

    def test_more_or_fewer_frames_are_a_bad_request(self):
        for frames in ([b""], [b"", b"", self.request], [b"", self.request, b"x"],
                       [b"x", self.request], [b"x"], [b""] * 1000):
            self.assert_refused(self.reply_to(*frames), "bad_request", "frames")

    def test_each_of_many_pipelined_requests_gets_exactly_one_reply(self):
        bodies = [msgpack.packb({"command": "brokerinfo", "reqid": i}) if i % 3 else b"\xc1"
                  for i in range(600)]
        for body in bodies:
            self.dealer.send_multipart([b"", body])
        resids = []
        for _ in bodies:
            self.assertTrue(self.dealer.poll(DEADLINE * 1000))
            resids.append(msgpack.unpackb(self.dealer.recv_multipart()[1]).get("resid"))
        self.assertEqual(resids, [i if i % 3 else None for i in range(600)])
        self.ask_ok("brokerinfo")
        self.assertFalse(self.dealer.poll(0))


class Clients(BrokerTest):
    def setUp(self):
        super().setUp()
        self.wpsd = self.broker()

    def test_50_clients_at_once_are_all_answered(self):
        failures = []

        def client(number):
            try:
                socket = self.zmq.socket(zmq.REQ)
                socket.linger = 0
                socket.connect(self.wpsd.endpoint("rpc"))
                for i in range(20):
                    reqid = f"{number}/{i}"
                    reply = self.ask_raw(
                        msgpack.packb({"command": "brokerinfo", "reqid": reqid}), socket)
                    if reply["resid"] != reqid:
                        failures.append(reply)
                socket.close()
            except Exception as failure:  # a thread's failure must reach the test
                failures.append(failure)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE * 2)
        self.assertEqual(failures, [])

    def test_clients_killed_in_mid_request_leave_the_broker_well(self):
        program = ("import sys, zmq, msgpack; s = zmq.Context().socket(zmq.DEALER);"
                   "s.connect(sys.argv[1]); m = msgpack.packb({'command': 'brokerinfo'});"
                   "[s.send_multipart([b'', m]) for _ in range(500)];"
                   "print('sent', flush=True); sys.stdin.read()")
        for _ in range(5):
            child = subprocess.Popen([sys.executable, "-c", program, self.wpsd.endpoint("rpc")],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.addCleanup(child.stdout.close)
            self.addCleanup(child.stdin.close)
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
            child.stdout.readline()
            child.kill()
            child.wait()
        self.ask_ok("brokerinfo")

    def test_a_client_that_never_reads_is_left_with_what_fits(self):
        deaf = self.connect(zmq.DEALER, self.wpsd.endpoint("rpc"), rcvhwm=1, sndhwm=0)
        request = msgpack.packb({"command": "brokerinfo"})
        for _ in range(20000):
            deaf.send_multipart([b"", request])
        self.wait_counter("requests", 20000)
        self.ask_ok("brokerinfo")

    def test_a_client_that_comes_back_under_its_name_is_served(self):
        for _ in range(5):
            again = self.connect(zmq.REQ, self.wpsd.endpoint("rpc"), routing_id=b"me")
            self.ask_ok("brokerinfo", client=again)  # the one before is still connected


@unittest.skipUnless(os.geteuid() == 0, "needs root, to become another user")
class OtherUsers(BrokerTest):
    NOBODY = 65534

    def as_nobody(self, program, *arguments):
        # The test's own directory is private: others need a way to the runtime directory.
        os.chmod(self.home, 0o711)
        return subprocess.run([sys.executable, "-c", program, *arguments], timeout=DEADLINE,
                              capture_output=True, text=True, check=False,
                              preexec_fn=lambda: (os.setgroups([]), os.setgid(self.NOBODY),
                                                  os.setuid(self.NOBODY)))

    ASK = ("import sys, zmq, msgpack; s = zmq.Context().socket(zmq.REQ); s.linger = 0;"
           "s.connect(sys.argv[1]); s.send(msgpack.packb({'command': 'brokerinfo', 'reqid': 3}));"
           "print(msgpack.unpackb(s.recv()) if s.poll(int(sys.argv[2])) else 'no reply')")

    def test_another_user_is_answered_not_permitted(self):
        wpsd = self.broker("--allow-others=yes")
        ran = self.as_nobody(self.ASK, wpsd.endpoint("rpc"), str(DEADLINE * 900))
        self.assertIn("not_permitted", ran.stdout, ran)
        self.assertIn("'resid': 3", ran.stdout)
        self.assertNotIn("counters", ran.stdout)

    def test_another_user_does_not_even_reach_a_directory_that_is_private(self):
        wpsd = self.broker()
        ran = self.as_nobody(self.ASK, wpsd.endpoint("rpc"), "300")
        self.assertIn("no reply", ran.stdout, ran)

    def test_root_may_ask_a_broker_of_another_user(self):
        os.chmod(self.home, 0o777)
        wpsd = self.start(limits=lambda: (os.setgroups([]), os.setgid(self.NOBODY),
                                          os.setuid(self.NOBODY))).wait_ready()
        self.client = self.connect(zmq.REQ, wpsd.endpoint("rpc"))
        self.assertEqual(self.ask_ok("brokerinfo")["name"], "wpsd")
        self.assertEqual(wpsd.end(), 0)

    def test_what_another_user_publishes_is_dropped(self):
        wpsd = self.broker("--allow-others=yes")
        sub = self.subscribe(wpsd, "s")
        # An XPUB is a PUB that is told when the broker's subscription has reached it.
        program = ("import sys, zmq, msgpack; s = zmq.Context().socket(zmq.XPUB); s.linger = 5000;"
                   "s.connect(sys.argv[1]); assert s.recv() == bytes([1]);"
                   "s.send_multipart([b's', msgpack.packb({'event': 'e', 'scopes': ['s']})])")
        ran = self.as_nobody(program, wpsd.endpoint("publish"))
        self.assertEqual(ran.returncode, 0, ran)
        self.wait_counter("publish_dropped", 1)
        self.assert_no_event(sub, "s")


if __name__ == "__main__":
    unittest.main()
