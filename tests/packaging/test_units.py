# SPDX-License-Identifier: Apache-2.0
"""The units as systemd reads them, and the configuration as wpsd does."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["PACKAGING_BUILD"])
CMAKE = os.environ.get("PACKAGING_CMAKE", "cmake")
#: How much of the machine a unit may lay open, as `systemd-analyze security` counts it, in tenths of 10.
EXPOSURE = 40


def options_of_wpsd():
    """The preset of each, None where it has none, from its help."""
    told = subprocess.run([BUILD / "wpsd", "--help"], text=True, capture_output=True, check=True,
                          timeout=60).stdout.split("Options, with their presets")[1]
    return {name: preset or None for name, preset in
            re.findall(r"^  --([a-z-]+)=\S+ +[^\n]*?(?:\(([^()\s]+)\))?$", told, re.M)}


def options_of_the_module():
    """The same, from its table and its defaults."""
    source = (ROOT / "plugin" / "options.c").read_text()
    defaults = dict(re.findall(r"\.(\w+) = (\d+)", re.search(r"struct options defaults = \{(.*?)\};", source, re.S)[1]))
    found = {}
    for name, kind, rest in re.findall(r'^    \{"([a-z-]+)", (\w+), (.*)\},$', source, re.M):
        word = re.search(r'\.no = "(\w+)"', rest)
        found[name] = word[1] if word else defaults.get(name.replace("-", "_")) if kind == "NUMBER" else None
    return found


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-units-"))
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.prefix = cls.home / "usr"
        subprocess.run([CMAKE, "--install", BUILD, "--prefix", cls.prefix, "--component", "broker"], check=True,
                       stdout=subprocess.DEVNULL, timeout=120)
        cls.units = {flavour: cls.prefix / "lib" / "systemd" / flavour / "wpsd.service"
                     for flavour in ("system", "user")}
        cls.config = (cls.prefix / "etc" / "wps" / "wpsd.conf").read_text()


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class Units(Installed):
    def analyze(self, *words):
        # Man pages are looked for where the machine has its own.
        return subprocess.run(["systemd-analyze", *map(str, words)], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60,
                              env=os.environ | {"MANPATH": str(self.prefix / "share" / "man"),
                                                "XDG_RUNTIME_DIR": str(self.home)})

    def test_systemd_has_nothing_to_say_against_them(self):
        for flavour, unit in self.units.items():
            ended = self.analyze("verify", f"--{flavour}", "--man=no", unit)
            said = [line for line in ended.stdout.splitlines() if "wpsd" in line]
            self.assertEqual((ended.returncode, said), (0, []), ended.stdout)

    def test_that_of_the_system_lays_little_open(self):
        ended = self.analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", self.units["system"])
        self.assertEqual(ended.returncode, 0, ended.stdout)

    def test_nothing_is_set_that_would_hold_for_what_runs_in_the_blocks(self):
        """They lie in the unit's cgroup."""
        text = re.sub(r"^#.*\n", "", self.units["system"].read_text(), flags=re.M)
        warned = re.search(r"in a drop-in\n.*?DeviceAllow= of their own", self.units["system"].read_text(), re.S)[0]
        names = re.findall(r"(\w+)=", warned)
        self.assertGreater(len(names), 8)
        for name in names:
            for value in re.findall(rf"^{name}=(.*)$", text, re.M):
                self.assertEqual(value, "infinity", name)

    def test_what_both_need_is_the_same_in_both(self):
        settings = {flavour: set(re.findall(r"^([A-Z]\w+=.*)$", unit.read_text(), re.M))
                    for flavour, unit in self.units.items()}
        of_user = {line for line in settings["user"]
                   if not line.startswith(("Description=", "ConditionUser=", "WantedBy="))}
        self.assertEqual(of_user - settings["system"], set())
        for name in ("Type=notify", "Delegate=yes", "KillMode=process", "RuntimeDirectory=wps",
                     "RuntimeDirectoryMode=0700", "TasksMax=infinity", "OOMPolicy=continue"):
            self.assertIn(name, of_user)


class Configuration(Installed):
    """Every option stands in it with its preset, as a comment."""

    def of(self, part):
        """Name and value of each option there, in their order."""
        return re.findall(r'^ *#([a-z-]+) = "(.*)"$', part, re.M)

    def parts(self):
        wpsd, module = re.split(r"^plugin = .*\n", self.config, flags=re.M)
        return wpsd, module

    def assert_has(self, part, presets):
        have = self.of(part)
        self.assertEqual([name for name, _ in have], list(presets))
        for name, value in have:
            if presets[name] is not None:
                self.assertEqual(value, presets[name], name)

    def test_every_option_of_wpsd_is_in_it_with_its_preset(self):
        presets = options_of_wpsd()
        self.assertGreater(len(presets), 20)
        self.assert_has(self.parts()[0], presets)

    def test_every_option_of_the_module_is_in_it_with_its_preset(self):
        presets = options_of_the_module()
        self.assertGreater(len(presets), 15)
        presets["persist"] = "0"
        presets["feed-buffer-kib"] = None  # its feed's: docs/configuration.md
        self.assert_has(self.parts()[1], presets)
        said = subprocess.run([BUILD / "wpsd", "--check-plugin", f"{BUILD}/proctrack.so,no-such-option=1"],
                              text=True, capture_output=True, timeout=60).stderr
        known = re.search(r"there are ([a-z, -]+)", said)[1].split(", ")
        self.assertEqual([name for name, _ in self.of(self.parts()[1])], known)

    def test_each_has_a_line_that_says_why(self):
        above = None
        for line in self.config.splitlines():
            if re.match(r' *#[a-z-]+ = "', line):
                self.assertIsNotNone(above, line)
            elif line.strip().startswith("# "):
                above = line
            elif not line.strip():
                above = None

    def assert_taken(self, text):
        """wpsd gets ready with it. What names a place names one of this test's."""
        runtime = self.home / "run"
        path = self.home / "wpsd.conf"
        text = text.replace(f"{self.prefix}/lib/wps/plugins", str(BUILD)).replace("/run/wps", str(runtime))
        # What works nowhere but as root, and there not everywhere.
        text = re.sub(r'(tracker|feed) = "(cgroup|bpf)"',
                      lambda match: f'{match[1]} = "{"lineage" if match[1] == "tracker" else "poll"}"', text)
        path.write_text(text)
        broker = subprocess.Popen([BUILD / "wpsd", "--config", path], text=True, stderr=subprocess.PIPE,
                                  env=os.environ | {"WPS_RUNTIME_DIR": str(runtime)})
        self.addCleanup(broker.stderr.close)
        self.addCleanup(broker.wait)
        self.addCleanup(broker.kill)
        said = []
        for line in broker.stderr:
            said.append(line)
            if " ready: " in line:
                broker.send_signal(signal.SIGTERM)
        self.assertEqual(broker.wait(60), 0, "".join(said))
        self.assertIn(" ready: ", "".join(said))

    def test_wpsd_takes_it_as_it_is(self):
        self.assert_taken(self.config)

    def test_wpsd_takes_it_with_every_option_in_force(self):
        """But for those that name keys, which are not there."""
        text, n = re.subn(r'^( *)#((?!curve-)[a-z-]+ = ".*")$', r"\1\2", self.config, flags=re.M)
        self.assertGreater(n, 35)
        self.assert_taken(text)


if __name__ == "__main__":
    unittest.main()
