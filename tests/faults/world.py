# SPDX-License-Identifier: Apache-2.0
"""What the faults befall: a broker, blocks with lives in them, those who look on, and those who have
nothing to do with any of it. What is written down here is what is true; the invariants hold the broker to it."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Callable

import zmq
from blackbox import programs
from blackbox.broker import Broker
from blackbox.mirror import Mirror
from blackbox.programs import Odd
from blackbox.watch import Watch
from blackbox.wire import DEADLINE, Refused, pack, unpack

BLOCKS = 3
WITNESSES = 4
NO_PID = 1 << 23  # beyond what the kernel gives out
OLDEST = 50.0  # seconds that a member lives at most: its own alarm would end it later
#: Refusals that any request may meet, as others end what it is about.
USUAL = frozenset({"no_such_block", "no_such_process"})


class Requests:
    """A client that has many requests under way, and keeps count of what is owed to it."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[str, dict[str, Any], Callable[[], None] | None]] = {}
        self.allowed: frozenset[str] = frozenset()  # errorcodes, besides the usual ones
        self.refusals: list[str] = []  # sentences of those
        self.answered = 0
        self._open()

    def _open(self) -> None:
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(self._endpoint)

    def close(self) -> None:
        self._socket.close()

    def forget(self) -> None:
        """Whom it asked is dead: what was under way is never answered."""
        self.close()
        self._waiting.clear()
        self._open()

    def send(self, command: str, when_done: Callable[[], None] | None = None, **data: Any) -> None:
        """`when_done` is called where the reply is no refusal."""
        number = next(self._numbers)
        self._waiting[number] = (command, data, when_done)
        self._socket.send_multipart([b"", pack({"command": command, "reqid": number, "data": data})])

    def take(self) -> None:
        """What has been answered so far."""
        while self._socket.poll(0):
            self._take_one()

    def settle(self) -> None:
        """Until each request has its one reply."""
        end = time.monotonic() + DEADLINE
        while self._waiting:
            left = end - time.monotonic()
            assert left > 0 and self._socket.poll(max(0, left * 1000)), f"no reply to {self._waiting}"
            self._take_one()

    def _take_one(self) -> None:
        empty, body = self._socket.recv_multipart()
        assert empty == b"", f"a reply that begins with {empty!r}"
        reply = unpack(body)
        request = self._waiting.pop(reply.get("resid"), None)
        assert request is not None, f"a reply that nobody waits for: {reply}"
        self.answered += 1
        if "error" not in reply:
            if request[2] is not None:
                request[2]()
        elif reply["errorcode"] not in USUAL:
            assert reply["errorcode"] in self.allowed, f"{request}: {reply}"
            self.refusals.append(reply["error"])


@dataclasses.dataclass
class Member:
    """A life that this harness began."""
    held: Held
    odd: Odd
    begun: float = dataclasses.field(default_factory=time.monotonic)
    moved: bool = False  # somebody asked that it join another block, or its first after it began
    put: Held | None = None  # where it was put then, if it was
    doomed: bool = False  # somebody may have ended it
    stayers: set[int] | None = None
    seen: bool = False  # it was known as a member while all was well
    lost: bool = False  # something may not have been told of it

    def pids(self) -> set[int]:
        return {self.odd.pid, *self.odd.births()}

    def ended(self) -> set[int]:
        """Those of its own that it saw ending."""
        return set(self.odd.ends())

    def stay_alive(self) -> set[int]:
        """Those who are to live until they are let go: who did when this was asked first."""
        if self.stayers is None and self.odd.told("ready"):
            leaves = {self.odd.pid} if {"orphan", "double-fork"} & set(self.odd.command) else set()
            self.stayers = {pid for pid in self.pids() - leaves if programs.is_running(pid)}
        return self.stayers or set()


class Held:
    """One block: what it is told to be, who is in it, and two who look on."""

    def __init__(self, world: World, block_id: str, on_crash: str) -> None:
        self.world = world
        self.id = block_id
        self.on_crash = on_crash
        self.members: list[Member] = []
        self.procs_path: str | None = None
        self.resyncs = 0  # that were taken note of
        self.is_killed = False  # since somebody joined last
        self.repairs_due = 0  # how often the mirror had to list again, as there was another broker
        self.watch = world.broker.watch(block_id)
        self.mirror: Mirror | None = None
        self.ensure()
        self.mirror = Mirror(world.broker.subscriber(), world.broker.control, block_id)

    # ---- asking

    def ensure(self, scope: str | None = None) -> dict[str, Any]:
        more = {"scope": scope} if scope else {}
        if self.world.has_keeper:
            more["on_crash"] = self.on_crash
        told = self.world.broker.control("ensure_tracker", block_id=self.id, **more)
        if scope is None:
            self.procs_path = told.get("procs_path")
        return told

    def make_sure(self) -> None:
        """It is there: others may have removed it, or a broker that died."""
        self.world.requests.settle()
        if self.procs_path is None:
            self.ensure()

    def listed(self) -> dict[str, Any]:
        return self.world.broker.control("list_block", block_id=self.id)

    @property
    def tag(self) -> dict[str, str]:
        return {"PROCTRACK_BLOCK": self.id, "PROCTRACK_SCOPE": "main",
                "WPS_RUNTIME_DIR": str(self.world.broker.runtime)}

    def directory(self) -> pathlib.Path | None:
        """Its cgroup, by the one promise that there is of it: where procs_path lies."""
        return pathlib.Path(self.procs_path).parents[1] if self.procs_path else None

    def truth(self) -> set[int]:
        """Who is in it, by the kernel's account."""
        if self.world.tracker == "cgroup":
            directory = self.directory()
            return programs.pids_below(directory) if directory else set()
        pids = programs.tagged(self.tag) - self.world.put_elsewhere(self) | self.put_here()
        return {pid for pid in pids if programs.is_running(pid)}

    def put_here(self) -> set[int]:
        """Those whose tag does not say so: somebody assigned them."""
        return {pid for held in self.world.blocks for member in held.members if member.put is self
                for pid in member.pids()}

    def assign(self, member: Member) -> None:
        """Asks that. While there is a fault it may be refused, and the member stays where it is."""
        member.moved = True

        def note() -> None:
            member.put = self
        self.world.requests.send("assign_process", note, block_id=self.id, pid=member.odd.pid)

    # ---- lives

    def spawn(self, life: list[str], procs_path: str | None = None) -> Odd:
        """A life that begins as a member."""
        self.world.requests.settle()
        self.until_no_kill_runs()
        if self.world.tracker == "cgroup":
            return Odd(*life, procs_path=procs_path or self.procs_path)
        return Odd(*life, environment=self.tag, joins=lambda pid: self.world.broker.control(
            "assign_process", block_id=self.id, pid=pid, root=False))

    def until_no_kill_runs(self) -> None:
        """A kill is answered when it begins, and would end who joins meanwhile. Who assigns waits for it, but
        may be refused for more than one reason while there is a fault."""
        if self.is_killed and self.world.is_calm:
            self.is_killed = False
            self.world.refused("no_such_process", "no_such_block", command="assign_process", block_id=self.id,
                               pid=NO_PID)

    def start(self, life: list[str], procs_path: str | None = None) -> Member:
        """One that stays until it is let go."""
        return self.add(self.spawn(life, procs_path), self.is_killed)

    def add(self, odd: Odd, doomed: bool = False) -> Member:
        member = Member(self, odd, doomed=doomed)
        if self.lets_begin(odd, "ready"):
            self.members.append(member)
        return member

    def lets_begin(self, odd: Odd, what: str) -> bool:
        """It has told that. False: a kill that still runs has ended it before."""
        try:
            odd.until(what)
        except AssertionError:
            if self.is_killed and odd.process.wait(DEADLINE) in (-signal.SIGKILL, -signal.SIGTERM):
                odd.close()
                return False
            raise
        return True

    def pass_by(self, life: list[str]) -> None:
        """One that is known when it begins, and ends by itself while other things go on."""
        odd = self.spawn(["exec-later", Odd.path, *life])
        if not self.lets_begin(odd, "waiting"):
            return
        if self.world.is_calm:
            self.watch.until_added(odd.pid)
        odd.say()
        self.world.gone.append(Member(self, odd, seen=self.world.is_calm))

    def note_losses(self) -> None:
        """From here on nobody can say that all was told of those who are here."""
        resyncs = len(self.watch.named("block-resync"))
        if resyncs != self.resyncs:
            self.resyncs = resyncs
            self.forget_what_was_seen()

    def forget_what_was_seen(self) -> None:
        for member in [*self.members, *self.world.gone, *self.world.ended]:
            if member.held is self:
                member.lost = True

    def doom(self) -> None:
        for member in self.members:
            member.doomed = True

    def let_go(self, member: Member) -> None:
        self.members.remove(member)
        self.world.gone.append(member)
        with contextlib.suppress(OSError):
            member.odd.let_go()

    # ---- after a broker

    def rejoin(self, lives_on: bool) -> None:
        """There is another broker, which has this block or has not."""
        self.forget_what_was_seen()
        self.resyncs = 0
        self.watch.close()
        if not lives_on:  # where the keeper had no time for it the next broker ends it
            programs.wait_for(lambda: not self.listed()["tracked"], f"{self.id} is tracked no more")
        subscriber = self.world.broker.subscriber()
        self.watch = Watch(subscriber, self.world.broker.control, self.id)
        reply = self.listed()
        if lives_on and self.procs_path is None:  # it was removed, or was about to be
            lives_on = reply["tracked"]
            self.doom()
        assert reply["tracked"] == lives_on, f"{self.id} is tracked: {reply['tracked']}"
        if lives_on:
            self.watch.law.begin(reply)
            if self.procs_path is None:  # the removal did not come to its end: it is a block as any
                self.ensure()
        else:
            self.doom()
        self.was_adopted = lives_on
        self.mirror.rejoin()
        self.repairs_due = self.mirror.repairs
        if not lives_on:
            self.procs_path = None


def wall_of_signals() -> None:
    """Every signal that comes stays pending, and so is seen."""
    programs.die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


class Witness:
    """A process outside of all blocks: nothing of this is to touch it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "1000000"], stdin=subprocess.DEVNULL,
                                        preexec_fn=wall_of_signals)  # noqa: PLW1509
        programs.wait_for(lambda: b"sleep" in pathlib.Path(f"/proc/{self.process.pid}/cmdline").read_bytes(),
                          "the witness is itself")
        self.before = self._account()

    def _account(self) -> tuple[object, ...]:
        fields = programs.stat_fields(self.process.pid)
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        pending = [line for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
        return fields[0] in "SRD", fields[19], programs.cgroup_of(self.process.pid), *pending

    def check(self) -> None:
        assert self.process.poll() is None, f"the witness {self.process.pid} was ended"
        now = self._account()
        assert now == self.before, f"the witness {self.process.pid} was touched: {self.before}, {now}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class World:
    """All of it. Made anew for each run."""

    def __init__(self, feed: str | None, tracker: str | None, chance: random.Random) -> None:
        self.chance = chance  # for moments, not for steps
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-faults-"))
        self.disturb = self.place / "disturb"
        self.disturb.write_bytes(bytes(4096))
        self.gone: list[Member] = []  # told to end; reaped at the next look
        self.ended: list[Member] = []  # reaped since the last look
        self.is_calm = True  # no fault is under way
        self.witnesses: list[Witness] = []
        self.blocks: list[Held] = []
        self.named: collections.Counter[int] = collections.Counter()  # pids in any event of any block
        self.log_from = 0
        options: dict[str, object] = {"persist": 100} | ({"tracker": tracker} if tracker else {})
        self.broker = Broker(feed=feed, log_file=self._log_file(), environment=self._preloaded(), **options)

    def _log_file(self) -> pathlib.Path:
        """Where the broker's log goes: a file system of its own, if we may mount one."""
        directory = self.place / "log"
        directory.mkdir()
        self.log_is_small = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "proctrack-faults", directory],
            stderr=subprocess.DEVNULL, check=False).returncode == 0
        return directory / "wpsd.log"

    def _preloaded(self) -> dict[str, str]:
        library = pathlib.Path(os.environ["PROCTRACK_DISTURB"])
        asan = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": str(library), "DISTURB_FILE": str(self.disturb),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}

    # ---- beginning and end

    def begin(self) -> None:
        self.broker.start()
        described = self.broker.control("describe")
        self.feed, self.tracker = described["feed"], described["tracker"]
        self.has_keeper = self.tracker == "cgroup"
        self.witnesses = [Witness() for _ in range(WITNESSES)]
        self.requests = Requests(self.broker.endpoint("control"))
        self.everything = self.broker.subscriber()
        self.everything.subscribe("block:")
        self.make_blocks()

    def put_elsewhere(self, held: Held) -> set[int]:
        return {pid for other in self.blocks if other is not held for pid in other.put_here()}

    def make_blocks(self) -> None:
        self.blocks = [Held(self, f"b{number}", "kill" if number == 1 else "keep")
                       for number in range(BLOCKS)]

    def end(self) -> None:
        """In order, and nothing is left."""
        self.empty()
        for held in self.blocks:
            held.watch.close()
        self.requests.close()
        self.broker.stop()

    def destroy(self) -> None:
        for witness in self.witnesses:
            witness.end()
        try:
            self.broker.destroy()
        finally:
            programs.kill_children()
            if self.log_is_small:
                subprocess.run(["umount", "-l", self.place / "log"], check=False)
            shutil.rmtree(self.place, ignore_errors=True)

    def empty(self) -> None:
        """All members are let go."""
        for held in self.blocks:
            for member in list(held.members):
                held.let_go(member)
        self.reap()

    def reap(self) -> None:
        """Those that were let go end; what is left of them becomes ours, and is reaped."""
        for member in self.gone:
            member.odd.finish()
            member.odd.close()
        self.ended += self.gone
        self.gone.clear()
        self.reap_orphans()

    def reap_orphans(self) -> None:
        """Ours by now are those whose parents ended before them."""
        ours = {self.broker.pid, *(witness.process.pid for witness in self.witnesses),
                *(member.odd.pid for held in self.blocks for member in held.members)}
        for pid in programs.children() - ours - set(self.known_children()):
            if programs.stat_fields(pid)[:1] == ["Z"]:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def known_children(self) -> set[int]:
        """Processes that faults began, which reap them themselves."""
        return self._helpers

    _helpers: set[int] = set()

    # ---- its broker

    @property
    def survives_with_blocks(self) -> bool:
        return self.tracker == "cgroup"

    def restart(self) -> None:
        """The broker is dead: the next one takes its place, and everybody finds it."""
        self.requests.forget()
        for held in self.blocks:
            if held.on_crash == "kill" or not self.survives_with_blocks:
                held.doom()
        if not self.survives_with_blocks:
            self.empty()
            self.end_daemons()
        self.broker.start()
        self.everything.sync()
        for held in self.blocks:
            held.rejoin(self.survives_with_blocks and held.on_crash == "keep")

    def end_daemons(self) -> None:
        """Those that hear nothing of being let go, and that no broker has any more. They became our children."""
        for pid in {pid for held in self.blocks for pid in held.truth()}:
            os.kill(pid, signal.SIGKILL)
            programs.wait_for(lambda pid=pid: not programs.is_running(pid), f"{pid} ends")
        self.reap_orphans()

    # ---- what was said

    def mark(self) -> None:
        """What is asked for afterwards is what was said since now."""
        self.log_from = len(self.broker.whole_log())
        self.requests.refusals.clear()

    def said(self) -> str:
        return "\n".join([self.broker.whole_log()[self.log_from:], *self.requests.refusals])

    def counter(self, name: str, service: str = "control") -> int:
        if service == "rpc":
            return self.broker.rpc("brokerinfo")["counters"][name]
        return self.broker.control("stats")["counters"][name]

    def gauge(self, name: str) -> int:
        return self.broker.control("stats")["gauges"][name]

    def refused(self, *codes: str, command: str, **data: Any) -> str:
        """The sentence with which a request is refused that has to be."""
        try:
            reply = self.broker.control(command, **data)
        except Refused as refusal:
            assert refusal.errorcode in codes, f"{command}: {refusal}"
            self.requests.refusals.append(refusal.sentence)
            return refusal.sentence
        raise AssertionError(f"{command} {data} was not refused, but answered {reply}")

    # ---- those who look on

    def watch_everything(self) -> None:
        while (event := self.everything.next(0)) is not None:
            for record in (event.data, event.data.get("process", {})):
                if "pid" in record:
                    self.named[record["pid"]] += 1
        for held in self.blocks:
            while held.watch.pump():
                pass
            while held.mirror.pump():
                pass
