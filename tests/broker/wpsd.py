# SPDX-License-Identifier: Apache-2.0
"""A broker for one test, and clients that speak nothing but the protocol.

Every wait here is for an event and has a deadline; all that a test starts is gone when it ends,
however it ends.
"""

import os
import pathlib
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import msgpack
import zmq

WPSD = os.environ.get("WPSD", "wpsd")
FIXTURES = os.environ.get("WPSD_FIXTURES", "plugins")
SANITIZED = bool(os.environ.get("WPSD_SANITIZE"))
# How many times slower than others ./test found this machine.
PATIENCE = int(os.environ.get("PROCTRACK_PATIENCE", "1"))
# What takes a second takes several under a sanitizer, on a loaded machine.
DEADLINE = (60 if SANITIZED else 20) * PATIENCE


def fixture(name, **options):
    """The argument of --plugin for one of the odd plugins."""
    path = os.path.join(FIXTURES, name + ".so")
    return ",".join([path] + [f"{key}={value}" for key, value in options.items()])


class Broker:
    """One wpsd. Its log lines come through a queue, so that a test can wait for one."""

    def __init__(self, runtime, *arguments, env=None, limits=None, before=()):
        environment = dict(os.environ, WPS_RUNTIME_DIR=runtime)
        environment.update(env or {})
        self.runtime = runtime
        self.lines = []
        self.end_was_seen = False
        self.news = queue.Queue()
        self.process = subprocess.Popen(
            [*before, WPSD, *arguments], env=environment, preexec_fn=limits,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.news.put(line.decode("utf-8", "replace").rstrip("\n"))
        self.news.put(None)

    def endpoint(self, name):
        return f"ipc://{self.runtime}/{name}"

    def wait_line(self, part):
        """The first line, from the last one waited for on, that holds `part`."""
        until = time.monotonic() + DEADLINE
        while True:
            left = until - time.monotonic()
            try:
                line = self.news.get(timeout=max(left, 0.001))
            except queue.Empty:
                raise AssertionError(f"no line with {part!r} in {self.lines}") from None
            if line is None:
                raise AssertionError(f"the broker ended without {part!r}: {self.lines}")
            self.lines.append(line)
            if part in line:
                return line

    def wait_ready(self):
        self.wait_line("ready: ")
        return self

    def wait_end(self):
        """Its exit status. All lines are in `lines` then."""
        self.end_was_seen = True
        status = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        while not self.news.empty():
            line = self.news.get()
            if line is not None:
                self.lines.append(line)
        return status

    def ends_within(self, seconds):
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def log(self):
        return "\n".join(self.lines)

    def signal(self, number):
        """Behind a SIGSTOP nothing of it runs any more: each thread stops when it is its turn."""
        self.process.send_signal(number)
        deadline = time.monotonic() + DEADLINE
        while number == signal.SIGSTOP and not self.stands_still():
            if time.monotonic() > deadline:
                raise AssertionError("it does not stand still")
            time.sleep(0.001)

    def stands_still(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)

    def end(self):
        """Ends it in order. Returns its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait_end()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(DEADLINE)
        self.process.stderr.close()


class BrokerTest(unittest.TestCase):
    """A runtime directory, brokers and sockets that go away after the test."""

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="wpsd-test-")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.runtime = os.path.join(self.home, "r")
        self.zmq = zmq.Context()
        self.addCleanup(self.zmq.destroy, linger=0)

    def start(self, *arguments, runtime=None, **more):
        broker = Broker(runtime or self.runtime, *arguments, **more)
        self.addCleanup(broker.kill)
        return broker

    def broker(self, *arguments, **more):
        """A broker that is ready, with one client. At the end of the test it must end in order."""
        broker = self.start(*arguments, **more).wait_ready()
        self.addCleanup(self.assert_ends_well, broker)
        self.client = self.connect(zmq.REQ, broker.endpoint("rpc"))
        return broker

    def child(self, *command, stdin=subprocess.DEVNULL):
        """A process whose command line can be read."""
        process = subprocess.Popen(command, stdin=stdin)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        # Popen returns in the middle of exec, when there is none yet.
        until = time.monotonic() + DEADLINE
        while not pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes():
            self.assertLess(time.monotonic(), until)
        return process

    def assert_ends_well(self, broker):
        if not broker.end_was_seen:  # one that fell over unseen did not end well
            self.assertEqual(broker.end(), 0, broker.log())

    def connect(self, kind, endpoint, **options):
        socket = self.zmq.socket(kind)
        self.addCleanup(socket.close, 0)
        socket.linger = 0
        for name, value in options.items():
            setattr(socket, name, value)
        socket.connect(endpoint)
        return socket

    # ---- requests

    def receive(self, socket):
        if not socket.poll(DEADLINE * 1000):
            raise AssertionError("no reply")
        return msgpack.unpackb(socket.recv())

    def ask_raw(self, body, client=None):
        client = client or self.client
        client.send(body)
        return self.receive(client)

    def ask(self, command, data=None, client=None):
        request = {"command": command}
        if data is not None:
            request["data"] = data
        reply = self.ask_raw(msgpack.packb(request), client)
        if "error" in reply:
            self.assertTrue(reply["error"])
        else:
            self.assertIsInstance(reply["data"], dict)
        return reply

    def ask_ok(self, command, data=None, client=None):
        reply = self.ask(command, data, client)
        self.assertNotIn("error", reply)
        return reply["data"]

    def counters(self):
        return self.ask_ok("brokerinfo")["counters"]

    def wait_counter(self, name, least):
        """Asks until a counter is there: what it counts has no other sign that is seen here."""
        until = time.monotonic() + DEADLINE
        while (value := self.counters()[name]) < least:
            self.assertLess(time.monotonic(), until, f"{name} is only {value}")
        return value

    def assert_refused(self, reply, errorcode, *parts):
        self.assertEqual(reply.get("errorcode"), errorcode, reply)
        for part in parts:
            self.assertIn(part, reply["error"])

    # ---- events

    def publish(self, event, scopes=(), **more):
        return self.ask_ok("eventpublish", {"event": event, "scopes": list(scopes), **more})

    def subscribe(self, broker, *topics, **options):
        """A SUB socket of which it is known that its subscriptions are in force."""
        socket = self.connect(zmq.SUB, broker.endpoint("events"), **options)
        for topic in topics:
            socket.subscribe(topic)
        self.sync(socket)
        return socket

    def sync(self, socket):
        """Section 5 of the protocol: publishes to a scope of its own until that arrives."""
        scope = f"sync:{os.urandom(8).hex()}"
        socket.subscribe(scope)
        until = time.monotonic() + DEADLINE
        while True:
            self.publish("sync", [scope])
            if socket.poll(20) and self.drain_sync(socket, scope):
                break
            self.assertLess(time.monotonic(), until, "the subscription does not come into force")
        socket.unsubscribe(scope)

    @staticmethod
    def drain_sync(socket, scope):
        seen = False
        while socket.poll(20 if seen else 0):
            seen = socket.recv_multipart()[0] == scope.encode() or seen
        return seen

    def next_event(self, socket):
        """The next one that is not left over from a sync: topic and map."""
        while True:
            if not socket.poll(DEADLINE * 1000):
                raise AssertionError("no event")
            topic, body = socket.recv_multipart()
            if not topic.startswith(b"sync:"):
                return topic.decode(), msgpack.unpackb(body)

    def assert_no_event(self, socket, marker_scope):
        """Nothing is under way to `socket`: an event sent now is the next to arrive."""
        self.publish("marker", [marker_scope])
        topic, event = self.next_event(socket)
        self.assertEqual((topic, event["event"]), (marker_scope, "marker"))
