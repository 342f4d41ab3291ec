# SPDX-License-Identifier: Apache-2.0
"""Who may ask the module: keys on tcp, users on ipc, and ids that want to be paths."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Any

import zmq
import zmq.auth

from blackbox import programs
from blackbox.broker import Broker, NotStarted
from blackbox.case import SystemCase
from blackbox.wire import DEADLINE, pack, unpack

CLI = os.environ["PROCTRACK_CLI"]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python" / "src"))


class KeyedBroker(Broker):
    """All of its sockets are on tcp, with keys; `all` may everything, `deaf` all but ask."""

    def __init__(self, **options: object) -> None:
        self.keys = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-keys-"))
        for role in ("made", "listen", "ask"):
            (self.keys / role).mkdir(mode=0o700)
        for name, roles in (("server", ()), ("all", ("listen", "ask")), ("deaf", ("listen",)),
                            ("stranger", ())):
            public, secret = zmq.auth.create_certificates(str(self.keys / "made"), name)
            os.chmod(secret, 0o600)
            for role in roles:
                shutil.copy(public, self.keys / role)
        secret = self.secret("server")
        keyed = {"curve-secret": secret, "control": "tcp://127.0.0.1:*",
                 "curve-clients": self.keys / "ask"} | options
        super().__init__(wpsd={"events-endpoint": "tcp://127.0.0.1:*", "rpc-endpoint": "tcp://127.0.0.1:*",
                               "curve-secret": secret, "curve-listen": self.keys / "listen",
                               "curve-ask": self.keys / "ask"},
                         **{key: value for key, value in keyed.items() if value is not None})

    def secret(self, name: str) -> str:
        return str(self.keys / "made" / f"{name}.key_secret")

    def public(self, name: str) -> str:
        return str(self.keys / "made" / f"{name}.key")

    def _wait_until_it_serves(self) -> None:
        end = time.monotonic() + DEADLINE
        while not (ready := re.search(r"ready: events at (\S+), rpc at (\S+)", self.log())):
            if self.process.poll() is not None:
                raise NotStarted(f"wpsd ended with {self.process.returncode}:\n{self.log()}")
            assert time.monotonic() < end, f"wpsd does not serve:\n{self.log()}"
            time.sleep(0.01)
        self.endpoints = {"events": ready[1], "rpc": ready[2]}
        (module,) = self.ask_with("all", "rpc", "brokerinfo")["data"]["plugins"]
        self.endpoints |= module["endpoints"]

    def ask_with(self, name: str | None, service: str, command: str, **data: Any) -> dict[str, Any]:
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.linger = 0
            if name is not None:
                socket.curve_publickey, socket.curve_secretkey = \
                    zmq.auth.load_certificate(self.secret(name))
                socket.curve_serverkey = zmq.auth.load_certificate(self.public("server"))[0]
            socket.connect(self.endpoints[service])
            socket.send(pack({"command": command, "data": data}))
            assert socket.poll(DEADLINE * 1000), "no reply"
            return unpack(socket.recv())

    def destroy(self) -> None:
        super().destroy()
        shutil.rmtree(self.keys, ignore_errors=True)


class Keys(unittest.TestCase):
    broker: KeyedBroker

    @classmethod
    def setUpClass(cls) -> None:
        if not zmq.has("curve"):
            raise unittest.SkipTest("this libzmq has no CURVE")
        cls.broker = KeyedBroker()
        cls.addClassCleanup(cls.broker.destroy)
        cls.broker.start()

    def cli(self, command: str, *arguments: str, secret: str | None = "all",
            server: str = "server") -> subprocess.CompletedProcess[str]:
        keys = [f"--curve-secret={self.broker.secret(secret)}",
                f"--curve-server={self.broker.public(server)}"] if secret else []
        return subprocess.run([CLI, command, f"--endpoint={self.broker.endpoints['control']}", *keys,
                               *arguments], capture_output=True, text=True, timeout=DEADLINE, check=False)

    def refused(self) -> int:
        return self.broker.ask_with("all", "control", "stats")["data"]["counters"]["peers_refused"]

    def assert_let_in_by_nobody(self, **keys: Any) -> None:
        """The command says so soon, and the module has counted it."""
        before = self.refused()
        ran = self.cli("ls", **keys)
        self.assertEqual(ran.returncode, 3, ran)
        self.assertRegex(ran.stderr, "does not let us in|does it want a key")
        self.assertGreater(self.refused(), before)

    def test_the_command_asks_with_its_keys(self) -> None:
        self.broker.ask_with("all", "control", "ensure_tracker", block_id="k")
        self.assertIn("k", self.cli("ls", "--quiet").stdout.split())
        self.assertEqual(json.loads(self.cli("stats", "--json").stdout)["counters"]["blocks_expired"], 0)
        for command in ("ps", "kill", "rm"):  # these have a socket of their own
            ran = self.cli(command, "k")
            self.assertIn(ran.returncode, (0, 1), ran)

    def test_the_command_watches_with_its_keys(self) -> None:
        endpoints = self.broker.endpoints
        with subprocess.Popen(
                [CLI, "watch", "--json", f"--endpoint={endpoints['control']}",
                 f"--events={endpoints['events']}", f"--rpc={endpoints['rpc']}",
                 f"--curve-secret={self.broker.secret('all')}",
                 f"--curve-server={self.broker.public('server')}"],
                stdout=subprocess.PIPE, text=True) as watch:
            self.addCleanup(watch.kill)
            end = time.monotonic() + DEADLINE
            while not watch.stdout.readable() or time.monotonic() < end:
                self.broker.ask_with("all", "control", "ensure_tracker", block_id="w")
                self.broker.ask_with("all", "control", "remove", block_id="w")
                if zmq.select([watch.stdout], [], [], 0.1)[0]:
                    break
            self.assertIn("agent:block-", watch.stdout.readline())
            watch.kill()

    def test_a_command_without_keys_is_told_that_it_wants_one(self) -> None:
        self.assert_let_in_by_nobody(secret=None)

    def test_a_key_that_nobody_allowed_is_refused(self) -> None:
        self.assert_let_in_by_nobody(secret="stranger")

    def test_a_key_that_may_only_listen_is_refused(self) -> None:
        self.assert_let_in_by_nobody(secret="deaf")

    def test_a_server_with_another_key_is_refused(self) -> None:
        self.assert_let_in_by_nobody(server="stranger")

    def test_certificates_that_are_no_use_are_refused_by_name(self) -> None:
        missing = self.broker.keys / "no-such"
        for secret, server, says in ((missing, self.broker.public("server"), "no-such"),
                                     (self.broker.public("all"), self.broker.public("server"), "chmod 0600"),
                                     (self.broker.secret("all"), "/dev/null", "/dev/null"),
                                     (self.broker.secret("all"), None, "needs both")):
            words = [f"--curve-secret={secret}"] + ([f"--curve-server={server}"] if server else [])
            ran = self.cli("ls", *words, secret=None)
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn(says, ran.stderr)

    def test_the_python_client_follows_a_block_with_its_keys(self) -> None:
        from proctrack import Client, Keys as ClientKeys

        async def follow() -> str:
            keys = ClientKeys(self.broker.secret("all"), self.broker.public("server"))
            async with Client(endpoints=self.broker.endpoints, keys=keys) as client:
                await client.ensure_tracker("py")
                async with client.mirror("py") as mirror:
                    async for _ in mirror:
                        if mirror.whole:
                            await client.remove("py")
                            return "whole"
            return "never"
        self.assertEqual(asyncio.run(asyncio.wait_for(follow(), DEADLINE)), "whole")

    def test_root_at_the_other_end_of_tcp_is_not_taken_for_root(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("the broker is not root")
        self.broker.ask_with("all", "control", "ensure_tracker", block_id="r")
        child = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        reply = self.broker.ask_with("all", "control", "assign_process", block_id="r", pid=child.pid)
        self.assertEqual(reply.get("errorcode"), "not_permitted", reply)
        self.broker.ask_with("all", "control", "remove", block_id="r")

    def test_a_control_socket_on_tcp_without_keys_is_refused(self) -> None:
        for options, says in (({"curve-secret": None}, "curve-secret"),
                              ({"curve-clients": None}, "curve-clients"),
                              ({"curve-secret": None, "plain-tcp": "yes", "control": "tcp://0.0.0.0:*"},
                               "127.0.0.1 alone")):
            broker = KeyedBroker(**options)
            self.addCleanup(broker.destroy)
            with self.assertRaisesRegex(NotStarted, says):
                broker.start()


@unittest.skipUnless(os.geteuid() == 0, "needs root, to become another user")
class Users(SystemCase):
    ALLOWED, OTHER = 64321, 64322
    options = {"allow-users": str(ALLOWED)}
    wpsd = {"allow-users": str(ALLOWED)}

    def ask_as(self, uid: int, request: dict[str, Any]) -> dict[str, Any]:
        program = ("import sys, zmq; s = zmq.Context().socket(zmq.REQ); s.linger = 0;"
                   "s.connect(sys.argv[1]); s.send(bytes.fromhex(sys.argv[2]));"
                   "print(s.recv().hex() if s.poll(int(sys.argv[3])) else 'c0')")
        ran = subprocess.run(
            ["/usr/bin/python3", "-c", program, self.broker.endpoint("control"), pack(request).hex(),
             str(int(DEADLINE * 1000))], capture_output=True, text=True, check=False, timeout=2 * DEADLINE, cwd="/",
            preexec_fn=lambda: (os.setgroups([]), os.setgid(uid), os.setuid(uid)))
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return unpack(bytes.fromhex(ran.stdout)) or {}

    def test_a_user_who_is_named_asks_and_no_other_does(self) -> None:
        block = self.block()
        asked = {"command": "list_block", "data": {"block_id": block.id}}
        self.assertIn("data", self.ask_as(self.ALLOWED, asked))
        before = self.control("stats")["counters"]["peers_refused"]
        reply = self.ask_as(self.OTHER, {"command": "remove", "data": {"block_id": block.id}})
        self.assertEqual(reply.get("errorcode"), "not_permitted", reply)
        self.assertIn("allow-users", reply["error"])
        self.assertEqual(self.control("stats")["counters"]["peers_refused"], before + 1)
        self.assertIn(block.id, self.control("list_all_blocks")["block_ids"])

    def test_a_user_who_is_named_may_not_take_the_processes_of_others(self) -> None:
        block = self.block()
        child = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        reply = self.ask_as(self.ALLOWED, {"command": "assign_process",
                                           "data": {"block_id": block.id, "pid": child.pid}})
        self.assertEqual(reply.get("errorcode"), "not_permitted", reply)
        self.assertEqual(block.listed(), {})


class Paths(SystemCase):
    """Ids and scopes are made to walk out of the tree of cgroups."""

    WAYS = ("..", "../x", "a/../../b", "/", "/etc", "./x", "a/b", "a//b", "\0", "a\0b", "%2e%2e", "a\n",
            "cgroup.procs/..", "..%2fx", "\u2025", "~", "$HOME", "a" * 129, "")

    def tree(self) -> set[str]:
        """The cgroups of the broker and beside it; other tests' are not looked into."""
        root = self.broker.cgroup_root
        if root is None:
            return set()
        beside = {str(path) for path in root.parent.iterdir() if not path.name.startswith("proctrack-")}
        return beside | {str(path) for path in root.rglob("*") if path.is_dir()}

    def assert_all_refused(self, requests: list[dict[str, Any]]) -> None:
        """Sent as they are: what the schemas allow is not asked here."""
        before, refused = self.tree(), self.control("stats")["counters"]["requests_refused"]
        for request, reply in zip(requests, self.ask_all(requests)):
            self.assertEqual(reply.get("errorcode"), "invalid_argument", f"{request}: {reply}")
        counted = self.control("stats")["counters"]["requests_refused"] - refused
        self.assertEqual(counted, len(requests))
        self.assertEqual(self.tree() - before, set())

    def test_a_block_id_that_is_a_path_is_refused_by_every_command_and_nothing_is_made(self) -> None:
        commands = {"ensure_tracker": {}, "list_block": {}, "kill_tree": {}, "remove": {}, "freeze": {},
                    "assign_process": {"pid": os.getpid()}}
        self.assert_all_refused([{"command": command, "data": {"block_id": way} | more}
                                 for way in self.WAYS for command, more in commands.items()])

    def test_a_scope_that_is_a_path_is_refused_and_nothing_is_made_or_killed(self) -> None:
        block = self.block()
        odd = block.odd("hold")
        block.watch.until_added(odd.pid)
        self.assert_all_refused([{"command": command, "data": {"block_id": block.id, "scope": way}}
                                 for way in self.WAYS if way != "a/b"  # that is a scope
                                 for command in ("ensure_tracker", "kill_tree", "freeze")])
        self.assertTrue(programs.is_running(odd.pid))

    def test_ids_that_look_like_files_of_cgroups_are_ids_like_any_other(self) -> None:
        for name in ("cgroup.procs", "cgroup.kill", "memory.max", "a.b", "a_b", "-x".strip("-")):
            block = self.block(name)
            odd = block.odd("hold")
            block.watch.until_added(odd.pid)
            self.assertEqual(set(block.listed()), {odd.pid})
            self.assertIs(block.remove()["ok"], True)


if __name__ == "__main__":
    unittest.main()
