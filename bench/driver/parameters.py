# SPDX-License-Identifier: Apache-2.0
"""How much of everything."""

import dataclasses

from . import machine


@dataclasses.dataclass
class Parameters:
    feeds: tuple[str, ...] = ("bpf", "netlink", "poll")
    rounds: int = 5
    poll_ms: int = 2000
    lives: int = 100_000  # of the completeness
    spawners: int = dataclasses.field(default_factory=machine.cpus)  # of a storm on all cores
    storm: int = 4000  # lives a spawner and storm
    rate: int = 500
    paced: int = 1000  # lives at that rate
    poll_life_ms: int = 3000  # what lives shorter a scan does not see
    blocks: int = 5000
    members: int = 10_000
    listed: int = 5000
    killed: int = 5000
    stopped: int = 1000
    adopted: int = 10_000
    made: int = 1000  # blocks
    started: int = 200  # by proctrack run, a round
    idle_blocks: int = 1000
    idle_members: int = 10
    idle_s: float = 10
    idle_before_s: float = 12  # the last mark of a block comes 10 s after its last event
    flood: int = 400_000
    quiet_ms: int = 500  # without a message for so long a subscriber has got all
    build_targets: tuple[str, ...] = ("generic",)  # of the project that is built

    @staticmethod
    def quick() -> "Parameters":
        """To see that all of it works; the figures mean nothing."""
        return Parameters(rounds=1, poll_ms=100, lives=400, storm=60, paced=60, poll_life_ms=300,
                          blocks=20, members=50, listed=50, killed=50, stopped=50, adopted=50,
                          made=20, started=5, idle_blocks=5,
                          idle_members=2, idle_s=0.5, idle_before_s=0.2, flood=4000,
                          quiet_ms=150, build_targets=("lzio.o", "lmem.o"))
