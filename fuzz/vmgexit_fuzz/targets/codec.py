"""Invariant: any bytes of the right length decode, encode back to themselves, and equal construct;
any other length is a DecodeError; judging and showing a value never raise.

The first two bytes choose the structure, the third whether the length is cut short; the rest is the
data, filled up with zeros.
"""

from __future__ import annotations

import zlib
from functools import cache

from vmgexit.errors import DecodeError
from vmgexit.schema import Structure, structures
from vmgexit.schema.subcons import interpreted

from . import Finding

# construct takes a hundred times as long as the codec: one input in so many is compared.
COMPARED = 64
LARGEST_COMPARED = 1024  # bytes; the pages take construct milliseconds


@cache
def _classes() -> list[type[Structure]]:
    return [
        cls for _, revisions in sorted(structures().items()) for _, cls in sorted(revisions.items())
    ]


def chosen(data: bytes) -> tuple[type[Structure], bytes]:
    """The structure that an input is about, and the bytes for it."""
    classes = _classes()
    cls = classes[int.from_bytes(data[:2], "little") % len(classes)]
    body = data[3:]
    if data[2:3] and data[2] >= 0xF0:
        return cls, body
    return cls, body[: cls.size].ljust(cls.size, b"\0")


def run(data: bytes) -> int:
    """Check one structure on one input."""
    cls, body = chosen(data)
    name = cls.declaration.name
    if len(body) != cls.size:
        try:
            cls.decode(body)
        except DecodeError:
            return 1
        raise Finding(f"{name} takes a wrong length", f"{name} decoded {len(body)} bytes")
    value = cls.decode(body)
    if value.encode() != body:
        raise Finding(f"{name} is not lossless", f"{name}: {body.hex()} came back otherwise")
    list(value.problems())
    list(value.notes())
    value.as_dict()
    repr(value)
    if cls.size <= LARGEST_COMPARED and zlib.crc32(data) % COMPARED == 0:
        decode, encode = interpreted(cls)
        if decode(body) != value or encode(value) != body:
            raise Finding(f"{name} differs from construct", f"{name}: {body.hex()}")
    return 1


def show(data: bytes) -> str:
    """The value, field by field."""
    from vmgexit.layout import reading

    cls, body = chosen(data)
    if len(body) != cls.size:
        return f"{cls.declaration.name}: {len(body)} bytes of {cls.size}"
    return reading.render(cls.decode(body))


def read(data: bytes) -> str:
    """The structure's name and the bytes."""
    cls, body = chosen(data)
    return f"{cls.declaration.name}: {body.hex()}"
