"""Values of structures: any, those without problems, those that break exactly one rule.

Rules are code, so nobody can list them. What is sound is found by repairing what is not; what breaks one
rule is found by changing one leaf of a sound value, and kept where the value then has one problem.
"""

from __future__ import annotations

import contextlib
import functools
import random
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from hypothesis import strategies as st

from vmgexit.errors import UsageError
from vmgexit.schema import (
    Field,
    Kind,
    Place,
    Problem,
    Rule,
    Structure,
    Whole,
    get,
    leaves,
    members,
    put,
    walk,
)
from vmgexit.wire.exit import Where
from vmgexit.wire.exits import exits
from vmgexit.wire.ghcb import GhcbPage

from ..inputs.bursts import VECTORS
from ..inputs.messages import EDGES

S = TypeVar("S", bound=Structure)
W = TypeVar("W", bound=Whole)
F = TypeVar("F", bound=Callable[..., Any])

MOST_CHANGES = 8  # leaves of a structure that are set to values of their own
MOST_ELEMENTS = 5  # of a list of any length
MOST_REPAIRS = 64  # until the all-zero value has no problems
LONGEST = 64  # bytes that are drawn one by one; longer ones are zeros, ones or noise


def _once(function: F) -> F:
    """`functools.cache`: type checkers take a class whose values have no hash for one that has none."""
    return cast(F, functools.cache(function))


# --- structures: any value ------------------------------------------------------------------------


@st.composite
def images(draw: st.DrawFn, cls: type[Structure]) -> bytes:
    """Any bytes that a structure can be: zeros, ones or noise, some leaves set to values of their own.

    Of a structure of any length, of a length that is drawn; its list mostly says its own length."""
    if issubclass(cls, Whole) and cls.declaration.any_length:
        return draw(_whole_images(cls))
    background = draw(_bytes(cls.size))
    word = int.from_bytes(background, "little")
    places = st.lists(st.sampled_from(sampled(cls)), max_size=MOST_CHANGES)
    for place in draw(places) if cls.size else ():
        held = draw(_held(place.field))
        if isinstance(held, bytes):
            held = int.from_bytes(held, "little")
        word &= ~((1 << place.field.width) - 1 << place.bit_offset)
        word |= int(held) << place.bit_offset
    return word.to_bytes(cls.size, "little")


@st.composite
def _whole_images(draw: st.DrawFn, cls: type[Whole]) -> bytes:
    shape = cls.shape(draw(st.integers(0, MOST_ELEMENTS)), draw(st.integers(0, LONGEST)))
    data = draw(images(shape))
    if draw(st.integers(0, 3)):
        value = shape.decode(data)
        _consistent(value)
        return value.encode()
    return data


def _consistent(value: Whole) -> None:
    """Make the list of a value say its own length."""
    elements, listing = value.elements, value.listing()
    if listing.said_by:
        listing.say(value, len(elements))
    elif elements:
        elements[-1] = type(elements[-1])()


def values(cls: type[S]) -> st.SearchStrategy[S]:
    """Any value of a structure, as a decoder may meet it."""
    return images(cls).map(cls.decode)


def _bytes(size: int) -> st.SearchStrategy[bytes]:
    if size <= LONGEST:
        return st.binary(min_size=size, max_size=size)
    noise = st.integers(0, 1 << 32).map(lambda seed: random.Random(seed).randbytes(size))
    return st.just(bytes(size)) | st.just(b"\xff" * size) | noise


def _held(field: Field) -> st.SearchStrategy[Any]:
    """What a leaf can hold; the codes that it knows, and edges, more often."""
    if field.kind is Kind.BYTES:
        return _bytes(field.size)
    if field.kind is Kind.FLAG:
        return st.booleans()
    edges = st.sampled_from(_edges(field))
    if field.enum is None:
        return edges | st.integers(0, (1 << field.width) - 1)
    return st.sampled_from(_codes(field)) | edges


@_once
def sampled(cls: type[Structure]) -> tuple[Place, ...]:
    """The leaves of a structure; of a long array only those of its first two elements and its last."""
    counts = {place.path: place.field.count for place in walk(cls) if place.field.count > 1}

    def kept(path: str) -> bool:
        return all(
            int(index[1]) < 2 or int(index[1]) == counts[path[: index.start()]] - 1
            for index in re.finditer(r"\[(\d+)\]", path)
        )

    # The rest of a structure of any length may have no bytes.
    return tuple(place for place in leaves(cls) if place.field.width and kept(place.path))


@_once
def _edges(field: Field) -> tuple[int, ...]:
    top = (1 << field.width) - 1
    edges = (*(VECTORS if field.width == 8 else EDGES), top, top - 1, top >> 1, (top >> 1) + 1)
    return tuple(dict.fromkeys(edge for edge in edges if edge <= top))


def _codes(field: Field) -> tuple[int, ...]:
    assert field.enum is not None
    return tuple(code for code in members(field.enum) if code < 1 << field.width)


# --- structures: values without problems ----------------------------------------------------------


def sound(cls: type[S]) -> st.SearchStrategy[S]:
    """Values of a structure without problems. Raises UsageError where none was found."""
    if issubclass(cls, Whole) and cls.declaration.any_length:
        return st.one_of([_sound(shape, starts(shape)) for shape in shapes(cls)])
    return _sound(cls, starts(cls))


@st.composite
def _sound(draw: st.DrawFn, cls: type[S], there_are: tuple[bytes, ...]) -> S:
    value = cls.decode(draw(st.sampled_from(there_are)))
    free = [place for place in sampled(cls) if place.field.rule is not Rule.ZERO]
    few = len(free) <= MOST_CHANGES
    for place in free if few else draw(st.lists(st.sampled_from(free), max_size=MOST_CHANGES)):
        _change(value, place, draw(_held(place.field)))
    return value


@_once
def starts(cls: type[Structure]) -> tuple[bytes, ...]:
    """Values of a structure without problems, encoded: the default one, repaired where it has some; of
    the GHCB page the examples of every exit. Raises UsageError where none was found."""
    if issubclass(cls, Whole):
        return (_whole_start(cls).encode(),)
    if cls is GhcbPage:
        return tuple(page.encode() for page in _requests() if not page.problems())
    return (_repaired(cls()).encode(),)


def shapes(cls: type[W]) -> list[type[W]]:
    """Some lengths, in which a structure of any length may have no problems: of its list, and its rest."""
    counts = range(cls.listing().least, MOST_ELEMENTS)
    found = []
    for shape in (cls.shape(count, rest) for count in counts for rest in (0, LONGEST)):
        with contextlib.suppress(UsageError):  # some lists may not be empty
            starts(shape)
            found.append(shape)
    return found


def _whole_start(cls: type[Whole]) -> Whole:
    """A value whose list ends where it should; its first element points to what follows the list."""
    value, listing = cls(), cls.listing()
    for element in value.elements[:-1] if listing.until else ():
        for inner in element.declaration.fields[:1]:
            setattr(element, inner.name, b"\1" * inner.size if inner.kind is Kind.BYTES else 1)
    rest = len(getattr(value, cls.declaration.fields[-1].name))
    if listing.bodies and rest and len(value.elements) > listing.least:
        setattr(value.elements[0], listing.bodies.offset, cls.size - rest)
        setattr(value.elements[0], listing.bodies.length, rest)
    return _repaired(value)


def _repaired(value: S) -> S:
    """A value without problems, made from one that may have some. Raises UsageError."""
    places = {place.path: place for place in leaves(type(value))}
    for _ in range(MOST_REPAIRS):
        problems = value.problems()
        if not problems:
            return value
        named = [places.get(problem.path) for problem in problems]
        if any(_repair(value, place, len(problems)) for place in (*named, *sampled(type(value)))):
            continue
        # A rule of several fields may only let its problem move to another one.
        if not any(_repair(value, place, len(problems), moves=True) for place in named):
            break
    name = value.declaration.name
    raise UsageError(f"{name}: no value without problems was found: {value.problems()[0]}")


def _requests() -> Iterator[GhcbPage]:
    for row in exits():
        for example in row.examples if row.where is Where.GHCB else ():
            yield GhcbPage.for_exit(
                row.code, example.info1, example.info2, buffer=example.data, **example.fields
            )


def _repair(value: Structure, place: Place | None, most: int, *, moves: bool = False) -> bool:
    """Whether another value of a leaf leaves fewer than `most` problems; it is put there.

    With `moves`, as many will do, if they are not of this leaf."""
    if place is None:
        return False
    before = get(value, place.path)
    for held in _candidates(type(value), place.field, before):
        put(value, place.path, held)
        problems = value.problems()
        moved = moves and all(problem.path != place.path for problem in problems)
        if len(problems) < most + moved:
            return True
    put(value, place.path, before)
    return False


def _change(value: Structure, place: Place, held: Any) -> None:
    """Set a leaf of a sound value, and another one that then has to change; or leave it as it was."""
    before = get(value, place.path)
    put(value, place.path, held)
    problems = value.problems()
    if not problems:
        return
    if len(problems) == 1 and problems[0].path != place.path:
        other = next((p for p in leaves(type(value)) if p.path == problems[0].path), None)
        if _repair(value, other, 1):
            return
    put(value, place.path, before)


def _candidates(cls: type[Structure], field: Field, held: Any) -> Iterable[Any]:
    """Values of a leaf of `cls` that may please or break a rule, its own codes first."""
    if field.kind is Kind.BYTES:
        texts = b"", b"\xff" * field.size, b"\1", b"a/b"  # the last is a name of two parts
        return [each.ljust(field.size, b"\0")[: field.size] for each in texts]
    if field.kind is Kind.FLAG:
        return False, True
    if field.kind is Kind.BITMAP:
        return (0, *(held ^ 1 << bit for bit in range(field.width) if held >> bit & 1), 1)
    codes = _codes(field) if field.enum is not None else ()
    unknown = tuple(code for code in range(min(1 << field.width, 4096)) if code not in codes)[:2]
    some = (
        *codes,
        *unknown[: 2 * (field.enum is not None)],
        held & ~0xFFF,
        *_edges(field),
        *_sizes(cls),
    )
    return (number for number in some if number < 1 << field.width)


@_once
def _sizes(cls: type[Structure]) -> tuple[int, ...]:
    """Bytes of what a structure holds: a field beside it may have to say so."""
    return tuple({cls.size: None, **{place.field.size: None for place in walk(cls)}})


# --- structures: values that break a rule ---------------------------------------------------------


def broken(cls: type[S]) -> st.SearchStrategy[tuple[S, Problem]]:
    """Values of a structure that break exactly one rule, each with the problem, which names the rule.

    Raises UsageError for a structure that has no rule, or whose rules cannot be broken one by one.
    """
    if issubclass(cls, Whole) and cls.declaration.any_length:
        return st.one_of([broken(shape) for shape in shapes(cls)]).filter(_is_told_by_bytes)
    there_are = starts(cls)
    if not breakers(cls, there_are[0]):
        raise UsageError(f"{cls.declaration.name}: no value breaks exactly one rule")
    return _broken(cls, there_are)


def _is_told_by_bytes(case: tuple[Structure, Problem]) -> bool:
    """Whether the encoded value breaks the rule too: with another count it may be of another length."""
    value, problem = case
    family = next(cls for cls in type(value).__mro__[1:] if issubclass(cls, Whole))
    return family.decode(value.encode()).problems() == [problem]


@st.composite
def _broken(draw: st.DrawFn, cls: type[S], there_are: tuple[bytes, ...]) -> tuple[S, Problem]:
    start = draw(st.sampled_from(there_are))
    known = draw(st.sampled_from(breakers(cls, start)))
    other = draw(_sound(cls, (start,))).encode()
    place = draw(st.just(known[0]) | st.sampled_from(sampled(cls)))
    chosen = place, draw(_held(place.field))
    # Some rules are broken in values of their own only; what is known breaks one of the start's.
    for data, (place, held) in ((other, chosen), (other, known), (start, known)):
        value = cls.decode(data)
        problem = _only_problem(value, place, held)
        if problem is not None:
            return value, problem
    raise AssertionError(f"{known} breaks no rule of {start.hex()}")


@_once
def breakers(cls: type[Structure], start: bytes) -> tuple[tuple[Place, Any], ...]:
    """What breaks exactly one rule of the sound value `start`: a leaf and what to set it to, a few for
    each rule."""
    value = cls.decode(start)
    judged = any(_has_rules(place.owner) for place in walk(cls)) or _has_rules(cls)
    found: dict[tuple[str, str], list[tuple[Place, Any]]] = {}
    for place in sampled(cls):
        field = place.field
        if not judged and field.rule is not Rule.ZERO and field.enum is None:
            continue
        before = get(value, place.path)
        for held in _candidates(cls, field, before):
            problem = _only_problem(value, place, held)
            if problem is not None:
                of_rule = found.setdefault((problem.path, problem.rule), [])
                if len(of_rule) < 3:
                    of_rule.append((place, held))
        put(value, place.path, before)
    return tuple(case for of_rule in found.values() for case in of_rule)


def _has_rules(cls: type[Structure]) -> bool:
    """Whether a structure has rules beyond single fields."""
    own = (cls.broken, cls.judged) != (Structure.broken, Structure.judged)
    return own or bool(cls.declaration.rules)


def _only_problem(value: Structure, place: Place, held: Any) -> Problem | None:
    """The one problem of a value once a leaf is set; None where it has none, or more."""
    put(value, place.path, held)
    problems = value.problems()
    return problems[0] if len(problems) == 1 else None
