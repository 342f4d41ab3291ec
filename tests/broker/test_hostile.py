# SPDX-License-Identifier: Apache-2.0
"""Whatever comes over the sockets, the broker goes on."""

import os
import random
import socket
import unittest

import msgpack
import zmq

from wpsd import DEADLINE, BrokerTest

# What a ZMTP 3.0 peer says first: signature, version, mechanism NULL; READY with a socket type
# comes next.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)


def command(name, body):
    packed = bytes([len(name)]) + name + body
    return bytes([4, len(packed)]) + packed


def ready(kind):
    return command(b"READY", b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind)


PEER_OF = {"rpc": b"REQ", "events": b"SUB", "publish": b"PUB"}


class Hostile(BrokerTest):
    def setUp(self):
        super().setUp()
        self.wpsd = self.broker()
        self.seed = random.randrange(2**32)
        self.chance = random.Random(self.seed)

    def assert_alive(self):
        self.assertIsNone(self.wpsd.process.poll(), (self.seed, self.wpsd.log()))
        self.ask_ok("brokerinfo")

    def say(self, name, *parts):
        """Says these bytes on a bare socket and closes it."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(DEADLINE)
            peer.connect(f"{self.wpsd.runtime}/{name}")
            try:
                for part in parts:
                    peer.sendall(part)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
            except OSError:
                pass  # it closed on us: that is its right

    def noise(self, size):
        return self.chance.randbytes(self.chance.randrange(size))

    def test_noise_instead_of_a_greeting(self):
        for _ in range(60):
            for name in PEER_OF:
                self.say(name, self.noise(300))
        self.assert_alive()

    def test_noise_after_the_greeting(self):
        for _ in range(60):
            for name, kind in PEER_OF.items():
                self.say(name, GREETING, self.noise(100))
                self.say(name, GREETING, ready(kind), self.noise(300))
                self.say(name, GREETING, ready(self.noise(20)))
        self.assert_alive()

    def test_frames_that_lie_about_their_size(self):
        for name, kind in PEER_OF.items():
            for frame in (b"\x02" + b"\xff" * 8, b"\x02" + b"\x7f" + b"\xff" * 7,
                          b"\x03" + (2**40).to_bytes(8, "big"), b"\x00\xff", b"\x01\x05ab",
                          b"\x06" + b"\xff" * 8, b"\x04\x00", b"\x08\x01x", b"\xff\x01x"):
                self.say(name, GREETING, ready(kind), frame)
        self.assert_alive()

    def test_all_the_kinds_of_sockets_that_do_not_belong_there(self):
        for name in PEER_OF:
            for kind in (zmq.REQ, zmq.REP, zmq.DEALER, zmq.ROUTER, zmq.PUB, zmq.SUB, zmq.PUSH,
                         zmq.PULL, zmq.PAIR):
                peer = self.connect(kind, self.wpsd.endpoint(name))
                if kind == zmq.SUB:
                    peer.subscribe("")
                try:
                    peer.send(b"x", zmq.DONTWAIT)
                except zmq.ZMQError:
                    pass
        self.assert_alive()

    def test_names_that_routers_do_not_like(self):
        for identity in (b"\x01", b"\xff" * 255, b"same", b"same", b"same", b"a" * 5):
            peer = self.connect(zmq.DEALER, self.wpsd.endpoint("rpc"), routing_id=identity)
            peer.send_multipart([b"", msgpack.packb({"command": "brokerinfo"})])
        self.say("rpc", GREETING,
                 command(b"READY", b"\x0bSocket-Type\x00\x00\x00\x06DEALER"
                                   b"\x08Identity\x00\x00\x00\x05\x00abcd"))
        self.assert_alive()

    def test_random_bodies_get_a_reply_each(self):
        dealer = self.connect(zmq.DEALER, self.wpsd.endpoint("rpc"))
        whole = msgpack.packb({"command": "eventpublish", "reqid": 1, "data": {
            "event": "e", "scopes": ["a", "b"], "persist": 3, "data": {"x": [1, 2, {"y": None}]}}})
        for _ in range(3000):
            body = bytearray(whole)
            for _ in range(self.chance.randrange(6)):
                body[self.chance.randrange(len(body))] = self.chance.randrange(256)
            if self.chance.random() < 0.3:
                body = body[:self.chance.randrange(len(body))]
            dealer.send_multipart([b"", bytes(body)])
            self.assertTrue(dealer.poll(DEADLINE * 1000), (self.seed, body.hex()))
            reply = msgpack.unpackb(dealer.recv_multipart()[1])
            self.assertTrue(("data" in reply) != ("errorcode" in reply), reply)
        self.assert_alive()

    def test_random_messages_on_publish_and_on_events(self):
        pub = self.connect(zmq.PUB, self.wpsd.endpoint("publish"))
        sub = self.connect(zmq.XSUB, self.wpsd.endpoint("events"))
        for _ in range(2000):
            frames = [self.noise(200) for _ in range(self.chance.randint(1, 4))]
            pub.send_multipart(frames)
            sub.send_multipart(frames)
        self.assert_alive()

    def test_connections_that_come_and_go(self):
        for _ in range(300):
            for name in PEER_OF:
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(f"{self.wpsd.runtime}/{name}")
        self.assert_alive()

    def test_descriptors_do_not_leak(self):
        descriptors = f"/proc/{self.wpsd.process.pid}/fd"
        for _ in range(20):
            for name in PEER_OF:
                self.say(name, GREETING)
        self.assert_alive()
        self.assertLess(len(os.listdir(descriptors)), 60)


if __name__ == "__main__":
    unittest.main()
