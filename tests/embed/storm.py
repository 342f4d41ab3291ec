# SPDX-License-Identifier: Apache-2.0
"""Load on a module while its host starts and stops it: processes that come and go in its blocks and outside,
and clients that ask it without a pause, some of whom wait for an answer when it stops."""

import collections
import contextlib
import itertools
import os
import random
import signal
import threading
import time

import msgpack
import zmq
import zmq.utils.monitor

#: A shell that goes into a block and has children there, until it is killed.
IN_BLOCK = 'exec 2>/dev/null; echo 0 > "$1" || exit; while :; do /bin/true; done'
OUTSIDE = "while :; do /bin/true; done"
SHELLS = 2  # that run at a time, in blocks
PAUSE_S = 0.005  # of a client that was told that the module goes down


class Client:
    """Asks for one block of its own, over and over. One request is under way at a time."""

    def __init__(self, number, endpoint, script):
        self.block = f"beside-{number}"
        self.due = None  # when it asks again; None: it waits for a reply
        self._number = 0
        self._script = script
        self._requests = script(self)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.reconnect_ivl = 1
        self.ends = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)  # of its connection
        self.socket.connect(endpoint)

    def close(self):
        self.socket.disable_monitor()
        self.ends.close(linger=0)
        self.socket.close()
        self._requests.close()

    def send(self, reply=None):
        """The next request, by the reply to the last."""
        try:
            command, data = self._requests.send(reply)
        except StopIteration:
            self._requests = self._script(self)
            command, data = next(self._requests)
        self.due = None
        self._number += 1
        self.socket.send_multipart([b"", msgpack.packb({"command": command, "reqid": self._number, "data": data})])

    def start_anew(self):
        self._requests.close()
        self._requests = self._script(self)
        self.send()

    def take(self):
        """The reply to the request under way, or None: to one that was given up, as it waited for a connection."""
        reply = msgpack.unpackb(self.socket.recv_multipart()[1])
        assert reply["resid"] <= self._number, f"{reply} is no reply to request {self._number}"
        return reply if reply["resid"] == self._number and self.due is None else None

    def has_ended(self):
        """Its connection was closed since it was last asked for."""
        ended = False
        while self.ends.poll(0):
            zmq.utils.monitor.recv_monitor_message(self.ends)
            ended = True
        return ended


class Storm:
    """Runs in a thread from `with` to its end. `counts` tells what came of it."""

    def __init__(self, endpoint):
        self.counts = collections.Counter()
        self.failure = None
        self._endpoint = endpoint
        self._over = threading.Event()
        self._shells = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._outside = self._spawn("/bin/sh", "-c", OUTSIDE)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        for pid in [self._outside, *self._shells]:
            self._end(pid)
        if self.failure is not None:
            raise self.failure

    # ---- processes

    @staticmethod
    def _spawn(*argv):
        """Ended with its children, as it leads a process group; and with us, however we end."""
        return os.posix_spawnp("setpriv", ["setpriv", "--pdeathsig", "KILL", *argv], os.environ, setpgroup=0)

    @staticmethod
    def _end(pid):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def _shell_in(self, procs_path):
        while len(self._shells) >= SHELLS:
            self._end(self._shells.pop(0))
        self._shells.append(self._spawn("/bin/sh", "-c", IN_BLOCK, "sh", procs_path))
        self.counts["shells in blocks"] += 1

    # ---- what is asked

    def _waits(self, client):
        """A block where processes come and go; when it stops, somebody waits for it to be empty."""
        reply = yield "ensure_tracker", {"block_id": client.block}
        if "data" in reply and "procs_path" in reply["data"]:
            self._shell_in(reply["data"]["procs_path"])
        for _ in range(3):
            yield "wait_empty", {"block_id": client.block, "timeout_ms": 60000}

    def _lists(self, client):
        for detail in itertools.cycle((True, False)):
            yield "list_all_blocks", {"detail": detail}
            yield "list_block", {"block_id": "plain", "detail": detail}

    def _ends(self, client):
        """One that lives is taken in, and stopped."""
        pid = self._spawn("/bin/sleep", "1000")
        try:
            yield "ensure_tracker", {"block_id": client.block, "scope": f"bg/{random.randrange(9)}"}
            yield "assign_process", {"block_id": client.block, "pid": pid}
            yield "stop_tree", {"block_id": client.block, "grace_ms": 5}
            yield "remove", {"block_id": client.block}
        finally:
            self._end(pid)

    # ---- asking

    def _run(self):
        try:
            self._ask_until_over()
        except Exception as error:  # told where the test waits
            self.failure = error

    def _ask_until_over(self):
        scripts = [self._waits] * 2 + [self._lists] * 2 + [self._ends] * 2
        clients = [Client(number, self._endpoint, script) for number, script in enumerate(scripts)]
        try:
            for client in clients:
                client.send()
            while not self._over.is_set():
                self._pass_on(clients)
        finally:
            for client in clients:
                client.close()

    def _pass_on(self, clients):
        poller = zmq.Poller()
        for client in clients:
            poller.register(client.socket, zmq.POLLIN)
            poller.register(client.ends, zmq.POLLIN)
        came = dict(poller.poll(PAUSE_S * 1000))
        for client in clients:
            reply = client.take() if client.socket in came else None
            if reply is not None:
                self._answered(client, reply)
            elif client.due is not None and client.due <= time.monotonic():
                client.start_anew()
            elif client.ends in came and client.has_ended() and client.due is None and not client.socket.poll(0):
                self.counts["no answer"] += 1
                client.start_anew()

    def _answered(self, client, reply):
        if "error" not in reply:
            self.counts["answered"] += 1
        elif reply["errorcode"] == "internal":  # any other sentence would be a fault
            assert "going down" in reply["error"], reply
            self.counts["told that it goes down"] += 1
            client.due = time.monotonic() + PAUSE_S
            return
        else:
            self.counts["refused"] += 1
            assert reply["errorcode"] in ("no_such_block", "no_such_process"), reply
        client.send(reply)
