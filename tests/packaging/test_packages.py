# SPDX-License-Identifier: Apache-2.0
"""What cpack made: each package has what it should, depends on what it needs, and Lintian finds no fault."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from root import BUILD, package

LIBDIR = os.environ["PACKAGING_LIBDIR"]
NAMES = ("proctrack", "libproctrack0", "libproctrack-dev", "python3-proctrack")


def dpkg_deb(option, name, *words):
    return subprocess.run(["dpkg-deb", option, package(name), *words], text=True, capture_output=True, check=True,
                          timeout=60).stdout


def fields(name):
    """Of its control file; what is below a field's first line is left out."""
    return dict(re.findall(r"^(\S+): (.*)$", dpkg_deb("--field", name), re.M))


def depends(name):
    """The packages that it depends on, each with its version."""
    return {word.split()[0]: word for word in fields(name)["Depends"].split(", ")}


def contents(name):
    """Its files and links: mode and owner by the path."""
    lines = [line.split(None, 5) for line in dpkg_deb("--contents", name).splitlines()]
    return {words[5].split(" -> ")[0][1:]: (words[0], words[1]) for words in lines if words[0][0] != "d"}


def needed(*files):
    """The libraries that these want, as the loader has them."""
    told = subprocess.run(["readelf", "-d", *files], text=True, capture_output=True, check=True, timeout=60).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", told))


class Contents(unittest.TestCase):
    def assert_holds(self, name, *paths):
        have = contents(name)
        for path in paths:
            self.assertIn(path, have, name)

    def test_the_broker_brings_programs_module_units_pages_and_configuration(self):
        self.assert_holds("proctrack", "/usr/bin/wpsd", "/usr/bin/proctrack",
                          "/usr/lib/wps/plugins/proctrack.so", "/usr/lib/wps/plugins/proctrack-keeper",
                          "/usr/lib/systemd/system/wpsd.service", "/usr/lib/systemd/user/wpsd.service",
                          "/usr/share/man/man1/proctrack.1.gz", "/usr/share/man/man8/wpsd.8.gz",
                          "/usr/share/bash-completion/completions/proctrack",
                          "/usr/share/zsh/site-functions/_proctrack", "/etc/wps/wpsd.conf")

    def test_the_library_is_apart_from_what_is_built_with_it(self):
        libraries = {path for path in contents("libproctrack0") if not path.startswith("/usr/share/")}
        self.assertEqual({re.sub(r"(\.so\.0).+", r"\1", path) for path in libraries},
                         {f"/usr/{LIBDIR}/libproctrack.so.0"})
        self.assert_holds("libproctrack-dev", f"/usr/{LIBDIR}/libproctrack.so", f"/usr/{LIBDIR}/libproctrack.a",
                          f"/usr/{LIBDIR}/pkgconfig/proctrack.pc", f"/usr/{LIBDIR}/pkgconfig/wps-plugin.pc",
                          f"/usr/{LIBDIR}/cmake/Proctrack/ProctrackConfig.cmake",
                          f"/usr/{LIBDIR}/cmake/WpsPlugin/WpsPluginConfig.cmake",
                          "/usr/include/proctrack/proctrack.h", "/usr/include/wps/wps_plugin.h")

    def test_the_python_package_has_every_module_of_the_client(self):
        source = pathlib.Path(__file__).resolve().parents[2] / "clients" / "python" / "src" / "proctrack"
        self.assert_holds("python3-proctrack", *(f"/usr/lib/python3/dist-packages/proctrack/{path.name}"
                                                 for path in source.iterdir() if path.name != "__pycache__"))

    def test_no_file_is_in_two_packages(self):
        seen = {}
        for name in NAMES:
            for path in contents(name):
                self.assertIsNone(seen.get(path), f"{path} is in {name} too")
                seen[path] = name

    def test_each_says_its_licence_and_its_changes(self):
        for name in NAMES:
            self.assert_holds(name, f"/usr/share/doc/{name}/copyright", f"/usr/share/doc/{name}/changelog.Debian.gz")

    def test_all_of_it_is_roots_and_nobody_else_may_write_it(self):
        for name in NAMES:
            for path, (mode, owner) in contents(name).items():
                self.assertEqual(owner, "root/root", path)
                self.assertRegex(mode, r"^(l.*|-rw[x-]r-[x-]r-[x-])$", path)

    def test_the_version_is_that_of_the_changes(self):
        with tempfile.TemporaryDirectory() as home:
            dpkg_deb("--extract", "proctrack", home)
            log = f"{home}/usr/share/doc/proctrack/changelog.Debian.gz"
            newest = subprocess.run(["gzip", "-dc", log], text=True, capture_output=True, check=True).stdout
            self.assertEqual(re.search(r"\((.*?)\)", newest)[1], fields("proctrack")["Version"])
            told = subprocess.run([f"{home}/usr/bin/wpsd", "--version"], text=True, capture_output=True,
                                  check=True, timeout=60).stdout
            self.assertEqual(told.split()[1], fields("proctrack")["Version"].split("-")[0])

    def test_only_the_configuration_is_kept_for_its_owner(self):
        self.assertEqual(dpkg_deb("--info", "proctrack", "conffiles"), "/etc/wps/wpsd.conf\n")
        for name in NAMES[1:]:
            self.assertFalse([path for path in contents(name) if path.startswith("/etc/")], name)


class Depends(unittest.TestCase):
    def assert_has_owners(self, name, libraries):
        """The package depends on whoever brings each of these libraries, and says from which version on."""
        for library in libraries:
            told = subprocess.run(["dpkg-query", "--search", f"*/{library}"], text=True, capture_output=True,
                                  timeout=60).stdout
            owners = {line.split(":")[0] for line in told.splitlines()} - set(NAMES)
            (owner,) = owners & set(depends(name)) or {f"none of {owners} for {library}"}
            self.assertRegex(depends(name).get(owner, owner), r"\(>= \S+\)$")

    def test_the_broker_depends_on_every_library_that_its_programs_load(self):
        programs = [BUILD / pathlib.Path(path).name for path in contents("proctrack")
                    if path.startswith(("/usr/bin/", "/usr/lib/wps/"))]
        self.assertGreaterEqual(len(programs), 4)
        self.assert_has_owners("proctrack", needed(*programs))

    def test_the_library_depends_on_what_it_loads_and_not_on_the_broker(self):
        self.assert_has_owners("libproctrack0", needed(BUILD / "libproctrack.so"))
        self.assertNotIn("proctrack", depends("libproctrack0"))

    def test_the_development_files_are_for_just_this_library(self):
        version = fields("libproctrack0")["Version"]
        self.assertEqual(depends("libproctrack-dev")["libproctrack0"], f"libproctrack0 (= {version})")
        self.assertLessEqual({"libzmq3-dev", "libmsgpack-dev"}, set(depends("libproctrack-dev")))

    def test_what_is_linked_with_the_library_will_depend_on_it(self):
        """dpkg-shlibdeps reads that in `shlibs`."""
        library, version, owner, _ = dpkg_deb("--info", "libproctrack0", "shlibs").split(None, 3)
        told = subprocess.run(["readelf", "-d", BUILD / "libproctrack.so"], text=True, capture_output=True,
                              check=True, timeout=60).stdout
        self.assertEqual(f"{library}.so.{version}", re.search(r"\(SONAME\).*\[(.*)\]", told)[1])
        self.assertEqual(owner, "libproctrack0")

    def test_the_python_package_depends_on_what_it_imports(self):
        self.assertLessEqual({"python3", "python3-zmq", "python3-msgpack"}, set(depends("python3-proctrack")))
        self.assertEqual(fields("python3-proctrack")["Architecture"], "all")


@unittest.skipUnless(shutil.which("lintian"), "lintian is not installed")
class Lintian(unittest.TestCase):
    def test_it_finds_neither_errors_nor_warnings(self):
        ended = subprocess.run(["lintian", "--profile", "debian", "--fail-on", "error,warning", "--allow-root",
                                "--tag-display-limit", "0", *map(package, NAMES)], text=True,
                               capture_output=True, timeout=240)
        self.assertEqual((ended.returncode, ended.stdout), (0, ""), ended.stderr)


if __name__ == "__main__":
    unittest.main()
