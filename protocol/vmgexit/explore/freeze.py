"""States as values: an object of a state class frozen to nested tuples, and an object made from them.

What belongs to a state is said beside each field (`machine.state`). A frozen object is a pair: what makes
two states different, and what is only carried along (`passive`). For each class two functions are
compiled from its fields and their types. A field of a type that has no frozen form is a TypeError.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..machine.state import OUTSIDE, PASSIVE
from ..schema import Bits

Frozen = tuple[tuple[Any, ...], tuple[Any, ...]]
Only = frozenset[str] | None
"""Names of fields; None for all."""

# What can be changed: the expression of its frozen form, and the statement that restores it.
_CONTAINERS: dict[Any, tuple[str, str]] = {
    list: ("tuple({value})", "{field} = list({value})"),
    set: ("frozenset({value})", "{field} = set({value})"),
    dict: ("frozenset({value}.items())", "{field} = dict({value})"),
    bytearray: ("bytes({value})", "{field}[:] = {value}"),  # in place: others see the same memory
}
_UNCHANGING = (int, bool, str, bytes, Enum, types.NoneType)


@dataclass(frozen=True, slots=True)
class Part:
    """A field that belongs to the state: its container or its state class, if its value has one."""

    name: str
    is_passive: bool
    container: Any = None
    held: Any = None
    is_optional: bool = False


@cache
def parts(cls: Any) -> tuple[Part, ...]:
    """The fields of a state class that belong to the state. Raises TypeError on one without a frozen
    form."""
    if issubclass(cls, Bits):
        return tuple(Part(field.name, False) for field in dataclasses.fields(cls))
    hints = get_type_hints(cls)
    return tuple(
        _part(cls, field, hints[field.name])
        for field in dataclasses.fields(cls)
        if OUTSIDE not in field.metadata
    )


def _part(cls: Any, field: dataclasses.Field[Any], hint: Any) -> Part:
    is_passive = PASSIVE in field.metadata
    is_union = get_origin(hint) in (types.UnionType, Union)
    kinds = [
        kind for kind in (get_args(hint) if is_union else (hint,)) if kind is not types.NoneType
    ]
    if all(map(_is_unchanging, kinds)):
        return Part(field.name, is_passive)
    if len(kinds) == 1 and _tells_states_apart(kinds[0]) and not is_passive:
        return Part(field.name, False, held=kinds[0], is_optional=is_union)
    container, inner = get_origin(hint) or hint, get_args(hint)
    says_what = bool(inner) or container is bytearray
    if container in _CONTAINERS and says_what and all(map(_is_unchanging, inner)):
        return Part(field.name, is_passive, container)
    raise TypeError(f"{cls.__name__}.{field.name}: {hint} has no frozen form")


def _tells_states_apart(kind: Any) -> bool:
    """Whether it is a state class with a field that is not passive: else its absence would be lost."""
    is_state = isinstance(kind, type) and dataclasses.is_dataclass(kind)
    return is_state and not all(part.is_passive for part in parts(kind))


def _is_unchanging(kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return all(inner is ... or _is_unchanging(inner) for inner in get_args(kind))
    return isinstance(kind, type) and issubclass(kind, _UNCHANGING)


def _chosen(cls: Any, only: Only) -> tuple[Part, ...]:
    return tuple(part for part in parts(cls) if only is None or part.name in only)


@cache
def freezer(cls: Any, only: Only = None) -> Callable[[Any], Frozen]:
    """The function that freezes an object of a state class, or `only` these of its fields."""
    function: Callable[[Any], Frozen] = eval(  # noqa: S307
        f"lambda state: ({', '.join(_frozen(cls, 'state', only))})"
    )
    return function


def _frozen(cls: Any, state: str, only: Only = None) -> tuple[str, str]:
    """The expressions of both halves."""
    halves: tuple[list[str], list[str]] = ([], [])
    for part in _chosen(cls, only):
        value = f"{state}.{part.name}"
        if part.held is not None:
            for half, inner in zip(halves, _frozen(part.held, value), strict=True):
                if inner != "()":
                    half.append(
                        f"None if {value} is None else {inner}" if part.is_optional else inner
                    )
        elif part.container is not None:
            halves[part.is_passive].append(_CONTAINERS[part.container][0].format(value=value))
        else:
            halves[part.is_passive].append(value)
    active, passive = (f"({', '.join(half)},)" if half else "()" for half in halves)
    return active, passive


@cache
def restorer(cls: Any, only: Only = None) -> Callable[[Any, Any, Any], Any]:
    """The function that puts an object, or `only` these of its fields, into a frozen state, given both
    halves, and returns it."""
    names: dict[str, Any] = {}
    targets: tuple[list[str], list[str]] = ([], [])
    statements = []
    for number, part in enumerate(_chosen(cls, only)):
        field, value = f"state.{part.name}", f"value_{number}"
        if part.held is not None:
            active, passive = f"{value}_active", "()"
            targets[False].append(active)
            if _frozen(part.held, "")[True] != "()":
                passive = f"{value}_passive"
                targets[True].append(passive)
            names[f"thaw_{number}"] = thawer(part.held)
            absent = f"None if {active} is None else " if part.is_optional else ""
            statements.append(f"{field} = {absent}thaw_{number}({active}, {passive})")
        elif part.container is not None:
            targets[part.is_passive].append(value)
            statements.append(_CONTAINERS[part.container][1].format(field=field, value=value))
        else:
            targets[part.is_passive].append(field)
    lines = [
        f"{', '.join(target)}, = {half}"
        for target, half in zip(targets, ("active", "passive"), strict=True)
        if target
    ]
    source = ["def restore(state, active, passive):", *lines, *statements, "return state"]
    exec("\n    ".join(source), names)  # noqa: S102
    function: Callable[[Any, Any, Any], Any] = names["restore"]
    return function


@cache
def thawer(cls: Any) -> Callable[[Any, Any], Any]:
    """The function that makes an object from both halves of a frozen state."""
    restore, new = restorer(cls), cls.__new__
    return lambda active, passive: restore(new(cls), active, passive)


def freeze(state: Any) -> Frozen:
    """An object of a state class as a value."""
    return freezer(state.__class__)(state)


def thaw(cls: Any, frozen: Frozen) -> Any:
    """A new object from what `freeze` made of one."""
    return thawer(cls)(*frozen)


def restore(state: Any, frozen: Frozen) -> None:
    """Put an object that exists into a frozen state; what is outside the state stays as it is."""
    restorer(state.__class__)(state, *frozen)
