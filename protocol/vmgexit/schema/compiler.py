"""From a declaration to specialised Python source, for decoding and for encoding.

construct's interpretation of a 256-byte structure takes over a hundred microseconds. The source made
here does one `struct` unpack per structure, nested ones inlined; bit fields come out of look-up
tables or by shifts, as `cuts` has it; values are stored straight into slotted objects. Encoding
looks up the inverse. Only when the fast pass fails does the slow one (`checks.check_ranges`) look for
the field to name.

`source_of` returns the source; `compiled` runs it. It must equal construct on every structure.
"""

from __future__ import annotations

import functools
import struct
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

from ..errors import EncodeError
from . import cuts
from .checks import check_ranges, raise_first, wrong_length
from .structure import Bits, Field, Kind, Structure, members


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


@dataclass
class _Decoder(_Writer):
    """Collects the function that reads. Each method stores one kind of thing into `target`."""

    makers: dict[type[Structure], str] = field(default_factory=dict)

    def maker(self, cls: type[Structure]) -> str:
        """What makes a `cls` without values; a partial is called faster than `object.__new__`."""
        if cls not in self.makers:
            make = functools.partial(object.__new__, cls)
            self.makers[cls] = self.fresh(make, f"new_{cls.__name__}")
        return self.makers[cls]

    def structure(self, cls: type[Structure], target: str) -> None:
        self.lines.append(f"{target} = {self.maker(cls)}()")
        if issubclass(cls, Bits):
            self.word(cls, target)
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
                self.array(entry, place)
            case Kind.BYTES:
                self.lines.append(f"{place} = {self.slot(f'{entry.size}s')}")
            case Kind.UINT if entry.width in cuts.CODES:
                self.lines.append(
                    f"{place} = {self.open(entry, self.slot(cuts.CODES[entry.width]))}"
                )
            case _:
                held = self.slot(f"{entry.size}s")
                self.lines.append(f'{place} = from_bytes({held}, "little")')

    def array(self, entry: Field, place: str) -> None:
        """A loop over the element's own codec."""
        assert entry.of is not None
        element = self.fresh(entry.of, entry.of.__name__)
        held, step = self.slot(f"{entry.size}s"), entry.of.size
        self.lines.append(
            f"{place} = [{element}.decode({held}[at : at + {step}])"
            f" for at in range(0, {entry.size}, {step})]"
        )

    def word(self, cls: type[Bits], target: str) -> None:
        cut = cuts.by_bytes(cls)
        if cuts.shifts_cost_less(cls, cut):
            self.shifted(cls, target, self.slot(cuts.CODES[cls.size * 8]))
        else:
            self.cut(cut, target)

    def shifted(self, cls: type[Bits], target: str, word: str) -> None:
        """Each field by a shift and a mask of the whole word."""
        for entry in cls.declaration.fields:
            value = f"{word} >> {entry.bit_offset}" if entry.bit_offset else word
            if entry.bit_offset + entry.width < cls.size * 8:
                value = f"{value} & {(1 << entry.width) - 1:#x}"
            self.lines.append(f"{target}.{entry.name} = {self.open(entry, value)}")

    def cut(self, cut: Sequence[cuts.Stretch], target: str) -> None:
        """Each byte of several fields by its table, other bytes as they are.

        Parts do not overlap, so + and * join them, which CPython does faster than | and <<.
        """
        parts: dict[str, list[str]] = {}  # of the fields in more than one stretch
        fields: dict[str, Field] = {}
        for stretch in cut:
            held = self.slot(cuts.CODES[8 * stretch.size])
            stored = []
            for piece in stretch.pieces:
                entry = piece.field
                if piece.is_whole:
                    stored.append(f"{target}.{entry.name}")
                    continue
                fields[entry.name] = entry
                part = f"{held}_{entry.name}" if stretch.is_mixed else held
                stored.append(part)
                moved = (
                    f"{held} * {1 << piece.low:#x}" if piece.low and not stretch.is_mixed else part
                )
                parts.setdefault(entry.name, []).append(moved)
            if stretch.is_mixed:
                table = self.fresh(cuts.rows(stretch.pieces), "rows")
                self.lines.append(_listed("(", stored, f") = {table}[{held}]", " " * 4))
            elif stretch.pieces[0].is_whole:
                self.lines.append(f"{stored[0]} = {self.open(stretch.pieces[0].field, held)}")
        for name, joined in parts.items():
            value = self.open(fields[name], " + ".join(joined))
            self.lines.append(f"{target}.{name} = {value}")

    def open(self, entry: Field, expression: str) -> str:
        """`expression`, as a bool or as a member of the field's enum where it is one."""
        if entry.kind is Kind.FLAG:
            return f"{expression} == 1" if expression.isidentifier() else f"({expression}) == 1"
        if entry.enum is None:
            return expression
        names = self.fresh(members(entry.enum), entry.enum.__name__)
        self.lines.append(f"code = {expression}")
        return f"{names}.get(code, code)"

    def text(self, cls: type[Structure]) -> str:
        self.structure(cls, "value")
        body = "\n    ".join(self.lines)
        unpacked = self.slots if len(self.slots) > 1 else [f"{self.slots[0]},"]
        return f"""\
def decode(data, *, strict=False):
    try:
        # {self.format}
        {_listed("(", unpacked, ") = unpack(data)", " " * 8)}
    except struct_error:
        raise wrong_length({self.fresh(cls, cls.__name__)}, memoryview(data).nbytes) from None
    except BufferError:  # a view with gaps
        return decode(bytes(data), strict=strict)
    {body}
    if strict:
        raise_first(value)
    return value
"""


def _listed(before: str, items: Sequence[str], after: str, indent: str) -> str:
    """Items between commas, wrapped where they are more than a line."""
    line = f"{before}{', '.join(items)}{after}"
    if len(indent) + len(line) <= 96:
        return line
    inner = indent + "    "
    if any("\n" in item for item in items) or max(map(len, items)) > 40:
        wrapped = ",\n".join(inner + item for item in items)
    else:
        wrapped = textwrap.fill(", ".join(items), 96, initial_indent=inner, subsequent_indent=inner)
    return f"{before}\n{wrapped},\n{indent}{after}"


def _joined(parts: Sequence[str]) -> str:
    """The sum of the parts, wrapped where it is more than a line."""
    line = " + ".join(parts) or "0"
    if len(line) <= 80:
        return line
    wrapped = f"\n{' ' * 12}+ ".join(parts)
    return f"(\n{' ' * 12}{wrapped}\n{' ' * 8})"


@dataclass
class _Encoder(_Writer):
    """Collects the function that writes. Each method packs what stands at `source`."""

    def structure(self, cls: type[Structure], source: str) -> None:
        if issubclass(cls, Bits):
            self.word(cls, source)
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
            case Kind.UINT if entry.width in cuts.CODES:
                self.slot(cuts.CODES[entry.width], place)
            case _:
                self.slot(f"{entry.size}s", f'{place}.to_bytes({entry.size}, "little")')

    def array(self, entry: Field, place: str, local: str) -> None:
        assert entry.of is not None
        # The element's own encoder, not the item's: a str has an encode too.
        element = self.fresh(entry.of, entry.of.__name__)
        self.lines.append(f'{local} = b"".join([{element}.encode(item) for item in {place}])')
        self.checks.append(f"len({local}) != {entry.size}")
        self.slot(f"{entry.size}s", local)

    def word(self, cls: type[Bits], source: str) -> None:
        for run in cuts.runs(cls):
            if run.is_integer:  # of which pack refuses what does not fit
                self.slot(cuts.CODES[8 * run.size], f"{source}.{run.fields[0].name}")
            elif run.is_table:
                self.table_run(run, source)
            else:
                self.sum_run(run, source)

    def table_run(self, run: cuts.Run, source: str) -> None:
        """Bytes out of one table."""
        local = f"{source}_{run.low}"
        (group,) = run.tables
        looked_up = self.looked_up(group, run.low, run.size, source, " " * 8)
        self.lines.append(f"{local} = {looked_up}")
        self.reserved(run, source, local)
        self.slot(f"{run.size}s", local)

    def sum_run(self, run: cuts.Run, source: str) -> None:
        """An integer, of which `pack` refuses a negative one and bits beyond the last.

        Parts do not overlap, so + joins them, which CPython does faster than |.
        """
        parts = []
        is_shifted = False
        for entry in run.wide:
            local, width = f"{source}_{entry.name}", entry.width
            low = entry.bit_offset - run.low
            self.lines.append(f"{local} = {source}.{entry.name}")
            if cuts.is_listed(entry):
                self.checks.append(f"{local} < 0")
                parts.append(f"{self.fresh(cuts.places(width, low), f'at_{low}')}[{local}]")
                continue
            if low + width < 8 * run.size:
                self.checks.append(f"{local} >> {width}")
            is_shifted |= low > 0
            parts.append(f"({local} << {low})" if low else local)
        parts += [self.looked_up(group, run.low, 0, source, " " * 12) for group in run.tables]
        word = f"{source}_{run.low}"
        self.lines.append(f"{word} = {_joined(parts)}")
        self.reserved(run, source, word)
        if is_shifted:  # an integer of numpy's loses the bits that are shifted beyond its own width
            self.checks.append(f"type({word}) is not int")
        self.slot(cuts.CODES[8 * run.size], word)

    def looked_up(
        self, group: tuple[Field, ...], low: int, size: int, source: str, indent: str
    ) -> str:
        """The bits of the group's fields, as `cuts.codes` gives them."""
        table = self.fresh(cuts.codes(group, low, size), "codes")
        key = self.fresh(cuts.packer(len(group)), "key")
        held = [f"{source}.{entry.name}" for entry in group]
        return _listed(f"{table}[{key}(", held, ")]", indent)

    def reserved(self, run: cuts.Run, source: str, local: str) -> None:
        """Reserved fields are nearly always 0."""
        for entry in run.reserved:
            place = f"{source}.{entry.name}"
            given = [local, place, f"{entry.width}", f"{entry.bit_offset - run.low}"]
            filled = _listed(f"{local} = filled(", given, ")", " " * 12)
            self.lines.append(f"if {place} is not zero:\n{' ' * 12}{filled}")

    def text(self, cls: type[Structure]) -> str:
        self.structure(cls, "self")
        body = "".join(f"{line}\n        " for line in self.lines)
        checks = ""
        if self.checks:
            joined = "\n            or ".join(self.checks)
            checks = (
                f"if (\n            {joined}\n        ):\n            return slow(self)\n        "
            )
            if len(self.checks) == 1:
                checks = f"if {joined}:\n            return slow(self)\n        "
        return f"""\
def encode(self):
    try:
        {body}{checks}# {self.format}
        {_listed("return pack(", self.slots, ")", " " * 8)}
    except refused:
        return slow(self)
"""


def slow(value: Structure) -> bytes:
    """The bytes of what the fast encoder could not write.

    Raises EncodeError for a field that cannot hold its value. All others it can hold, but not as
    reading gives them: integers of other types, an integer in place of a word.
    """
    check_ranges(value)
    return value.settled().encode()


def filled(word: Any, value: Any, width: int, low: int) -> Any:
    """`word`, an integer or bytes, with a reserved field of `width` bits at bit `low`.

    Raises OverflowError where they do not fit.
    """
    number = index(value)
    if number >> width:
        raise OverflowError
    if isinstance(word, bytes):
        joined = int.from_bytes(word, "little") + (number << low)
        return joined.to_bytes(len(word), "little")
    return word + (number << low)


# What the fast encoder meets when a value is not as reading gives it: struct's own complaint, a value
# that is not in a table, a wrong type, a list of another length, an element that refused.
_REFUSED = (
    struct.error,
    LookupError,
    OverflowError,
    TypeError,
    AttributeError,
    ValueError,
    EncodeError,
)


_TABLES = """\
# new_X(): an X without values. rows_N[byte]: the fields and parts of fields in that byte.
# at_LOW_N[value]: value << LOW, or None for a value that does not fit; negative ones are checked.
# codes_N[key_N(values)]: their bits, as an integer or as bytes.
# filled(word, value, width, low): the word with a reserved field.
"""


def source_of(cls: type[Structure]) -> str:
    """The Python source that decodes and encodes `cls`."""
    return f"{_TABLES}\n\n{_Decoder().text(cls)}\n\n{_Encoder().text(cls)}"


def compiled_decode(cls: type[Structure]) -> Callable[..., Any]:
    """`decode` of `cls`, made from `source_of(cls)`."""
    decoder = _Decoder()
    text = decoder.text(cls)
    names = {
        "unpack": struct.Struct(decoder.format).unpack,
        "from_bytes": int.from_bytes,
        "struct_error": struct.error,
        "wrong_length": wrong_length,
        "raise_first": raise_first,
        **decoder.names,
    }
    exec(compile(text, f"<decode {cls.declaration.name}>", "exec"), names)  # noqa: S102
    made: Callable[..., Any] = names["decode"]
    return made


def compiled_encode(cls: type[Structure]) -> Callable[[Any], bytes]:
    """`encode` of `cls`, made from `source_of(cls)`."""
    encoder = _Encoder()
    text = encoder.text(cls)
    names = {
        "pack": struct.Struct(encoder.format).pack,
        "refused": _REFUSED,
        "slow": slow,
        "filled": filled,
        "zero": 0,  # what decoding gives: CPython has one 0
        **encoder.names,
    }
    exec(compile(text, f"<encode {cls.declaration.name}>", "exec"), names)  # noqa: S102
    made: Callable[[Any], bytes] = names["encode"]
    return made
