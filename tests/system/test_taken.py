# SPDX-License-Identifier: Apache-2.0
"""What others take from a running broker: its directory, a block's cgroup, its idea of the time, its sleep."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
from typing import Any

from blackbox import intrude, programs
from blackbox.broker import Broker
from blackbox.case import SystemCase, feed_wanted
from blackbox.programs import Odd

#: struct disturb of tests/faults/disturb.c: what is added to the wall clock, signals handled, clock reads.
DISTURB = struct.Struct("=qQQ")
SIGNAL = signal.SIGRTMIN + 7


class Taken(SystemCase):
    def odd(self, procs_path: str) -> Odd:
        odd = Odd("hold", procs_path=procs_path)
        self.addCleanup(odd.close)
        odd.until("ready")
        return odd

    def disturbed(self) -> tuple[Broker, pathlib.Path]:
        """A broker of its own in which disturb.so is preloaded, and the file that steers it."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-test-"))
        self.addCleanup(shutil.rmtree, directory)
        file = directory / "disturb"
        file.write_bytes(bytes(4096))
        broker = Broker(feed=feed_wanted(), environment={
            "LD_PRELOAD": os.environ["PROCTRACK_DISTURB"], "DISTURB_FILE": str(file),
            "ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"})
        self.addCleanup(broker.destroy)
        broker.start()
        return broker, file


class Cgroups(Taken):
    def setUp(self) -> None:
        super().setUp()
        if self.tracker != "cgroup":
            self.skipTest("there are no cgroups")

    def empty_and_remove(self, directory: pathlib.Path) -> None:
        def gone() -> bool:
            subprocess.run(["find", directory, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"],
                           stderr=subprocess.DEVNULL, check=False)
            return not directory.exists()
        programs.wait_for(gone, f"{directory} is removed")

    def test_who_ensures_a_block_whose_cgroup_was_removed_can_join_it(self) -> None:
        block = self.block()
        self.empty_and_remove(pathlib.Path(block.procs_path).parents[1])
        told = self.control("ensure_tracker", block_id=block.id)
        self.assertIs(told["created"], False)
        self.assertEqual(told["epoch"], block.ensured["epoch"])
        odd = self.odd(told["procs_path"])
        block.watch.until_added(odd.pid)
        self.assertEqual(odd.finish(), 0)
        block.check_end(odd.pid, ("exit_code", 0))
        self.assertTrue(block.remove()["ok"])

    def test_a_process_is_assigned_to_a_sub_scope_whose_cgroup_was_removed(self) -> None:
        block = self.block()
        told = self.control("ensure_tracker", block_id=block.id, scope="bg/7")
        self.empty_and_remove(pathlib.Path(told["procs_path"]).parents[1])  # with `bg`
        odd = Odd("hold")
        self.addCleanup(odd.close)
        odd.until("ready")
        self.assertEqual(block.assign(odd.pid, scope="bg/7"), 1)
        self.assertEqual(block.listed()[odd.pid]["scope"], "bg/7")
        self.assertIn("was removed by somebody else", self.broker.log())

    def test_members_keep_their_start_times_where_the_wall_clock_steps_between_brokers(self) -> None:
        broker, file = self.disturbed()
        odd = self.odd(broker.control("ensure_tracker", block_id="b")["procs_path"])
        (before,) = self.until_listed(broker, odd)
        broker.process.kill()
        broker.process.wait()
        for seconds in (-3600, 3600):
            file.write_bytes(struct.pack("=q", seconds * 10 ** 9).ljust(4096, b"\0"))
            broker.start()
            (after,) = self.until_listed(broker, odd)
            self.assertEqual(after["started_at_ms"], before["started_at_ms"])
            self.assertIs(broker.control("kill_pid", block_id="b", pid=odd.pid,
                                         started_at_ms=before["started_at_ms"] + 1000)["ok"], False)
            self.assertGreater(DISTURB.unpack(file.read_bytes()[:DISTURB.size])[2], 0, "it read the clock")
            broker.process.kill()
            broker.process.wait()
        broker.start()
        broker.stop()

    def until_listed(self, broker: Broker, odd: Odd) -> list[dict[str, Any]]:
        def listed() -> list[dict[str, Any]]:
            return [record for record in broker.control("list_block", block_id="b")["processes"]
                    if record["pid"] == odd.pid]
        return programs.wait_for(listed, f"{odd.pid} is listed")


class Directory(Taken):
    def test_a_runtime_directory_that_was_deleted_is_there_again_for_new_clients(self) -> None:
        log = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-test-"))
        self.addCleanup(shutil.rmtree, log)
        broker = Broker(feed=feed_wanted(), log_file=log / "log")
        self.addCleanup(broker.destroy)
        broker.start()
        watch = broker.watch("b")
        shutil.rmtree(broker.runtime)
        broker.control("ensure_tracker", block_id="b")  # who is connected stays so
        watch.until_event("block-added")
        for name in ("control", "events", "publish", "rpc", "wpsd.lock"):
            programs.wait_for((broker.runtime / name).exists, f"{name} is there again")
        self.assertEqual(broker.runtime.stat().st_mode & 0o777, 0o700)
        late = broker.watch("c")
        for service, command in (("control", "describe"), ("rpc", "brokerinfo")):
            ask = broker.ask(service)
            self.addCleanup(ask.close)
            ask(command)
        broker.control("ensure_tracker", block_id="c")
        late.until_event("block-added")
        second = subprocess.run([os.environ["PROCTRACK_WPSD"]], capture_output=True, text=True, check=False,
                                env=os.environ | {"WPS_RUNTIME_DIR": str(broker.runtime)})
        self.assertEqual(second.returncode, 4, second.stderr)
        for sentence in ("was deleted: it is made again", "was deleted: it is bound again"):
            programs.wait_for(lambda s=sentence: s in broker.log(), sentence)
        broker.stop()


class Interrupted(Taken):
    def test_signals_that_something_handles_end_nothing_and_lose_nothing(self) -> None:
        broker, file = self.disturbed()
        watch = broker.watch("b")
        told = broker.control("ensure_tracker", block_id="b")
        libc = intrude._libc
        handled = 0
        while handled < 3000:
            for tid in intrude.threads(broker.pid):
                libc.tgkill(broker.pid, tid, SIGNAL)
            broker.control("confidence_of", block_id="b")
            broker.rpc("eventpublish", event="test:e", scopes=["test:s"])
            handled = DISTURB.unpack(file.read_bytes()[:DISTURB.size])[1]
        watch.catch_up()
        self.assertEqual(broker.control("list_block", block_id="b")["epoch"], told["epoch"])
        broker.stop()
