# SPDX-License-Identifier: Apache-2.0
"""Plugins, well-behaved and odd: each failure has a clear sentence and the right exit status, and
does not disturb the others."""

import os
import signal
import subprocess
import time
import unittest

import zmq

from wpsd import DEADLINE, FIXTURES, SANITIZED, WPSD, BrokerTest, fixture

# What cannot be loaded or opened, and a piece of the sentence that says why.
UNLOADABLE = {
    "no_symbol": "no symbol wps_plugin_v1",
    "undefined_symbol": "nobody_has_this_function",
    "wrong_magic": "0x12345678",
    "next_major": "version 2 of the plugin interface",
    "short_struct": "bytes, at least",
    "no_function": "no function stop",
    "no_name": "its name is missing",
    "unknown_flags": "flags 0x4",
    "open_fails": "the moon is not full",
}


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Lives(BrokerTest):
    def test_a_good_plugin_lives_from_open_to_close(self):
        broker = self.broker("--plugin", fixture("echo", greeting="good day"))
        self.assertIn("echo: started: good day", broker.log())
        self.assertEqual(self.ask_ok("brokerinfo")["plugins"], [
            {"name": "echo", "version": "1.0", "state": "running",
             "endpoints": {"control": "ipc:///nowhere/control"}}])
        self.assertEqual(broker.end(), 0)
        log = broker.log()
        self.assertLess(log.index("stopped: good day"), log.index("closed: good day"))

    def test_its_last_events_still_reach_subscribers(self):
        broker = self.broker("--plugin", fixture("slow_stop"))
        sub = self.subscribe(broker, "slow")
        broker.signal(signal.SIGTERM)
        numbers = []
        while not numbers or numbers[-1] != 99:
            began = time.monotonic()
            numbers.append(self.next_event(sub)[1]["data"])
            # They come as they are published: the broker does not wait for stop to return.
            self.assertLess(time.monotonic() - began, 0.9)
        self.assertEqual(numbers, [*range(20), 99])
        self.assertEqual(broker.wait_end(), 0)

    def test_requests_are_answered_while_a_plugin_stops(self):
        broker = self.broker("--plugin", fixture("slow_stop"))
        broker.signal(signal.SIGTERM)
        broker.wait_line("stopping")
        self.assertEqual(self.ask_ok("brokerinfo")["plugins"][0]["state"], "stopping")
        self.assertEqual(broker.wait_end(), 0)

    def test_they_start_in_order_and_stop_in_reverse(self):
        broker = self.broker("--plugin", fixture("echo"), "--plugin", fixture("older_minor"),
                             "--plugin", fixture("newer_minor"))
        self.assertEqual([plugin["name"] for plugin in self.ask_ok("brokerinfo")["plugins"]],
                         ["echo", "older-minor", "newer-minor"])
        self.assertEqual(broker.end(), 0)
        for verb, names in (("is running", ["echo", "older-minor", "newer-minor"]),
                            ("has stopped", ["newer-minor", "older-minor", "echo"])):
            lines = [line for line in broker.lines if line.endswith(verb)]
            self.assertEqual([line.split("plugin ")[1].split()[0] for line in lines], names)

    def test_an_older_minor_with_a_shorter_struct_works(self):
        broker = self.broker("--plugin", fixture("older_minor"))
        info = self.ask_ok("brokerinfo")["plugins"][0]
        self.assertEqual((info["version"], info["state"]), ("0.9", "running"))
        self.assertEqual(info["endpoints"], {})

    def test_one_of_the_first_interface_works_with_all_that_there_was(self):
        """minor_0 is built against the header as it was first written down, kept beside it."""
        broker = self.broker("--plugin", fixture("minor_0", word="hello"))
        self.assertIn("info minor-0: started: hello", broker.log())
        self.assertEqual(self.ask_ok("brokerinfo")["plugins"], [
            {"name": "minor-0", "version": "0.1", "state": "running",
             "endpoints": {"old": f"ipc://{self.runtime}/minor-0"}}])
        sub = self.subscribe(broker, "minor-0")
        kept = self.ask_ok("eventreadhistory", {"event": "started: hello", "scope": "started", "maxitems": 2})
        self.assertEqual([(one["sender"], one["scopes"], one["data"]) for one in kept["events"]],
                         [("minor-0", ["minor-0", "started"], 1)])
        broker.signal(signal.SIGTERM)
        self.assertEqual(self.next_event(sub)[1]["event"], "stopped: hello")
        self.assertEqual(broker.wait_end(), 0)
        self.assertIn("minor-0 has stopped", broker.log())

    def test_the_same_file_twice_is_refused(self):
        broker = self.start("--plugin", fixture("echo"), "--plugin", fixture("echo"))
        self.assertEqual(broker.wait_end(), 3)
        self.assertIn("loaded already", broker.log())

    def test_a_file_is_found_by_a_relative_path(self):
        here = os.getcwd()
        os.chdir(FIXTURES)
        self.addCleanup(os.chdir, here)
        self.broker("--plugin", "echo.so")

    def test_the_broker_is_ready_for_requests_while_a_plugin_starts(self):
        broker = self.start("--plugin", fixture("start_never_returns"), "--stop-timeout-ms=200")
        self.client = self.connect(zmq.REQ, broker.endpoint("rpc"))
        while (state := self.ask_ok("brokerinfo")["plugins"][0]["state"]) != "starting":
            self.assertIn(state, ("waiting", "opening", "opened"))
        self.assertEqual(broker.end(), 5)
        self.assertIn("still starting", broker.log())

    @unittest.skipIf(SANITIZED, "the sanitizers' allocator keeps what was freed")
    def test_large_blocks_that_its_threads_freed_go_back_to_the_system(self):
        broker = self.broker("--plugin", fixture("large_blocks"))
        sub = self.subscribe(broker, "memory")
        before = resident_bytes(broker.process.pid)
        broker.signal(signal.SIGHUP)
        freed = self.next_event(sub)[1]["data"]
        self.assertLess(resident_bytes(broker.process.pid) - before, freed / 4)


class Failures(BrokerTest):
    def test_each_failure_ends_the_broker_with_its_sentence(self):
        for name, why in UNLOADABLE.items():
            with self.subTest(name):
                broker = self.start("--plugin", fixture("echo"), "--plugin", fixture(name))
                self.assertEqual(broker.wait_end(), 3)
                self.assertIn(why, broker.log())
                # All are opened before any is started.
                self.assertNotIn("started", broker.log())
                self.assertIn("closed", broker.log())

    def test_an_optional_one_that_fails_disturbs_nobody(self):
        arguments = ["--plugin", fixture("echo")]
        for name in (*UNLOADABLE, "start_fails"):
            arguments += ["--optional-plugin", fixture(name)]
        arguments += ["--optional-plugin", os.path.join(self.home, "missing.so")]
        broker = self.broker(*arguments, "--plugin", fixture("newer_minor"))
        states = [plugin["state"] for plugin in self.ask_ok("brokerinfo")["plugins"]]
        self.assertEqual(states, ["running", *["failed"] * (len(states) - 2), "running"])
        for why in (*UNLOADABLE.values(), "missing.so: No such file", "No space left on device"):
            self.assertIn(why, broker.log())

    def test_a_failed_start_is_closed_and_those_before_are_stopped(self):
        broker = self.start("--plugin", fixture("echo"), "--plugin", fixture("start_fails"),
                            "--plugin", fixture("newer_minor"))
        self.assertEqual(broker.wait_end(), 3)
        log = broker.log()
        self.assertIn("start-fails: its start failed: No space left on device", log)
        self.assertIn("closed after a failed start", log)
        self.assertIn("echo has stopped", log)
        self.assertNotIn("newer-minor 1.0 is running", log)

    def test_a_missing_file_is_named(self):
        path = os.path.join(self.home, "missing.so")
        broker = self.start("--plugin", path)
        self.assertEqual(broker.wait_end(), 3)
        self.assertIn(f"{path}: No such file or directory", broker.log())

    def test_what_is_no_shared_object_is_named(self):
        path = os.path.join(self.home, "text.so")
        with open(path, "w", encoding="utf-8") as file:
            file.write("hello")
        broker = self.start("--plugin", path)
        self.assertEqual(broker.wait_end(), 3)
        self.assertIn(path, broker.log())

    def test_an_unknown_option_is_named(self):
        broker = self.start("--plugin", fixture("echo", volume="11"))
        self.assertEqual(broker.wait_end(), 3)
        self.assertIn("unknown option: volume", broker.log())

    def test_one_that_never_stops_is_left_behind_after_its_deadline(self):
        broker = self.broker("--plugin", fixture("echo"), "--plugin", fixture("stop_never_returns"),
                             "--stop-timeout-ms=300")
        sub = self.subscribe(broker, "echo")
        began = time.monotonic()
        broker.signal(signal.SIGTERM)
        self.assertEqual(self.next_event(sub)[1]["event"], "fixture:stopped")
        self.assertEqual(broker.wait_end(), 5)
        self.assertGreater(time.monotonic() - began, 0.3)
        self.assertIn("stop-never-returns: it is still stopping after 300 ms", broker.log())
        self.assertIn("echo has stopped", broker.log())
        self.assertNotIn("rpc", os.listdir(self.runtime))

    def test_one_that_gives_etimedout_is_not_closed(self):
        broker = self.broker("--plugin", fixture("echo"), "--plugin", fixture("stop_times_out"),
                             "--stop-timeout-ms=400")
        self.assertEqual(broker.end(), 5)
        self.assertIn("one thread still works after 400 ms", broker.log())
        self.assertIn("closed: hello", broker.log())

    def test_a_second_signal_ends_it_at_once(self):
        for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)):
            broker = self.start("--plugin", fixture("stop_never_returns")).wait_ready()
            broker.signal(first)
            broker.wait_line("stopping")
            # The first half second counts as the same wish; we insist.
            began = time.monotonic()
            while not broker.ends_within(0.05):
                self.assertLess(time.monotonic() - began, DEADLINE)
                broker.signal(second)
            self.assertGreater(time.monotonic() - began, 0.4)
            self.assertEqual(broker.wait_end(), 6)
            self.assertNotIn("rpc", os.listdir(self.runtime))

    def test_two_signals_for_one_wish_end_it_in_order(self):
        broker = self.start("--plugin", fixture("slow_stop")).wait_ready()
        broker.signal(signal.SIGINT)
        broker.wait_line("stopping")
        broker.signal(signal.SIGTERM)
        self.assertEqual(broker.wait_end(), 0)

    def test_sigint_ends_it_in_order_too(self):
        broker = self.start("--plugin", fixture("echo")).wait_ready()
        broker.signal(signal.SIGINT)
        self.assertEqual(broker.wait_end(), 0)


class Reload(BrokerTest):
    def configure(self, text):
        path = os.path.join(self.home, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def echo_with(self, option, value):
        return f'plugin = "{fixture("echo")}"\n    {option} = "{value}"\n'

    def test_sighup_hands_the_plugin_its_new_options(self):
        config = self.configure(self.echo_with("greeting", "one"))
        broker = self.broker("--config", config)
        self.assertIn("started: one", broker.log())
        self.configure(self.echo_with("greeting", "two, three"))
        broker.signal(signal.SIGHUP)
        broker.wait_line("reloaded: two, three")
        self.ask_ok("brokerinfo")

    def test_what_cannot_be_changed_is_told_and_nothing_changes(self):
        config = self.configure(self.echo_with("greeting", "one"))
        broker = self.broker("--config", config)
        self.configure(self.echo_with("name", "other"))
        broker.signal(signal.SIGHUP)
        broker.wait_line("name: cannot be changed while running")
        self.assertEqual(self.ask_ok("brokerinfo")["plugins"][0]["state"], "running")

    def test_one_without_reload_is_left_alone_and_a_change_is_said(self):
        """Nothing behind its shorter struct is called."""
        older = f'plugin = "{fixture("older_minor")}"\n'
        config = self.configure(older + self.echo_with("greeting", "one"))
        broker = self.broker("--config", config)
        broker.signal(signal.SIGHUP)
        broker.wait_line("reloaded: one")
        broker.wait_line("echo has taken its options")
        self.assertNotIn("older-minor: its options have changed", broker.log())
        self.configure(older + '    colour = "red"\n' + self.echo_with("greeting", "two"))
        for _ in range(2):  # what runs is still the old, so it is said again
            broker.signal(signal.SIGHUP)
            broker.wait_line("older-minor: its options have changed, and it takes none while it runs")
            broker.wait_line("reloaded: two")
            broker.wait_line("echo has taken its options")  # else it is busy, and says so

    def test_one_of_the_first_interface_takes_its_new_options(self):
        def minor_0_with(option, value):
            return self.configure(f'plugin = "{fixture("minor_0")}"\n    {option} = "{value}"\n')

        broker = self.broker("--config", minor_0_with("word", "one"))
        minor_0_with("word", "two")
        broker.signal(signal.SIGHUP)
        broker.wait_line("reloaded: two")
        broker.wait_line("minor-0 has taken its options")  # else it is busy, and says so
        minor_0_with("colour", "red")
        broker.signal(signal.SIGHUP)
        broker.wait_line("unknown option: colour")

    def test_a_broken_file_changes_nothing(self):
        config = self.configure(self.echo_with("greeting", "one"))
        broker = self.broker("--config", config)
        self.configure("no-such-option = 1\n")
        broker.signal(signal.SIGHUP)
        broker.wait_line("nothing is reloaded")
        self.ask_ok("brokerinfo")

    def test_what_needs_a_restart_is_said(self):
        config = self.configure("queue-events = 1000\n")
        broker = self.broker("--config", config)
        self.configure("queue-events = 2000\n" + self.echo_with("greeting", "x"))
        broker.signal(signal.SIGHUP)
        broker.wait_line("queue-events has changed: restart")
        broker.wait_line("added or removed")


class Check(unittest.TestCase):
    def check(self, argument):
        ran = subprocess.run([WPSD, "--check-plugin", argument], capture_output=True, text=True,
                             timeout=DEADLINE, check=False)
        return ran.returncode, ran.stdout, ran.stderr

    def test_a_good_one_is_named(self):
        status, out, err = self.check(fixture("newer_minor"))
        self.assertEqual((status, err), (0, ""))
        self.assertIn("newer-minor 1.0, interface version 1.7", out)

    def test_a_bad_one_says_exactly_why(self):
        for name, why in UNLOADABLE.items():
            status, _, err = self.check(fixture(name))
            self.assertEqual(status, 3, name)
            self.assertIn(why, err)

    def test_its_options_are_checked_too(self):
        self.assertEqual(self.check(fixture("echo", greeting="x"))[0], 0)
        status, _, err = self.check(fixture("echo", volume="11"))
        self.assertEqual(status, 3)
        self.assertIn("unknown option: volume", err)


if __name__ == "__main__":
    unittest.main()
