# SPDX-License-Identifier: Apache-2.0
"""Every command on the same few blocks at once, at random: each request is answered once, and nothing breaks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from typing import Any

import zmq

from blackbox.case import SystemCase
from blackbox.wire import DEADLINE, pack, unpack

SECONDS = 6.0
BLOCKS = 3
AT_ONCE = 30
CROWD = 20
SCRIPTS = ("sleep 2", "trap '' TERM; sleep 1 & sleep 2; true", "while :; do /bin/true; done")
COMMANDS = (["ensure_tracker"] * 4 + ["remove"] * 3 + ["assign_process"] * 2 +
            ["stop_tree", "signal_tree", "wait_empty", "freeze", "thaw", "kill_tree", "kill_started",
             "list_block", "list_all_blocks", "confidence_of", "describe"])
EXPECTED = {None, "no_such_block", "no_such_process", "not_supported"}


class Races(SystemCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = int(os.environ.get("PROCTRACK_SEED", random.randrange(1 << 32)))
        self.random = random.Random(self.seed)
        self.crowd: list[subprocess.Popen[bytes]] = []
        self.addCleanup(self.disperse)

    def disperse(self) -> None:
        for process in self.crowd:
            process.kill()
            process.wait()

    def somebody(self) -> int:
        """A process of ours that lives, as a rule."""
        for process in [process for process in self.crowd if process.poll() is not None]:
            self.crowd.remove(process)
        if len(self.crowd) < CROWD:
            self.crowd.append(subprocess.Popen(["/bin/sh", "-c", self.random.choice(SCRIPTS)]))
        return self.random.choice(self.crowd).pid

    def request(self) -> dict[str, Any]:
        command = self.random.choice(COMMANDS)
        if command in ("describe", "list_all_blocks"):
            return {"command": command}
        data: dict[str, Any] = {"block_id": f"race-{self.random.randrange(BLOCKS)}"}
        if command == "assign_process":
            data["pid"] = self.somebody()
        elif command == "signal_tree":
            data["signal"] = self.random.choice((signal.SIGTERM, signal.SIGCONT))
        elif command == "wait_empty":
            data["timeout_ms"] = self.random.choice((0, 10, 300))
        elif command == "stop_tree":
            data |= {"grace_ms": self.random.choice((0, 5, 50)),
                     "timeout_ms": self.random.choice((60, 500, 2000))}
        if command in ("remove", "stop_tree") and self.random.random() < 0.5:
            data["include_escaped"] = True
        if command not in ("remove", "kill_started", "confidence_of") and self.random.random() < 0.3:
            data["scope"] = self.random.choice(("bg/1", "bg", "main"))
        return {"command": command, "data": data}

    def test_any_commands_at_once_are_each_answered_once(self) -> None:
        waiting: dict[int, dict[str, Any]] = {}
        with zmq.Context.instance().socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(self.broker.endpoint("control"))
            end, number = time.monotonic() + SECONDS, 0
            while time.monotonic() < end:
                waiting[number] = self.request()
                dealer.send_multipart([b"", pack(waiting[number] | {"reqid": number})])
                number += 1
                while dealer.poll(0 if len(waiting) < AT_ONCE else DEADLINE * 1000):
                    self.take(dealer, waiting)
            while waiting:
                self.assertTrue(dealer.poll(DEADLINE * 1000),
                                f"seed {self.seed}: no answer to {list(waiting.values())[:5]}")
                self.take(dealer, waiting)
        for block in range(BLOCKS):
            self.control("remove", block_id=f"race-{block}")
        self.assertEqual(self.control("list_all_blocks")["block_ids"], [])

    def take(self, dealer: zmq.Socket, waiting: dict[int, dict[str, Any]]) -> None:
        reply = unpack(dealer.recv_multipart()[1])
        request = waiting.pop(reply["resid"], None)
        self.assertIsNotNone(request, f"seed {self.seed}: answered twice: {reply}")
        self.assertIn(reply.get("errorcode"), EXPECTED, f"seed {self.seed}: {request}: {reply}")
