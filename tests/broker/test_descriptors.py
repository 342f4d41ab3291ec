# SPDX-License-Identifier: Apache-2.0
"""Descriptors that run out: libzmq 4.3.4 would abort the broker."""

import os
import resource
import socket
import time
import unittest

import msgpack
import zmq

from wpsd import DEADLINE, BrokerTest

LIMIT = 80


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


class Descriptors(BrokerTest):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def hold_connections(self, broker, name, count):
        """Connections that just stay, as many as the broker accepts of `count`."""
        held = []
        for _ in range(count):
            connection = socket.socket(socket.AF_UNIX)
            self.addCleanup(connection.close)
            connection.settimeout(DEADLINE)
            connection.connect(f"{broker.runtime}/{name}")
            held.append(connection)
        return held

    @staticmethod
    def is_served(connection):
        """The broker greets whom it accepts."""
        try:
            return connection.recv(1) != b""
        except ConnectionError:
            return False

    def test_connections_without_end_do_not_end_the_broker(self):
        broker = self.broker("--reserve-descriptors=10", limits=few_descriptors)
        self.ask_ok("brokerinfo")
        for name in ("rpc", "events", "publish"):
            held = self.hold_connections(broker, name, 300)
            served = [self.is_served(connection) for connection in held]
            self.assertIn(False, served)
            self.ask_ok("brokerinfo")
            for connection in held:
                connection.close()
            self.wait_until_served(broker)
        self.assertGreater(self.counters()["connections_refused"], 500)
        broker.wait_line(f"connections are refused, 1 so far: of {LIMIT} descriptors none is left for them: raise")
        broker.end()
        broker.wait_end()
        self.assertLess(broker.log().count("connections are refused"), 50)  # one in ten seconds, not one for each

    def wait_until_served(self, broker):
        until = time.monotonic() + DEADLINE
        while True:
            connection = self.hold_connections(broker, "rpc", 1)[0]
            served = self.is_served(connection)
            connection.close()
            if served:
                return
            self.assertLess(time.monotonic(), until)

    def test_the_reserve_is_kept(self):
        broker = self.broker("--reserve-descriptors=20", limits=few_descriptors)
        for connection in self.hold_connections(broker, "events", 200):
            self.is_served(connection)
        used = len(os.listdir(f"/proc/{broker.process.pid}/fd"))
        self.assertLessEqual(used, LIMIT - 20)
        self.assertGreater(used, LIMIT - 32)

    def test_a_client_near_the_limit_is_answered_limit_and_one_before_it_is_served(self):
        broker = self.broker("--reserve-descriptors=10", limits=few_descriptors)
        self.ask_ok("brokerinfo")
        clients, answers = [], []
        request = msgpack.packb({"command": "brokerinfo", "reqid": 1})
        for _ in range(LIMIT):
            client = self.connect(zmq.REQ, broker.endpoint("rpc"))
            client.send(request)
            clients.append(client)
            if not client.poll(25 * DEADLINE):
                break  # this one is not even let in
            answers.append(msgpack.unpackb(client.recv()).get("errorcode"))
        self.assertEqual(answers, sorted(answers, key=lambda code: code is not None))
        self.assertIn(None, answers)
        self.assertIn("limit", answers)
        self.ask_ok("brokerinfo")

    def test_a_client_that_was_refused_gets_in_when_there_is_room(self):
        broker = self.broker("--reserve-descriptors=10", limits=few_descriptors)
        held = self.hold_connections(broker, "events", 200)
        self.assertIn(False, [self.is_served(connection) for connection in held])
        late = self.connect(zmq.REQ, broker.endpoint("rpc"))
        late.send(msgpack.packb({"command": "brokerinfo"}))
        self.assertFalse(late.poll(100))
        for connection in held:
            connection.close()
        self.assertEqual(self.receive(late)["data"]["name"], "wpsd")

    def test_a_limit_that_is_too_small_to_begin_with_is_told(self):
        broker = self.start(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
        self.assertEqual(broker.wait_end(), 1)
        self.assertIn("at least 32", broker.log())

    def test_the_limit_is_raised_but_no_further_than_configured(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 600:
            self.skipTest("the hard limit on descriptors is too small to see it raised")
        broker = self.broker("--max-descriptors=500",
                             limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard)))
        with open(f"/proc/{broker.process.pid}/limits", encoding="utf-8") as file:
            line = next(line for line in file if line.startswith("Max open files"))
        self.assertEqual(line.split()[3], "500")


if __name__ == "__main__":
    unittest.main()
