"""Where sources disagree: which reading the declarations follow, which other readings exist, and
their sources.

The rows are in `readings_ghcb` and `readings_guest`; `reading` says what a row means.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Note, Structure
from .readings_ghcb import GHCB_READINGS
from .readings_guest import GUEST_READINGS

READINGS = (*GHCB_READINGS, *GUEST_READINGS)


def notes_on(value: Structure) -> Iterator[Note]:
    """A note for each field of `value` that is not zero and that others read otherwise."""
    name = value.declaration.name
    for reading in READINGS:
        if reading.of != name or not reading.field:
            continue
        held = getattr(value, reading.field)
        if held != value.declaration[reading.field].zero and held not in reading.alike:
            yield Note(reading.field, reading.readings)


def notes_on_exit(code: int) -> Iterator[Note]:
    """A note for each point on which sources differ about exit `code`."""
    for reading in READINGS:
        if code in reading.codes:
            yield Note("sw_exit_code", str(reading))
