# SPDX-License-Identifier: Apache-2.0
"""A program of tests/client that is told what to do line by line, and says in lines what came of it."""

import queue
import subprocess
import threading

from wpsd import DEADLINE


class LineProbe:
    """Its lines are in `lines`; None is the end."""

    def __init__(self, test, *command):
        self.test = test
        self.process = subprocess.Popen(command, text=True, bufsize=1, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        test.addCleanup(self.end)

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def end(self):
        """It must end well, which a sanitizer sees to."""
        self.process.stdin.close()
        try:
            status = self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
            self.reader.join(DEADLINE)
            self.process.stdout.close()
        self.test.assertEqual(status, 0)

    def say(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
