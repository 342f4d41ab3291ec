#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the broker one thing and prints the reply as JSON.

usage: ask.py COMMAND [KEY=VALUE]...        a VALUE that is JSON counts as such, else it is a string
       ask.py describe
       ask.py ensure_tracker block_id=mine
       ask.py assign_process block_id=mine pid=4711
       ask.py list_block block_id=mine
       ask.py kill_tree block_id=mine

The broker is looked for in $WPS_RUNTIME_DIR.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import proctrack_client

OF_THE_BROKER = ("eventpublish", "eventreadhistory", "brokerinfo")


def value_of(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if len(sys.argv) == 2 else 64
    command, *pairs = sys.argv[1:]
    data = {key: value if key in ("block_id", "scope") else value_of(value)
            for key, _, value in (pair.partition("=") for pair in pairs)}
    client = proctrack_client.Client()
    try:
        socket = "rpc" if command in OF_THE_BROKER else "control"
        print(json.dumps(client.ask(command, socket=socket, **data), indent=2, ensure_ascii=False))
    except proctrack_client.Refused as refusal:
        print(f"ask.py: {refusal.errorcode}: {refusal}", file=sys.stderr)
        return 1
    except proctrack_client.Unreachable as problem:
        print(f"ask.py: {problem}", file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
