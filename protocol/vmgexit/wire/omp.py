"""SVSM protocol 5, observability and management: objects and sources that a guest reads and writes.

Three shapes were published under the number, and the reboot protocol (`reboot`) took it, too. The
current one names an object or a source; revision 2026-04-14 is the first draft of a specification, in
which sources have an index; revision 2026-08-18 is COCONUT-SVSM's pull request 1138, in which objects
and their sources have one each. The prose of the first draft says RAX, RCX, RDX and R8 where its
tables say RCX, RDX, R8 and R9: the tables are declared.

Sources: joergroedel/svsm-specs 27a9fa6, COCONUT-SVSM refs/pull/1138 6115f15c and refs/pull/1182
a8c0feaf, and the later kernel/src/protocols/omp/requests.rs and source.rs (no revision was found).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import (
    Bits,
    Note,
    Problem,
    Record,
    bit,
    bits,
    nested,
    raw,
    reserved,
    reserved_bytes,
    structure,
    u16,
    u32,
)
from .svsm import Call, Memory, Operand, Protocol, ResultCode, address_of

SOURCE = "COCONUT-SVSM kernel/src/protocols/omp/source.rs (2026)"
DRAFT = "joergroedel/svsm-specs 27a9fa6"
OCP = "COCONUT-SVSM refs/pull/1138 6115f15c kernel/src/protocols/ocp/details.rs"

APRIL = "2026-04-14"
AUGUST = "2026-08-18"

NAME_SIZE = 120
BUFFER_LIMIT = 4096
"""Most bytes that one call lists, reads or writes."""


class OmpCall(IntEnum):
    """Calls of protocol 5. The draft has the same numbers."""

    LIST = 0
    READ = 1
    WRITE = 2


class OcpCall(IntEnum):
    """Calls of protocol 5 in revision 2026-08-18."""

    LIST_OBJECTS = 0
    LIST_OBJECT_SOURCES = 1
    READ = 2
    WRITE = 3


class OmpKind(IntEnum):
    """What an entry is: an object, or a source with numbers of one size."""

    OBJECT = 0
    BYTES = 1
    SIGNED_8 = 2
    SIGNED_16 = 3
    SIGNED_32 = 4
    SIGNED_64 = 5


UNITS = {
    OmpKind.BYTES: 1,
    OmpKind.SIGNED_8: 1,
    OmpKind.SIGNED_16: 2,
    OmpKind.SIGNED_32: 4,
    OmpKind.SIGNED_64: 8,
}
"""Bytes of which offsets and sizes of READ and WRITE are a multiple."""


class OcpKind(IntEnum):
    """What a source holds, in revision 2026-08-18."""

    STATIC_STRING = 0
    INTEGER = 1
    STRING = 2


class OcpCategory(IntEnum):
    """What an object is, in revision 2026-08-18."""

    SVSM = 0


def name_text(data: bytes) -> str:
    """The name before the first NUL, as Python would write it."""
    return repr(data.partition(b"\0")[0].decode("utf-8", "backslashreplace"))


def _name_problems(data: bytes) -> Iterator[Problem]:
    name, end, _ = data.partition(b"\0")
    if not end:
        yield Problem("name", data, "no NUL ends it", "")
    elif not name or b"/" in name:
        yield Problem("name", data, "a name is not empty and has no /", "")


@structure("omp-flags", size=4, source=f"{SOURCE}; {DRAFT}")
class OmpFlags(Bits):
    """Flags of an entry, the same in all three shapes."""

    writable: bool = bit("WRITE is allowed", spec="WRITEABLE")
    reserved_31_1: int = reserved(31)


@structure("omp-entry", size=128, source=SOURCE)
class OmpEntry(Record):
    """An object or a source, as LIST writes them: 128 bytes."""

    flags: OmpFlags = nested(OmpFlags, "What is allowed")
    kind: int = u16("What it is", enum=OmpKind)
    reserved_0x006: bytes = reserved_bytes(2)
    name: bytes = raw(NAME_SIZE, "Name, UTF-8, ended by a NUL, without /")

    def broken(self) -> Iterator[Problem]:
        yield from _name_problems(self.name)

    def notes(self) -> Iterator[Note]:
        yield Note("name", name_text(self.name))


@structure("omp-entry", size=128, revision=APRIL, source=DRAFT)
class OmpEntry20260414(Record):
    """A source, as the first draft's LIST writes them: 128 bytes."""

    flags: OmpFlags = nested(OmpFlags, "What is allowed")
    name: bytes = raw(124, "Name, UTF-8; the draft does not say how it ends")

    def notes(self) -> Iterator[Note]:
        yield Note("name", name_text(self.name))


@structure("omp-entry", size=128, revision=AUGUST, source=OCP)
class OmpEntry20260818(Record):
    """A source, as LIST_OBJECT_SOURCES writes them: 128 bytes."""

    sup_index: int = u32("Index of the object")
    sub_index: int = u32("Index of the source in its object")
    kind: int = u32("What it holds", enum=OcpKind)
    flags: OmpFlags = nested(OmpFlags, "What is allowed")
    name: bytes = raw(112, "Name, UTF-8, ended by a NUL")

    def notes(self) -> Iterator[Note]:
        yield Note("name", name_text(self.name))


@structure("omp-object", size=12, revision=AUGUST, source=OCP)
class OmpObject20260818(Record):
    """An object, as LIST_OBJECTS writes them: 12 bytes."""

    sup_index: int = u32("Index of the object")
    category: int = u32("What the object is", enum=OcpCategory)
    count: int = u32("How many sources it has")


@structure("omp-indexes", size=8, revision=AUGUST, source=OCP)
class OmpIndexes20260818(Bits):
    """RCX of revision 2026-08-18: which source of which object."""

    secondary: int = bits(32, "Index of the source in its object")
    primary: int = bits(32, "Index of the object")


@structure("omp-name", size=NAME_SIZE, source=SOURCE)
class OmpName(Record):
    """Name of an object, which RCX of LIST leads to."""

    name: bytes = raw(NAME_SIZE, "Name, UTF-8, ended by a NUL, without /")

    def broken(self) -> Iterator[Problem]:
        yield from _name_problems(self.name)

    def notes(self) -> Iterator[Note]:
        yield Note("name", name_text(self.name))


@structure("omp-identifier", size=2 * NAME_SIZE, source=SOURCE)
class OmpIdentifier(Record):
    """Name of an object and of a source of it, which RCX of READ and WRITE leads to."""

    name: bytes = raw(2 * NAME_SIZE, "Object, /, source: UTF-8, ended by a NUL")

    def broken(self) -> Iterator[Problem]:
        name, end, _ = self.name.partition(b"\0")
        if not end:
            yield Problem("name", self.name, "no NUL ends it", "")
        elif b"/" not in name:
            yield Problem("name", self.name, "a / divides object and source", "")

    def notes(self) -> Iterator[Note]:
        yield Note("name", name_text(self.name))


_BUFFER = address_of("rdx", "the buffer", 8)
_OFFSET = Operand("r9", "where to start in the source, bits 31:0")
_COPIED = Operand("r8", "bytes copied")
_RESULTS = (
    ResultCode.SUCCESS,
    ResultCode.INVALID_ADDRESS,  # the buffer is not aligned
    ResultCode.INVALID_PARAMETER,  # sizes, names
)

_BY_NAME = Operand("rcx", "guest-physical address of the source's identifier")


def _copies(
    protocol: str,
    read: IntEnum,
    write: IntEnum,
    which: Operand,
    most: str,
    results: tuple[ResultCode, ...] = _RESULTS,
    revision: str = "",
) -> Iterator[Call]:
    """The call that reads a source, and the one that writes it."""
    for number, name in ((read, "read"), (write, "write")):
        yield Call(
            Protocol.OBSERVABILITY,
            number,
            f"SVSM_{protocol}_{name.upper()}",
            f"{name} a source",
            inputs=(which, _BUFFER, Operand("r8", f"bytes to {name}{most}"), _OFFSET),
            outputs=(_COPIED,),
            memory=(Memory("rcx", "which source", OmpIdentifier),) if which is _BY_NAME else (),
            results=results,
            revision=revision,
        )


OMP_CALLS = (
    Call(
        Protocol.OBSERVABILITY,
        OmpCall.LIST,
        "SVSM_OMP_LIST",
        "list the objects, or the sources of one",
        inputs=(
            Operand("rcx", "guest-physical address of the object's name; 0 = list the objects"),
            _BUFFER,
            Operand("r8", "bytes of the buffer, bits 31:0: a multiple of 128, 128 to 4096"),
        ),
        outputs=(
            Operand("r8", "bytes written"),
            Operand("r9", "bytes that the whole list needs"),
        ),
        memory=(
            Memory("rcx", "whose sources", OmpName),
            Memory("rdx", "entries, as many as fit", OmpEntry, written=True),
        ),
        results=_RESULTS,
    ),
    *_copies("OMP", OmpCall.READ, OmpCall.WRITE, _BY_NAME, ", bits 31:0: at most 4096"),
)

_BY_INDEX = Operand("rcx", "index of the source")
_BY_INDEXES = Operand("rcx", "which source of which object", OmpIndexes20260818)

FORMER_OMP_CALLS = (
    Call(
        Protocol.OBSERVABILITY,
        OmpCall.LIST,
        "SVSM_OCP_LIST",
        "list sources",
        inputs=(
            Operand("rcx", "index of the first source"),
            _BUFFER,
            Operand("r8", "sources to list at most"),
        ),
        outputs=(Operand("rcx", "sources listed; fewer than asked for: the last one is there"),),
        memory=(Memory("rdx", "entries", OmpEntry20260414, written=True),),
        revision=APRIL,
    ),
    *_copies(
        "OCP",
        OmpCall.READ,
        OmpCall.WRITE,
        _BY_INDEX,
        "",
        (ResultCode.SUCCESS, ResultCode.INVALID_PARAMETER),
        APRIL,
    ),
    Call(
        Protocol.OBSERVABILITY,
        OcpCall.LIST_OBJECTS,
        "SVSM_OCP_LIST_OBJECTS",
        "list objects",
        inputs=(
            Operand("rcx", "index of the first object, bits 31:0"),
            _BUFFER,
            Operand("r8", "bytes of the buffer, bits 31:0: a multiple of 12, 12 to 4096"),
        ),
        outputs=(Operand("rcx", "bytes written"),),
        memory=(Memory("rdx", "objects", OmpObject20260818, written=True),),
        results=_RESULTS,
        revision=AUGUST,
    ),
    Call(
        Protocol.OBSERVABILITY,
        OcpCall.LIST_OBJECT_SOURCES,
        "SVSM_OCP_LIST_OBJECT_SOURCES",
        "list the sources of an object",
        inputs=(
            Operand("rcx", "first source of which object", OmpIndexes20260818),
            _BUFFER,
            Operand("r8", "bytes of the buffer, bits 31:0: a multiple of 128, 128 to 4096"),
        ),
        outputs=(Operand("rcx", "bytes written"),),
        memory=(Memory("rdx", "sources", OmpEntry20260818, written=True),),
        results=_RESULTS,
        revision=AUGUST,
    ),
    *_copies("OCP", OcpCall.READ, OcpCall.WRITE, _BY_INDEXES, ", at most 4096", revision=AUGUST),
)
"""Calls of the two earlier shapes."""
