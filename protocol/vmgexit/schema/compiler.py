"""From a declaration to specialised Python source, for decoding and for encoding.

construct's interpretation of a 256-byte structure takes over a hundred microseconds. The source made
here does one `struct` unpack per structure, nested ones inlined; small neighbouring bit fields come
out of a look-up table as one tuple, wide ones by a shift; values are stored straight into slotted
objects. Encoding runs the same tables backwards. Only when the fast pass fails does the slow one
(`judge.check_ranges`) look for the field to name.

`source_of` returns the source; `compiled` runs it. It must equal construct on every structure.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import EncodeError
from .fields import Field, Kind, named
from .judge import check_ranges, raise_first
from .structure import Bits, Structure, wrong_length

_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}  # struct's little-endian integers, by bits

# Fields of at most _SMALL bits that stand together share one table of at most 2 ** _TABLE entries.
# Larger tables are not faster and cost memory; measured with `dev.py bench`.
_SMALL = 7
_TABLE = 9

# Arrays are unrolled up to this many elements; longer ones become a loop over the element's codec.
_UNROLLED = 4


def _groups(cls: type[Structure]) -> Iterator[tuple[Field, ...]]:
    """The fields of a word, small neighbours together."""
    group: list[Field] = []
    for entry in cls.declaration.fields:
        small = entry.width <= _SMALL
        if group and (not small or sum(f.width for f in group) + entry.width > _TABLE):
            yield tuple(group)
            group = []
        if small:
            group.append(entry)
        else:
            yield (entry,)
    if group:
        yield tuple(group)


def _read(entry: Field, word: int, base: int = 0) -> Any:
    """The value of a bit field in `word`, whose bit 0 is bit `base` of the structure."""
    value = word >> (entry.bit_offset - base) & ((1 << entry.width) - 1)
    return bool(value) if entry.kind is Kind.FLAG else named(value, entry.enum)


@dataclass
class _Writer:
    """The parts of one function while they are collected.

    `codes` and `slots` go together: a struct format code and, for decoding, the name it is unpacked
    into, for encoding, the expression it is packed from. `names` are the function's globals.
    """

    lines: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)

    def fresh(self, value: Any, stem: str) -> str:
        """A global that holds `value`; equal classes and tables share one."""
        for name, held in self.names.items():
            if held is value:
                return name
        name = f"{stem}_{len(self.names)}"
        self.names[name] = value
        return name

    def slot(self, code: str, expression: str = "") -> str:
        self.codes.append(code)
        self.slots.append(expression or f"v{len(self.slots)}")
        return self.slots[-1]

    @property
    def format(self) -> str:
        return "<" + "".join(self.codes)


class _Decoder(_Writer):
    """Collects the function that reads. Each method stores one kind of thing into `target`."""

    def structure(self, cls: type[Structure], target: str) -> None:
        self.lines.append(f"{target} = new({self.fresh(cls, cls.__name__)})")
        if issubclass(cls, Bits):
            self.word(cls, target, self.slot(_CODES[cls.size * 8]))
        else:
            for entry in cls.declaration.fields:
                self.field(entry, f"{target}.{entry.name}", f"{target}_{entry.name}")

    def field(self, entry: Field, place: str, local: str) -> None:
        match entry.kind:
            case Kind.STRUCT:
                assert entry.of is not None
                self.structure(entry.of, local)
                self.lines.append(f"{place} = {local}")
            case Kind.ARRAY:
                self.array(entry, place, local)
            case Kind.BYTES:
                self.lines.append(f"{place} = {self.slot(f'{entry.size}s')}")
            case Kind.UINT if entry.width in _CODES:
                self.lines.append(f"{place} = {self.open(entry, self.slot(_CODES[entry.width]))}")
            case _:
                held = self.slot(f"{entry.size}s")
                self.lines.append(f'{place} = from_bytes({held}, "little")')

    def array(self, entry: Field, place: str, local: str) -> None:
        assert entry.of is not None
        if entry.count <= _UNROLLED:
            elements = [f"{local}_{index}" for index in range(entry.count)]
            for element in elements:
                self.structure(entry.of, element)
            self.lines.append(f"{place} = [{', '.join(elements)}]")
            return
        element = self.fresh(entry.of, entry.of.__name__)
        held, step = self.slot(f"{entry.size}s"), entry.of.size
        self.lines.append(
            f"{place} = [{element}.decode({held}[at : at + {step}])"
            f" for at in range(0, {entry.size}, {step})]"
        )

    def word(self, cls: type[Structure], target: str, word: str) -> None:
        bits = cls.size * 8
        for group in _groups(cls):
            low, width = group[0].bit_offset, sum(entry.width for entry in group)
            shifted = f"{word} >> {low}" if low else word
            masked = shifted if low + width == bits else f"{shifted} & {(1 << width) - 1:#x}"
            places = ", ".join(f"{target}.{entry.name}" for entry in group)
            if width > _TABLE or group[0].width > _SMALL:
                self.lines.append(f"{places} = {self.open(group[0], masked)}")
                continue
            rows = [
                tuple(_read(entry, index, low) for entry in group) for index in range(1 << width)
            ]
            table = self.fresh(rows if len(group) > 1 else [row[0] for row in rows], "rows")
            self.lines.append(f"{places} = {table}[{masked}]")

    def open(self, entry: Field, expression: str) -> str:
        """`expression`, as a member of the field's enum where it has one."""
        if entry.enum is None:
            return expression
        members = self.fresh(entry.enum._value2member_map_, entry.enum.__name__)
        self.lines.append(f"code = {expression}")
        return f"{members}.get(code, code)"

    def text(self, cls: type[Structure]) -> str:
        self.structure(cls, "value")
        unpacked = ", ".join(self.slots)
        body = "\n    ".join(self.lines)
        return f"""\
def decode(data, *, strict=False):
    try:
        {unpacked}, = unpack(data)  # {self.format}
    except struct_error:
        raise wrong_length({self.fresh(cls, cls.__name__)}, memoryview(data).nbytes) from None
    except BufferError:  # a view with gaps
        return decode(bytes(data), strict=strict)
    {body}
    if strict:
        raise_first(value)
    return value
"""


class _Encoder(_Writer):
    """Collects the function that writes. Each method packs what stands at `source`."""

    def structure(self, cls: type[Structure], source: str) -> None:
        if issubclass(cls, Bits):
            self.slot(_CODES[cls.size * 8], self.word(cls, source))
        else:
            for entry in cls.declaration.fields:
                self.field(entry, f"{source}.{entry.name}", f"{source}_{entry.name}")

    def field(self, entry: Field, place: str, local: str) -> None:
        match entry.kind:
            case Kind.STRUCT:
                assert entry.of is not None
                self.lines.append(f"{local} = {place}")
                self.structure(entry.of, local)
            case Kind.ARRAY:
                self.array(entry, place, local)
            case Kind.BYTES:
                self.lines.append(f"{local} = {place}")
                self.checks.append(f"len({local}) != {entry.size}")
                self.slot(f"{entry.size}s", local)
            case Kind.UINT if entry.width in _CODES:
                self.slot(_CODES[entry.width], place)
            case _:
                self.slot(f"{entry.size}s", f'{place}.to_bytes({entry.size}, "little")')

    def array(self, entry: Field, place: str, local: str) -> None:
        assert entry.of is not None
        if entry.count <= _UNROLLED:
            elements = [f"{local}_{index}" for index in range(entry.count)]
            self.lines.append(f"{', '.join(elements)}, = {place}")
            for element in elements:
                self.structure(entry.of, element)
            return
        # The element's own encoder, not the item's: a str has an encode too.
        element = self.fresh(entry.of, entry.of.__name__)
        self.lines.append(f'{local} = b"".join([{element}.encode(item) for item in {place}])')
        self.checks.append(f"len({local}) != {entry.size}")
        self.slot(f"{entry.size}s", local)

    def word(self, cls: type[Structure], source: str) -> str:
        parts = []
        for group in _groups(cls):
            low, width = group[0].bit_offset, sum(entry.width for entry in group)
            places = [f"{source}.{entry.name}" for entry in group]
            if width > _TABLE or group[0].width > _SMALL:
                local = f"{source}_{group[0].name}"
                self.lines.append(f"{local} = {places[0]}")
                self.checks.append(f"{local} >> {width}")
                parts.append(f"{local} << {low}" if low else local)
                continue
            rows: dict[Any, int] = {}
            for index in range(1 << width):
                values = tuple(_read(entry, index, low) for entry in group)
                rows[values if len(group) > 1 else values[0]] = index << low
            table = self.fresh(rows, "codes")
            parts.append(f"{table}[{', '.join(places)}]")
        return " | ".join(parts)

    def text(self, cls: type[Structure]) -> str:
        self.structure(cls, "self")
        body = "".join(f"{line}\n        " for line in self.lines)
        checks = f"if {' or '.join(self.checks)}:\n            refuse(self)\n        " * bool(
            self.checks
        )
        packed = ", ".join(self.slots)
        return f"""\
def encode(self):
    try:
        {body}{checks}return pack({packed})  # {self.format}
    except refused:
        refuse(self)
        raise
"""


def refuse(value: Structure) -> None:
    """Raise EncodeError for the field that the fast encoder could not write."""
    check_ranges(value)


# What the fast encoder meets when a value does not fit: struct's own complaint, a code that is not
# in a table, a wrong type, a list of another length, an element that refused.
_REFUSED = (
    struct.error,
    KeyError,
    OverflowError,
    TypeError,
    AttributeError,
    ValueError,
    EncodeError,
)


def _written(cls: type[Structure]) -> tuple[_Decoder, str, _Encoder, str]:
    decoder, encoder = _Decoder(), _Encoder()
    return decoder, decoder.text(cls), encoder, encoder.text(cls)


def source_of(cls: type[Structure]) -> str:
    """The Python source that decodes and encodes `cls`."""
    _, decode, _, encode = _written(cls)
    return f"{decode}\n\n{encode}"


def compiled(cls: type[Structure]) -> tuple[Callable[..., Any], Callable[[Any], bytes]]:
    """`decode` and `encode` of `cls`, made from `source_of(cls)`."""
    decoder, decode, encoder, encode = _written(cls)
    names = {
        "new": object.__new__,
        "unpack": struct.Struct(decoder.format).unpack,
        "from_bytes": int.from_bytes,
        "struct_error": struct.error,
        "wrong_length": wrong_length,
        "raise_first": raise_first,
        **decoder.names,
    }
    exec(compile(decode, f"<decode {cls.declaration.name}>", "exec"), names)  # noqa: S102
    more = {
        "pack": struct.Struct(encoder.format).pack,
        "refused": _REFUSED,
        "refuse": refuse,
        **encoder.names,
    }
    exec(compile(encode, f"<encode {cls.declaration.name}>", "exec"), more)  # noqa: S102
    return names["decode"], more["encode"]
