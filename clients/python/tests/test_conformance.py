# SPDX-License-Identifier: Apache-2.0
"""The cases that clients in all languages share, clients/conformance: no broker, no sockets."""

import json
import pathlib
import unittest
from typing import Any

from proctrack import Event, InvalidArgument, Malformed, Picture, names, wire

CASES = pathlib.Path(__file__).resolve().parents[2] / "conformance"


def load(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    return read


class Merge(unittest.TestCase):
    """Events and lists of a block, put together."""

    shared = load("merge")

    def test_cases(self) -> None:
        self.assertGreater(len(self.shared["cases"]), 10)
        for case in self.shared["cases"]:
            with self.subTest(case["name"]):
                self.run_case(case)

    def run_case(self, case: dict[str, Any]) -> None:
        picture = Picture("b")
        held: dict[tuple[int, int], Any] = {}  # what somebody would hold who lives on the changes
        for number, step in enumerate(case["steps"]):
            for change in self.take(picture, step):
                record = change.process
                if record is None:
                    continue
                key = record["pid"], record["started_at_ms"]
                if change.kind in ("process-gone", "process-exited", "process-escaped"):
                    del held[key]
                else:
                    held[key] = record
            at = (picture.epoch, picture.seq) if picture.whole else None
            self.assertEqual(at, step["at"] and tuple(step["at"]), f"step {number}")
            if at is not None:
                has = [self.shared["records"][name] for name in step["has"]]
                expected = {(record["pid"], record["started_at_ms"]): record for record in has}
                self.assertEqual(picture.processes, expected, f"step {number}")
                self.assertEqual(held, expected, f"the changes of step {number}")

    def take(self, picture: Picture, step: dict[str, Any]) -> Any:
        if "lost" in step:
            return picture.lost()
        if "list" in step:
            reply = self.filled(step["list"])
            if not step.get("malformed"):
                return picture.listed(reply)
            with self.assertRaises(Malformed):
                picture.listed(reply)
            return []
        name, data = step["event"]
        name = f"agent:{name}" if step.get("agent", True) else name
        topic = step.get("topic", "block:b")
        return picture.event(Event(topic, name, (topic,), data={"block_id": "b"} | self.filled(data)))

    def filled(self, value: Any) -> Any:
        """With the records in place of their names."""
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, str) and value.startswith("$"):
            return dict(self.shared["records"][value[1:]])
        return value


class Names(unittest.TestCase):
    """Block ids and scopes."""

    shared = load("names")

    def test_block_ids(self) -> None:
        for block_id in self.shared["block_ids"]["allowed"]:
            self.assertEqual(names.block_scope(block_id), f"block:{block_id}")
        for block_id in self.shared["block_ids"]["refused"]:
            with self.subTest(block_id), self.assertRaises(InvalidArgument):
                names.block_scope(block_id)

    def test_patterns_match(self) -> None:
        for case in self.shared["matches"]:
            for wanted, scopes in ((True, case["yes"]), (False, case["no"])):
                for scope in scopes:
                    with self.subTest(pattern=case["pattern"], scope=scope):
                        self.assertEqual(names.matches(case["pattern"], scope), wanted)

    def test_a_prefix_lets_all_through_that_matches(self) -> None:
        for pattern, prefix in self.shared["prefix"].items():
            self.assertEqual(names.prefix(pattern), prefix, pattern)
        for case in self.shared["matches"]:
            for scope in case["yes"]:
                self.assertTrue(scope.startswith(names.prefix(case["pattern"])), case)

    def test_an_event_is_delivered_once(self) -> None:
        for case in self.shared["delivers"]:
            taken = [topic for topic in case["scopes"] or [""]
                     if names.delivers(case["patterns"], case.get("all", False), topic,
                                       case["scopes"])]
            self.assertEqual(taken, [] if case["with"] is None else [case["with"]], case)

    def test_patterns_that_can_match_nothing_are_refused(self) -> None:
        for pattern in ("**:a", "a:**:b", "x" * 246, "é" * 123, "\ud800"):
            with self.subTest(pattern), self.assertRaises(InvalidArgument):
                names.check_pattern(pattern)
        names.check_pattern("x" * 245)


class Hostile(unittest.TestCase):
    """What comes is looked at before it is believed."""

    shared = load("hostile")

    def check(self, cases: list[dict[str, Any]], read: Any) -> None:
        for case in cases:
            with self.subTest(case["name"]):
                if "deep" in case:
                    frames = [b"\x81\xa4data" + b"\x91" * case["deep"]]
                else:
                    frames = [bytes.fromhex(frame) for frame in case["frames"]]
                if case.get("ok"):
                    read(frames)
                    continue
                with self.assertRaises(Malformed):
                    read(frames)

    def test_events(self) -> None:
        self.check(self.shared["events"], wire.read_event)

    def test_replies(self) -> None:
        self.check(self.shared["replies"], wire.read_reply)


class Requests(unittest.TestCase):
    """What can never be answered well is not sent."""

    def test_what_cannot_be_packed_or_is_too_long_is_refused(self) -> None:
        for value in (object(), 2**64, "\ud800", "x" * wire.REQUEST_BYTES_MAX):
            with self.assertRaises(InvalidArgument):
                wire.pack_request("describe", {"value": value})

    def test_a_command_that_waits_at_the_broker_is_given_that_time(self) -> None:
        self.assertEqual(wire.seconds_at_broker("wait_empty", {"timeout_ms": 2500}), 2.5)
        self.assertEqual(wire.seconds_at_broker("remove", {}), 10.0)
        self.assertEqual(wire.seconds_at_broker("describe", {}), 0.0)


if __name__ == "__main__":
    unittest.main()
