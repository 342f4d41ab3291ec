# SPDX-License-Identifier: Apache-2.0
"""Faults that take away what the broker stands on: its feed, its directory, cgroups of its blocks."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import shutil

from blackbox import intrude, programs
from blackbox.broker import remove_cgroup
from blackbox.programs import Odd

from fault import Fault
from world import Held


class FeedFault(Fault):
    """The feed is opened again, and what it missed is found."""

    says = "feed (bpf|netlink) died"

    def why_not(self) -> str | None:
        return None if self.world.feed in ("bpf", "netlink") else "a scan has no subscription to lose"

    def do(self) -> None:
        for held in self.world.blocks:
            held.make_sure()
            held.until_no_kill_runs()
        self.restarts = self.world.counter("feed_restarts")
        self.cut()
        self.unseen = self.live_unseen()

    def cut(self) -> None:
        raise NotImplementedError

    def live_unseen(self) -> int:
        """A life that nobody tells of."""
        held = self.world.blocks[0]
        if self.world.tracker != "cgroup":
            return 0  # who comes in there is told by the request
        return held.start(["setsid-child"]).odd.pid

    def check_seen(self) -> None:
        programs.wait_for(lambda: self.world.counter("feed_restarts") > self.restarts, "it is opened again")
        assert self.world.counter("feed_restarts") == self.restarts + 1
        for held in self.world.blocks:
            held.watch.until_event("block-resync", reason="feed_restarted")
        if self.unseen:
            held = self.world.blocks[0]
            stay = held.watch.until_added(self.unseen)
            assert stay.alive, "a life of its own ended"


class FeedCut(FeedFault):
    """The BPF programs are detached; the subscription of the netlink socket is ended."""

    name = "feed-cut"

    def cut(self) -> None:
        intrude.cut_feed(self.world.broker.pid, self.world.feed)


class FeedClosed(FeedFault):
    """The descriptors that the feed reads from are closed under it."""

    name = "feed-closed"

    def why_not(self) -> str | None:
        return None if self.world.feed == "netlink" else \
            "a closed socket is meant; bpf reads memory that stays mapped"

    def cut(self) -> None:
        pid = self.world.broker.pid
        intrude.take_descriptors(pid, intrude.connectors_of(pid))


class RuntimeDirDeleted(Fault):
    """Somebody tidies up: the sockets' directory is gone."""

    name = "runtime-dir-deleted"
    keeps = 4  # the listeners of four sockets, whose connections stay
    says = r"runtime directory .* was deleted: it is made again(.|\n)*control socket .* was deleted: it is bound again"

    def do(self) -> None:
        self.runtime = self.world.broker.runtime
        shutil.rmtree(self.runtime)
        self.gone = not self.runtime.exists()
        for name in ("control", "rpc", "events"):
            programs.wait_for(lambda n=name: (self.runtime / n).is_socket(), f"the socket {name} is there again")

    def check_seen(self) -> None:
        assert self.gone, "it was not deleted"
        for service, command in (("control", "describe"), ("rpc", "brokerinfo")):
            ask = self.world.broker.ask(service)
            ask(command)
            ask.close()
        late = self.world.broker.subscriber()
        late.sync()
        late.close()
        assert self.runtime.stat().st_mode & 0o777 == 0o700


class CgroupFault(Fault):
    """Somebody removes a directory below the root of the blocks, once nobody is in it."""


    def why_not(self) -> str | None:
        return None if self.world.tracker == "cgroup" else "there are no cgroups"

    def clear(self, held: Held) -> None:
        for member in list(held.members):
            held.let_go(member)
        self.world.requests.settle()
        self.world.broker.control("kill_tree", block_id=held.id)
        programs.wait_for(lambda: not held.truth(), f"{held.id} is empty")
        self.world.reap()

    def remove(self, directory: pathlib.Path) -> None:
        """A moment after its last one ended it may be busy still."""
        def gone() -> bool:
            for path in sorted([*directory.rglob("*/"), directory], key=lambda path: -len(path.parts)):
                with contextlib.suppress(OSError):
                    path.rmdir()
            return not directory.exists()
        programs.wait_for(gone, f"{directory} is removed")


class BlockCgroupRemoved(CgroupFault):
    """All of a block's cgroup. Who ensures it has it again."""

    name = "block-cgroup-removed"
    says = "was removed by somebody else: it is made again"

    def do(self) -> None:
        self.held = self.world.blocks[0]
        self.held.make_sure()
        self.clear(self.held)
        self.remove(self.held.directory())
        stray = Odd("hold")
        try:
            stray.until("ready")
            self.assigned = self.world.broker.control("assign_process", block_id=self.held.id, pid=stray.pid)
            assert programs.cgroup_of(stray.pid).find(f"/b-{self.held.id}/") > 0
        finally:
            stray.finish()
            stray.close()

    def check_seen(self) -> None:
        told = self.held.ensure()
        assert not told["created"], "the block was there all the while"
        assert self.held.start(["setsid-child"]).odd.pid in self.held.truth()


class ScopeCgroupRemoved(CgroupFault):
    """A sub-scope's cgroup, whose members were moved elsewhere."""

    name = "scope-cgroup-removed"
    says = "sub-scope .* was removed by somebody else: it is made again"
    _numbers = itertools.count(1)

    def do(self) -> None:
        self.held = self.world.blocks[-1]
        self.held.make_sure()
        self.scope = f"taken/{next(self._numbers)}"
        path = pathlib.Path(self.held.ensure(self.scope)["procs_path"]).parent
        member = self.held.start(["setsid-child"], str(path / "cgroup.procs"))
        programs.wait_for(lambda: member.pids() <= {record["pid"] for record in self.held.listed()["processes"]},
                          "all are listed")
        place = programs.cgroup2_mount() / programs.cgroup_of(programs.os.getpid()).lstrip("/")
        self.elsewhere = place / f"{self.world.place.name}-elsewhere"
        self.elsewhere.mkdir()
        self.pids = member.pids()
        for pid in self.pids:
            (self.elsewhere / "cgroup.procs").write_text(str(pid))
        member.moved = True
        self.member = member
        if self.world.feed == "bpf":  # the others see it with the next scan, or see an end
            for pid in self.pids:
                self.held.watch.until_ended(pid)
        self.remove(path)

    def undo(self) -> None:
        self.held.members.remove(self.member)
        self.member.odd.finish()
        self.member.odd.close()
        remove_cgroup(self.elsewhere)

    def check_seen(self) -> None:
        ends = {self.held.watch.until_ended(pid).end.name for pid in self.pids}
        assert self.world.feed != "bpf" or ends == {"agent:process-escaped"}, ends
        path = self.held.ensure(self.scope)["procs_path"]
        member = self.held.start(["hold"], path)
        programs.wait_for(lambda: {self.scope} == {record["scope"] for record in self.held.listed()["processes"]
                                               if record["pid"] == member.odd.pid}, "it is listed there")
