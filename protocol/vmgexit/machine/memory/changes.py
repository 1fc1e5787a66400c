"""What a command changed of memory, in words: RMP entries and bytes, page by page."""

from __future__ import annotations

from collections.abc import Iterator

from ...wire.page_size import PAGE
from .memory import Memory
from .rmp import ASSIGNED, FRAME, LARGE, VALIDATED, VMSA, permissions

_LETTERS = "rwus"
"""Permissions from bit 0 on: read, write, execute in user mode, execute in supervisor mode."""

_SHOWN = 16
"""Bytes that are shown as they were and as they are."""


def changes(before: Memory, after: Memory) -> Iterator[str]:
    """A line for each system page whose entry or bytes are others; of a chunk that was changed as a
    whole, for its first page. `before` is a copy of `after` as it was."""
    entries = {page: (was, now) for page, was, now in after.rmp.changes(before.rmp)}
    contents = set(after.pages.changes(before.pages))
    moved = sorted(
        page
        for page in before.backing.keys() | after.backing.keys()
        if before.backed_by(page) != after.backed_by(page)
    )
    for page in moved:
        yield f"page {page:#x} is backed by system page {after.backed_by(page):#x}"
    for page in sorted(entries.keys() | contents):
        told = []
        if page in entries:
            was, now = entries[page]
            told.append(f"{described(was)} -> {described(now)}")
        if page in contents:
            told.append(_bytes(before.pages.content(page), after.pages.content(page)))
        yield f"system page {page:#x}: {'; '.join(told)}"


def described(entry: int) -> str:
    """An RMP entry in words."""
    if not entry & ASSIGNED:
        return "shared"
    parts = [f"page {entry & FRAME:#x}", "valid" if entry & VALIDATED else "not valid"]
    parts += [name for bit, name in ((LARGE, "2M"), (VMSA, "VMSA")) if entry & bit]
    for vmpl in range(1, 4):
        if allowed := permissions(entry, vmpl):
            letters = (letter if allowed >> bit & 1 else "-" for bit, letter in enumerate(_LETTERS))
            parts.append(f"VMPL{vmpl} {''.join(letters)}")
    return " ".join(parts)


def _bytes(was: bytes | bytearray, now: bytes | bytearray) -> str:
    """Where two contents of a page differ."""
    if now == bytes([now[0]]) * PAGE:
        return f"all bytes {now[0]:#04x}"
    places = [at for at in range(PAGE) if was[at] != now[at]]
    first, last = places[0], places[-1]
    where = f"byte {first:#x}" if first == last else f"bytes {first:#x} to {last:#x}"
    if last - first >= _SHOWN:
        return where
    return f"{where}: {was[first : last + 1].hex()} -> {now[first : last + 1].hex()}"
