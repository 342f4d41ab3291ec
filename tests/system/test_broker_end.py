# SPDX-License-Identifier: Apache-2.0
"""How the broker begins and ends: what it needs, what it leaves."""

from __future__ import annotations

import signal

from blackbox import programs
from blackbox.broker import Broker
from blackbox.case import SystemCase, feed_wanted
from blackbox.programs import Odd
from blackbox.wire import Refused


class BrokerEnd(SystemCase):
    """Each with a broker of its own, which `Broker.stop` checks."""

    def own_broker(self, **options: object) -> Broker:
        broker = Broker(feed=feed_wanted(), **options)
        self.addCleanup(broker.destroy)
        broker.start()
        return broker

    def member(self, broker: Broker, block_id: str, *args: object, **more: object) -> Odd:
        """An odd life in a new block: born there, or assigned before it begins."""
        told = broker.control("ensure_tracker", block_id=block_id, **more)
        joins = None if "procs_path" in told else \
            lambda pid: broker.control("assign_process", block_id=block_id, pid=pid, root=False)
        odd = Odd(*args, procs_path=told.get("procs_path"), joins=joins)
        self.addCleanup(odd.close)
        return odd

    def test_it_starts_and_ends_without_any_block(self) -> None:
        for _ in range(3):
            self.own_broker().stop()

    def test_sigint_ends_it_in_order_too(self) -> None:
        broker = self.own_broker()
        broker.process.send_signal(signal.SIGINT)
        self.assertEqual(broker.process.wait(20), 0)

    def test_when_it_ends_blocks_are_killed_and_removed(self) -> None:
        broker = self.own_broker()
        watch = broker.watch("b")
        self.addCleanup(watch.close)
        odd = self.member(broker, "b", "setsid-child")
        odd.until("ready")
        pids = {odd.pid, *odd.births()}
        for pid in pids:
            watch.until_added(pid)
        broker.process.send_signal(signal.SIGTERM)
        removed = watch.until_event("block-removed")
        self.assertEqual(removed.data["reason"], "shutdown")
        self.assertEqual(broker.process.wait(20), 0)
        for pid in pids:
            programs.wait_for(lambda pid=pid: not programs.is_running(pid), f"pid {pid} is gone")
        broker.check_nothing_left()

    def test_a_block_ensured_with_on_exit_keep_lives_on(self) -> None:
        broker = self.own_broker()
        odd = self.member(broker, "kept", "hold", on_exit="keep")
        odd.until("ready")
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.process.wait(20), 0)
        self.assertTrue(programs.is_running(odd.pid))
        odd.finish()

    def test_without_any_option_it_finds_its_own_way(self) -> None:
        broker = Broker()
        self.addCleanup(broker.destroy)
        broker.options.clear()
        broker.start()
        odd = self.member(broker, "b", "hold")
        odd.until("ready")
        if broker.control("describe")["tracker"] != "cgroup":
            broker.stop()
            self.assertFalse(programs.is_running(odd.pid))
            return
        self.assertNotEqual(programs.cgroup_of(odd.pid), programs.cgroup_of(broker.pid))
        block_cgroup = programs.cgroup2_mount() / programs.cgroup_of(odd.pid).lstrip("/")
        broker.stop()
        self.assertFalse(programs.is_running(odd.pid))
        self.assertFalse(block_cgroup.exists(), "its cgroup is left")

    def test_an_unknown_option_of_the_plugin_is_named(self) -> None:
        broker = Broker(colour="blue")
        self.addCleanup(broker.destroy)
        with self.assertRaises(AssertionError) as refused:
            broker.start()
        self.assertIn("colour", str(refused.exception))
        self.assertNotEqual(broker.process.returncode, 0)

    def test_brokerinfo_names_the_plugin_and_its_control_socket(self) -> None:
        broker = self.own_broker()
        told = broker.rpc("brokerinfo")
        (plugin,) = [plugin for plugin in told["plugins"] if plugin["name"] == "proctrack"]
        self.assertIn(broker.endpoint("control"), str(plugin["endpoints"]))
        broker.stop()

    def test_events_named_agent_from_outside_are_dropped(self) -> None:
        broker = self.own_broker()
        subscriber = broker.subscriber()
        subscriber.subscribe("block:x")
        try:
            broker.rpc("eventpublish", event="agent:process-added", scopes=["block:x"], data={})
        except Refused as refusal:  # refused or dropped: either way nobody may see it
            self.assertIn(refusal.errorcode, ("not_permitted", "invalid_argument"))
        subscriber.sync()
        self.assertIsNone(subscriber.next(0.2))
        broker.stop()
