# SPDX-License-Identifier: Apache-2.0
"""`detail` of list_block and list_all_blocks, held against what /proc says of real processes."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import tempfile
import threading
import time
import unittest
from typing import Any

from blackbox import hanging, programs
from blackbox.case import Block, SystemCase
from blackbox.programs import Odd
from blackbox.wire import DEADLINE

PYTHON = "/usr/bin/python3"
KEYS = {"exe", "cwd", "uid", "state", "threads", "cpu_ms", "argv", "ports"}

#: The beginning of programs: `listen(HOST[, PORT])` gives a port, `ready(...)` tells, and then it holds.
PRELUDE = """
import json, os, socket, sys, time
kept = []
def listen(host, port=0, **more):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kept.append(socket.socket(family, socket.SOCK_STREAM, more.get("protocol", 0)))
    if family == socket.AF_INET6 and host == "::":
        kept[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if more.get("shared"):
        kept[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept[-1].bind((host, port))
    kept[-1].listen()
    return kept[-1].getsockname()[1]
def ready(*told):
    os.write(1, (json.dumps({"what": "ready", "pid": os.getpid(), "told": told}) + "\\n").encode())
def hold():
    sys.stdin.read()
"""


def argv_of(pid: int) -> list[str]:
    """As the kernel keeps it, split and repaired."""
    raw = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return [part.decode("utf-8", "replace") for part in raw.removesuffix(b"\0").split(b"\0")] if raw else []


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
        return True
    except OSError:
        return False


NETWORK_OF_ITS_OWN = "import ctypes\nassert ctypes.CDLL(None).unshare(0x40000000) == 0\n" \
                     "ready(listen('0.0.0.0', 8080))\nhold()"


class DetailCase(SystemCase):
    """Programs in blocks, and their records with detail."""

    def detail(self, block: Block, **data: Any) -> dict[int, dict[str, Any]]:
        reply = self.control("list_block", block_id=block.id, detail=True, **data)
        for record in reply["processes"]:
            self.assertNotIn(record.get("state"), ("Z", "X"), "a dead one is listed")
        return {record["pid"]: record for record in reply["processes"]}

    def one(self, block: Block, pid: int) -> dict[str, Any]:
        listed = self.detail(block)
        self.assertIn(pid, listed)
        return listed[pid]

    def ports(self, block: Block, pid: int) -> list[tuple[str, str, int]]:
        return sorted((port["family"], port["address"], port["port"])
                      for port in self.one(block, pid)["ports"])

    def python(self, block: Block, script: str, *args: str, **options: Any) -> Odd:
        """A program in the block; comes back when it is ready."""
        odd = block.begin([PYTHON, "-c", PRELUDE + script, *args], **options)
        odd.until("ready")
        block.watch.until_added(odd.pid)
        return odd

    def odd(self, block: Block, *args: object, **options: Any) -> Odd:
        odd = block.odd(*args, **options)
        odd.until("ready")
        block.watch.until_added(odd.pid)
        return odd

    def directory(self) -> pathlib.Path:
        path = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-detail-"))
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def until_detail(self, block: Block, pid: int, reached: Any, what: str) -> dict[str, Any]:
        """Lists until a record is so, and gives it."""
        def look() -> dict[str, Any] | None:
            record = self.one(block, pid)
            return record if reached(record) else None
        return programs.wait_for(look, what)


class Processes(DetailCase):
    """What is told of a process."""

    def test_a_record_has_it_all_with_detail_and_nothing_of_it_without(self) -> None:
        block = self.block()
        odd = self.odd(block, "hold")
        record = self.one(block, odd.pid)
        self.assertLessEqual(KEYS, set(record))
        self.assertEqual(record["exe"], os.readlink(f"/proc/{odd.pid}/exe"))
        self.assertEqual(record["cwd"], os.readlink(f"/proc/{odd.pid}/cwd"))
        self.assertEqual(record["uid"], os.geteuid())
        self.assertIn(record["state"], "SRD")
        self.assertEqual(record["threads"], 1)
        self.assertEqual(record["argv"], argv_of(odd.pid))
        self.assertEqual(record["ports"], [])
        self.assertGreater(record["rss_bytes"], 0)
        self.assertEqual(set(block.listed()[odd.pid]) & KEYS, set())
        self.assertEqual(set(self.control("list_block", block_id=block.id, detail=False)
                             ["processes"][0]) & KEYS, set())

    def test_only_started_and_scope_are_kept_with_detail(self) -> None:
        block = self.block()
        root = Odd("hold")
        self.addCleanup(root.close)
        root.until("ready")
        block.assign(root.pid)
        shell = block.sh("echo '{\"what\":\"ready\"}'; read x; exit 0")
        shell.until("ready")
        block.watch.until_added(shell.pid)
        self.assertEqual(set(self.detail(block, only="started")), {shell.pid})
        self.assertEqual(set(self.detail(block, scope="main")), {root.pid, shell.pid})
        self.assertEqual(self.detail(block, scope="bg"), {})

    def test_an_unknown_or_empty_block_has_no_processes(self) -> None:
        reply = self.control("list_block", block_id=self.new_id("unknown"), detail=True)
        self.assertEqual((reply["tracked"], reply["processes"]), (False, []))
        self.assertEqual(self.detail(self.block()), {})

    def test_the_list_agrees_with_the_events_by_its_seq(self) -> None:
        block = self.block()
        odd = self.odd(block, "hold")
        reply = self.control("list_block", block_id=block.id, detail=True)
        block.watch.catch_up()
        self.assertEqual(reply["epoch"], block.watch.law.epoch)
        self.assertLessEqual(reply["seq"], block.watch.law.seq)
        self.assertEqual([record["pid"] for record in reply["processes"]], [odd.pid])

    def test_cwd_follows_chdir_and_tells_when_it_was_deleted(self) -> None:
        block, directory = self.block(), self.directory() / "grün und\nneu"
        directory.mkdir()
        odd = self.python(block, "ready()\nsys.stdin.readline()\nos.chdir(sys.argv[1])\nready()\nhold()",
                          str(directory))
        self.assertEqual(self.one(block, odd.pid)["cwd"], os.getcwd())
        odd.say()
        odd.until("ready", times=2)
        self.assertEqual(self.one(block, odd.pid)["cwd"], str(directory))
        directory.rmdir()
        self.assertEqual(self.one(block, odd.pid)["cwd"], f"{directory} (deleted)")

    def test_exe_tells_when_it_was_deleted_and_is_repaired(self) -> None:
        block, directory = self.block(), self.directory()
        program = os.fsencode(directory) + b"/sl\xff eep"
        shutil.copy2("/bin/sleep", program)
        odd = block.begin([os.fsdecode(program), "1000"])
        block.watch.until_added(odd.pid)
        shown = f"{directory}/sl\ufffd eep"
        self.until_detail(block, odd.pid, lambda record: record["exe"] == shown, shown)
        os.unlink(program)
        self.assertEqual(self.one(block, odd.pid)["exe"], f"{shown} (deleted)")

    def test_a_stopped_process_is_told_as_stopped(self) -> None:
        block = self.block()
        odd = self.odd(block, "hold")
        os.kill(odd.pid, signal.SIGSTOP)
        programs.wait_for(lambda: programs.stat_fields(odd.pid)[0] == "T", "it is stopped")
        record = self.one(block, odd.pid)
        self.assertEqual(record["state"], "T")
        self.assertEqual(record["argv"], odd.command)
        os.kill(odd.pid, signal.SIGCONT)
        self.until_detail(block, odd.pid, lambda record: record["state"] == "S", "it goes on")

    def test_threads_are_counted(self) -> None:
        block = self.block()
        odd = self.odd(block, "threads", 5)
        self.assertEqual(self.one(block, odd.pid)["threads"], 6)

    def test_a_process_whose_leader_left_is_told_as_the_threads_that_live(self) -> None:
        block = self.block()
        odd = self.odd(block, "leader-leaves", "exit_group", 0)
        record = self.one(block, odd.pid)
        self.assertLessEqual(KEYS, set(record))
        self.assertEqual(record["argv"], odd.command)
        self.assertEqual(record["exe"], os.path.realpath(Odd.path))
        self.assertEqual(record["ports"], [])

    @unittest.skipUnless(os.geteuid() == 0, "becoming another user needs root")
    def test_a_process_of_another_user_is_told_with_its_user(self) -> None:
        block = self.block()
        odd = self.python(block, "os.setgroups([])\nos.setresuid(64321, 64321, 64321)\n"
                                 "port = listen('127.0.0.1')\nready(port)\nhold()")
        record = self.one(block, odd.pid)
        self.assertEqual(record["uid"], 64321)
        self.assertEqual([port["port"] for port in record["ports"]], odd.told("ready")[0]["told"])
        self.assertLessEqual(KEYS, set(record))

    def test_a_process_that_we_may_not_look_into_lacks_what_we_may_not_see(self) -> None:
        if os.geteuid() == 0:
            self.skipTest("root may look into all")
        block = self.block()
        odd = self.python(block, "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nready()\nhold()")
        record = self.one(block, odd.pid)
        for key in ("exe", "cwd", "ports"):
            self.assertNotIn(key, record)
        self.assertEqual((record["uid"], record["threads"]), (os.geteuid(), 1))

    def test_cpu_time_grows_while_it_works(self) -> None:
        block = self.block()
        odd = self.python(block, "ready()\nwhile True: pass")
        first = self.one(block, odd.pid)["cpu_ms"]
        record = self.until_detail(block, odd.pid, lambda record: record["cpu_ms"] >= first + 100,
                                   "100 ms more")
        self.assertEqual(record["state"], "R")

    def test_a_zombie_is_not_listed(self) -> None:
        block = self.block()
        odd = self.odd(block, "zombie")
        (child,) = odd.births()
        if self.tells_all:
            block.watch.until_ended(child)
        programs.wait_for(lambda: set(self.detail(block)) == {odd.pid}, "the zombie is not listed")

    def test_odd_arguments_come_one_by_one(self) -> None:
        for shape in ("none", "empty", "newlines", "invalid", "trailing", "spaces"):
            with self.subTest(shape):
                block = self.block()
                odd = self.odd(block, "argv-odd", shape)
                wanted = argv_of(odd.pid)
                record = self.until_detail(block, odd.pid, lambda record: record["argv"] == wanted,
                                           f"argv is {wanted!r}")
                self.assertNotIn("argv_truncated", record)

    def test_long_arguments_are_whole_up_to_a_limit_and_cut_behind_it(self) -> None:
        block = self.block()
        whole = self.python(block, "ready()\nhold()", "x" * 10000)
        record = self.one(block, whole.pid)
        self.assertEqual(record["argv"][-1], "x" * 10000)
        self.assertNotIn("argv_truncated", record)
        self.assertIs(record["command_truncated"], True)
        cut = self.python(block, "ready()\nhold()", "y" * 50000)
        record = self.one(block, cut.pid)
        self.assertIs(record["argv_truncated"], True)
        self.assertEqual(record["argv"][:2], [PYTHON, "-c"])
        self.assertRegex(record["argv"][-1], "^y{10000,}$")


class Ports(DetailCase):
    """Listening TCP sockets."""

    def test_each_port_is_told_with_its_address(self) -> None:
        block = self.block()
        hosts = ["127.0.0.1", "127.0.0.1", "0.0.0.0"] + (["::1", "::"] if ipv6_works() else [])
        odd = self.python(block, "ready(*[[host, listen(host)] for host in sys.argv[1:]])\nhold()", *hosts)
        wanted = [("inet6" if ":" in host else "inet", host, port)
                  for host, port in odd.told("ready")[0]["told"]]
        self.assertEqual(self.ports(block, odd.pid), sorted(wanted))

    def test_a_web_server_is_found_and_its_connections_are_not(self) -> None:
        block = self.block()
        odd = self.python(block, "port = listen('127.0.0.1')\nready(port)\n"
                                 "taken, _ = kept[0].accept()\nready()\nhold()")
        (port,) = odd.told("ready")[0]["told"]
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE):
            odd.until("ready", times=2)
            self.assertEqual(self.ports(block, odd.pid), [("inet", "127.0.0.1", port)])

    def test_sockets_that_do_not_listen_are_no_ports(self) -> None:
        block = self.block()
        odd = self.python(block, "bound = socket.socket()\nbound.bind(('127.0.0.1', 0))\n"
                                 "udp = socket.socket(type=socket.SOCK_DGRAM)\nudp.bind(('127.0.0.1', 0))\n"
                                 "pair = socket.socketpair()\nready()\nhold()")
        self.assertEqual(self.ports(block, odd.pid), [])

    def test_an_inherited_socket_is_told_of_parent_and_child(self) -> None:
        block = self.block()
        odd = self.python(block, "port = listen('127.0.0.1')\nif os.fork() == 0:\n    ready(port)\n    hold()\n"
                                 "    os._exit(0)\nready(port)\nhold()")
        told = {line["pid"]: line["told"][0] for line in odd.until("ready", times=2)}
        self.assertEqual(len(told), 2)
        for pid, port in told.items():
            block.watch.until_added(pid)
            self.assertEqual(self.ports(block, pid), [("inet", "127.0.0.1", port)])

    def test_a_shared_port_is_told_once(self) -> None:
        block = self.block()
        odd = self.python(block, "port = listen('127.0.0.1', shared=True)\n"
                                 "listen('127.0.0.1', port, shared=True)\nos.dup(kept[0].fileno())\n"
                                 "ready(port)\nhold()")
        self.assertEqual(self.ports(block, odd.pid),
                         [("inet", "127.0.0.1", odd.told("ready")[0]["told"][0])])

    def test_a_port_that_was_closed_is_gone(self) -> None:
        block = self.block()
        odd = self.python(block, "ready(listen('127.0.0.1'), listen('127.0.0.1'))\nsys.stdin.readline()\n"
                                 "kept[0].close()\nready()\nhold()")
        first, second = odd.told("ready")[0]["told"]
        self.assertEqual(len(self.ports(block, odd.pid)), 2)
        odd.say()
        odd.until("ready", times=2)
        self.assertEqual(self.ports(block, odd.pid), [("inet", "127.0.0.1", second)])

    def test_the_port_of_a_multipath_socket_is_told(self) -> None:
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
        except OSError as error:
            self.skipTest(f"no MPTCP here: {error}")
        block = self.block()
        odd = self.python(block, "ready(listen('127.0.0.1', protocol=262))\nhold()")
        self.assertEqual(self.ports(block, odd.pid),
                         [("inet", "127.0.0.1", odd.told("ready")[0]["told"][0])])

    @unittest.skipUnless(os.geteuid() == 0, "a network namespace needs root")
    def test_of_a_member_in_a_network_of_its_own_no_ports_are_told(self) -> None:
        block = self.block()
        odd = self.python(block, NETWORK_OF_ITS_OWN)
        odd.until("ready")
        self.assertNotIn("ports", self.one(block, odd.pid))

    def test_a_process_with_many_ports_has_them_all(self) -> None:
        block = self.block()
        odd = self.python(block, "ready(*[listen('127.0.0.1') for _ in range(200)])\nhold()")
        self.assertEqual([port for _, _, port in self.ports(block, odd.pid)],
                         sorted(odd.told("ready")[0]["told"]))


@unittest.skipUnless(os.geteuid() == 0, "a network namespace needs root")
class Networks(DetailCase):
    """With the capability that it takes to look into others."""

    wpsd = {"keep-capabilities": "SYS_ADMIN"}

    def test_a_member_in_a_network_of_its_own_is_asked_for_there(self) -> None:
        block = self.block()
        odd = self.python(block, NETWORK_OF_ITS_OWN)
        self.assertEqual(self.ports(block, odd.pid), [("inet", "0.0.0.0", 8080)])
        outside = self.python(block, "ready(listen('127.0.0.1'))\nhold()")
        self.assertEqual(self.ports(block, outside.pid),
                         [("inet", "127.0.0.1", outside.told("ready")[0]["told"][0])])


class Blocks(DetailCase):
    """list_all_blocks with detail."""

    def summary(self, block: Block) -> dict[str, Any]:
        return {entry["block_id"]: entry
                for entry in self.control("list_all_blocks", detail=True)["blocks"]}[block.id]

    def test_memory_and_cpu_time_are_told_with_detail_alone(self) -> None:
        block, empty = self.block(), self.block()
        odd = self.odd(block, "hold")
        told = self.summary(block)
        self.assertEqual(told["processes"], 1)
        self.assertGreater(told["rss_bytes"], 0)
        self.assertAlmostEqual(told["rss_bytes"], self.one(block, odd.pid)["rss_bytes"], delta=1 << 22)
        self.assertEqual((self.summary(empty)["rss_bytes"], self.summary(empty)["cpu_ms"]), (0, 0))
        for entry in self.control("list_all_blocks")["blocks"]:
            self.assertEqual(set(entry) & {"rss_bytes", "cpu_ms"}, set())

    def test_memory_is_that_of_all_members(self) -> None:
        block = self.block()
        script = "kept = bytearray(os.urandom(1 << 20) * 20)\nready()\nhold()"
        for n in (1, 2, 3):
            self.python(block, script)
            self.assertGreater(self.summary(block)["rss_bytes"], n * (20 << 20))

    def test_cpu_time_grows_while_a_member_works(self) -> None:
        block = self.block()
        self.python(block, "ready()\nwhile True: pass")
        first = self.summary(block)["cpu_ms"]
        programs.wait_for(lambda: self.summary(block)["cpu_ms"] >= first + 100, "100 ms more")

    def test_cpu_time_of_members_that_ended_is_in_it(self) -> None:
        if self.tracker != "cgroup" and self.feed != "bpf":
            self.skipTest("here nobody tells what a process used until its end")
        block = self.block()
        odd = self.python(block, "end = time.process_time() + 0.3\nready()\n"
                                 "while time.process_time() < end: pass")
        odd.finish()
        block.watch.until_ended(odd.pid)
        told = programs.wait_for(lambda: (told := self.summary(block))["cpu_ms"] >= 250 and told,
                                 "the time of who ended")
        self.assertEqual((told["processes"], told["rss_bytes"]), (0, 0))

    def test_cpu_time_does_not_fall_when_a_member_that_was_seen_ends(self) -> None:
        block = self.block()
        odd = self.python(block, "end = time.process_time() + 0.3\n"
                                 "while time.process_time() < end: pass\nready()\nhold()")
        before = self.summary(block)["cpu_ms"]
        self.assertGreaterEqual(before, 250)
        odd.finish()
        block.watch.until_ended(odd.pid)
        self.assertGreaterEqual(self.summary(block)["cpu_ms"], before)

    def test_many_who_ask_at_once_are_all_answered(self) -> None:
        block = self.block()
        self.odd(block, "hold")
        for reply in self.ask_all([{"command": "list_all_blocks", "data": {"detail": True}}] * 100):
            told = {entry["block_id"]: entry for entry in reply["data"]["blocks"]}
            self.assertGreater(told[block.id]["rss_bytes"], 0)


class Crowds(DetailCase):
    """Many members, and many who ask."""

    def test_500_members_are_listed_with_detail(self) -> None:
        block = self.block()
        odd = block.odd("spawn", 500, Odd.path, "hold")
        pids = {line["pid"] for line in odd.until("ready", times=500)}
        block.watch.until(lambda: pids <= {pid for pid, _ in block.watch.law.living()}, "all are members")
        begun = time.monotonic()
        listed = self.detail(block)
        spent = time.monotonic() - begun
        self.assertEqual(set(listed), pids | {odd.pid})
        for pid in pids:
            self.assertLessEqual(KEYS, set(listed[pid]), listed[pid])
            self.assertEqual(listed[pid]["argv"], [Odd.path, "hold"])
        self.assertLess(spent, DEADLINE / 3)

    def test_lists_while_members_come_and_go_are_answered_and_right(self) -> None:
        block = self.block()
        odd = self.odd(block, "hold")
        busy = block.sh("echo '{\"what\":\"ready\"}'; while :; do /bin/true; done")
        busy.until("ready")
        for _ in range(50):
            record = self.detail(block)[odd.pid]
            self.assertLessEqual(KEYS, set(record))
        os.kill(busy.pid, signal.SIGKILL)

    def test_many_lists_at_once_are_all_answered_with_detail(self) -> None:
        block = self.block()
        odds = [self.odd(block, "hold") for _ in range(5)]
        data = {"block_id": block.id, "detail": True}
        for reply in self.ask_all([{"command": "list_block", "data": data}] * 100):
            self.assertEqual({record["pid"] for record in reply["data"]["processes"]},
                             {odd.pid for odd in odds})
            for record in reply["data"]["processes"]:
                self.assertLessEqual(KEYS, set(record))

    def test_a_block_may_be_removed_while_it_is_listed(self) -> None:
        for _ in range(10):
            block = self.block()
            self.odd(block, "hold")
            data = {"block_id": block.id}
            replies = self.ask_all([{"command": "list_block", "data": data | {"detail": True}},
                                    {"command": "list_all_blocks", "data": {"detail": True}},
                                    {"command": "remove", "data": data},
                                    {"command": "list_block", "data": data | {"detail": True}}])
            for reply in replies:
                self.assertIn("data", reply)


@unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
class Hanging(DetailCase):
    """A member whose memory cannot be read costs a time-out for itself only."""

    def hanging(self, block: Block, *files: hanging.HangingFile) -> list[int]:
        """A member for each file, all of them known to the registry before the first one hangs."""
        odds = [block.begin([PYTHON, "-c", hanging.SCRIPT, str(file.path)]) for file in files]
        for odd in odds:
            odd.until("ready")
            block.watch.until_added(odd.pid)
        programs.wait_for(lambda: all(record["command"].startswith(PYTHON) for pid, record in
                                      block.listed().items() if pid in [odd.pid for odd in odds]),
                          "their commands are known")
        for odd, file in zip(odds, files):
            odd.say()
            self.assertTrue(file.wanted.wait(DEADLINE), "nobody reads the file")
            odd.say()
            programs.wait_for(lambda odd=odd: programs.stat_fields(odd.pid)[0] == "D", "it waits for its lock")
        return [odd.pid for odd in odds]

    def list_in_background(self, block: Block) -> tuple[threading.Thread, list[dict[str, Any]]]:
        found: list[dict[str, Any]] = []

        def ask() -> None:
            client = self.broker.ask()
            try:
                found.append(client("list_block", block_id=block.id, detail=True))
            finally:
                client.close()
        thread = threading.Thread(target=ask)
        thread.start()
        return thread, found

    def test_the_others_are_whole_and_the_loop_answers_meanwhile(self) -> None:
        block, file = self.block(), hanging.hanging_file(self)
        others = [self.odd(block, "hold") for _ in range(20)]
        (pid,) = self.hanging(block, file)
        thread, found = self.list_in_background(block)
        answers = 0
        while thread.is_alive():
            begun = time.monotonic()
            self.control("describe")
            self.assertLess(time.monotonic() - begun, DEADLINE / 75, "the loop waits")
            answers += 1
        thread.join()
        self.assertGreater(answers, 0)
        listed = {record["pid"]: record for record in found[0]["processes"]}
        self.assertEqual(set(listed), {pid, *(odd.pid for odd in others)})
        for odd in others:
            self.assertLessEqual(KEYS, set(listed[odd.pid]))
        self.assertLessEqual(KEYS - {"argv"}, set(listed[pid]), "what can be read of it is told")
        self.assertNotIn("argv", listed[pid])
        self.assertEqual((listed[pid]["state"], listed[pid]["threads"]), ("D", 2))

    def test_listing_it_again_and_again_uses_up_nothing(self) -> None:
        block, file = self.block(), hanging.hanging_file(self)
        other = self.odd(block, "hold")
        (pid,) = self.hanging(block, file)
        self.detail(block)
        before = self.control("stats")
        self.assertEqual(before["gauges"]["details_held"], 1)
        self.assertGreater(before["counters"]["details_late"], 0)
        for _ in range(30):
            listed = self.detail(block)
            self.assertLessEqual(KEYS, set(listed[other.pid]))
            self.assertNotIn("argv", listed[pid])
        after = self.control("stats")
        self.assertEqual(after["gauges"]["details_held"], 1)
        self.assertEqual(after["gauges"]["workers"], before["gauges"]["workers"])
        self.assertEqual(after["counters"]["details_late"], before["counters"]["details_late"])

    def test_who_comes_while_one_hangs_is_seen_and_can_be_assigned(self) -> None:
        block, file = self.block(), hanging.hanging_file(self)
        (pid,) = self.hanging(block, file)
        born = self.odd(block, "hold")  # assigned, where nothing can be born in a block
        block.watch.until_added(born.pid)
        outside = programs.Odd("hold")
        self.addCleanup(outside.close)
        outside.until("ready")
        self.assertEqual(block.assign(outside.pid), 1)
        self.assertEqual(set(block.listed()), {pid, born.pid, outside.pid})
        born.finish()
        block.check_end(born.pid, ("exit_code", 0))

    def test_it_is_whole_again_when_it_can_be_read_again(self) -> None:
        block, file = self.block(), hanging.hanging_file(self)
        (pid,) = self.hanging(block, file)
        self.assertNotIn("argv", self.one(block, pid))
        file.release()
        self.until_detail(block, pid, lambda record: "argv" in record, "argv is back")
        programs.wait_for(lambda: self.control("stats")["gauges"]["details_held"] == 0, "nobody hangs")

    def test_a_dozen_of_them_do_not_keep_the_others_from_being_told(self) -> None:
        block, files = self.block(), [hanging.hanging_file(self) for _ in range(12)]
        other = self.odd(block, "hold")
        pids = set(self.hanging(block, *files))
        listed = self.detail(block)
        self.assertEqual(set(listed), pids | {other.pid})
        for pid in pids:
            self.assertLessEqual(KEYS - {"argv"}, set(listed[pid]))
        self.assertLessEqual(KEYS - {"argv"}, set(listed[other.pid]))
        self.control("kill_tree", block_id=block.id)
        for file in files:
            file.release()
        for pid in pids:
            block.watch.until_ended(pid)
