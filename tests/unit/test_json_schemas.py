# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas: each is one, all references resolve, every message of the protocol has its own, and
what the C code packs is what they say.

usage: test_json_schemas.py SCHEMAS_DIRECTORY SAMPLES_PROGRAM
"""

import json
import pathlib
import subprocess
import sys
import unittest

SKIPPED = 77

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed for", sys.executable)
    sys.exit(SKIPPED)

SUFFIX = ".schema.json"

EVENTS = """process-added process-exec process-changed process-exited process-escaped block-added
    block-changed block-resync block-removed block-mark""".split()
CONTROL = """describe ensure_tracker assign_process list_block list_all_blocks confidence_of kill_pid
    kill_tree kill_started signal_tree stop_tree wait_empty freeze thaw remove stats""".split()
RPC = "eventpublish eventreadhistory brokerinfo".split()
ENVELOPES = "event request reply error".split()

POINT = {"block_id": "b", "epoch": "e", "seq": 1}
VERSION = {"epoch": "e", "seq": 1}
RECORD = {
    "pid": 1,
    "command": "a",
    "rss_bytes": 0,
    "started_at_ms": 0,
    "root": False,
    "started": True,
    "scope": "main",
}
EXITED = {
    **POINT,
    "pid": 1,
    "started_at_ms": 0,
    "runtime_ms": 0,
    "cpu_ms": 0,
    "max_rss_bytes": 0,
}
CONFIDENCE = {"confidence": "high", "confidence_reason": "Why."}
STATE = {**POINT, **CONFIDENCE, "tracker": "cgroup", "feed": "bpf", "adopted": False}
SURVIVOR = {"pid": 1, "started_at_ms": 0, "state": "D", "command": "a", "escaped": False}

# What each schema must let through, besides what the C code packs: messages that come from elsewhere.
RIGHT = [
    ("event", {"event": "e", "data": None, "later": 1}),
    ("process-record", {**RECORD, "exe": "/bin/a", "cwd": "/", "uid": 0, "state": "S", "threads": 1,
                        "cpu_ms": 2, "argv": ["a"],
                        "ports": [{"port": 80, "address": "::", "family": "inet6"}]}),
    ("control.kill_started.request", {"block_id": "b", "pid": 7}),
    ("control.kill_started.reply", {**VERSION, "killed": [7, 8]}),
    ("control.signal_tree.request", {"block_id": "b", "signal": 15, "scope": "bg/7"}),
    ("control.signal_tree.reply", {**VERSION, "signalled": []}),
    ("control.stop_tree.request", {"block_id": "b", "grace_ms": 0, "include_escaped": True}),
    ("control.stop_tree.reply", {**VERSION, "exited": 1, "killed": 0, "survivors": [SURVIVOR],
                                 "elapsed_ms": 5}),
    ("control.wait_empty.request", {"block_id": "b", "timeout_ms": 5}),
    ("control.wait_empty.reply", {**VERSION, "empty": False, "remaining": 2}),
    ("control.freeze.request", {"block_id": "b", "scope": "bg"}),
    ("control.freeze.reply", {**VERSION, "ok": True}),
    ("control.thaw.request", {"block_id": "b"}),
    ("control.thaw.reply", {**VERSION, "ok": True}),
    ("control.list_all_blocks.reply", {"block_ids": ["b"], "blocks": [
        {"block_id": "b", "confidence": "none", **VERSION, "processes": 0, "rss_bytes": 1,
         "cpu_ms": 2}]}),
    ("rpc.eventpublish.reply", {"routed": 0}),
    ("rpc.eventreadhistory.request", {"event": "e", "scope": "", "maxitems": 5}),
    ("rpc.eventreadhistory.reply", {"events": [{"event": "e"}]}),
    ("rpc.brokerinfo.request", {}),
    ("rpc.brokerinfo.reply", {"name": "wpsd", "version": "0.1.0",
                              "endpoints": {"events": "ipc:///run/wps/events"},
                              "plugins": [{"name": "proctrack", "version": "0.1.0",
                                           "state": "running", "endpoints": {}}],
                              "counters": {"routed": 1}}),
]

# What each schema must refuse.
WRONG = [
    ("event", {"event": ""}),
    ("event", {"event": "e", "scopes": ["x" * 246]}),
    ("event", {"event": "e", "persist": -1}),
    ("process-record", {**RECORD, "pid": 0}),
    ("process-record", {**RECORD, "pid": "1"}),
    ("process-record", {**RECORD, "scope": "a/b/c/d"}),
    ("process-record", {**RECORD, "scope": "a//b"}),
    ("process-record", {**RECORD, "command": "x" * 4097}),
    ("process-record", {**RECORD, "rss_bytes": 2**64}),
    ("process-record", {**RECORD, "uid": -1}),
    ("process-record", {**RECORD, "state": ""}),
    ("process-record", {**RECORD, "threads": 0}),
    ("process-record", {**RECORD, "argv": "a b"}),
    ("process-record", {**RECORD, "argv": [1]}),
    ("process-record", {**RECORD, "ports": [{"port": 0, "address": "::", "family": "inet6"}]}),
    ("process-record", {**RECORD, "ports": [{"port": 80, "address": "::", "family": "ipx"}]}),
    ("process-record", {**RECORD, "ports": [{"port": 80, "address": "::"}]}),
    ("control.list_all_blocks.reply", {"block_ids": ["b"], "blocks": [
        {"block_id": "b", "confidence": "none", **VERSION, "processes": 0, "rss_bytes": 1}]}),
    ("agent.block-mark", {**POINT, "seq": 0}),
    ("agent.block-mark", {**POINT, "epoch": "x" * 33}),
    ("agent.block-mark", {**POINT, "block_id": "a/b"}),
    ("agent.block-mark", {**POINT, "block_id": ".a"}),
    ("agent.block-mark", {**POINT, "block_id": "x" * 129}),
    ("agent.process-added", {**POINT, "process": {**RECORD, "root": 1}}),
    ("agent.process-exited", {**EXITED, "exit_code": 256}),
    ("agent.process-exited", {**EXITED, "exit_code": 0, "signal": 9, "core_dumped": False}),
    ("agent.process-exited", {**EXITED, "signal": 9}),
    ("agent.process-exited", {**EXITED, "core_dumped": True}),
    ("agent.process-escaped", {**POINT, "pid": 1, "started_at_ms": 0, "reason": "fled"}),
    ("agent.block-added", {**STATE, "confidence": "low"}),
    ("agent.block-resync", {**POINT, "reason": "x"}),
    ("agent.block-removed", {**POINT, "reason": "x"}),
    ("request", {"command": "c", "reqid": -1}),
    ("request", {"command": "c", "reqid": "x" * 257}),
    ("request", {"command": "c", "data": []}),
    ("reply", {"data": {}, "error": "x", "errorcode": "limit"}),
    ("reply", {"error": "x"}),
    ("error", {"error": "x", "errorcode": "other"}),
    ("control.ensure_tracker.request", {"block_id": "b", "on_exit": "stay"}),
    ("control.list_block.request", {"block_id": "b", "only": "root"}),
    ("control.list_block.reply", {**CONFIDENCE, "tracked": True, "processes": []}),
    ("control.kill_tree.reply", {"ok": True}),
    ("control.remove.reply", {"ok": False, "survivors": [], "epoch": "e"}),
    ("control.remove.request", {"block_id": "b", "timeout_ms": 86400001}),
    ("control.signal_tree.request", {"block_id": "b", "signal": 0}),
]


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def references(node):
    """Every $ref in a schema."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


class JsonSchemas(unittest.TestCase):
    directory = None
    samples_program = None

    @classmethod
    def setUpClass(cls):
        cls.paths = {
            path.name[: -len(SUFFIX)]: path for path in sorted(cls.directory.glob("*" + SUFFIX))
        }
        cls.schemas = {name: load(path) for name, path in cls.paths.items()}
        output = subprocess.run([cls.samples_program], check=True, capture_output=True).stdout
        lines = output.decode("utf-8").splitlines()
        cls.samples = [(name, json.loads(text)) for name, text in (l.split("\t") for l in lines)]

    def validator(self, name):
        schema = self.schemas[name]
        resolver = jsonschema.RefResolver(self.paths[name].resolve().as_uri(), schema)
        return jsonschema.Draft202012Validator(schema, resolver=resolver)

    def own_and_shared(self, name):
        """A schema, and the shared pieces that it begins with."""
        yield self.schemas[name]
        shared = self.schemas[name].get("$ref", "")
        if shared.endswith(SUFFIX):
            yield from self.own_and_shared(shared[: -len(SUFFIX)])

    def required(self, name):
        return {key for part in self.own_and_shared(name) for key in part.get("required", [])}

    def described(self, name):
        return {key for part in self.own_and_shared(name) for key in part.get("properties", {})}

    def accepts(self, name, message):
        return self.validator(name).is_valid(message)

    def test_every_schema_is_valid_against_its_metaschema(self):
        self.assertTrue(self.schemas)
        for name, schema in self.schemas.items():
            with self.subTest(name):
                self.assertIs(
                    jsonschema.validators.validator_for(schema), jsonschema.Draft202012Validator
                )
                jsonschema.Draft202012Validator.check_schema(schema)

    def test_every_reference_resolves(self):
        for name, schema in self.schemas.items():
            resolver = self.validator(name).resolver
            for reference in references(schema):
                with self.subTest(name, reference=reference):
                    resolver.resolve(reference)

    def test_every_message_of_the_protocol_has_its_schema_and_there_are_no_others(self):
        wanted = set(ENVELOPES)
        wanted |= {"definitions", "block-point", "block-version", "process-record", "survivor"}
        wanted |= {f"agent.{event}" for event in EVENTS}
        for side, commands in (("control", CONTROL), ("rpc", RPC)):
            wanted |= {f"{side}.{c}.{way}" for c in commands for way in ("request", "reply")}
        self.assertEqual(wanted, set(self.schemas))

    def test_every_required_key_is_described(self):
        for name in self.schemas:
            with self.subTest(name):
                self.assertLessEqual(self.required(name), self.described(name))

    def test_what_the_c_code_packs_is_what_the_schemas_say(self):
        self.assertTrue(self.samples)
        for name, message in self.samples:
            with self.subTest(name, message=message):
                self.validator(name).validate(message)

    def test_every_command_that_the_c_code_describes_has_samples(self):
        described = [m for name, m in self.samples if name == "control.describe.reply"]
        seen = {name for name, _ in self.samples}
        for command in described[0]["commands"]:
            self.assertIn(command, CONTROL)
            self.assertIn(f"control.{command}.request", seen)
            self.assertIn(f"control.{command}.reply", seen)
        self.assertLessEqual({f"agent.{event}" for event in EVENTS}, seen)

    def test_no_required_key_may_be_missing(self):
        for name, message in self.samples + RIGHT:
            for key in self.required(name):
                with self.subTest(name, key=key):
                    without = {k: v for k, v in message.items() if k != key}
                    self.assertFalse(self.accepts(name, without), without)

    def test_further_keys_are_let_through(self):
        for name, message in self.samples:
            if name not in ("event", "rpc.eventpublish.request"):
                with self.subTest(name):
                    self.validator(name).validate({**message, "a_later_key": [None]})

    def test_right_messages_are_let_through(self):
        for name, message in RIGHT:
            with self.subTest(name, message=message):
                self.validator(name).validate(message)

    def test_every_message_is_tried(self):
        pieces = {"definitions", "block-point", "block-version", "survivor"}
        tried = {name for name, _ in self.samples + RIGHT}
        self.assertEqual(set(self.schemas) - pieces, tried)

    def test_wrong_messages_are_refused(self):
        for name, message in WRONG:
            with self.subTest(name, message=message):
                self.assertFalse(self.accepts(name, message))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    JsonSchemas.directory = pathlib.Path(sys.argv[1])
    JsonSchemas.samples_program = sys.argv[2]
    unittest.main(argv=sys.argv[:1])
