# SPDX-License-Identifier: Apache-2.0
"""A scope of the systemd manager, where a user may make no cgroups: asked for, found again, held; or told why not.

The manager is a program of ours that answers as one (tests/programs/fake_manager.c), or fails to in every way; and,
where this machine has systemd, a real user manager.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
from typing import Any

from blackbox import programs
from blackbox.broker import Broker, remove_cgroup
from blackbox.intrude import stopped
from blackbox.programs import Odd
from blackbox.rights import AS_USER, USER, RightsCase
from blackbox.wire import DEADLINE, Refused


class ScopeCase(RightsCase):
    """The broker is an ordinary user's, in a cgroup that is root's, as in a login session."""

    def setUp(self) -> None:
        super().setUp()
        self.session, self.managed = self.place / "session", self.place / "manager"
        self.session.mkdir()
        self.managed.mkdir()
        self.place = self.session
        self.bus = self.home / "tmp/bus"

    def manager(self, mode: str) -> subprocess.Popen[str]:
        process = programs.spawn([os.environ["PROCTRACK_MANAGER"], self.bus, mode, self.managed], text=True,
                                 stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "listens\n")
        return process

    @property
    def address(self) -> dict[str, str]:
        return {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.bus}"}

    def user_broker(self, environment: dict[str, str] | None = None, **options: object) -> Broker:
        for name in ("WPSD", "SO"):
            self.addCleanup(os.environ.__setitem__, f"PROCTRACK_{name}", os.environ[f"PROCTRACK_{name}"])
            os.environ[f"PROCTRACK_{name}"] = self.environment[f"PROCTRACK_{name}"]
        without = {"XDG_RUNTIME_DIR": "", "DBUS_SESSION_BUS_ADDRESS": ""}
        clear = ["env", *(f"--unset={name}" for name in without if name not in (environment or {}))]
        broker = Broker(before=[*clear, *self.inside(AS_USER)], environment=environment, own_root=False, **options)
        os.chown(broker.runtime, USER, USER)
        self.addCleanup(broker.destroy)
        return broker

    def member(self, broker: Broker, block_id: str, *args: object) -> Odd:
        odd = Odd(argv=[*self.inside(AS_USER), Odd.path, *map(str, args)],
                  joins=lambda pid: broker.control("assign_process", block_id=block_id, pid=pid))
        self.addCleanup(odd.close)
        return odd

    @staticmethod
    def tried(broker: Broker) -> dict[str, dict[str, Any]]:
        return {attempt["what"]: attempt for attempt in broker.control("describe")["tried"]}

    @property
    def scope(self) -> pathlib.Path:
        scopes = list(self.managed.glob("proctrack-*.scope"))
        self.assertEqual(len(scopes), 1)
        return scopes[0]

    def holders(self) -> list[int]:
        return [int(pid) for pid in (self.scope / "cgroup.procs").read_text().split()]


class Scope(ScopeCase):
    """With a manager that gives one."""

    def setUp(self) -> None:
        super().setUp()
        self.asked = self.manager("makes")

    def begin(self, **options: object) -> Broker:
        broker = self.user_broker(self.address, **options)
        broker.start()
        return broker

    def test_what_is_promised_with_cgroups_holds_in_it(self) -> None:
        feed = "netlink" if self.users_have_netlink else "poll"
        self.promises(self.as_user(), f"cgroup {feed} high", **self.address)

    def test_it_is_told_and_one_process_sits_in_it_and_goes_with_the_broker(self) -> None:
        broker = self.begin()
        told = self.tried(broker)
        self.assertTrue(told["tracker cgroup"]["ok"])
        self.assertEqual((told["scope"]["ok"], told["scope"]["why"]),
                         (True, f"the systemd manager gave us the cgroup {self.scope}"))
        [holder] = self.holders()
        self.assertIn("proctrack-keeper --hold", programs.command_of(holder))
        broker.stop()
        programs.wait_for(lambda: not programs.is_running(holder), "the holder is gone")
        self.assertEqual([path.name for path in self.scope.iterdir() if path.is_dir()], [])

    def test_without_being_asked_no_manager_is_asked(self) -> None:
        broker = self.begin(scope="never")
        self.assertNotIn("scope", self.tried(broker))
        self.assertEqual(broker.control("describe")["tracker"], "lineage")
        broker.stop()
        self.assertEqual(list(self.managed.glob("*.scope")), [])

    def test_a_cgroup_root_that_is_named_is_the_one_that_is_taken(self) -> None:
        broker = self.begin(cgroup_root=self.place)
        self.assertIn("may not make cgroups", self.tried(broker)["tracker cgroup"]["why"])
        self.assertNotIn("scope", self.tried(broker))
        broker.stop()

    def test_the_holder_belongs_to_no_block(self) -> None:
        broker = self.begin()
        broker.control("ensure_tracker", block_id="b")
        with self.assertRaises(Refused) as refused:
            broker.control("assign_process", block_id="b", pid=self.holders()[0])
        self.assertEqual(refused.exception.errorcode, "not_permitted")
        broker.stop()

    def test_a_killed_holder_is_replaced(self) -> None:
        broker = self.begin()
        broker.control("ensure_tracker", block_id="b")
        self.member(broker, "b", "hold").until("ready")
        [first] = self.holders()
        os.kill(first, signal.SIGKILL)
        [second] = programs.wait_for(lambda: [pid for pid in self.holders() if pid != first], "another one")
        self.assertEqual(len(broker.control("list_block", block_id="b")["processes"]), 1)
        broker.stop()
        programs.wait_for(lambda: not programs.is_running(second), "the holder is gone")

    def test_a_scope_that_ended_with_its_holder_is_made_anew_and_its_empty_blocks_are_told_as_gone(self) -> None:
        broker = self.begin()
        watch = broker.watch("b")
        self.addCleanup(watch.close)
        broker.control("ensure_tracker", block_id="b")
        [first] = self.holders()
        scope = self.scope
        with stopped(broker.pid):  # as quick as systemd is
            os.kill(first, signal.SIGKILL)
            programs.wait_for(lambda: not programs.pids_below(scope), "nobody is in it")
            remove_cgroup(scope)
        watch.until_event("block-removed", reason="expired")
        self.assertTrue(broker.control("ensure_tracker", block_id="b")["created"])
        odd = self.member(broker, "b", "hold")
        watch.until_added(odd.pid)
        self.assertIn(odd.pid, {record["pid"] for record in broker.control("list_block", block_id="b")["processes"]})
        self.assertTrue(self.tried(broker)["scope"]["ok"])
        broker.stop()

    def test_after_a_crash_the_next_broker_finds_it_and_what_is_in_it(self) -> None:
        broker = self.begin()
        made = broker.control("ensure_tracker", block_id="full")
        broker.control("ensure_tracker", block_id="empty")
        odd = self.member(broker, "full", "hold")
        odd.until("ready")
        broker.process.kill()
        broker.process.wait()
        broker.start()
        self.assertTrue(self.tried(broker)["scope"]["ok"])
        listed = broker.control("list_all_blocks")
        self.assertEqual(set(listed["block_ids"]), {"full", "empty"})
        self.assertNotIn(made["epoch"], [block["epoch"] for block in listed["blocks"]])
        self.assertEqual([record["pid"] for record in
                          broker.control("list_block", block_id="full")["processes"]], [odd.pid])
        for pid in self.holders():  # the first one waits for its minute
            self.addCleanup(self.end, pid)
        broker.stop()
        programs.wait_for(lambda: not programs.is_running(odd.pid), "the member is ended with its block")

    @staticmethod
    def end(pid: int) -> None:
        if programs.is_running(pid):
            os.kill(pid, signal.SIGKILL)


class NoScope(ScopeCase):
    """What comes of it where there is none: lineage, and the reason."""

    def reason(self, environment: dict[str, str] | None = None) -> str:
        broker = self.user_broker(environment)
        broker.start()
        self.assertEqual(broker.control("describe")["tracker"], "lineage")
        told = self.tried(broker)
        self.assertEqual((told["tracker cgroup"]["ok"], told["scope"]["ok"]), (False, False))
        broker.stop()
        self.assertEqual(programs.pids_below(self.managed), set(), "a holder was left")
        return told["scope"]["why"]

    def test_a_manager_that_does_not_give_one_is_told_of_with_what_it_said(self) -> None:
        for mode, why in {"refuses": "refused the scope proctrack-.*: No scopes on Sundays",
                          "fails": 'did not start the scope proctrack-.*: its job ended with "failed"',
                          "forgets": "but not in cgroup v2",
                          "undelegated": "may not make cgroups in .*/manager/proctrack-.*.scope",
                          "silent": "the systemd user manager did not answer within 3000 ms"}.items():
            with self.subTest(mode=mode):
                manager = self.manager(mode)
                self.assertRegex(self.reason(self.address), why)
                manager.kill()
                manager.wait()
                self.bus.unlink()

    def test_no_manager_is_told_of(self) -> None:
        self.assertIn("neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set", self.reason())
        self.assertIn("the session bus cannot be reached: No such file", self.reason(self.address))

    def test_a_bus_that_says_nothing_at_all_holds_up_the_start_for_three_seconds(self) -> None:
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(self.bus))
            os.chmod(self.bus, 0o666)
            mute.listen(8)
            self.assertIn("did not answer within 3000 ms", self.reason(self.address))


class Systemd(ScopeCase):
    """A real user manager, in a mount namespace in which it looks as if the machine had booted with systemd."""

    SCRIPT = """set -e
umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/systemd/system
mkdir -m 700 /run/user; chown {user}:{user} /run/user
(cat /etc/passwd; echo tester:x:{user}:{user}::/run/user:/bin/sh) >/run/passwd
mount --bind /run/passwd /etc/passwd
export XDG_RUNTIME_DIR=/run/user HOME=/run/user
cgroup=/sys/fs/cgroup{cgroup}
chown {user}:{user} $cgroup $cgroup/cgroup.procs $cgroup/manager $cgroup/manager/cgroup.*
sh -c 'echo 0 >"$0/manager/cgroup.procs"; exec "$@"' $cgroup {as_user} {systemd} --user >/run/user/log 2>&1 &
manager=$!
i=0; until [ -S /run/user/bus ]; do i=$((i+1)); [ $i -lt 200 ]; sleep 0.05; done
status=0; "$@" || status=$?
i=0; while ls -d $cgroup/manager/app.slice/proctrack-*.scope >/dev/null 2>&1; do
    i=$((i+1)); [ $i -lt 200 ] || {{ echo "a scope is left"; status=1; break; }}; sleep 0.05; done
kill -KILL $manager; wait $manager || true
exit $status
"""

    def test_a_real_user_manager_gives_a_scope_in_which_all_that_is_promised_holds(self) -> None:
        systemd = shutil.which("systemd", path="/lib/systemd:/usr/lib/systemd")
        if not systemd or not shutil.which("dbus-daemon"):
            self.skipTest("systemd or dbus-daemon is not installed")
        if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"],
                          capture_output=True).returncode:
            self.skipTest("mounts cannot be made here")
        script = self.SCRIPT.format(user=USER, systemd=systemd, as_user=" ".join(AS_USER),
                                    cgroup=programs.cgroup_of(os.getpid()).rstrip("/") + "/" + self.session.parent.name)
        feed = "netlink" if self.users_have_netlink else "poll"
        os.chown(self.home / "tmp", USER, USER)
        suite = [sys.executable, str(self.home / "system/run.py"), "test_promises.py"]
        enter = ["sh", "-c", f'echo 0 >/sys/fs/cgroup{programs.cgroup_of(os.getpid()).rstrip("/")}/'
                 f'{self.session.parent.name}/session/cgroup.procs; exec "$@"', "sh"]
        ended = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh",
             *enter, *AS_USER, *suite],
            env=self.environment | {"PROCTRACK_EXPECT": f"cgroup {feed} high", "PROCTRACK_FEED": "",
                                    "PROCTRACK_TRACKER": ""},
            cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=8 * DEADLINE)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertRegex(ended.stdout, r"(?m)^[1-9]\d* passed, 0 failed, ")
