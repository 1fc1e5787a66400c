"""A TPM as small as can be: it tells apart commands that fit, fail, answer at length, or answer nothing.

It stands in for a real one, so that a scenario can choose how long a response is.
"""

from __future__ import annotations

import struct
from enum import IntEnum

_HEADER = struct.Struct(">HII")  # tag, size, code
_NO_SESSIONS = 0x8001
_TOO_SHORT, _UNKNOWN = 0x142, 0x143
_RANDOM = bytes.fromhex("0004deadbeef")
_LONG = bytes(index ^ 0x5A for index in range(256))  # repeated, in long responses


class TpmCommand(IntEnum):
    """Commands that this TPM knows; the two last are its own."""

    STARTUP = 0x144
    GET_RANDOM = 0x17B
    ANSWER_LENGTH = 0x20000001  # as many bytes as the next 16 bits say
    REVERSE = 0x20000002  # the command, backwards


def execute(command: bytes) -> bytes:
    """The response to a command; whatever the command is, there is one, but it may be empty."""
    if len(command) < _HEADER.size:
        return _response(_TOO_SHORT)
    match _HEADER.unpack_from(command)[2]:
        case TpmCommand.STARTUP:
            return _response(0)
        case TpmCommand.GET_RANDOM:
            return _response(0, _RANDOM)
        case TpmCommand.ANSWER_LENGTH:
            length = int.from_bytes(command[10:12], "big") if len(command) >= 12 else 0
            return (_LONG * (length // len(_LONG) + 1))[:length]
        case TpmCommand.REVERSE:
            return command[::-1]
    return _response(_UNKNOWN)


def _response(code: int, body: bytes = b"") -> bytes:
    return _HEADER.pack(_NO_SESSIONS, _HEADER.size + len(body), code) + body
