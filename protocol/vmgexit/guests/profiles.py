"""The guests that are described, by name."""

from __future__ import annotations

from ..errors import UsageError
from .guest import Guest
from .linux import LINUX
from .ovmf import OVMF

GUESTS = {guest.name: guest for guest in (LINUX, OVMF)}


def find_guest(name: str) -> Guest | None:
    """The guest of that name; None for an empty one, which means any guest at all. Raises UsageError."""
    if not name:
        return None
    if name not in GUESTS:
        raise UsageError(f"unknown guest {name}; there are {', '.join(GUESTS)}")
    return GUESTS[name]
