"""A name, a number, or a structure's name and a value: what it is, from the manual.

Spelling is tolerant. What is not known is told with the nearest names; a number that fits nothing,
with what was tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import errors
from ..errors import DecodeError
from ..read import numbers
from ..schema import Bits, Field, Structure, members
from ..wire.ghcb_msr import GhcbMsr
from ..wire.registry import find
from ..wire.termination import find_reason
from .loose_words import words_of
from .meanings import Said
from .number_readings import Reading, readings, tried
from .project_names import family_of
from .readers import UNUSED
from .subject import EXIT, FIELD, MSR, REASON, STRUCTURE, Subject, plain, spellings
from .subjects import by_name, by_number

LONGEST = 120
"""Letters of a question: a longer text is something else."""

_DIGITS = re.compile(r"[0-9a-fA-F]{2,16}")
_NEGATIVE = re.compile(r"-\d{1,10}")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|\d{1,19}")
_REASON = re.compile(r"(0x[0-9a-fA-F]{1,2}):(0x[0-9a-fA-F]{1,2})")
_INFO_WORDS = 2
_REGISTERS = (range(0xC0000000, 0xC0002000), range(0xC0010000, 0xC0012000))
"""Numbers of AMD's registers, as the permission map of MSRs has them (APM volume 2, 15.11)."""
_SOFTWARE = 1 << 31  # the first exit that no instruction causes by itself
_MARKS = "`'\"()<>.,;:!?"  # of sentences and of Markdown, around a name or a number
_BETWEEN = re.compile(r"\s*[=:]\s*|\s+")
_NEAREST = 5


@dataclass(frozen=True, slots=True)
class Number:
    """A number and what it can mean. `read_as`: how its digits were understood."""

    value: int
    read_as: str
    readings: list[Reading]


@dataclass(frozen=True, slots=True)
class Value:
    """A structure that was named, and the value that was given for it."""

    structure: type[Structure]
    held: Structure
    read_as: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question brought: pages by name, numbers by their readings, values of structures, words."""

    pages: list[Subject]
    numbers: list[Number]
    values: list[Value]
    note: str = ""
    words: tuple[Said, ...] = ()


def ask(text: str) -> Answer | None:
    """The answer to a short text; None where it is neither a known name nor a number."""
    question = text.strip()
    if not question or len(question) > LONGEST or "\n" in question:
        return None
    bare = question.strip(_MARKS).strip()
    return _answer(question) or (_answer(bare) if bare and bare != question else None)


def _answer(question: str) -> Answer | None:
    pages = named(question)
    if pages:
        return Answer(pages, [], [])
    if found := _numbers(question):
        return Answer([], found, [], _nothing(found))
    makers: Sequence[Callable[[str], Answer | None]] = (_of_reason, _of_exit, _of_name)
    if _register(question) is not None:  # a number of no name, and no value of another register
        makers = (_of_msr,)
    return next((answer for make in makers if (answer := make(question))), None)


def named(name: str) -> list[Subject]:
    """The subjects that `name` can mean, in any spelling."""
    known = by_name()
    if plain(name) in known:
        return known[plain(name)]
    family = family_of(name)
    for spelling in spellings(name)[1:]:
        found = [each for each in known.get(spelling, []) if each.kind is not FIELD]
        fits = [each for each in found if family is None or family.has(each)]
        if fits:
            return fits
    return []


def nearest(name: str) -> list[str]:
    """Names that are like `name`, the likeliest first."""
    known = by_name()
    near = errors.nearest(plain(name), known, most=_NEAREST)
    return list(dict.fromkeys(known[spelling][0].name for spelling in near))


def _numbers(question: str) -> list[Number]:
    """Every number that the text can be: bare digits can be hex, decimal, or bytes."""
    found = []
    if _NEGATIVE.fullmatch(question):
        value = int(question) % (1 << 64)
        found.append(Number(value, f"{question}, {value:#x}", readings(value)))
    if _DIGITS.fullmatch(question.replace("_", "")):
        value = int(question.replace("_", ""), 16)
        found.append(Number(value, f"hex, {value:#x}", readings(value)))
    try:
        number = numbers.number(question)
    except DecodeError:
        number = None
    if number is not None and number.kind == "number":
        read_as = f"decimal, {number.value:#x}" if number.is_decimal else f"{number}"
        found.append(Number(number.value, read_as, readings(number.value)))
    if _DIGITS.fullmatch(question) and len(question) in (4, 8, 16):
        swapped = int.from_bytes(bytes.fromhex(question), "little")
        if swapped not in (each.value for each in found):
            read_as = f"bytes in memory order, the little-endian number {swapped:#x}"
            found.append(Number(swapped, read_as, readings(swapped)))
    best = sorted(found, key=lambda each: -max((r.score for r in each.readings), default=0.0))
    return list({each.value: each for each in best}.values())


def _nothing(found: list[Number]) -> str:
    return "" if any(each.readings for each in found) else f"nothing fits; tried: {tried()}"


def _of_reason(question: str) -> Answer | None:
    """`0x1:0x2`, as KVM prints set and code of a termination."""
    if (match := _REASON.fullmatch(question)) is None:
        return None
    reason_set, code = (int(digits, 16) for digits in match.groups())
    found = find_reason(reason_set, code)
    pages = [page for page in named(found.name) if page.kind is REASON] if found else []
    own = [page for page in pages if page.place.startswith(f"set {reason_set},")]
    return Answer(own, [], []) if own else None


def _of_msr(question: str) -> Answer | None:
    """`MSR 0xc0010131`: a register by its number, and no exit for an access."""
    number = _register(question)
    pages = [page for page in by_number().get(number, []) if page.kind is MSR] if number else []
    return Answer(pages, [], []) if pages else None


def _register(question: str) -> int | None:
    """The number of an MSR that is asked for; None for another question.

    `MSR 0x100` is none: in logs of SEV that is the value of the GHCB MSR.
    """
    name, *rest = _BETWEEN.split(question)
    number = _value(rest[0]) if len(rest) == 1 and name.casefold() == "msr" else None
    return number if number is not None and any(number in each for each in _REGISTERS) else None


def _of_exit(question: str) -> Answer | None:
    """`SNP_AP_CREATION 0x1 0x5000`: an exit by name or number, and its information words.

    `CPUID 0x8000001f` is no such thing: the number is none of its words. Nor is `0x61 0x81`: two bytes.
    """
    name, *rest = question.split()
    values = [_value(word) for word in rest]
    if not 1 <= len(values) <= _INFO_WORDS or None in values:
        return None
    code = _value(name)
    if code is not None and code < _SOFTWARE:
        return None
    pages = named(name) if code is None else by_number().get(code, [])
    for page in pages:
        if page.kind is EXIT and page.number is not None:
            given = zip(("sw_exit_info_1", "sw_exit_info_2"), values, strict=False)
            words = [
                f"sw_exit_code={page.number:#x}",
                *(f"{hole}={held:#x}" for hole, held in given),
            ]
            said = words_of(" ".join(words))
            if page.number >= _SOFTWARE or not any(
                each.problems or UNUSED in each.text for each in said
            ):
                return Answer([page], [], [], words=said)
    return None


def _value(word: str) -> int | None:
    """A number with 0x, or a decimal one."""
    if _NUMBER.fullmatch(word) is None:
        return None
    return int(word, 0) if word[:2] in ("0x", "0X") else int(word)


def _of_name(question: str) -> Answer | None:
    """`ghcb-msr 0x100`, `policy = 0x30000`: a structure or field by name, and its value."""
    parts = _BETWEEN.split(question)
    for cut in range(len(parts) - 1, 0, -1):
        values = _values(" ".join(parts[cut:]))
        if not values:
            return None
        if answer := _valued(named(" ".join(parts[:cut])), values):
            return answer
    return None


def _values(text: str) -> list[numbers.Understood] | None:
    """Numbers with 0x, or one without, as `numbers` reads it."""
    if values := numbers.tokens(text):
        return values
    try:
        return [numbers.number(text)]
    except DecodeError:
        return None


def _valued(subjects: list[Subject], values: list[numbers.Understood]) -> Answer | None:
    """The values as each of these structures and fields: words, or the pages of codes."""
    held: list[Value] = []
    pages: list[Subject] = []
    for each in subjects:
        field = each.field
        layout = each.name if each.kind is STRUCTURE else _layout(field)
        if layout:
            held += [value for value in valued(layout, values) if value not in held]
        elif field is not None and field.enum is not None:
            known = members(field.enum)
            codes = [known[value.value] for value in values if value.value in known]
            pages += [page for code in codes for page in named(code.name) if page.number == code]
    pages = [page for at, page in enumerate(pages) if page not in pages[:at]]
    return Answer(pages, [], held) if pages or held else None


def _layout(field: Field | None) -> str:
    """The name of the word that a field is; "" for another field."""
    inner = field.of if field is not None else None
    return inner.declaration.name if inner is not None and issubclass(inner, Bits) else ""


def valued(name: str, values: list[numbers.Understood]) -> list[Value]:
    """The values as structures of that name; those that do not fit are left out."""
    cls = find(name)
    found: list[Value] = []
    for value in values:
        try:
            held = _specific(cls.decode(value.sized(cls.size)))
        except DecodeError:
            continue
        if all(held != other.held for other in found):
            found.append(Value(type(held), held, str(value)))
    return found


def _specific(held: Structure) -> Structure:
    """A value of the GHCB MSR by the declaration of its code."""
    return held.specific if isinstance(held, GhcbMsr) else held
