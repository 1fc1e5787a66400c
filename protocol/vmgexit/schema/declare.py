"""The decorator `structure`: it places a structure's fields, checks them, and gives it a codec."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from . import plain
from .compiler import compiled
from .documentation import Documentation
from .structure import Bits, Buffer, Declaration, Field, Kind, Structure
from .view import maker

S = TypeVar("S", bound=Structure)

_NOT_FOR_FIELDS = frozenset(dir(Structure)) | {"size", "declaration", "construct"}


@dataclass_transform(kw_only_default=True)
def structure(
    name: str,
    *,
    size: int,
    clause: str = "",
    source: str = "",
    revision: str = "",
    rules: str = "",
) -> Callable[[type[S]], type[S]]:
    """Declare a structure of `size` bytes called `name` on the command line.

    `rules` names the module with its rules, where these need more than the declarations: it has
    `broken(value)` and `notes(value)`, and is imported when a value is judged.

    Raises TypeError when the fields do not add up to `size`, or when a reserved field's name does not
    say its place: a wrong declaration cannot be imported.
    """

    def declare(cls: type[S]) -> type[S]:
        made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
        made.size = size
        made.declaration = Declaration(
            name=name,
            size=size,
            fields=_placed(made, size),
            clause=clause,
            source=source,
            title=(cls.__doc__ or "").strip().partition("\n")[0],
            revision=revision,
            is_bits=issubclass(made, Bits),
            rules=rules,
        )
        made.__doc__ = Documentation(cls.__doc__ or "")  # type: ignore[assignment]
        _install_codec(made)
        made.as_dict = plain.as_dict  # type: ignore[method-assign, assignment]
        made.from_dict = classmethod(plain.from_dict)  # type: ignore[method-assign, assignment]
        return made

    return declare


def _placed(cls: type[Structure], size: int) -> tuple[Field, ...]:
    """The fields of `cls` with their names and offsets filled in, and every rule of ours checked."""
    if issubclass(cls, Bits) and size not in (1, 2, 4, 8):
        raise TypeError(f"{cls.__name__}: a word has 1, 2, 4 or 8 bytes, not {size}")
    placed = []
    offset = 0
    for entry in dataclasses.fields(cls):  # type: ignore[arg-type]
        where = f"{cls.__name__}.{entry.name}"
        if entry.name in _NOT_FOR_FIELDS:
            raise TypeError(f"{where}: this name has a meaning for every structure")
        spec: Field | None = entry.metadata.get("vmgexit")
        if spec is None:
            raise TypeError(f"{where}: not declared by one of the field helpers")
        if complaint := _misplaced(cls, spec):
            raise TypeError(f"{where}: {complaint}")
        field = dataclasses.replace(
            spec,
            name=entry.name,
            bit_offset=offset,
            spec=spec.spec or "".join(part.capitalize() for part in entry.name.split("_")),
        )
        if (field.rule is None) == (entry.name == _reserved_name(cls, field)):
            raise TypeError(f"{where}: reserved fields are named {_reserved_name(cls, field)}")
        if field.value is not None and (complaint := field.complaint(field.value)):
            raise TypeError(f"{where}: value: {complaint}")
        placed.append(field)
        offset += field.width
    if offset != size * 8:
        raise TypeError(f"{cls.__name__}: fields fill {offset} bits, {size * 8} declared")
    return tuple(placed)


def _misplaced(cls: type[Structure], spec: Field) -> str:
    """Why a structure such as `cls` cannot hold a field such as `spec`; "" where it can."""
    if spec.width < 1:
        return "a field has at least one bit"
    if issubclass(cls, Bits):
        whole = spec.kind not in (Kind.UINT, Kind.FLAG)
        return "a word's fields are integers and flags" if whole else ""
    if spec.width % 8:
        return "a record's fields are whole bytes"
    if spec.kind is Kind.UINT and spec.width not in (8, 16, 32, 64):
        return f"a record's integers have 8, 16, 32 or 64 bits, not {spec.width}"
    return ""


def _reserved_name(cls: type[Structure], field: Field) -> str:
    if issubclass(cls, Bits):
        return f"reserved_{field.bits.replace(':', '_')}"
    return f"reserved_0x{field.byte_offset:03x}"


def _install_codec(cls: type[Structure]) -> None:
    """Give `cls` a decode, an encode and a view that make the real ones at first use."""

    @functools.cache  # who holds on to the first decode calls it again and again
    def make() -> tuple[Callable[..., Any], Callable[[Any], bytes]]:
        decode, encode = compiled(cls)
        cls.decode = staticmethod(decode)  # type: ignore[method-assign]
        cls.encode = encode  # type: ignore[assignment, method-assign]
        return decode, encode

    def decode(data: Buffer, *, strict: bool = False) -> Any:
        return make()[0](data, strict=strict)

    def encode(self: Structure) -> bytes:
        return make()[1](self)

    @functools.cache
    def make_view() -> Callable[..., Any]:
        view = maker(cls)
        cls.view = staticmethod(view)  # type: ignore[method-assign]
        return view

    def view(buffer: Any, offset: int = 0) -> Any:
        return make_view()(buffer, offset)

    cls.decode = staticmethod(decode)  # type: ignore[method-assign]
    cls.encode = encode  # type: ignore[method-assign]
    cls.view = staticmethod(view)  # type: ignore[method-assign]
    cls.construct = _Construct(cls)


class _Construct:
    """Stands for a structure's `construct`, which is made when it is first asked for."""

    def __init__(self, of: type[Structure]) -> None:
        self._of = of

    def __get__(self, value: object, cls: type) -> Any:
        from .constructs import StructureAdapter  # here: importing construct takes 0.1 s

        made = self._of.construct = StructureAdapter(self._of)
        return made
