# SPDX-License-Identifier: Apache-2.0
"""tests/load/run for a moment: all of it works, its invariants hold, and nothing is left behind. Whether the broker
grows is not asked of so short a run."""

import json
import os
import pathlib
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

RUN, BUILD = os.environ["LOAD_RUN"], os.environ["LOAD_BUILD"]
TINY = ("--interval", "4", "--blocks", "40", "--processes", "400", "--subscribers", "11", "--clients", "12",
        "--window", "1", "--settle", "60")


def start(*args):
    """In a session of its own, so that Ctrl-C can be sent as a terminal does."""
    return subprocess.Popen([RUN, "--build-dir", BUILD, *TINY, *args], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, start_new_session=True)


def left_by(pid):
    """Cgroups, files and processes of that run."""
    mark = f"proctrack-bench-{pid}-"
    mounts = re.findall(r"^\S+ (\S+) cgroup2 ", pathlib.Path("/proc/mounts").read_text(), re.M)
    found = [path for mount in mounts for path in pathlib.Path(mount).rglob(f"{mark}*")]
    found += pathlib.Path(tempfile.gettempdir()).glob(f"{mark}*")
    listed = subprocess.run(["ps", "-o", "stat=,pid=,args=", "-s", str(pid)], text=True, capture_output=True).stdout
    return [str(path) for path in found] + \
        [line for line in listed.splitlines() if line.strip() and not line.startswith("Z")]


class Smoke(unittest.TestCase):
    def check_nothing_left(self, pid):
        end = time.monotonic() + 15  # what was killed takes a moment to end
        while (left := left_by(pid)) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(left, [])

    def finish(self, run, timeout=200):
        try:
            return run.communicate(timeout=timeout)
        finally:
            if run.poll() is None:
                run.terminate()
                run.communicate(timeout=60)

    def test_a_short_run_holds_and_tells_its_figures(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            run = start("--minutes", "0.13", "--json", file.name)
            out, err = self.finish(run)
            if run.returncode == 77:
                self.skipTest(err.strip())
            self.assertEqual(run.returncode, 0, out + err)
            told = json.loads(pathlib.Path(file.name).read_text())
        self.check_nothing_left(run.pid)
        self.assertEqual(len(told["checkpoints"]), 2)
        for checkpoint in told["checkpoints"]:
            self.assertEqual(checkpoint["violations"], [])
            for name in ("births", "deaths", "requests", "rss_kib", "heap_kib", "descriptors", "threads", "processes",
                         "subscribers_killed"):
                self.assertGreater(checkpoint[name], 0, name)
            self.assertGreater(checkpoint["request_p50_ms"], 0)
        self.assertEqual({verdict["flat"] for verdict in told["verdicts"]}, {None})
        self.assertRegex(out, r"(?m)^\d+ births, \d+ deaths, \d+ requests, 2 checkpoints, 0 violations$")

    def test_an_interrupted_run_leaves_nothing(self):
        run = start("--minutes", "5")
        lines = 0
        while lines < 2:  # the head, and a checkpoint
            self.assertTrue(select.select([run.stdout], [], [], 120)[0], "it does not begin")
            line = run.stdout.readline()
            if not line:
                self.skipTest(f"it ended before it began: {run.communicate()[1].strip()}")
            lines += 1
        os.killpg(run.pid, signal.SIGINT)
        self.finish(run)
        self.assertNotEqual(run.returncode, 0)
        self.check_nothing_left(run.pid)

    def test_more_processes_than_there_are_pids_for_are_refused_with_the_reason(self):
        run = start("--processes", "90000000")
        out, err = self.finish(run)
        self.assertEqual(run.returncode, 77, out + err)
        self.assertRegex(err, "(need .* of /proc/sys/kernel/pid_max, which is|needs root|needs cgroup)")


if __name__ == "__main__":
    unittest.main()
