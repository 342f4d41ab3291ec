# SPDX-License-Identifier: Apache-2.0
"""A small client of wpsd: ask, and follow blocks. It needs pyzmq and msgpack.

    client = Client()
    print(client.ask("list_block", block_id="demo"))
    client.follow("demo")
    while True:
        event = client.next_event()
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

import msgpack
import zmq
import zmq.auth

PATIENCE_MS = 10_000  # how long to wait for a reply


class Refused(Exception):
    """A reply that says no; `errorcode` is for programs."""

    def __init__(self, errorcode: str, sentence: str) -> None:
        super().__init__(sentence)
        self.errorcode = errorcode


class Unreachable(Exception):
    """No reply in time."""


def runtime_dir() -> str:
    """Where the broker's sockets are."""
    if os.environ.get("WPS_RUNTIME_DIR"):
        return os.environ["WPS_RUNTIME_DIR"]
    if os.geteuid() == 0:
        return "/run/wps"
    if os.environ.get("XDG_RUNTIME_DIR"):
        return os.environ["XDG_RUNTIME_DIR"] + "/wps"
    raise SystemExit("Set WPS_RUNTIME_DIR to the directory of the broker's sockets.")


class Client:
    """Not for several threads at once. A broker on tcp has `endpoints` ({"control": "tcp://..."}) and wants
    `keys`: the files with our secret certificate and with its public one (docs/security.md)."""

    def __init__(self, directory: str | None = None, endpoints: dict[str, str] | None = None,
                 keys: tuple[str, str] | None = None) -> None:
        self._endpoints = endpoints or {}
        self._keys = keys
        self._directory = directory or ("" if endpoints else runtime_dir())
        self._context = zmq.Context()
        self._asking: dict[str, zmq.Socket] = {}
        self._early: list[tuple[str, dict[str, Any]]] = []
        self.events = self._socket(zmq.SUB)  # to be polled beside other things
        self.events.rcvhwm = 100_000
        self.events.connect(self._endpoint("events"))

    def close(self) -> None:
        self._context.destroy(linger=0)

    def _endpoint(self, name: str) -> str:
        return self._endpoints.get(name) or f"ipc://{self._directory}/{name}"

    def _socket(self, kind: int) -> zmq.Socket:
        socket = self._context.socket(kind)
        if self._keys:
            socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(self._keys[0])
            socket.curve_serverkey = zmq.auth.load_certificate(self._keys[1])[0]
        return socket

    def ask(self, command: str, socket: str = "control", **data: Any) -> dict[str, Any]:
        """The `data` of the reply. Sockets: "control" (registry of blocks), "rpc" (the broker)."""
        if socket not in self._asking:
            self._asking[socket] = self._socket(zmq.REQ)
            self._asking[socket].connect(self._endpoint(socket))
        asking = self._asking[socket]
        asking.send(msgpack.packb({"command": command, "data": data}))
        if not asking.poll(PATIENCE_MS):
            self._asking.pop(socket).close(linger=0)  # a REQ socket that waits can do nothing else
            raise Unreachable(f"no broker answers in {self._directory}")
        reply = msgpack.unpackb(asking.recv())
        if "error" in reply:
            raise Refused(reply["errorcode"], reply["error"])
        return reply["data"]

    def follow(self, block_id: str | None = None) -> None:
        """Subscribes to one block, or to all, and comes back when the subscription is in force: an
        event that we publish ourselves has come round."""
        self.events.subscribe("block:" + (block_id or ""))
        nonce = f"sync:{uuid.uuid4().hex}"
        self.events.subscribe(nonce)
        end = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < end:
            self.ask("eventpublish", socket="rpc", event="sync", scopes=[nonce])
            while self.events.poll(50):
                topic, body = self._receive()
                if topic == nonce:
                    self.events.unsubscribe(nonce)
                    return
                self._early.append((topic, body))
        raise Unreachable(f"no events come from {self._directory}")

    def next_event(self, timeout_ms: int | None = None) -> dict[str, Any] | None:
        """The next event of a block, or None when the time is over. (A prefix lets longer ids
        through: who follows one block compares `data.block_id`.)"""
        while self._early or self.events.poll(timeout_ms):
            topic, body = self._early.pop(0) if self._early else self._receive()
            if topic.startswith("block:"):
                return body
        return None

    def _receive(self) -> tuple[str, dict[str, Any]]:
        topic, body = self.events.recv_multipart()
        return topic.decode(), msgpack.unpackb(body)
