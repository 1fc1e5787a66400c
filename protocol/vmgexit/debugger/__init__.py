"""Scripts that show our structures inside a debugger: GDB, and drgn.

A script is one file that needs nothing of vmgexit. It holds the tables of the structures as Python
literals, `engine.py`, and the commands of the debugger. STRUCTURES maps a name to its size in
bytes, its title, whether its fields are bits of one word, and its fields. A field is (name, first
bit, width in bits, kind, of, count, first, meaning): `kind` is number, bytes, bitmap or structure,
`of` the enum or the structure, `first` the number that bit 0 of a bitmap stands for. NAMES says
what the numbers of a field mean where the field has no enum: exit codes, the GHCB's valid bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from pprint import pformat
from typing import Any

from ..layout.naming import label
from ..schema import Field, Kind, Structure, members
from ..wire.exits import exits
from ..wire.ghcb import GhcbPage, valid_bit

DEBUGGERS = {"gdb": "gdb_commands", "drgn": "drgn_commands"}
"""The debuggers, and the file with the commands of each."""

_KINDS = {
    Kind.BYTES: "bytes",
    Kind.BITMAP: "bitmap",
    Kind.STRUCT: "structure",
    Kind.ARRAY: "structure",
}


def script(debugger: str, classes: Iterable[type[Structure]]) -> str:
    """The script of `debugger`, one of DEBUGGERS, for these structures and what they hold."""
    structures: dict[str, Any] = {}
    enums: dict[str, dict[int, str]] = {}
    for cls in classes:
        if not cls.declaration.any_length:  # what is there cannot be known before it is read
            _add(cls, structures, enums)
    tables = {
        "STRUCTURES": structures,
        "ENUMS": enums,
        "NAMES": {
            path: make() for path, make in _NAMES.items() if path.split(".")[0] in structures
        },
    }
    parts = [
        f'"""Structures of SEV-SNP guests in {debugger}; made by `vmgexit {debugger}`."""',
        "from __future__ import annotations",
        _text("engine"),
        *(f"{name} = {pformat(table, width=100, compact=True)}" for name, table in tables.items()),
        _text(DEBUGGERS[debugger]),
    ]
    return "\n\n".join(parts)


def _add(
    cls: type[Structure], structures: dict[str, Any], enums: dict[str, dict[int, str]]
) -> None:
    declaration = cls.declaration
    fields = []
    for field in declaration.fields:
        of = ""
        if field.of is not None:
            _add(field.of, structures, enums)
            of = label(field.of)
        elif field.enum is not None:
            of = field.enum.__name__
            enums[of] = {value: member.name for value, member in members(field.enum).items()}
        kind = _KINDS.get(field.kind, "number")
        shape = (field.name, field.bit_offset, field.width, kind, of, field.count, field.first)
        fields.append((*shape, _meaning(field)))
    structures[label(cls)] = (declaration.size, declaration.title, declaration.is_bits, fields)


def _meaning(field: Field) -> str:
    if field.rule is not None:
        return f"{field.meaning}; {field.rule.value}"
    return f"{field.spec}: {field.meaning}"


def _exit_names() -> dict[int, str]:
    return {int(row.code): f"{row.name}: {row.meaning}" for row in exits()}


def _valid_names() -> dict[int, str]:
    fields = [field.name for field in GhcbPage.declaration.fields if field.rule is None]
    with_bit = fields[: fields.index("valid_bitmap")]
    return {valid_bit(GhcbPage, name): name for name in with_bit}


_NAMES: dict[str, Callable[[], dict[int, str]]] = {
    "ghcb.sw_exit_code": _exit_names,
    "ghcb.valid_bitmap": _valid_names,
    "vmsa.guest_exit_code": _exit_names,
    "vmcb-control.exit_code": _exit_names,
}


def _text(name: str) -> str:
    """A file of this folder without its docstring and what the script has already."""
    text = files(__name__).joinpath(f"{name}.py").read_text("utf-8").partition('"""\n\n')[2]
    return re.sub(r"(?m)^from (__future__|vmgexit\.).*\n\n?", "", text).strip("\n")
