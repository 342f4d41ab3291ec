# SPDX-License-Identifier: Apache-2.0
"""What goes over the sockets: requests packed, replies and events read. Nothing that comes is
believed before it was looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from .errors import InvalidArgument, Malformed, Refused

REQUEST_BYTES_MAX = 64 * 1024
#: Commands that wait at the broker, and how long if the request does not say (ms).
WAITS = {"stop_tree": 10_000, "remove": 10_000, "wait_empty": 0}


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it came on one of its scopes, the topic."""

    topic: str
    name: str
    scopes: tuple[str, ...] = ()
    sender: str = ""
    persist: int = 0
    data: Any = None


def pack_request(command: str, data: Mapping[str, Any]) -> bytes:
    """A request. Keys without a value are left out."""
    given = {key: value for key, value in data.items() if value is not None}
    try:
        body: bytes = msgpack.packb({"command": command, "data": given})
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"{command}: its data cannot be sent: {error}") from error
    if len(body) > REQUEST_BYTES_MAX:
        raise InvalidArgument(
            f"{command}: a request of {len(body)} bytes: at most {REQUEST_BYTES_MAX} are allowed"
        )
    return body


def seconds_at_broker(command: str, data: Mapping[str, Any]) -> float:
    """How long the broker may rightly take to answer, besides the time that any answer takes."""
    if command not in WAITS:
        return 0.0
    timeout_ms: int | None = data.get("timeout_ms")
    return (WAITS[command] if timeout_ms is None else timeout_ms) / 1000


def read_reply(frames: Sequence[bytes]) -> dict[str, Any]:
    """The `data` of a reply. One that says no is raised."""
    if len(frames) != 1:
        raise Malformed(f"a reply of {len(frames)} frames")
    body = _read_map(frames[0], "reply")
    if "error" in body:
        error, errorcode = body["error"], body.get("errorcode")
        if not isinstance(error, str) or not isinstance(errorcode, str):
            raise Malformed("a reply whose error or errorcode is no text")
        raise Refused(errorcode, error)
    data = body.get("data")
    if not isinstance(data, dict):
        raise Malformed("a reply without data")
    return data


def read_event(frames: Sequence[bytes]) -> Event:
    """An event: its topic and its body."""
    if len(frames) != 2:
        raise Malformed(f"an event of {len(frames)} frames")
    try:
        topic = frames[0].decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a topic that is no UTF-8: {error}") from error
    body = _read_map(frames[1], "event")
    name, scopes = body.get("event"), body.get("scopes") or []
    sender, persist = body.get("sender") or "", body.get("persist") or 0
    if not isinstance(name, str) or not name:
        raise Malformed("an event without a name")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise Malformed(f"{name}: its scopes are no texts")
    if topic not in (scopes or [""]):
        raise Malformed(f"{name}: its topic {topic!r} is none of its scopes")
    if not isinstance(sender, str) or not is_uint(persist):
        raise Malformed(f"{name}: its sender is no text or its persist no number")
    return Event(topic, name, tuple(scopes), sender, persist, body.get("data"))


def is_uint(value: object, least: int = 0) -> bool:
    """A number of the protocol. (To Python, True is one too.)"""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _read_map(body: bytes, what: str) -> dict[Any, Any]:
    try:
        value = msgpack.unpackb(body)  # it believes no length beyond the bytes that are there
    except Exception as error:  # its exceptions have no class in common
        raise Malformed(f"{what}: not msgpack: {error}") from error
    if not isinstance(value, dict):
        raise Malformed(f"{what}: no map")
    return value
