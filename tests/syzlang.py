"""A strict reader of syzlang, written from syzkaller's docs/syscall_descriptions_syntax.md and pkg/ast.

No tool of Debian, PyPI or npm reads syzlang. This one takes what the grammar has and nothing else: a file
is lines, each a comment, a directive, a set of flags, a call, or the beginning of a structure. `Checked`
also asks what the compiler asks: every name is declared once and used, values fit, sizes add up.
It takes all 221 files of syzkaller's sys/linux as they were in August 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"(?P<space>[ \t]+|#.*)|(?P<string>\"[^\"\n]*\"|<[^>\n]*>|`[0-9a-f\n]*`)"
    r"|(?P<int>0x[0-9a-fA-F]+(?![\w$])|-?[0-9]+(?![\w$])|'[^\n]')"
    r"|(?P<ident>[A-Za-z_$][\w$]*)|(?P<op>==|!=|\|\||[(){}\[\]=,:&])"
)
_DEFINE = re.compile(r"define\s+(\w+)\s+(\S.*)")
_VALUE = re.compile(r"0x[\da-f]+|\d+")
_INTEGER = re.compile(r"int(8|16|32|64)(be)?|intptr")
_ATTRIBUTES = {"packed", "size", "align"}


class SyzlangError(Exception):
    """What is no syzlang, with its line."""


@dataclass
class Type:
    """`array[const[0, int8], 203]`: a name, what stands in brackets, and the size of a bit field."""

    name: str
    arguments: list[Type] = field(default_factory=list)
    bits: int = 0

    @property
    def number(self) -> int:
        return int(self.name, 0)


@dataclass
class Structure:
    name: str
    fields: list[tuple[str, Type]]
    attributes: list[Type]
    is_union: bool = False


@dataclass
class File:
    """A file of descriptions."""

    calls: dict[str, list[tuple[str, Type]]] = field(default_factory=dict)
    structures: dict[str, Structure] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)
    defines: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)  # include, resource, type, meta


class _Line:
    """The tokens of a line."""

    def __init__(self, text: str, number: int) -> None:
        self.number, self.tokens, at = number, [], 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.wrong(f"illegal character {text[at]!r}")
            if found.lastgroup != "space":
                self.tokens.append((str(found.lastgroup), found[0]))
            at = found.end()

    def wrong(self, what: str) -> SyzlangError:
        return SyzlangError(f"line {self.number}: {what}")

    def next_is(self, text: str) -> bool:
        if self.tokens and self.tokens[0][1] == text:
            del self.tokens[0]
            return True
        return False

    def take(self, *kinds: str) -> str:
        if not self.tokens or self.tokens[0][0] not in kinds:
            raise self.wrong(f"{' or '.join(kinds)} expected, {self.tokens[:1]} found")
        return self.tokens.pop(0)[1]

    def expect(self, text: str) -> None:
        if not self.next_is(text):
            raise self.wrong(f"{text} expected, {self.tokens[:1]} found")

    def end(self) -> None:
        if self.tokens:
            raise self.wrong(f"end of line expected, {self.tokens[0]} found")

    def type(self) -> Type:
        """A type: a name or a value, arguments, `:` and what stands behind it; operators in an `if`."""
        found = Type(self.take("ident", "int", "string"))
        if self.next_is("["):
            found.arguments = self.types("]")
        while self.next_is(":"):
            after = self.type()
            found.bits = after.number if re.fullmatch(r"\d+", after.name) else found.bits
        for operator in ("==", "!=", "||", "&"):
            if self.next_is(operator):
                self.type()
        return found

    def field(self) -> tuple[str, Type]:
        name = self.take("ident")
        found = self.type()
        if self.next_is("("):
            self.types(")")
        return name, found

    def types(self, closing: str) -> list[Type]:
        """Types between commas, one or more, up to what closes them."""
        found = [self.type()]
        while self.next_is(","):
            found.append(self.type())
        self.expect(closing)
        return found


def parsed(text: str) -> File:
    """The parts of a file. Raises SyzlangError."""
    file, lines = File(), iter(enumerate(text.split("\n"), 1))
    for number, raw in lines:
        if found := _DEFINE.fullmatch(raw):  # what stands there is an expression of C
            value = found[2].strip()
            _once(file.defines, found[1], _Line("", number))
            file.defines[found[1]] = int(value, 0) if _VALUE.fullmatch(value) else -1
            continue
        line = _Line(raw, number)
        if not line.tokens:
            continue
        name = line.take("ident")
        if name in ("include", "incdir", "resource", "type", "meta"):
            file.others.append(raw)
            if name == "meta":
                line.type()
                line.end()
            elif raw.rstrip().endswith(("{", "[")):
                _body(lines, "}" if raw.rstrip().endswith("{") else "]")
        elif line.next_is("("):
            _once(file.calls, name, line)
            file.calls[name] = _call(line)
        elif line.next_is("="):
            _once(file.flags, name, line)
            file.flags[name] = [line.take("ident", "int", "string")]
            while line.next_is(","):
                file.flags[name].append(line.take("ident", "int", "string"))
            line.end()
        else:
            is_union = line.next_is("[")
            if not is_union:
                line.expect("{")
            line.end()
            _once(file.structures, name, line)
            fields, attributes = _body(lines, "]" if is_union else "}")
            file.structures[name] = Structure(name, fields, attributes, is_union)
    return file


def _once(there: Mapping[str, object], name: str, line: _Line) -> None:
    if name in there and name != "_":  # which syzkaller's own files have for sets without a use
        raise line.wrong(f"{name} is there twice")


def _call(line: _Line) -> list[tuple[str, Type]]:
    arguments = []
    while not line.next_is(")"):
        arguments.append(line.field())
        if not line.next_is(","):
            line.expect(")")
            break
    if line.tokens and line.tokens[0][1] != "(":
        line.type()
    if line.next_is("("):
        line.types(")")
    line.end()
    return arguments


def _body(
    lines: Iterator[tuple[int, str]], closing: str
) -> tuple[list[tuple[str, Type]], list[Type]]:
    """The fields of a structure, up to its end; and its attributes."""
    fields: list[tuple[str, Type]] = []
    for number, raw in lines:
        line = _Line(raw, number)
        if not line.tokens:
            continue
        if line.next_is(closing):
            attributes = line.types("]") if line.next_is("[") else []
            line.end()
            if not fields:
                raise line.wrong("a structure without fields")
            return fields, attributes
        fields.append(line.field())
        line.end()
    raise SyzlangError(f"the end of a structure, {closing}, expected")


def constants(text: str) -> dict[str, int]:
    """A file of constants: the architectures, then a name and a decimal value a line."""
    first, *lines = text.rstrip("\n").split("\n")
    assert first == "arches = amd64"
    found = {}
    for line in lines:
        name, _, value = line.partition(" = ")
        assert re.fullmatch(r"[A-Z_][A-Z0-9_]*", name), line
        assert str(int(value)) == value, line
        assert 0 <= int(value) < 1 << 64, line
        assert name not in found, line
        found[name] = int(value)
    return found


@dataclass
class Layout:
    """Where the fields of a structure stand, in bits; and its type."""

    places: list[tuple[str, int, int, Type]]
    size: int


class Checked:
    """A file that means something. Raises SyzlangError where it does not."""

    def __init__(self, file: File, constants: dict[str, int]) -> None:
        self.file, self.constants = file, constants
        if file.defines != constants:
            raise SyzlangError("the constants are not those of the file")
        self.used: set[str] = set()
        self.layouts: dict[str, Layout] = {}
        for name, arguments in file.calls.items():
            if not re.fullmatch(r"syz_\w+\$\w+", name):
                raise SyzlangError(f"{name}: no pseudo-syscall")
            for _, kind in arguments:
                if kind.name != "ptr" or kind.arguments[0].name not in ("in", "out", "inout"):
                    raise SyzlangError(f"{name}: a pointer with a direction expected")
                self.size(kind.arguments[1])
        declared = {*file.structures, *file.flags, *constants}
        if unused := declared - self.used:
            raise SyzlangError(f"declared and not used: {', '.join(sorted(unused))}")

    def layout(self, name: str) -> Layout:
        """A structure's fields; `packed`, with a size that adds up."""
        if name in self.layouts:
            return self.layouts[name]
        self.used.add(name)
        structure = self.file.structures[name]
        places: list[tuple[str, int, int, Type]] = []
        at = unit = 0  # `unit`: bits of the bit fields' base, while some are open
        for called, kind in structure.fields:
            base, bits = self._base(kind), self.bits(kind)
            if bits and (at % base + bits > base):
                raise SyzlangError(
                    f"{name}.{called}: a bit field across the end of its {base} bits"
                )
            if not bits and at % 8:
                raise SyzlangError(f"{name}.{called}: begins within a byte")
            unit = base if bits else 0
            whole = 8 * self.size(kind)  # which checks its values
            size = bits or whole
            if called in [place[0] for place in places]:
                raise SyzlangError(f"{name}.{called}: there twice")
            places.append((called, at, size, kind))
            at += size
        attributes = {one.name: one for one in structure.attributes}
        if set(attributes) - _ATTRIBUTES or "packed" not in attributes:
            raise SyzlangError(f"{name}: attributes {', '.join(attributes)}")
        if unit and at % unit:
            raise SyzlangError(f"{name}: bit fields of {at} bits do not fill {unit}")
        if at != 8 * attributes["size"].arguments[0].number:
            raise SyzlangError(
                f"{name}: {at} bits, {attributes['size'].arguments[0].name} bytes said"
            )
        self.layouts[name] = Layout(places, at // 8)
        return self.layouts[name]

    def bits(self, kind: Type) -> int:
        """The bits of a bit field; 0 of anything else."""
        return self._integer(kind).bits if self._is_number(kind) else 0

    def _base(self, kind: Type) -> int:
        return self._width(self._integer(kind)) if self._is_number(kind) else 0

    def _is_number(self, kind: Type) -> bool:
        return kind.name in ("const", "flags") or bool(_INTEGER.fullmatch(kind.name))

    def _integer(self, kind: Type) -> Type:
        return kind.arguments[1] if kind.name in ("const", "flags") else kind

    def _width(self, integer: Type) -> int:
        found = _INTEGER.fullmatch(integer.name)
        if found is None or integer.arguments:
            raise SyzlangError(f"{integer.name}: an integer expected")
        return int(found[1] or 64)

    def size(self, kind: Type) -> int:
        """Bytes of a type, whose names and values are checked."""
        if self._is_number(kind):
            integer = self._integer(kind)
            width = self._width(integer)
            if integer.bits >= width:
                raise SyzlangError(f"{integer.bits} bits of {integer.name}")
            for value in self.values(kind) or ():
                if not 0 <= value < 1 << (integer.bits or width):
                    raise SyzlangError(f"{value:#x} does not fit {integer.name}:{integer.bits}")
            return width // 8
        if kind.name == "array":
            of, count = kind.arguments
            return self.size(of) * count.number
        if kind.name in self.file.structures and not kind.arguments:
            return self.layout(kind.name).size
        raise SyzlangError(f"{kind.name}: no such type")

    def values(self, kind: Type) -> list[int] | None:
        """What a const or a set of flags can be; None of a free number."""
        if kind.name == "const":
            return [self._value(kind.arguments[0].name)]
        if kind.name == "flags":
            name = kind.arguments[0].name
            if name not in self.file.flags:
                raise SyzlangError(f"{name}: no such flags")
            self.used.add(name)
            return [self._value(value) for value in self.file.flags[name]]
        return None

    def _value(self, text: str) -> int:
        if text in self.constants:
            self.used.add(text)
            return self.constants[text]
        if not _VALUE.fullmatch(text):
            raise SyzlangError(f"{text}: no such constant")
        return int(text, 0)

    def mismatch(self, name: str, data: bytes) -> str:
        """Where bytes are none that the structure describes; empty where they are."""
        number = int.from_bytes(data, "little")
        for called, at, size, kind in self.layout(name).places:
            held = number >> at & (1 << size) - 1
            if found := self._mismatch(kind, held, size):
                return f"{called}: {found}"
        return ""

    def _mismatch(self, kind: Type, held: int, size: int) -> str:
        if self._is_number(kind):
            values = self.values(kind)
            # syzkaller combines values of a set that are bits of a mask.
            is_one = (
                values is None
                or held in values
                or (kind.name == "flags" and held == _all_in(held, values))
            )
            return "" if is_one else f"{held:#x}"
        data = held.to_bytes(size // 8, "little")
        if kind.name == "array":
            of = kind.arguments[0]
            step = self.size(of)
            for at in range(0, len(data), step):
                part = int.from_bytes(data[at : at + step], "little")
                if found := self._mismatch(of, part, 8 * step):
                    return found
            return ""
        return self.mismatch(kind.name, data)


def _all_in(held: int, values: list[int]) -> int:
    """The values that are wholly in `held`, together."""
    together = 0
    for value in values:
        if value & ~held == 0:
            together |= value
    return together
