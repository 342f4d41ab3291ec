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

import msgpack  # noqa: E402
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

    def child(self, *command, stdin=subprocess.DEVNULL):
        process = subprocess.Popen(command, stdin=stdin)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        # Popen returns in the middle of exec, when there is no command line to be read yet.
        until = time.monotonic() + DEADLINE
        while not pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes():
            self.assertLess(time.monotonic(), until)
        return process

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
        """In the order of the page. A later addition may be unknown to this module; it says so."""
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
                    if words[0] == "control" and name not in commands:
                        self.assertEqual(reply.get("errorcode"), "unknown_command", reply)
                        print(f"  {name}: not in this module yet", flush=True)
                        continue
                    self.assert_like(shown, reply, name)
                    if "errorcode" in shown:
                        self.assertEqual(reply["errorcode"], shown["errorcode"])
                    for key in ("ok", "tracked", "created", "empty", "assigned"):
                        if key in shown.get("data", {}):
                            self.assertEqual(reply["data"][key], shown["data"][key], name)
        self.assertEqual(set(commands) - asked, set(), "commands that the page does not show")


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
