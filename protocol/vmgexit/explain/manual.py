"""The pages of the manual, drawn from the tables of `wire`: one function for each kind of subject."""

from __future__ import annotations

import re
from enum import IntEnum

from ..layout.naming import size_of
from ..schema import Bits, Field, Kind, Place, Structure, meaning_of, members
from ..wire.calls import origin
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import FORMER_CODES, MalformedInput
from ..wire.features import HypervisorFeatures
from ..wire.ghcb import ALWAYS_VALID
from ..wire.ghcb_msr import RESPONSE_TO, SINCE_2, GhcbInfo, MsrWord
from ..wire.reading import Reading
from ..wire.readings import READINGS
from ..wire.svsm import Call, Operand
from .subject import Rows

WHAT_IS_SENT = "guest to host, in the GHCB MSR", "host to guest, in the GHCB MSR"


# --- exits ----------------------------------------------------------------------------------------


def exit_rows(row: Exit) -> Rows:
    if row.where is not Where.GHCB:
        return [
            ("where it stands", row.where.value),
            ("sources differ", differ(codes=(row.code,), name=row.name)),
            ("public code", row.source),
        ]
    return [
        ("who sends it", row.where.value),
        ("must be valid", ", ".join([*ALWAYS_VALID, *row.fields_in])),
        ("may be valid", ", ".join(row.may)),
        ("SW_EXITINFO1", _word(row.info1)),
        ("SW_EXITINFO2", _word(row.info2)),
        ("shared buffer", row.buffer),
        ("comes back", "SW_EXITINFO1: 0 = done, 1 = an event to take, 2 = refused, see errors"),
        ("result", f"SW_EXITINFO2: {_word(row.result)}" if row.result != Word() else ""),
        ("marked valid", ", ".join(row.fields_out)),
        ("errors", named_values(MalformedInput)),
        ("since", f"version {row.since} of the GHCB standard"),
        ("announced by", _feature(row.feature)),
        (
            "formerly",
            "; ".join(f"{f.meaning} ({f.source})" for f in FORMER_CODES if f.code == row.code),
        ),
        ("clause", row.clause),
        ("sources differ", differ(codes=(row.code,), name=row.name)),
        ("public code", row.source),
    ]


def _word(word: Word) -> str:
    if word.layout is None:
        return word.meaning if word.value else "not used; guests send 0"
    return f"{word.meaning}; {word.layout.declaration.name}: {bits_of(word.layout)}"


def _feature(name: str) -> str:
    if not name:
        return ""
    field = HypervisorFeatures.declaration[name]
    return f"bit {field.bits} of the hypervisor features, {field.spec}"


def bits_of(layout: type[Bits]) -> str:
    """`15:0 Operation (0 CREATE_ON_INIT, 1 CREATE, 2 DESTROY), 19:16 VMPL ...`."""
    return ", ".join(_bit(field) for field in layout.declaration.fields if field.rule is None)


def _bit(field: Field) -> str:
    if field.enum is not None:
        return f"{field.bits} {field.spec} ({named_values(field.enum, brief=True)})"
    return f"{field.bits} {field.spec}: {field.meaning}"


def named_values(codes: type[IntEnum], brief: bool = False) -> str:
    """`1 NOT_REGISTERED: the GHCB page is not registered`, a line for each; `brief`: names in one line."""
    said = []
    for value, member in sorted(members(codes).items()):
        meaning = "" if brief else meaning_of(member)
        said.append(f"{value:#x} {member.name}" + (f": {meaning}" if meaning else ""))
    more = f"and {len(said) - _LISTED} more" if len(said) > _LISTED else ""
    if brief:
        return f"{', '.join(said[:_LISTED])} {more}".rstrip()
    return "\n".join([*said[:_LISTED], *([more] if more else [])])


_LISTED = 24  # codes that are named; a page is to be read


# --- calls ----------------------------------------------------------------------------------------


def call_rows(call: Call) -> Rows:
    told = origin(call)
    number = call.protocol << 32 | call.number
    return [
        (
            "RAX",
            f"{number:#x}: protocol {int(call.protocol)}, call {call.number}",
        ),
        (
            "who sends it",
            "guest to SVSM, in registers; the calling area says that a call is pending",
        ),
        *((operand.register.upper(), _operand(operand)) for operand in call.inputs),
        *(
            (
                "memory",
                f"{there.layout.declaration.name}, {'written' if there.written else 'read'} at"
                f" {there.register.upper()}: {there.meaning}",
            )
            for there in call.memory
        ),
        ("comes back", "; ".join(f"{o.register.upper()}: {_operand(o)}" for o in call.outputs)),
        ("errors", "\n".join(f"{int(r):#x} {r.name}: {meaning_of(r)}" for r in call.results if r)),
        *(("refused", f"{r.result.name}: {r.when} ({r.source})") for r in call.refusals),
        ("since", told.since),
        ("announced by", "QUERY_PROTOCOL of the core protocol"),
        ("clause", call.clause),
        ("sources differ", differ(name=call.name.split("_", 2)[-1])),
        ("public code", told.source),
    ]


def _operand(operand: Operand) -> str:
    if operand.layout is None:
        return operand.meaning
    return f"{operand.meaning}; {operand.layout.declaration.name}: {bits_of(operand.layout)}"


# --- the GHCB MSR ---------------------------------------------------------------------------------


def msr_rows(code: GhcbInfo, layout: type[MsrWord]) -> Rows:
    answers = [asked.name for asked, answer in _pairs() if answer == code]
    return [
        ("who sends it", WHAT_IS_SENT[bool(answers)]),
        ("the word", bits_of(layout)),
        ("comes back", RESPONSE_TO[code].name if code in RESPONSE_TO else ""),
        ("answers", ", ".join(answers)),
        ("since", "version 2 of the GHCB standard" if code in SINCE_2 else ""),
        ("sources differ", differ(of=layout.declaration.name, name=code.name)),
        ("public code", layout.declaration.source),
    ]


def _pairs() -> list[tuple[GhcbInfo, GhcbInfo]]:
    return [(GhcbInfo(asked), answer) for asked, answer in RESPONSE_TO.items()]


# --- codes, bits, fields, structures --------------------------------------------------------------


def list_of(codes: type[IntEnum]) -> str:
    """What a list of codes is, in one line."""
    return (codes.__doc__ or codes.__name__).strip().partition("\n")[0]


def code_rows(member: IntEnum, places: list[Place], source: str) -> Rows:
    """A named value. `places`: the fields that hold it; `source`: of a list that no field holds."""
    owners = {f"{place.owner.declaration.name} {place.path}": place for place in places}
    sources = dict.fromkeys([source, *(place.owner.declaration.source for place in places)])
    return [
        ("list", list_of(type(member)) if meaning_of(member) else ""),
        ("stands in", ", ".join(owners)),
        ("sources differ", differ(name=member.name)),
        ("public code", "; ".join(filter(None, sources))),
    ]


def bit_rows(owner: type[Structure], field: Field) -> Rows:
    declaration = owner.declaration
    return [
        ("bit", f"{field.bits} of {declaration.name}, mask {1 << field.bit_offset:#x}"),
        ("of", declaration.title),
        ("clause", field.clause or declaration.clause),
        ("sources differ", differ(of=declaration.name, field=field.name)),
        ("public code", declaration.source),
    ]


def field_rows(owner: type[Structure], field: Field) -> Rows:
    declaration = owner.declaration
    if declaration.is_bits:
        where = f"bits {field.bits} of {declaration.name}, {declaration.size} bytes"
    else:
        size = field.width * field.count // 8
        where = f"offset {field.byte_offset:#x} of {declaration.name}, {size} bytes"
    inner = field.of
    return [
        ("where", where),
        ("of", declaration.title),
        ("written by", field.access),
        ("values", named_values(field.enum) if field.enum else ""),
        ("made of", inner.declaration.name if inner else ""),
        ("bits", bits_of(inner) if inner and issubclass(inner, Bits) else ""),
        ("must be", field.rule.value if field.rule else ""),
        ("clause", field.clause or declaration.clause),
        ("sources differ", differ(of=declaration.name, field=field.name)),
        ("public code", declaration.source),
    ]


def structure_rows(cls: type[Structure], revisions: list[str]) -> Rows:
    declaration = cls.declaration
    return [
        ("size", size_of(cls)),
        ("fields", _fields(cls)),
        ("drafts", ", ".join(revision for revision in revisions if revision)),
        ("clause", declaration.clause),
        ("sources differ", differ(of=declaration.name)),
        ("public code", declaration.source),
        (
            "to read one",
            f"vmgexit decode {declaration.name}; its table: vmgexit layout {declaration.name}",
        ),
    ]


def _fields(cls: type[Structure]) -> str:
    declaration = cls.declaration
    named = [field for field in declaration.fields if field.rule is None]
    shown = [
        f"{field.bits if declaration.is_bits else f'{field.byte_offset:#x}'} {field.spec}"
        + (f"[{'n' if field.listing else field.count}]" if field.kind is Kind.ARRAY else "")
        for field in named[:_LISTED]
    ]
    more = f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
    return ", ".join(shown) + more


# --- where sources differ -------------------------------------------------------------------------


def differ(*, codes: tuple[int, ...] = (), of: str = "", field: str = "", name: str = "") -> str:
    """The points on which sources differ: about these exit codes, this structure or field, this name.

    A line for each.
    """
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)") if name else None

    def fits(reading: Reading) -> bool:
        if set(codes) & set(reading.codes):
            return True
        if of and reading.of == of and (not field or reading.field == field):
            return True
        return bool(word and word.search(reading.topic))

    return "\n".join(str(reading) for reading in READINGS if fits(reading))
