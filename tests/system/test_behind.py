# SPDX-License-Identifier: Apache-2.0
"""A machine that is too full for the broker to keep up: it claims more than its share, answers, and knows in the end."""

from __future__ import annotations

import pathlib

from blackbox import programs
from blackbox.case import SystemCase
from blackbox.starve import Starved

AS_EVER, LESS_NICE = 0, -10
CAP_SYS_NICE = 23
STAYS = 10.0  # seconds that it claims for, once it keeps up
ROUNDS = 5


class Behind(SystemCase):
    def test_whoever_asks_is_answered_and_in_the_end_all_is_known(self) -> None:
        block = self.block()
        with Starved(self.broker, block) as starved:
            starved.until_late()
            for _ in range(ROUNDS):
                other = self.block()
                odd = other.odd("hold")
                other.watch.until_added(odd.pid)
                self.assertIn(odd.pid, self.listed(other.id))
                removed = self.control("remove", block_id=other.id, timeout_ms=int(programs.DEADLINE * 1000))
                self.assertEqual(removed["survivors"], [])
        programs.wait_for(lambda: not self.listed(block.id), "the storm is over, and that is known")
        self.assertEqual(block.remove()["survivors"], [])


class Share(SystemCase):
    def setUp(self) -> None:
        if not self.tells_all:
            self.skipTest("this feed reads nothing that could be late")
        super().setUp()
        status = pathlib.Path(f"/proc/{self.broker.pid}/status").read_text()
        if not int(status.split("CapEff:")[1].split()[0], 16) >> CAP_SYS_NICE & 1:
            self.skipTest("needs CAP_SYS_NICE")

    def test_it_claims_more_than_its_share_until_it_keeps_up(self) -> None:
        starved = Starved(self.broker, self.block())
        self.assertEqual(starved.nice(), AS_EVER)
        with starved:
            starved.until_late()
            self.assertEqual(starved.nice(), LESS_NICE)
        programs.wait_for(lambda: starved.nice() == AS_EVER, "it has its share again",
                          STAYS + programs.DEADLINE)


class NoShare(Share):
    options = {"priority-boost": 0}

    def test_it_claims_more_than_its_share_until_it_keeps_up(self) -> None:
        with Starved(self.broker, self.block()) as starved:
            starved.until_late()
            self.assertEqual(starved.nice(), AS_EVER, "it is told not to")
