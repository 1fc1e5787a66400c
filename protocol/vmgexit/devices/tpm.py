"""The TPM behind the SVSM, and one as small as can be, with which scenarios choose how long a response is.

The small one tells apart commands that fit, fail, answer at length, or answer nothing. `swtpm.Swtpm` is a
real one.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Protocol

HEADER = struct.Struct(">HII")  # tag, size, code
_NO_SESSIONS = 0x8001
WRONG_SIZE, _UNKNOWN = 0x142, 0x143
_RANDOM = bytes.fromhex("0004deadbeef")
_LONG = bytes(index ^ 0x5A for index in range(256))  # repeated, in long responses


class TpmCommand(IntEnum):
    """Commands that this TPM knows; the two last are its own."""

    STARTUP = 0x144
    GET_RANDOM = 0x17B
    ANSWER_LENGTH = 0x20000001  # as many bytes as the next 16 bits say
    REVERSE = 0x20000002  # the command, backwards


class Tpm(Protocol):
    """A TPM. A command and its response are bytes; a response may be empty."""

    def begin(self) -> None:
        """Power on: a VM starts."""

    def execute(self, command: bytes) -> bytes:
        """Carry out a command."""

    def answered(self, command: bytes) -> bytes:
        """What it answered to this command, if that was the last one; it carries out nothing."""


class Simple:
    """The small one. It keeps nothing from command to command."""

    def begin(self) -> None:
        pass

    def execute(self, command: bytes) -> bytes:
        if len(command) < HEADER.size:
            return response_of(WRONG_SIZE)
        match HEADER.unpack_from(command)[2]:
            case TpmCommand.STARTUP:
                return response_of(0)
            case TpmCommand.GET_RANDOM:
                return response_of(0, _RANDOM)
            case TpmCommand.ANSWER_LENGTH:
                length = int.from_bytes(command[10:12], "big") if len(command) >= 12 else 0
                return (_LONG * (length // len(_LONG) + 1))[:length]
            case TpmCommand.REVERSE:
                return command[::-1]
        return response_of(_UNKNOWN)

    answered = execute


SIMPLE = Simple()


def response_of(code: int, body: bytes = b"") -> bytes:
    """A response without sessions."""
    return HEADER.pack(_NO_SESSIONS, HEADER.size + len(body), code) + body
