"""What a draft changed: the parts of two layouts, paired, with what became of each.

A part is a field of a structure at any depth, a call of a protocol, or a register of a call. Reserved
space is no part: a field that takes or leaves some of it is added or removed. Parts are paired by
where they stand and what they are called; what is then left over is new, or gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...counting import count_of
from ...errors import UsageError, nearest
from ...schema import Field, Structure
from ...schema.walk import leaves
from ...wire.calls import calls, former_calls
from ...wire.registry import find
from ...wire.svsm import Call, Operand, Protocol
from ..naming import LISTED, label
from ..table import hexadecimal

KINDS = ("added", "removed", "moved", "renamed", "widened", "narrowed", "redefined")
"""What may have become of a part, as tables and pictures call it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part where it stands. `start` and `width` are in bits, or count calls and registers."""

    path: str  # vmpl1.status.pending_vector, or SVSM_OMP_READ.rcx in
    name: str  # as the specification spells it
    start: int
    width: int
    place: str  # as a table shows it: 0x040 bits 7:0
    says: str = ""  # what a register holds; a field's wording is not compared
    codes: tuple[tuple[int, str], ...] = ()  # the known values of a field
    of: str = ""  # a whole structure: its label

    is_of_call: bool = False  # a call, or a register of one

    @property
    def root(self) -> str:
        return self.path.partition(".")[0]

    @property
    def inner(self) -> str:
        return self.path.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Change:
    """Parts before and after, one of which may be missing. `kinds` is empty where nothing changed.

    Several pairs stand together where the same happened to the same part of several structures.
    """

    kinds: tuple[str, ...]
    pairs: tuple[tuple[Part | None, Part | None], ...]

    @property
    def before(self) -> tuple[Part, ...]:
        return tuple(old for old, _ in self.pairs if old is not None)

    @property
    def after(self) -> tuple[Part, ...]:
        return tuple(new for _, new in self.pairs if new is not None)


@dataclass(frozen=True, slots=True)
class Layout:
    """What is compared: a structure, a call, or the calls of a protocol, in one revision."""

    label: str
    title: str
    kind: str  # structure, call or protocol: only one kind is compared with itself
    parts: tuple[Part, ...]
    wholes: Mapping[str, Part]  # what parts are in, by their roots


def layout_of(name: str) -> Layout:
    """The layout that `name` means: a structure, a call or a protocol, with `@REVISION` if need be.

    Raises UsageError with the nearest names where there is none.
    """
    plain, _, revision = name.partition("@")
    if plain.upper().startswith("SVSM_"):
        return _call_layout(name, plain.upper(), revision)
    member = Protocol.__members__.get(plain.upper().replace("-", "_"))
    if member is not None:
        return _protocol_layout(name, member, revision)
    return of_structure(find(name))


def of_structure(cls: type[Structure]) -> Layout:
    """The layout of a structure, with those inside."""
    wholes = {field.name: _whole(field) for field in cls.declaration.fields if field.of is not None}
    title = cls.declaration.title
    return Layout(label(cls), title, "structure", tuple(_fields(cls)), wholes)


def compared(before: Layout, after: Layout) -> list[Change]:
    """Every part of both with what became of it, in the order of what is after.

    Raises UsageError where the two are not of one kind.
    """
    if before.kind != after.kind:
        found = f"{before.label} is a {before.kind}, {after.label} a {after.kind}"
        raise UsageError(f"{found}; two of one kind expected")
    pairs = [pair for pair in _paired(before.parts, after.parts) for pair in (pair, *_codes(*pair))]
    changes = _gathered(
        [Change(_kinds(*pair), (pair,)) for pair in pairs], before.wholes, "removed"
    )
    return _folded(_gathered(changes, after.wholes, "added"))


# --- the parts of a layout ------------------------------------------------------------------------


def _fields(cls: type[Structure]) -> Iterator[Part]:
    for place in leaves(cls):
        field = place.field
        if field.rule is not None:
            continue
        word = place.bit_offset - field.bit_offset
        if place.owner.declaration.is_bits:
            noun = "bit" if field.width == 1 else "bits"
            where = f"{hexadecimal(word // 8)} {noun} {field.bits}"
        else:
            where = f"{hexadecimal(place.bit_offset // 8)}, {count_of(field.size, 'byte')}"
        codes = tuple((int(code), code.name) for code in field.enum or ())
        yield Part(place.path, field.spec, place.bit_offset, field.width, where, codes=codes)


def _whole(field: Field) -> Part:
    assert field.of is not None
    where = f"{hexadecimal(field.byte_offset)}, {count_of(field.size, 'byte')}"
    of = label(field.of)
    return Part(field.name, field.spec, field.bit_offset, field.width, where, of=of)


def _call_layout(name: str, plain: str, revision: str) -> Layout:
    known = [*calls(), *former_calls()]
    for call in known:
        if call.name == plain and revision in ("", call.revision):
            return Layout(name, call.meaning, "call", tuple(_registers(call)), {})
    near = nearest(name, [f"{call.name}@{call.revision}".removesuffix("@") for call in known])
    raise UsageError(f"no call {name}; nearest: {', '.join(near)}")


def _protocol_layout(name: str, protocol: Protocol, revision: str) -> Layout:
    of_it = [call for call in calls() if call.protocol is protocol]
    if revision:
        known = former_calls(protocol)
        of_it = [call for call in known if call.revision == revision]
        if not of_it:
            there = ", ".join(dict.fromkeys(call.revision for call in known)) or "the current one"
            raise UsageError(f"no revision {revision} of {protocol.name}; there are {there}")
    parts = [
        part
        for call in sorted(of_it, key=lambda call: call.number)
        for part in (_numbered(call), *_registers(call))
    ]
    wholes = {part.path: part for part in parts if not part.inner}
    return Layout(name, protocol.meaning, "protocol", tuple(parts), wholes)


_SLOTS = 100
"""How far apart two calls stand, in the order of parts: more than a call has registers."""


def _short(call: Call) -> str:
    """The name without its protocol's: SVSM_OCP_READ and SVSM_OMP_READ are both READ."""
    return call.name.split("_", 2)[-1]


def _numbered(call: Call) -> Part:
    return Part(
        _short(call), call.name, call.number * _SLOTS, 1, f"call {call.number}", is_of_call=True
    )


def _registers(call: Call) -> Iterator[Part]:
    both = [*((each, "in") for each in call.inputs), *((each, "out") for each in call.outputs)]
    for slot, (operand, way) in enumerate(both, call.number * _SLOTS + 1):
        where, held = f"{operand.register.upper()} {way}", _held(operand)
        path, place = f"{_short(call)}.{where}", f"{where} of call {call.number}"
        yield Part(path, held, slot, 1, place, says=held, is_of_call=True)


def _held(operand: Operand) -> str:
    inside = f" ({label(operand.layout)})" if operand.layout else ""
    return f"{operand.meaning}{inside}"


# --- pairs ----------------------------------------------------------------------------------------

_Pair = tuple[Part | None, Part | None]

# How parts are paired, the surest first; each pairs what the ones before it left.
_KEYS: tuple[Callable[[Part], object], ...] = (
    lambda part: (part.path, part.start),
    lambda part: (part.name, part.start),
    lambda part: part.path,
    lambda part: (part.start, part.width),
    lambda part: (part.root, part.name),
)


def _paired(before: Sequence[Part], after: Sequence[Part]) -> Iterator[_Pair]:
    """Each part of `after` with its partner, then what has none of `before`.

    A register is paired within its call: which call that was is known once calls are paired.
    """
    partner = _partners([p for p in before if not p.says], [p for p in after if not p.says])
    roots = {new.path: old.path for new, old in partner.items()}
    registers = {part.path: part for part in before if part.says}
    for part in after:
        if part.says:
            path = f"{roots.get(part.root, part.root)}.{part.inner}"
            if old := registers.get(path):
                partner[part] = old
    paired = set(partner.values())
    yield from ((partner.get(new), new) for new in after)
    yield from ((old, None) for old in before if old not in paired)


def _partners(before: Sequence[Part], after: Sequence[Part]) -> dict[Part, Part]:
    found: dict[Part, Part] = {}
    left = list(before)
    for key in _KEYS:
        waiting = {key(old): old for old in reversed(left)}
        for new in after:
            if new not in found and (old := waiting.pop(key(new), None)) is not None:
                found[new] = old
                left.remove(old)
    return found


def _codes(old: Part | None, new: Part | None) -> Iterator[_Pair]:
    """The known values of a field that is in both, where their names differ."""
    if old is None or new is None or old.codes == new.codes:
        return
    names = dict(old.codes), dict(new.codes)
    for value in sorted(names[0].keys() | names[1].keys()):
        yield tuple(  # type: ignore[misc]
            Part(
                f"{part.path} = {value:#x}",
                f"{part.name} {known[value]}",
                part.start,
                part.width,
                f"value {value:#x}",
            )
            if value in known
            else None
            for part, known in zip((old, new), names, strict=True)
        )


def _kinds(old: Part | None, new: Part | None) -> tuple[str, ...]:
    if old is None or new is None:
        return ("added",) if old is None else ("removed",)
    if old.says or new.says:
        return ("redefined",) * (old.says != new.says)
    size = "widened" if new.width > old.width else "narrowed"
    found = (
        ("moved", new.start != old.start),
        ("renamed", new.name != old.name),
        (size, new.width != old.width),
    )
    return tuple(kind for kind, is_so in found if is_so)


# --- the same in several places is said once ------------------------------------------------------


def _gathered(changes: list[Change], wholes: Mapping[str, Part], kind: str) -> list[Change]:
    """A structure or a call as one change, where every part of it was added, or removed."""
    fates: dict[str, set[tuple[str, ...]]] = {}
    for change in changes:
        for part in change.after if kind == "added" else change.before:
            fates.setdefault(part.root, set()).add(change.kinds)
    gone = {root for root, kinds in fates.items() if kinds == {(kind,)} and root in wholes}
    kept = [change for change in changes if change.kinds != (kind,) or _root(change) not in gone]
    for root in sorted(gone):
        pair = (None, wholes[root]) if kind == "added" else (wholes[root], None)
        kept.append(Change((kind,), (pair,)))
    return kept


def _folded(changes: list[Change]) -> list[Change]:
    """Changes alike of the same part of several structures as one; in order of their places."""
    alike: dict[object, list[Change]] = {}
    for change in changes:
        [pair] = change.pairs
        several = all(part is None or part.inner or part.of for part in pair)
        key = tuple(part and (part.inner, part.of or part.name, part.width) for part in pair)
        alike.setdefault((change.kinds, key) if several else id(change), []).append(change)
    found = [
        Change(group[0].kinds, tuple(pair for change in group for pair in change.pairs))
        for group in alike.values()
    ]
    return sorted(found, key=lambda change: (change.after or change.before)[0].start)


def _root(change: Change) -> str:
    return (change.after or change.before)[0].root


def places(parts: Sequence[Part]) -> str:
    """Where parts stand, as a table says it: all of them, or the first and the last of many."""
    shown = list(dict.fromkeys(part.place for part in parts))
    if len(shown) > LISTED:
        shown = [*shown[:2], f"... {shown[-1]} ({len(shown)} places)"]
    return "; ".join(shown)


def paths(parts: Sequence[Part]) -> str:
    """The paths of parts, what they share written once: `vmpl1, vmpl2: status.ipi_pending`.

    Calls and registers are known by their names and places: of these "".
    """
    if not parts or parts[0].is_of_call:
        return ""
    if len(parts) == 1:
        return parts[0].path
    inner = parts[0].inner
    roots = [part.root for part in parts]
    if len(roots) > LISTED:
        roots = [*roots[:2], f"... {roots[-1]}"]
    return ", ".join(roots) + (f": {inner}" if inner else "")
