"""Flattened dumps: a kdump as a stream of records, as QEMU and makedumpfile -F write it to a pipe.

A header, then records of a place in the dump, a length and that many bytes, to one that ends them.

Source: makedumpfile IMPLEMENTATION and makedumpfile.h (makedumpfile_header, makedumpfile_data_header).
"""

from __future__ import annotations

import struct
from typing import IO

from ..errors import DecodeError

MAGIC = b"makedumpfile"
_HEADER = 4096
_RECORD = struct.Struct(">qq")  # place and length, most significant byte first
_END = (-1, -1)
_CHUNK = 1 << 20


def restore(stream: IO[bytes], whole: IO[bytes], name: str) -> None:
    """Write the dump that `stream` holds flattened into `whole`. Raises DecodeError with the place."""
    at = _HEADER
    stream.seek(at)
    while True:
        record = stream.read(_RECORD.size)
        if len(record) < _RECORD.size:
            raise DecodeError(f"{name}: a flattened dump ends at {at:#x} without its last record")
        place, length = _RECORD.unpack(record)
        if (place, length) == _END:
            return
        if place < 0 or length <= 0 or place >> 52 or length >> 40:
            raise DecodeError(f"{name}: record at {at:#x}: {length} bytes for {place:#x}")
        whole.seek(place)
        left = length
        while left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                raise DecodeError(
                    f"{name}: record at {at:#x}: {left} of {length} bytes are missing"
                )
            whole.write(chunk)
            left -= len(chunk)
        at += _RECORD.size + length
