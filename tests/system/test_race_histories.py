# SPDX-License-Identifier: Apache-2.0
"""ensure_tracker, assign_process, kill_tree, list_block and remove on one block by many clients at once: what they
were told has a legal order, that is, one in which a single client could have been told it.

PROCTRACK_HISTORIES says how many histories (40; a tenth with sanitizers), PROCTRACK_SEED where chance begins:
what the clients ask is the same again, how their requests meet is not.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from typing import Any, Iterator

import zmq

from blackbox import programs
from blackbox.block_model import BlockModel
from blackbox.case import SystemCase
from blackbox.order import Call, legal_order, shown
from blackbox.wire import DEADLINE, pack, unpack

HISTORIES = int(os.environ.get("PROCTRACK_HISTORIES", "8" if os.environ.get("PROCTRACK_SANITIZE") else "40"))
AT_ONCE = 4  # histories, each with a block of its own
CLIENTS = 6
CALLS = 6  # of each client
PROCESSES = 8
PAUSE_MS = 3.0
COMMANDS = {"ensure": "ensure_tracker", "assign": "assign_process", "kill": "kill_tree", "list": "list_block",
            "remove": "remove"}
TOLD = ("errorcode", "created", "assigned", "ok", "tracked")
CHANCES = ["ensure"] * 6 + ["assign"] * 9 + ["kill"] * 3 + ["list"] * 5 + ["remove"] * 3


class Sleepers:
    """Processes that live until a call ends them. Who ended is not reaped before all is over, so no pid is
    another's meanwhile."""

    def __init__(self, count: int) -> None:
        self.pids = [os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}) for _ in range(count)]

    def alive(self) -> frozenset[int]:
        """Their numbers."""
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return frozenset(number for number, pid in enumerate(self.pids) if os.waitid(os.P_PID, pid, look) is None)

    def end(self) -> None:
        for pid in self.pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        self.pids = []


class Client:
    """One of a history's: the next call goes out some moment after the reply to the last."""

    def __init__(self, number: int, endpoint: str, chance: random.Random, history: "History") -> None:
        self.number = number
        self.history = history
        self.socket = zmq.Context.instance().socket(zmq.REQ)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self._chance = chance
        self._left = CALLS
        self._under_way: tuple[str, int | None, float] | None = None
        self.due = 0.0

    @property
    def waits(self) -> bool:
        return self._under_way is not None

    @property
    def is_over(self) -> bool:
        return not self._left and not self.waits

    def ask(self) -> None:
        name = self._chance.choice(CHANCES)
        number = self._chance.randrange(PROCESSES) if name == "assign" else None
        self._left -= 1
        self.send(name, number)

    def send(self, name: str, number: int | None = None) -> None:
        body = self.history.request(name, number)
        self._under_way = (name, number, time.monotonic())
        self.socket.send(body)

    def take(self) -> None:
        """The reply, which is there or comes."""
        assert self.socket.poll(2 * DEADLINE * 1000), f"no reply to {self._under_way}"
        reply = unpack(self.socket.recv())
        name, number, began = self._under_way
        self._under_way = None
        self.due = time.monotonic() + self._chance.choice((0, 0, self._chance.random() * PAUSE_MS / 1000))
        self.history.told(Call(self.number, name, number, self.history.read(name, reply), began, time.monotonic()))


class History:
    """One block, some processes, and what its clients ask and are told."""

    def __init__(self, block_id: str, endpoint: str, chance: random.Random) -> None:
        self.block_id = block_id
        self.calls: list[Call] = []
        self.sleepers = Sleepers(PROCESSES)
        self.clients = [Client(number, endpoint, random.Random(chance.random()), self)
                        for number in range(CLIENTS)]

    def close(self) -> None:
        for client in self.clients:
            client.socket.close()
        self.sleepers.end()

    @property
    def is_over(self) -> bool:
        return all(client.is_over for client in self.clients)

    def request(self, name: str, number: int | None) -> bytes:
        data: dict[str, Any] = {"block_id": self.block_id}
        if name == "remove":  # what cannot be removed in time would be told otherwise than the model has it
            data["timeout_ms"] = int(DEADLINE * 1000)
        if number is not None:
            data["pid"] = self.sleepers.pids[number]
        return pack({"command": COMMANDS[name], "data": data})

    def told(self, call: Call) -> None:
        self.calls.append(call)

    def read(self, name: str, reply: dict[str, Any]) -> dict[str, Any]:
        """What the model is told of a reply."""
        if "error" in reply:
            return {"errorcode": reply["errorcode"]}
        data = reply["data"]
        told = {key: data[key] for key in ("created", "assigned", "ok", "tracked", "epoch", "seq") if key in data}
        if name == "list":
            told["shown"] = frozenset(self.sleepers.pids.index(record["pid"]) for record in data["processes"])
        if name == "remove":
            assert data["survivors"] == [] if data["ok"] else "epoch" not in data, data
            told.pop("seq", None)
        return told

    def look(self) -> None:
        began = time.monotonic()
        self.told(Call(CLIENTS, "look", None, {"alive": self.sleepers.alive()}, began, time.monotonic()))

    def finish(self) -> None:
        """When all clients are through: one more list, who lives, and the end of the block."""
        for name in ("list", "look", "remove", "look"):
            if name == "look":
                self.look()
            else:
                self.clients[0].send(name)
                self.clients[0].take()
        taken_in = {call.argument for call in self.calls if call.reply.get("assigned") == 1}
        programs.wait_for(lambda: not taken_in & self.sleepers.alive(), "all that were members end")


class RaceHistories(SystemCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = int(os.environ.get("PROCTRACK_SEED", random.randrange(1 << 32)))
        self.chance = random.Random(self.seed)
        self.running: list[History] = []
        self.addCleanup(lambda: [history.close() for history in self.running])
        self.overlaps = 0

    def test_what_many_clients_are_told_of_one_block_has_a_legal_order(self) -> None:
        left = iter(range(HISTORIES))
        for _ in itertools.islice(left, AT_ONCE):
            self.begin()
        replies: dict[str, int] = {}
        while self.running:
            for history in self.go_on():
                self.judge(history, replies)
                if next(left, None) is not None:
                    self.begin()
        print(f"        {HISTORIES} histories, {self.overlaps} calls that overlapped another; "
              + ", ".join(f"{told}: {count}" for told, count in sorted(replies.items())),
              file=sys.stderr, flush=True)
        self.assertGreater(self.overlaps, HISTORIES * CLIENTS, "next to nothing overlapped")

    def begin(self) -> None:
        self.running.append(History(self.new_id("history"), self.broker.endpoint("control"), self.chance))

    def go_on(self) -> Iterator[History]:
        """Sends what is due and takes what came. Gives the histories that are over."""
        poller = zmq.Poller()
        clients = {client.socket: client for history in self.running for client in history.clients
                   if not client.is_over}
        for client in clients.values():
            if not client.waits and client.due <= time.monotonic():
                client.ask()
            if client.waits:
                poller.register(client.socket, zmq.POLLIN)
        due = [client.due for client in clients.values() if not client.waits]
        came = poller.poll(max(0.0, min(due) - time.monotonic()) * 1000 if due else 2 * DEADLINE * 1000)
        self.assertTrue(came or due, f"seed {self.seed}: no reply to {len(clients)} requests")
        for socket, _ in came:
            clients[socket].take()
        for history in [history for history in self.running if history.is_over]:
            self.running.remove(history)
            yield history

    def judge(self, history: History, replies: dict[str, int]) -> None:
        try:
            history.finish()
            verdict = legal_order(history.calls, BlockModel(PROCESSES))
            self.assertTrue(verdict.legal, f"seed {self.seed}: no order is legal:\n{shown(history.calls, verdict)}")
        finally:
            history.close()
        ends = [call.ended for call in history.calls]
        for number, call in enumerate(history.calls):  # they are in the order of their ends
            self.overlaps += any(end > call.began for end in ends[:number])
            told = " ".join([call.name] + [f"{key} {call.reply[key]}" for key in TOLD if key in call.reply])
            replies[told] = replies.get(told, 0) + 1
