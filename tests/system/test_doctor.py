# SPDX-License-Identifier: Apache-2.0
"""`proctrack doctor`: what works, what is missing, and that what it says would mend it does; `proctrack` itself."""

from __future__ import annotations

import glob
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import tempfile
import unittest
from typing import Any

from blackbox import programs
from blackbox.broker import Broker, remove_cgroup
from blackbox.wire import DEADLINE

CLI = os.environ.get("PROCTRACK_CLI", "proctrack")
WPSD = os.environ.get("PROCTRACK_WPSD", "wpsd")
MODULE = os.environ.get("PROCTRACK_SO", "proctrack.so")
REFUSE = os.environ.get("PROCTRACK_REFUSE", "refuse")
ORDINARY = 64321
TRIED = ["tracker cgroup", "tracker lineage", "feed bpf", "feed netlink", "feed poll"]
AS_USER = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", "--inh-caps=-all"]


def command(*words: object, cli: object = CLI, before: list[str] | None = None) -> list[str]:
    """proctrack, as it can be started here."""
    line = [*(before or []), str(cli), *map(str, words)]
    setarch = shutil.which("setarch")
    if os.environ.get("PROCTRACK_SANITIZE") == "thread" and setarch:
        line = [setarch, "-R", *line]
    return line


def needs_root(case: Any) -> Any:
    return unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"),
                               "needs root, to take rights away")(case)


class Findings:
    """What doctor --json found."""

    def __init__(self, told: str) -> None:
        self.all = json.loads(told)
        self.items = self.all["findings"]

    def of(self, section: str) -> dict[str, dict[str, Any]]:
        return {item["what"]: item for item in self.items if item["section"] == section}


class CommandCase(unittest.TestCase):
    def setUp(self) -> None:
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-doctor-test-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.home.chmod(0o755)
        self.runtime = self.home / "runtime"

    def environment(self) -> dict[str, str]:
        without = {"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}  # no manager of whoever runs the tests
        kept = {name: value for name, value in os.environ.items() if name not in without}
        return kept | {"WPS_RUNTIME_DIR": str(self.runtime), "LC_ALL": "C"}

    def run_it(self, *words: object, before: list[str] | None = None, cli: object = CLI,
               **options: Any) -> subprocess.CompletedProcess[str]:
        options.setdefault("env", self.environment())
        return subprocess.run(command(*words, cli=cli, before=before), text=True, capture_output=True,
                              timeout=4 * DEADLINE, **options)

    def doctor(self, *words: object, **options: Any) -> Findings:
        """Its findings; it said them well."""
        ended = self.run_it("doctor", "--json", *words, **options)
        self.assertEqual(len(ended.stdout.splitlines()), 1, ended.stderr)
        found = Findings(ended.stdout)
        missing = [item for item in found.items if item["state"] == "no"]
        self.assertEqual((found.all["ok"], ended.returncode), (not missing, 1 if missing else 0), found.all)
        for item in found.items:
            self.assertLessEqual({"section", "what", "state", "why"}, set(item))
            self.assertIn(item["state"], ("ok", "note", "no"))
            self.assertTrue(item["why"] and item["what"], item)
        return found

    def broker(self, **options: object) -> Broker:
        broker = Broker(**options)
        self.addCleanup(broker.destroy)
        broker.start()
        return broker


class Itself(CommandCase):
    """The command without any broker."""

    def test_version_and_help(self) -> None:
        for words in (["version"], ["--version"]):
            ended = self.run_it(*words)
            self.assertRegex(ended.stdout, r"^proctrack \d+\.\d+\.\d+\n$")
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        general = self.run_it("--help")
        self.assertEqual((general.returncode, general.stderr), (0, ""))
        for name in ("run", "doctor", "version"):
            self.assertRegex(general.stdout, rf"\n  {name} ")
        for name in ("run", "doctor"):
            ended = self.run_it(name, "--help")
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            for word in (f"usage: proctrack {name}", "--endpoint", "--runtime-dir", "--timeout-ms", "Exit status"):
                self.assertIn(word, ended.stdout)

    def test_what_makes_no_sense_is_status_2(self) -> None:
        for words in ([], ["no-such-command"], ["--no-such"], ["doctor", "--no-such"], ["doctor", "word"],
                      ["version", "word"], ["doctor", "--timeout-ms", "0"]):
            ended = self.run_it(*words)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""), words)
            self.assertTrue(ended.stderr, words)

    def test_output_that_cannot_be_written_is_a_failure(self) -> None:
        with open("/dev/full", "wb") as full:
            ended = subprocess.run(command("--help"), stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE)
        self.assertEqual(ended.returncode, 3)


class Doctor(CommandCase):
    """What it finds."""

    def test_each_tracker_and_feed_is_tried_and_nothing_is_left(self) -> None:
        before = self.traces()
        found = self.doctor().of("trial")
        self.assertEqual([what for what in found if what in TRIED], TRIED)
        self.assertEqual(found["tracker lineage"]["state"], "ok")
        self.assertEqual(found["feed poll"]["state"], "ok")
        self.assertLessEqual(self.traces() - before, set())

    @staticmethod
    def traces() -> set[str]:
        """What a trial could leave behind."""
        return set(glob.glob("/tmp/proctrack-doctor-*"))

    def test_a_trial_that_is_interrupted_leaves_nothing_and_ends_by_the_signal(self) -> None:
        before, children = self.traces(), programs.children()
        process = subprocess.Popen(command("doctor"), env=self.environment(), stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        programs.wait_for(lambda: self.traces() - before or process.poll() is not None, "a trial runs")
        process.terminate()
        # It may have been done already.
        self.assertIn(process.wait(DEADLINE), (-signal.SIGTERM, 0, 1))
        self.assertEqual(self.traces() - before, set())
        self.assertEqual(programs.children() - children, set(), "a broker outlived it")

    def test_no_broker(self) -> None:
        found = self.doctor("--no-trial")
        socket = found.of("broker")["control socket"]
        self.assertEqual(socket["state"], "no")
        self.assertIn(f"ipc://{self.runtime}/control", socket["why"])
        self.assertEqual(socket["mend"], f"{os.path.realpath(WPSD)} --plugin {os.path.realpath(MODULE)}")
        self.assertEqual(found.of("trial"), {})

    def test_a_broker_that_runs_tells_what_it_tried(self) -> None:
        broker = self.broker()
        told = broker.control("describe")
        found = self.doctor("--no-trial", "--runtime-dir", broker.runtime).of("broker")
        self.assertIn(f"pid {broker.pid}", found["runtime directory"]["why"])
        for key in ("control socket", "module", "runtime directory"):
            self.assertEqual(found[key]["state"], "ok")
        for attempt in told["tried"]:
            item = found[attempt["what"]]
            self.assertEqual((item["state"], item["why"]), ("ok" if attempt["ok"] else "no", attempt["why"]))
        self.assertEqual(found["confidence"]["why"], f"{told['confidence']}: {told['confidence_reason']}")
        self.assertEqual(found["confidence"]["state"], "ok" if told["confidence"] == "high" else "no")
        for name, value in told["limits"].items():
            self.assertIn(f"{name} {value}", found["limits"]["why"])

    def test_a_broker_that_does_less_than_it_could_is_told_of(self) -> None:
        broker = self.broker(tracker="lineage", feed="poll")
        found = self.doctor("--no-trial", "--endpoint", broker.endpoint("control")).of("broker")
        self.assertEqual(found["confidence"]["state"], "no")
        self.assertTrue(found["confidence"]["mend"])

    def test_a_runtime_directory_that_lets_others_in_is_mended_by_what_it_says(self) -> None:
        self.runtime.mkdir()
        self.runtime.chmod(0o777)
        found = self.doctor("--no-trial").of("broker")["runtime directory"]
        self.assertEqual(found["state"], "no")
        subprocess.run(["sh", "-c", found["mend"]], check=True, timeout=DEADLINE)
        self.assertEqual(self.doctor("--no-trial").of("broker")["runtime directory"]["state"], "ok")

    def test_a_program_that_is_missing_is_told(self) -> None:
        shutil.copy2(CLI, self.home / "proctrack")
        found = self.doctor(cli=self.home / "proctrack", env=self.environment() | {"PATH": ""}).of("trial")
        self.assertEqual(found["programs"]["state"], "no")
        self.assertIn("wpsd", found["programs"]["why"])

    def test_it_is_plain_on_a_pipe_and_in_colours_on_a_terminal(self) -> None:
        plain = self.run_it("doctor", "--no-trial").stdout
        self.assertNotIn("\033", plain)
        self.assertRegex(plain, r"(?m)^  ok +kernel +Linux ")
        self.assertRegex(plain, r"(?m)^ +mend: \S")
        for terminal, coloured in (({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False),
                                   ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
            self.assertEqual("\033[3" in self.on_terminal(terminal), coloured, terminal)

    def on_terminal(self, environment: dict[str, str]) -> str:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(command("doctor", "--no-trial"), stdout=theirs,
                                   env=self.environment() | environment)
        os.close(theirs)
        told = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # so ends a terminal that nobody has open
                break
            told += piece
        os.close(ours)
        process.wait(DEADLINE)
        return told.decode()


@needs_root
class Mending(CommandCase):
    """With fewer rights: what is said to be missing is, and what is said to mend it does."""

    def setUp(self) -> None:
        super().setUp()
        for path in (CLI, WPSD, MODULE, pathlib.Path(MODULE).parent / "proctrack-keeper"):
            shutil.copy2(path, self.home)
        self.cli = self.home / pathlib.Path(CLI).name
        self.mount = programs.cgroup2_mount()

    def test_an_ordinary_user_lacks_what_it_says(self) -> None:
        found = self.doctor(cli=self.cli, before=AS_USER).of("trial")
        self.assertEqual(found["tracker cgroup"]["state"], "no")
        self.assertIn("Delegate=yes" if os.path.exists("/run/systemd/system") else "chown",
                      found["tracker cgroup"]["mend"])
        self.assertIn("there is no systemd user manager to ask", found["scope"]["why"])
        self.assertEqual(found["confidence"]["state"], "no")
        self.assertEqual(found["feed bpf"]["state"], "no")
        self.assertTrue(found["feed bpf"]["mend"])

    def test_capabilities_make_the_feed_bpf_work(self) -> None:
        if not shutil.which("setcap"):
            self.skipTest("setcap is not installed")
        if self.doctor(cli=self.cli).of("trial")["feed bpf"]["state"] != "ok":
            self.skipTest("the feed bpf does not work here, also for root")
        mend = self.doctor(cli=self.cli, before=AS_USER).of("trial")["feed bpf"]["mend"]
        self.assertRegex(mend, rf"^setcap \S+ {self.home}/wpsd ")
        subprocess.run(mend.split(" (")[0].split(), check=True, timeout=DEADLINE)
        self.assertEqual(self.doctor(cli=self.cli, before=AS_USER).of("trial")["feed bpf"]["state"], "ok")

    def test_delegation_makes_the_tracker_cgroup_work(self) -> None:
        if self.mount is None:
            self.skipTest("no cgroup v2 here")
        own = self.mount / programs.cgroup_of(os.getpid()).lstrip("/")
        delegated = own / f"proctrack-doctor-test-{os.getpid()}"
        delegated.mkdir()
        self.addCleanup(remove_cgroup, delegated)
        for path in (delegated, delegated / "cgroup.procs", delegated / "cgroup.subtree_control"):
            os.chown(path, ORDINARY, ORDINARY)
        enter = ["sh", "-c", f'echo 0 >{delegated}/cgroup.procs; exec "$@"', "sh", *AS_USER]
        found = self.doctor(cli=self.cli, before=enter)
        self.assertEqual(found.of("machine")["delegation"]["state"], "ok")
        self.assertEqual(found.of("trial")["tracker cgroup"]["state"], "ok")
        self.assertEqual(found.of("trial")["confidence"]["state"], "ok")
        self.assertEqual([path.name for path in delegated.iterdir() if path.is_dir()], [])

    def test_the_command_that_it_names_for_delegation_delegates(self) -> None:
        if self.mount is None or os.path.exists("/run/systemd/system"):
            self.skipTest("no cgroup v2 here, or systemd, which is asked there")
        place = self.mount / programs.cgroup_of(os.getpid()).lstrip("/") / f"proctrack-doctor-test-{os.getpid()}"
        place.mkdir()
        self.addCleanup(remove_cgroup, place)
        enter = ["sh", "-c", f'echo 0 >{place}/cgroup.procs; exec "$@"', "sh"]
        missing = self.doctor("--no-trial", cli=self.cli, before=[*enter, *AS_USER]).of("machine")["delegation"]
        mend, _, note = missing["mend"].partition(" (as root")
        self.assertTrue(note)
        # The shell that it is said to is the one that asked; here it is one of its own.
        shell = ["sh", "-c", mend.replace(f"echo {os.getpid()} ", "echo $$ ") + ' && exec "$@"', "sh"]
        found = self.doctor(cli=self.cli, before=[*enter, *shell, *AS_USER])
        self.assertEqual(found.of("trial")["tracker cgroup"]["state"], "ok", mend)
        self.assertEqual(found.of("trial")["confidence"]["state"], "ok")

    def test_cgroups_that_are_not_mounted_are_mounted_by_what_it_says(self) -> None:
        if self.mount is None or not shutil.which("unshare"):
            self.skipTest("no cgroup v2 here, or no unshare")
        alone = ["unshare", "--mount", "sh", "-c", f'umount {self.mount}; exec "$@"', "sh"]
        found = self.doctor("--no-trial", cli=self.cli, before=alone).of("machine")["cgroup v2"]
        self.assertEqual(found["state"], "no")
        self.assertTrue(found["mend"].startswith("mount -t cgroup2 "))
        mended = ["unshare", "--mount", "sh", "-c", f'umount {self.mount}; {found["mend"]}; exec "$@"', "sh"]
        found = self.doctor("--no-trial", cli=self.cli, before=mended).of("machine")["cgroup v2"]
        self.assertEqual(found["state"], "ok", found)


@needs_root
class Confined(CommandCase):
    """Under a seccomp filter, or inside of namespaces: what it says is so, and why."""

    def confined(self, *before: str) -> Findings:
        if subprocess.run([*before, "true"], capture_output=True, timeout=DEADLINE).returncode:
            self.skipTest(f"{' '.join(before)} is not allowed here")
        return self.doctor(before=list(before))

    def refusing(self, call: str) -> Findings:
        return self.confined(REFUSE, f"{call}=EPERM", "--")

    def test_a_filter_under_which_there_are_no_threads(self) -> None:
        broker = self.refusing("clone3").of("trial")["broker"]
        self.assertEqual(broker["state"], "no")
        self.assertIn("cannot make a thread: Operation not permitted", broker["why"])
        self.assertIn("clone3", broker["mend"])

    def test_a_filter_that_refuses_bpf(self) -> None:
        found = self.refusing("bpf")
        rights, feed = found.of("machine")["BPF rights"], found.of("trial")["feed bpf"]
        self.assertEqual((rights["state"], feed["state"]), ("no", "no"))
        self.assertIn("bpf() is refused, by a seccomp filter", rights["why"])
        self.assertIn("a profile with bpf", rights["mend"])
        self.assertEqual(found.of("trial")["feed netlink"]["state"], "ok")

    def test_a_filter_that_refuses_pidfds(self) -> None:
        found = self.refusing("pidfd_open")
        self.assertEqual(found.of("machine")["pidfd"]["state"], "no")
        self.assertIn("a profile with pidfd_open", found.of("machine")["pidfd"]["mend"])
        self.assertIn("pidfd", found.of("trial")["tracker lineage"]["why"])

    def test_a_pid_namespace(self) -> None:
        found = self.confined("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
        connector, bpf = found.of("machine")["connector"], found.of("trial")["feed bpf"]
        self.assertEqual(connector["state"], "note" if bpf["state"] == "ok" else "no")
        self.assertIn("pid namespace", connector["why"])
        self.assertEqual(connector["mend"], "start wpsd outside of the container")

    def test_a_user_namespace(self) -> None:
        found = self.confined("unshare", "--user", "--map-root-user")
        self.assertEqual(found.of("trial")["feed bpf"]["state"], "no")
        self.assertIn("we are in a user namespace", found.of("machine")["BPF rights"]["why"])
        self.assertEqual(found.of("machine")["connector"]["state"], found.of("trial")["feed netlink"]["state"])


if __name__ == "__main__":
    unittest.main()
