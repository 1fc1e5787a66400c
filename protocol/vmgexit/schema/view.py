"""Views: structures whose fields stay in the buffer, read and written there one at a time.

`DoorbellPage.view(buffer)` is a `DoorbellPage` of a class made here, in which a property stands for
each field: it unpacks its own few bytes when it is read, and packs them when it is assigned. Nothing
else of the buffer is touched, so a view fits a mapped dump as well as a page that others write to.
`encode`, `problems` and comparisons read all the bytes at that moment.

The getters are generated source with the offsets as constants, as the compiler's is; setters check
first, and name the field in full from the chain of views that leads to it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import isfunction
from mmap import mmap
from operator import eq, index
from typing import Any, ClassVar, Self, SupportsIndex, cast, overload

from ..errors import DecodeError, EncodeError
from .checks import check_ranges
from .cuts import CODES
from .problems import Problem
from .structure import Bits, Field, Kind, Structure, members

# What every view holds: the buffer, the byte in it where the structure begins, and the view that this
# one is a part of (None for the outermost).
_SLOTS = ("_buffer", "_offset", "_outer")


def maker(cls: type[Structure]) -> Callable[..., Any]:
    """`cls.view`: a view of `cls` onto a buffer."""
    new = _new(view_class(cls))
    size = cls.size

    def view(buffer: Any, offset: int = 0) -> Any:
        kind = type(buffer)
        if kind is not bytearray and kind is not mmap and kind is not bytes:
            buffer = _in_bytes(buffer)
        if offset < 0 or len(buffer) - offset < size:
            raise _too_short(cls, len(buffer), offset)
        made = new()
        made._buffer = buffer
        made._offset = offset
        made._outer = None
        return made

    return view


def _in_bytes(buffer: Any) -> memoryview:
    """The buffer such that an index counts bytes. Raises TypeError where it is not contiguous."""
    view = memoryview(buffer)
    plain = view.format == "B" and view.ndim == 1 and view.c_contiguous
    return view if plain else view.cast("B")


def _too_short(cls: type[Structure], found: int, offset: int) -> DecodeError:
    return DecodeError(
        f"{cls.declaration.name}: {found} bytes found, {cls.size} expected at offset {offset}",
        offset=max(0, min(offset, found)),
    )


def _new(made: type) -> Callable[[], Any]:
    return functools.partial(object.__new__, made)


_made: dict[type[Structure], type[Structure]] = {}


def view_class(cls: type[Structure]) -> type[Structure]:
    """The class of views of `cls`, a subclass of it."""
    if cls not in _made:
        _made[cls] = _view_class(cls)
    return _made[cls]


def _view_class(cls: type[Structure]) -> type[Structure]:
    names: dict[str, Any] = {f"unpack_{code}": _unpacker(code) for code in CODES.values()}
    text = [
        f"def {field.name}(self):\n{_getter(cls, field, names)}\n"
        for field in cls.declaration.fields
    ]
    exec(compile("\n".join(text), f"<view {cls.declaration.name}>", "exec"), names)  # noqa: S102
    fields = {
        field.name: property(names[field.name], _setter(cls, field), doc=field.meaning)
        for field in cls.declaration.fields
    }
    methods = {name: value for name, value in vars(_View).items() if isfunction(value)}
    body = {"__slots__": _SLOTS, "__doc__": f"A view of {cls.__name__}.", "_of": cls}
    return type(f"{cls.__name__}View", (cls,), {**body, **methods, **fields})


def _unpacker(code: str) -> Callable[..., tuple[Any, ...]]:
    return struct.Struct(f"<{code}").unpack_from


# --- Reading --------------------------------------------------------------------------------------


def _getter(cls: type[Structure], field: Field, names: dict[str, Any]) -> str:
    """The body of the function that reads `field`; what it refers to is put into `names`."""
    if issubclass(cls, Bits):
        byte, code = _window(cls, field)
        word = _word(code, byte)
        shift = field.bit_offset - 8 * byte
        value = f"{word} >> {shift}" if shift else word
        if shift + field.width < 8 * struct.calcsize(f"<{code}"):
            value = f"{value} & {(1 << field.width) - 1:#x}"
        return _opened(field, value, names)
    where = _at(field.byte_offset)
    match field.kind:
        case Kind.STRUCT | Kind.ARRAY:
            assert field.of is not None
            inner = _array_class(field) if field.kind is Kind.ARRAY else view_class(field.of)
            names[f"new_{field.name}"] = _new(inner)
            return f"""\
    made = new_{field.name}()
    made._buffer = self._buffer
    made._offset = {where}
    made._outer = self
    return made
"""
        case Kind.UINT if field.width in CODES:
            return _opened(field, _word(CODES[field.width], field.byte_offset), names)
    names[f"unpack_{field.size}s"] = _unpacker(f"{field.size}s")
    held = f"unpack_{field.size}s(self._buffer, {where})[0]"
    if field.kind is Kind.BYTES:
        return f"    return {held}\n"
    names["from_bytes"] = int.from_bytes
    return f'    return from_bytes({held}, "little")\n'


def _at(byte: int) -> str:
    return f"self._offset + {byte}" if byte else "self._offset"


def _word(code: str, byte: int) -> str:
    """The integer at `byte` of the structure."""
    if code == "B":
        return f"self._buffer[{_at(byte)}]"
    return f"unpack_{code}(self._buffer, {_at(byte)})[0]"


def _window(cls: type[Bits], field: Field) -> tuple[int, str]:
    """The fewest bytes that struct has a code for and that hold the field: the first, and the code."""
    first, last = field.bit_offset // 8, (field.bit_offset + field.width - 1) // 8
    for bits, code in CODES.items():
        byte = min(first, cls.size - bits // 8)
        if byte >= 0 and last < byte + bits // 8:
            return byte, code
    raise AssertionError(f"{field.name} is in no word")


def _opened(field: Field, expression: str, names: dict[str, Any]) -> str:
    if field.kind is Kind.FLAG:
        return f"    return ({expression}) == 1\n"
    if field.enum is None:
        return f"    return {expression}\n"
    names[field.enum.__name__] = members(field.enum)
    return f"    code = {expression}\n    return {field.enum.__name__}.get(code, code)\n"


# --- Writing --------------------------------------------------------------------------------------


def _setter(cls: type[Structure], field: Field) -> Callable[[Any, Any], None]:
    """The function that checks a value and writes the field's own bits."""
    store = _store_bits(cls, field) if issubclass(cls, Bits) else _store_bytes(field)

    def set_field(self: Any, value: Any) -> None:
        complaint = field.complaint(value)
        if complaint:
            path = f"{_prefix(self)}{field.name}"
            raise EncodeError(f"{path}: {complaint}", path=path)
        store(self, value)

    return set_field


def _store_bits(cls: type[Bits], field: Field) -> Callable[[Any, int], None]:
    byte, code = _window(cls, field)
    shift = field.bit_offset - 8 * byte
    kept = ~((1 << field.width) - 1 << shift)
    word = struct.Struct(f"<{code}")

    def store(self: Any, value: int) -> None:
        at = self._offset + byte
        others = word.unpack_from(self._buffer, at)[0] & kept
        word.pack_into(self._buffer, at, others | index(value) << shift)

    return store


def _store_bytes(field: Field) -> Callable[[Any, Any], None]:
    packed = struct.Struct(f"{field.size}s")
    convert = _bytes_of(field)

    def store(self: Any, value: Any) -> None:
        packed.pack_into(self._buffer, self._offset + field.byte_offset, convert(self, value))

    return store


def _bytes_of(field: Field) -> Callable[[Any, Any], bytes]:
    match field.kind:
        case Kind.BYTES:
            return lambda _, value: bytes(value)
        case Kind.STRUCT:
            return lambda self, value: _encoded(field, value, f"{_prefix(self)}{field.name}.")
        case Kind.ARRAY:
            return lambda self, value: b"".join(
                _encoded(field, item, f"{_prefix(self)}{field.name}[{at}].")
                for at, item in enumerate(value)
            )
        case _:
            return lambda _, value: index(value).to_bytes(field.size, "little")


def _encoded(field: Field, value: Any, path: str) -> bytes:
    held = field.structure(value)
    try:
        return held.encode()
    except EncodeError:
        check_ranges(held, path)  # raises with the whole path
        raise


def _prefix(view: Any) -> str:
    """What stands before the names of the view's own fields: `vmpl2.status.`"""
    outer = view._outer
    if outer is None:
        return ""
    step = view._offset - outer._offset
    if isinstance(outer, ArrayView):
        return f"{_prefix(outer)}[{step // outer._item.size}]."
    for field in outer._of.declaration.fields:
        if field.of is not None and field.byte_offset == step:
            dot = "" if isinstance(view, ArrayView) else "."
            return f"{_prefix(outer)}{field.name}{dot}"
    raise AssertionError("a view is where a field is")


# --- What views do otherwise than the structures that they are ------------------------------------


class _View(Structure):
    """The methods of every view; copied into its class, which cannot have this one as its base."""

    __slots__ = ()
    _of: ClassVar[type[Structure]]
    _buffer: Any
    _offset: int

    def encode(self) -> bytes:
        """The bytes that are in the buffer now."""
        held: bytes
        (held,) = struct.unpack_from(f"{self.size}s", self._buffer, self._offset)
        return held

    def problems(self) -> list[Problem]:
        return self.settled().problems()

    def as_dict(self) -> dict[str, Any]:
        return self.settled().as_dict()

    def settled(self) -> Self:
        return cast("Self", self._of.decode(self.encode()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, self._of):
            return NotImplemented
        return self.encode() == other.encode()

    def __repr__(self) -> str:
        return f"<view of {self.settled()!r}>"

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        """Copies and pickles are structures of their own, without the buffer."""
        return _detached, (self._of, self.encode())


def _detached(cls: type[Structure], data: bytes) -> Structure:
    return cls.decode(data)


class ArrayView(Sequence[Any]):
    """The elements of an array as views. Elements can be assigned, but not added or removed."""

    __slots__ = _SLOTS
    _buffer: Any
    _offset: int
    _outer: Any
    _item: ClassVar[Field]  # what one element is
    _steps: ClassVar[range]  # of the elements' offsets

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        raise NotImplementedError  # every array's class gets its own

    def __setitem__(self, index: int, value: Structure) -> None:
        step = self._steps[index]
        path = f"{_prefix(self)}[{step // self._item.size}]"
        complaint = self._item.complaint(value)
        if complaint:
            raise EncodeError(f"{path}: {complaint}", path=path)
        data = _encoded(self._item, value, f"{path}.")
        struct.pack_into(f"{len(data)}s", self._buffer, self._offset + step, data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | ArrayView):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return repr(list(self))


@functools.cache
def _array_class(field: Field) -> type[ArrayView]:
    """The class of views of the array `field`."""
    assert field.of is not None
    item = replace(field, kind=Kind.STRUCT, width=8 * field.of.size, count=1)
    steps = range(0, field.size, item.size)
    new = _new(view_class(field.of))

    def get(self: ArrayView, index: int | slice) -> Any:
        step: Any = steps[index]
        if step.__class__ is range:  # of a slice
            return [get(self, each // item.size) for each in step]
        made = new()
        made._buffer = self._buffer
        made._offset = self._offset + step
        made._outer = self
        return made

    body = {"__slots__": (), "_item": item, "_steps": steps, "__getitem__": get}
    return type("ArrayView", (ArrayView,), body)
