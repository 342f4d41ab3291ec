# SPDX-License-Identifier: Apache-2.0
"""What the broker tells the service manager that started it (sd_notify(3))."""

import os
import pathlib
import signal
import socket
import unittest

import zmq

from wpsd import DEADLINE, BrokerTest, fixture


class Notify(BrokerTest):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.home, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(self.path)
        self.manager.settimeout(DEADLINE)

    def start_told(self, *arguments):
        return self.start(*arguments, env={"NOTIFY_SOCKET": self.path})

    def told(self):
        """The next message, as a map."""
        return dict(line.split("=", 1) for line in self.manager.recv(4096).decode().splitlines())

    def assert_nothing_told(self):
        self.manager.setblocking(False)
        with self.assertRaises(BlockingIOError):
            self.manager.recv(4096)
        self.manager.settimeout(DEADLINE)

    def config(self, text):
        path = pathlib.Path(self.home, "wpsd.conf")
        path.write_text(text)
        return str(path)

    def test_it_is_ready_when_its_sockets_are_bound_and_its_plugins_run(self):
        broker = self.start_told("--plugin", fixture("logger"))
        self.assertEqual(self.told()["READY"], "1")
        for name in ("events", "publish", "rpc"):
            self.assertTrue(os.path.exists(f"{self.runtime}/{name}"), name)
        self.client = self.connect(zmq.REQ, broker.endpoint("rpc"))
        (plugin,) = self.ask_ok("brokerinfo")["plugins"]
        self.assertEqual(plugin["state"], "running")

    def test_one_whose_plugin_does_not_start_is_never_ready(self):
        broker = self.start_told("--plugin", fixture("start_fails"))
        self.assertEqual(broker.wait_end(), 3)
        self.assert_nothing_told()

    def test_a_reload_begins_and_ends_also_where_the_file_is_wrong(self):
        broker = self.start_told("--config", self.config('log-level = "info"\n'))
        self.assertIn("READY", self.told())
        for text, status in (('log-level = "debug"\n', "serves"), ('log-level = "loud"\n', "wrong")):
            self.config(text)
            broker.signal(signal.SIGHUP)
            begun = self.told()
            self.assertEqual(begun["RELOADING"], "1")
            self.assertGreater(int(begun["MONOTONIC_USEC"]), 0)
            ended = self.told()
            self.assertEqual(ended["READY"], "1")
            self.assertIn(status, ended["STATUS"])

    def test_the_manager_is_to_wait_as_long_as_all_plugins_may_take(self):
        broker = self.start_told("--stop-timeout-ms=2000", "--linger-ms=500",
                                 "--plugin", fixture("logger"), "--plugin", fixture("echo"))
        self.assertIn("READY", self.told())
        broker.signal(signal.SIGTERM)
        said = self.told()
        self.assertEqual(said["STOPPING"], "1")
        # Two plugins, each stopped and closed, with a second behind each deadline; then what is unsent.
        self.assertEqual(int(said["EXTEND_TIMEOUT_USEC"]), (2 * 2 * 3000 + 500) * 1000)
        self.assertEqual(broker.wait_end(), 0)
        self.assert_nothing_told()

    def test_a_reload_while_it_stops_does_not_make_it_ready_again(self):
        broker = self.start_told("--plugin", fixture("slow_stop"))
        self.assertIn("READY", self.told())
        broker.signal(signal.SIGTERM)
        self.assertIn("STOPPING", self.told())
        broker.signal(signal.SIGHUP)
        self.assertEqual(broker.wait_end(), 0)
        self.assert_nothing_told()

    def test_a_manager_that_is_gone_stops_nobody(self):
        self.manager.close()
        os.unlink(self.path)
        broker = self.start_told().wait_ready()
        broker.signal(signal.SIGHUP)
        self.assertEqual(broker.end(), 0)


if __name__ == "__main__":
    unittest.main()
