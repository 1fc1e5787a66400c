"""Everything that has a page: one walk over the tables of `wire`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import cache, partial

from ..schema import Bits, Place, Structure, leaves, meaning_of, members, walk
from ..schema import Kind as FieldKind
from ..wire import exceptions, firmware_status, kvm_planes
from ..wire.attestation import SERVICES, guid_bytes
from ..wire.calls import calls, former_calls
from ..wire.exceptions import ExceptionVector, exception
from ..wire.exit_codes import OTHER_NAMES, ExitCode, exit_name
from ..wire.exits import exits
from ..wire.firmware_status import FirmwareCommand, FirmwareStatus
from ..wire.ghcb_msr import (
    CALLING_AREA_MSR,
    DECLARATIONS,
    LINUX_NAMES,
    MSR,
    SEV_STATUS_MSR,
    GhcbInfo,
)
from ..wire.guest_message import CERTIFICATES
from ..wire.kvm_planes import KvmPlanes
from ..wire.registry import structures
from ..wire.svsm import ResultCode
from ..wire.termination import REASONS, ReasonSet
from . import manual, subject
from .project_names import family_names
from .subject import Subject, plain, spellings

_PARTS = (subject.CODE, subject.BIT, subject.FIELD)  # come behind what has a name of its own
_PROCESSOR_EXITS = 0x410
"""Exit codes of the processor below this have names."""


@cache
def subjects() -> tuple[Subject, ...]:
    """Every subject; those that a name means most often come first."""
    return (
        *_exits(),
        *_calls(),
        *_messages(),
        *_reasons(),
        *_codes(),
        *_structures(),
        *_guids(),
        *_msrs(),
        *_processor_exits(),
    )


@cache
def by_name() -> dict[str, list[Subject]]:
    """The subjects by every spelling of their names."""
    found: dict[str, list[Subject]] = {}
    for each in subjects():
        own = [spelling for name in (each.name, *each.names) for spelling in spellings(name)]
        for name in dict.fromkeys([*own, *map(plain, family_names(each))]):
            found.setdefault(name, []).append(each)
    for held in found.values():
        held.sort(key=lambda each: each.kind in _PARTS)
    return found


@cache
def by_number() -> dict[int, list[Subject]]:
    found: dict[int, list[Subject]] = {}
    for each in subjects():
        if each.number is not None:
            found.setdefault(each.number, []).append(each)
    return found


def _exits() -> Iterator[Subject]:
    for row in exits():
        names = tuple(name for name, code in OTHER_NAMES.items() if code == row.code)
        make = partial(manual.exit_rows, row)
        yield Subject(subject.EXIT, row.name, row.meaning, make, int(row.code), names=names)


def _processor_exits() -> Iterator[Subject]:
    """Exit codes of the processor that a GHCB does not carry."""
    described = {int(row.code) for row in exits()}
    for code in range(_PROCESSOR_EXITS):
        name = exit_name(code)
        if code not in described and not name.startswith("0x"):
            title = "the processor left the guest; a VMSA or VMCB holds the code"
            if name.startswith("EXCP"):
                title += f"; exception {exception(code - 0x40) or 'without a name'}"
            yield Subject(subject.PROCESSOR_EXIT, name, title, _processor_rows, code)


def _processor_rows() -> subject.Rows:
    return [("public code", "OpenVMM vm/x86/x86defs/src/snp.rs")]


def _calls() -> Iterator[Subject]:
    for call in (*calls(), *former_calls()):
        number = call.protocol << 32 | call.number
        place = f"protocol {call.protocol.name}"
        if call.revision:
            place += f", revision {call.revision}"
        make = partial(manual.call_rows, call)
        yield Subject(subject.CALL, call.name, call.meaning, make, number, place)


def _messages() -> Iterator[Subject]:
    for code, layout in DECLARATIONS.items():
        info = GhcbInfo(code)
        names = (LINUX_NAMES[info],) if info in LINUX_NAMES else ()
        make = partial(manual.msr_rows, info, layout)
        title = layout.declaration.title
        yield Subject(subject.MSR_MESSAGE, info.name, title, make, code, names=names)


def _reasons() -> Iterator[Subject]:
    for reason_set, codes in REASONS.items():
        place = f"set {reason_set}, {ReasonSet(reason_set).name}"
        for member in codes:
            make = partial(_reason_rows, reason_set, member)
            yield Subject(subject.REASON, member.name, member.meaning, make, int(member), place)


def _reason_rows(reason_set: int, member: IntEnum) -> subject.Rows:
    msr = GhcbInfo.TERMINATION_REQUEST | reason_set << 12 | member << 16
    return [
        ("who sends it", "guest to host, before it stops"),
        ("in the GHCB MSR", f"{msr:#x}"),
        (
            "in SW_EXITINFO1",
            f"{reason_set | member << 4:#x}, of exit {ExitCode.TERMINATION_REQUEST:#x}",
        ),
        ("sources differ", manual.differ(of="termination-info")),
        ("public code", "Linux arch/x86/include/asm/sev-common.h; linux-svsm src/globals.rs"),
    ]


_OWN_KIND: dict[type[IntEnum], subject.Kind] = {
    ResultCode: subject.RESULT,
    FirmwareStatus: subject.FIRMWARE,
}
_ELSEWHERE = (ExitCode, GhcbInfo, *REASONS.values())
"""Lists whose codes have richer pages."""

_IN_NO_FIELD: tuple[tuple[type[IntEnum], str, str], ...] = (
    (FirmwareCommand, "the commands of the firmware", firmware_status.COMMANDS_SOURCE),
    (KvmPlanes, "KVM's interface for planes", kvm_planes.SOURCE),
    (ExceptionVector, "the processor's exceptions", exceptions.SOURCE),
)
"""Lists that no field holds, each with its place and source."""


def _codes() -> Iterator[Subject]:
    """Every named value of every field, with all the fields that hold it."""
    places: dict[type[IntEnum], list[Place]] = {}
    for revisions in structures().values():
        for cls in revisions.values():
            for place in leaves(cls):
                codes = place.field.enum
                own = place.owner is cls and not place.owner.declaration.revision
                if codes is not None and codes not in _ELSEWHERE and own:
                    places.setdefault(codes, []).append(place)
    for codes, held in places.items():
        kind = _OWN_KIND.get(codes, subject.CODE)
        first = f"{held[0].owner.declaration.name} {held[0].path}"
        yield from _list(kind, codes, held, first if kind is subject.CODE else "")
    for codes, where, source in _IN_NO_FIELD:
        yield from _list(subject.CODE, codes, [], where, source)


def _list(
    kind: subject.Kind, codes: type[IntEnum], held: list[Place], place: str, source: str = ""
) -> Iterator[Subject]:
    for number, member in members(codes).items():
        title = meaning_of(member) or manual.list_of(codes)
        make = partial(manual.code_rows, member, held, source)
        yield Subject(kind, member.name, title, make, number, place)


def _structures() -> Iterator[Subject]:
    for name, revisions in structures().items():
        cls = revisions.get("") or next(iter(revisions.values()))
        make = partial(manual.structure_rows, cls, list(revisions))
        names = (cls.__name__,)
        yield Subject(subject.STRUCTURE, name, cls.declaration.title, make, names=names)
        yield from _fields(cls)


def _fields(cls: type[Structure]) -> Iterator[Subject]:
    """The fields that a structure declares itself: what it nests has pages of its own."""
    for place in walk(cls):
        field = place.field
        if place.owner is not cls or place.depth or field.rule is not None:
            continue
        of = cls.declaration.name
        names = (field.spec, f"{of} {field.name}", f"{of} {field.spec}")
        if field.kind is FieldKind.FLAG and issubclass(cls, Bits):
            make = partial(manual.bit_rows, cls, field)
            mask = 1 << field.bit_offset
            kind, number = subject.BIT, mask
        else:
            make = partial(manual.field_rows, cls, field)
            kind, number = subject.FIELD, None
        yield Subject(kind, field.name, field.meaning, make, number, of, names, field)


def _guids() -> Iterator[Subject]:
    for text, service in SERVICES.items():
        names = (guid_bytes(text).hex(),)  # as it stands in memory
        title = f"service of the SVSM: {service}"
        yield Subject(subject.GUID, text, title, _service_rows, names=names)
    for digits, what in CERTIFICATES.items():
        text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        title = f"certificate of a host: {what}"
        yield Subject(subject.GUID, text, title, _certificate_rows, names=(what,))


def _service_rows() -> subject.Rows:
    return [
        ("in memory", "the first three fields little-endian, as UEFI writes a GUID"),
        ("stands in", "services-manifest, service-entry, attest-single-service"),
        ("public code", "COCONUT-SVSM kernel/src/protocols/attest.rs"),
    ]


def _certificate_rows() -> subject.Rows:
    return [
        ("in memory", "most significant byte first, as RFC 4122 writes it"),
        ("stands in", "certificate-entry, in the answer of an extended guest request"),
        ("public code", "virtee/sev"),
    ]


_MSRS = {
    MSR: (
        ("GHCB MSR", "MSR_AMD64_SEV_ES_GHCB"),
        "address of the GHCB, or a message of the GHCB MSR protocol",
        "ghcb-msr",
    ),
    SEV_STATUS_MSR: (
        ("SEV_STATUS", "MSR_AMD64_SEV"),
        "what of SEV is on for this vCPU",
        "sev-status",
    ),
    CALLING_AREA_MSR: (
        ("SVSM_CAA", "MSR_SVSM_CAA"),
        "no real MSR: an SVSM guest's #VC handler answers it with its calling area",
        "",
    ),
}


def _msrs() -> Iterator[Subject]:
    for number, ((name, *names), title, layout) in _MSRS.items():
        make = partial(_msr_rows, layout)
        yield Subject(subject.MSR, name, title, make, number, names=tuple(names))


def _msr_rows(layout: str) -> subject.Rows:
    return [
        ("the word", layout),
        ("public code", "COCONUT-SVSM kernel/src/sev; Linux arch/x86/include/asm/msr-index.h"),
    ]
