# SPDX-License-Identifier: Apache-2.0
"""Who may listen, ask and publish: users on ipc, keys on tcp."""

import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import unittest

import msgpack
import zmq
import zmq.auth

from wpsd import DEADLINE, BrokerTest

NOBODY = 65534
DENIED_MS = 50  # a client of which it is known that it was refused gets nothing behind that


class KeyedTest(BrokerTest):
    """A broker on tcp with a key, and clients with keys of their own."""

    ROLES = ("listen", "ask", "publish")

    def setUp(self):
        super().setUp()
        if not zmq.has("curve"):
            self.skipTest("this libzmq has no CURVE")
        self.keys = pathlib.Path(self.home, "keys")
        for name in ("made", *self.ROLES):
            (self.keys / name).mkdir(parents=True, mode=0o700)

    def make(self, name, *roles):
        """A key pair, allowed in these roles; the files of pyzmq are those of czmq."""
        public, secret = zmq.auth.create_certificates(str(self.keys / "made"), name)
        os.chmod(secret, 0o600)
        for role in roles:
            self.allow(name, role)
        return secret

    def allow(self, name, role):
        (self.keys / role / f"{name}.key").write_bytes(
            (self.keys / "made" / f"{name}.key").read_bytes())

    def options(self, *more, host="127.0.0.1"):
        return [f"--curve-secret={self.make('server')}",
                *(f"--curve-{role}={self.keys / role}" for role in self.ROLES),
                *(f"--{name}-endpoint=tcp://{host}:*" for name in ("events", "publish", "rpc")),
                *more]

    def broker(self, *arguments, **more):
        """One with clients `all`, who may everything: the helpers of BrokerTest use it."""
        self.make("all", *self.ROLES)
        broker = self.start(*self.options(*arguments), **more)
        ready = broker.wait_line("ready: ")
        self.addCleanup(self.assert_ends_well, broker)
        self.client = self.as_client("all", zmq.REQ, re.search(r"rpc at (\S+)", ready)[1])
        self.endpoints = self.ask_ok("brokerinfo")["endpoints"]
        return broker

    def as_client(self, name, kind, endpoint, server="server", **options):
        """A socket with the keys of `name`; None: without any."""
        if name is not None:
            made = self.keys / "made"
            public, secret = zmq.auth.load_certificate(str(made / f"{name}.key_secret"))
            options |= {"curve_publickey": public, "curve_secretkey": secret,
                        "curve_serverkey": zmq.auth.load_certificate(str(made / f"{server}.key"))[0]}
        return self.connect(kind, endpoint, **options)

    def assert_cannot_ask(self, name, **more):
        before = self.refused()
        socket = self.as_client(name, zmq.REQ, self.endpoints["rpc"], **more)
        try:
            socket.send(msgpack.packb({"command": "brokerinfo"}), zmq.NOBLOCK)
        except zmq.Again:
            pass  # there is not even a connection
        self.wait_counter("peers_refused", before + 1)
        self.assertEqual(socket.poll(DENIED_MS), 0, "answered")

    def assert_cannot_listen(self, name, **more):
        before = self.refused()
        good = self.as_client("all", zmq.SUB, self.endpoints["events"])
        bad = self.as_client(name, zmq.SUB, self.endpoints["events"], **more)
        for socket in (good, bad):
            socket.subscribe(b"")
        self.wait_counter("peers_refused", before + 1)
        self.sync(good)
        self.publish("seen", ["s"])
        self.assertEqual(self.next_event(good)[1]["event"], "seen")
        self.assertEqual(bad.poll(DENIED_MS), 0, "it listens")

    def assert_cannot_publish(self, name, **more):
        before = self.counters()
        socket = self.as_client(name, zmq.XPUB, self.endpoints["publish"], **more)
        self.wait_counter("peers_refused", before["peers_refused"] + 1)
        self.assertEqual(socket.poll(DENIED_MS), 0, "the broker subscribed to it")
        self.assertEqual(self.counters()["publish_received"], before["publish_received"])

    def refused(self):
        return self.counters()["peers_refused"]


class Keys(KeyedTest):
    """Who may, and who may not."""

    def test_a_client_with_its_keys_asks_listens_and_publishes(self):
        self.broker()
        sub = self.as_client("all", zmq.SUB, self.endpoints["events"])
        sub.subscribe(b"s")
        self.sync(sub)
        service = self.as_client("all", zmq.XPUB, self.endpoints["publish"])
        self.assertTrue(service.poll(DEADLINE * 1000))
        service.send_multipart([b"s", msgpack.packb({"event": "e", "scopes": ["s"]})])
        self.assertEqual(self.next_event(sub)[1]["event"], "e")
        self.assertEqual(self.refused(), 0)

    def test_a_client_without_a_key_gets_nowhere_and_is_counted(self):
        self.broker()
        for check in (self.assert_cannot_ask, self.assert_cannot_listen, self.assert_cannot_publish):
            check(None)

    def test_a_key_that_nobody_allowed_gets_nowhere_and_is_counted(self):
        self.broker()
        self.make("stranger")
        for check in (self.assert_cannot_ask, self.assert_cannot_listen, self.assert_cannot_publish):
            check("stranger")

    def test_a_key_counts_for_its_role_alone(self):
        self.broker()
        checks = {"ask": self.assert_cannot_ask, "listen": self.assert_cannot_listen,
                  "publish": self.assert_cannot_publish}
        for role in self.ROLES:
            self.make(f"only-{role}", role)
            for other, check in checks.items():
                if other != role:
                    check(f"only-{role}")
        client = self.as_client("only-ask", zmq.REQ, self.endpoints["rpc"])
        self.assertEqual(self.ask_ok("brokerinfo", client=client)["name"], "wpsd")

    def test_a_server_with_another_key_is_refused_by_the_client(self):
        self.broker()
        self.make("impostor")
        client = self.as_client("all", zmq.REQ, self.endpoints["rpc"], server="impostor")
        monitor = client.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.addCleanup(monitor.close, 0)
        client.send(msgpack.packb({"command": "brokerinfo"}))
        self.wait_counter("peers_refused", 1)
        self.assertEqual(client.poll(DENIED_MS), 0)
        self.assertEqual(monitor.poll(0), 0, "the handshake was done")

    # ---- keys come and go

    def test_a_key_that_is_put_there_counts_for_the_next_connection(self):
        self.broker()
        self.make("late")
        self.assert_cannot_ask("late")
        self.allow("late", "ask")
        client = self.as_client("late", zmq.REQ, self.endpoints["rpc"])
        self.ask_ok("brokerinfo", client=client)

    def test_a_key_that_is_taken_away_does_not_count_any_more(self):
        self.broker()
        self.make("gone", "ask")
        self.ask_ok("brokerinfo", client=self.as_client("gone", zmq.REQ, self.endpoints["rpc"]))
        (self.keys / "ask" / "gone.key").unlink()
        self.assert_cannot_ask("gone")

    def test_a_broken_file_among_the_keys_locks_nobody_out(self):
        self.broker()
        (self.keys / "ask" / "broken").write_bytes(b"\xff\0curve\n public-key = 'x'\n" * 50)
        self.make("late", "ask")
        self.ask_ok("brokerinfo", client=self.as_client("late", zmq.REQ, self.endpoints["rpc"]))

    def test_a_directory_that_others_may_write_to_holds_no_keys(self):
        self.broker()
        self.make("planted", "ask")
        os.chmod(self.keys / "ask", 0o777)
        self.assert_cannot_ask("planted")

    # ---- what cannot wedge it

    def test_handshakes_that_stop_half_way_hold_up_nobody(self):
        self.broker()
        host, port = self.endpoints["rpc"].removeprefix("tcp://").rsplit(":", 1)
        greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\0" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
        for part in (b"", greeting[:11], greeting, greeting + b"\x04\xc8\x05HELLO" + b"x" * 194,
                     os.urandom(200), greeting.replace(b"CURVE", b"PLAIN"), b"GET / HTTP/1.0\r\n\r\n"):
            held = socket.create_connection((host, int(port)), timeout=DEADLINE)
            self.addCleanup(held.close)
            held.sendall(part)
            self.ask_ok("brokerinfo", client=self.as_client("all", zmq.REQ, self.endpoints["rpc"]))

    def test_two_hundred_refused_clients_and_one_that_may(self):
        self.broker()
        self.make("stranger")
        for _ in range(200):
            self.as_client("stranger", zmq.SUB, self.endpoints["events"]).subscribe(b"")
        self.wait_counter("peers_refused", 200)
        self.ask_ok("brokerinfo", client=self.as_client("all", zmq.REQ, self.endpoints["rpc"]))


class Refused(KeyedTest):
    """What does not even start, and the sentence that says why."""

    def assert_will_not_start(self, *parts, arguments):
        broker = self.start(*arguments)
        self.assertEqual(broker.wait_end(), 1, broker.log())
        for part in parts:
            self.assertIn(part, broker.log())

    def test_tcp_without_keys(self):
        for name, option in (("events", "curve-listen"), ("publish", "curve-publish"),
                             ("rpc", "curve-ask")):
            self.assert_will_not_start(
                "tcp://127.0.0.1", "curve-secret", option, "plain-tcp=yes",
                arguments=[f"--{name}-endpoint=tcp://127.0.0.1:*"])

    def test_tcp_with_a_key_and_nobody_who_may(self):
        arguments = [word for word in self.options() if "curve-ask" not in word]
        self.assert_will_not_start("curve-ask", arguments=arguments)

    def test_plain_tcp_beyond_loopback(self):
        for host in ("0.0.0.0", "*", "192.0.2.1", "localhost", "[::]", "[::1]", "127.0.0.1.example"):
            self.assert_will_not_start(
                "127.0.0.1 alone",
                arguments=["--plain-tcp=yes", f"--rpc-endpoint=tcp://{host}:*"])

    def test_plain_tcp_beside_a_key_is_no_way_around_it(self):
        arguments = [word for word in self.options("--plain-tcp=yes") if "curve-ask" not in word]
        self.assert_will_not_start("curve-ask", arguments=arguments)

    def test_a_secret_that_others_may_read(self):
        arguments = self.options()
        os.chmod(self.keys / "made" / "server.key_secret", 0o644)
        self.assert_will_not_start("server.key_secret", "chmod 0600", arguments=arguments)

    def test_a_certificate_without_its_secret(self):
        arguments = self.options()
        secret = self.keys / "made" / "server.key_secret"
        secret.write_bytes((self.keys / "made" / "server.key").read_bytes())
        self.assert_will_not_start("secret-key", str(secret), arguments=arguments)

    def test_two_keys_that_do_not_belong_together(self):
        arguments = self.options()
        self.make("other")
        secret = self.keys / "made" / "server.key_secret"
        other = (self.keys / "made" / "other.key").read_text()
        public = re.search(r'public-key = ".*"', other)[0]
        secret.write_text(re.sub(r'public-key = ".*"', lambda _: public, secret.read_text()))
        self.assert_will_not_start("do not belong together", arguments=arguments)

    def test_keys_that_are_none_or_not_ours_alone(self):
        arguments = self.options()
        (self.keys / "ask" / "bad").write_text("curve\n    public-key = \"short\"\n")
        self.assert_will_not_start(str(self.keys / "ask" / "bad"), arguments=arguments)
        (self.keys / "ask" / "bad").unlink()
        os.chmod(self.keys / "ask", 0o770)
        self.assert_will_not_start(str(self.keys / "ask"), "chmod go-w", arguments=arguments)
        (self.keys / "ask").rmdir()
        self.assert_will_not_start(str(self.keys / "ask"), "No such file", arguments=arguments)

    def test_a_user_that_is_none(self):
        self.assert_will_not_start("no user 'no-such-user'",
                                   arguments=["--allow-users=root no-such-user"])


@unittest.skipUnless(os.geteuid() == 0, "needs root, to become another user")
class Users(BrokerTest):
    """On ipc, where the kernel says who connects. User 64321 is allowed, 64322 is not."""

    ALLOWED, OTHER = 64321, 64322
    ASK = ("s = c.socket(zmq.REQ); s.connect(e + '/rpc'); s.send(msgpack.packb({'command': sys.argv[2],"
           "'data': {'event': 'x', 'scopes': ['s']}}));"
           "print(msgpack.unpackb(s.recv()) if s.poll(int(sys.argv[3])) else 'no reply')")
    LISTEN = ("s = c.socket(zmq.SUB); s.subscribe(b''); s.connect(e + '/events');"
              "r = c.socket(zmq.XPUB); r.connect(e + '/publish');"
              "print('listening', flush=True);"
              "print('event' if s.poll(int(sys.argv[2])) else 'nothing')")
    PUBLISH = ("s = c.socket(zmq.XPUB); s.linger = 5000; s.connect(e + '/publish'); assert s.recv();"
               "s.send_multipart([b's', msgpack.packb({'event': 'p', 'scopes': ['s']})])")

    def as_user(self, uid, program, *arguments):
        os.chmod(self.home, 0o711)
        begin = ("import sys, zmq, msgpack; c = zmq.Context(); c.linger = 0;"
                 "e = 'ipc://' + sys.argv[1];")
        process = subprocess.Popen(
            [sys.executable, "-c", begin + program, self.runtime, *map(str, arguments)], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=lambda: (os.setgroups([]), os.setgid(uid), os.setuid(uid)))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def ran(self, uid, program, *arguments):
        return self.as_user(uid, program, *arguments).communicate(timeout=DEADLINE)[0]

    def listens(self, uid):
        """Whether events reach that user, who is given time while they go on."""
        listener = self.as_user(uid, self.LISTEN, 500)
        self.assertEqual(listener.stdout.readline(), "listening\n")
        end = time.monotonic() + DEADLINE
        while listener.poll() is None and time.monotonic() < end:
            self.publish("e", ["s"])
        return listener.communicate()[0].strip() == "event"

    def test_a_user_who_is_named_asks_listens_and_publishes_and_no_other_does(self):
        broker = self.broker(f"--allow-users=daemon {self.ALLOWED}")
        sub = self.subscribe(broker, "s")
        self.assertEqual(os.stat(self.runtime).st_mode & 0o777, 0o711)
        self.assertIn("counters", self.ran(self.ALLOWED, self.ASK, "brokerinfo", 20000))
        refused = self.ran(self.OTHER, self.ASK, "eventpublish", 20000)
        self.assertIn("not_permitted", refused)
        self.assertIn("allow-users", refused)
        self.assertTrue(self.listens(self.ALLOWED))
        before = self.counters()["peers_refused"]
        self.assertFalse(self.listens(self.OTHER))
        self.assertGreater(self.counters()["peers_refused"], before)
        while self.next_event(sub)[1]["event"] == "e" and sub.poll(0):
            pass  # what listens() published
        dropped = self.counters()["publish_dropped"]
        self.ran(self.OTHER, self.PUBLISH)
        self.wait_counter("publish_dropped", dropped + 1)
        self.ran(self.ALLOWED, self.PUBLISH)
        self.assertEqual(self.next_event(sub)[1]["event"], "p")

    def test_with_allow_others_all_listen_and_still_only_who_is_named_asks(self):
        self.broker("--allow-others=yes", f"--allow-users={self.ALLOWED}")
        self.assertTrue(self.listens(self.OTHER))
        self.assertIn("not_permitted", self.ran(self.OTHER, self.ASK, "brokerinfo", 20000))
        self.assertIn("counters", self.ran(self.ALLOWED, self.ASK, "brokerinfo", 20000))
        self.assertGreaterEqual(self.counters()["peers_refused"], 1)


if __name__ == "__main__":
    unittest.main()
