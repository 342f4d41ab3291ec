# SPDX-License-Identifier: Apache-2.0
"""Every limit: refused with a sentence that names it, counted, and no harm to what is there already."""

from __future__ import annotations

from typing import Any

import zmq

from blackbox import programs
from blackbox.case import Block, SystemCase
from blackbox.wire import DEADLINE, Refused, pack, unpack


class LimitsCase(SystemCase):
    def refusal(self, command: str, **data: Any) -> str:
        """The sentence of a request that a limit refuses."""
        with self.assertRaises(Refused) as caught:
            self.control(command, **data)
        self.assertEqual(caught.exception.errorcode, "limit", caught.exception.sentence)
        return caught.exception.sentence

    def counters(self) -> dict[str, int]:
        return self.control("stats")["counters"]

    def assert_counted(self, name: str, before: dict[str, int], times: int) -> None:
        now = self.counters()
        self.assertEqual(now[name] - before[name], times, name)
        self.assertGreaterEqual(now["limits_hit"] - before["limits_hit"], times)

    def assert_names(self, sentence: str, *words: str) -> None:
        for word in words:
            self.assertIn(word, sentence)

    def directories(self) -> set[str]:
        """The blocks' cgroups that there are."""
        return set() if self.broker.cgroup_root is None else \
            {path.name for path in self.broker.cgroup_root.glob("*/b-*")}


class Told(LimitsCase):
    options = {"max_blocks": 7, "max_scopes": 6, "max_processes": 50, "max_requests": 40,
               "reserve_descriptors": 100}

    def test_describe_tells_every_limit_as_it_was_set(self) -> None:
        told = self.control("describe")["limits"]
        self.assertEqual({name: told[name] for name in ("blocks", "scopes", "processes", "requests")},
                         {"blocks": 7, "scopes": 6, "processes": 50, "requests": 40})
        with open(f"/proc/{self.broker.pid}/limits", encoding="ascii") as file:
            (limit,) = [int(line.split()[3]) for line in file if line.startswith("Max open files")]
        self.assertEqual(told["descriptors"], limit - 100)


class FewBlocks(LimitsCase):
    options = {"max_blocks": 3}

    def test_one_too_many_is_refused_and_leaves_nothing(self) -> None:
        blocks, before = [self.block() for _ in range(3)], self.counters()
        sentence = self.refusal("ensure_tracker", block_id="one-too-many")
        self.assert_names(sentence, "max-blocks", "3")
        self.assert_counted("limit_blocks", before, 1)
        self.assertNotIn("one-too-many", self.control("list_all_blocks")["block_ids"])
        self.assertNotIn("b-one-too-many", self.directories())
        self.assertFalse(self.control("ensure_tracker", block_id=blocks[0].id)["created"])
        odd, _ = blocks[0].run("exit", 3)
        blocks[0].check_end(odd.pid, ("exit_code", 3))
        blocks[1].remove()
        self.assertTrue(self.control("ensure_tracker", block_id="one-too-many")["created"])
        for block_id in (blocks[0].id, blocks[2].id, "one-too-many"):
            self.assertTrue(self.control("remove", block_id=block_id)["ok"])


class FewScopes(LimitsCase):
    options = {"max_scopes": 4}

    def test_one_too_many_is_refused_and_those_that_are_there_are_not(self) -> None:
        block = self.block()  # with `main`
        self.control("ensure_tracker", block_id=block.id, scope="bg/7")
        before = self.counters()
        sentence = self.refusal("ensure_tracker", block_id=block.id, scope="fg/7")
        self.assert_names(sentence, "max-scopes", "4")
        self.control("ensure_tracker", block_id=block.id, scope="bg/8")
        odd = block.odd("hold")
        odd.until("ready")
        self.refusal("assign_process", block_id=block.id, pid=odd.pid, scope="more")
        self.assert_counted("limit_scopes", before, 2)
        for scope in ("main", "bg", "bg/7", "bg/8"):
            self.control("ensure_tracker", block_id=block.id, scope=scope)
        block.assign(odd.pid, scope="bg/7")
        self.assertEqual(block.listed()[odd.pid]["scope"], "bg/7")
        self.control("ensure_tracker", block_id=self.block().id, scope="another/block/altogether")

    def test_many_at_once_are_not_one_more(self) -> None:
        block = self.block()
        replies = self.ask_all([{"command": "ensure_tracker",
                                 "data": {"block_id": block.id, "scope": f"s{number}"}}
                                for number in range(20)])
        self.assertEqual(sum("data" in reply for reply in replies), 3)
        self.assertEqual({reply["errorcode"] for reply in replies if "data" not in reply}, {"limit"})


class FullRegistry(LimitsCase):
    """What there is no room for is left out, said so, killed with its block, and found when there is room."""

    options = {"max_processes": 20}

    def crowd(self, block: Block, n: int) -> dict[int, programs.Odd]:
        crowd = [block.odd("hold") for _ in range(n)]
        for odd in crowd:
            odd.until("ready")
        return {odd.pid: odd for odd in crowd}

    def confidence(self, block: Block) -> str:
        told = {self.control(command, block_id=block.id)["confidence"]
                for command in ("confidence_of", "list_block")}
        self.assertEqual(len(told), 1)
        return told.pop()

    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "cgroup":
            self.skipTest("who is not known is no member here")

    def test_readers_are_told_that_they_do_not_see_all_and_when_they_do_again(self) -> None:
        block, other, before = self.block(), self.block(), self.counters()
        usual = self.confidence(block)
        crowd = self.crowd(block, 30)
        full = block.watch.until_event("block-changed", confidence="best_effort")
        self.assert_names(full.data["confidence_reason"], "max-processes", "20")
        self.assertEqual(len(block.listed()), 20)
        self.assertEqual((self.confidence(block), self.confidence(other)), ("best_effort", usual))
        self.assertGreaterEqual(self.counters()["limit_processes"] - before["limit_processes"], 10)
        listed = set(block.listed())
        for pid in listed:
            crowd[pid].finish()
        left = set(crowd) - listed
        block.watch.until(lambda: left <= set(block.listed()), "the left out are listed")
        resync = block.watch.until_event("block-resync", reason="overflow")
        self.assertGreaterEqual(resync.data["lost"], 1)
        block.watch.until(lambda: block.watch.named("block-changed")[-1].data["confidence"] == usual,
                          "all of it is told again")
        self.assertEqual(self.confidence(block), usual)
        block.watch.catch_up()
        living = {pid for pid, _ in block.watch.law.living()}
        self.assertEqual(living, set(block.listed()), "the reader is right again")
        self.assertEqual(other.watch.named("block-changed"), [], "the other block missed nothing")
        self.assertEqual(block.remove()["survivors"], [])

    def test_one_too_many_is_not_assigned_and_stays_where_it_is(self) -> None:
        block = self.block()
        crowd = self.crowd(block, 20)
        block.watch.until(lambda: len(block.listed()) == 20, "all of them are known")
        outside = programs.Odd("hold")
        self.addCleanup(outside.close)
        outside.until("ready")
        where, before = programs.cgroup_of(outside.pid), self.counters()
        sentence = self.refusal("assign_process", block_id=block.id, pid=outside.pid)
        self.assert_names(sentence, "max-processes", "20")
        self.assert_counted("limit_processes", before, 1)
        self.assertEqual(programs.cgroup_of(outside.pid), where)
        self.assertEqual(block.assign(next(iter(crowd))), 0)  # who is a member is not one more
        crowd.popitem()[1].finish()
        block.watch.until(lambda: len(block.listed()) < 20, "there is room")
        self.assertEqual(block.assign(outside.pid), 1)
        self.assertEqual(block.remove()["survivors"], [])

    def test_who_is_not_listed_is_ended_with_the_others(self) -> None:
        block = self.block()
        crowd = self.crowd(block, 40)
        self.assertEqual(block.remove()["survivors"], [])
        for pid in crowd:
            programs.wait_for(lambda pid=pid: not programs.is_running(pid), f"{pid} has ended")


class FewRequests(LimitsCase):
    options = {"max_requests": 5}

    def test_one_too_many_is_refused_at_once_and_the_others_get_their_answers(self) -> None:
        block = self.block()
        odd = block.odd("hold")
        odd.until("ready")
        block.watch.until_added(odd.pid)
        before = self.counters()
        wait = {"command": "wait_empty", "data": {"block_id": block.id,
                                                  "timeout_ms": int(DEADLINE * 1000)}}
        with zmq.Context.instance().socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(self.broker.endpoint("control"))
            for number in range(7):
                dealer.send_multipart([b"", pack(wait | {"reqid": number})])
            for number in (5, 6):
                reply = self.reply_to(dealer)
                self.assertEqual((reply["resid"], reply["errorcode"]), (number, "limit"))
                self.assert_names(reply["error"], "max-requests", "5")
            odd.finish()
            replies = [self.reply_to(dealer) for _ in range(5)]
        self.assertEqual({reply["resid"] for reply in replies}, set(range(5)))
        self.assertTrue(all(reply["data"]["empty"] for reply in replies))
        self.assert_counted("limit_requests", before, 2)

    def reply_to(self, dealer: zmq.Socket) -> dict[str, Any]:
        self.assertTrue(dealer.poll(DEADLINE * 1000), "no reply")
        return unpack(dealer.recv_multipart()[1])


class FewDescriptors(LimitsCase):
    """Each block holds one for long."""

    options = {"reserve_descriptors": 32}
    wpsd = {"max-descriptors": 128, "reserve-descriptors": 8}

    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "cgroup":
            self.skipTest("a block holds no descriptor here")

    def descriptors(self) -> set[int]:
        return {int(path.name) for path in programs.pathlib.Path(f"/proc/{self.broker.pid}/fd").iterdir()}

    def fill(self) -> tuple[list[str], str]:
        """Blocks, until one is refused."""
        made: list[str] = []
        while True:
            block_id = self.new_id("many")
            try:
                self.control("ensure_tracker", block_id=block_id)
            except Refused as refusal:
                self.assertEqual(refusal.errorcode, "limit")
                self.assertNotIn(f"b-{block_id}", self.directories(), "what is refused leaves nothing")
                return made, refusal.sentence
            made.append(block_id)
            self.assertLess(len(made), 128, "the reserve was used up")

    def test_blocks_leave_the_reserve_alone_and_what_is_there_goes_on(self) -> None:
        block = self.block()
        odd = block.odd("hold")
        odd.until("ready")
        block.watch.until(lambda: block.watch.named("process-added", odd.pid), "it has its descriptor")
        before = self.counters()
        made, sentence = self.fill()
        self.assert_names(sentence, "reserve-descriptors", "96", "128")
        self.assert_counted("limit_descriptors", before, 1)
        self.assertGreater(len(made), 10)
        clients = [self.broker.ask() for _ in range(8)]  # there is room for them
        for client in clients:
            self.addCleanup(client.close)
            self.assertEqual(set(client("list_block", block_id=block.id)["processes"][0]) >= {"pid"}, True)
        sentence = self.refusal("wait_empty", block_id=block.id, timeout_ms=100)
        self.assert_names(sentence, "reserve-descriptors")
        self.assertEqual(self.control("stop_tree", block_id=block.id)["exited"], 1)
        for block_id in made:
            self.assertTrue(self.control("remove", block_id=block_id)["ok"])
        self.assertEqual(self.control("wait_empty", block_id=block.id, timeout_ms=100)["empty"], True)
        self.assertGreaterEqual(len(self.fill()[0]), len(made) - 8)
        for block_id in self.control("list_all_blocks")["block_ids"]:
            self.control("remove", block_id=block_id)
