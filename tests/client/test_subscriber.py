# SPDX-License-Identifier: Apache-2.0
"""The subscriber of client/ with a real broker: wps's subscriptions, each event delivered once."""

import errno
import os
import pathlib
import queue
import random
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "broker"))

from probes import LineProbe  # noqa: E402
from wpsd import DEADLINE, SANITIZED, BrokerTest  # noqa: E402

PROBE = os.environ.get("CLIENT_PROBE", "subscriber_probe")


class Probe(LineProbe):
    """A program that subscribes as it is told and says what is delivered to it."""

    def __init__(self, test, endpoint):
        super().__init__(test, PROBE, endpoint)
        self.early = []  # events that came before an answer

    def line(self, timeout=DEADLINE):
        """The next event, or None where there is none in time."""
        return self.early.pop(0) if self.early else self.next_line(timeout)

    def next_line(self, timeout):
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            return None
        self.test.assertIsNotNone(line, "the probe ended")
        return line

    def tell(self, *words):
        """What it answers. Events that come before that are events still."""
        self.say(*words)
        while line := self.next_line(DEADLINE):
            if line.startswith("="):
                return line[2:]
            self.early.append(line)
        return self.test.fail(f"no answer to {words}")

    def subscribe(self, event, *scopes):
        self.test.assertEqual(self.tell("subscribe", event, *scopes), "0 ")

    def sync(self):
        """Comes back when all that it subscribed to is in force, and gives what came meanwhile."""
        scope = f"sync:{os.urandom(8).hex()}"
        self.subscribe("sync", scope)
        until = time.monotonic() + DEADLINE
        meanwhile = []
        while True:
            self.test.assertLess(time.monotonic(), until, "no subscription comes into force")
            self.test.publish("sync", [scope], sender=scope)
            while line := self.line(timeout=0.05):
                if line == f"sync {scope}":
                    return meanwhile
                meanwhile.append(line)

    def delivered(self):
        """The senders of all that was delivered before now."""
        lines = self.sync()
        return [line.split(" ", 1)[1] for line in lines if not line.startswith("sync ")]


def split(scope):
    return scope.split(":")


def matches(pattern, scope):
    """wps's StarMatchString, word by word."""
    wanted, given = split(pattern), split(scope)
    for i, part in enumerate(wanted):
        if part == "**":
            return i == len(wanted) - 1
        if i >= len(given) or part not in ("*", given[i]):
            return False
    return len(wanted) == len(given)


class Model:
    """wps's subscriptions of one client: a second one to an event takes the place of the first."""

    def __init__(self):
        self.wanted = {}

    def delivers(self, event, scopes):
        wanted = self.wanted.get(event, [])
        if wanted == "all":
            return True
        return any(matches(pattern, scope) for pattern in wanted for scope in scopes)


class Subscriber(BrokerTest):
    def setUp(self):
        super().setUp()
        self.wpsd = self.broker()
        self.probe = Probe(self, self.wpsd.endpoint("events"))

    def send(self, sender, event, *scopes):
        self.publish(event, scopes, sender=sender)

    def test_an_event_with_several_scopes_is_delivered_once(self):
        self.probe.subscribe("e", "a", "b:*", "**")
        self.probe.sync()
        self.send("three", "e", "a", "b:1", "c")
        self.send("one", "e", "c")
        self.assertEqual(self.probe.delivered(), ["three", "one"])

    def test_a_scope_that_only_begins_alike_is_not_delivered(self):
        self.probe.subscribe("e", "block:1")
        self.probe.sync()
        self.send("10", "e", "block:10")
        self.send("1:x", "e", "block:1:x")
        self.send("1", "e", "block:1")
        self.send("both", "e", "block:10", "block:1")
        self.assertEqual(self.probe.delivered(), ["1", "both"])

    def test_star_scopes_take_one_part_or_all_the_rest(self):
        self.probe.subscribe("one", "block:*")
        self.probe.subscribe("rest", "block:**")
        self.probe.sync()
        for scope in ("block", "block:1", "block:1:2", "blocks:1"):
            self.send(f"one of {scope}", "one", scope)
            self.send(f"rest of {scope}", "rest", scope)
        self.assertEqual(self.probe.delivered(), ["rest of block", "one of block:1",
                                                  "rest of block:1", "rest of block:1:2"])

    def test_all_scopes_takes_also_what_has_none(self):
        self.assertEqual(self.probe.tell("all", "e"), "0 ")
        self.probe.sync()
        self.send("none", "e")
        self.send("two", "e", "a", "b")
        self.send("other", "f", "a")
        self.assertEqual(self.probe.delivered(), ["none", "two"])

    def test_what_has_no_scope_is_for_no_star(self):
        self.probe.subscribe("e", "**", "*")
        self.probe.sync()
        self.send("none", "e")
        self.send("empty", "e", "")
        self.assertEqual(self.probe.delivered(), ["empty"])

    def test_a_second_subscription_takes_the_place_of_the_first(self):
        self.probe.subscribe("e", "a", "b")
        self.probe.subscribe("e", "b", "c")
        self.probe.sync()
        for scope in "abc":
            self.send(scope, "e", scope)
        self.assertEqual(self.probe.delivered(), ["b", "c"])

    def test_without_a_subscription_nothing_is_delivered(self):
        self.probe.subscribe("e", "a")
        self.probe.subscribe("f", "a")
        self.probe.subscribe("none")
        self.assertEqual(self.probe.tell("unsubscribe", "e"), "0 ")
        self.assertEqual(self.probe.tell("unsubscribe", "e"), f"{-errno.ENOENT} ")
        self.probe.sync()
        self.send("1", "e", "a")
        self.send("2", "f", "a")
        self.send("3", "none", "a")
        self.assertEqual(self.probe.delivered(), ["2"])

    def test_what_is_no_scope_is_refused_and_nothing_changes(self):
        self.probe.subscribe("e", "a")
        self.assertRegex(self.probe.tell("subscribe", "e", "b", "x" * 246),
                         r"^-22 scopes\[1\]: .* at most 245 bytes")
        self.probe.sync()
        self.send("a", "e", "a")
        self.send("b", "e", "b")
        self.assertEqual(self.probe.delivered(), ["a"])

    def test_thousands_of_scopes_are_all_in_force(self):
        """More than a SUB socket's preset marks let through at once."""
        n = 2000 if SANITIZED else 10000
        self.probe.subscribe("e", *[f"s:{i}" for i in range(n)])
        self.probe.sync()
        wanted = [*range(0, n, 97), n - 2, n - 1]
        for i in wanted:
            self.send(str(i), "e", f"s:{i}")
        self.assertEqual(self.probe.delivered(), [str(i) for i in wanted])

    def test_subscriptions_hold_when_the_broker_comes_back(self):
        self.probe.subscribe("e", "a")
        self.probe.sync()
        self.assertEqual(self.wpsd.end(), 0)
        self.wpsd = self.broker()
        self.probe.sync()
        self.send("again", "e", "a")
        self.assertEqual(self.probe.delivered(), ["again"])

    def test_order_is_kept_and_none_is_lost(self):
        self.probe.subscribe("e", "a", "b")
        self.probe.sync()
        for i in range(2000):
            self.send(str(i), "e", *random.choice([["a"], ["b"], ["a", "b"], ["b", "c", "a"]]))
        self.assertEqual(self.probe.delivered(), [str(i) for i in range(2000)])

    def test_random_subscriptions_and_events_are_as_in_wps(self):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        scopes = ["a", "b", "a:b", "a:b:c", "ab", ":", "a:", "*", "a:*"]
        patterns = [*scopes, "**", "a:**", "*:b", "**:a", "*:*", "a:**:c", "***"]
        model = Model()
        for turn in range(40):
            for event in "ef":
                if chance.random() < 0.2:
                    model.wanted[event] = "all"
                    self.probe.tell("all", event)
                else:
                    model.wanted[event] = chance.sample(patterns, chance.randint(0, 4))
                    self.probe.subscribe(event, *model.wanted[event])
            self.probe.sync()
            expected = []
            for i in range(25):
                event, of = chance.choice("efg"), chance.sample(scopes, chance.randint(0, 3))
                self.send(f"{turn}.{i}", event, *of)
                if model.delivers(event, of):
                    expected.append(f"{turn}.{i}")
            self.assertEqual(self.probe.delivered(), expected, (seed, turn, model.wanted))


if __name__ == "__main__":
    unittest.main()
