# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` brings is enough to build a plugin elsewhere and to run it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import msgpack
import zmq

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["EMBED_BUILD"])
CMAKE = os.environ.get("EMBED_CMAKE", "cmake")
LIBDIR = os.environ.get("EMBED_LIBDIR", "lib")
PLUGIN_DIR = os.environ.get("EMBED_PLUGIN_DIR", "lib/wps/plugins")


def run(*words, **more):
    ended = subprocess.run([str(word) for word in words], text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, **more)
    return ended.returncode, ended.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        # Installed at one place and then moved: nothing in it may name where it was.
        first, cls.prefix = cls.home / "first", cls.home / "usr"
        status, out = run(CMAKE, "--install", BUILD, "--prefix", first)
        assert status == 0, out
        first.rename(cls.prefix)
        cls.wpsd = cls.prefix / "bin" / "wpsd"
        cls.plugins = cls.prefix / PLUGIN_DIR

    def assert_runs(self, *words, **more):
        status, out = run(*words, **more)
        self.assertEqual(status, 0, out)
        return out

    def build_elsewhere(self, name, *options, env=None):
        """Copied out of this tree, so that nothing of it is found by accident."""
        source, build = self.home / name / "source", self.home / name / "build"
        shutil.copytree(HERE / "out_of_tree", source)
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH")} | (env or {})
        self.assert_runs(CMAKE, "-S", source, "-B", build, *options, env=environment)
        self.assert_runs(CMAKE, "--build", build, env=environment)
        self.assert_runs(CMAKE, "--install", build, env=environment)
        self.assertTrue((self.plugins / "hello.so").exists())
        (self.plugins / "hello.so").unlink()
        self.assert_accepted(build / "hello.so", "hello", "2.5.0")
        return build / "hello.so"

    def assert_accepted(self, plugin, *words):
        out = self.assert_runs(self.wpsd, "--check-plugin", plugin)
        for word in words:
            self.assertIn(word, out)

    def test_all_is_where_it_belongs(self):
        for path in (self.wpsd, self.prefix / "bin" / "proctrack", self.plugins / "proctrack.so",
                     self.plugins / "proctrack-keeper", self.prefix / "include" / "wps" / "wps_plugin.h",
                     self.prefix / "share" / "man" / "man1" / "proctrack.1",
                     self.prefix / "share" / "man" / "man8" / "wpsd.8",
                     self.prefix / "share" / "bash-completion" / "completions" / "proctrack",
                     self.prefix / "share" / "zsh" / "site-functions" / "_proctrack",
                     self.prefix / "share" / "man" / "man3" / "libproctrack.3",
                     self.prefix / LIBDIR / "libproctrack.so.0", self.prefix / LIBDIR / "libproctrack.a",
                     self.prefix / "include" / "proctrack" / "proctrack.h",
                     self.prefix / LIBDIR / "pkgconfig" / "proctrack.pc",
                     self.prefix / LIBDIR / "cmake" / "Proctrack" / "ProctrackConfig.cmake",
                     self.prefix / "lib" / "systemd" / "system" / "wpsd.service",
                     self.prefix / "lib" / "systemd" / "user" / "wpsd.service",
                     self.prefix / "lib" / "systemd" / "system" / "proctrack-exporter.service",
                     self.prefix / "lib" / "systemd" / "user" / "proctrack-exporter.service",
                     self.prefix / "etc" / "wps" / "wpsd.conf",
                     self.prefix / LIBDIR / "pkgconfig" / "wps-plugin.pc",
                     self.prefix / LIBDIR / "cmake" / "WpsPlugin" / "WpsPluginConfig.cmake"):
            self.assertTrue(path.is_file(), path)

    def test_the_exporter_is_found_where_it_is_installed(self):
        self.assertIn("usage: proctrack exporter", self.assert_runs(self.prefix / "bin" / "proctrack", "exporter", "--help"))
        self.assertFalse((self.prefix / "bin" / "proctrack-exporter").exists())

    def test_nothing_installed_names_the_tree_or_its_first_place(self):
        for path in self.prefix.rglob("*"):
            if path.is_file() and path.suffix in (".cmake", ".pc", ".h"):
                text = path.read_text()
                for place in (BUILD, HERE.parents[1], self.home):
                    self.assertNotIn(str(place), text, path)

    def test_units_and_configuration_name_the_files_of_their_prefix(self):
        """They are for the place that was installed to, which is another one now."""
        first = self.home / "first"
        for flavour in ("system", "user"):
            unit = (self.prefix / "lib" / "systemd" / flavour / "wpsd.service").read_text()
            self.assertIn(f"\nExecStart={first}/bin/wpsd --config ${{WPSD_CONFIG}}\n", unit)
            self.assertIn(f"\nEnvironment=WPSD_CONFIG={first}/etc/wps/wpsd.conf\n", unit)
            self.assertNotRegex(unit, r"@\w+@")
        config = (self.prefix / "etc" / "wps" / "wpsd.conf").read_text()
        self.assertIn(f'\nplugin = "{first / PLUGIN_DIR}/proctrack.so"\n', config)

    def test_a_configuration_that_is_there_is_kept(self):
        prefix = self.home / "again"
        config = prefix / "etc" / "wps" / "wpsd.conf"
        config.parent.mkdir(parents=True)
        config.write_text("# mine\n")
        said = self.assert_runs(CMAKE, "--install", BUILD, "--prefix", prefix, "--component", "broker")
        self.assertEqual(config.read_text(), "# mine\n")
        self.assertIn(f"Kept: {config}", said)

    def test_the_installed_module_is_accepted(self):
        self.assert_accepted(self.plugins / "proctrack.so", "proctrack")

    def test_the_installed_command_finds_the_installed_broker_and_module(self):
        found = json.loads(run(self.prefix / "bin" / "proctrack", "doctor", "--json")[1])["findings"]
        programs = next(item for item in found if item["what"] == "programs")
        self.assertEqual(programs["why"], f"{self.wpsd} with {self.plugins / 'proctrack.so'}")
        self.assertIn(("tracker lineage", "ok"), [(item["what"], item["state"]) for item in found])

    def test_the_installed_module_finds_its_keeper(self):
        runtime = tempfile.mkdtemp(prefix="wpsd-install-")
        self.addCleanup(shutil.rmtree, runtime, ignore_errors=True)
        broker = subprocess.Popen([self.wpsd, "--plugin", self.plugins / "proctrack.so"],
                                  stderr=subprocess.DEVNULL, env=os.environ | {"WPS_RUNTIME_DIR": runtime})
        self.addCleanup(broker.wait)
        self.addCleanup(broker.terminate)
        with zmq.Context() as context, context.socket(zmq.REQ) as control:
            control.linger, control.rcvtimeo = 0, 60000
            control.connect(f"ipc://{runtime}/control")
            control.send(msgpack.packb({"command": "describe"}))
            told = msgpack.unpackb(control.recv())["data"]
        if told["tracker"] != "cgroup":
            self.skipTest("only the tracker cgroup has a keeper")
        (tried,) = [tried for tried in told["tried"] if tried["what"] == "keeper"]
        self.assertIs(tried["ok"], True, tried["why"])
        self.assertIn(str(self.plugins / "proctrack-keeper"), tried["why"])

    def test_a_plugin_is_built_with_the_cmake_package(self):
        self.build_elsewhere("package", f"-DCMAKE_PREFIX_PATH={self.prefix}")

    def test_a_plugin_is_built_with_pkg_config_and_runs(self):
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is not installed")
        path = str(self.prefix / LIBDIR / "pkgconfig")
        plugin = self.build_elsewhere("pkg-config", "-DWITH_PKG_CONFIG=ON",
                                      env={"PKG_CONFIG_PATH": path})
        runtime = tempfile.mkdtemp(prefix="wpsd-install-")
        self.addCleanup(shutil.rmtree, runtime, ignore_errors=True)
        broker = subprocess.Popen([self.wpsd, "--plugin", plugin], stderr=subprocess.PIPE, text=True,
                                  env=os.environ | {"WPS_RUNTIME_DIR": runtime})
        self.addCleanup(broker.stderr.close)
        self.addCleanup(broker.wait)
        self.addCleanup(broker.kill)
        said = []
        for line in broker.stderr:
            said.append(line)
            if "ready" in line:
                broker.send_signal(signal.SIGTERM)
        self.assertEqual(broker.wait(60), 0, said)
        self.assertIn("hello from out of the tree", "".join(said))

    def test_one_line_of_a_shell_is_enough(self):
        """As docs/plugins.md says it."""
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is not installed")
        env = os.environ | {"PKG_CONFIG_PATH": str(self.prefix / LIBDIR / "pkgconfig")}
        plugin = self.home / "hello.so"
        self.assert_runs("sh", "-c", f"{os.environ.get('EMBED_CC', 'cc')} -shared -fPIC -Wl,-z,nodelete "
                         f"$(pkg-config --cflags wps-plugin) {HERE}/out_of_tree/hello.c -o {plugin}",
                         env=env)
        self.assert_accepted(plugin, "hello")


if __name__ == "__main__":
    unittest.main()
