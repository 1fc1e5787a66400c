"""Metadata that says what a field of a state class is to the explorer.

A field is a part of the state, unless its metadata says otherwise and why:
`field(metadata=passive("..."))`. `explore.freeze` reads this metadata.
"""

from __future__ import annotations

PASSIVE, OUTSIDE = "passive", "outside"


def passive(reason: str) -> dict[str, str]:
    """Metadata of a field that is kept and restored, and is no reason to call two states different."""
    return {PASSIVE: reason}


def outside(reason: str) -> dict[str, str]:
    """Metadata of a field that is no part of the state."""
    return {OUTSIDE: reason}
