"""SVSM protocols that were proposed and have no number of their own yet: reboot, and the memory map.

Reboot was chapter 11 of the draft of SVSM 1.01, and was taken out of it; its number, 5, is now that of
`omp`. The memory map's number, 42, is a placeholder.

Sources: COCONUT-SVSM refs/pull/808 33c8c222 kernel/src/protocols/reboot.rs and attest.rs, refs/pull/760
3d1b0eba kernel/src/protocols/memmap.rs.
"""

from __future__ import annotations

from enum import IntEnum

from ..schema import Bits, Code, Record, bits, structure, u32
from .svsm import Call, Operand, Protocol, ResultCode

REBOOT = "COCONUT-SVSM refs/pull/808 33c8c222 kernel/src/protocols/reboot.rs"
MEMORY_MAP = "COCONUT-SVSM refs/pull/760 3d1b0eba kernel/src/protocols/memmap.rs"


class RebootCall(IntEnum):
    """Calls of the reboot protocol."""

    EXECUTE = 0


class MemoryMapCall(IntEnum):
    """Calls of the memory map protocol. There is no call 0."""

    NUM_ENTRIES = 1
    GET_ENTRY = 2


class MemoryMapType(Code):
    """What a range of memory is, as ACPI's address ranges number it."""

    MEMORY = 1, "the guest may use it"
    RESERVED = 2, "the SVSM has it"


@structure("reboot-manifest", size=8, source=REBOOT)
class RebootManifest(Record):
    """Manifest of the reboot service."""

    version: int = u32("Version", value=0)
    flags: int = u32("Flags; none is defined", value=0)


@structure("memory-map-type", size=8, source=MEMORY_MAP)
class MemoryMapTypeWord(Bits):
    """RDX that GET_ENTRY answers."""

    type: int = bits(64, "What the range is", enum=MemoryMapType)


MEMORY_MAP_CALLS = (
    Call(
        Protocol.MEMORY_MAP,
        MemoryMapCall.NUM_ENTRIES,
        "SVSM_MEMMAP_NUM_ENTRIES",
        "count the ranges of the memory map; a draft",
        outputs=(Operand("rcx", "how many ranges"),),
    ),
    Call(
        Protocol.MEMORY_MAP,
        MemoryMapCall.GET_ENTRY,
        "SVSM_MEMMAP_GET_ENTRY",
        "read a range of the memory map; a draft",
        inputs=(Operand("rcx", "index of the range"),),
        outputs=(
            Operand("rdx", "what the range is", MemoryMapTypeWord),
            Operand("r8", "guest-physical address of its start"),
            Operand("r9", "bytes of it"),
        ),
        results=(ResultCode.SUCCESS, ResultCode.INVALID_PARAMETER),  # no such range
    ),
)

REBOOT_CALLS = (
    Call(
        Protocol.OBSERVABILITY,
        RebootCall.EXECUTE,
        "SVSM_REBOOT_EXECUTE",
        "start the guest's firmware anew, or end the guest",
        inputs=(Operand("rcx", "flags: 0 = start the firmware, anything else = end the guest"),),
        revision="reboot",
    ),
)
"""Calls that have the number of another protocol now."""
