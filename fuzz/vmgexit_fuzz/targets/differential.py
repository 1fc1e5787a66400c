"""Invariant: the compiled codec, construct and views agree on every value, and on what they refuse.

An input is as for `codec`, with more bytes that choose: one field of the value is set, in its range or
out of it, on each of the three. They must give the same bytes, or refuse it for the same reason. Small
structures come more often, for a page takes construct milliseconds; long lists are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import construct

from vmgexit.errors import DecodeError, EncodeError
from vmgexit.schema import Kind, Structure

from . import codec
from .base import Conditions, Finding, TargetRow

# Which structure, in two bytes; its length; how the field is set; two bytes that lead to the field.
HEAD = 6
# Of at most so many bytes, a structure stands so often among those to choose from.
_OFTEN = ((16, 16), (256, 4), (4096, 1))
LONGEST_LIST = 64  # elements; of hundreds construct takes a tenth of a second, and they are alike

Path = list[tuple[str, int | None]]  # names of fields, each with the element where it is an array
_Result = str | bytes  # why nothing was encoded, or what was


# What a field is set to. The first leaves it alone; some of the others do not fit.
_NUMBERS: tuple[Callable[[int], Any], ...] = (
    lambda width: (1 << width) - 1,
    lambda width: 1 << width,
    lambda width: 1 << width - 1,
    lambda width: -1,
    lambda width: 0,
    lambda width: 1,
    lambda width: 2,
    lambda width: None,
    lambda width: "1",
)
_BYTES: tuple[Callable[[int], Any], ...] = (
    lambda size: b"\xff" * size,
    lambda size: b"\xff" * (size + 1),
    lambda size: bytes(size - 1),
    bytearray,
    lambda size: None,
    lambda size: 0,
)


@cache
def classes() -> Sequence[type[Structure]]:
    """What there is to choose from."""
    return [
        cls
        for cls in codec.classes()
        if all(field.count <= LONGEST_LIST for field in cls.declaration.fields)
        for _ in range(next(often for most, often in _OFTEN if cls.size <= most))
    ]


def setting(cls: type[Structure], data: bytes) -> tuple[Path, Any] | None:
    """Where an input sets a field, and what to; None where it leaves the value as it is."""
    how, rest = data[3:4], int.from_bytes(data[4:6], "little")
    if not how or not how[0]:
        return None
    path: Path = []
    while True:
        fields = [field for field in cls.declaration.fields if field.width]
        if not fields:
            return None
        rest, at = divmod(rest, len(fields))
        field = fields[at]
        if field.of is None:
            path.append((field.name, None))
            break
        element = None
        if field.kind is Kind.ARRAY:
            rest, element = divmod(rest, field.count)
        path.append((field.name, element))
        cls = field.of
    if field.kind is Kind.BYTES:
        return path, _BYTES[how[0] % len(_BYTES)](field.size)
    return path, _NUMBERS[how[0] % len(_NUMBERS)](field.width)


def _encoded(value: Any, put: tuple[Path, Any] | None, encode: Callable[[Any], bytes]) -> bytes:
    """What a value is encoded to once the field is set."""
    if put is not None:
        path, held = put
        inner = value
        for name, element in path[:-1]:
            inner = getattr(inner, name)
            inner = inner if element is None else inner[element]
        setattr(inner, path[-1][0], held)
    return encode(value)


def _tried(do: Callable[..., Any], *arguments: Any) -> _Result:
    """What was encoded, or why nothing was."""
    try:
        made = do(*arguments)
    except (DecodeError, EncodeError) as error:
        return str(error)
    except construct.ConstructError as error:
        return str(error).partition("\n")[2]  # which begins with the field's own name
    return made if isinstance(made, bytes) else b""


def _compare(cls: type[Structure], other: str, ours: _Result, theirs: _Result) -> None:
    if isinstance(ours, str) and isinstance(theirs, str):
        if not ours.endswith(theirs):
            _differs(cls, other, f"why it is refused: {ours}, {other}: {theirs}")
        return
    if ours == theirs:
        return
    if isinstance(ours, bytes) and isinstance(theirs, bytes):
        _differs(cls, other, "what is encoded")
    _differs(cls, other, f"what is refused: {_told(ours)}, {other}: {_told(theirs)}")


def _told(outcome: _Result) -> str:
    return "nothing" if isinstance(outcome, bytes) else outcome


def _differs(cls: type[Structure], other: str, how: str) -> None:
    name = cls.declaration.name
    kind = how.partition(":")[0]
    raise Finding(f"{name} differs from {other} in {kind}", f"{name} differs from {other} in {how}")


class Differential(codec.Codec):
    """One value, three ways."""

    head = HEAD

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.classes = classes()

    def run(self, data: bytes) -> int:
        cls, body = self.chosen(data)
        whole = construct.Sequence(cls.construct, construct.Terminated)
        if not cls.accepts(len(body)):
            ours, theirs = _tried(cls.decode, body), _tried(whole.parse, body)
            if isinstance(ours, str) != isinstance(theirs, str):
                _differs(cls, "construct", "which lengths are refused")
            return 1
        value, other, view = cls.decode(body), whole.parse(body)[0], cls.view(bytearray(body))
        if value != other:
            _differs(cls, "construct", "what is decoded")
        put = setting(type(value), data)  # which of one of any length is its shape
        ours = _tried(_encoded, value, put, cls.encode)
        _compare(cls, "construct", ours, _tried(_encoded, other, put, cls.construct.build))
        _compare(cls, "its view", ours, _tried(_encoded, view, put, type(view).encode))
        return 1

    def show(self, data: bytes) -> str:
        """As `read`: what the three make of the value may be what is wrong."""
        return self.read(data)

    def read(self, data: bytes) -> str:
        """The structure's name, the bytes, and the field that is set."""
        cls, body = self.chosen(data)
        told = super().read(data)
        put = setting(type(cls.decode(body)), data) if cls.accepts(len(body)) else None
        if put is None:
            return told
        names = (name if element is None else f"{name}[{element}]" for name, element in put[0])
        return f"{told}\n   {'.'.join(names)} = {put[1]!r}"
