# SPDX-License-Identifier: Apache-2.0
"""What can go wrong. All of it is a ProctrackError."""


class ProctrackError(Exception):
    """A sentence for a person."""


class InvalidArgument(ProctrackError, ValueError):
    """We were given what can never be sent."""


class Refused(ProctrackError):
    """The broker said no. `errorcode` is for programs."""

    def __init__(self, errorcode: str, sentence: str) -> None:
        super().__init__(sentence)
        self.errorcode = errorcode

    def __str__(self) -> str:
        return f"{self.errorcode}: {self.args[0]}"


class NoReply(ProctrackError, TimeoutError):
    """Nobody answered in time. What was asked for may still be carried out."""


class Malformed(ProctrackError):
    """What came is not of this protocol."""
