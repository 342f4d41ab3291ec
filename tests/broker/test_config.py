# SPDX-License-Identifier: Apache-2.0
"""The command line and the configuration file."""

import os
import re
import subprocess
import unittest

import zmq.auth

from wpsd import DEADLINE, WPSD, BrokerTest, fixture


def run(*arguments):
    return subprocess.run([WPSD, *arguments], capture_output=True, text=True, timeout=DEADLINE,
                          check=False)


class CommandLine(unittest.TestCase):
    def test_help_lists_every_option_and_every_exit_status(self):
        ran = run("--help")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        for word in ("--plugin", "--optional-plugin", "--check-plugin", "--config",
                     "--queue-events", "--log-format", "Exit status", "SIGHUP"):
            self.assertIn(word, ran.stdout)
        self.assertTrue(all(len(line) <= 100 for line in ran.stdout.splitlines()))

    def test_version_is_one_line(self):
        ran = run("--version")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertRegex(ran.stdout, r"^wpsd \d+\.\d+\.\d+\n$")

    def test_what_is_wrong_is_named_and_is_status_2(self):
        for arguments, part in ((["--nothing"], "--nothing"), (["file"], "file"),
                                (["--queue-events"], "--queue-events"),
                                (["--queue-events=x"], "queue-events"),
                                (["--queue-events=0"], "1 to"),
                                (["--queue-events=-1"], "queue-events"),
                                (["--queue-events=1K"], "queue-events"),
                                (["--queue-bytes=1T"], "K, M or G"),
                                (["--queue-bytes=18446744073709551615G"], "queue-bytes"),
                                (["--log-level=loud"], "error, warning, info, debug, trace"),
                                (["--allow-others=perhaps"], "no, yes"),
                                (["--runtime-dir="], "runtime-dir"),
                                (["--plugin", ""], "no file"),
                                (["--plugin", "x.so,y"], "key=value"),
                                (["--plugin", "x.so,=y"], "key=value"),
                                (["--plugin", "x.so,"], "key=value"),
                                (["--config", "/no/such/file"], "/no/such/file: No such file")):
            ran = run(*arguments)
            self.assertEqual(ran.returncode, 2, (arguments, ran))
            self.assertIn(part, ran.stderr)
            self.assertEqual(len(ran.stderr.splitlines()), 1)


class File(BrokerTest):
    def configure(self, text):
        path = os.path.join(self.home, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def certificate(self):
        """One that is good for every role."""
        _, secret = zmq.auth.create_certificates(self.home, "key")
        os.chmod(secret, 0o600)
        return secret

    def test_every_option_of_the_help_can_be_in_the_file(self):
        preset = {"DIR": self.runtime, "USERS": "root", "CAPABILITIES": "NET_RAW", "CALLS": "mount",
                  "yes|no": "no", "LEVEL": "info", "FORMAT": "text"}
        lines = []
        for line in run("--help").stdout.split("Options, with")[1].splitlines():
            found = re.match(r"  --([a-z-]+)=(\S+) .*?(?:\(([^()]+)\))?$", line)
            if found and found[2] == "ENDPOINT":
                lines.append(f'{found[1]} = "ipc://{self.home}/{found[1]}"')
            elif found and found[1].startswith("curve-"):
                lines.append(f'{found[1]} = "{self.certificate()}"')
            elif found:
                lines.append(f'{found[1]} = "{preset.get(found[2]) or found[3]}"')
        self.assertGreater(len(lines), 20)
        broker = self.start("--config", self.configure("\n".join(lines) + "\n")).wait_ready()
        self.assertIn(f"{self.home}/rpc-endpoint", broker.log())
        self.assertEqual(broker.end(), 0)

    def test_plugins_have_their_options_below_them(self):
        config = self.configure("# a comment\n"
                                f'plugin = "{fixture("echo")}"\n'
                                '    greeting = "with, comma = and more"\n'
                                'optional-plugin = "/no/such.so"\n'
                                f'plugin = "{fixture("newer_minor")}"\n')
        broker = self.broker("--config", config)
        self.assertIn("started: with, comma = and more", broker.log())
        self.assertEqual([plugin["state"] for plugin in self.ask_ok("brokerinfo")["plugins"]],
                         ["running", "failed", "running"])

    def test_the_command_line_counts_more_wherever_it_stands(self):
        config = self.configure('log-level = "error"\n')
        for arguments in (["--config", config, "--log-level=debug"],
                          ["--log-level=debug", "--config", config]):
            broker = self.broker(*arguments)  # with "error" there would be no line to wait for
            self.assertEqual(broker.end(), 0)

    def test_what_is_wrong_is_named_with_the_file(self):
        for text, part in (("queue-event = 1\n", "queue-event: there is no option"),
                           ("queue-events = many\n", '"many"'),
                           ("queue-events = 5\n    more = 1\n", "below it"),
                           ("plugin\n    x = 1\n", "no file"),
                           ("  badly indented = 1\n", "not a ZPL file"),
                           ('log-level = "unended\n', "not a ZPL file"),
                           ("runtime-dir\n", "runtime-dir")):
            path = self.configure(text)
            ran = run("--config", path)
            self.assertEqual(ran.returncode, 2, (text, ran))
            self.assertIn(path, ran.stderr)
            self.assertIn(part, ran.stderr)
            self.assertEqual(ran.stdout, "")


if __name__ == "__main__":
    unittest.main()
