# SPDX-License-Identifier: Apache-2.0
"""Faults that kill and stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from blackbox import intrude, programs
from blackbox.broker import Broker
from blackbox.wire import NoReply

from fault import Fault

CROWD = 6
#: A client that asks, or takes events, as fast as it can, from when it says so on.
CLIENT = """
import sys, msgpack, zmq
kind, endpoint = sys.argv[1:]
socket = zmq.Context.instance().socket(zmq.SUB if kind == "events" else zmq.DEALER)
socket.linger = 0
socket.connect(endpoint)
if kind == "events":
    socket.subscribe(b"")
command = {"control": "list_all_blocks", "rpc": "brokerinfo"}.get(kind)
for number in range(10**9):
    if command:
        socket.send_multipart([b"", msgpack.packb({"command": command, "reqid": number})])
        if number < 20:
            continue  # so many are under way
    socket.recv_multipart()
    if number in (0, 20):
        print("asks", flush=True)
"""


class BrokerKilled(Fault):
    """kill -9, at any moment; another one is started and takes over the blocks."""

    name = "broker-killed"
    survives = False

    def do(self) -> None:
        self.epochs = {held.id: held.watch.law.epoch for held in self.world.blocks}
        broker = self.world.broker
        time.sleep(self.world.chance.random() * 0.05)  # no more than a moment to be chosen
        broker.process.kill()
        self.status = broker.process.wait()
        if self.world.has_keeper:
            programs.wait_for(lambda: not self._keepers(), "the keeper has done its work")

    def _keepers(self) -> set[int]:
        """It ends what it has to before it ends; orphaned by the broker, it is our child."""
        return {pid for pid in Broker.helpers() if programs.is_running(pid)}

    def undo(self) -> None:
        self.world.restart()

    def check_seen(self) -> None:
        assert self.status == -signal.SIGKILL, f"it ended with {self.status}"
        for held in self.world.blocks:
            if not held.was_adopted:
                continue
            (added,) = self.world.broker.rpc("eventreadhistory", event="agent:block-added",
                                             scope=f"block:{held.id}", maxitems=1)["events"]
            assert added["data"]["adopted"] and added["data"]["epoch"] != self.epochs[held.id], added


class KeeperFault(Fault):
    """What both have in common: the keeper is another one afterwards."""


    def why_not(self) -> str | None:
        return None if self.world.has_keeper else "there is a keeper with the tracker cgroup alone"

    def find(self) -> int:
        self.restarts = self.world.counter("keeper_restarts")
        self.wanted = [held for held in self.world.blocks if held.on_crash == "kill"]
        for held in self.wanted:
            held.ensure()
        self.keeper = self.world.gauge("keeper_pid")
        assert programs.is_running(self.keeper), f"keeper {self.keeper}"
        return self.keeper

    def check_seen(self) -> None:
        for held in self.wanted:
            held.ensure()
        programs.wait_for(lambda: self.world.gauge("keeper_pid") not in (0, self.keeper), "another keeper")
        assert self.world.counter("keeper_restarts") == self.restarts + 1


class KeeperKilled(KeeperFault):
    """kill -9 of the process that ends blocks whose broker dies."""

    name = "keeper-killed"

    def do(self) -> None:
        os.kill(self.find(), signal.SIGKILL)


class KeeperStopped(KeeperFault):
    """The same, stopped: it answers no more."""

    name = "keeper-stopped"
    says = "the keeper for on_crash: kill: "

    def do(self) -> None:
        os.kill(self.find(), signal.SIGSTOP)
        programs.wait_for(lambda: programs.stat_fields(self.keeper)[:1] == ["T"], "it stands still")
        for held in self.wanted:  # it is asked something, and does not answer
            self.world.broker.control("ensure_tracker", block_id=held.id, on_crash="keep")
            held.ensure()


class ClientsKilled(Fault):
    """kill -9 of clients that ask, and of subscribers, while they do."""

    name = "clients-killed"

    def do(self) -> None:
        requests, endpoint = self.world.counter("requests"), self.world.broker.endpoint
        crowd = [programs.spawn([sys.executable, "-c", CLIENT, kind, endpoint(kind)], stdout=subprocess.PIPE)
                 for kind in ("control", "events", "rpc") * (CROWD // 3)]
        self.world._helpers = {client.pid for client in crowd}
        try:
            for client in crowd:
                self._until_it_asks(client)
            for client in self.world.chance.sample(crowd, len(crowd)):
                time.sleep(self.world.chance.random() * 0.02)
                client.kill()
        finally:
            for client in crowd:
                client.kill()
                client.wait()
                client.stdout.close()
            self.world._helpers = set()
        self.statuses = {client.returncode for client in crowd}
        self.asked = self.world.counter("requests") - requests

    def _until_it_asks(self, client: subprocess.Popen[bytes]) -> None:
        os.set_blocking(client.stdout.fileno(), False)

        def asks() -> bytes | None:
            self.world.broker.rpc("eventpublish", event="test:wake", scopes=["test:wake"])
            return client.stdout.read()
        programs.wait_for(asks, "a client asks")

    def check_seen(self) -> None:
        assert self.statuses == {-signal.SIGKILL}, self.statuses
        assert self.asked > CROWD, f"they asked {self.asked} times"


class BrokerStopped(Fault):
    """SIGSTOP, for a second or more, in a storm."""

    name = "broker-stopped"

    def do(self) -> None:
        world = self.world
        ask = world.broker.ask()
        self.silent = False
        with intrude.stopped(world.broker.pid):
            until = time.monotonic() + 0.5 + world.chance.random() * 2
            try:
                ask.ask("list_all_blocks", None, timeout=max(0.1, until - time.monotonic()))
            except NoReply:
                self.silent = True
            finally:
                ask.close()

    def check_seen(self) -> None:
        assert self.silent, "it answered while it stood still"


