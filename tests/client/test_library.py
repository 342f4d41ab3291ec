# SPDX-License-Identifier: Apache-2.0
"""libproctrack against a real broker, against one that comes and goes, and against one that talks junk."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

for beside in ("broker", "system"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / beside))

import msgpack  # noqa: E402
import zmq  # noqa: E402
from blackbox.broker import make_cgroup_root, remove_cgroup  # noqa: E402
from probes import LineProbe  # noqa: E402
from wpsd import DEADLINE, SANITIZED, BrokerTest  # noqa: E402

ASK_PROBE = os.environ.get("ASK_PROBE", "ask_probe")
FRONT_END = os.environ.get("FRONT_END", "front_end")
MODULE = os.environ.get("PROCTRACK_SO", "proctrack.so")
PATIENT_MS, SHORT_MS = DEADLINE * 1000, 2000 if SANITIZED else 500


class Probe(LineProbe):
    """A program that asks what it is told to."""

    def __init__(self, test, runtime, timeout_ms=PATIENT_MS):
        super().__init__(test, ASK_PROBE, runtime, str(timeout_ms))

    def finish(self):
        """What the function returned, and the words behind that."""
        line = self.lines.get(timeout=DEADLINE)
        self.test.assertIsNotNone(line, "the probe ended")
        result, *words = line.split(" ")
        return int(result), words

    def ask(self, *words):
        self.say(*words)
        return self.finish()

    def ok(self, *words, result=0):
        got, answer = self.ask(*words)
        self.test.assertEqual(got, result, answer)
        return answer

    def refused(self, errorcode, *words):
        got, (code, *sentence) = self.ask(*words)
        self.test.assertEqual((got, code), (-errno.EREMOTEIO, errorcode), sentence)
        self.test.assertGreater(len(sentence), 2)

    def fails(self, number, *words):
        got, (code, *sentence) = self.ask(*words)
        self.test.assertEqual((got, code), (-number, ""), sentence)
        return " ".join(sentence)


class LibraryTest(BrokerTest):
    def module(self, *options):
        """The words of a broker with the module, and with a cgroup that is taken away afterwards."""
        root = make_cgroup_root()
        if root is not None:
            self.addCleanup(remove_cgroup, root)
            options += (f"cgroup-root={root}",)
        return "--plugin", ",".join([MODULE, *options])

    def with_module(self, *options):
        return self.broker(*self.module("feed=poll", "poll-ms=20", *options))


class Registry(LibraryTest):
    """The functions of blocks.h."""

    def setUp(self):
        super().setUp()
        self.with_module()
        self.probe = Probe(self, self.runtime)

    def member(self, block="demo", scope=""):
        child = self.child("sleep", "1000")
        self.assertEqual(self.probe.ok("assign", block, child.pid, scope), ["1"])
        return child

    def test_describe_says_what_it_is_and_what_was_tried(self):
        protocol, name, _, feed, confidence, *tried = self.probe.ok("describe")
        self.assertEqual((protocol, name, feed), ("1", "proctrack", "poll"))
        self.assertIn(confidence, ("high", "best_effort", "none"))
        self.assertIn("poll:1", [attempt.rsplit(":", 1)[0] for attempt in tried])

    def test_a_block_is_made_once_and_listed_with_its_processes(self):
        created, epoch, _ = self.probe.ok("ensure", "demo")
        self.assertEqual(created, "1")
        self.assertEqual(self.probe.ok("ensure", "demo")[:2], ["0", epoch])
        child, other = self.member(), self.member(scope="bg/7")
        tracked, confidence, *processes = self.probe.ok("list", "demo")
        self.assertEqual(tracked, "1")
        self.assertIn(confidence, ("high", "best_effort"))
        self.assertEqual(sorted(processes), sorted([f"{child.pid}:main:1:2:sleep:1000",
                                                    f"{other.pid}:bg/7:1:2:sleep:1000"]))
        self.assertEqual(self.probe.ok("list", "demo", "bg")[2:], [f"{other.pid}:bg/7:1:2:sleep:1000"])
        self.assertEqual(self.probe.ok("blocks"), ["demo:2:1"])

    def test_a_block_that_is_not_there_is_listed_as_untracked(self):
        self.assertEqual(self.probe.ok("list", "nobody"), ["0", "none"])

    def test_stop_counts_who_left_in_order_and_who_was_killed(self):
        self.probe.ok("ensure", "demo")
        child = self.member()
        self.assertEqual(self.probe.ok("stop", "demo"), ["1", "0"])
        self.assertEqual(child.wait(DEADLINE), -signal.SIGTERM)

    def test_an_end_longer_than_the_time_of_the_connection_is_waited_for(self):
        self.probe.ok("ensure", "demo")
        stubborn = self.child("sh", "-c", "trap '' TERM; echo; while :; do sleep 1000; done")
        self.probe.ok("assign", "demo", stubborn.pid)
        hasty = Probe(self, self.runtime, SHORT_MS)
        self.assertEqual(hasty.ok("stop", "demo", SHORT_MS + 500), ["0", "2"])
        self.assertEqual(stubborn.wait(DEADLINE), -signal.SIGKILL)

    def test_signals_reach_all_and_say_whom(self):
        self.probe.ok("ensure", "demo")
        child = self.member()
        self.assertEqual(self.probe.ok("signal", "demo", signal.SIGTERM.value), [str(child.pid)])
        self.assertEqual(child.wait(DEADLINE), -signal.SIGTERM)

    def test_what_was_not_started_by_an_agent_is_not_killed_as_such(self):
        self.probe.ok("ensure", "demo")
        self.member()
        self.assertEqual(self.probe.ok("kill-started", "demo"), [])

    def test_kill_says_whether_there_was_something(self):
        self.probe.ok("ensure", "demo")
        one, other = self.member(), self.member()
        self.probe.ok("kill-pid", "demo", os.getpid(), result=0)
        self.probe.ok("kill-pid", "demo", one.pid, result=1)
        self.assertEqual(one.wait(DEADLINE), -signal.SIGKILL)
        self.probe.ok("kill", "demo", result=1)
        self.assertEqual(other.wait(DEADLINE), -signal.SIGKILL)
        self.probe.ok("kill", "nobody", result=0)

    def test_wait_tells_empty_from_not_yet(self):
        self.probe.ok("ensure", "demo")
        child = self.member()
        self.assertEqual(self.probe.ok("wait", "demo", 0, result=0), ["1"])
        self.probe.say("wait", "demo", PATIENT_MS)
        child.kill()
        self.assertEqual(self.probe.finish(), (1, ["0"]))

    def test_a_frozen_block_goes_on_when_it_is_thawed(self):
        self.probe.ok("ensure", "demo")
        self.member()
        result, words = self.probe.ask("freeze", "demo")
        if words[:1] == ["not_supported"]:
            self.skipTest(" ".join(words[1:]))
        self.assertEqual(result, 0)
        self.probe.ok("thaw", "demo")

    def test_remove_kills_and_says_whether_there_was_a_block(self):
        self.probe.ok("ensure", "demo")
        child = self.member()
        self.assertEqual(self.probe.ok("remove", "demo"), ["1"])
        self.assertEqual(child.wait(DEADLINE), -signal.SIGKILL)
        self.assertEqual(self.probe.ok("remove", "demo"), ["0"])

    def test_refusals_have_their_errorcode_and_the_brokers_sentence(self):
        self.probe.ok("ensure", "demo")
        self.probe.refused("invalid_argument", "ensure", ".hidden")
        self.probe.refused("no_such_block", "assign", "nobody", os.getpid())
        self.probe.refused("not_permitted", "assign", "demo", 1)
        self.probe.refused("no_such_process", "assign", "demo", 2**22 + 1)
        self.probe.refused("no_such_block", "stop", "nobody")
        self.probe.refused("no_such_block", "wait", "nobody", 0)
        self.probe.refused("invalid_argument", "signal", "demo", 65)
        self.probe.refused("unknown_command", "ask", "dance", "control", "once")

    def test_any_command_can_be_asked_and_its_reply_read(self):
        self.probe.ok("ensure", "demo")
        answer = " ".join(self.probe.ok("ask", "list_all_blocks", "control", "once"))
        self.assertIn("block_ids:['demo']", answer)
        answer = " ".join(self.probe.ok("ask", "stats", "control", "repeat"))
        self.assertRegex(answer, r"^\{.*counters:\{\w+:\d+,")


class Broker(LibraryTest):
    """The general ask with the sockets of the broker, which need no module."""

    def test_the_broker_itself_is_asked_over_its_own_socket(self):
        self.broker()
        answer = " ".join(Probe(self, self.runtime).ok("ask", "brokerinfo", "rpc", "repeat"))
        self.assertIn("name:'wpsd'", answer)

    def test_every_kind_of_field_arrives_as_it_was_given(self):
        self.broker()
        probe = Probe(self, self.runtime)
        self.assertEqual(probe.ok("fields"), ["{routed:2}"])
        (event,) = self.ask_ok("eventreadhistory",
                               {"event": "test:fields", "scope": "a", "maxitems": 1})["events"]
        self.assertEqual(event, {"event": "test:fields", "scopes": ["a", "b"], "persist": 1,
                                 "data": [1, None]})


class Events(LibraryTest):
    """The subscriber of events.h; what it subscribes to is tested with the one behind it."""

    def setUp(self):
        super().setUp()
        self.broker()
        self.probe = Probe(self, self.runtime)

    def publish(self, name, *scopes, **more):
        return self.ask_ok("eventpublish", {"event": name, "scopes": list(scopes)} | more)["routed"]

    def assert_quiet(self):
        """Nothing is there, and soon its descriptor says so: a second sync event may be on its way."""
        until = time.monotonic() + DEADLINE
        while True:
            self.probe.ok("receive", 0, result=0)
            if self.probe.ask("ready", 0)[0] == 0:
                return
            self.assertLess(time.monotonic(), until)

    def test_after_sync_nothing_is_missed(self):
        for i in range(20):
            self.probe.ok("subscribe", f"test:{i}", f"scope:{i}")
            self.probe.ok("sync", PATIENT_MS)
            self.assertEqual(self.publish(f"test:{i}", f"scope:{i}"), 1)
            self.probe.ok("receive", PATIENT_MS, result=1)

    def test_an_event_is_delivered_once_with_what_it_has(self):
        self.probe.ok("subscribe", "test:a", "b", "c:*")
        self.probe.ok("sync", PATIENT_MS)
        self.publish("test:a", "a", "b", "c:d", sender="me", data={"n": 1, "of": [None, "x"]})
        self.assertEqual(self.probe.ok("receive", PATIENT_MS, result=1),
                         ["test:a", "b", "3", "'me'", "{n:1,of:[null,'x']}"])
        self.probe.ok("sync", PATIENT_MS)
        self.probe.ok("receive", 0, result=0)

    def test_sync_keeps_what_comes_meanwhile_and_its_descriptor_tells_so(self):
        self.probe.ok("subscribe", "test:a", "a")
        self.probe.ok("sync", PATIENT_MS)
        self.assert_quiet()
        for _ in range(2):
            self.publish("test:a", "a")
        self.probe.ok("ready", PATIENT_MS, result=1)
        self.probe.ok("sync", PATIENT_MS)
        for _ in range(2):  # a level, not an edge
            self.probe.ok("ready", 0, result=1)
            self.probe.ok("receive", 0, result=1)
        self.assert_quiet()

    def test_a_sync_without_a_broker_is_told(self):
        elsewhere = os.path.join(self.home, "nobody")
        os.mkdir(elsewhere, 0o700)
        probe = Probe(self, elsewhere)
        probe.ok("subscribe", "test:a", "a")
        probe.fails(errno.ENOENT, "sync", PATIENT_MS)

    def test_a_scope_that_is_none_is_refused(self):
        self.probe.fails(errno.EINVAL, "subscribe", "test:a", "a" * 300)


class Ends(LibraryTest):
    """Brokers that are not there, end, stop, and come again."""

    def test_no_broker_is_told_at_once_with_what_to_do(self):
        os.mkdir(self.runtime, 0o700)
        sentence = Probe(self, self.runtime).fails(errno.ENOENT, "describe")
        self.assertIn(self.runtime, sentence)
        self.assertIn("start a broker there", sentence)

    def test_a_broker_that_does_not_answer_is_a_time_out_and_is_asked_again_when_it_goes_on(self):
        broker = self.with_module()
        probe = Probe(self, self.runtime, SHORT_MS)
        probe.ok("describe")
        broker.signal(signal.SIGSTOP)
        self.addCleanup(broker.signal, signal.SIGCONT)
        self.assertIn(f"in {SHORT_MS} ms", probe.fails(errno.ETIMEDOUT, "describe"))
        broker.signal(signal.SIGCONT)
        Probe(self, self.runtime).ok("describe")  # it answers again
        probe.ok("describe")

    def killed_while_it_is_asked(self, *words):
        """A broker that has the request, but does not come to answer it."""
        broker = self.start(*self.module("feed=poll", "poll-ms=20")).wait_ready()
        probe = Probe(self, self.runtime)
        probe.ok("ensure", "demo")
        broker.signal(signal.SIGSTOP)
        probe.say(*words)
        broker.kill()
        return probe

    def test_a_broker_that_was_killed_between_is_told(self):
        result, words = self.killed_while_it_is_asked("stop", "demo").finish()
        self.assertIn(result, (-errno.ECONNRESET, -errno.ECONNREFUSED), words)

    def test_the_next_broker_is_asked_by_the_same_connection(self):
        first = self.with_module()
        probe = Probe(self, self.runtime)
        probe.ok("ensure", "demo")
        first.end()
        result, words = probe.ask("ensure", "demo")
        self.assertIn(result, (-errno.ENOENT, -errno.ECONNREFUSED), words)
        self.with_module()
        self.assertEqual(probe.ok("ensure", "demo")[0], "1")
        self.assertEqual(probe.ok("stop", "demo"), ["0", "0"])

    def test_one_that_was_never_seen_to_end_is_no_matter(self):
        first = self.with_module()
        probe = Probe(self, self.runtime)
        probe.ok("ensure", "demo")
        first.end()
        self.with_module()
        # A signal is not repeated: it must not have been sent to the one that ended.
        probe.refused("no_such_block", "signal", "demo", signal.SIGUSR1.value)


class Junk(LibraryTest):
    """A control socket behind which something else is."""

    def answered_by(self, answer, *words):
        """`answer`: from the body of a request to that of the reply."""
        os.mkdir(self.runtime, 0o700)
        router = self.zmq.socket(zmq.ROUTER)
        self.addCleanup(router.close, 0)
        router.bind(f"ipc://{self.runtime}/control")
        probe = Probe(self, self.runtime)
        probe.say(*words)
        self.assertTrue(router.poll(DEADLINE * 1000))
        who, empty, body = router.recv_multipart()
        router.send_multipart([who, empty, answer(msgpack.unpackb(body))])
        return probe.finish()

    def assert_junk(self, answer, *words):
        result, (_, *sentence) = self.answered_by(answer, *words)
        self.assertEqual(result, -errno.EPROTO, sentence)

    def data(self, data):
        return lambda request: msgpack.packb({"resid": request["reqid"], "data": data})

    def test_what_is_not_msgpack(self):
        self.assert_junk(lambda _: b"\xc1 what?", "describe")

    def test_a_length_that_is_not_there(self):
        self.assert_junk(lambda _: b"\xdf\xff\xff\xff\xff\xa4data", "describe")

    def test_a_reply_to_another_request(self):
        self.assert_junk(lambda _: msgpack.packb({"resid": 0, "data": {}}), "describe")

    def test_a_reply_without_what_it_must_have(self):
        self.assert_junk(self.data({}), "describe")

    def test_values_of_other_types(self):
        listed = {"tracked": True, "confidence": "high", "confidence_reason": "", "processes": [{"pid": -1}]}
        self.assert_junk(self.data(listed), "list", "demo")

    def test_survivors_that_are_none(self):
        stopped = {"exited": 0, "killed": 0, "elapsed_ms": 0, "survivors": [7]}
        self.assert_junk(self.data(stopped), "stop", "demo")

    def test_an_errorcode_of_a_later_broker_is_internal(self):
        result, words = self.answered_by(
            lambda request: msgpack.packb({"resid": request["reqid"], "error": "no, for once",
                                           "errorcode": "not_today"}), "describe")
        self.assertEqual((result, words), (-errno.EREMOTEIO, ["internal", "no,", "for", "once"]))

    def test_every_type_of_value_is_read(self):
        data = {"nil": None, "yes": True, "uint": 2**64 - 1, "int": -2**63, "float": 0.5, "empty": "",
                "str": "\u00e4", "list": [[], {}], "bin": b"x", 7: 8}
        result, words = self.answered_by(self.data(data), "ask", "anything", "control", "once")
        self.assertEqual((result, " ".join(words)), (
            0, "{nil:null,yes:true,uint:18446744073709551615,int:-9223372036854775808,float:0.5,"
               "empty:'',str:'\u00e4',list:[[],{}],bin:?,?:8}"))

    def test_a_string_with_a_nul_ends_there(self):
        result, words = self.answered_by(self.data({"str": "a\0b", "next": "c"}), "ask", "anything",
                                         "control", "once")
        self.assertEqual((result, words), (0, ["{str:'a',next:'c'}"]))


class FrontEnd(LibraryTest):
    """All of it in one program: mirror, events, births and requests in one loop of epoll."""

    def run_front_end(self, *words):
        ended = subprocess.run([FRONT_END, *words], text=True, capture_output=True, timeout=2 * DEADLINE,
                               env=os.environ | {"WPS_RUNTIME_DIR": self.runtime})
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        self.assertIn("did all it must", ended.stdout)

    def test_a_front_end_lives_in_one_loop(self):
        self.broker(*self.module())
        self.run_front_end()

    def test_two_threads_have_a_connection_each(self):
        self.broker(*self.module())
        self.run_front_end("5")


if __name__ == "__main__":
    unittest.main()
