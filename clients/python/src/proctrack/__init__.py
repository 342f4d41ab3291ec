# SPDX-License-Identifier: Apache-2.0
"""Watch the processes of every block of a broker, and act on them.

    async with Client() as client, client.mirror("demo") as mirror:
        async for change in mirror:
            print(change.kind, [process["command"] for process in mirror.processes])
"""

from .client import Client, Keys, runtime_dir
from .errors import InvalidArgument, Malformed, NoReply, ProctrackError, Refused
from .mirror import Mirror
from .picture import Change, Picture
from .subscriber import Subscriber
from .wire import Event

__all__ = [
    "Change", "Client", "Event", "InvalidArgument", "Keys", "Malformed", "Mirror", "NoReply", "Picture",
    "ProctrackError", "Refused", "Subscriber", "runtime_dir",
]
