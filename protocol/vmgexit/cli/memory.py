"""`decode --gpa`: structures at a guest-physical address of an image of memory."""

from __future__ import annotations

import argparse
import io

from ..errors import DecodeError, UsageError
from ..images import image
from ..images.image import Image
from ..read.given import Given
from ..schema import Structure, Whole
from ..wire.page_size import PAGE

MOST_IN_MEMORY = 1 << 20
"""Bytes of a structure of any length that are read from an image of memory."""


def structures_at(arguments: argparse.Namespace, cls: type[Structure]) -> Given:
    """The bytes of one structure, or of so many as are asked for, at an address of an image."""
    if arguments.file is None:
        raise UsageError("--gpa found without a FILE, an image of memory expected")
    if arguments.count == 0:
        raise UsageError("--gpa found with all: a number of structures expected")
    with image.opened(arguments.file) as held:
        if issubclass(cls, Whole):
            data = _whole_in(held, arguments.gpa, cls)
        else:
            data = held.read(arguments.gpa, cls.size * (arguments.count or 1))
        said = f"the memory in {arguments.file} ({held.form}) at {arguments.gpa:#x}"
    return Given(io.BytesIO(data), said)


def _whole_in(held: Image, address: int, cls: type[Whole]) -> bytes:
    """As many bytes from an address on as the structure there says that it has; to the end of the page,
    where it says more than there is."""
    data = held.read(address, max(PAGE - address % PAGE, cls.size))
    while len(data) < (extent := cls.decode(data).extent()) <= MOST_IN_MEMORY:
        try:
            data = held.read(address, extent)
        except DecodeError:
            break
    return data[: max(extent, cls.size)]
