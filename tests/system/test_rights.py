# SPDX-License-Identifier: Apache-2.0
"""The matrix of rights: what a broker says of itself with each, and that it holds (test_promises.py).

root, an ordinary user with a part of the cgroup tree and without; each feed; system calls that are refused; inside of
namespaces. What a systemd manager adds is in test_scope.py.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import unittest

from blackbox.broker import describe_feed
from blackbox.rights import RightsCase
from blackbox.wire import DEADLINE


@functools.cache
def _without_bpf() -> dict[str, str]:
    return {} if describe_feed("bpf") is None else {"bpf": ""}


class Rights(RightsCase):
    """Each case is a broker that has some rights and not others."""

    def refusing(self, *words: str) -> list[str]:
        return [os.environ["PROCTRACK_REFUSE"], *words, "--"]

    def unshared(self, *options: str) -> list[str]:
        """The suite inside of new namespaces, if they can be had."""
        command = ["unshare", *options, "--kill-child"] if "--fork" in options else ["unshare", *options]
        if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
            self.skipTest(f"unshare {' '.join(options)} is not allowed here")
        return command

    def each_feed(self, before: list[str], tracker: str, confidence: str, without: dict[str, str]) -> None:
        for feed in ("bpf", "netlink", "poll"):
            with self.subTest(feed=feed):
                expect = f"refused {without[feed]}" if feed in without else f"{tracker} {feed} {confidence}"
                self.promises(before, expect, feed)

    @property
    def for_root(self) -> dict[str, str]:
        """What even root has not here: the feed bpf, in a build or on a machine without."""
        return _without_bpf()

    @property
    def for_users(self) -> dict[str, str]:
        no_netlink = {} if self.users_have_netlink else {"netlink": "connector"}
        return {"bpf": "CAP_BPF"} | no_netlink | self.for_root

    @property
    def best(self) -> str:
        return "netlink" if self.for_root else "bpf"

    # ---- whose rights

    def test_root_has_cgroups_with_each_feed(self) -> None:
        self.each_feed([], "cgroup", "high", self.for_root)

    def test_a_user_with_a_part_of_the_tree_has_cgroups_with_each_feed_but_bpf(self) -> None:
        self.delegate()
        self.each_feed(self.as_user(), "cgroup", "high", self.for_users)

    def test_a_plain_user_has_lineage_with_each_feed_but_bpf(self) -> None:
        self.each_feed(self.as_user(), "lineage", "best_effort", self.for_users)

    # ---- what the kernel refuses

    def test_without_clone3_nothing_is_missing(self) -> None:
        self.promises(self.refusing("clone3=ENOSYS"), f"cgroup {self.best} high")

    def test_without_bpf_the_feed_is_netlink(self) -> None:
        self.promises(self.refusing("bpf=EPERM"), "cgroup netlink high")

    def test_without_pidfd_open_blocks_hold(self) -> None:
        self.promises(self.refusing("pidfd_open=EPERM"), f"cgroup {self.best} high")

    def test_a_filter_under_which_no_thread_can_be_made_is_told_in_one_sentence(self) -> None:
        (self.home / "tmp/r").mkdir(mode=0o700)
        ended = subprocess.run(
            [*self.refusing("clone3=EPERM"), self.environment["PROCTRACK_WPSD"], "--plugin",
             self.environment["PROCTRACK_SO"]], env=self.environment | {"WPS_RUNTIME_DIR": str(self.home / "tmp/r")},
            text=True, capture_output=True, timeout=DEADLINE)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertIn("cannot make a thread: Operation not permitted: a seccomp filter", ended.stderr)

    # ---- inside of namespaces

    def test_inside_a_pid_namespace(self) -> None:
        self.promises(self.unshared("--pid", "--fork", "--mount-proc"), f"cgroup {self.best} high")

    def test_inside_a_user_namespace(self) -> None:
        feed = "poll" if "netlink" in self.for_users else "netlink"
        self.promises(self.unshared("--user"), f"cgroup {feed} high")

    def test_inside_a_user_and_a_pid_namespace_as_their_root(self) -> None:
        self.promises(self.unshared("--user", "--map-root-user", "--pid", "--fork", "--mount-proc"), "cgroup poll high")


if __name__ == "__main__":
    unittest.main()
