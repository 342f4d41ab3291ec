# SPDX-License-Identifier: Apache-2.0
"""A proxy between the broker's events and a subscriber that loses events at random."""

from __future__ import annotations

import random
import threading

import zmq


class LossyProxy:
    """Passes subscriptions up, and events down except those it drops. `loss` may be set while it
    runs: 0.0 drops none, 1.0 all."""

    def __init__(self, upstream: str, downstream: str, seed: int, loss: float = 0.0) -> None:
        self.endpoint = downstream
        self.loss = loss
        self.dropped = self.passed = 0
        self._random = random.Random(seed)
        self._context = zmq.Context.instance()
        self._stop_here = self._context.socket(zmq.PAIR)
        self._stop_here.bind(f"inproc://stop-{id(self)}")
        self._thread = threading.Thread(target=self._run, args=(upstream,), daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(10), "the proxy does not start"

    def close(self) -> None:
        self._stop_here.send(b"")
        self._thread.join(10)
        self._stop_here.close(linger=0)

    def _run(self, upstream: str) -> None:
        above = self._context.socket(zmq.XSUB)
        below = self._context.socket(zmq.XPUB)
        stop = self._context.socket(zmq.PAIR)
        above.rcvhwm = below.sndhwm = 0
        below.xpub_verbose = 1
        above.connect(upstream)
        below.bind(self.endpoint)
        stop.connect(f"inproc://stop-{id(self)}")
        poller = zmq.Poller()
        for socket in (above, below, stop):
            poller.register(socket, zmq.POLLIN)
        self._ready.set()
        while True:
            ready = dict(poller.poll())
            if stop in ready:
                break
            if below in ready:
                above.send_multipart(below.recv_multipart())
            if above in ready:
                self._pass_or_drop(above.recv_multipart(), below)
        for socket in (above, below, stop):
            socket.close(linger=0)

    def _pass_or_drop(self, frames: list[bytes], below: zmq.Socket) -> None:
        if self._random.random() < self.loss:
            self.dropped += 1
        else:
            self.passed += 1
            below.send_multipart(frames)
