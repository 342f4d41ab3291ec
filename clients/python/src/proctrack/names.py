# SPDX-License-Identifier: Apache-2.0
"""Block ids and scopes: which there are, and which of them a subscription wants."""

import re
from collections.abc import Iterable, Sequence

from .errors import InvalidArgument

SCOPE_BYTES_MAX = 245
_BLOCK_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def block_scope(block_id: str) -> str:
    """The scope that the events of a block are published on."""
    if not _BLOCK_ID.fullmatch(block_id):
        raise InvalidArgument(
            f"{block_id!r} is no block id: 1 to 128 of A-Z a-z 0-9 . _ -, "
            "the first of them no . and no -"
        )
    return f"block:{block_id}"


def check_pattern(pattern: str) -> None:
    """A scope to subscribe to; `*` in it is any one part, and `**`, as the last part, all the rest."""
    try:
        size = len(pattern.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"the scope {pattern!r} has no UTF-8") from None
    if size > SCOPE_BYTES_MAX:
        raise InvalidArgument(f"a scope of {size} bytes: at most {SCOPE_BYTES_MAX} can be sent")
    if "**" in pattern.split(":")[:-1]:
        raise InvalidArgument(f"the scope {pattern!r} has its ** not at the end")


def matches(pattern: str, scope: str) -> bool:
    """Whether `scope` is the pattern, or one that its stars stand for. Empty parts are parts."""
    wanted, given = pattern.split(":"), scope.split(":")
    if wanted[-1] == "**":
        wanted.pop()
        given = given[: len(wanted)]
    if "**" in wanted or len(wanted) != len(given):
        return False
    return all(want in ("*", have) for want, have in zip(wanted, given))


def prefix(pattern: str) -> str:
    """The longest beginning of all that matches: what a SUB socket can be told."""
    parts = pattern.split(":")
    for number, part in enumerate(parts):
        if part == "*":
            return "".join(f"{before}:" for before in parts[:number])
        if part == "**":  # `a:**` is `a` too
            return ":".join(parts[:number])
    return pattern


def delivers(patterns: Iterable[str], wants_all: bool, topic: str, scopes: Sequence[str]) -> bool:
    """Whether this message is the one to deliver. An event comes once for each of its scopes: it is
    taken with the first of them that is wanted. One without scopes is for those who want all."""
    if not scopes:
        return wants_all and topic == ""
    for scope in scopes:
        if wants_all or any(matches(pattern, scope) for pattern in patterns):
            return scope == topic
    return False
