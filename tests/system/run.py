# SPDX-License-Identifier: Apache-2.0
"""Runs one suite: run.py FILE. Prints a line a case and ends with `N passed, N failed, N skipped`.

The environment says with what: PROCTRACK_WPSD, PROCTRACK_SO, PROCTRACK_ODD, PROCTRACK_CLI,
PROCTRACK_EXPORTER, PROCTRACK_BIRTH_PROBE, PROCTRACK_FIRST_FORK, PROCTRACK_REFUSE, PROCTRACK_MANAGER,
PROCTRACK_COUNT_HEAP, PROCTRACK_FAIL_ALLOC, PROCTRACK_DISTURB (binaries), PROCTRACK_SCHEMAS, PROCTRACK_PACKAGING
(directories), PROCTRACK_FEED (bpf, netlink, poll; else the best), PROCTRACK_TRACKER (cgroup, lineage; else the best), PROCTRACK_UID (as root: run as this ordinary user), PROCTRACK_SLOW (how many times slower than
an optimised build), PROCTRACK_PATIENCE (how many times slower than others the machine is: deadlines follow), PROCTRACK_SANITIZE (address, thread), PROCTRACK_CASE (only cases whose name has this
word), PROCTRACK_LIMIT (seconds, after which the case that runs fails and the rest is left out).
"""

from __future__ import annotations

import importlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from typing import Any

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


class Result(unittest.TestResult):
    """Prints as it goes: what ran, how it ended, how long it took."""

    def __init__(self, suite: str, class_sizes: dict[str, int]) -> None:
        super().__init__()
        self._class_sizes = class_sizes
        self.buffer = False
        self.counts = {"ok": 0, "FAILED": 0, "skipped": 0}
        self._suite = suite
        self._begun = 0.0
        self._told: set[str] = set()

    def _name(self, test: Any) -> str:
        name = getattr(test, "_testMethodName", None) or str(test)
        name = name.replace("setUpClass", "the beginning of").replace("tearDownClass", "the end of")
        with_what = [os.environ.get("PROCTRACK_TRACKER"), os.environ.get("PROCTRACK_FEED"),
                     "" if os.geteuid() == 0 else "as an ordinary user"]
        label = " ".join(filter(None, with_what))
        return f"{self._suite}{f' [{label}]' if label else ''}: " \
               f"{name.removeprefix('test_').replace('_', ' ')}"

    def _tell(self, verdict: str, test: Any, more: str = "") -> None:
        name = self._name(test)
        if verdict == "FAILED" and name in self._told:  # failed, and once more in its clean-up
            print(more, flush=True)
            return
        self._told.add(name)
        self.counts[verdict] += self._cases(test) if verdict == "skipped" else 1
        spent = f" ({time.monotonic() - self._begun:.2f} s)"
        print(f"{verdict:7} {name}" + (f": {more}" if verdict == "skipped" else spent), flush=True)
        if verdict == "FAILED":
            print(more, flush=True)

    def _cases(self, test: Any) -> int:
        """How many cases it stands for: what a setUpClass skips is a whole class."""
        if isinstance(test, unittest.TestCase):
            return 1
        return next((size for name, size in self._class_sizes.items() if name in str(test)), 1)

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._begun = time.monotonic()

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._tell("ok", test)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._tell("FAILED", test, "".join(traceback.format_exception(*err)))

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._tell("FAILED", test, "".join(traceback.format_exception(*err)))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._tell("FAILED", test, f"{subtest}\n" + "".join(traceback.format_exception(*err)))

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._begun = self._begun or time.monotonic()
        self._tell("skipped", test, reason)


class TimeUp(AssertionError):
    """The whole suite took too long."""


def end_in_time(result: Result) -> None:
    """At the time limit the running case fails, cleans up, and is the last."""
    def time_up(number: int, frame: Any) -> None:
        result.stop()
        raise TimeUp("the time limit of the suite")
    signal.signal(signal.SIGALRM, time_up)
    patience = min(2.0, float(os.environ.get("PROCTRACK_PATIENCE", "1")))
    signal.alarm(int(patience * float(os.environ.get("PROCTRACK_LIMIT", "600"))))


def end_tidily(number: int, frame: Any) -> None:
    """SIGTERM is like Ctrl-C: clean-ups run on the way out."""
    raise KeyboardInterrupt


def class_sizes(suite: unittest.TestSuite) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            sizes |= class_sizes(test)
        else:
            name = unittest.util.strclass(type(test))
            sizes[name] = sizes.get(name, 0) + 1
    return sizes


def chosen(suite: unittest.TestSuite, word: str) -> unittest.TestSuite:
    """Only the cases whose name has the word; spaces count as underscores."""
    kept = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(chosen(test, word))
        elif word.replace(" ", "_") in test.id():
            kept.addTest(test)
    return kept


def run_as_user(uid: int) -> int:
    """The same once more as an ordinary user, from copies that any user can read."""
    with tempfile.TemporaryDirectory(prefix="proctrack-user-") as directory:
        os.chmod(directory, 0o755)
        environment = os.environ | {"TMPDIR": f"{directory}/tmp"}
        environment.pop("PROCTRACK_UID")
        environment.pop("XDG_RUNTIME_DIR", None)
        for name in ("WPSD", "SO", "ODD", "CLI", "EXPORTER", "BIRTH_PROBE", "FIRST_FORK", "SCHEMAS",
                     "PACKAGING"):
            source = pathlib.Path(os.environ[f"PROCTRACK_{name}"])
            if not source.exists():  # first_fork is not for every processor
                continue
            environment[f"PROCTRACK_{name}"] = f"{directory}/{source.name}"
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, directory + "/" + source.name)
        shutil.copy2(pathlib.Path(os.environ["PROCTRACK_WPSD"]).with_name("launch"), directory)
        shutil.copytree(HERE, f"{directory}/system")
        os.mkdir(f"{directory}/tmp", 0o700)
        os.chown(f"{directory}/tmp", uid, uid)
        user = subprocess.Popen(
            ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all",
             sys.executable, f"{directory}/system/run.py", sys.argv[1]], env=environment, cwd="/")
        try:
            return user.wait()
        except BaseException:
            user.terminate()  # it cleans up on its way out
            user.wait()
            raise


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 64
    uid = os.environ.get("PROCTRACK_UID")
    if uid:
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            print("0 passed, 0 failed, 0 skipped\nnot run: becoming another user needs root and setpriv")
            return 0
        return run_as_user(int(uid))
    module = pathlib.Path(sys.argv[1]).stem
    signal.signal(signal.SIGTERM, end_tidily)
    programs = importlib.import_module("blackbox.programs")
    programs.adopt_orphans()
    suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module))
    word = os.environ.get("PROCTRACK_CASE")
    if word:
        suite = chosen(suite, word)
    result = Result(module.removeprefix("test_").replace("_", " "), class_sizes(suite))
    end_in_time(result)
    try:
        suite.run(result)
    finally:
        programs.kill_children()
        importlib.import_module("blackbox.broker").destroy_all()
    counts = result.counts
    print(f"\n{counts['ok']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
