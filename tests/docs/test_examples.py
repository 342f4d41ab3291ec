# SPDX-License-Identifier: Apache-2.0
"""Every marked example of README.md, CONTRIBUTING.md and docs/ does what its page says."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

from pages import BUILD, MODULE, ROOT, examples, one

sys.path.insert(0, str(ROOT / "tests" / "broker"))
sys.path.insert(0, str(ROOT / "tests" / "clients"))

import msgpack  # noqa: E402
import typescript  # noqa: E402
import zmq  # noqa: E402
from wpsd import DEADLINE, WPSD, BrokerTest  # noqa: E402

try:
    import jsonschema
except ImportError:
    jsonschema = None

PYTHON = sys.executable
PID_IN_PAGES = 4711


def check(name, value):
    """Holds a value against a schema of schemas/."""
    path = ROOT / "schemas" / f"{name}.schema.json"
    schema = json.loads(path.read_text())
    resolver = jsonschema.RefResolver(path.as_uri(), schema)
    jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)


class Example(BrokerTest):
    def with_module(self, *options):
        broker = self.broker("--plugin", ",".join([str(MODULE), *options]))
        self.control = self.connect(zmq.REQ, broker.endpoint("control"))
        return broker

    def script(self, text, **env):
        """A Python example at work; its lines can be waited for."""
        process = subprocess.Popen([PYTHON, "-u", "-c", text], text=True, stdout=subprocess.PIPE,
                                   env=os.environ | {"WPS_RUNTIME_DIR": self.runtime} | env)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def line_with(self, process, part):
        """Its next line that has `part`."""
        lines = []

        def time_up(number, frame):
            raise AssertionError(f"it did not say {part!r} in time, but {lines}")

        signal.signal(signal.SIGALRM, time_up)
        signal.alarm(DEADLINE)
        try:
            for line in process.stdout:
                lines.append(line)
                if part in line:
                    return line
            raise AssertionError(f"it ended without {part!r}: {lines}")
        finally:
            signal.alarm(0)

    def demo(self):
        """The block `demo` with one process in it."""
        self.ask_ok("ensure_tracker", {"block_id": "demo"}, self.control)
        child = self.child("sleep", "1000")
        self.ask_ok("assign_process", {"block_id": "demo", "pid": child.pid}, self.control)
        return child


class Python(Example):
    def test_the_readme_lists_and_then_tells_events(self):
        self.with_module()
        child = self.demo()
        script = self.script(one("python", "README.md", "readme"))
        self.line_with(script, f"is there {child.pid} sleep 1000")
        # Its subscription is on its way; of this the event, or the mark a second later, arrives.
        second = self.child("sleep", "1001")
        self.ask_ok("assign_process", {"block_id": "demo", "pid": second.pid}, self.control)
        self.line_with(script, "block:demo agent:")
        self.ask_ok("kill_tree", {"block_id": "demo"}, self.control)
        self.line_with(script, "block:demo agent:process-exited")

    def test_the_mirror_of_the_protocol_page_follows_the_block(self):
        self.with_module()
        self.demo()
        script = self.script(one("python", "protocol.md", "mirror"))
        self.line_with(script, "1 processes: ['sleep 1000']")
        second = self.child("sleep", "1001")
        self.ask_ok("assign_process", {"block_id": "demo", "pid": second.pid}, self.control)
        self.line_with(script, "2 processes: ['sleep 1000', 'sleep 1001']")
        self.ask_ok("kill_pid", {"block_id": "demo", "pid": second.pid}, self.control)
        self.line_with(script, "1 processes: ['sleep 1000']")
        self.ask_ok("remove", {"block_id": "demo"}, self.control)
        self.assertEqual(script.wait(DEADLINE), 0)


class Programs(Example):
    """The small programs of examples/ that pages name."""

    def program(self, name, *words):
        return subprocess.run([PYTHON, "-B", ROOT / "examples" / name, *words], text=True,
                              capture_output=True, timeout=DEADLINE,
                              env=os.environ | {"WPS_RUNTIME_DIR": self.runtime})

    def test_ask_does_what_its_usage_shows(self):
        self.with_module()
        child = self.child("sleep", "1000")
        usage = self.program("ask.py", "--help").stdout
        lines = re.findall(r"^ +ask\.py (.+)$", usage, re.M)
        self.assertGreaterEqual(len(lines), 4)
        for line in lines:
            ended = self.program("ask.py", *line.replace(str(PID_IN_PAGES), str(child.pid)).split())
            self.assertEqual(ended.returncode, 0, f"{line}: {ended.stderr}")
            self.assertIsInstance(json.loads(ended.stdout), dict)
        self.assertEqual(child.wait(DEADLINE), -signal.SIGKILL, "the last one ended it")

    def test_ask_says_what_the_broker_refuses(self):
        self.with_module()
        ended = self.program("ask.py", "ensure_tracker", "block_id=not/allowed")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn("ask.py: invalid_argument: data.block_id", ended.stderr)

    def test_watch_shows_who_is_there_and_what_happens(self):
        self.with_module()
        child = self.demo()
        watch = subprocess.Popen([PYTHON, "-u", "-B", ROOT / "examples" / "watch.py", "demo"],
                                 text=True, stdout=subprocess.PIPE,
                                 env=os.environ | {"WPS_RUNTIME_DIR": self.runtime})
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        self.line_with(watch, "demo: 1 processes")
        self.line_with(watch, "sleep 1000")
        self.ask_ok("kill_tree", {"block_id": "demo"}, self.control)
        self.line_with(watch, str(child.pid))
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(DEADLINE), 0)


class Messages(Example):
    @unittest.skipUnless(jsonschema, "python3-jsonschema is not installed")
    def test_every_event_fits_its_schema(self):
        found = examples("event")
        self.assertTrue(found)
        for page, _, text in found:
            event = json.loads(text)
            with self.subTest(page=page, event=event["event"]):
                check("event", event)
                check(event["event"].replace(":", "."), event["data"])

    @unittest.skipUnless(jsonschema, "python3-jsonschema is not installed")
    def test_every_request_and_reply_fits_its_schema(self):
        for page, words, text in examples("ask"):
            for request, reply in self.pairs(text):
                with self.subTest(page=page, request=request):
                    check("request", request)
                    check("reply", reply)
                    if "error" not in reply:
                        name = f"{words[0]}.{request['command']}"
                        check(f"{name}.request", request.get("data", {}))
                        check(f"{name}.reply", reply["data"])

    @staticmethod
    def pairs(text):
        sent = [json.loads(line[2:]) for line in text.splitlines() if line.startswith("> ")]
        back = [json.loads(line[2:]) for line in text.splitlines() if line.startswith("< ")]
        assert len(sent) == len(back) and sent
        return list(zip(sent, back))

    def assert_like(self, shown, got, where):
        """Each key of the example is in the reply, with a value of the same kind; a list in the
        example has in the reply either none or such as the example's first."""
        self.assertIs(type(shown), type(got), f"{where}: {shown} and {got}")
        if isinstance(shown, dict) and not where.endswith(("counters", "limits", "endpoints")):
            for key, value in shown.items():
                self.assertIn(key, got, where)
                self.assert_like(value, got[key], f"{where}.{key}")
        elif isinstance(shown, list) and shown:
            self.assertTrue(got, where)
            self.assert_like(shown[0], got[0], f"{where}[0]")

    def test_every_request_gets_the_reply_that_is_shown(self):
        """In the order of the page."""
        broker = self.with_module()
        child = self.child("sleep", "1000")
        commands = self.ask_ok("describe", None, self.control)["commands"]
        asked = set()
        for page, words, text in examples("ask"):
            client = self.connect(zmq.REQ, broker.endpoint(words[0]))
            for request, shown in self.pairs(text):
                name, data = request["command"], request.get("data", {})
                if data.get("pid") == PID_IN_PAGES:
                    data["pid"] = child.pid
                reply = self.ask_raw(msgpack.packb(request), client)
                asked.add(name)
                with self.subTest(page=page, command=name):
                    self.assert_like(shown, reply, name)
                    if "errorcode" in shown:
                        self.assertEqual(reply["errorcode"], shown["errorcode"])
                    for key in ("ok", "tracked", "created", "empty", "assigned"):
                        if key in shown.get("data", {}):
                            self.assertEqual(reply["data"][key], shown["data"][key], name)
        self.assertEqual(set(commands) - asked, set(), "commands that the page does not show")


class Client(Example):
    def program(self, name, page="client.md"):
        """The example of a page, built against the library as this tree built it."""
        if not shutil.which("cc"):
            self.skipTest("cc is not installed")
        if os.path.exists(os.path.join(self.home, name)):
            return os.path.join(self.home, name)
        pathlib.Path(self.home, f"{name}.c").write_text(one("c", page, name))
        sanitize = os.environ.get("DOCS_SANITIZE", "").replace(";", ",")
        command = ["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{BUILD}/include", f"{name}.c",
                   f"-L{BUILD}", f"-Wl,-rpath,{BUILD}", "-lproctrack", "-o", name]
        ended = subprocess.run(command + ([f"-fsanitize={sanitize}"] if sanitize else []), text=True,
                               cwd=self.home, capture_output=True, timeout=DEADLINE)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        return os.path.join(self.home, name)

    def run_program(self, name):
        ended = subprocess.run([self.program(name)], text=True, capture_output=True, timeout=DEADLINE,
                               env=os.environ | {"WPS_RUNTIME_DIR": self.runtime})
        return ended.returncode, ended.stdout, ended.stderr

    def start_program(self, name):
        process = subprocess.Popen([self.program(name)], text=True, stdout=subprocess.PIPE,
                                   env=os.environ | {"WPS_RUNTIME_DIR": self.runtime})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_the_mirror_of_the_page_tells_who_is_there(self):
        self.with_module("feed=poll", "poll-ms=20")
        child = self.demo()
        process = self.start_program("mirror")
        self.assertEqual(self.line_with(process, str(child.pid)), f"demo: {child.pid} sleep 1000\n")

    def front_end(self, command, **env):
        """One that shows the block `demo`: it draws who is there, and who comes."""
        self.with_module("feed=poll", "poll-ms=20")
        first = self.demo()
        process = subprocess.Popen([*command, "demo"], text=True, bufsize=1, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE,
                                   env=os.environ | {"WPS_RUNTIME_DIR": self.runtime} | env)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.line_with(process, f"{first.pid}  sleep 1000")
        second = self.child("sleep", "1001")
        self.ask_ok("assign_process", {"block_id": "demo", "pid": second.pid}, self.control)
        self.line_with(process, "-- 2 processes")
        self.line_with(process, f"{second.pid}  sleep 1001")
        return process

    def stops(self, front_end):
        front_end.stdin.write("stop\n")
        self.line_with(front_end, "stopped: 2 by themselves, 0 killed")

    def ends(self, front_end):
        front_end.communicate(timeout=DEADLINE)
        self.assertEqual(front_end.returncode, 0)

    def test_the_front_end_in_c_draws_the_block(self):
        front_end = self.front_end([self.program("embedding", "embedding.md")])
        self.ask_ok("kill_tree", {"block_id": "demo"}, self.control)
        self.line_with(front_end, "-- 0 processes")
        self.ends(front_end)

    def test_the_front_end_in_python_draws_the_block_and_stops_it(self):
        program = one("python", "embedding.md", "embedding")
        front_end = self.front_end([PYTHON, "-u", "-B", "-c", program],
                                   PYTHONPATH=str(ROOT / "clients" / "python" / "src"))
        self.stops(front_end)
        self.ends(front_end)

    def test_the_front_end_in_typescript_draws_the_block_and_stops_it(self):
        if os.environ.get("DOCS_SANITIZE"):
            self.skipTest("it does not depend on how the broker was built")
        try:
            built = typescript.prepare(BUILD)
        except typescript.Unavailable as why:
            self.skipTest(str(why))
        front_end = self.front_end(["node", str(built / "dist" / "examples" / "embedding.js")])
        self.stops(front_end)
        self.ends(front_end)

    def test_the_request_of_the_page_stops_the_block_or_says_why_not(self):
        status, _, said = self.run_program("ask")
        self.assertEqual(status, 1)
        self.assertIn("start a broker there", said)
        self.with_module("feed=poll", "poll-ms=20")
        self.assertEqual(self.run_program("ask"), (1, "nothing to stop\n", ""))
        self.demo()
        self.assertEqual(self.run_program("ask"), (0, "1 ended in order, 0 were killed\n", ""))

    def test_any_command_is_asked_as_the_page_shows(self):
        self.with_module("feed=poll", "poll-ms=20")
        self.demo()
        confidence = self.ask_ok("confidence_of", {"block_id": "demo"}, self.control)["confidence"]
        self.assertEqual(self.run_program("any"), (0, f"{confidence}\n", ""))

    def test_the_loop_of_the_page_tells_who_ended(self):
        self.with_module("feed=poll", "poll-ms=20")
        child = self.demo()
        process = self.start_program("loop")
        self.line_with(process, "from now on")
        child.kill()
        self.assertEqual(self.line_with(process, str(child.pid)), f"demo: {child.pid} ended\n")


class Plugin(Example):
    def setUp(self):
        super().setUp()
        self.source = one("plugin", "plugins.md")
        # An installed tree, so that the commands of the page run as they stand.
        self.prefix = pathlib.Path(self.home, "usr")
        for name in ("wps", "bin", "pc"):
            (self.prefix / name).mkdir(parents=True)
        shutil.copy(ROOT / "broker_shim" / "wps_plugin.h", self.prefix / "wps")
        (self.prefix / "bin" / "wpsd").symlink_to(WPSD)
        (self.prefix / "pc" / "wps-plugin.pc").write_text(
            f"Name: wps-plugin\nDescription: -\nVersion: 1\nCflags: -I{self.prefix}/wps\n")
        pathlib.Path(self.home, "clock.c").write_text(self.source)
        self.env = os.environ | {"PKG_CONFIG_PATH": str(self.prefix / "pc"),
                                 "PATH": f"{self.prefix}/bin:{os.environ['PATH']}"}

    def build(self):
        if not shutil.which("pkg-config") or not shutil.which("cc"):
            self.skipTest("cc or pkg-config is not installed")
        ended = subprocess.run(["sh", "-e", "-c", one("sh", "plugins.md", "build-plugin")], text=True,
                               cwd=self.home, env=self.env, capture_output=True, timeout=DEADLINE)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        self.assertIn("clock", ended.stdout + ended.stderr)
        return os.path.join(self.home, "clock.so")

    def test_it_is_sixty_lines_and_no_more(self):
        self.assertLessEqual(len(self.source.splitlines()), 60)

    def test_it_builds_without_a_warning_and_ticks(self):
        plugin = self.build()
        ended = subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                f"-I{self.prefix}/wps", "clock.c"], cwd=self.home, text=True,
                               capture_output=True, timeout=DEADLINE)
        self.assertEqual(ended.stderr, "")
        broker = self.broker("--plugin", f"{plugin},ms=20")
        socket = self.subscribe(broker, "clock")
        first = self.next_event(socket)[1]
        self.assertEqual(first["event"], "clock:tick")
        self.assertEqual(self.next_event(socket)[1]["data"], (first["data"] + 1) % 128)

    def test_the_cmake_package_of_the_page_builds_and_installs_it(self):
        if not shutil.which("cmake"):
            self.skipTest("cmake is not installed")
        source, build, usr = (pathlib.Path(self.home, name) for name in ("source", "build", "usr2"))
        source.mkdir()
        (source / "clock.c").write_text(self.source)
        (source / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.22)\nproject(clock LANGUAGES C)\n"
            + one("cmake", "plugins.md", "package"))
        for words in (["--install", BUILD, "--prefix", usr],
                      ["-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={usr}"],
                      ["--build", build], ["--install", build, "--prefix", usr]):
            ended = subprocess.run(["cmake", *words], text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, timeout=3 * DEADLINE)
            self.assertEqual(ended.returncode, 0, ended.stdout)
        (plugin,) = usr.rglob("wps/plugins/*clock.so")
        ended = subprocess.run([WPSD, "--check-plugin", plugin], text=True, capture_output=True,
                               timeout=DEADLINE)
        self.assertEqual(ended.returncode, 0, ended.stderr)

    def test_it_refuses_what_it_does_not_know(self):
        broker = self.start("--plugin", f"{self.build()},colour=red")
        self.assertEqual(broker.wait_end(), 3)
        self.assertIn("colour", broker.log())


class Configuration(Example):
    def test_the_configuration_file_is_taken(self):
        """With the plugins of this build, and its state in a directory of the test's."""
        plugins = "/usr/lib/wps/plugins"
        text = one("config", "configuration.md")
        self.assertIn(f"{plugins}/proctrack.so", text)
        state = os.path.join(self.home, "state")
        os.mkdir(state)
        text = text.replace(plugins, str(BUILD)).replace("/run/wps-state", state)
        text = text.replace('"netlink"', '"poll"')  # the only one that works everywhere
        path = pathlib.Path(self.home, "wpsd.conf")
        path.write_text(text)
        self.broker("--config", str(path))
        running = {plugin["name"]: plugin["state"]
                   for plugin in self.ask_ok("brokerinfo")["plugins"]}
        self.assertEqual(set(running), {"proctrack", "state_file"})
        self.assertEqual(len(set(running.values())), 1)


class Terminal(Example):
    """Lines for a shell, run as they stand, where `build` is this build."""

    def setUp(self):
        super().setUp()
        pathlib.Path(self.home, "build").symlink_to(BUILD)
        self.temporary = pathlib.Path(self.home, "tmp")
        self.temporary.mkdir()

    def sh(self, text):
        """A shell at work on that, ended with all that it started."""
        process = subprocess.Popen(["sh", "-e", "-c", text], cwd=self.home, text=True,
                                   start_new_session=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=os.environ | {"TMPDIR": str(self.temporary)})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(self.signal_all, process, signal.SIGKILL)
        self.addCleanup(self.end_all, process)
        return process

    @staticmethod
    def signal_all(process, number):
        """False: none of them is left."""
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def end_all(self, process):
        """In order: a broker among them takes its cgroup away."""
        self.signal_all(process, signal.SIGTERM)
        end = time.monotonic() + DEADLINE
        while process.poll() is None or self.signal_all(process, 0):
            if time.monotonic() > end:
                raise AssertionError("they do not end on SIGTERM")
            time.sleep(0.01)

    def until(self, reached, what):
        """Waits for what only looking can tell: a file that a program writes."""
        end = time.monotonic() + DEADLINE
        while not (result := reached()):
            self.assertLess(time.monotonic(), end, what)
        return result

    def broker_of(self, *where):
        """Starts the one that a page shows; comes back when it serves, with its runtime directory."""
        broker = self.sh(one("sh", *where))
        line = self.line_with(broker, ": ")
        while "ready: " not in line:
            if "start failed" in line and "netlink" in line:
                self.skipTest(line)
            line = self.line_with(broker, ": ")
        (runtime,) = self.temporary.iterdir()
        return broker, runtime

    def test_the_patterns_of_the_page_on_secrets_are_taken(self):
        broker, _ = self.broker_of("secrets.md", "mask")
        self.signal_all(broker, signal.SIGTERM)
        broker.wait(DEADLINE)


class Shell(Terminal):
    """Those of README.md and CONTRIBUTING.md."""

    def test_the_broker_of_the_readme_starts_by_hand(self):
        broker, runtime = self.broker_of("README.md", "by-hand")
        self.control = self.connect(zmq.REQ, f"ipc://{runtime}/control")
        self.assertEqual(self.ask_ok("describe", None, self.control)["feed"], "netlink")
        self.signal_all(broker, signal.SIGTERM)
        broker.wait(DEADLINE)

    def test_the_trace_of_a_pid_is_found_as_the_page_says(self):
        start, look = one("sh", "CONTRIBUTING.md", "trace").splitlines()
        broker = self.sh(start)
        log = pathlib.Path(self.home, "trace.log")
        self.until(lambda: log.exists() and "ready: " in log.read_text(), "the broker is not ready")
        (runtime,) = self.temporary.iterdir()
        self.control = self.connect(zmq.REQ, f"ipc://{runtime}/control")
        child = self.demo()
        self.signal_all(broker, signal.SIGTERM)
        broker.wait(DEADLINE)
        found = self.sh(look.replace(str(PID_IN_PAGES), str(child.pid))).communicate()[0]
        self.assertRegex(found, rf"trace proctrack: pid {child.pid} of demo: unborn \+ join -> ")

    def test_one_criterion_program_is_run_alone(self):
        if not (BUILD / "test_trackers_life").exists() or \
                "thread" in os.environ.get("WPSD_SANITIZE", ""):
            self.skipTest("Criterion is not there, or does not work with this sanitizer")
        program = self.sh(one("sh", "CONTRIBUTING.md", "one-program"))
        out = program.communicate(timeout=DEADLINE)[0]
        self.assertEqual(program.returncode, 0, out)
        self.assertRegex(out, r"Tested: *(\x1b\S*)?[1-9]")

    def test_the_two_scripts_know_the_arguments_that_are_shown(self):
        pages = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
        for script in ("./run", "./test"):
            usage = subprocess.run([script, "--help"], cwd=ROOT, text=True, capture_output=True,
                                   check=True, timeout=DEADLINE).stdout
            for line in re.findall(rf"^(?:\w+=\w+ )?{re.escape(script)}\b(.*)$", pages, re.M):
                for option in re.findall(r" (--[a-z-]*)", line.split("#")[0]):
                    self.assertIn(option, usage, script + line)

    def test_the_tests_and_cases_that_are_shown_exist(self):
        page = (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "test").read_text()
        for pattern in re.findall(r"\./test [-a-z ]*?(\w+\.\w+)", page):
            found = subprocess.run(["ctest", "--test-dir", BUILD, "-N", "-R", pattern], text=True,
                                   capture_output=True, check=True, timeout=DEADLINE).stdout
            self.assertRegex(found, r"Total Tests: [1-9]", pattern)
        for case, suite in re.findall(r"PROCTRACK_CASE=(\w+) .*system\.(\w+)", page):
            source = (ROOT / "tests" / "system" / f"test_{suite}.py").read_text()
            self.assertRegex(source, rf"def test_\w*{case}", f"{case} of {suite}")


def like(text):
    """The same for two that differ in numbers, in the room between words, and in how sure a block is."""
    text = re.sub(r"\b(high|best_effort( \(.*\))?)(?=\s|$)", "SURE", text)
    return [re.sub(r"\b\d[\d:.]*[a-zA-Z%]?\b", "N", " ".join(line.split())) for line in text.splitlines()]


class Tutorial(Terminal):
    """docs/tutorial.md, from its first terminal to its last line."""

    @staticmethod
    def part(word):
        return [text for _, words, text in examples("tutorial", "tutorial.md") if words == [word]]

    def terminal(self, text):
        """Behind what is typed into each terminal first; its home is the test's."""
        (setup,) = self.part("setup")
        return self.sh(f"export HOME={self.home} LC_ALL=C.UTF-8\n{setup}\n{text}")

    def test_it_goes_as_it_is_shown(self):
        broker = self.terminal(*self.part("broker"))
        for start in (": tracker ", "ready: "):
            line = self.line_with(broker, ": ")
            while start not in line:
                line = self.line_with(broker, ": ")
            tells_all = "feed poll" not in line if start == ": tracker " else tells_all
        self.control = self.connect(zmq.REQ, f"ipc://{self.home}/.wps/control")
        watch = self.terminal(*self.part("watch"))
        # It is there when it shows something: a block that the page does not have.
        self.until(lambda: self.shows(watch), "it watches")
        for text in self.part("do"):
            for step in re.split(r"^\$ ", text, flags=re.M)[1:]:
                line, _, shown = step.partition("\n")
                with self.subTest(line=line):
                    self.until_said(line, shown)
        (seen,) = self.part("seen")
        if tells_all:
            self.until(lambda: self.has_seen(watch, seen), f"{self.seen} is not what is shown")
        self.signal_all(broker, signal.SIGTERM)
        broker.wait(DEADLINE)

    def until_said(self, line, shown):
        """What is done again has the same effect but for `run`: a list may want a moment."""
        said = self.terminal(line).communicate(timeout=DEADLINE)[0]
        if " ls" in line or " ps" in line:
            self.until(lambda: like(self.terminal(line).communicate(timeout=DEADLINE)[0]) == like(shown),
                       f"{line}: {said}")
        else:
            self.assertEqual(like(said), like(shown))

    seen = ""

    def read_more(self, process):
        os.set_blocking(process.stdout.fileno(), False)
        try:
            self.seen += os.read(process.stdout.fileno(), 65536).decode()
        except BlockingIOError:
            pass

    def shows(self, process):
        """Makes the block and takes it away, until that is shown."""
        self.ask_ok("ensure_tracker", {"block_id": "agent"}, self.control)
        self.ask_ok("remove", {"block_id": "agent"}, self.control)
        self.read_more(process)
        return "block-removed" in self.seen

    def has_seen(self, process, shown):
        """All that it does show, in whatever order: two ends at a time have none."""
        self.read_more(process)
        tails = [(line.split()[2], line.split(": ")[-1].split()[-2:]) for line in shown.splitlines()]
        lines = self.seen.splitlines()
        return all(any(event in line and line.split()[-2:] == tail for line in lines)
                   for event, tail in tails)


class Run(Example):
    """Sessions: a line that begins with `$ ` is given to a shell; what follows is what it says, and
    in brackets its exit status where that is not 0."""

    def setUp(self):
        super().setUp()
        self.broker_here = self.with_module()
        programs = pathlib.Path(self.home, "bin")
        programs.mkdir()
        (programs / "proctrack").symlink_to(BUILD / "proctrack")
        self.env = os.environ | {"WPS_RUNTIME_DIR": self.runtime, "LC_ALL": "C",
                                 "PATH": f"{programs}:{os.environ['PATH']}"}

    def sh(self, line, **more):
        return subprocess.run(["sh", "-c", line], text=True, stdin=subprocess.DEVNULL, timeout=DEADLINE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env | more)

    def test_every_session_goes_as_it_is_shown(self):
        for page, _, text in examples("run"):
            for step in re.split(r"^\$ ", text, flags=re.M)[1:]:
                line, _, shown = step.partition("\n")
                ended = self.sh(line)
                status = f"[{ended.returncode}]\n" if ended.returncode else ""
                with self.subTest(page=page, line=line):
                    self.assertEqual([said.rstrip() for said in (ended.stdout + status).splitlines()],
                                     shown.splitlines())

    def test_a_shell_enters_by_the_procs_path(self):
        ensured = self.ask_ok("ensure_tracker", {"block_id": "demo"}, self.control)
        if "procs_path" not in ensured:
            self.skipTest("no procs_path here")
        ended = self.sh(one("sh", "run.md", "enter"), PROCS_PATH=ensured["procs_path"])
        place = ensured["procs_path"].removesuffix("/cgroup.procs").rpartition("/proctrack-")[2]
        self.assertRegex(ended.stdout, rf"(?m)^0::\S*/proctrack-{re.escape(place)}$")

    def test_the_exporter_of_the_page_serves_what_is_shown(self):
        """Where it says so: the port that the page has may be another's here."""
        if not shutil.which("curl"):
            self.skipTest("curl is not installed")
        start, look = re.split(r"^\$ ", one("exporter", "operation.md"), flags=re.M)[1:]
        line, _, shown = start.partition("\n")
        exporter = subprocess.Popen([*line.split(), "--listen", "127.0.0.1:0"], text=True,
                                    stdout=subprocess.PIPE, env=self.env)
        self.addCleanup(exporter.stdout.close)
        self.addCleanup(exporter.wait)
        self.addCleanup(exporter.terminate)
        said = self.line_with(exporter, "serving")
        port = re.search(r":(\d+)/", said)[1]
        self.assertEqual(said.strip(), shown.strip().replace("19770", port))
        line, _, shown = look.partition("\n")
        self.assertEqual(self.sh(line.replace("19770", port)).stdout, shown)

    def test_a_signal_makes_the_log_louder(self):
        line = one("louder", "debugging.md")
        for level in ("debug", "trace"):
            self.sh(line.replace(str(PID_IN_PAGES), str(self.broker_here.process.pid)))
            self.broker_here.wait_line(f"log level is {level}")


STEP = re.compile(r"trace proctrack: pid (\d+) of demo: (\S+) \+ (\S+) -> (\S+)$", re.M)


class Contributing(Example):
    def steps_of(self, broker, pid):
        found = [STEP.search(line) for line in broker.lines]
        return [step.groups()[1:] for step in found if step and int(step[1]) == pid]

    def follow(self, *options):
        """A shell that becomes `sleep` and is killed, step by step."""
        broker = self.start("--log-level", "trace", "--plugin",
                            ",".join([str(MODULE), "log=trace", *options])).wait_ready()
        self.addCleanup(self.assert_ends_well, broker)
        control = self.connect(zmq.REQ, broker.endpoint("control"))
        self.ask_ok("ensure_tracker", {"block_id": "demo"}, control)
        child = self.child("sh", "-c", "read x; exec sleep 1000", stdin=subprocess.PIPE)
        self.ask_ok("assign_process", {"block_id": "demo", "pid": child.pid}, control)
        child.stdin.write(b"go\n")
        child.stdin.close()
        broker.wait_line(f"pid {child.pid} of demo: live + exec")
        child.kill()
        broker.wait_line(f"pid {child.pid} of demo: live + exit -> dead")
        return self.steps_of(broker, child.pid)

    def test_the_trace_follows_one_pid(self):
        """From unborn to dead, each step beginning where the last one ended."""
        steps = self.follow()
        self.assertEqual((steps[0][0], steps[-1][2]), ("unborn", "dead"))
        for before, after in zip(steps, steps[1:]):
            self.assertEqual(before[2], after[0], steps)

    def test_the_trace_that_is_shown_is_one_that_the_life_table_gives(self):
        table = one("life", "how-it-works.md", "table")
        allowed = {tuple(re.match(r"(\S+) +(\S+) +-> (\S+)", line).groups())
                   for line in table.splitlines()}
        shown = [step[1:] for step in STEP.findall(one("trace", "CONTRIBUTING.md"))]
        self.assertGreaterEqual(len(shown), 3)
        self.assertLessEqual(set(shown), allowed)


if __name__ == "__main__":
    unittest.main()
