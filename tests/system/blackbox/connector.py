# SPDX-License-Identifier: Apache-2.0
"""The kernel's process connector, read by the tests themselves (linux/cn_proc.h): every event of the
machine, and the proof that none is missing."""

from __future__ import annotations

import dataclasses
import errno
import socket
import struct

from .intrude import NETLINK_CONNECTOR, connector_message

SO_RCVBUFFORCE = 33
FORK, EXEC, COMM, EXIT = 0x1, 0x2, 0x200, 0x80000000
#: Before the event: netlink's head, then the connector's (idx, val, seq, ack, len, flags).
HEAD = struct.Struct("=IHHII IIIIHH")
EVENT = struct.Struct("=IIQ IIII")


@dataclasses.dataclass
class Told:
    """One event. `a` to `d` are the numbers of its kind, in the order of struct proc_event."""
    what: int
    a: int
    b: int
    c: int
    d: int


class Connector:
    """Subscribes at once, and takes what came when it is asked."""

    def __init__(self, buffer_bytes: int = 256 << 20) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)
        self._socket.bind((0, 1))
        self._socket.send(connector_message(1))
        self._socket.setblocking(False)
        self._next: dict[int, int] = {}
        self.lost = False

    def close(self) -> None:
        self._socket.close()

    def take(self) -> list[Told]:
        """All since the last time. `lost` tells whether some are missing."""
        told = []
        while True:
            try:
                message = self._socket.recv(4096)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return told
                self.lost = True
                continue
            event = self._parse(message)
            if event is not None:
                told.append(event)

    def _parse(self, message: bytes) -> Told | None:
        sequence = HEAD.unpack_from(message)[7]
        what, cpu, _, *numbers = EVENT.unpack_from(message.ljust(HEAD.size + EVENT.size, b"\0"),
                                                   HEAD.size)
        if what == 0:
            return None  # an answer to somebody's subscription: it has no processor
        self.lost |= self._next.get(cpu, sequence) != sequence
        self._next[cpu] = (sequence + 1) % 2 ** 32
        return Told(what, *numbers)
