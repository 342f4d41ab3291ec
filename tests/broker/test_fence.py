# SPDX-License-Identifier: Apache-2.0
"""What the broker gives up before it serves, and what a plugin inside of it cannot do then."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from wpsd import DEADLINE, WPSD, BrokerTest, fixture

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER = os.environ.get("WPSD_SANITIZE", "")
REFUSE = os.environ.get("WPSD_REFUSE", "refuse")
#: The numbers of capability.h.
NUMBERS = {"DAC_OVERRIDE": 1, "KILL": 5, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_PTRACE": 19, "SYS_NICE": 23, "PERFMON": 38,
           "BPF": 39}
NEEDED = {"BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE", "SYS_NICE", "KILL", "DAC_OVERRIDE"}
#: What a kernel says to the attempts of the fixture where it would do such a thing.
OPEN = {"mount": "EFAULT", "ptrace": "ESRCH", "keyctl": "EOPNOTSUPP", "process_vm_readv": "0", "unshare": "0",
        "setns": "EBADF", "setns(NEWNET)": "EBADF", "raw socket": "0", "chown": "0"}
FENCED = dict.fromkeys(OPEN, "EPERM") | {"setns(NEWNET)": "EBADF"}
needs_root = unittest.skipUnless(os.geteuid() == 0, "an ordinary user has nothing to give up")


def mask(names):
    return sum(1 << NUMBERS[name] for name in names)


def status(path):
    return dict(re.findall(r"^(\w+):\t(.*)$", pathlib.Path(path, "status").read_text(), re.M))


def threads(pid):
    """Those that the broker made. That of the thread sanitizer is there before it, with rights of its own."""
    tasks = sorted(pathlib.Path(f"/proc/{pid}/task").iterdir())
    return [status(task) for task in tasks if "thread" not in SANITIZER or int(task.name) == pid
            or (task / "comm").read_text() != "wpsd\n"]


def ours():
    return int(status("/proc/self")["CapBnd"], 16)


class Fence(BrokerTest):
    def climbed(self, *arguments):
        """The broker, and what came of what the plugin tried."""
        broker = self.broker("--plugin", fixture("climb"), *arguments)
        return broker, dict(re.findall(r"climb: (.+): (\w+)$", broker.log(), re.M))

    @needs_root
    def test_of_roots_capabilities_those_that_are_needed_are_left_to_each_thread(self):
        broker = self.broker()
        for thread in threads(broker.process.pid):
            for name in ("CapPrm", "CapEff", "CapBnd"):
                self.assertEqual(int(thread[name], 16), mask(NEEDED) & ours(), name)
            for name in ("CapInh", "CapAmb"):
                self.assertEqual(int(thread[name], 16), 0, name)

    def test_each_thread_has_a_filter_and_gets_no_new_privileges(self):
        broker = self.broker()
        self.assertGreater(len(threads(broker.process.pid)), 2)
        for thread in threads(broker.process.pid):
            self.assertEqual((thread["Seccomp"], thread["NoNewPrivs"]), ("2", "1"))
        self.assertRegex(broker.log(), r"info wpsd: fence: capabilities: .*; no new privileges; \d\d system calls")

    def test_what_a_plugin_has_no_use_for_is_refused_to_it(self):
        tried = self.climbed()[1]
        if "address" in SANITIZER:  # its search for leaks needs it
            self.assertNotEqual(tried.pop("ptrace"), "EPERM")
        self.assertEqual(tried, {name: FENCED[name] for name in tried})
        self.assertGreater(len(tried), 7)

    @needs_root
    def test_without_the_fence_it_is_the_kernel_that_answers(self):
        broker, tried = self.climbed("--fence=no")
        self.assertEqual(set(tried), set(OPEN))
        before = status("/proc/self")
        for thread in threads(broker.process.pid):
            for name in ("CapPrm", "CapEff", "CapBnd", "Seccomp", "NoNewPrivs"):
                self.assertEqual(thread[name], before[name], name)
        if before["Seccomp"] == "0":
            self.assertEqual(tried, OPEN)
        self.assertNotIn("fence", broker.log())

    @needs_root
    def test_a_capability_that_is_named_is_kept(self):
        if not ours() & mask({"NET_RAW"}):
            self.skipTest("we have no CAP_NET_RAW")
        for names in ("NET_RAW", "cap_net_raw,kill", "bpf CAP_NET_RAW"):
            with self.subTest(names=names):
                broker, tried = self.climbed(f"--keep-capabilities={names}")
                self.assertEqual((tried["raw socket"], tried["chown"]), ("0", "EPERM"))
                self.assertEqual(int(threads(broker.process.pid)[0]["CapEff"], 16),
                                 mask(NEEDED | {"NET_RAW"}) & ours())
                broker.end()

    @needs_root
    def test_a_system_call_that_is_named_is_not_refused(self):
        if status("/proc/self")["Seccomp"] != "0":
            self.skipTest("we are under a filter ourselves")
        tried = self.climbed("--keep-system-calls=mount setns")[1]
        self.assertEqual((tried["mount"], tried["setns"], tried["keyctl"]), ("EFAULT", "EBADF", "EPERM"))

    def test_a_name_that_is_none_is_told_and_is_status_2(self):
        for option, name in (("keep-capabilities", "NET_ROW"), ("keep-capabilities", "CAP_"),
                             ("keep-system-calls", "amount")):
            ran = subprocess.run([WPSD, f"--{option}=kill {name}"], capture_output=True, text=True, timeout=DEADLINE,
                                 env=os.environ | {"WPS_RUNTIME_DIR": self.runtime}, check=False)
            self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (2, 1), ran)
            self.assertIn(f'{option}: "{name}": there is no', ran.stderr)


@needs_root
class Kernels(BrokerTest):
    """What a kernel has not, or a container's filter refuses, is told once, and the broker serves."""

    def under(self, *refusals):
        broker = self.broker(before=[REFUSE, *refusals, "--"])
        return broker, [line for line in broker.lines if "fence" in line]

    def test_without_filters(self):
        broker, told = self.under("seccomp=ENOSYS", "prctl=EINVAL")
        self.assertEqual(len(told), 2, told)
        self.assertIn("fence: no_new_privs cannot be set: Invalid argument: it goes on without", told[0])
        self.assertIn("fence: system calls cannot be filtered: Invalid argument", told[1])
        self.assertEqual(threads(broker.process.pid)[0]["NoNewPrivs"], status("/proc/self")["NoNewPrivs"])

    def test_where_capabilities_may_not_be_set(self):
        broker, told = self.under("capset=EPERM")
        self.assertEqual(len(told), 1, told)
        self.assertIn("warning wpsd: fence: capabilities cannot be given up: Operation not permitted", told[0])
        self.assertEqual(threads(broker.process.pid)[0]["NoNewPrivs"], "1")

    def test_where_they_are_given_up_already(self):
        """As in the unit: there is nothing to do, so nobody is asked."""
        kept = ",".join(f"+{name.lower()}" for name in NEEDED)
        bounded = ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all"]
        if not shutil.which("setpriv") or subprocess.run([*bounded, "true"], check=False).returncode:
            self.skipTest("no setpriv here that takes these capabilities away")
        broker = self.broker("--plugin", fixture("climb"), before=[*bounded, REFUSE, "capset=ENOSYS", "--"])
        self.assertNotIn("warning", broker.log())
        self.assertIn("climb: chown: EPERM", broker.log())


class Unit(unittest.TestCase):
    def test_the_unit_of_the_system_has_the_same_capabilities(self):
        unit = (ROOT / "packaging/systemd/system.service.in").read_text()
        self.assertEqual(set(re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M)[1].split()),
                         {f"CAP_{name}" for name in NEEDED})
        self.assertIn("\nNoNewPrivileges=yes\n", unit)


if __name__ == "__main__":
    unittest.main()
