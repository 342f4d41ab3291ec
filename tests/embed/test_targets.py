# SPDX-License-Identifier: Apache-2.0
"""The targets that ./run and bench/run name lead to the files that are started afterwards, on a tree
where nothing was built yet. (Ninja takes a name for that of a file where there is such a file.)"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CMAKE = os.environ.get("EMBED_CMAKE", "cmake")


def output(*words):
    ended = subprocess.run([str(word) for word in words], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@unittest.skipUnless(shutil.which("ninja"), "ninja is not installed")
class Targets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-fresh-"))
        cls.addClassCleanup(shutil.rmtree, cls.tree)
        output(CMAKE, "--preset", "release", "-G", "Ninja", "-B", cls.tree)

    def linked(self, script, names):
        """The programs and modules that would be built for a script; nothing is."""
        (targets,) = re.findall(names, (ROOT / script).read_text(), re.M)
        plan = output(CMAKE, "--build", self.tree, "--target", *targets.split(), "--", "-n")
        return set(re.findall(r"Linking C (?:executable|shared module) (\S+)", plan))

    def test_run_builds_what_it_starts_and_the_command(self):
        self.assertEqual(self.linked("run", r"^build_preset release (.+)$"),
                         {"wpsd", "proctrack.so", "proctrack-keeper", "proctrack"})

    def test_the_benchmark_builds_what_it_measures(self):
        self.assertLessEqual({"wpsd", "proctrack.so", "proctrack-keeper", "launch"},
                             self.linked("bench/run", r'"--target",\s+"(\w+)"'))


if __name__ == "__main__":
    unittest.main()
