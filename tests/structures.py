"""`check_structure`: everything that holds of any declared structure, checked in one call.

The literal reading is the one that needs no codec: a structure is one little-endian integer, and a
leaf is `width` bits of it from `bit_offset` on. The class's own codec and construct must agree with it.
"""

from __future__ import annotations

import copy
import functools
import json
import pickle
import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import construct
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from vmgexit import DecodeError, EncodeError
from vmgexit.schema import Kind, Place, Rule, Structure, Whole, get, leaves, locate, put, walk
from vmgexit.schema.compiler import source_of
from vmgexit.wire.registry import structures
from vmgexit_fuzz.strategies.structures import images, sampled

Codec = tuple[Callable[..., Any], Callable[[Any], bytes]]


def declared() -> list[type[Structure]]:
    """Every structure of a fixed size, in every revision."""
    return [cls for cls in _all() if not cls.declaration.any_length]


def wholes() -> list[type[Whole]]:
    """Every structure of any length, in every revision."""
    return [cls for cls in _all() if issubclass(cls, Whole)]


def _all() -> list[type[Structure]]:
    return [cls for revisions in structures().values() for cls in revisions.values()]


def name_of(cls: type[Structure]) -> str:
    """`doorbell-page`, or `doorbell-page@2024-05-16` for a revision."""
    declaration = cls.declaration
    return f"{declaration.name}@{declaration.revision}".rstrip("@")


def check_structure(cls: type[Structure]) -> None:
    """Fail unless `cls` is all that a structure promises to be."""
    check_walk(cls)
    check_source(cls)
    check_default(cls)
    check_any_bytes(cls)
    check_buffers(cls)
    check_wrong_lengths(cls)
    check_each_leaf(cls)
    check_refused_values(cls)
    check_enums(cls)
    check_reserved(cls)


def check_whole(cls: type[Whole]) -> None:
    """Fail unless `cls`, of any length, is all that it promises to be, and each of its shapes is too."""
    for count, after in ((1, 1), (3, 5)):
        shape = cls.shape(count, after)
        check_walk(shape)
        check_source(shape)
        check_any_bytes(shape)
        check_buffers(shape)
        check_wrong_lengths(shape)
        check_each_leaf(shape)
        check_refused_values(shape)
        check_enums(shape)
        check_reserved(shape)
    check_lengths(cls)


# --- What the checks are made of ------------------------------------------------------------------


def codecs(cls: type[Structure]) -> tuple[Codec, Codec]:
    """The class's own codec, and construct's."""
    return (cls.decode, cls.encode), (cls.construct.parse, cls.construct.build)


def literal(place: Place, data: bytes) -> Any:
    """What stands at `place` of `data`, by shift and mask."""
    found = int.from_bytes(data, "little") >> place.bit_offset & (1 << place.field.width) - 1
    return found.to_bytes(place.field.size, "little") if place.field.kind is Kind.BYTES else found


def only(place: Place, bits: int, cls: type[Structure]) -> bytes:
    """All zero but for `bits` at `place`."""
    return (bits << place.bit_offset).to_bytes(cls.size, "little")


def reach(value: Any, path: str) -> Any:
    """What `path` leads to; without the look-up that `get` does."""
    for name, index in re.findall(r"(\w+)(?:\[(\d+)\])?\.?", path):
        value = getattr(value, name)
        value = value[int(index)] if index else value
    return value


def store(value: Any, path: str, held: Any) -> None:
    outer, _, last = path.rpartition(".")
    setattr(reach(value, outer), last, held)


# --- The checks -----------------------------------------------------------------------------------


def check_lengths(cls: type[Whole]) -> None:
    """Any bytes from the fixed part on are a value, the same one as construct's and as a view's."""
    for length in range(cls.size):
        with pytest.raises(
            DecodeError, match=f": {length} bytes found, {cls.size} or more expected"
        ):
            cls.decode(bytes(length))

    @settings(max_examples=40, deadline=None, database=None)
    @given(images(cls) | st.binary(min_size=cls.size, max_size=200))
    def holds(data: bytes) -> None:
        value = cls.decode(data)
        assert isinstance(value, cls)
        assert value.encode() == data
        assert value == cls.construct.parse(data) == cls.view(bytearray(data))
        assert cls.construct.build(value) == data
        assert value == cls.from_dict(json.loads(json.dumps(value.as_dict())))
        assert value == eval(repr(value), dict(public_names()))  # noqa: S307  # our own text
        assert value == pickle.loads(pickle.dumps(value))  # noqa: S301  # our own bytes
        assert all(note.text for note in value.notes())
        held = [body for body in value.bodies() if len(body.held) == body.length]
        assert all(body.data == data[body.offset : body.stop] for body in held)
        overruns, problems = list(value.overruns()), value.problems()
        assert all(problem in problems for problem in overruns)
        assert bool(overruns) >= (value.extent() > len(data))

    holds()


def check_walk(cls: type[Structure]) -> None:
    """Every bit belongs to exactly one leaf, in order; paths are unique and can be located."""
    position = 0
    for place in leaves(cls):
        assert place.bit_offset == position, place.path
        assert place.field.width > 0, place.path
        position += place.field.width
    assert position == cls.size * 8

    places = list(walk(cls))
    assert len({place.path for place in places}) == len(places)
    seen: set[str] = set()
    for place in places:
        outer = re.sub(r"\[\d+\]$", "", place.path.rpartition(".")[0])
        assert not outer or outer in seen, f"{place.path} stands before what holds it"
        assert place.depth == place.path.count(".")
        assert place.field.meaning, f"{place.path} has no meaning"
        seen.add(place.path)

    value = cls()
    for place in sampled(cls)[:100]:
        assert locate(cls, place.path) == place
        put(value, place.path, "held")
        assert get(value, place.path) == reach(value, place.path) == "held"


def check_source(cls: type[Structure]) -> None:
    """The compiled source is Python without construct, the same text each time."""
    source = source_of(cls)
    compile(source, "<source>", "exec")
    assert "construct" not in source
    assert source == source_of(cls)


def check_default(cls: type[Structure]) -> None:
    """When nothing is said, a structure is zero but for the fields that have one right value."""
    right = sum(
        int.from_bytes(value, "little") << place.bit_offset
        if isinstance(value := place.field.value, bytes)
        else value << place.bit_offset
        for place in leaves(cls)
        if place.field.value is not None
    ).to_bytes(cls.size, "little")
    assert cls() == cls.decode(right)
    assert cls().encode() == bytes(cls()) == right
    assert repr(cls()) == f"{cls.__name__}()"
    zeros = bytes(cls.size)
    assert cls.decode(zeros).encode() == zeros
    assert cls.size == cls.declaration.size == cls.construct.sizeof()


def check_any_bytes(cls: type[Structure]) -> None:
    """Any bytes decode, to what stands there, and encode back; nothing that looks at them raises."""
    names = _names_of(cls)
    # construct takes milliseconds for a structure of thousands of leaves
    examples = max(4, min(10, 2_000 // sum(1 for _ in leaves(cls))))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
    )
    @given(images(cls), images(cls))
    def holds(data: bytes, other: bytes) -> None:
        values = [decode(data) for decode, _ in codecs(cls)]
        for value in values:
            assert type(value) is cls
            assert value == values[0]
            assert repr(value) == repr(values[0])
            for _, encode in codecs(cls):
                assert encode(value) == data
        value = values[0]
        for place in sampled(cls):
            assert reach(value, place.path) == literal(place, data), place.path

        assert (value == cls.decode(other)) is (data == other)
        assert value != data
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)

        broken = value.problems()
        assert all(str(problem).startswith(f"{problem.path}: ") for problem in broken)
        if broken:
            with pytest.raises(DecodeError, match=re.escape(str(broken[0]))) as caught:
                cls.decode(data, strict=True)
            assert caught.value.path == broken[0].path
        else:
            assert cls.decode(data, strict=True) == value
        assert all(note.text for note in value.notes())
        plain = json.loads(json.dumps(value.as_dict()))
        assert list(plain) == [field.name for field in cls.declaration.fields]
        again = cls.from_dict(plain)
        assert repr(again) == repr(value)
        found = dict(value.leaves())
        assert list(found) == [place.path for place in leaves(cls)]
        for place in sampled(cls):
            held = reach(value, place.path)
            assert found[place.path] is held
            assert type(reach(again, place.path)) is type(held)
        assert bytes(value) == again.encode() == data
        assert eval(repr(value), dict(names)) == value  # noqa: S307  # our own text
        if "<locals>" not in cls.__qualname__:
            assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  # our own bytes
        assert copy.deepcopy(value).encode() == data

    holds()
    noise = random.Random(cls.declaration.name)
    for _ in range(max(10, min(300, 100_000 // cls.size))):
        data = noise.randbytes(cls.size)
        assert cls.decode(data).encode() == data


@functools.cache
def public_names() -> dict[str, Any]:
    """What `from vmgexit import *` gives."""
    names: dict[str, Any] = {}
    exec("from vmgexit import *", names)  # noqa: S102  # our own text
    return names


def _names_of(cls: type[Structure]) -> dict[str, Any]:
    """What the repr of a `cls` refers to: the public names, and those of a test's own declarations."""
    if cls.__module__.startswith("vmgexit."):
        return public_names()
    names: dict[str, Any] = {cls.__name__: cls}
    for place in walk(cls):
        for held in (place.field.of, place.field.enum):
            if held is not None:
                names[held.__name__] = held
    return names


def check_buffers(cls: type[Structure]) -> None:
    """Every kind of buffer decodes, and nothing of it is kept."""
    data = random.Random(cls.size).randbytes(cls.size)
    gaps = bytearray(2 * cls.size)
    gaps[::2] = data
    for buffer in (bytearray(data), memoryview(data), memoryview(gaps)[::2]):
        assert cls.decode(buffer).encode() == data
    mutable = bytearray(data)
    value = cls.decode(mutable)
    mutable[:] = bytes(cls.size)
    assert value.encode() == data
    wrong: Any
    for wrong in (cls.size, "x" * cls.size, None, list(data)):
        with pytest.raises(TypeError):
            cls.decode(wrong)


def check_wrong_lengths(cls: type[Structure]) -> None:
    """Any other length is a DecodeError that says both lengths."""
    size = cls.size
    near = set(range(min(size, 72))) | set(range(max(size - 8, 0), size + 9))
    for length in sorted((near | {size // 2, 2 * size, 4096, 65536, 1 << 20}) - {size}):
        with pytest.raises(DecodeError) as caught:
            cls.decode(bytes(length))
        assert type(caught.value) is DecodeError
        assert str(caught.value) == f"{cls.declaration.name}: {length} bytes found, {size} expected"
        assert caught.value.offset == min(length, size)
        assert caught.value.path == ""


def check_each_leaf(cls: type[Structure]) -> None:
    """Storing into a leaf changes its own bits and no others."""
    noise = random.Random(cls.declaration.name).randbytes(cls.size)
    value = cls.decode(noise)
    background = int.from_bytes(noise, "little")
    for place in sampled(cls):
        before = reach(value, place.path)
        ones = (1 << place.field.width) - 1
        for bits in {ones, 0, ones // 3, 1, ones ^ ones >> 1}:
            written = only(place, bits, cls)
            held = literal(place, written)
            store(value, place.path, held)
            expected = background & ~(ones << place.bit_offset) | bits << place.bit_offset
            # construct takes its time: of a leaf's values it gets the one that fills it.
            for decode, encode in codecs(cls) if bits == ones else codecs(cls)[:1]:
                assert encode(value) == expected.to_bytes(cls.size, "little"), place.path
                assert encode(decode(written)) == written, place.path
            if isinstance(held, int) and bits < 1 << 64:  # the narrowest would lose what is shifted
                store(value, place.path, np.min_scalar_type(held).type(held))
                assert value.encode() == expected.to_bytes(cls.size, "little"), place.path
        store(value, place.path, before)
    assert value.encode() == noise


def check_refused_values(cls: type[Structure]) -> None:
    """What does not fit is an EncodeError that names the field; it never reaches the bytes."""
    noise = random.Random(cls.declaration.name).randbytes(cls.size)
    value = cls.decode(noise)
    kept = {place.path for place in sampled(cls)}
    for place in walk(cls):
        if place.is_leaf and place.path not in kept:
            continue
        if "[" in place.path and not place.is_leaf and "[0]" not in place.path:
            continue
        before = reach(value, place.path)
        for wrong in _wrong_values(place, before):
            store(value, place.path, wrong)
            with pytest.raises(EncodeError) as caught:
                value.encode()
            assert type(caught.value) is EncodeError
            assert caught.value.path == place.path
            assert str(caught.value).startswith(f"{place.path}: ")
            if not isinstance(wrong, dict):  # from which construct builds
                with pytest.raises(construct.ConstructError) as refused:
                    cls.construct.build(value)
                if place.is_leaf:
                    assert str(caught.value).endswith(str(refused.value).partition("\n")[2])
        store(value, place.path, before)
    assert value.encode() == noise


def _wrong_values(place: Place, right: Any) -> Iterator[Any]:
    field = place.field
    yield None
    yield "text"
    yield object()
    match field.kind:
        case Kind.BYTES:
            yield right[:-1]
            yield right + b"\0"
            yield b"" if right else b"\0"
            yield [0] * field.size
            yield field.size
        case Kind.STRUCT:
            yield right.encode()
            yield right.as_dict()
        case Kind.ARRAY:
            yield right[:-1]
            yield [*right, right[0]]
            yield []
            yield [*right[:-1], None]
            yield [*right[:-1], right[-1].encode()]
            yield ["x" * right[0].size] * field.count
        case _:
            yield 1 << field.width
            yield -1
            yield -1 << field.width
            yield 1 << 4 * field.width + 64
            yield (-1 << field.width) - 1
            yield -2 << field.width
            yield 0.5
            yield 1.0
            yield Fraction(1)
            yield Decimal(0)
            yield 0j
            yield b"\0"
            yield []


def check_enums(cls: type[Structure]) -> None:
    """Known codes become members, unknown ones stay integers; both come back, unknown ones reported."""
    for place in sampled(cls):
        enum = place.field.enum
        if enum is None:
            continue
        codes = set(map(int, enum))
        limit = 1 << place.field.width
        assert all(0 <= code < limit for code in codes), place.path
        around = {code + step for code in codes for step in (-1, 1)} | {0, limit - 1}
        for code in codes | {code for code in around if 0 <= code < limit}:
            data = only(place, code, cls)
            for decode, encode in codecs(cls):
                value = decode(data)
                found = reach(value, place.path)
                assert type(found) is (enum if code in codes else int)
                assert found == code
                assert encode(value) == data
                store(value, place.path, code)
                assert encode(value) == data
                reported = [
                    problem.rule
                    for problem in value.problems()
                    if problem.path == place.path and "known" in problem.rule
                ]
                breaks = [] if code in codes else [f"not a known {enum.__name__}"]
                if place.field.value is not None:  # a wrong code is wrong, known or not
                    breaks = []
                assert reported == breaks, place.path


def check_reserved(cls: type[Structure]) -> None:
    """Each reserved bit that must be zero is reported by its path when set, and no other is."""
    must_be_zero = "reserved, must be zero"
    for place in sampled(cls):
        ones = (1 << place.field.width) - 1
        for bits in {1, ones, ones ^ ones >> 1}:
            value = cls.decode(only(place, bits, cls))
            reported = [
                (problem.path, problem.value, problem.clause)
                for problem in value.problems()
                if problem.rule == must_be_zero
            ]
            found = (place.path, reach(value, place.path), place.clause)
            breaks = [found] if place.field.rule is Rule.ZERO else []
            assert reported == breaks, place.path
        if place.field.rule is not None:
            assert place.field.name.startswith("reserved_"), place.path
