"""Layouts as SystemRDL 2.0: an address map of registers, for PeakRDL's exporters and the like.

A field of a structure is a register; bytes, and integers that are not aligned, are arrays of registers
of 8 bits. Every register is one that software reads and writes: memory, not hardware, holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...schema import Field, Kind, Structure, meaning_of
from ..document import printable
from ..naming import label
from ..parts import Names, enums_of, snake, with_parts, without_markers
from ..subjects import Subject, classes
from ..table import GENERATED


def render(subjects: Sequence[Subject]) -> str:
    """The address map of the one structure in `subjects`; of a list of any length, its first element."""
    [cls] = classes(subjects)
    every = with_parts([cls])
    names = Names()
    lines = [f"// {GENERATED}", ""]
    for codes in enums_of(every):
        lines.append(f"enum {names.give(_code(codes.__name__), codes.__name__)} {{")
        inner = Names()
        for code in sorted(codes):
            given = inner.give(f"\\{snake(code.name)}", code.name)
            said = meaning_of(code) or code.name
            lines.append(f"    {given} = {int(code)} {{ desc = {_text(said)}; }};")
        lines += ["};", ""]
    for part in every[:-1]:
        lines += [*_part(part, names), ""]
    return "\n".join([*lines, *_map(cls, names), ""])


def _text(text: str) -> str:
    """A string. Its brackets would be format codes, and `<%` Perl, which compilers run."""
    text = printable(text).replace("\\", "/").replace('"', "'").replace("`", "'")
    text = without_markers(text, "<%", "%>").replace("[", "\0").replace("]", "[rb]")
    return f'"{text.replace(chr(0), "[lb]")}"'


def _type(cls: type[Structure]) -> str:
    return f"{snake(label(cls))}_t"


def _code(name: str) -> str:
    return f"{snake(name)}_e"


def _part(cls: type[Structure], names: Names) -> Iterator[str]:
    name = names.give(_type(cls), label(cls))
    if cls.declaration.is_bits:
        yield f"reg {name} {{"
        yield from _word(cls)
    else:
        yield f"regfile {name} {{"
        yield f"    desc = {_text(cls.declaration.title)};"
        yield from _fields(cls)
    yield "};"


def _map(cls: type[Structure], names: Names) -> Iterator[str]:
    yield f"addrmap {names.give(f'{snake(label(cls))}_map', label(cls))} {{"
    yield f"    name = {_text(label(cls))};"
    yield f"    desc = {_text(cls.declaration.title)};"
    yield "    littleendian; lsb0;"
    if cls.declaration.is_bits:
        yield "    reg {"
        yield from (f"    {line}" for line in _word(cls))
        yield f"    }} \\{snake(label(cls))} @ 0x0;"
    else:
        yield from _fields(cls)
    yield "};"


def _word(cls: type[Structure]) -> Iterator[str]:
    yield f"    regwidth = {8 * cls.size}; accesswidth = {8 * cls.size};"
    yield f"    desc = {_text(cls.declaration.title)};"
    names = Names()
    for field in cls.declaration.fields:
        high, low = field.bit_offset + field.width - 1, field.bit_offset
        name = names.give(f"\\{snake(field.name)}", field.name)
        yield f"    field {{ {_properties(field)} }} {name}[{high}:{low}];"


def _fields(cls: type[Structure]) -> Iterator[str]:
    names = Names()
    for field in _placed(cls):
        name = names.give(f"\\{snake(field.name)}", field.name)
        place = f"@ {field.byte_offset:#x}"
        several = f"[{field.count}]" if field.kind is Kind.ARRAY and not field.listing else ""
        if field.of is not None:
            stride = f" += {field.of.size:#x}" if several else ""
            yield f"    {_type(field.of)} {name}{several} {place}{stride};"
        elif field.kind is Kind.UINT and field.byte_offset % field.size == 0:
            yield f"    reg {{ regwidth = {field.width}; accesswidth = {field.width};"
            yield f"        field {{ {_properties(field)} }} value[{field.width - 1}:0];"
            yield f"    }} {name} {place};"
        else:
            yield "    reg { regwidth = 8; accesswidth = 8;"
            yield f"        field {{ sw = rw; hw = na; desc = {_text(field.meaning)}; }} value[7:0];"
            yield f"    }} {name}[{field.size}] {place} += 0x1;"


def _placed(cls: type[Structure]) -> list[Field]:
    """The fields with a place: of a list of any length, the first element."""
    return [field for field in cls.declaration.fields if not field.is_rest]


def _properties(field: Field) -> str:
    told = ["sw = rw", "hw = na", f"desc = {_text(field.meaning)}"]
    if isinstance(field.value, int):
        told.append(f"reset = {int(field.value):#x}")
    if field.enum is not None:
        told.append(f"encode = {_code(field.enum.__name__)}")
    return " ".join(f"{each};" for each in told)
