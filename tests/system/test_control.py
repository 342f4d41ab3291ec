# SPDX-License-Identifier: Apache-2.0
"""The control socket: what it tells, what it refuses, and that it always answers once."""

from __future__ import annotations

import os
import random
import threading
import time
import unittest
from typing import Any

import zmq

from blackbox import programs
from blackbox.case import SystemCase
from blackbox.wire import DEADLINE, Ask, Refused, pack, unpack

COMMANDS = {"describe", "ensure_tracker", "assign_process", "list_block", "list_all_blocks",
            "confidence_of", "kill_pid", "kill_tree", "remove", "stats"}


class Answers(SystemCase):
    """What each command tells."""

    def test_describe_tells_what_was_chosen_and_what_was_tried(self) -> None:
        told = self.control("describe")
        self.assertEqual(told["protocol"], 1)
        self.assertEqual(told["name"], "proctrack")
        self.assertLessEqual(COMMANDS, set(told["commands"]))
        self.assertIn(told["feed"], ("bpf", "netlink", "poll"))
        self.assertIn(told["confidence"], ("high", "best_effort", "none"))
        self.assertTrue(any(attempt["ok"] for attempt in told["tried"]))
        for attempt in told["tried"]:
            self.assertTrue(attempt["ok"] or attempt["why"], "a refusal says why")

    def test_ensure_tracker_is_idempotent(self) -> None:
        block = self.block()
        again = self.control("ensure_tracker", block_id=block.id)
        self.assertEqual((block.ensured["created"], again["created"]), (True, False))
        for key in ("epoch", "confidence", "tracker", "feed", "procs_path"):
            self.assertEqual(again.get(key), block.ensured.get(key), key)
        block.watch.catch_up()
        self.assertEqual(len(block.watch.named("block-added")), 1)
        added = block.watch.named("block-added")[0].data
        self.assertIs(added["adopted"], False)
        self.assertEqual(added["feed"], again["feed"])

    def test_confidence_is_the_same_wherever_it_is_told(self) -> None:
        block = self.block()
        told = {(reply["confidence"], reply["confidence_reason"])
                for reply in (block.ensured, self.control("confidence_of", block_id=block.id),
                              self.control("list_block", block_id=block.id))}
        self.assertEqual(len(told), 1)
        summary = {entry["block_id"]: entry for entry in self.control("list_all_blocks")["blocks"]}
        self.assertEqual(summary[block.id]["confidence"], block.ensured["confidence"])

    def test_list_all_blocks_counts_the_processes_of_each(self) -> None:
        block, empty = self.block(), self.block()
        odd = block.odd("setsid-child")
        odd.until("ready")
        for pid in (odd.pid, *odd.births()):
            block.watch.until_added(pid)
        told = self.control("list_all_blocks")
        self.assertEqual(set(told["block_ids"]), {entry["block_id"] for entry in told["blocks"]})
        summary = {entry["block_id"]: entry for entry in told["blocks"]}
        self.assertEqual(summary[block.id]["processes"], 2)
        self.assertEqual(summary[empty.id]["processes"], 0)
        self.assertEqual(summary[block.id]["epoch"], block.ensured["epoch"])

    def test_list_all_blocks_tells_when_each_began(self) -> None:
        def created(block_id: str) -> int:
            return {entry["block_id"]: entry["created_at_ms"]
                    for entry in self.control("list_all_blocks")["blocks"]}[block_id]
        before = int(time.time() * 1000)
        block = self.block()
        first = created(block.id)
        self.assertLessEqual(before, first)
        self.assertLessEqual(first, int(time.time() * 1000))
        block.remove()
        self.control("ensure_tracker", block_id=block.id)
        self.assertGreaterEqual(created(block.id), first)

    def test_an_unknown_block_is_answered_as_in_the_registry_this_comes_from(self) -> None:
        unknown = self.new_id("unknown")
        listed = self.control("list_block", block_id=unknown)
        self.assertEqual((listed["tracked"], listed["processes"]), (False, []))
        self.assertEqual(self.control("confidence_of", block_id=unknown)["confidence"], "none")
        for command in ("kill_tree", "remove"):
            self.assertIs(self.control(command, block_id=unknown)["ok"], False, command)
        self.assertNotIn(unknown, self.control("list_all_blocks")["block_ids"])

    def test_stats_count_what_happens(self) -> None:
        def total() -> int:
            return sum(self.control("stats")["counters"].values())
        before = total()
        block = self.block()
        odd, _ = block.run("exit", 0)
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertGreater(total(), before)

    def test_a_reply_comes_after_all_events_that_it_counts(self) -> None:
        block = self.block()
        for _ in range(20):
            odd = block.odd("hold")
            odd.until("ready")
            reply = self.control("list_block", block_id=block.id)
            block.watch.catch_up()
            self.assertGreaterEqual(block.watch.law.seq, reply["seq"])
            odd.finish()

    def test_ids_of_requests_come_back_as_they_were(self) -> None:
        for reqid in (0, 1, 2 ** 63, 2 ** 64 - 1, "", "x", "x" * 200, "grün"):
            reply = self.control.exchange({"command": "describe", "reqid": reqid})
            self.assertEqual(reply["resid"], reqid)
        self.assertNotIn("resid", self.control.exchange({"command": "describe"}))

    def test_keys_that_nobody_knows_are_passed_over(self) -> None:
        reply = self.control.exchange({"command": "describe", "reqid": 1, "more": [1, {"a": None}],
                                       "data": {"colour": "blue"}})
        self.assertIn("data", reply)


class Refusals(SystemCase):
    """Wrong requests get one reply each, and change nothing."""

    def code_of(self, request: Any) -> str | None:
        return self.control.exchange(request).get("errorcode")

    def test_an_unknown_command_is_told_so(self) -> None:
        for command in ("", "frobnicate", "DESCRIBE", "describe\0", "x" * 1000, "eventpublish"):
            self.assertEqual(self.code_of({"command": command}), "unknown_command", command[:20])

    def test_what_is_no_request_is_a_bad_request(self) -> None:
        for request in (None, 1, "describe", [], ["describe"], True, 1.5, b"describe"):
            self.assertEqual(self.code_of(request), "bad_request", repr(request))

    def test_wrong_types_in_the_envelope_are_refused(self) -> None:
        for request in ({}, {"command": 1}, {"command": None}, {"command": ["describe"]},
                        {"command": b"describe"}, {"command": "describe", "data": 1},
                        {"command": "describe", "data": []}, {"command": "describe", "reqid": -1},
                        {"command": "describe", "reqid": 1.5},
                        {"command": "describe", "reqid": {}}):
            self.assertIn(self.code_of(request), ("bad_request", "invalid_argument"), repr(request))

    def test_wrong_values_are_refused_with_their_key(self) -> None:
        block = self.block()
        for key, value in {"pid": "1", "started_at_ms": -1, "root": 1, "scope": "a//b"}.items():
            data = {"block_id": block.id, "pid": os.getpid(), key: value}
            with self.subTest(key):
                try:
                    self.control.ask("assign_process", data, right=False)
                    self.fail("allowed")
                except Refused as refusal:
                    self.assertEqual(refusal.errorcode, "invalid_argument")
                    self.assertIn(key, refusal.sentence)
        for pid in (-1, 2 ** 31, 2 ** 32 + 1, 2 ** 64 - 1, None, 1.0, b"1", [1]):
            with self.subTest(pid), self.refused("invalid_argument", "no_such_process"):
                self.control.ask("assign_process", {"block_id": block.id, "pid": pid}, right=False)
        self.assertEqual(block.listed(), {})

    def test_bytes_that_are_not_msgpack_are_a_bad_request(self) -> None:
        whole = pack({"command": "describe", "reqid": 1})
        bodies = [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
                  b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x00", whole[:-1], whole + b"\x00",
                  b"\x91" * 17 + b"\xc0", b"\x91" * 60000 + b"\xc0", b"\x81\xa7command\xa2\xff\xfe"]
        for body in bodies:
            with self.subTest(body[:20]):
                reply = unpack(self.control.raw(body))
                self.assertIn(reply.get("errorcode"), ("bad_request", "invalid_argument"))

    def test_up_to_1_mib_is_answered_and_over_64_kib_refused(self) -> None:
        for size, code in ((60000, "unknown_command"), (66000, "bad_request"),
                           (1000000, "bad_request")):
            self.assertEqual(self.code_of({"command": "x" * size}), code, str(size))

    def test_beyond_1_mib_the_connection_is_closed_and_others_are_served(self) -> None:
        client = self.broker.ask()
        with self.assertRaises(AssertionError):
            client.raw(pack({"command": "x" * (3 << 20)}), timeout=1.0)
        client.close()
        self.control("describe")

    def test_garbage_gets_one_reply_each_and_the_broker_lives(self) -> None:
        seed = random.Random(11)
        whole = pack({"command": "ensure_tracker", "reqid": 7,
                      "data": {"block_id": "g", "scope": "a/b"}})
        for _ in range(1000):
            if seed.random() < 0.5:
                body = seed.randbytes(seed.randrange(0, 200))
            else:
                body = bytearray(whole)
                for _ in range(seed.randrange(1, 4)):
                    body[seed.randrange(len(body))] = seed.randrange(256)
            reply = unpack(self.control.raw(bytes(body)))
            self.assertTrue(("error" in reply) != ("data" in reply), f"{bytes(body)!r}: {reply!r}")
        for block_id in self.control("list_all_blocks")["block_ids"]:
            self.control("remove", block_id=block_id)


class Clients(SystemCase):
    """Many of them, and badly behaved ones."""

    def test_50_clients_at_once_each_get_their_own_replies(self) -> None:
        failures: list[str] = []

        def one_client(number: int) -> None:
            client = Ask(self.broker.endpoint("control"), "control", None)
            try:
                for turn in range(20):
                    block_id = f"client-{number}"
                    client("ensure_tracker", block_id=block_id)
                    listed = client("list_block", block_id=block_id)
                    if not listed["tracked"]:
                        failures.append(f"{block_id} is not tracked in turn {turn}")
                    client("remove", block_id=block_id)
            except Exception as error:  # told to the test, below
                failures.append(f"client {number}: {error!r}")
            finally:
                client.close()
        threads = [threading.Thread(target=one_client, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_clients_that_die_in_mid_request_harm_nobody(self) -> None:
        ready, told = os.pipe()
        pids = [self.client_that_dies(told) for _ in range(20)]
        self.assertEqual(self.read_all(ready, 20), b"y" * 20, "some never got a reply")
        for pid in pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        self.control("describe")
        block = self.block()
        odd, _ = block.run("exit", 3)
        block.check_end(odd.pid, ("exit_code", 3))

    def client_that_dies(self, told: int) -> int:
        """A process that asks for more than it will ever read."""
        pid = os.fork()
        if pid == 0:
            try:
                programs.die_with_parent()
                socket = zmq.Context().socket(zmq.DEALER)
                socket.connect(self.broker.endpoint("control"))
                for number in range(50):
                    data = {"block_id": f"dies-{number % 5}"}
                    socket.send_multipart([b"", pack({"command": "ensure_tracker", "data": data})])
                # One reply came: the rest is under way.
                os.write(told, b"y" if socket.poll(DEADLINE * 1000) else b"n")
                threading.Event().wait(DEADLINE)
            finally:
                os._exit(1)
        return pid

    @staticmethod
    def read_all(fd: int, size: int) -> bytes:
        got = b""
        while len(got) < size and (piece := os.read(fd, size - len(got))):
            got += piece
        return got

    def test_one_block_may_be_ensured_many_times_at_once(self) -> None:
        data = {"block_id": self.new_id()}
        replies = self.ask_all([{"command": "ensure_tracker", "data": data}] * 40)
        self.assertEqual([reply["data"]["created"] for reply in replies].count(True), 1)
        self.assertEqual(len({reply["data"]["epoch"] for reply in replies}), 1)

    def test_a_block_may_be_ensured_removed_and_listed_all_at_once(self) -> None:
        data = {"block_id": self.new_id()}
        commands = ["ensure_tracker", "ensure_tracker", "ensure_tracker", "remove",
                    "ensure_tracker", "list_block", "remove", "remove", "ensure_tracker",
                    "ensure_tracker", "kill_tree", "confidence_of", "ensure_tracker", "remove",
                    "ensure_tracker", "ensure_tracker"]
        for reply in self.ask_all([{"command": command, "data": data} for command in commands]):
            self.assertIn("data", reply)
        self.assertIs(self.control("list_block", **data)["tracked"], True, "ensured at the end")

    def test_a_dealer_may_ask_a_hundred_times_before_it_reads(self) -> None:
        self.assertEqual(len(self.ask_all([{"command": "describe"}] * 100)), 100)

    @unittest.skipUnless(os.geteuid() == 0, "becoming another user needs root")
    def test_another_user_is_not_permitted(self) -> None:
        block = self.block()
        for directory in (self.broker.runtime.parent, self.broker.runtime):
            if directory != self.broker.runtime.parent or directory.stat().st_mode & 0o001 == 0:
                os.chmod(directory, directory.stat().st_mode | 0o011)
        os.chmod(self.broker.runtime / "control", 0o777)
        self.addCleanup(os.chmod, self.broker.runtime, 0o700)
        for request in ({"command": "describe"},
                        {"command": "list_block", "data": {"block_id": block.id}},
                        {"command": "kill_tree", "data": {"block_id": block.id}},
                        {"command": "ensure_tracker", "data": {"block_id": "of-nobody"}}):
            reply = self.ask_as_nobody(request)
            self.assertEqual(reply.get("errorcode"), "not_permitted", f"{request}: {reply}")
        self.assertNotIn("of-nobody", self.control("list_all_blocks")["block_ids"])

    def ask_as_nobody(self, request: dict[str, Any]) -> dict[str, Any]:
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                socket = zmq.Context().socket(zmq.REQ)
                socket.connect(self.broker.endpoint("control"))
                socket.send(pack(request))
                os.write(told, socket.recv() if socket.poll(DEADLINE * 1000) else b"\xc0")
            finally:
                os._exit(0)
        os.close(told)
        body = os.read(ready, 65536)
        os.close(ready)
        os.waitpid(pid, 0)
        return unpack(body) or {}
