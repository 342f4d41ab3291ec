# SPDX-License-Identifier: Apache-2.0
"""bench/run with tiny parameters: every figure comes, with every feed, and nothing is left behind. What
the figures are is not asked: the machine may be busy with other tests."""

import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RUN, BUILD = os.environ["BENCH_RUN"], os.environ["BENCH_BUILD"]
#: What some machine may lack.
MAY_BE_MISSING = ("clang", "apt-get", "Debian", "failed")
#: Patterns of the figures' names, and the feeds that each must be there with.
FEEDS, EVENTS = ("bpf", "netlink", "poll"), ("bpf", "netlink")
FIGURES = {
    "lives told": FEEDS, "commands told": FEEDS,
    "of an exec, p50$": FEEDS, "of an exec, p99$": FEEDS,
    "of an exit, p50$": FEEDS, "of an exit, p99$": FEEDS,
    "without the hop, exec": EVENTS, "without the hop, exit": EVENTS,
    "time a life, in a storm$": FEEDS, "time a life, at 500/s$": FEEDS,
    "exec in that storm, p50": EVENTS, "exec in that storm, p99": EVENTS,
    "storm on all cores": FEEDS, "storm in no block": FEEDS, "make -j2": FEEDS,
    "in a storm, 20 blocks": FEEDS, "p50, at 500/s, 20 blocks": EVENTS,
    "in a storm, 50 members": FEEDS, "p50, at 500/s, 50 members": EVENTS,
    "memory a process": FEEDS, "memory an empty block": FEEDS,
    "list_block": FEEDS, "kill_tree": FEEDS, "remove of an empty block": FEEDS,
    "blocks made": FEEDS, "blocks removed": FEEDS, "proctrack run": FEEDS, "stop_tree": FEEDS, "adoption": FEEDS,
    "published a second": ("any",), "context switches": FEEDS, "processor time in": FEEDS,
}


def start(*args):
    """In a process group of its own, so that Ctrl-C can be sent as a terminal does."""
    return subprocess.Popen([RUN, "--quick", "--build-dir", BUILD, *args], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def left_by(pid):
    """Cgroups, files and processes of that run."""
    mark = f"proctrack-bench-{pid}-"
    cgroups = [path for mount in re.findall(r"^\S+ (\S+) cgroup2 ", pathlib.Path(
        "/proc/mounts").read_text(), re.M) for path in pathlib.Path(mount).rglob(f"{mark}*")]
    files = list(pathlib.Path(tempfile.gettempdir()).glob(f"{mark}*"))
    return [str(path) for path in [*cgroups, *files]] + session(pid)


def session(pid):
    """Processes of the session that it began."""
    listed = subprocess.run(["ps", "-o", "stat=,pid=,args=", "-s", str(pid)], text=True,
                            capture_output=True).stdout
    return [line for line in listed.splitlines() if line.strip() and not line.startswith("Z")]


@unittest.skipUnless(os.geteuid() == 0, "bench/run needs root: cgroups, the bpf feed, forkstat")
class Smoke(unittest.TestCase):
    def check_nothing_left(self, pid):
        end = time.monotonic() + 15  # what was killed takes a moment to end
        while (left := left_by(pid)) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(left, [])

    def test_every_figure_is_measured_with_every_feed_and_nothing_is_left(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as file, \
                tempfile.NamedTemporaryFile("r", suffix=".md") as page:
            run = start("--json", file.name, "--markdown", page.name)
            out, err = run.communicate(timeout=500)
            if run.returncode == 77:
                self.skipTest(err.strip())
            self.assertEqual(run.returncode, 0, out + err)
            told = json.loads(pathlib.Path(file.name).read_text())
            self.check_markdown(pathlib.Path(page.name).read_text(), told["rows"])
        self.check_nothing_left(run.pid)
        self.check_rows(told)
        for row in told["rows"]:
            self.assertIn(row["figure"], out)

    def check_rows(self, told):
        rows = {(row["figure"], row["feed"]): row for row in told["rows"]}
        self.assertEqual(len(rows), len(told["rows"]), "a figure is there twice")
        for words, feeds in FIGURES.items():
            for feed in set(feeds) - set(told["feeds_refused"]):
                found = [row for (figure, of), row in rows.items() if
                         re.search(words, figure) and of == feed]
                self.assertEqual(len(found), 1, f"{words}, {feed}")
                self.check_row(found[0])

    def check_markdown(self, page, rows):
        """One line for each row, all with as many cells as the head."""
        lines = [line for line in page.splitlines() if line.startswith("|")]
        self.assertEqual(len(lines), 2 + len(rows), page)
        self.assertEqual({len(re.findall(r"(?<!\\)\|", line)) for line in lines}, {12}, page)
        for line, row in zip(lines[2:], rows):
            self.assertEqual(line.split(" | ")[:2], [f"| {row['figure']}", row["feed"]])

    def check_row(self, row):
        if row["skipped"]:
            self.assertTrue(any(word in row["skipped"] for word in MAY_BE_MISSING), row)
        else:
            self.assertIsInstance(row["median"], (int, float), row)
            self.assertEqual(row["reached"] is None, row["target"] is None or
                             row["ratio"] is None and "x" in row["target"], row)

    def test_nothing_is_lost_at_any_speed_with_a_feed_that_tells_births(self):
        run = start("--only", "completeness", "--feed", "bpf,netlink", "--json", "/dev/stdout")
        out, err = run.communicate(timeout=300)
        if run.returncode == 77:
            self.skipTest(err.strip())
        told = json.loads(out[out.index("\n{") + 1:])
        self.assertTrue(told["rows"])
        for row in told["rows"]:
            self.assertIn(row["reached"], (True, None), row)

    def test_a_profile_tells_threads_and_what_they_cost(self):
        run = start("--profile", "--feed", "netlink")
        out, err = run.communicate(timeout=300)
        if run.returncode == 77:
            self.skipTest(err.strip())
        self.assertEqual(run.returncode, 0, out + err)
        self.check_nothing_left(run.pid)
        for title in ("500 lives a second, by thread", "a storm on all processors, by syscall"):
            self.assertIn(f"netlink, {title}", out)
        for thread in ("proctrack", "proctrack-work", "ZMQbg/IO/0", "all"):
            self.assertRegex(out, rf"(?m)^{thread} +[0-9.]+ +[0-9.]+ +[0-9.]+$")

    def test_an_interrupted_run_leaves_nothing(self):
        run = start("--only", "cpu,storm")
        line = ""
        while "bench/run: cpu" not in line:
            self.assertTrue(select.select([run.stderr], [], [], 120)[0], "it does not begin")
            line = run.stderr.readline()
            if not line:
                self.skipTest("it ended before it began")
        self.wait_for_a_broker(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        run.communicate(timeout=120)
        self.assertNotEqual(run.returncode, 0)
        self.check_nothing_left(run.pid)

    def wait_for_a_broker(self, pid):
        end = time.monotonic() + 60
        while not any("wpsd" in line for line in session(pid)):
            self.assertLess(time.monotonic(), end, "no broker was started")
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(unittest.main())
