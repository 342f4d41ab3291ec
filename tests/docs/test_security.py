# SPDX-License-Identifier: Apache-2.0
"""What docs/security.md shows is done as it stands, from making keys to asking with them."""

import os
import pathlib
import signal
import socket
import subprocess
import unittest

import zmq

from pages import BUILD, one
from test_examples import DEADLINE, PYTHON, Example

PAGE = "security.md"


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Security(Example):
    def setUp(self):
        super().setUp()
        pathlib.Path(self.home, "build").symlink_to(BUILD)
        self.ports = dict(zip(("5571", "5572", "5573"), free_ports(3)))

    def text(self, *words):
        """An example, with ports that nobody has."""
        text = one(words[0], PAGE, *words[1:])
        for shown, port in self.ports.items():
            text = text.replace(shown, port)
        return text

    def sh(self, *words):
        environment = os.environ | {"PATH": f"{BUILD}:{pathlib.Path(PYTHON).parent}:{os.environ['PATH']}"}
        return subprocess.run(["sh", "-e", "-c", self.text(*words)], cwd=self.home, text=True,
                              check=False, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=DEADLINE, env=environment)

    def sh_ok(self, *words):
        ran = self.sh(*words)
        self.assertEqual(ran.returncode, 0, ran)
        return ran.stdout

    def start_shown(self, *words):
        """The broker that is shown, ready."""
        os.makedirs(self.runtime, mode=0o700)
        broker = subprocess.Popen(["sh", "-e", "-c", "exec " + self.text(*words)], cwd=self.home,
                                  text=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE,
                                  env=os.environ | {"WPS_RUNTIME_DIR": self.runtime})
        self.addCleanup(broker.stderr.close)
        self.addCleanup(broker.wait)
        self.addCleanup(broker.send_signal, signal.SIGTERM)
        lines = []
        for line in broker.stderr:
            lines.append(line)
            if "ready: " in line:
                return broker
        raise AssertionError(f"it ended: {lines}")

    def test_keys_are_made_and_alice_asks_with_hers(self):
        if not zmq.has("curve"):
            self.skipTest("this libzmq has no CURVE")
        self.sh_ok("sh", "keys")
        pathlib.Path(self.home, "wpsd.conf").write_text(self.text("conf"))
        self.start_shown("start", "conf")
        self.assertEqual(self.sh("sh", "ask").returncode, 3, "she has no role yet")
        self.sh_ok("sh", "roles")
        self.sh_ok("sh", "ask")

    def test_the_users_that_are_shown_are_taken(self):
        self.start_shown("start", "users")
        self.assertEqual(os.stat(self.runtime).st_mode & 0o777, 0o711)
        self.assertEqual(os.stat(f"{self.runtime}/control").st_mode & 0o777, 0o666)

    def test_the_line_about_the_fence_is_logged(self):
        shown = self.text("fence").strip()
        if os.geteuid() != 0:
            self.skipTest("an ordinary user keeps less")
        with open("/proc/self/status") as status:
            has_all = "CapBnd:\t000001ff" in status.read()
        if not has_all:
            self.skipTest("not all capabilities are here to be kept")
        if "address" in os.environ.get("DOCS_SANITIZE", ""):
            self.skipTest("the address sanitizer's own end needs ptrace, which is left to it")
        broker = subprocess.run([f"{BUILD}/wpsd", "--plugin", "/no/such.so"], text=True, capture_output=True,
                                env=os.environ | {"WPS_RUNTIME_DIR": self.runtime}, timeout=DEADLINE, check=False)
        self.assertIn(shown, broker.stderr)


if __name__ == "__main__":
    unittest.main()
