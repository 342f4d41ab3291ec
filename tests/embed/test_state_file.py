# SPDX-License-Identifier: Apache-2.0
"""The second plugin beside the module in one broker: its files follow the blocks."""

import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["EMBED_BUILD"])
os.environ["WPSD"] = str(BUILD / "wpsd")
os.environ["WPSD_SANITIZE"] = os.environ.get("EMBED_SANITIZE", "")
sys.path.insert(0, str(HERE.parent / "broker"))

import unittest  # noqa: E402

import zmq  # noqa: E402
from wpsd import DEADLINE, BrokerTest  # noqa: E402

MODULE = BUILD / "proctrack.so"
STATE_FILE = BUILD / "state_file.so"


class StateFile(BrokerTest):
    def setUp(self):
        super().setUp()
        self.dir = pathlib.Path(self.home, "state")
        self.dir.mkdir()

    def both(self, first=MODULE, **options):
        plugins = [f"{MODULE},settle-ms=0", f"{STATE_FILE},dir={self.dir}" +
                   "".join(f",{key}={value}" for key, value in options.items())]
        if first != MODULE:
            plugins.reverse()
        broker = self.broker(*(word for plugin in plugins for word in ("--plugin", plugin)))
        self.control = self.connect(zmq.REQ, broker.endpoint("control"))
        return broker

    def request(self, command, **data):
        return self.ask_ok(command, data, self.control)

    def read(self, block):
        """What the file says, or None. It is whole at any time: half of one would not parse."""
        try:
            return json.loads((self.dir / f"{block}.json").read_text())
        except FileNotFoundError:
            return None

    def wait_for(self, block, condition):
        until = time.monotonic() + DEADLINE
        while not condition(state := self.read(block)):
            self.assertLess(time.monotonic(), until, f"{block}: {state}")
            time.sleep(0.01)  # a file has no other sign
        return state

    def listed(self, block):
        reply = self.request("list_block", block_id=block)
        keys = ("pid", "started_at_ms", "command", "root", "started", "scope")
        return reply["seq"], sorted([process[key] for key in keys] for process in reply["processes"])

    def wait_equal(self, block):
        """The file says what the registry says."""
        until = time.monotonic() + DEADLINE
        while True:
            seq, processes = self.listed(block)
            state = self.read(block) or {"seq": None, "processes": []}
            mine = sorted([process[key] for key in ("pid", "started_at_ms", "command", "root",
                                                     "started", "scope")]
                          for process in state["processes"])
            if (state["seq"], mine) == (seq, processes):
                return state
            self.assertLess(time.monotonic(), until, f"{state} is not {seq} {processes}")

    def a_block_comes_changes_and_goes(self):
        self.request("ensure_tracker", block_id="b")
        state = self.wait_for("b", lambda state: state is not None)
        self.assertEqual(state["processes"], [])
        child = self.child("/bin/sh", "-c", "sleep 1000 & sleep 1001 & wait")
        self.request("assign_process", block_id="b", pid=child.pid)
        self.wait_for("b", lambda state: sorted(process["command"] for process in state["processes"])[1:] ==
                      ["sleep 1000", "sleep 1001"])  # until its exec a child has its parent's
        self.wait_equal("b")
        self.assertTrue(self.request("kill_tree", block_id="b")["ok"])
        self.wait_for("b", lambda state: state["processes"] == [])
        self.wait_equal("b")
        self.request("remove", block_id="b")
        self.wait_for("b", lambda state: state is None)

    def test_the_file_follows_the_block(self):
        self.both()
        self.a_block_comes_changes_and_goes()

    def test_the_order_of_the_plugins_does_not_matter(self):
        self.both(first=STATE_FILE)
        self.a_block_comes_changes_and_goes()

    def test_each_block_has_a_file_of_its_own_and_odd_commands_stay_readable(self):
        self.both()
        for block in ("one", "two.three", "A_b-c"):
            self.request("ensure_tracker", block_id=block)
        child = self.child("/bin/sh", "-c", 'read x <"$0"; : "a\\b"\n\tc', self.fifo())
        self.request("assign_process", block_id="two.three", pid=child.pid)
        state = self.wait_for("two.three", lambda state: state and state["processes"])
        self.assertIn('"a\\b"\n\tc', state["processes"][0]["command"])
        self.assertEqual(self.wait_for("one", bool)["processes"], [])
        self.assertEqual(self.wait_for("A_b-c", bool)["processes"], [])

    def fifo(self):
        path = os.path.join(self.home, "fifo")
        os.mkfifo(path)
        return path

    def test_a_storm_leaves_the_file_as_the_registry_is(self):
        self.both()
        self.request("ensure_tracker", block_id="b")
        fifo = self.fifo()
        child = self.child("/bin/sh", "-c", 'read x <"$0"; i=0; while [ $i -lt 300 ]; do '
                           "i=$((i+1)); /bin/true; done; exec sleep 1000", fifo)
        self.request("assign_process", block_id="b", pid=child.pid)
        pathlib.Path(fifo).write_text("go\n")
        self.wait_for("b", lambda state: state and [process["command"] for process in
                                                    state["processes"]] == ["sleep 1000"])
        self.wait_equal("b")

    def test_files_go_when_the_plugin_stops(self):
        broker = self.both()
        self.request("ensure_tracker", block_id="b")
        self.wait_for("b", bool)
        self.assertEqual(broker.end(), 0, broker.log())
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_wrong_options_are_refused_by_name(self):
        for options, words in (("", ["dir"]), (",colour=red", ["colour"]),
                               (f",dir={self.home}/nowhere", ["nowhere"])):
            with self.subTest(options=options):
                broker = self.start("--plugin", f"{STATE_FILE}{options}")
                self.assertEqual(broker.wait_end(), 3)
                for word in words:
                    self.assertIn(word, broker.log())


if __name__ == "__main__":
    unittest.main()
