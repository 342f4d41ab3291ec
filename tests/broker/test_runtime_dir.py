# SPDX-License-Identifier: Apache-2.0
"""Two brokers, dead brokers, and directories that are not fit to be one's own."""

import os
import signal
import socket
import stat
import unittest

import zmq

from wpsd import BrokerTest

BOUND = ("events", "publish", "rpc")


class RuntimeDir(BrokerTest):
    def assert_will_not_start(self, status, *parts, arguments=(), **more):
        broker = self.start(*arguments, **more)
        self.assertEqual(broker.wait_end(), status, broker.log())
        for part in parts:
            self.assertIn(part, broker.log())

    def test_it_is_made_private_with_private_sockets(self):
        self.broker()
        self.assertEqual(stat.S_IMODE(os.stat(self.runtime).st_mode), 0o700)
        for name in BOUND:
            mode = os.stat(os.path.join(self.runtime, name)).st_mode
            self.assertTrue(stat.S_ISSOCK(mode))
            self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_allow_others_makes_it_0711(self):
        self.broker("--allow-others=yes")
        self.assertEqual(stat.S_IMODE(os.stat(self.runtime).st_mode), 0o711)

    def test_the_umask_has_no_say(self):
        for mask in (0, 0o777):
            runtime = os.path.join(self.home, f"u{mask}")
            broker = self.start(runtime=runtime, limits=lambda m=mask: os.umask(m)).wait_ready()
            self.assertEqual(stat.S_IMODE(os.stat(runtime).st_mode), 0o700)
            self.assertEqual(broker.end(), 0)

    def test_a_clean_end_leaves_no_socket_behind(self):
        self.assertEqual(self.broker().end(), 0)
        self.assertEqual([name for name in os.listdir(self.runtime) if name in BOUND], [])

    def test_the_option_counts_more_than_the_environment(self):
        other = os.path.join(self.home, "other")
        broker = self.start("--runtime-dir", other).wait_ready()
        self.assertTrue(os.path.exists(os.path.join(other, "rpc")))
        self.assertEqual(broker.end(), 0)

    def test_xdg_runtime_dir_is_taken_by_users(self):
        if os.geteuid() == 0:
            self.skipTest("for root it is /run/wps")
        broker = self.start(env={"WPS_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": self.home}).wait_ready()
        self.assertTrue(os.path.exists(os.path.join(self.home, "wps", "rpc")))
        self.assertEqual(broker.end(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become another user")
    def test_without_any_of_them_it_says_to_set_one(self):
        self.assert_will_not_start(
            1, "WPS_RUNTIME_DIR", "XDG_RUNTIME_DIR",
            env={"WPS_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": ""},
            limits=lambda: (os.setgroups([]), os.setgid(65534), os.setuid(65534)))

    def test_a_second_broker_says_who_runs_and_leaves_its_sockets_alone(self):
        first = self.broker()
        before = {name: os.stat(os.path.join(self.runtime, name)).st_ino for name in BOUND}
        self.assert_will_not_start(4, f"pid {first.process.pid}", self.runtime)
        self.assertEqual(before, {name: os.stat(os.path.join(self.runtime, name)).st_ino
                                  for name in BOUND})
        self.ask_ok("brokerinfo")
        self.subscribe(first, "s")

    def test_what_a_kill_left_is_no_obstacle(self):
        first = self.start().wait_ready()
        first.signal(signal.SIGKILL)
        first.wait_end()
        self.assertTrue(os.path.exists(os.path.join(self.runtime, "rpc")))
        self.broker()
        self.ask_ok("brokerinfo")

    def test_a_client_lives_through_a_restart(self):
        first = self.start().wait_ready()
        sub = self.connect(zmq.SUB, first.endpoint("events"))
        sub.subscribe("s")
        first.signal(signal.SIGKILL)
        first.wait_end()
        self.broker()
        self.sync(sub)
        self.assert_no_event(sub, "s")

    def test_a_symbolic_link_is_refused(self):
        os.mkdir(os.path.join(self.home, "real"), 0o700)
        os.symlink("real", self.runtime)
        self.assert_will_not_start(1, "symbolic link", self.runtime)
        self.assert_will_not_start(1, "symbolic link", runtime=self.runtime + "///")

    def test_a_file_is_refused(self):
        with open(self.runtime, "w", encoding="utf-8"):
            pass
        self.assert_will_not_start(1, "not a directory")

    def test_one_that_lets_others_in_is_refused(self):
        for mode in (0o755, 0o701, 0o710, 0o770, 0o711, 0o1777):
            os.makedirs(self.runtime, exist_ok=True)
            os.chmod(self.runtime, mode)
            self.assert_will_not_start(1, f"{mode:04o}", "chmod 0700")
            self.assertEqual(os.listdir(self.runtime), [])

    def test_even_with_allow_others_nobody_may_list_or_write(self):
        for mode in (0o755, 0o733):
            os.makedirs(self.runtime, exist_ok=True)
            os.chmod(self.runtime, mode)
            self.assert_will_not_start(1, "chmod 0711", arguments=["--allow-others=yes"])

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to give a directory away")
    def test_somebody_elses_is_refused(self):
        os.mkdir(self.runtime, 0o700)
        os.chown(self.runtime, 65534, 65534)
        self.assert_will_not_start(1, "belongs to user 65534")

    def test_a_missing_parent_is_named(self):
        self.assert_will_not_start(1, "missing", runtime=os.path.join(self.home, "no", "such"))

    def test_a_relative_one_becomes_absolute(self):
        here = os.getcwd()
        os.chdir(self.home)
        self.addCleanup(os.chdir, here)
        broker = self.start(runtime="relative").wait_line("ready: ")
        self.assertIn(os.path.join(self.home, "relative", "events"), broker)


class Endpoints(BrokerTest):
    assert_will_not_start = RuntimeDir.assert_will_not_start

    def test_a_path_of_107_bytes_is_the_longest(self):
        def runtime(size):  # so that "/publish", the longest of the three, ends at `size`
            return os.path.join(self.home, "r" * (size - len(self.home) - len("//publish")))
        self.assert_will_not_start(1, "107", "publish", runtime=runtime(108))
        broker = self.broker(runtime=runtime(107))
        self.ask_ok("brokerinfo")
        self.assertEqual(broker.end(), 0)

    def test_an_endpoint_that_is_none_is_refused_by_name(self):
        for endpoint in ("inproc://x", "ipc://relative", "/tmp/x", "tcp://", "udp://1:2",
                         "ipc://*"):
            self.assert_will_not_start(1, endpoint, arguments=["--rpc-endpoint", endpoint])

    def test_a_file_in_the_way_is_not_destroyed(self):
        path = os.path.join(self.home, "precious")
        with open(path, "w", encoding="utf-8") as file:
            file.write("data")
        self.assert_will_not_start(1, path, "no socket",
                                   arguments=["--events-endpoint", f"ipc://{path}"])
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "data")

    def test_a_socket_that_somebody_serves_is_not_taken_from_them(self):
        path = os.path.join(self.home, "served")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            inode = os.stat(path).st_ino
            self.assert_will_not_start(4, path, "another process",
                                       arguments=["--events-endpoint", f"ipc://{path}"])
            self.assertEqual(os.stat(path).st_ino, inode)

    def test_a_failed_start_leaves_no_socket_behind(self):
        self.assert_will_not_start(1, "nowhere",
                                   arguments=["--rpc-endpoint", "ipc:///nowhere/at/all"])
        self.assertEqual([name for name in os.listdir(self.runtime) if name in BOUND], [])

    def test_plain_tcp_works_tells_its_port_and_warns(self):
        broker = self.broker("--plain-tcp=yes", "--rpc-endpoint=tcp://127.0.0.1:*",
                             "--events-endpoint=tcp://127.0.0.1:*")
        self.assertIn("every user of this machine", broker.log())
        endpoint = next(line for line in broker.lines if "rpc at tcp" in line).split("rpc at ")[1]
        self.client = self.connect(zmq.REQ, endpoint)
        self.assertEqual(self.ask_ok("brokerinfo")["endpoints"]["rpc"], endpoint)

    def test_an_abstract_socket_works(self):
        name = f"@wpsd-test-{os.getpid()}"
        broker = self.broker("--rpc-endpoint", f"ipc://{name}")
        self.client = self.connect(zmq.REQ, f"ipc://{name}")
        self.ask_ok("brokerinfo")
        self.assertEqual(broker.end(), 0)


if __name__ == "__main__":
    unittest.main()
