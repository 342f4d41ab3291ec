# SPDX-License-Identifier: Apache-2.0
"""Descriptors that run out: connections to the module's socket and pidfds of members."""

from __future__ import annotations

import socket

from blackbox.broker import Broker
from blackbox.case import SystemCase, feed_wanted
from blackbox.programs import Odd

#: What the broker may have, and how much of it clients leave to the module.
LIMIT, RESERVE = 96, 12


class Descriptors(SystemCase):
    """A broker with few of them, and more clients than that."""

    def setUp(self) -> None:
        super().setUp()
        self.small = Broker(feed=feed_wanted(), wpsd={"max-descriptors": LIMIT,
                                                      "reserve-descriptors": RESERVE})
        self.addCleanup(self.small.destroy)
        self.small.start()

    def crowd(self) -> None:
        """Connections that just stay, many more than there is room for."""
        for _ in range(2 * LIMIT):
            connection = socket.socket(socket.AF_UNIX)
            self.addCleanup(connection.close)
            connection.connect(f"{self.small.runtime}/control")

    def test_a_crowd_at_the_module_leaves_it_room_to_work(self) -> None:
        self.small.control("ensure_tracker", block_id="b")
        self.crowd()
        self.assign_and_remove(LIMIT)

    def test_more_members_than_descriptors_are_members_all_the_same(self) -> None:
        self.small.control("ensure_tracker", block_id="b")
        pids = self.assign_and_remove(2 * LIMIT)
        late = self.small.ask()  # there is room for one that comes now
        self.assertEqual(late("list_block", block_id="b")["processes"], [])
        self.assertEqual(len(pids), 2 * LIMIT)
        self.small.stop()

    def assign_and_remove(self, n: int) -> set[int]:
        pids = set()
        for _ in range(n):
            odd = Odd("hold")
            self.addCleanup(odd.close)
            odd.until("ready")
            self.small.control("assign_process", block_id="b", pid=odd.pid)
            pids.add(odd.pid)
        listed = self.small.control("list_block", block_id="b")["processes"]
        self.assertEqual({record["pid"] for record in listed}, pids)
        self.assertEqual(self.small.control("remove", block_id="b")["survivors"], [])
        self.assertTrue(self.small.is_alive(), self.small.log())
        return pids
