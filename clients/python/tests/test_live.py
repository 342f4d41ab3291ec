# SPDX-License-Identifier: Apache-2.0
"""Against a real broker and real processes: after whatever happens the mirror is what the registry
lists."""

import asyncio
import os
import pathlib
import subprocess
import sys
import unittest
from collections.abc import Callable, Coroutine
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from blackbox import programs  # noqa: E402
from blackbox.broker import Broker  # noqa: E402
from blackbox.wire import DEADLINE  # noqa: E402

from proctrack import Client, Mirror, NoReply, Refused  # noqa: E402

CHECK_EVERY = 0.2  # seconds
KEPT_EQUAL = ("pid", "started_at_ms", "command", "root", "started", "scope")


def setUpModule() -> None:
    programs.adopt_orphans()


def comparable(processes: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(record[key] for key in KEPT_EQUAL) for record in processes)


class LiveCase(unittest.TestCase):
    """A broker for each test, and an end to all it started."""

    def setUp(self) -> None:
        self.broker = Broker()
        self.addCleanup(self.broker.destroy)
        self.broker.start()
        self.addCleanup(programs.kill_children)
        self.tracker = self.broker.control("describe")["tracker"]
        if self.tracker == "none":
            self.skipTest("nothing is tracked here")

    def with_client(self, test: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
        async def run() -> None:
            async with Client(self.broker.runtime) as client:
                await test(client)
        asyncio.run(asyncio.wait_for(run(), 8 * DEADLINE))

    def child(self, *command: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin is not None
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        return process


class Live(LiveCase):
    """A client, and a mirror of the block `b`."""

    async def until(self, mirror: Mirror, reached: Callable[[], bool], what: str) -> list[str]:
        """Takes changes until that is so; their kinds."""
        kinds: list[str] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while not (mirror.whole and reached()):
                    kinds.append((await anext(mirror)).kind)
        except TimeoutError:
            self.fail(f"{what}: not in time; it holds {comparable(mirror.processes)} after {kinds}\n"
                      f"{self.broker.log()}")
        return kinds

    async def assert_equal(self, client: Client, mirror: Mirror) -> None:
        """The mirror is the list, at one and the same number."""
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    listed = await client.list_block("b")
                    there = listed.get("epoch"), listed.get("seq", 0)
                    while not mirror.whole or (mirror.epoch == there[0] and mirror.seq < there[1]):
                        await anext(mirror)
                    if (mirror.epoch, mirror.seq) == there:
                        break
                    await anext(mirror)  # one of them is behind
        except TimeoutError:
            self.fail(f"the mirror stays at {mirror.epoch}, {mirror.seq}")
        self.assertEqual(comparable(mirror.processes), comparable(listed["processes"]))
        self.assertEqual(mirror.confidence, listed["confidence"])

    def test_the_mirror_is_the_list_after_each_thing_that_happens(self) -> None:
        self.with_client(self.whole_life)

    async def whole_life(self, client: Client) -> None:
        async with client.mirror("b") as mirror:
            await self.until(mirror, lambda: mirror.epoch is None, "no block")
            await self.assert_equal(client, mirror)

            ensured = await client.ensure_tracker("b")
            self.assertTrue(ensured["created"])
            await self.until(mirror, lambda: mirror.epoch == ensured["epoch"], "the block")
            await self.assert_equal(client, mirror)

            shell = self.child("/bin/sh")  # reads what to do
            assert shell.stdin is not None
            assigned = await client.assign_process("b", shell.pid)
            self.assertEqual(assigned["assigned"], 1)
            await self.until(mirror, lambda: len(mirror.processes) == 1, "the shell")
            await self.assert_equal(client, mirror)

            def say(line: str) -> None:
                assert shell.stdin is not None
                shell.stdin.write(line.encode() + b"\n")
                shell.stdin.flush()

            def shown() -> list[str]:
                return sorted(process["command"] for process in mirror.processes)

            say("sleep 1001 & sleep 1002 &")
            await self.until(mirror, lambda: {"sleep 1001", "sleep 1002"} <= set(shown()), "children")
            await self.assert_equal(client, mirror)

            say("exec sleep 1003")
            await self.until(mirror, lambda: "sleep 1003" in shown(), "exec")
            self.assertEqual(shown(), ["sleep 1001", "sleep 1002", "sleep 1003"])
            await self.assert_equal(client, mirror)

            victim = next(process["pid"] for process in mirror.processes
                          if process["command"] == "sleep 1001")
            self.assertTrue((await client.kill_pid("b", victim))["ok"])
            await self.until(mirror, lambda: len(mirror.processes) == 2, "one killed")
            self.assertEqual(shown(), ["sleep 1002", "sleep 1003"])
            await self.assert_equal(client, mirror)

            removed = await client.remove("b")
            self.assertEqual((removed["ok"], removed["survivors"]), (True, []))
            kinds = await self.until(mirror, lambda: mirror.epoch is None, "removed")
            self.assertIn("block-removed", kinds)
            self.assertNotIn("block-stale", kinds)
            await self.assert_equal(client, mirror)

    def test_the_mirror_follows_a_broker_that_is_killed_and_comes_back(self) -> None:
        if self.tracker != "cgroup":
            self.skipTest("only cgroups outlive a broker")
        self.with_client(self.killed_broker)

    async def killed_broker(self, client: Client) -> None:
        async with client.mirror("b") as mirror:
            first = await client.ensure_tracker("b", on_crash="keep")
            stays, ends = self.child("sleep", "1001"), self.child("sleep", "1002")
            for process in (stays, ends):
                await client.assign_process("b", process.pid)
            await self.until(mirror, lambda: len(mirror.processes) == 2, "both")

            assert self.broker.process is not None
            self.broker.process.kill()
            self.broker.process.wait()
            ends.kill()
            ends.wait()
            with self.assertRaises(NoReply):
                await client.ask("control", "describe", timeout=0.2)
            self.broker.start()

            kinds = await self.until(mirror, lambda: mirror.epoch not in (None, first["epoch"]),
                                     "the block, adopted")
            self.assertIn("block-stale", kinds)
            await self.until(mirror, lambda: len(mirror.processes) == 1, "one is left")
            self.assertEqual([process["pid"] for process in mirror.processes], [stays.pid])
            await self.assert_equal(client, mirror)

            late = self.child("sleep", "1003")
            await client.assign_process("b", late.pid)
            await self.until(mirror, lambda: len(mirror.processes) == 2, "a late one")
            await self.assert_equal(client, mirror)
            await client.remove("b")
            await self.until(mirror, lambda: mirror.epoch is None, "removed")
            await self.assert_equal(client, mirror)

    def test_what_no_event_tells_is_found_by_asking(self) -> None:
        async def test(client: Client) -> None:
            async with client.mirror("b", check_every=CHECK_EVERY) as mirror:
                await client.ensure_tracker("b")
                await self.until(mirror, lambda: mirror.epoch is not None, "there")
                with self.assertRaises(TimeoutError):  # what is right is not listed again
                    async with asyncio.timeout(5 * CHECK_EVERY):
                        await anext(mirror)
                mirror._subscriber.unsubscribe("block:b")  # nothing arrives any more, nor any mark
                child = self.child("sleep", "1001")
                await client.assign_process("b", child.pid)
                await self.until(mirror, lambda: len(mirror.processes) == 1, "one that was not told")
                await client.remove("b")
                kinds = await self.until(mirror, lambda: mirror.epoch is None, "removed")
                self.assertIn("block-stale", kinds)
                self.assertNotIn("block-removed", kinds)
        self.with_client(test)

    def test_a_refusal_is_raised_with_its_code_and_a_sentence(self) -> None:
        async def test(client: Client) -> None:
            with self.assertRaises(Refused) as raised:
                await client.wait_empty("nobody", 0)
            self.assertEqual(raised.exception.errorcode, "no_such_block")
            self.assertGreater(len(str(raised.exception)), 20)
        self.with_client(test)

    def test_many_tasks_ask_at_once_and_each_gets_its_own_reply(self) -> None:
        async def test(client: Client) -> None:
            ids = [f"b-{number}" for number in range(20)]
            made = await asyncio.gather(*(client.ensure_tracker(block_id) for block_id in ids))
            listed = await client.list_all_blocks()
            self.assertEqual(sorted(listed["block_ids"]), sorted(ids))
            epochs = {block["block_id"]: block["epoch"] for block in listed["blocks"]}
            self.assertEqual([epochs[block_id] for block_id in ids],
                             [each["epoch"] for each in made])
            await asyncio.gather(*(client.remove(block_id) for block_id in ids))
        self.with_client(test)

    def test_a_star_subscriber_gets_each_event_once(self) -> None:
        async def test(client: Client) -> None:
            async with client.subscriber("x:*", "x:1") as subscriber:
                await subscriber.in_force()
                await client.publish("first", scopes=["x:1", "x:2"])
                await client.publish("other", scopes=["x:1:more", "y"])
                await client.publish("last", {"of": "all"}, scopes=["x:2"])
                async with asyncio.timeout(DEADLINE):
                    got = [await subscriber.next() for _ in range(2)]
            self.assertEqual([(event.name, event.topic) for event in got],
                             [("first", "x:1"), ("last", "x:2")])
            self.assertEqual(got[1].data, {"of": "all"})
        self.with_client(test)


class Readme(LiveCase):
    """The program of the package's README."""

    def test_it_shows_the_block_as_it_changes(self) -> None:
        page = (ROOT / "clients" / "python" / "README.md").read_text()
        program = page.split("```python\n", 1)[1].split("```", 1)[0]
        self.broker.control("ensure_tracker", block_id="demo")
        environment = os.environ | {"WPS_RUNTIME_DIR": str(self.broker.runtime)}
        shown = subprocess.Popen([sys.executable, "-u", "-B", "-c", program, "demo"], text=True,
                                 stdout=subprocess.PIPE, env=environment)
        assert shown.stdout is not None
        self.addCleanup(shown.stdout.close)
        self.addCleanup(shown.wait)
        self.addCleanup(shown.kill)
        child = self.child("sleep", "1001")
        self.broker.control("assign_process", block_id="demo", pid=child.pid)
        self.until_line(shown, f"{child.pid}  sleep 1001")
        self.broker.control("remove", block_id="demo")
        self.until_line(shown, "demo is gone")
        self.assertEqual(shown.wait(DEADLINE), 0)

    def until_line(self, process: "subprocess.Popen[str]", part: str) -> None:
        lines: list[str] = []

        async def read() -> None:
            assert process.stdout is not None
            while not lines or part not in lines[-1]:
                line = await asyncio.to_thread(process.stdout.readline)
                if not line:
                    self.fail(f"it ended without {part!r}: {lines}")
                lines.append(line)

        async def in_time() -> None:
            try:
                await asyncio.wait_for(read(), DEADLINE)
            except TimeoutError:
                process.kill()  # ends the reading too
                self.fail(f"no line with {part!r} in {lines}")
        asyncio.run(in_time())


if __name__ == "__main__":
    unittest.main()
