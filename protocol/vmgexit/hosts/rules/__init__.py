"""What a host does at each exit: `EXITS` by exit code; the others are carried out by their rows."""

from __future__ import annotations

from ..request import CarryOut
from . import firmware, injection, page_state, ports, processor, vcpus

EXITS: dict[int, CarryOut] = {
    **processor.EXITS,
    **ports.EXITS,
    **page_state.EXITS,
    **firmware.EXITS,
    **vcpus.EXITS,
    **injection.EXITS,
}
