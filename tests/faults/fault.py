# SPDX-License-Identifier: Apache-2.0
"""What a fault is: done, lived with, undone, and seen to have happened."""

from __future__ import annotations

import re
from typing import ClassVar

from world import World

#: All faults by their name, in the order in which they were written down.
FAULTS: dict[str, type[Fault]] = {}


class Fault:
    """One thing that goes wrong. A subclass says in its docstring what, and is a fault of its own where it has a name."""

    name: ClassVar[str]
    #: What the broker's log, or the sentence of a refusal, has to say of it. None: nobody can.
    says: ClassVar[str | None] = None
    #: Whether the same broker has to be there afterwards.
    survives: ClassVar[bool] = True
    #: Whether steps of the workload come between `do` and `undo`.
    lasts: ClassVar[bool] = False
    #: Steps that wait for its end, and so do not come in between.
    without: ClassVar[frozenset[str]] = frozenset()
    #: Errorcodes that the workload may meet meanwhile, besides those of blocks that are gone.
    allows: ClassVar[frozenset[str]] = frozenset()
    #: How many descriptors it costs the broker for good.
    keeps: ClassVar[int] = 0

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            FAULTS[cls.name] = cls

    def __init__(self, world: World) -> None:
        self.world = world

    def why_not(self) -> str | None:
        """Why it cannot be done here, or None."""
        return None

    def do(self) -> None:
        """Makes it happen; comes back when it has."""
        raise NotImplementedError

    def undo(self) -> None:
        """Takes it back, where it does not pass by itself."""

    def check_seen(self) -> None:
        """Raises AssertionError where it did not take hold."""
        raise NotImplementedError

    def check_said(self) -> None:
        said = self.world.said()
        assert self.says is None or re.search(self.says, said), \
            f"nothing said {self.says!r}, but:\n{said[-3000:]}"
