# SPDX-License-Identifier: Apache-2.0
"""How much of everything."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib


@dataclasses.dataclass
class Parameters:
    feed: str = dataclasses.field(default="bpf", metadata={"help": "bpf, netlink or poll"})
    poll_ms: int = dataclasses.field(default=2000, metadata={"help": "from scan to scan, with the feed poll"})
    minutes: float = dataclasses.field(default=30.0, metadata={"help": "how long births and deaths go on"})
    interval: float = dataclasses.field(default=60.0, metadata={"help": "seconds from checkpoint to checkpoint"})
    blocks: int = dataclasses.field(default=2000, metadata={"help": "blocks that stay"})
    processes: int = dataclasses.field(default=20000, metadata={"help": "members of all blocks together"})
    subscribers: int = dataclasses.field(default=50, metadata={"help": "of every kind, the mirror among them"})
    subscriber_queue: int = dataclasses.field(default=5000, metadata={
        "help": "messages that wait for a subscriber that does not read: full during warm-up"})
    mirror_nice: int = dataclasses.field(default=-10, metadata={
        "help": "of the mirror; the crowd has 0. A mirror that is behind is dropped messages"})
    clients: int = dataclasses.field(default=50, metadata={"help": "who ask; every tenth makes and ends blocks of "
                                                                   "its own"})
    pace: float = dataclasses.field(default=20.0, metadata={"help": "requests a second of each client"})
    at_work: int = dataclasses.field(default_factory=lambda: 8 * (os.cpu_count() or 1), metadata={
        "help": "how many give birth at a time: so many that the processors are never without"})
    kill_every: float = dataclasses.field(default=1.0, metadata={"help": "seconds from one kill -9 of a subscriber to "
                                                                       "the next"})
    window: float = dataclasses.field(default=5.0, metadata={"help": "seconds of each interval in which latencies are "
                                                                   "taken"})
    settle: float = dataclasses.field(default=60.0, metadata={"help": "seconds within which all has to agree at a "
                                                                    "checkpoint"})
    seed: int = dataclasses.field(default=1, metadata={"help": "of what the clients ask"})
    json: str = dataclasses.field(default="", metadata={"help": "where all figures go, after each checkpoint"})
    build_dir: str = dataclasses.field(default="", metadata={"help": "what is built there already is run: nothing is "
                                                                     "built"})


def parse(doc: str | None) -> Parameters:
    parser = argparse.ArgumentParser(prog="tests/load/run", description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Parameters()
    for field in dataclasses.fields(Parameters):
        default = getattr(defaults, field.name)
        parser.add_argument("--" + field.name.replace("_", "-"), type=type(default), default=default,
                            metavar={int: "N", float: "N", str: "WORD"}[type(default)],
                            help=f"{field.metadata['help']} ({default or 'none'})")
    return Parameters(**vars(parser.parse_args()))


def why_too_much(p: Parameters) -> str | None:
    """A sentence where the machine cannot hold so many, else None."""
    wanted = p.processes + p.blocks + 2000  # what others have, and pids of the dead that wait for their turn
    for name in ("kernel/pid_max", "kernel/threads-max"):
        most = int(pathlib.Path("/proc/sys", name).read_text())
        if wanted > most:
            return f"{p.processes} processes need {wanted} of /proc/sys/{name}, which is {most}"
    if p.processes < p.blocks:
        return "there has to be a process for each block, at least"
    return None
