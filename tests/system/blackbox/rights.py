# SPDX-License-Identifier: Apache-2.0
"""Brokers with fewer rights than root has: other users, cgroups of theirs, and the suite of promises run so."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from . import programs
from .broker import remove_cgroup
from .wire import DEADLINE

USER = 64321
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all",
           "--pdeathsig", "SIGKILL"]
SYSTEM = pathlib.Path(__file__).resolve().parents[1]
COPIED = ("WPSD", "SO", "ODD", "CLI", "BIRTH_PROBE", "FIRST_FORK", "SCHEMAS")


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root, to take rights away")
class RightsCase(unittest.TestCase):
    """A cgroup for the broker to be in, and copies of the programs that any user can read."""

    home: pathlib.Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.mount = programs.cgroup2_mount()
        if cls.mount is None:
            raise unittest.SkipTest("no cgroup v2 here")
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-rights-"))
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.home.chmod(0o755)
        cls.environment = os.environ | {"TMPDIR": str(cls.home / "tmp")}
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "PROCTRACK_CASE"):
            cls.environment.pop(name, None)
        for name in COPIED:
            source = pathlib.Path(os.environ[f"PROCTRACK_{name}"])
            if source.exists():
                copy = shutil.copytree if source.is_dir() else shutil.copy2
                cls.environment[f"PROCTRACK_{name}"] = str(copy(source, cls.home / source.name))
        shutil.copy2(programs.LAUNCH, cls.home)
        shutil.copytree(SYSTEM, cls.home / "system", ignore=shutil.ignore_patterns("__pycache__"))
        keeper = pathlib.Path(os.environ["PROCTRACK_SO"]).parent / "proctrack-keeper"
        if keeper.exists():
            shutil.copy2(keeper, cls.home)

    def setUp(self) -> None:
        own = self.mount / programs.cgroup_of(os.getpid()).lstrip("/")
        self.place = own / f"proctrack-rights-{os.getpid()}"
        self.place.mkdir()
        self.addCleanup(remove_cgroup, self.place)
        shutil.rmtree(self.home / "tmp", ignore_errors=True)
        (self.home / "tmp").mkdir()

    def delegate(self) -> None:
        for path in (self.place, self.place / "cgroup.procs", self.place / "cgroup.subtree_control"):
            os.chown(path, USER, USER)

    def as_user(self) -> list[str]:
        os.chown(self.home / "tmp", USER, USER)
        return AS_USER

    def inside(self, before: list[str]) -> list[str]:
        """A command that is in our cgroup from its beginning on."""
        enter = ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(self.place / "cgroup.procs")]
        return [*enter, *before]

    def promises(self, before: list[str], expect: str, feed: str = "", **environment: str) -> None:
        ended = subprocess.run(
            [*self.inside(before), sys.executable, str(self.home / "system/run.py"), "test_promises.py"],
            env=self.environment | {"PROCTRACK_EXPECT": expect, "PROCTRACK_FEED": feed, "PROCTRACK_TRACKER": ""} |
            environment,
            cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=8 * DEADLINE)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertRegex(ended.stdout, r"(?m)^[1-9]\d* passed, 0 failed, ")

    @property
    def users_have_netlink(self) -> bool:
        """The connector tells ordinary users since Linux 6.6."""
        major, minor = map(int, re.findall(r"\d+", os.uname().release)[:2])
        return (major, minor) >= (6, 6)
