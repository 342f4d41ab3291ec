# SPDX-License-Identifier: Apache-2.0
"""A wpsd with the plugin in it, in a runtime directory and a cgroup of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from . import programs
from .schemas import Schemas
from .wire import DEADLINE, Ask, NoReply, Subscriber
from .watch import Watch

_numbers = itertools.count(1)
_standing: set[Broker] = set()  # whose files and cgroups are there


def destroy_all() -> None:
    """For a run that is broken off: unittest leaves out the clean-ups of the class then."""
    for broker in list(_standing):
        broker.destroy()


class NotStarted(AssertionError):
    """wpsd ended before it served."""


class Broker:
    """Starts on `start`, ends on `stop`, which checks that it ended well and left nothing."""

    def __init__(self, feed: str | None = None, wpsd: dict[str, object] | None = None,
                 own_session: bool = False, before: list[str] | None = None,
                 environment: dict[str, str] | None = None, own_root: bool = True,
                 log_file: pathlib.Path | None = None, **options: object) -> None:
        """`wpsd`: options of the broker itself; `before`: words before its command, which have to exec
        it; `own_root`: it gets a cgroup for its blocks; `log_file`: where its stderr goes. The other
        options are the plugin's."""
        self.schemas = Schemas()
        self._before = before or []
        self._environment = environment or {}
        self.own_session = own_session  # so that its process group can be signalled
        self.process: subprocess.Popen[bytes] | None = None
        self.runtime = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-test-"))
        self.options: dict[str, object] = {"poll-ms": 50} | \
            {key.replace("_", "-"): value for key, value in options.items()}
        if os.environ.get("PROCTRACK_TRACKER"):
            self.options.setdefault("tracker", os.environ["PROCTRACK_TRACKER"])
        self.cgroup_root = self._make_cgroup_root() \
            if own_root and self.options.get("tracker", "cgroup") == "cgroup" else None
        if feed is not None:
            self.options["feed"] = feed
        if self.cgroup_root is not None:
            self.options.setdefault("cgroup-root", self.cgroup_root)
        self._wpsd = [f"--{key}={value}" for key, value in (wpsd or {}).items()]
        self._log = log_file or self.runtime / "test.log"
        self._subscribers: list[Subscriber] = []
        self.control = Ask(self.endpoint("control"), "control", self.schemas)
        self.rpc = Ask(self.endpoint("rpc"), "rpc", self.schemas)
        _standing.add(self)

    @staticmethod
    def _make_cgroup_root() -> pathlib.Path | None:
        return make_cgroup_root()

    def endpoint(self, name: str) -> str:
        return f"ipc://{self.runtime}/{name}"

    # ---- its life

    def start(self) -> None:
        options = [f"{key}={value}" for key, value in self.options.items()]
        plugin = ",".join([os.environ["PROCTRACK_SO"], *options])
        command = [os.environ["PROCTRACK_WPSD"], *self._wpsd, "--plugin", plugin]
        if os.environ.get("PROCTRACK_SANITIZE") == "thread" and shutil.which("setarch"):
            command = ["setarch", "-R", *command]  # fails at random where addresses are too random
        command = [*self._before, *command]
        with open(self._log, "ab") as log:
            self.process = programs.spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          environment=self._environment | {"WPS_RUNTIME_DIR": str(self.runtime)},
                                          start_new_session=self.own_session)
        self._wait_until_it_serves()

    def _wait_until_it_serves(self) -> None:
        end = time.monotonic() + DEADLINE
        while True:
            if self.process.poll() is not None:
                raise NotStarted(f"wpsd ended with {self.process.returncode}:\n{self.log()}")
            try:
                self.control.ask("describe", None, timeout=0.5)
                return
            except NoReply:
                assert time.monotonic() < end, f"wpsd does not serve:\n{self.log()}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @staticmethod
    def helpers() -> set[int]:
        """Helper processes of brokers, which are nobody's children, and so become ours."""
        found = set()
        for pid in programs.children():
            with contextlib.suppress(OSError):
                if "proctrack-keeper" in programs.command_of(pid):
                    found.add(pid)
        return found

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Ends it in order and checks what it leaves; what should not be there is taken away."""
        try:
            self._end_in_order()
            self.check_nothing_left()
        finally:
            self.destroy()

    def _end_in_order(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"wpsd does not end on SIGTERM:\n{self.log()}") from None
        assert status == 0, f"wpsd ended with {status}:\n{self.log()}"

    def check_nothing_left(self) -> None:
        sockets = [path.name for path in self.runtime.iterdir() if path.is_socket()]
        assert not sockets, f"wpsd left the sockets {sockets}"
        if self.cgroup_root is not None:
            assert not programs.pids_below(self.cgroup_root), "wpsd left processes"
            left = [str(path.relative_to(self.cgroup_root))
                    for path in self.cgroup_root.rglob("*") if path.is_dir()]
            assert not left, f"wpsd left the cgroups {left}"

    def destroy(self) -> None:
        """Ends it and all that is left of it, in whatever state it is."""
        self.control.close()
        self.rpc.close()
        for subscriber in self._subscribers:
            subscriber.close()
        if self.is_alive():
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.runtime, ignore_errors=True)
        _standing.discard(self)
        if self.cgroup_root is not None:
            remove_cgroup(self.cgroup_root)

    def whole_log(self) -> str:
        """All that it logged."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")
        return ""

    def log(self) -> str:
        """The end of what it logged."""
        return self.whole_log()[-6000:]

    # ---- using it

    def subscriber(self, endpoint: str | None = None) -> Subscriber:
        made = Subscriber(endpoint or self.endpoint("events"), self.rpc, self.schemas)
        self._subscribers.append(made)
        return made

    def watch(self, block_id: str) -> Watch:
        return Watch(self.subscriber(), self.control, block_id)

    def ask(self, service: str = "control") -> Ask:
        """One more client."""
        return Ask(self.endpoint(service), service, self.schemas)

    def feed_refusal(self, feed: str) -> str | None:
        """Why `describe` says that a feed does not work here, or None."""
        for attempt in self.control("describe")["tried"]:
            if feed in attempt["what"].replace("=", " ").replace(":", " ").split() \
                    and not attempt["ok"]:
                return attempt["why"]
        return None


def make_cgroup_root() -> pathlib.Path | None:
    """A cgroup below our own, where that is allowed: what is left in it is the broker's."""
    mount = programs.cgroup2_mount()
    if mount is None:
        return None
    name = f"proctrack-test-{os.getpid()}-{next(_numbers)}"
    path = mount / programs.cgroup_of(os.getpid()).lstrip("/") / name
    try:
        path.mkdir()
    except OSError:
        return None
    return path


def remove_cgroup(root: pathlib.Path) -> None:
    """Kills all that is in it and removes it from the deepest directory up, until it is gone: it is busy for as long
    as its last process takes to end, and somebody may have been on the way into it. cgroup.kill signals first threads:
    who is left by his has to be killed by pid."""
    end = time.monotonic() + DEADLINE
    while root.exists():
        with contextlib.suppress(OSError):
            (root / "cgroup.kill").write_text("1")
        for pid in programs.pids_below(root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for directory, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        assert not root.exists() or time.monotonic() < end, f"{root} is left: {programs.pids_below(root)} are in it"
        time.sleep(0.005)


def describe_feed(feed: str) -> str | None:
    """None where a broker forced to this feed serves, else why it does not work here."""
    forced = Broker(feed=feed)
    try:
        forced.start()
        forced.stop()
        return None
    except NotStarted as error:
        refusal = str(error)
    finally:
        forced.destroy()
    free = Broker()
    try:
        free.start()
        why = free.feed_refusal(feed)
    finally:
        free.destroy()
    if why is None:
        raise NotStarted(f"feed={feed} does not start, and describe does not say why: {refusal}")
    return why
