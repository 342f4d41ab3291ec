# SPDX-License-Identifier: Apache-2.0
"""Those who ask: each with a connection of its own and one request under way, at a steady pace. Some read, some
make blocks of their own, fill them with processes and end them in every way. Each request has to have one reply,
and a reply that says no is a failure: nobody asks for what is not there."""

from __future__ import annotations

import os
import random
import time
from typing import Any, Generator, NamedTuple

import msgpack
import zmq

SLEEPERS = 3  # in a block of a client's own
#: Of so many clients one makes blocks. Each process that is assigned holds up all forks of the machine for
#: milliseconds: the kernel moves it behind a grace period.
MAKERS = 10
DEADLINE = 120.0  # seconds for a reply, on a machine that has far more to do than it can
REMOVE_MS = 60000
#: They answer when processes have ended, so that their time is not the broker's alone.
WAITING = ("stop_tree", "wait_empty", "remove")

Life = Generator[tuple[str, dict[str, Any]], dict[str, Any], None]


class World(NamedTuple):
    endpoint: str
    leaf: str
    blocks: list[str]
    pace: float  # requests a second and client
    clients: int
    seed: int


class Client:
    def __init__(self, number: int, context: zmq.Context, world: World) -> None:
        self.number = number
        self.socket = context.socket(zmq.DEALER)
        self.socket.connect(world.endpoint)
        self.due = time.monotonic()
        self.waits = False
        self._world = world
        self._chance = random.Random(world.seed * 1000 + number)
        self._life = self._make() if number % MAKERS == 0 else self._read()
        self._next = next(self._life)
        self._reqid = 0
        self._began = 0.0
        self._pids: list[int] = []

    # ---- asking

    def send(self) -> None:
        command, data = self._next
        self._reqid += 1
        self.waits = True
        self._began = time.perf_counter()
        self.socket.send_multipart([b"", msgpack.packb(
            {"command": command, "reqid": self._reqid, "data": data})])

    def take(self) -> tuple[str, float]:
        """Takes the reply; the command, and the milliseconds that it took."""
        reply = msgpack.unpackb(self.socket.recv_multipart()[1])
        took = (time.perf_counter() - self._began) * 1000
        assert self.waits and reply["resid"] == self._reqid, f"a reply too many: {reply}"
        assert "data" in reply, f"{self._next}: {reply}"
        self.waits = False
        self.due = max(self.due + (0.5 + self._chance.random()) / self._world.pace, time.monotonic() - 1)
        command = self._next[0]
        self._next = self._life.send(reply["data"])
        return command, took

    def is_overdue(self) -> bool:
        return self.waits and time.perf_counter() - self._began > DEADLINE

    # ---- what they do

    def _read(self) -> Life:
        while True:
            block = {"block_id": self._chance.choice(self._world.blocks)}
            lot = self._chance.random()
            if lot < 0.7:
                listed = yield "list_block", block | {"detail": lot < 0.05}
                sleepers = [process for process in listed["processes"] if " wait " in process["command"]]
                if lot > 0.6 and sleepers:
                    process = self._chance.choice(sleepers)
                    yield "kill_pid", block | {key: process[key] for key in ("pid", "started_at_ms")}
            elif lot < 0.72:
                yield "list_all_blocks", {"detail": lot < 0.705}
            elif lot < 0.85:
                yield "confidence_of", block
            elif lot < 0.95:
                yield "ensure_tracker", block
            else:
                yield self._chance.choice(("describe", "stats")), {}

    def _make(self) -> Life:
        block = {"block_id": f"own-{self.number}"}
        while True:
            told = yield "ensure_tracker", block | {"scope": "main"}
            assert told["created"], told
            self._pids = [os.posix_spawn(self._world.leaf, [self._world.leaf, "wait", "0", "own"], os.environ)
                          for _ in range(SLEEPERS)]
            for number, pid in enumerate(self._pids):
                told = yield "assign_process", block | {"pid": pid, "scope": f"bg/{number}"}
                assert told["assigned"] == 1, told
            told = yield "list_block", block
            assert sorted(process["pid"] for process in told["processes"]) == sorted(self._pids), told
            yield from self._end(block)
            told = yield "remove", block | {"timeout_ms": REMOVE_MS}
            assert told["ok"] and told["survivors"] == [], told
            self.end_own()

    def _end(self, block: dict[str, Any]) -> Life:
        way = self._chance.randrange(4)
        if way == 0:
            assert (yield "kill_tree", block)["ok"]
        elif way == 1:
            told = yield "stop_tree", block | {"grace_ms": 2000}
            assert told["exited"] + told["killed"] == SLEEPERS and told["survivors"] == [], told
        elif way == 2:
            yield "freeze", block
            told = yield "signal_tree", block | {"signal": 15}
            assert len(told["signalled"]) == SLEEPERS, told
            yield "thaw", block
            assert (yield "wait_empty", block | {"timeout_ms": 20000})["empty"]

    def end_own(self) -> None:
        for pid in self._pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        self._pids = []


class Clients:
    def __init__(self, world: World) -> None:
        context = zmq.Context()
        self._clients = [Client(number, context, world) for number in range(world.clients)]
        self._poller = zmq.Poller()
        self._by_socket = {client.socket: client for client in self._clients}
        for socket in self._by_socket:
            self._poller.register(socket, zmq.POLLIN)
        self.goes = False
        self.took_ms: list[tuple[str, float]] = []

    def watch(self, fd: int) -> None:
        self._poller.register(fd, zmq.POLLIN)

    def go_on(self, timeout_s: float = 0.1) -> set[Any]:
        """Sends what is due, takes what came; says what else can be read."""
        now = time.monotonic()
        if self.goes:
            for client in self._clients:
                if not client.waits and client.due <= now:
                    client.send()
            timeout_s = min([timeout_s] + [client.due - now for client in self._clients if not client.waits])
        ready = {of for of, _ in self._poller.poll(int(max(0.0, timeout_s) * 1000))}
        for socket in ready & self._by_socket.keys():
            self.took_ms.append(self._by_socket[socket].take())
        late = [client.number for client in self._clients if client.is_overdue()]
        assert not late, f"no reply to clients {late} within {DEADLINE:.0f} s"
        return ready

    def go(self) -> None:
        self.goes = True
        self.took_ms = []
        for client in self._clients:
            client.due = time.monotonic() + random.random() / 10

    def pause(self) -> list[tuple[str, float]]:
        """When each request has its reply: its command, and how many milliseconds it took."""
        self.goes = False
        while any(client.waits for client in self._clients):
            self.go_on()
        self.go_on(0)  # one too many would be seen
        return self.took_ms

    def end(self) -> None:
        for client in self._clients:
            client.end_own()


def run(pipe: Any, world: World) -> None:
    """The work of an actor."""
    clients = Clients(world)
    clients.watch(pipe.fileno())
    try:
        while True:
            if pipe.fileno() in clients.go_on():
                command, = pipe.recv()
                pipe.send(("answer", getattr(clients, command)()))
    finally:
        clients.end()
