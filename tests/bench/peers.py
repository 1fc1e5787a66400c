"""The peers, each made from a literal layout: how it decodes, how it encodes, what values it gave.

A peer decodes to whatever is natural for it, as long as every field is a Python value then; `values`
spells that out by path, which is how all are compared before any is timed. What is timed is what a
user would write for the fastest: straight lines, everything prepared beforehand.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import bitstruct.c as bitstruct
import construct
import kaitaistruct
from dissect.cstruct import cstruct

from vmgexit.schema import Kind, Structure, leaves

from .layouts import Field, Record, Word, parts
from .layouts import leaves as leaves_of

Layout = Word | Record
Values = dict[str, int | bytes]


@dataclass(frozen=True)
class Contestant:
    """One codec for one structure. `encode` takes what `decode` gives."""

    name: str
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    values: Callable[[Any], Values]


def ours(cls: type[Structure]) -> Contestant:
    cls.decode(bytes(cls.size)).encode()  # so that the real ones are in place
    places = list(leaves(cls))

    def values(value: Any) -> Values:
        found: Values = {}
        for place in places:
            held = _reach(value, place.path)
            if place.field.kind is Kind.BITMAP:
                for index in range(place.field.size // 4):
                    found[f"{place.path}[{index}]"] = held >> 32 * index & 0xFFFFFFFF
            else:
                found[place.path] = held
        return found

    return Contestant("vmgexit", cls.decode, cls.encode, values)


def _reach(value: Any, path: str) -> Any:
    for name in path.replace("[", ".").replace("]", "").split("."):
        value = value[int(name)] if name.isdigit() else getattr(value, name)
    return value


def _by_path(layout: Layout) -> Callable[[Any], Values]:
    """Values of nested objects with attributes and lists."""
    paths = [path for path, _, _ in leaves_of(layout)]
    return lambda value: {path: _reach(value, path) for path in paths}


# --- construct ------------------------------------------------------------------------------------


def _construct_of(layout: Layout) -> Any:
    if isinstance(layout, Word):
        # construct lists the bits of each byte from the top one down.
        fields = [
            name / (construct.Flag if bits == 1 else construct.BitsInteger(bits))
            for name, bits in layout.fields
        ]
        return construct.ByteSwapped(construct.BitStruct(*reversed(fields)))
    return construct.Struct(*(field.name / _subcon(field) for field in layout.fields))


def _subcon(field: Field) -> Any:
    if field.of is not None:
        inner = _construct_of(field.of)
        return construct.Array(field.count, inner) if field.count else inner
    if field.code == "b":
        return construct.Bytes(field.count)
    if field.code == "w":
        return construct.Array(field.count, construct.Int32ul)
    return getattr(construct, f"Int{field.code[1:]}ul")


def by_construct(layout: Layout) -> Contestant:
    made = _construct_of(layout)
    return Contestant("construct", made.parse, made.build, _by_path(layout))


def by_compiled_construct(layout: Layout) -> Contestant:
    made = _construct_of(layout).compile()
    return Contestant("construct, compiled", made.parse, made.build, _by_path(layout))


# --- bitstruct ------------------------------------------------------------------------------------


def by_bitstruct(layout: Layout) -> Contestant:
    """bitstruct reads from the top bit down: all is turned round, and bytes once more."""
    every = list(reversed(list(leaves_of(layout))))
    text = "".join(
        f"{'b' if bits == 1 else 'u' if code == 'u' else 'r'}{bits}" for _, code, bits in every
    )
    made = bitstruct.compile(text, [path for path, _, _ in every])
    raw = [path for path, code, _ in every if code == "b"]
    unpack, pack = made.unpack, made.pack

    def decode(data: bytes) -> Any:
        found = unpack(data[::-1])
        for path in raw:
            found[path] = found[path][::-1]
        return found

    def encode(value: Any) -> bytes:
        packed: bytes
        if raw:
            value = value.copy()
            for path in raw:
                value[path] = value[path][::-1]
        packed = pack(value)[::-1]
        return packed

    def decode_plain(data: bytes) -> Any:
        return unpack(data[::-1])

    def encode_plain(value: Any) -> bytes:
        packed: bytes = pack(value)[::-1]
        return packed

    if raw:
        return Contestant("bitstruct, C", decode, encode, lambda value: value)
    return Contestant("bitstruct, C", decode_plain, encode_plain, lambda value: value)


# --- ctypes ---------------------------------------------------------------------------------------


def ctypes_of(layout: Layout) -> Any:
    made: dict[str, Any] = {}
    for part in parts(layout):
        fields: list[Any]
        if isinstance(part, Word):
            kind = getattr(ctypes, f"c_uint{8 * part.size}")
            fields = [(name, kind, bits) for name, bits in part.fields]
        else:
            fields = [(field.name, _ctype(field, made)) for field in part.fields]
        body = {"_pack_": 1, "_layout_": "ms", "_fields_": fields}
        made[part.name] = type(part.name, (ctypes.LittleEndianStructure,), body)
    return made[layout.name]


def _ctype(field: Field, made: dict[str, Any]) -> Any:
    if field.of is not None:
        inner = made[field.of.name]
        return inner * field.count if field.count else inner
    if field.code == "b":
        return ctypes.c_uint8 * field.count
    if field.code == "w":
        return ctypes.c_uint32 * field.count
    return getattr(ctypes, f"c_uint{field.code[1:]}")


def by_ctypes(layout: Layout) -> Contestant:
    """All fields into nested tuples by one expression, and back by the positional constructor."""
    kind = ctypes_of(layout)
    lines: list[str] = []
    expression = _read_ctypes(layout, "s", lines)
    body = "".join(f"    {line}\n" for line in lines)
    names: dict[str, Any] = {"copied": kind.from_buffer_copy}
    exec(f"def decode(data):\n    s = copied(data)\n{body}    return {expression}\n", names)  # noqa: S102
    text = f"def encode(v):\n    return bytes(kind{_write_ctypes(layout, 'v')})\n"
    written: dict[str, Any] = {"kind": kind, "bytes_of": _bytes_types(layout)}
    exec(text, written)  # noqa: S102
    paths = [path for path, _, _ in leaves_of(layout)]
    return Contestant(
        "ctypes",
        names["decode"],
        written["encode"],
        lambda value: dict(zip(paths, _flat(value), strict=True)),
    )


def _read_ctypes(layout: Layout, at: str, lines: list[str]) -> str:
    if isinstance(layout, Word):
        return "(" + ", ".join(f"{at}.{name}" for name, _ in layout.fields) + ",)"
    found = []
    for field in layout.fields:
        place = f"{at}.{field.name}"
        if field.of is None:
            found.append({"b": f"bytes({place})", "w": f"{place}[:]"}.get(field.code, place))
            continue
        inner = []
        local = f"{at}_{field.name}"
        lines.append(f"{local} = {place}")
        for index in range(field.count or 1):
            one = f"{local}_{index}" if field.count else local
            if field.count:
                lines.append(f"{one} = {local}[{index}]")
            inner.append(_read_ctypes(field.of, one, lines))
        found.append(f"({', '.join(inner)},)" if field.count else inner[0])
    return "(" + ", ".join(found) + ",)"


def _write_ctypes(layout: Layout, at: str) -> str:
    """The arguments of the constructor; bytes and words have to be made into arrays."""
    if isinstance(layout, Word):
        return f"(*{at})"
    found = []
    for index, field in enumerate(layout.fields):
        place = f"{at}[{index}]"
        if field.code == "b":
            found.append(f"bytes_of[{field.count}].from_buffer_copy({place})")
        elif field.code == "w":
            found.append(f"tuple({place})")
        elif field.of is None or isinstance(field.of, Word):
            found.append(place)
        elif field.count:
            inner = [_write_ctypes(field.of, f"{place}[{each}]") for each in range(field.count)]
            found.append(f"({', '.join(inner)})")
        else:
            found.append(_write_ctypes(field.of, place))
    return f"({', '.join(found)})"


def _bytes_types(layout: Layout) -> dict[int, Any]:
    sizes = {bits // 8 for _, code, bits in leaves_of(layout) if code == "b"}
    return {size: ctypes.c_uint8 * size for size in sizes}


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


# --- dissect.cstruct ------------------------------------------------------------------------------


def by_dissect(layout: Layout) -> Contestant:
    text = ""
    for part in parts(layout):
        if isinstance(part, Word):
            lines = [f"uint{8 * part.size} {name}:{bits};" for name, bits in part.fields]
        else:
            lines = [_c_line(field) for field in part.fields]
        text += f"struct {part.name} {{ {' '.join(lines)} }};\n"
    parser = cstruct(endian="<")
    parser.load(text, compiled=True)
    kind = getattr(parser, layout.name)
    return Contestant("dissect.cstruct", kind, lambda value: bytes(value.dumps()), _by_path(layout))


def _c_line(field: Field) -> str:
    if field.of is not None:
        return f"{field.of.name} {field.name}{f'[{field.count}]' if field.count else ''};"
    if field.code == "b":
        return f"char {field.name}[{field.count}];"
    if field.code == "w":
        return f"uint32 {field.name}[{field.count}];"
    return f"uint{field.code[1:]} {field.name};"


# --- Kaitai ---------------------------------------------------------------------------------------


def by_kaitai(layout: Layout) -> Contestant:
    """Classes as Kaitai's compiler writes them for Python, on its own runtime."""
    names: dict[str, Any] = {"KaitaiStruct": kaitaistruct.KaitaiStruct}
    for part in parts(layout):
        exec(_kaitai_source(part), names)  # noqa: S102
    kind, size = names[layout.name], layout.size
    stream, memory = kaitaistruct.KaitaiStream, kaitaistruct.BytesIO

    def encode(value: Any) -> bytes:
        io = stream(memory(bytes(size)))
        value.write(io)
        written: bytes = io.to_byte_array()
        return written

    return Contestant("Kaitai style", kind.from_bytes, encode, _by_path(layout))


def _kaitai_source(part: Layout) -> str:
    reads, writes = [], []
    if isinstance(part, Word):
        for name, bits in part.fields:
            value = f"self._io.read_bits_int_le({bits})"
            reads.append(f"self.{name} = {value}{' != 0' if bits == 1 else ''}")
            writes.append(f"io.write_bits_int_le({bits}, int(self.{name}))")
        reads.append("self._io.align_to_byte()")
        writes.append("io.write_align_to_byte()")
    else:
        for field in part.fields:
            _kaitai_field(field, reads, writes)
    return (
        f"class {part.name}(KaitaiStruct):\n"
        "    def __init__(self, _io, _parent=None, _root=None):\n"
        "        KaitaiStruct.__init__(self, _io)\n"
        "        self._parent = _parent\n"
        "        self._root = _root or self\n"
        "        self._read()\n"
        "    def _read(self):\n        " + "\n        ".join(reads) + "\n"
        "    def write(self, io):\n        " + "\n        ".join(writes) + "\n"
    )


def _kaitai_field(field: Field, reads: list[str], writes: list[str]) -> None:
    place = f"self.{field.name}"
    if field.of is not None and field.count:
        one = f"{field.of.name}(self._io, self, self._root)"
        reads.append(f"{place} = []")
        reads.append(f"for i in range({field.count}): {place}.append({one})")
        writes.append(f"for item in {place}: item.write(io)")
    elif field.of is not None:
        reads.append(f"{place} = {field.of.name}(self._io, self, self._root)")
        writes.append(f"{place}.write(io)")
    elif field.code == "b":
        reads.append(f"{place} = self._io.read_bytes({field.count})")
        writes.append(f"io.write_bytes({place})")
    elif field.code == "w":
        reads.append(f"{place} = []")
        reads.append(f"for i in range({field.count}): {place}.append(self._io.read_u4le())")
        writes.append(f"for item in {place}: io.write_u4le(item)")
    else:
        size = int(field.code[1:]) // 8
        end = "le" if size > 1 else ""
        reads.append(f"{place} = self._io.read_u{size}{end}()")
        writes.append(f"io.write_u{size}{end}({place})")


PEERS: tuple[Callable[[Layout], Contestant], ...] = (
    by_construct,
    by_compiled_construct,
    by_bitstruct,
    by_ctypes,
    by_dissect,
    by_kaitai,
)


def check(contestants: list[Contestant], records: list[bytes]) -> None:
    """Every contestant reads the same values from every record, and writes the same bytes again."""
    first, *others = contestants
    for data in records:
        expected = first.values(first.decode(data))
        for one in others:
            value = one.decode(data)
            found = one.values(value)
            if found != expected:
                wrong = [path for path in expected if found.get(path) != expected[path]]
                raise AssertionError(f"{one.name} reads {', '.join(wrong)} otherwise")
            if one.encode(value) != data:
                raise AssertionError(f"{one.name} does not write what it read")
