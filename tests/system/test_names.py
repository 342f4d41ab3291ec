# SPDX-License-Identifier: Apache-2.0
"""Block ids: what is one, and that two of them share nothing (PROTOCOL.md, section 2)."""

from __future__ import annotations

from typing import Any

from blackbox.case import SystemCase

#: Values that are no block id.
WRONG_IDS: dict[str, Any] = {
    "empty": "", "two dots": "..", "one dot": ".", "begins with a dot": ".a",
    "begins with a dash": "-a", "129 bytes": "x" * 129, "a slash": "a/b",
    "the parent directory": "../x", "a NUL": "a\0b",
    "a NUL at the end": "a\0", "a colon": "a:b", "a star": "*", "two stars": "**", "a blank": "a b",
    "a newline": "a\n", "not ASCII": "grün", "64 KiB less a bit": "x" * 60000,
    "a number": 7, "nil": None, "a bool": True, "a list": ["a"], "a map": {"a": 1}, "bytes": b"a",
    "a float": 1.5,
}

COMMANDS: dict[str, dict[str, Any]] = {
    "ensure_tracker": {}, "assign_process": {"pid": 4000000}, "list_block": {}, "confidence_of": {},
    "kill_pid": {"pid": 4000000}, "kill_tree": {}, "remove": {},
}


class Names(SystemCase):
    """With the best feed that works here: names are no affair of feeds."""

    def test_what_is_no_block_id_is_refused_by_every_command_and_changes_nothing(self) -> None:
        witness = self.block()
        before = self.control("list_all_blocks")["block_ids"]
        for what, wrong in WRONG_IDS.items():
            for command, more in COMMANDS.items():
                with self.subTest(f"{command}: {what}"), self.refused("invalid_argument"):
                    self.control.ask(command, {"block_id": wrong} | more, right=False)
        for command, more in COMMANDS.items():
            with self.subTest(f"{command}: no block_id"), self.refused("invalid_argument"):
                self.control.ask(command, dict(more), right=False)
            with self.subTest(f"{command}: no data"), self.refused("invalid_argument"):
                self.control.ask(command, None, right=False)
        self.assertEqual(self.control("list_all_blocks")["block_ids"], before)
        witness.watch.catch_up()
        self.assertEqual(len([e for e in witness.watch.events if "mark" not in e.name]), 1)

    def test_the_error_names_the_key(self) -> None:
        for wrong in (7, "..", ""):
            with self.subTest(wrong):
                try:
                    self.control.ask("ensure_tracker", {"block_id": wrong}, right=False)
                    self.fail("allowed")
                except Exception as error:
                    self.assertIn("block_id", str(error))

    def test_ids_that_look_alike_share_nothing(self) -> None:
        ids = ["a.b", "a_b", "a-b", "A.b", "a..b", "a._b", "ab", "a.b.", "a_2e_b", "a.2eb", "0",
               "00", "cgroup.procs", "x" * 128, "X" * 128, "x" * 127, "_", "__", "a--b", "main",
               "s-main"]
        blocks = {block_id: self.block(block_id) for block_id in ids}
        if self.tracker == "cgroup":
            paths = {block.procs_path for block in blocks.values()}
            self.assertEqual(len(paths), len(ids), "two ids share a cgroup")
        self.assertEqual(len({block.ensured["epoch"] for block in blocks.values()}), len(ids))
        odds = {block_id: block.odd("hold") for block_id, block in blocks.items()}
        for block_id, odd in odds.items():
            odd.until("ready")
            blocks[block_id].watch.until_added(odd.pid)
        for block_id, block in blocks.items():
            self.assertEqual(set(block.listed()), {odds[block_id].pid}, block_id)
        self.assertLessEqual(set(ids), set(self.control("list_all_blocks")["block_ids"]))
        for block in blocks.values():
            block.remove()
            block.watch.until_event("block-removed")
            self.assertEqual(len(block.watch.law.all_stays()), 1)

    def test_block_1_beside_block_10(self) -> None:
        one, ten = self.block("1"), self.block("10")
        odd_1, odd_10 = one.odd("hold"), ten.odd("hold")
        one.watch.until_added(odd_1.pid)
        ten.watch.until_added(odd_10.pid)
        self.assertEqual(set(one.listed()), {odd_1.pid})
        self.assertEqual(set(ten.listed()), {odd_10.pid})
        self.control("kill_tree", block_id="1")
        one.check_end(odd_1.pid, ("signal", 9))
        self.assertEqual(set(ten.listed()), {odd_10.pid})
        self.assertEqual(one.watch.stays(odd_10.pid), [])
        odd_10.finish()
        ten.check_end(odd_10.pid, ("exit_code", 0))
        for block in (one, ten):
            block.remove()

    def test_a_block_id_of_128_bytes_works_in_every_command(self) -> None:
        block = self.block("y" * 128)
        odd = block.odd("hold")
        block.watch.until_added(odd.pid)
        self.assertIs(self.control("kill_pid", block_id=block.id, pid=odd.pid)["ok"], True)
        block.check_end(odd.pid, ("signal", 9))
        self.assertIs(block.remove()["ok"], True)
