"""A VMSA as the 64-bit words that a call reads and writes: columns made from its declaration.

A page is cast to words once for each look at it. Setting a field through a view checks its range and
costs twenty times as much, which a call of the guest would pay a dozen times.
"""

from __future__ import annotations

from ...schema import locate
from ...wire.vmsa import Vmsa


def _number(path: str) -> int:
    return locate(Vmsa, path).bit_offset // 64


RAX, RCX, RDX, R8, EFER, FEATURES, EXIT_CODE = map(
    _number, ("rax", "rcx", "rdx", "r8", "efer", "sev_features", "guest_exit_code")
)
VINTR, EVENT_INJ, EXIT_INT_INFO, RFLAGS = map(
    _number, ("vintr_ctrl", "event_inj", "guest_exitintinfo", "rflags")
)
VMPL_BYTE = locate(Vmsa, "vmpl").bit_offset // 8


def words(page: bytearray) -> memoryview:
    """The page as numbers of 64 bits, in place."""
    return memoryview(page).cast("Q")
