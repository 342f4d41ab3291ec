# SPDX-License-Identifier: Apache-2.0
"""The installed libproctrack is enough to build a front end elsewhere, in the ways people build, and it exports
what it says and nothing else."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
SOURCE = ROOT / "tests" / "client" / "front_end.c"
BUILD = pathlib.Path(os.environ["EMBED_BUILD"])
CMAKE = os.environ.get("EMBED_CMAKE", "cmake")
CC = os.environ.get("EMBED_CC", "cc")
LIBDIR = os.environ.get("EMBED_LIBDIR", "lib")
STRICT = ("-Wall", "-Wextra", "-Wshadow", "-Werror")
DEADLINE = 120


def run(*words, **more):
    ended = subprocess.run([str(word) for word in words], text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, **more)
    return ended.returncode, ended.stdout


class Library(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-library-"))
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.prefix = cls.home / "usr"
        for component in ("library", "development"):
            status, out = run(CMAKE, "--install", BUILD, "--prefix", cls.prefix, "--component", component)
            assert status == 0, out
        cls.lib = cls.prefix / LIBDIR
        cls.runtime = cls.home / "run"
        cls.start_broker()

    @classmethod
    def start_broker(cls):
        broker = subprocess.Popen([BUILD / "wpsd", "--plugin", BUILD / "proctrack.so"], stderr=subprocess.DEVNULL,
                                  env=os.environ | {"WPS_RUNTIME_DIR": str(cls.runtime)})
        cls.addClassCleanup(broker.wait)
        cls.addClassCleanup(broker.terminate)
        until = time.monotonic() + DEADLINE
        while run(BUILD / "proctrack", "ls", "--runtime-dir", cls.runtime)[0]:
            assert time.monotonic() < until and broker.poll() is None, "the broker is not ready"

    def assert_runs(self, *words, **more):
        status, out = run(*words, **more)
        self.assertEqual(status, 0, out)
        return out

    def pkg_config(self, *words, path=None):
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is not installed")
        return self.assert_runs("pkg-config", *words, "proctrack", env=os.environ | {
            "PKG_CONFIG_PATH": str(path or self.lib / "pkgconfig")}).split()

    def assert_lives(self, program, *before):
        out = self.assert_runs(*before, program, env=os.environ | {
            "WPS_RUNTIME_DIR": str(self.runtime), "LD_LIBRARY_PATH": str(self.lib)})
        self.assertIn("did all it must", out)

    def needed(self, program):
        return re.findall(r"NEEDED\s+(\S+)", self.assert_runs("objdump", "-p", program))

    def build_shared(self):
        program = self.home / "shared"
        self.assert_runs(CC, "-g", "-pthread", *STRICT, SOURCE, *self.pkg_config("--cflags", "--libs"), "-o", program)
        return program

    def test_with_pkg_config_and_the_shared_library(self):
        program = self.build_shared()
        self.assertIn("libproctrack.so.0", self.needed(program))
        self.assertNotIn("libzmq.so.5", self.needed(program))
        self.assert_lives(program)

    def test_with_pkg_config_and_the_archive_alone(self):
        alone = self.home / "alone"
        shutil.copytree(self.prefix, alone, symlinks=True)
        for shared in (alone / LIBDIR).glob("libproctrack.so*"):
            shared.unlink()
        words = self.pkg_config("--static", "--cflags", "--libs", path=alone / LIBDIR / "pkgconfig")
        program = self.home / "static"
        self.assert_runs(CC, "-pthread", *STRICT, SOURCE, *words, "-o", program)
        self.assertNotIn("libproctrack.so.0", self.needed(program))
        self.assert_lives(program)

    def test_with_the_archive_beside_the_shared_library_as_the_page_says(self):
        page = (ROOT / "docs" / "client.md").read_text()
        words = re.search(r"--cflags proctrack\) (-l:.*?) +#", page)[1].split()
        program = self.home / "beside"
        self.assert_runs(CC, "-pthread", *STRICT, SOURCE, *self.pkg_config("--cflags"), f"-L{self.lib}", *words,
                         "-o", program)
        self.assertNotIn("libproctrack.so.0", self.needed(program))
        self.assert_lives(program)

    def test_with_the_cmake_package_shared_static_and_from_cpp(self):
        if not shutil.which("c++"):
            self.skipTest("c++ is not installed")
        source, build = self.home / "source", self.home / "build"
        shutil.copytree(HERE / "front_end", source)
        shutil.copy(SOURCE, source)
        self.assert_runs(CMAKE, "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        self.assert_runs(CMAKE, "--build", build)
        self.assertNotIn("libproctrack.so.0", self.needed(build / "static"))
        for program in ("shared", "static", "cpp"):
            with self.subTest(program):
                self.assert_lives(build / program)

    def test_every_header_stands_alone_in_old_and_new_c_and_cpp(self):
        compilers = [(CC, "c", "c99"), (CC, "c", "gnu17")]
        if shutil.which("c++"):
            compilers += [("c++", "c++", "c++11"), ("c++", "c++", "c++20")]
        for header in sorted((self.prefix / "include" / "proctrack").iterdir()):
            for compiler, language, standard in compilers:
                with self.subTest(header=header.name, standard=standard):
                    self.assert_runs(compiler, "-x", language, f"-std={standard}", "-pedantic", *STRICT,
                                     "-fsyntax-only", header)

    def test_no_header_shows_a_type_of_another_library(self):
        for header in (self.prefix / "include" / "proctrack").iterdir():
            for included in re.findall(r'^#include ([<"].*[>"])', header.read_text(), re.M):
                self.assertRegex(included, r'^(<(std\w+|sys/types)\.h>|"\w+\.h")$', header.name)

    def exported(self, *words):
        return [line.split()[-1] for line in self.assert_runs("nm", "--defined-only", *words).splitlines()
                if len(line.split()) == 3]

    def declared(self):
        headers = "".join(header.read_text() for header in (self.prefix / "include" / "proctrack").iterdir())
        return set(re.findall(r"^PROCTRACK_API[^;]*?\b(proctrack_\w+)\(", headers, re.M))

    def test_what_the_headers_declare_is_exported_with_a_version_and_nothing_else(self):
        names = set(self.exported("-D", self.lib / "libproctrack.so.0"))
        names.discard("PROCTRACK_0.1")
        self.assertEqual(names, {f"{name}@@PROCTRACK_0.1" for name in self.declared()})

    def test_the_archive_has_no_other_name_that_could_meet_one_of_its_users(self):
        self.assertEqual(set(self.exported("-g", self.lib / "libproctrack.a")), self.declared())

    def test_its_soname_is_the_one_that_programs_ask_for(self):
        out = self.assert_runs("objdump", "-p", self.lib / "libproctrack.so")
        self.assertRegex(out, r"SONAME\s+libproctrack\.so\.0\n")

    def test_valgrind_finds_no_leak_and_no_error(self):
        if not shutil.which("valgrind"):
            self.skipTest("valgrind is not installed")
        self.assert_lives(self.build_shared(), "valgrind", "-q", "--error-exitcode=9", "--leak-check=full",
                          "--show-leak-kinds=definite,possible", "--errors-for-leak-kinds=definite,possible",
                          "--child-silent-after-fork=yes")

    def test_the_interface_is_the_recorded_one(self):
        if not shutil.which("abidiff"):
            self.skipTest("abidiff is not installed")
        status, out = run(ROOT / "scripts" / "abi", "check", BUILD)
        if status == 77:
            self.skipTest(out)
        self.assertEqual(status, 0, out)


if __name__ == "__main__":
    unittest.main()
