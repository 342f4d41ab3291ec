# SPDX-License-Identifier: Apache-2.0
"""The log: text or JSON lines, never forged, never in the way."""

import fcntl
import json
import os
import pathlib
import resource
import signal
import subprocess
import unittest

import zmq

from wpsd import DEADLINE, WPSD, BrokerTest, fixture


class Logs(BrokerTest):
    TEXT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug|trace) [\w-]+: "

    def test_text_is_one_line_a_message_whatever_is_in_it(self):
        broker = self.broker("--plugin", fixture("logger"))
        self.assertEqual(broker.end(), 0)
        for line in broker.lines:
            self.assertRegex(line, self.TEXT)
            self.assertLess(len(line), 4096)
            self.assertNotIn("\x1b", line)
        self.assertIn(r"line\x0a2020-01-01 error wpsd: forged", broker.log())
        self.assertIn("warning logger: not UTF-8: ??", broker.log())
        self.assertNotIn("only with debug", broker.log())

    def test_what_is_too_long_is_cut_between_two_characters(self):
        """Wherever the end falls in one of three bytes: what is there stays readable."""
        broker = self.broker("--plugin", fixture("logger"))
        self.assertEqual(broker.end(), 0)
        cut = [line.split("info logger: ")[1] for line in broker.lines if "info logger: " in line]
        self.assertEqual(cut[-3:], ["m" * before + "€" * (2048 // 3) for before in range(3)])

    def test_json_is_one_object_a_line(self):
        broker = self.start("--plugin", fixture("logger"), "--log-format=json", "--log-level=trace")
        broker.wait_line("ready")
        self.assertEqual(broker.end(), 0)
        entries = [json.loads(line) for line in broker.lines]
        for entry in entries:
            self.assertEqual(set(entry), {"time", "level", "source", "message"})
        messages = {entry["message"]: entry for entry in entries if entry["source"] == "logger"}
        self.assertEqual(messages["line\n2020-01-01 error wpsd: forged"]["level"], "info")
        self.assertEqual(messages['quotes " and \\ and \x1b[31m']["level"], "info")
        self.assertEqual(messages["of a level that is none"]["level"], "trace")
        self.assertEqual(messages["only with debug"]["level"], "debug")

    def test_the_level_can_be_set_while_it_runs(self):
        broker = self.broker()
        broker.signal(signal.SIGUSR1)
        broker.wait_line("log level is debug")
        broker.signal(signal.SIGUSR2)
        broker.wait_line("log level is info")
        path = os.path.join(self.home, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write("log-format = json\n")
        other = self.start("--config", path, runtime=os.path.join(self.home, "other"))
        other.wait_line('"ready: ')
        with open(path, "w", encoding="utf-8") as file:
            file.write("log-level = debug\n")
        other.signal(signal.SIGHUP)
        other.signal(signal.SIGUSR1)
        self.assertRegex(other.wait_line("log level is trace"), self.TEXT)
        self.assertEqual(other.end(), 0)

    def test_a_reader_of_stderr_that_sleeps_does_not_stop_the_broker(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        process = subprocess.Popen([WPSD, "--plugin", fixture("logger"), "--log-level=trace"],
                                   env=dict(os.environ, WPS_RUNTIME_DIR=self.runtime),
                                   stderr=writer)
        os.close(writer)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.client = self.connect(zmq.REQ, f"ipc://{self.runtime}/rpc")
        self.ask_ok("brokerinfo")
        for _ in range(200):  # each of them is logged at this level
            process.send_signal(signal.SIGHUP)
            self.ask_ok("brokerinfo")
        self.assertGreater(self.counters()["log_lines_lost"], 0)
        os.read(reader, 65536)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertRegex(os.read(reader, 65536).decode(), r"\d+ log lines were lost here")

    def test_a_line_that_found_no_room_does_not_run_into_the_next(self):
        """A file that may not grow stands for a disk that is full: it takes the half of a line, and then nothing."""
        path = os.path.join(self.home, "log")
        with open(path, "wb") as log:
            process = subprocess.Popen([WPSD], env=dict(os.environ, WPS_RUNTIME_DIR=self.runtime), stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.client = self.connect(zmq.REQ, f"ipc://{self.runtime}/rpc")
        self.ask_ok("brokerinfo")
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (os.path.getsize(path) + 10, most))
        for lost in (1, 2):
            process.send_signal(signal.SIGUSR1)
            self.wait_counter("log_lines_lost", lost)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)
        lines = pathlib.Path(path).read_text().splitlines()
        cut = [number for number, line in enumerate(lines) if len(line) == 10]
        self.assertEqual(len(cut), 1, lines)
        del lines[cut[0]]
        for line in lines:
            self.assertRegex(line, self.TEXT)
        self.assertRegex(lines[cut[0]], r"[2-9] log lines were lost here")


if __name__ == "__main__":
    unittest.main()
