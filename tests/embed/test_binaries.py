# SPDX-License-Identifier: Apache-2.0
"""What is installed is hardened: not the flags are looked at but what became of them, in the files."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["EMBED_BUILD"])
CMAKE = os.environ.get("EMBED_CMAKE", "cmake")
LIBDIR = os.environ.get("EMBED_LIBDIR", "lib")
PLUGINS = os.environ.get("EMBED_PLUGIN_DIR", "lib/wps/plugins")

PROGRAMS = ("bin/wpsd", "bin/proctrack", f"{PLUGINS}/proctrack-keeper", f"{PLUGINS}/proctrack-exporter")
LIBRARIES = (f"{PLUGINS}/proctrack.so", f"{LIBDIR}/libproctrack.so")
ENDBR64 = b"\xf3\x0f\x1e\xfa"


def of_each(names, *flags):
    """The test is run on what readelf says of each of these."""
    def decorated(test):
        @functools.wraps(test)
        def run(self):
            for name in names:
                with self.subTest(name):
                    test(self, subprocess.run(["readelf", "--wide", *flags, self.prefix / name], text=True,
                                              capture_output=True, check=True, timeout=60).stdout)
        return run
    return decorated


@unittest.skipUnless(shutil.which("readelf"), "readelf is not installed")
class Binaries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-binaries-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        subprocess.run([CMAKE, "--install", BUILD, "--prefix", cls.prefix], capture_output=True, check=True,
                       timeout=120)

    def test_nothing_that_is_installed_is_left_out_here(self):
        elf = {path for path in self.prefix.rglob("*")
               if path.is_file() and not path.is_symlink() and path.read_bytes().startswith(b"\x7fELF")}
        self.assertEqual({path.relative_to(self.prefix) for path in elf},
                         {(self.prefix / name).resolve().relative_to(self.prefix.resolve())
                          for name in PROGRAMS + LIBRARIES})

    @of_each(PROGRAMS, "--file-header", "--dynamic")
    def test_programs_lie_at_addresses_that_nobody_knows(self, said):
        self.assertRegex(said, r"Type:\s+DYN")
        self.assertRegex(said, r"\(FLAGS_1\).*\bPIE\b")

    @of_each(PROGRAMS + LIBRARIES, "--segments", "--dynamic")
    def test_what_the_loader_filled_in_is_read_only_before_the_first_call(self, said):
        self.assertIn("GNU_RELRO", said)
        self.assertRegex(said, r"\(FLAGS_1\).*\bNOW\b")

    @of_each(PROGRAMS + LIBRARIES, "--segments")
    def test_no_stack_is_executable_and_no_segment_is_writable_and_executable(self, said):
        flags = re.findall(r"^\s+([A-Z_]+)(?:\s+0x\w+){5}\s+([RWE ]{3})\s", said, re.M)
        self.assertEqual([flag for kind, flag in flags if kind == "GNU_STACK"], ["RW "])
        self.assertIn("LOAD", [kind for kind, _ in flags])
        self.assertNotIn("RWE", [flag for _, flag in flags])

    @of_each(PROGRAMS + LIBRARIES, "--dynamic")
    def test_no_directory_is_searched_for_libraries_but_the_systems(self, said):
        self.assertNotRegex(said, r"\((RPATH|RUNPATH)\)")

    @of_each(PROGRAMS + LIBRARIES, "--dyn-syms")
    def test_an_overrun_of_the_stack_ends_the_program(self, said):
        self.assertRegex(said, r"UND __stack_chk_fail\b")

    @of_each(PROGRAMS + LIBRARIES, "--dyn-syms")
    def test_calls_that_fill_a_buffer_are_the_ones_that_know_its_size(self, said):
        """-D_FORTIFY_SOURCE: by their other names. (Only where the compiler sees that all fits may it take
        snprintf itself.)"""
        called = set(re.findall(r"UND (\w+)", said))
        self.assertIn("__vsnprintf_chk", called)
        self.assertFalse(called & {"vsnprintf", "sprintf", "vsprintf", "printf", "fprintf", "vprintf", "vfprintf"})

    @unittest.skipUnless(os.uname().machine == "x86_64", "-fcf-protection is of x86")
    def test_functions_begin_with_the_mark_of_where_a_jump_may_land(self):
        """Whether it is looked at is the loader's business: not where the C library is without it."""
        for name in PROGRAMS + LIBRARIES:
            with self.subTest(name):
                self.assertGreater((self.prefix / name).read_bytes().count(ENDBR64), 50)


if __name__ == "__main__":
    unittest.main()
