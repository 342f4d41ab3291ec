# SPDX-License-Identifier: Apache-2.0
"""How many events a second one subscriber gets with none lost: through a plugin and the broker, and
through the same kinds of sockets of plain libzmq."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import tempfile
from typing import Callable, Iterator

from blackbox.programs import die_with_parent, wait_for
from blackbox.wire import Ask, NoReply

from ..parameters import Parameters
from ..peers import in_rounds
from ..programs import BUILD, DEADLINE, Program, Subscriber, built
from ..table import Row

STEPS = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
Send = Callable[[int, int], list[int]]  # count, rate; count, first ns, last ns


class Way:
    """Somebody who sends, where to subscribe, and how to get a `sync:` message."""

    def __init__(self, endpoint: str, folder: pathlib.Path, send: Send,
                 sync: Callable[[], object], quiet_ms: int) -> None:
        self.endpoint, self.folder, self.send, self.sync = endpoint, folder, send, sync
        self.quiet_ms = quiet_ms

    def go(self, count: int, rate: int) -> tuple[float, int, int]:
        """Arrived a second, lost, bytes of a body."""
        with Subscriber(self.endpoint, self.folder, self.quiet_ms, keeps=False) as subscriber:
            subscriber.sync(self.sync)
            sent = self.send(count, rate)
            subscriber.collect()
            got, _, last_ns, size = subscriber.got
            return got / ((last_ns - sent[1]) / 1e9), count - got, size

    def highest(self, count: int) -> tuple[float, float]:
        """The highest rate at which nothing was lost, and what arrived when nothing held it back."""
        unpaced, lost, _ = self.go(count, 0)
        if lost == 0:
            return unpaced, unpaced
        for step in STEPS:
            rate, lost, _ = self.go(count, int(unpaced * step))
            if lost == 0:
                return rate, unpaced
        return 0.0, unpaced


@contextlib.contextmanager
def broker(quiet_ms: int) -> Iterator[Way]:
    with tempfile.TemporaryDirectory(prefix="proctrack-bench-") as name:
        folder = pathlib.Path(name)
        commands, answers = folder / "commands", folder / "answers"
        os.mkfifo(commands)
        os.mkfifo(answers)
        plugin = f"{built('bench_flood.so')},commands={commands},answers={answers}"
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen([BUILD / "wpsd", "--plugin", plugin], stdout=log, stderr=log,
                                       env=os.environ | {"WPS_RUNTIME_DIR": name},
                                       preexec_fn=die_with_parent)  # noqa: PLW1509
        rpc = Ask(f"ipc://{name}/rpc", "rpc", None)

        def serves() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(NoReply):
                rpc.ask("brokerinfo", None, timeout=0.5)
                return True
            return False

        def send(count: int, rate: int) -> list[int]:
            commands.write_text(f"{count} {rate}\n")
            return [int(number) for number in answers.read_text().split()[1:]]

        try:
            wait_for(serves, "wpsd serves")
            yield Way(f"ipc://{name}/events", folder, send,
                      lambda: rpc("eventpublish", event="bench:sync", scopes=["sync:bench"]), quiet_ms)
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE)
            finally:
                process.kill()
            rpc.close()


@contextlib.contextmanager
def plain(body_bytes: int, quiet_ms: int) -> Iterator[Way]:
    with tempfile.TemporaryDirectory(prefix="proctrack-bench-") as name:
        endpoint = f"ipc://{name}/events"
        with Program("bench_plain", endpoint, body_bytes) as sender:
            sender.expect("ready")

            def send(count: int, rate: int) -> list[int]:
                sender.say(f"{count} {rate}")
                return sender.expect("sent")

            yield Way(endpoint, pathlib.Path(name), send, lambda: sender.say("0 0"),
                      quiet_ms)


def rate(p: Parameters) -> list[Row]:
    with broker(p.quiet_ms) as ours:
        size = ours.go(1, 0)[2]
        with plain(size, p.quiet_ms) as theirs:
            results = in_rounds(p.rounds, {"ours": lambda: ours.highest(p.flood),
                                           "plain": lambda: theirs.highest(p.flood)})
    unpaced = [result[1] for result in results["ours"]]
    return [Row("published a second, none lost", "any", "1/s", [r[0] for r in results["ours"]],
                "plain libzmq, XPUB to SUB", [r[0] for r in results["plain"]], ratio_at_least=0.7,
                note=f"bodies of {size} bytes; without a pace {min(unpaced):.0f} to "
                f"{max(unpaced):.0f} a second arrived")]
