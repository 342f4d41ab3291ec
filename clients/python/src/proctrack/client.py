# SPDX-License-Identifier: Apache-2.0
"""A broker, and what it can be asked: a method for each command of PROTOCOL.md, section 4."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import zmq
import zmq.asyncio
import zmq.auth

from .asking import Asking
from .errors import ProctrackError
from .messages import (
    AllBlocks,
    Assigned,
    BlockList,
    BrokerInfo,
    ConfidenceOf,
    Description,
    Emptied,
    Ensured,
    EventBody,
    KilledStarted,
    MaybeOk,
    Ok,
    Removed,
    Signalled,
    Stats,
    Stopped,
)
from .mirror import CHECK_EVERY, Mirror
from .subscriber import Subscriber


def runtime_dir(environment: Mapping[str, str] = os.environ) -> str:
    """Where the broker's sockets are."""
    if environment.get("WPS_RUNTIME_DIR"):
        return environment["WPS_RUNTIME_DIR"]
    if os.geteuid() == 0:
        return "/run/wps"
    if environment.get("XDG_RUNTIME_DIR"):
        return f"{environment['XDG_RUNTIME_DIR']}/wps"
    raise ProctrackError("Where is the broker? Set WPS_RUNTIME_DIR to the directory of its sockets.")


@dataclass(frozen=True)
class Keys:
    """What a broker on tcp with CURVE wants: the files with our secret certificate and with the
    public one of the broker, which is refused if it has another key."""

    secret: str | os.PathLike[str]
    server: str | os.PathLike[str]

    def use(self, socket: zmq.Socket[Any]) -> None:
        """Sets them on a socket that is not connected yet."""
        public, secret = zmq.auth.load_certificate(os.fspath(self.secret))
        if secret is None:
            raise ProctrackError(f"{os.fspath(self.secret)}: there is no secret key in it")
        socket.curve_publickey = public
        socket.curve_secretkey = secret
        socket.curve_serverkey = zmq.auth.load_certificate(os.fspath(self.server))[0]


class Client:
    """A broker in a runtime directory, or at `endpoints` ({"control": "tcp://..."}) where these are
    elsewhere; on tcp it wants `keys`. There need not be one yet. `timeout` is how long each reply may
    take, in seconds.

    For the tasks of one event loop. Commands raise Refused, NoReply, Malformed or InvalidArgument;
    what they mean, and the keys of the replies, is in PROTOCOL.md.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        endpoints: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        keys: Keys | None = None,
    ) -> None:
        self.timeout = timeout
        self.context = zmq.asyncio.Context()
        self._keys = keys
        self._directory = directory
        self._endpoints = endpoints or {}
        self._askings: dict[str, Asking] = {}

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its sockets, and those of its subscribers and mirrors."""
        self.context.destroy(linger=0)

    def endpoint(self, service: str) -> str:
        """Of `control`, `rpc`, `events` or `publish`."""
        if service in self._endpoints:
            return self._endpoints[service]
        return f"ipc://{os.fspath(self._directory or runtime_dir())}/{service}"

    def socket(self, kind: int) -> zmq.asyncio.Socket:
        """One that is not connected yet, with our keys."""
        socket = self.context.socket(kind)
        if self._keys is not None:
            self._keys.use(socket)
        return socket

    def subscriber(self, *scopes: str) -> Subscriber:
        """Events of these scopes, as they come."""
        return Subscriber(self, *scopes)

    def mirror(self, block_id: str, *, check_every: float = CHECK_EVERY) -> Mirror:
        """What a block is running, kept up to date."""
        return Mirror(self, block_id, check_every=check_every)

    async def ask(
        self,
        service: str,
        command: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        retries: int = 0,
    ) -> dict[str, Any]:
        """Any command. With `retries` it may be carried out more than once."""
        if service not in self._askings:
            self._askings[service] = Asking(self.socket, self.endpoint(service))
        seconds = self.timeout if timeout is None else timeout
        return await self._askings[service].ask(command, data or {}, seconds, retries)

    # ---- the registry of blocks -----------------------------------------------------------------

    async def describe(self) -> Description:
        return cast(Description, await self.ask("control", "describe"))

    async def ensure_tracker(
        self,
        block_id: str,
        *,
        scope: str | None = None,
        on_exit: Literal["kill", "keep"] | None = None,
        on_crash: Literal["keep", "kill"] | None = None,
    ) -> Ensured:
        return cast(Ensured, await self._control("ensure_tracker", locals()))

    async def assign_process(
        self,
        block_id: str,
        pid: int,
        *,
        started_at_ms: int | None = None,
        scope: str | None = None,
        root: bool | None = None,
    ) -> Assigned:
        return cast(Assigned, await self._control("assign_process", locals()))

    async def list_block(
        self,
        block_id: str,
        *,
        scope: str | None = None,
        only: Literal["started"] | None = None,
        detail: bool | None = None,
    ) -> BlockList:
        return cast(BlockList, await self._control("list_block", locals()))

    async def list_all_blocks(self, *, detail: bool | None = None) -> AllBlocks:
        return cast(AllBlocks, await self._control("list_all_blocks", locals()))

    async def confidence_of(self, block_id: str) -> ConfidenceOf:
        return cast(ConfidenceOf, await self._control("confidence_of", locals()))

    async def kill_pid(
        self, block_id: str, pid: int, *, started_at_ms: int | None = None
    ) -> MaybeOk:
        return cast(MaybeOk, await self._control("kill_pid", locals()))

    async def kill_tree(self, block_id: str, *, scope: str | None = None) -> MaybeOk:
        return cast(MaybeOk, await self._control("kill_tree", locals()))

    async def kill_started(self, block_id: str, *, pid: int | None = None) -> KilledStarted:
        return cast(KilledStarted, await self._control("kill_started", locals()))

    async def signal_tree(
        self, block_id: str, signal: int, *, scope: str | None = None
    ) -> Signalled:
        return cast(Signalled, await self._control("signal_tree", locals()))

    async def stop_tree(
        self,
        block_id: str,
        *,
        scope: str | None = None,
        signal: int | None = None,
        grace_ms: int | None = None,
        timeout_ms: int | None = None,
        include_escaped: bool | None = None,
    ) -> Stopped:
        return cast(Stopped, await self._control("stop_tree", locals()))

    async def wait_empty(
        self, block_id: str, timeout_ms: int, *, scope: str | None = None
    ) -> Emptied:
        return cast(Emptied, await self._control("wait_empty", locals()))

    async def freeze(self, block_id: str, *, scope: str | None = None) -> Ok:
        return cast(Ok, await self._control("freeze", locals()))

    async def thaw(self, block_id: str, *, scope: str | None = None) -> Ok:
        return cast(Ok, await self._control("thaw", locals()))

    async def remove(
        self, block_id: str, *, timeout_ms: int | None = None, include_escaped: bool | None = None
    ) -> Removed:
        return cast(Removed, await self._control("remove", locals()))

    async def stats(self) -> Stats:
        return cast(Stats, await self.ask("control", "stats"))

    async def _control(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Asks with the arguments of the method that calls."""
        data = {key: value for key, value in arguments.items() if key != "self"}
        return await self.ask("control", command, data)

    # ---- the broker itself ----------------------------------------------------------------------

    async def publish(
        self,
        event: str,
        data: Any = None,
        *,
        scopes: Sequence[str] = (),
        sender: str | None = None,
        persist: int | None = None,
        timeout: float | None = None,
    ) -> int:
        """Publishes an event; how many messages were sent."""
        body = {"event": event, "scopes": list(scopes), "sender": sender, "persist": persist,
                "data": data}
        reply = await self.ask("rpc", "eventpublish", body, timeout=timeout)
        return cast(int, reply["routed"])

    async def read_history(self, event: str, scope: str = "", maxitems: int = 1) -> list[EventBody]:
        """The newest events of that name that were kept, oldest first."""
        asked = {"event": event, "scope": scope, "maxitems": maxitems}
        reply = await self.ask("rpc", "eventreadhistory", asked)
        return cast(list[EventBody], reply["events"])

    async def broker_info(self) -> BrokerInfo:
        return cast(BrokerInfo, await self.ask("rpc", "brokerinfo"))
