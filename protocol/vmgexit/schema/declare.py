"""The decorator `structure`: it places a structure's fields, checks them, and gives it a codec.

A `Whole` that is declared gets no codec of its own: it makes its shapes, which are structures again.
"""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast, dataclass_transform

from . import plain
from .compiler import compiled_decode, compiled_encode
from .documentation import Documentation
from .fields import field_of
from .structure import Bits, Declaration, Field, Kind, Structure
from .whole import Whole

S = TypeVar("S", bound=Structure)

SHAPES = 64
"""Shapes of each family that are kept though no value has them."""


@dataclass_transform(kw_only_default=True)
def structure(
    name: str,
    *,
    size: int | None = None,
    clause: str = "",
    source: str = "",
    revision: str = "",
    rules: str = "",
    total: str = "",
) -> Callable[[type[S]], type[S]]:
    """Declare a structure of `size` bytes called `name` on the command line; a `Whole` has none.

    `rules` names the module with its rules, where these need more than the declarations: it has
    `broken(value)` and `notes(value)`, and is imported when a value is judged. `total` is the path of
    the field of a `Whole` that says how many bytes it has.

    Raises TypeError when the fields do not add up to `size`, or when a reserved field's name does not
    say its place: a wrong declaration cannot be imported.
    """

    def declare(cls: type[S]) -> type[S]:
        declaration = Declaration(
            name=name,
            size=size or 0,
            fields=(),
            clause=clause,
            source=source,
            title=(cls.__doc__ or "").strip().partition("\n")[0],
            revision=revision,
            is_bits=issubclass(cls, Bits),
            rules=rules,
            total=total,
        )
        if issubclass(cls, Whole):
            if size is not None:
                raise TypeError(f"{cls.__name__}: a Whole has any size")
            return _family(cls, declaration)  # type: ignore[return-value]
        if size is None:
            raise TypeError(f"{cls.__name__}: a size is missing")
        return _fixed(cls, declaration, cls.__doc__ or "")

    return declare


def _fixed(cls: type[S], declaration: Declaration, text: str) -> type[S]:
    """`cls`, a class with fields, as a structure of a fixed size."""
    made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    made.size = declaration.size
    fields, bits = _placed(made)
    if bits != 8 * declaration.size:
        raise TypeError(f"{cls.__name__}: fields fill {bits} bits, {declaration.size * 8} declared")
    made.declaration = dataclasses.replace(declaration, fields=fields)
    made.__doc__ = Documentation(text)  # type: ignore[assignment]
    _install_codec(made)
    made.as_dict = plain.as_dict  # type: ignore[method-assign, assignment]
    made.from_dict = classmethod(plain.from_dict)  # type: ignore[method-assign, assignment]
    return made


# --- Structures of any length ---------------------------------------------------------------------


def _family(cls: type[Whole], declaration: Declaration) -> type[Whole]:
    """`cls` as a family: its fields are those of its shapes, with one element in the list."""
    declared = {
        name: value for name, value in vars(cls).items() if isinstance(value, dataclasses.Field)
    }
    left = {*declared, "__dict__", "__weakref__", "__annotations__", "__annotate_func__"}
    body = {name: value for name, value in vars(cls).items() if name not in left}
    made = cast("type[Whole]", type(cls.__name__, cls.__bases__, {**body, "__slots__": ()}))
    fields, _ = _placed(dataclasses.dataclass(init=False, repr=False, eq=False)(cls))
    specs = {name: value.metadata["vmgexit"] for name, value in declared.items()}
    *fixed, listed, last = fields
    if any(field.listing or field.is_rest for field in fixed) or not (
        listed.listing and last.is_rest
    ):
        raise TypeError(f"{cls.__name__}: a Whole ends in one list and the rest")
    made.size = listed.byte_offset
    made.declaration = dataclasses.replace(
        declaration, size=made.size, fields=fields, any_length=True
    )
    made.__doc__ = Documentation(cls.__doc__ or "")  # type: ignore[assignment]
    made.construct = _Construct(made)
    known: weakref.WeakValueDictionary[tuple[int, int], type[Whole]] = weakref.WeakValueDictionary()
    kept: deque[type[Whole]] = deque(maxlen=SHAPES)

    def shape(family: type[Whole], count: int, rest: int = 0) -> type[Whole]:
        found = known.get((count, rest))
        if found is None:
            found = known[count, rest] = _shape(made, declaration, specs, count, rest)
            kept.append(found)
        return found

    made.shape = classmethod(shape)  # type: ignore[method-assign, assignment]
    return made


def _shape(
    family: type[Whole], declaration: Declaration, specs: dict[str, Field], count: int, rest: int
) -> type[Whole]:
    """The structure of a fixed size with `count` elements in the list, and `rest` bytes after it."""
    fields, size = {}, rest
    for name, spec in specs.items():
        if spec.listing is not None:
            spec = dataclasses.replace(spec, count=count, width=spec.width * count)
        elif spec.is_rest:
            spec = dataclasses.replace(spec, width=8 * rest)
        fields[name] = field_of(spec)
        size += 0 if spec.is_rest else spec.size
    body = {
        "__annotations__": dict.fromkeys(fields, Any),
        "__doc__": family.__doc__,
        "__module__": family.__module__,
        "__qualname__": family.__qualname__,
        **fields,
    }
    made = cast("type[Whole]", type(family.__name__, (family,), body))
    text = vars(family)["__doc__"].text
    return _fixed(made, dataclasses.replace(declaration, size=size), text)


# --- Fields in their places -----------------------------------------------------------------------


def _placed(cls: type[Structure]) -> tuple[tuple[Field, ...], int]:
    """The fields of `cls` with their names and offsets filled in, and every rule of ours checked; the
    bits that they fill."""
    if issubclass(cls, Bits) and cls.size not in (1, 2, 4, 8):
        raise TypeError(f"{cls.__name__}: a word has 1, 2, 4 or 8 bytes, not {cls.size}")
    taken = {
        *dir(Whole if issubclass(cls, Whole) else Structure),
        "size",
        "declaration",
        "construct",
    }
    placed = []
    offset = 0
    for entry in dataclasses.fields(cls):  # type: ignore[arg-type]
        where = f"{cls.__name__}.{entry.name}"
        if entry.name in taken:
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
    return tuple(placed), offset


def _misplaced(cls: type[Structure], spec: Field) -> str:
    """Why a structure such as `cls` cannot hold a field such as `spec`; "" where it can."""
    if spec.listing is not None or spec.is_rest:
        return "" if issubclass(cls, Whole) else "lists and rests stand in a Whole"
    if spec.of is not None and spec.of.declaration.any_length:
        return f"{spec.of.__name__} has any length"
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
    _make_later(cls, "decode", compiled_decode, staticmethod)
    _make_later(cls, "encode", compiled_encode, lambda function: function)
    _make_later(cls, "view", _compiled_view, staticmethod)
    cls.construct = _Construct(cls)


def _make_later(
    cls: type[Structure],
    name: str,
    make: Callable[[type[Structure]], Callable[..., Any]],
    kept: Callable[[Callable[..., Any]], Any],
) -> None:
    # Cached: who holds on to the first function calls it again and again.
    @functools.cache
    def made() -> Callable[..., Any]:
        function = make(cls)
        setattr(cls, name, kept(function))
        return function

    def first(*given: Any, **named: Any) -> Any:
        return made()(*given, **named)

    setattr(cls, name, kept(first))


def _compiled_view(cls: type[Structure]) -> Callable[..., Any]:
    from .view import maker

    return maker(cls)


class _Construct:
    """Stands for a structure's `construct`, which is made when it is first asked for."""

    def __init__(self, of: type[Structure]) -> None:
        self._of = of

    def __get__(self, value: object, cls: type) -> Any:
        from .constructs import StructureAdapter, WholeConstruct  # here: construct takes 0.1 s

        of = self._of
        if issubclass(of, Whole) and of.declaration.any_length:
            of.construct = WholeConstruct(of)
        else:
            of.construct = StructureAdapter(of)
        return of.construct
