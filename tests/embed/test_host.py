# SPDX-License-Identifier: Apache-2.0
"""The module in a plain host: it works there, and leaves the host's process alone."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from storm import Storm

BUILD = pathlib.Path(os.environ["EMBED_BUILD"])
SANITIZE = os.environ.get("EMBED_SANITIZE", "")
#: How many times slower than others ./test found this machine: fewer rounds, and longer deadlines.
PATIENCE = int(os.environ.get("PROCTRACK_PATIENCE", "1"))
ROUNDS = int(os.environ.get("EMBED_ROUNDS", "400")) // PATIENCE
#: Each life under load is many times as long.
LOADED_ROUNDS = ROUNDS if "EMBED_LOADED" in os.environ else ROUNDS // 10
#: What the second half of the lives may add to what is allocated.
SLACK_KIB, BYTES_A_ROUND = 64, 16
MODULE = BUILD / "proctrack.so"
DEADLINE = (240 if SANITIZE else 60) * PATIENCE


class Host(unittest.TestCase):
    def setUp(self):
        self.runtime = tempfile.mkdtemp(prefix="proctrack-host-")
        self.addCleanup(shutil.rmtree, self.runtime, ignore_errors=True)

    def command(self, program, *flags, **options):
        words = [str(BUILD / program), *flags, self.runtime, str(MODULE)]
        words += [f"{key.replace('_', '-')}={value}" for key, value in options.items()]
        if "thread" in SANITIZE and shutil.which("setarch"):
            words = ["setarch", "-R", *words]  # it fails at random where addresses are too random
        return words

    def run_host(self, program, *flags, deadline=DEADLINE, **options):
        ended = subprocess.run(self.command(program, *flags, **options), text=True,
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        return ended

    def works_with(self, feed):
        """Skips where this feed does not work here; the sentence of its `start` says why."""
        ended = subprocess.run(self.command("plain_host", feed=feed), text=True,
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        if ended.returncode != 0 and "plain_host: start: " in ended.stderr:
            self.skipTest(ended.stderr.strip())

    def test_a_plain_host_makes_lists_and_removes_a_block(self):
        out = self.run_host("plain_host").stdout
        self.assertIn('"created"=>true', out)
        self.assertIn('"processes"=>[]', out)
        self.assertIn('"ok"=>true', out)
        self.assertEqual(re.findall(r"event (\S+) for (\S+)", out),
                         [("agent:block-added", "block:plain"), ("agent:block-removed", "block:plain")])

    def test_a_host_without_publish_hears_nothing_and_all_else_works(self):
        out = self.run_host("plain_host", "--silent").stdout
        self.assertNotIn("event ", out)
        self.assertIn('"created"=>true', out)
        self.assertIn('"ok"=>true', out)

    def test_a_host_whose_struct_ends_before_publish_is_not_read_beyond(self):
        """One byte behind what it offers, and the host is ended by SIGSEGV."""
        out = self.run_host("smaller_host", "publish").stdout
        self.assertNotIn("event ", out)
        self.assertIn('"created"=>true', out)
        self.assertIn('"ok"=>true', out)

    def test_a_host_that_offers_too_little_is_told_what_is_missing(self):
        ended = subprocess.run(self.command("smaller_host", "log"), text=True, stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=DEADLINE)
        self.assertEqual((ended.returncode, ended.stderr),
                         (1, "plain_host: open: the host gives no log or no runtime directory\n"))

    def test_it_is_a_hundred_lines_of_code(self):
        source = (pathlib.Path(__file__).parents[2] / "examples/plain_host/plain_host.c").read_text()
        without_comments = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
        self.assertLessEqual(len([line for line in without_comments.splitlines() if line.strip()]),
                             100)

    def test_an_unknown_option_fails_open_with_its_name(self):
        ended = subprocess.run(self.command("plain_host", colour="red"), text=True,
                               capture_output=True, timeout=DEADLINE)
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stderr, r"open: .*colour")

    def test_nothing_of_the_modules_is_written_to_stdout(self):
        """What is there is the host's own, line by line."""
        for line in self.run_host("plain_host", log="trace").stdout.splitlines():
            self.assertRegex(line, r"^(event agent:block-|ensure_tracker: |list_block: |remove: )")

    def manners(self, rounds, *flags, **options):
        deadline = DEADLINE * (10 + rounds // 100)
        ended = self.run_host("manners", f"--rounds={rounds}", *flags, deadline=deadline, **options)
        self.assertNotIn("FAILED", ended.stdout)
        for said in ('ensure_tracker: {.*"created"=>true', 'list_block: {.*"tracked"=>true',
                     'remove: {.*"ok"=>true'):
            self.assertEqual(len(re.findall(said, ended.stdout)), rounds + 2, said)
        self.assertRegex(ended.stdout, r"descriptors (\d+) \1, threads (\d+) \2, SIGCHLD 1,")
        heap, resident = (self.tenths(ended.stdout, name) for name in ("heap", "resident"))
        print(f"  {rounds} {' '.join(flags)}: {ended.stdout.splitlines()[-1]}, heap in KiB at each tenth {heap}, "
              f"resident set {resident}", flush=True)
        if not SANITIZE:  # they have heaps of their own
            self.assertLess(heap[-1] - heap[4], SLACK_KIB + rounds * BYTES_A_ROUND / 2 / 1024,
                            "it grows with its lives")

    @staticmethod
    def tenths(out, name):
        return [int(kib) for kib in re.search(rf"(?m)^{name} KiB([ \d]+)$", out)[1].split()]

    def test_many_lives_leave_the_host_as_it_was(self):
        self.manners(ROUNDS)

    def test_many_lives_under_load_leave_the_host_as_it_was(self):
        """Processes come and go in blocks and outside, and there is always somebody who waits for an answer."""
        for feed in ("bpf", "netlink", "poll"):
            with self.subTest(feed=feed):
                self.works_with(feed)
                with Storm(f"ipc://{self.runtime}/control") as storm:
                    self.manners(LOADED_ROUNDS, "--stay-ms=10", feed=feed)
                print(f"  {feed}: {dict(storm.counts)}", flush=True)
                self.assertGreater(storm.counts["shells in blocks"], LOADED_ROUNDS / 4)
                self.assertGreater(storm.counts["answered"], LOADED_ROUNDS * 4)
                self.assertGreater(storm.counts["told that it goes down"] + storm.counts["no answer"],
                                   LOADED_ROUNDS / 2, "next to nobody asked while it stopped")

    def test_many_lives_without_publish_leave_the_host_as_it_was(self):
        self.manners(ROUNDS // 20, "--silent")

    def test_each_feed_leaves_the_host_as_it_was(self):
        for feed in ("bpf", "netlink", "poll"):
            with self.subTest(feed=feed):
                self.works_with(feed)
                self.manners(ROUNDS // 20, feed=feed)

    def test_a_keeper_leaves_the_host_as_it_was(self):
        """Neither SIGCHLD nor a plain wait tells of it, and it is gone when the module has stopped."""
        ended = subprocess.run(self.command("plain_host", tracker="cgroup"), text=True,
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        if ended.returncode != 0 and "plain_host: start: " in ended.stderr:
            self.skipTest(ended.stderr.strip())
        link = pathlib.Path(self.runtime) / "keeper"  # a name of its own
        link.symlink_to(BUILD / "proctrack-keeper")
        self.manners(ROUNDS // 20, "--on-crash-kill", keeper=link)
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                self.assertFalse((process / "cmdline").read_bytes().startswith(bytes(link)), process)

    def test_a_host_without_a_tracker_is_left_as_it_was(self):
        self.manners(ROUNDS // 20, tracker="none", feed="poll")

    def test_every_thread_but_the_hosts_own_blocks_all_signals(self):
        host = subprocess.Popen(self.command("plain_host"), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            line = ""
            while not line.startswith("list_block"):
                line = host.stdout.readline()
                self.assertTrue(line, "the host ended")
            seen = {}
            for task in pathlib.Path(f"/proc/{host.pid}/task").iterdir():
                status = dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.M))
                if int(task.name) != host.pid:
                    seen[status["Name"]] = int(status["SigBlk"], 16)
            # Not to be blocked: KILL and STOP, and the two of the C library's own. The thread
            # sanitizer has a thread of its own, without a name of its own.
            cannot = {signal.SIGKILL, signal.SIGSTOP, 32, 33}
            wanted = sum(1 << number - 1 for number in range(1, 65) if number not in cannot)
            for name, blocked in seen.items():
                if "thread" in SANITIZE and blocked == 0 and name == "plain_host":
                    continue
                self.assertEqual(blocked & wanted, wanted, f"thread {name}: {blocked:#x}")
            self.assertGreaterEqual(len(seen), 2)
        finally:
            out, _ = host.communicate(timeout=DEADLINE)
        self.assertEqual(host.returncode, 0, out)

    @unittest.skipIf(SANITIZE, "a sanitizer exports symbols of its own")
    def test_the_module_exports_one_symbol(self):
        if not shutil.which("nm"):
            self.skipTest("nm is not installed")
        out = subprocess.run(["nm", "-D", "--defined-only", MODULE], text=True, capture_output=True,
                             check=True).stdout
        self.assertEqual([line.split()[-1] for line in out.splitlines()], ["wps_plugin_v1"])


if __name__ == "__main__":
    unittest.main()
