# SPDX-License-Identifier: Apache-2.0
"""Where the tracker `lineage` differs from `cgroup`: each row of the table in docs/lineage.md, asserted.
What is the same is asserted by the other suites, run with PROCTRACK_TRACKER=lineage."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time

from blackbox import programs
from blackbox.broker import Broker, remove_cgroup
from blackbox.case import Block, SystemCase, feed_wanted
from blackbox.programs import Odd
from blackbox.wire import DEADLINE, SLOW

NEVER_MS = 3600000  # between two scans of the feed poll: only lists scan


class LineageCase(SystemCase):
    """Skips itself where the broker chose another tracker."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if cls.tracker != "lineage":
            raise AssertionError(f"run with PROCTRACK_TRACKER=lineage, not {cls.tracker}")

    def outside(self, *args: object, **options: object) -> Odd:
        odd = Odd(*args, **options)
        self.addCleanup(odd.close)
        return odd

    def untagged(self, block: Block, *args: object) -> Odd:
        """A member that nothing but its lineage tells of."""
        odd = Odd(*args, **block.way_in(tagged=False))
        self.addCleanup(odd.close)
        return odd

    def until_scanned(self, block: Block, pid: int):
        """Scans come while things happen: so let things happen until one has seen the process."""
        end = time.monotonic() + DEADLINE
        while (stay := block.watch.stay(pid)) is None and time.monotonic() < end:
            block.run("exit", 0)
            block.listed()
            block.watch.catch_up()
        self.assertIsNotNone(stay, f"pid {pid} is not found:\n{block.watch.story()}")
        (added,) = block.watch.named("process-added", pid)
        self.assertEqual(added.data.get("source"), "scan")
        return stay


class Promises(LineageCase):
    """What it says of itself."""

    def test_confidence_is_best_effort_and_the_reason_says_what_can_leave(self) -> None:
        block = self.block()
        self.assertEqual(block.ensured["confidence"], "best_effort")
        for word in ("PROCTRACK_BLOCK", "leave", "lineage", self.feed):
            self.assertIn(word, block.ensured["confidence_reason"])

    def test_there_is_no_procs_path(self) -> None:
        self.assertNotIn("procs_path", self.block().ensured)

    def test_with_a_feed_that_sees_births_a_daemon_needs_no_tag(self) -> None:
        if not self.tells_all:
            self.skipTest("a scan sees what is there when it looks")
        block = self.block()
        odd = self.untagged(block, "double-fork")
        odd.until("ready")
        daemon = odd.told("ready")[0]["pid"]
        block.watch.until_added(daemon)
        self.assertNotIn("source", block.watch.named("process-added", daemon)[0].data)
        self.assertIs(block.remove()["ok"], True)
        block.check_gone({odd.pid, daemon})

    def test_sub_scopes_are_inherited_and_killed_apart(self) -> None:
        block = self.block()
        main = self.untagged(block, "setsid-child")
        bg = Odd("setsid-child", joins=lambda pid: block.assign(pid, root=False, scope="bg/7"))
        self.addCleanup(bg.close)
        for odd in (main, bg):
            odd.until("ready")
            for pid in odd.births():
                block.watch.until_added(pid)
        self.assertEqual({pid: record["scope"] for pid, record in block.listed().items()},
                         {pid: "main" for pid in (main.pid, *main.births())} |
                         {pid: "bg/7" for pid in (bg.pid, *bg.births())})
        self.assertIs(self.control("kill_tree", block_id=block.id, scope="main")["ok"], True)
        for pid in (main.pid, *main.births()):
            block.check_end(pid, ("signal", 9))
        self.assertEqual(set(block.listed()), {bg.pid, *bg.births()})
        self.assertIs(block.remove()["ok"], True)

    def test_a_broker_that_starts_again_does_not_find_its_blocks(self) -> None:
        broker = Broker(feed=feed_wanted())
        self.addCleanup(broker.destroy)
        broker.start()
        broker.control("ensure_tracker", block_id="b")
        odd = self.outside("hold", joins=lambda pid: broker.control("assign_process", block_id="b", pid=pid))
        odd.until("ready")
        broker.process.kill()
        broker.process.wait()
        broker.start()
        self.assertEqual(broker.control("list_all_blocks")["block_ids"], [])
        self.assertTrue(programs.is_running(odd.pid))

    def test_on_crash_kill_is_not_supported_and_makes_nothing(self) -> None:
        block_id = self.new_id()
        with self.refused("not_supported"):
            self.control("ensure_tracker", block_id=block_id, on_crash="kill")
        self.assertNotIn(block_id, self.control("list_all_blocks")["block_ids"])
        self.assertIs(self.control("ensure_tracker", block_id=block_id, on_crash="keep")["created"], True)
        self.control("remove", block_id=block_id)


class Strays(LineageCase):
    """Found by their tag, or not at all."""

    options = {"poll_ms": NEVER_MS}

    def test_what_lost_its_parent_between_two_scans_is_found_by_its_tag_alone(self) -> None:
        if self.tells_all:
            self.skipTest("this feed sees births")
        for tagged in (False, True):
            block = self.block()
            odd = Odd("double-fork", **block.way_in(tagged=tagged))
            self.addCleanup(odd.close)
            odd.until("ready")
            daemon = odd.told("ready")[0]["pid"]
            odd.until("ends")
            listed = block.listed()
            self.assertEqual(daemon in listed, tagged)
            self.assertIn(odd.pid, listed)
            self.assertIs(block.remove()["ok"], True)
            self.assertEqual(programs.is_running(daemon), not tagged)

    def test_a_process_with_the_tag_that_nobody_assigned_is_a_member(self) -> None:
        block = self.block()
        odd = self.outside("hold", environment=block.tag)
        odd.until("ready")
        self.until_scanned(block, odd.pid)
        self.assertIn(odd.pid, block.listed())
        self.assertIs(self.control("kill_pid", block_id=block.id, pid=odd.pid)["ok"], True)
        block.check_end(odd.pid, ("signal", 9))

    def test_remove_ends_strays_that_no_scan_has_seen_yet(self) -> None:
        block = self.block()
        odd = self.outside("setsid-child", environment=block.tag)
        odd.until("ready")
        self.assertIs(block.remove()["ok"], True)
        block.check_gone({odd.pid, *odd.births()})

    def test_the_tags_of_other_blocks_and_of_another_brokers_do_not_count(self) -> None:
        block = self.block("tag"), self.block("tag-1")
        strangers = [self.outside("hold", environment=environment) for environment in
                     ({"PROCTRACK_BLOCK": "tag-"}, {"PROCTRACK_BLOCK": ""}, {"PROCTRACK_BLOCK": "ta"},
                      {"NO_PROCTRACK_BLOCK": "tag"},
                      {"PROCTRACK_BLOCK": "tag", "WPS_RUNTIME_DIR": "/run/of/another/broker"})]
        for stranger in strangers:
            stranger.until("ready")
        for each in block:
            self.assertEqual(each.listed(), {})
            self.assertIs(each.remove()["ok"], True)
        for stranger in strangers:
            self.assertTrue(programs.is_running(stranger.pid))

    def test_the_tag_names_the_sub_scope_too(self) -> None:
        block = self.block()
        self.control("ensure_tracker", block_id=block.id, scope="bg")
        for named, scope in (("bg", "bg"), ("bg/9", "bg"), ("main", "main"), ("../x", "main")):
            odd = self.outside("hold", environment=block.tag | {"PROCTRACK_SCOPE": named})
            odd.until("ready")
            self.assertEqual(self.until_scanned(block, odd.pid).added["scope"], scope, named)


class Cgroups(LineageCase):
    """Moves between cgroups mean nothing here."""

    def setUp(self) -> None:
        super().setUp()
        mount = programs.cgroup2_mount()
        if os.geteuid() != 0 or mount is None:
            self.skipTest("making cgroups by hand needs root")
        self.directory = mount / programs.cgroup_of(os.getpid()).lstrip("/") / f"lineage-{os.getpid()}"
        self.directory.mkdir()
        self.addCleanup(remove_cgroup, self.directory)

    def test_one_that_moves_to_another_cgroup_stays_a_member(self) -> None:
        block = self.block()
        odd = self.untagged(block, "move-cgroup", self.directory / "cgroup.procs")
        odd.until("waiting")
        odd.say()
        odd.until("moved")
        self.assertEqual(set(block.listed()), {odd.pid})
        block.watch.catch_up()
        self.assertEqual(block.watch.named("process-escaped"), [])
        self.assertIs(block.remove()["ok"], True)
        block.check_gone({odd.pid})

    def test_a_child_made_into_another_cgroup_stays_in_its_parents_block(self) -> None:
        block = self.block()
        odd = self.untagged(block, "into-cgroup", self.directory, Odd.path, "hold")
        odd.until("ready")
        (child,) = odd.births()
        block.watch.until_added(child)
        self.assertEqual(set(block.listed()), {odd.pid, child})


class Siblings(LineageCase):
    """A child by CLONE_PARENT has its maker's parent."""

    options = {"poll_ms": NEVER_MS}

    def sibling(self, block: Block, tagged: bool) -> int:
        odd = Odd("clone-parent", **block.way_in(tagged=tagged))
        self.addCleanup(odd.close)
        odd.until("ready")
        (child,) = odd.births()
        return child

    def test_untagged_it_is_a_member_only_where_the_feed_names_its_maker(self) -> None:
        block = self.block()
        child = self.sibling(block, tagged=False)
        if self.feed == "bpf":
            block.watch.until_added(child)
        self.assertEqual(child in block.listed(), self.feed == "bpf")

    def test_tagged_it_is_a_member_at_the_next_scan(self) -> None:
        block = self.block()
        child = self.sibling(block, tagged=True)
        if self.feed == "bpf":
            block.watch.until_added(child)
        else:
            self.until_scanned(block, child)


class Safety(LineageCase):
    """Who is never killed."""

    def test_a_broker_below_a_member_lives_on_and_so_do_its_other_blocks(self) -> None:
        broker = Broker(feed=feed_wanted())
        self.addCleanup(broker.destroy)
        command = [os.environ["PROCTRACK_WPSD"], "--plugin",
                   ",".join([os.environ["PROCTRACK_SO"], *(f"{k}={v}" for k, v in broker.options.items())])]
        shell = Odd(argv=["/bin/sh", "-c", 'read x; "$@" >/dev/null 2>&1 & echo "{\\"what\\":\\"ready\\",'
                          '\\"pid\\":$!}"; cat >/dev/null; exit 0', "sh", *command],
                    environment={"WPS_RUNTIME_DIR": str(broker.runtime)})
        self.addCleanup(shell.close)
        shell.say()
        shell.until("ready")
        pid = shell.told("ready")[0]["pid"]
        programs.wait_for(lambda: (broker.runtime / "control").exists(), "the broker serves")
        for block_id in ("above", "beside"):
            broker.control("ensure_tracker", block_id=block_id)
        neighbour = self.outside(
            "hold", joins=lambda own: broker.control("assign_process", block_id="beside", pid=own))
        neighbour.until("ready")
        broker.control("assign_process", block_id="above", pid=shell.pid)
        listed = broker.control("list_block", block_id="above")["processes"]
        self.assertIn(shell.pid, {record["pid"] for record in listed})
        self.assertNotIn(pid, {record["pid"] for record in listed})
        self.assertIs(broker.control("remove", block_id="above")["ok"], True)
        self.assertEqual(shell.process.wait(DEADLINE), -signal.SIGKILL)
        self.assertTrue(programs.is_running(pid), "the broker killed itself")
        self.assertTrue(programs.is_running(neighbour.pid))
        os.kill(pid, signal.SIGTERM)
        programs.wait_for(lambda: not programs.is_running(pid), "the broker ends in order")

    def test_a_block_inside_a_block_is_left_alone(self) -> None:
        outer, inner = self.block(), self.block()
        shell = Odd(argv=["/bin/sh", "-c", f"read x; exec 3<&0; {Odd.path} setsid-child <&3 & cat >/dev/null"])
        self.addCleanup(shell.close)
        outer.assign(shell.pid)
        shell.say()
        children = programs.wait_for(
            lambda: [pid for pid, record in outer.listed().items()
                     if record["command"] == f"{Odd.path} setsid-child" and
                     record["parent_pid"] == shell.pid], "its child")
        inner.assign(children[0])
        mine = programs.wait_for(lambda: len(inner.listed()) == 2 and set(inner.listed()), "both")
        self.assertFalse(mine & set(outer.listed()))
        self.assertIs(self.control("kill_tree", block_id=outer.id)["ok"], True)
        outer.watch.until_empty()
        self.assertEqual(set(inner.listed()), mine)
        for pid in mine:
            self.assertTrue(programs.is_running(pid))

    def test_a_tree_that_forks_faster_than_it_is_read_ends(self) -> None:
        block = self.block()
        # Far more than it can do until it is ended, few of them at a time; orphans, whom init reaps when
        # it gets to it, only so many.
        many = "i=0; while [ $i -lt {} ]; do {} i=$((i+1)); done"
        script = many.format(1500, "( : ) & ( : & ) ; [ $((i % 20)) = 0 ] && wait;") + "; " + \
            many.format(int(20000 * SLOW * SLOW), "( : ) & ( : ) & wait;")
        shells = [Odd(argv=["/bin/sh", "-c", f"read x; {script}"]) for _ in range(max(1, int(4 / SLOW)))]
        for shell in shells:
            self.addCleanup(shell.close)
            block.assign(shell.pid)
            shell.say()
        time.sleep(0.05)
        begun = time.monotonic()
        self.assertIs(self.control("remove", block_id=block.id,
                                   timeout_ms=int(DEADLINE * 1000))["ok"], True)
        self.assertLess(time.monotonic() - begun, DEADLINE)
        for shell in shells:
            self.assertEqual(shell.process.wait(DEADLINE), -signal.SIGKILL)
        self.assertIs(self.control("list_block", block_id=block.id)["tracked"], False)


class MakingIt(LineageCase):
    """A build, as agents run them."""

    def test_a_make_with_many_jobs_is_seen_whole_and_leaves_nothing(self) -> None:
        if subprocess.run(["which", "make"], check=False, capture_output=True).returncode != 0:
            self.skipTest("there is no make")
        block = self.block()
        directory = pathlib.Path(self.broker.runtime) / "make"
        directory.mkdir(exist_ok=True)
        (directory / "Makefile").write_text(
            "all: $(addprefix t,$(shell seq 60))\nt%:\n\t@sh -c 'sleep 0.01; : $@'\n", encoding="ascii")
        make = block.begin(["make", "-s", "-j8", "-C", str(directory)])
        self.assertEqual(make.finish(), 0)
        block.watch.until_empty()
        if self.tells_all:
            names = [stay.record["command"] for stay in block.watch.law.all_stays()]
            self.assertGreaterEqual(len(names), 60)
        self.assertEqual(block.listed(), {})
