"""A decoded value as text for a person: every field on a line that says where it stands.

A field that is not zero is shown with its meaning; a field that is zero is shown without, so that
the others stand out. Below the fields come those of the message that a word's code names, the
value's own notes, and the rules that it breaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from ..counting import count_of
from ..layout.naming import LISTED, label
from ..schema import Body, Field, Kind, Place, Structure, leaves, set_numbers, walk
from .line import first_sentence
from .partial import Partial

# Of longer byte fields this many are shown, from the first that is not zero.
_SHOWN = 32

# Of a body without a structure this many bytes are shown, so many in a row.
_DUMPED = 256
_ROW = 16

# At this many zero bytes in a row their number is shown instead.
_ZEROS = 8

# Values up to this width are padded, so that the meanings behind them stand in one column.
_PADDED = 28

_GAP = "  "
_WIDE = 100  # columns after which a line of a summary ends


class _Line(NamedTuple):
    """`start` is the bit where it begins; bit fields also say which bits of their word they are."""

    start: int
    bits: str
    path: str
    value: str
    meaning: str


def render(value: Structure, *, base: int = 0, missing: Sequence[range] = ()) -> str:
    """`value`, a decoded structure, field by field.

    `base` is the offset of its first byte; `missing` are the bytes of it that were not there to decode.
    """
    held = Partial(value, missing)
    lines = [_title(value, base), "", *_aligned(list(_lines(held)), base, value.size)]
    if (message := held.message) is not None:
        lines += ["", f"Message {_title(message, 0)}"]
        lines += [
            f"  {line}" for line in _aligned(list(_lines(Partial(message))), base, value.size)
        ]
    for body in held.bodies():
        lines += ["", *_body(body, base)]
    if notes := _notes(held):
        lines += ["", "Notes", *(f"  {note}" for note in notes)]
    if problems := [str(problem) for problem in held.problems()]:
        lines += ["", "Problems (rules that the value breaks; it was read all the same)"]
        lines += [f"  ! {problem}" for problem in problems]
    return "\n".join([*lines, ""])


def _body(body: Body, base: int) -> Iterator[str]:
    """What an element of a list points to: by its own structure, where it has one."""
    at = base + body.offset
    yield f"Body of {body.path}, {body.name}: {count_of(body.length, 'byte')} at {at:#05x}"
    if (value := body.value) is not None:
        yield f"  {_title(value, at)}"
        yield from (f"  {line}" for line in _aligned(list(_lines(Partial(value))), at, value.size))
        return
    shown = body.held[:_DUMPED]
    for start in range(0, len(shown), _ROW):
        yield f"  {at + start:#05x}  {shown[start : start + _ROW].hex(' ')}"
    if more := len(body.held) - len(shown):
        yield f"  ... (+{count_of(more, 'byte')})"
    if missing := body.length - len(body.held):
        yield f"  {count_of(missing, 'byte')} not there"


def summary(value: Structure, *, base: int = 0, missing: Sequence[range] = ()) -> str:
    """`value` in four lines: what it is, what is set in it, the notes, the broken rules."""
    held = Partial(value, missing)
    shown = [line for line in _lines(held) if line.meaning]  # only what is set has one
    # What has a name of its own says most.
    named = sorted(shown, key=lambda line: " " not in line.value)
    found = (
        ("set", [f"{line.path} {line.value}" for line in named], len(list(leaves(held.cls)))),
        ("notes", _notes(held), 0),
        ("problems", [str(problem) for problem in held.problems()], 0),
    )
    return "\n".join([_title(value, base), *(_in_a_line(*each) for each in found)])


def _in_a_line(title: str, items: list[str], of: int) -> str:
    text = f"{title}: {len(items)}" + f" of {count_of(of, 'field')}" * bool(of)
    for at, item in enumerate(items):
        text += (": " if not at else "; ") + item
        if len(text) > _WIDE and at + 1 < len(items):
            return f"{text}; ... (+{len(items) - at - 1})"
    return text


def _title(value: Structure, base: int) -> str:
    cls = type(value)
    where = f" at {base:#x}" if base else ""
    return f"{label(cls)}{where}, {count_of(cls.size, 'byte')}: {cls.declaration.title}"


def _notes(held: Partial) -> list[str]:
    return [str(note) for note in held.notes()]


def _aligned(lines: list[_Line], base: int, size: int) -> Iterator[str]:
    digits = max(3, len(f"{base + size - 1:x}"))
    places = [
        f"{base + line.start // 8:#0{digits + 2}x}" + (f"[{line.bits}]" if line.bits else "")
        for line in lines
    ]
    wide = max(len(place) for place in places)
    paths = max(len(line.path) for line in lines)
    values = max((len(line.value) for line in lines if len(line.value) <= _PADDED), default=0)
    for place, line in zip(places, lines, strict=True):
        cells = (f"{place:{wide}}", f"{line.path:{paths}}", f"{line.value:{values}}", line.meaning)
        yield _GAP.join(cells).rstrip()


def _lines(held: Partial) -> Iterator[_Line]:
    """A line for each leaf; one for each run that is missing."""
    for missing, run in groupby(placed(held.value), key=lambda leaf: held.is_missing(leaf[0])):
        if missing:
            yield _not_there([place for place, _ in run])
        else:
            yield from _present(held, list(run))


def _not_there(places: list[Place]) -> _Line:
    first, last = places[0], places[-1]
    path = first.path if first is last else f"{first.path} ... {last.path}"
    more = f" ({count_of(len(places), 'field')})" * (first is not last)
    return _Line(first.bit_offset, "", path, f"not in the dump{more}", "")


def _present(whole: Partial, found: list[tuple[Place, Any]]) -> Iterator[_Line]:
    """In long arrays one line for each run of elements that are all zero."""
    long = {place.path for place in walk(whole.cls) if place.field.count > LISTED}
    elements = groupby(found, key=lambda leaf: _element(leaf[0].path, long))
    parts = [(element, list(held)) for element, held in elements]
    for is_quiet, run in groupby(parts, key=lambda part: _is_quiet(*part)):
        if is_quiet:
            yield from _collapsed(list(run))
        else:
            for _, leaf in run:
                yield from (_partly(whole, _line(place, held), place) for place, held in leaf)


def _partly(whole: Partial, line: _Line, place: Place) -> _Line:
    """Of bytes that are there in part only those are shown."""
    if not whole.missing_bytes(place):
        return line
    there, missing = whole.parts(place)
    return line._replace(value=f"{bytes_text(there)}, {count_of(missing, 'byte')} not in the dump")


def placed(value: Structure) -> Iterator[tuple[Place, Any]]:
    """Every leaf of a value with its place, in the order of the walk."""
    held = (each for _, each in value.leaves())
    return zip(leaves(type(value)), held, strict=True)


def _element(path: str, long: set[str]) -> tuple[str, int] | None:
    """The long array that a leaf stands in, and its index there."""
    for at, letter in enumerate(path):
        if letter == "[" and path[:at] in long:
            return path[:at], int(path[at + 1 : path.index("]", at)])
    return None


def _is_quiet(element: tuple[str, int] | None, held: list[tuple[Place, Any]]) -> str:
    """The long array that an all-zero element belongs to; "" for anything else."""
    if element is None or any(value != place.field.zero for place, value in held):
        return ""
    return element[0]


def _collapsed(
    run: list[tuple[tuple[str, int] | None, list[tuple[Place, Any]]]],
) -> Iterator[_Line]:
    (first, held), (last, _) = run[0], run[-1]
    assert first is not None
    assert last is not None
    if first == last:
        yield from (_line(place, value) for place, value in held)
        return
    path = f"{first[0]}[{first[1]}-{last[1]}]"
    yield _Line(held[0][0].bit_offset, "", path, f"0 ({len(run)} elements)", "")


def _line(place: Place, held: Any) -> _Line:
    field, in_bits = place.field, place.owner.declaration.is_bits
    start = place.bit_offset - field.bit_offset if in_bits else place.bit_offset
    bits = field.bits if in_bits else ""
    is_set = held != field.zero
    return _Line(
        start, bits, place.path, value_text(field, held), meaning_text(field) if is_set else ""
    )


def value_text(field: Field, held: Any) -> str:
    """A field's value: hex and its name, the numbers of a bitmap, bytes without what is zero."""
    match field.kind:
        case Kind.BYTES:
            return bytes_text(bytes(held))
        case Kind.BITMAP:
            return ranges_text(set_numbers(held, field.first)) or "none"
        case Kind.FLAG:
            return str(int(held))
        case _:
            code = f"{int(held):#x}" if held else "0"
            return f"{code} {held.name}" if field.enum and isinstance(held, field.enum) else code


def meaning_text(field: Field) -> str:
    """What a field means, after its name in the specification, which a meaning may be or begin with."""
    meaning = first_sentence(field.meaning)
    if field.rule is not None:
        return f"{meaning}; {field.rule.value}"
    has_name = f"{meaning}:".lower().startswith(f"{field.spec}:".lower())
    return meaning if has_name else f"{field.spec}: {meaning}"


def ranges_text(numbers: list[int]) -> str:
    """`0x20-0x23, 0x41`."""
    if not numbers:
        return ""
    gaps = [(before, after) for before, after in pairwise(numbers) if after != before + 1]
    starts = [numbers[0], *(after for _, after in gaps)]
    ends = [*(before for before, _ in gaps), numbers[-1]]
    return ", ".join(
        f"{start:#x}" if start == end else f"{start:#x}-{end:#x}"
        for start, end in zip(starts, ends, strict=True)
    )


def bytes_text(data: bytes) -> str:
    """Bytes in hex; zeros before and after them only by their number."""
    if not data:
        return "none"
    if not any(data):
        return f"0 ({count_of(len(data), 'byte')})"
    before = len(data) - len(data.lstrip(b"\0"))
    after = len(data) - len(data.rstrip(b"\0"))
    before = before if before >= _ZEROS else 0
    after = after if after >= _ZEROS else 0
    middle = data[before : len(data) - after]
    parts = [f"0 ({before} bytes)"] * bool(before)
    more = len(middle) - _SHOWN
    parts.append(middle[:_SHOWN].hex(" ") + f" ... (+{more} bytes)" * (more > 0))
    parts += [f"0 ({after} bytes)"] * bool(after)
    return ", ".join(parts)
