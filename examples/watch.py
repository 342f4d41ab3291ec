#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows what happens in blocks: first who is there, then every event as it comes, until Ctrl-C.

usage: watch.py [BLOCK]...        no block: all of them

The broker is looked for in $WPS_RUNTIME_DIR.
"""

from __future__ import annotations

import sys
from typing import Any

import proctrack_client
import show


def main() -> int:
    blocks = sys.argv[1:]
    if any(block in ("-h", "--help") for block in blocks):
        print(__doc__.strip())
        return 0
    client = proctrack_client.Client()
    try:
        watch(client, blocks)
    except (proctrack_client.Unreachable, proctrack_client.Refused) as problem:
        print(f"watch.py: {problem}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 0
    finally:
        client.close()
    return 0


def watch(client: Any, blocks: list[str]) -> None:
    for block in blocks or [None]:
        client.follow(block)  # before the list, so that nothing is missed between the two
    known = {}  # what the list of each block counts already
    for block in blocks or client.ask("list_all_blocks")["block_ids"]:
        listed = client.ask("list_block", block_id=block)
        known[listed.get("epoch")] = listed.get("seq", 0)
        print(f"{block}: {len(listed['processes'])} processes, confidence {listed['confidence']}")
        if listed["processes"]:
            print("\n".join(show.tree(listed["processes"])))
    lines = show.EventLines()
    while True:
        event = client.next_event()
        data = event["data"]
        line = lines.line(event)
        counted = data["seq"] <= known.get(data["epoch"], 0)
        if line and not counted and (not blocks or data["block_id"] in blocks):
            print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
