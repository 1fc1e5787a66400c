"""Claims in running text: bits of a field, numbers of names, sizes, and how many there are.

Each is a row of `CLAIMS`: a function that reads one sentence. It reports only what it can name a
declaration for; a sentence that says there is none of something is no claim.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from ..clauses.figures import WORDS, enums, spoken
from ..counting import count_of
from ..layout.naming import label
from ..schema import Structure
from ..schema.walk import Place, leaves
from ..wire.registry import letters
from ..wire.svsm import Call, Protocol, ResultCode
from .calls import Register
from .known import (
    calls_named,
    clause_of_calls,
    codes_of,
    every_call,
    every_structure,
    numbers,
    phrase,
)
from .report import Remark

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(`])")
_NEGATIVE = re.compile(r"\b(no|not|never|nor|neither|erroneous|removed)\b", re.IGNORECASE)
_LIST = r"(\d{1,4}(?:(?:\s*(?:,|:|-|–|to|through|and|or|, and|, or)\s+|:)\d{1,4}\b)*)"


@dataclass(slots=True)
class Context:
    """What the text around a sentence speaks of."""

    protocol: Protocol | None = None
    calls: list[Call] = field(default_factory=list)  # that the draft names anywhere
    structures: list[type[Structure]] = field(default_factory=list)  # likewise
    section: list[Call] = field(default_factory=list)  # that the section names
    registers: list[Register] = field(default_factory=list)  # of the section's table


def remarks(text: str, place: str, context: Context) -> Iterator[Remark]:
    """What the sentences of a paragraph say that no declaration does."""
    for sentence in _SENTENCE.split(text):
        for claim in CLAIMS:
            for said, clause in claim(sentence, context):
                yield Remark(place, said, clause)


_Said = Iterator[tuple[str, str]]


# --- bits -----------------------------------------------------------------------------------------

_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3}
_WINDOW = re.compile(
    rf"\bbits?\s+{_LIST}\s+(?:\w+\s+)?(?:in|of) the (first|second|third|fourth)"
    r" (8|16|32|64)-bit word (?:of|in) (.{1,80})",
    re.IGNORECASE,
)
_BESIDE = (
    re.compile(r"\b([A-Z]\w{3,})\b`? \(bits? (\d{1,3}(?::\d{1,3})?)\)"),
    re.compile(
        r"\b([A-Z]\w{3,})\b`? (?:is|are|in|stands in|occupies) bits? (\d{1,3}(?::\d{1,3})?)\b"
    ),
    re.compile(r"\bbits? (?P<b>\d{1,3}(?::\d{1,3})?),? \(`?(?P<a>[A-Z]\w{3,})\b"),
)
_COMMON = frozenset(
    ["which", "what", "that", "with", "this", "then", "when", "will", "into", "bits", "bit", "word"]
) | {"the", "for", "and", "set"}


def _bits_of_a_word(sentence: str, _context: Context) -> _Said:
    """`bit 8, 9 or 10 in the second 16-bit word of X`: the fields that the words are about."""
    for found in _WINDOW.finditer(sentence):
        structure = phrase(found[4])
        if structure is None:
            continue
        width = int(found[3])
        start = _ORDINALS[found[2].lower()] * width
        inside = [
            place
            for place in leaves(structure)
            if start <= place.bit_offset < start + width and place.field.rule is None
        ]
        meant = _about(sentence, inside)
        bits = {place.bit_offset - start + at for place in meant for at in range(place.field.width)}
        if meant and not _numbers(found[1]) <= bits:
            owner = meant[0].owner
            told = f"bits {found[1]} of the {found[2]} {width}-bit word of {label(structure)} found"
            there = f"{', '.join(map(str, sorted(bits)))} are {label(owner)}'s"
            yield f"{told}, {there}", meant[0].clause


def _about(sentence: str, places: list[Place]) -> list[Place]:
    """Of the structures and fields in a word, those whose description shares most with a sentence."""
    groups: dict[object, list[Place]] = {}
    for place in places:
        owner = place.owner
        is_word = owner.declaration.is_bits and place.field.width == 1
        groups.setdefault(owner if is_word else place.path, []).append(place)
    said = _words(sentence)

    def shared(group: list[Place]) -> int:
        texts = [each.field.meaning + " " + each.field.spec for each in group]
        titles = group[0].owner.declaration.title if len(group) > 1 else ""
        return len(said & _words(" ".join([*texts, titles])))

    best = max(groups.values(), key=shared, default=[])
    return best if best and shared(best) else []


def _words(text: str) -> set[str]:
    found = {word.lower().rstrip("s") for word in re.findall(r"[A-Za-z]{3,}", text)}
    return found - _COMMON


def _numbers(listed: str) -> set[int]:
    found = [int(each) for each in re.findall(r"\d+", listed)]
    if len(found) == 2 and re.search(r":|-|–|to|through", listed):
        return set(range(min(found), max(found) + 1))
    return set(found)


def _bits_beside_a_name(sentence: str, context: Context) -> _Said:
    """`MultipleVectors (bit 14)`: any structure that the draft speaks of may have it there."""
    for pattern in _BESIDE:
        for found in pattern.finditer(sentence):
            groups = found.groupdict()
            name, bits = (groups["a"], groups["b"]) if groups else found.groups()
            known = [
                (cls, each)
                for cls in every_structure()
                if cls.declaration.is_bits
                for each in cls.declaration.fields
                if letters(each.spec) == letters(name)
            ]
            near = [pair for pair in known if pair[0] in context.structures] or known
            if near and bits not in {each.bits for _, each in known}:
                cls, each = near[0]
                clause = each.clause or cls.declaration.clause
                yield f"{name}: bits {bits} found, {each.bits} in {label(cls)}", clause


# --- names and their numbers ----------------------------------------------------------------------

_EQUALS = re.compile(
    r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b`?(?:: u\d+)?\s*(?:\(|=|is|has the value)\s*"
    r"(0x[0-9a-fA-F]{1,16}|\d{1,10})\b"
)
_NAME = r"`?([A-Z][A-Z0-9]*_[A-Z0-9_]+)"
_CALL = re.compile(
    rf"{_NAME}`?(?:,| is| \() ?call (\d{1, 10})|\b[Cc]all (\d{1, 10}) ?[(,:] ?{_NAME}"
)
_ANY_CALL = re.compile(r"\bcall (?:ID |number )?(\d{1,10})\b(?: \(([^)]{3,60})\))?", re.IGNORECASE)


def _numbers_of_names(sentence: str, _context: Context) -> _Said:
    for name, said in _EQUALS.findall(sentence):
        given = int(said, 0) if not said.isdecimal() else int(said)
        call = [each for each in every_call() if each.name == name]
        # What SVSM's documents call SVSM_ERR_INVALID_PARAMETER is INVALID_PARAMETER of the result codes.
        among = [ResultCode] if name.startswith("SVSM_") else enums().values()
        short = name.removeprefix("SVSM_").removeprefix("ERR_")
        values = {each.number for each in call} or {
            int(member)
            for enum in among
            for member in enum
            if letters(member.name) in (letters(name), letters(short))
        }
        if values and given not in values:
            clause = call[0].clause or clause_of_calls(call[0].protocol) if call else ""
            yield f"{name}: {said} found, {' or '.join(map(hex, sorted(values)))} declared", clause


def _numbers_of_calls(sentence: str, context: Context) -> _Said:
    """`call 5 (Configure Alternate Injection)`, where the draft is about one protocol."""
    if context.protocol is None or _NEGATIVE.search(sentence):
        return
    of_it = [each for each in every_call() if each.protocol is context.protocol]
    named = calls_named(sentence)
    for said, _ in _ANY_CALL.findall(sentence):
        if int(said) not in {each.number for each in of_it}:
            text = f"call {said}: {context.protocol.name} has {numbers(of_it)}"
            yield text, clause_of_calls(context.protocol)
    for found in _CALL.finditer(sentence):
        name, said = (found[1], found[2]) if found[1] else (found[4], found[3])
        of_name = {each.number for each in named if each.name == name}
        if of_name and int(said) not in of_name and int(said) in {each.number for each in of_it}:
            text = f"{name} is call {said} here, call {min(of_name)} of {context.protocol.name}"
            yield text, clause_of_calls(context.protocol)


# --- sizes and counts -----------------------------------------------------------------------------

_SIZE = re.compile(
    r"(.{4,60}?),? (?:which )?(?:is|are|has|takes|occupies) (?:a size of )?(0x[0-9a-f]{1,8}|\d[\d,]{0,9})"
    r" bytes\b(?! each)|(0x[0-9a-f]{1,8}|\d[\d,]{0,9})-byte (.{4,40})",
    re.IGNORECASE,
)


def _sizes(sentence: str, _context: Context) -> _Said:
    """`the descriptor is 64 bytes`, where what stands before is one structure and nothing else."""
    for found in _SIZE.finditer(sentence):
        said = int((found[2] or found[3]).replace(",", ""), 0)
        text = found[1] or found[4]
        structure = phrase(text)
        if structure is None or structure.declaration.any_length:
            continue
        name = structure.declaration.name
        sizes = {cls.size for cls in every_structure() if cls.declaration.name == name}
        if said not in sizes:
            told = f"{name}: {count_of(said, 'byte')} found, {structure.size} declared"
            yield told, structure.declaration.clause


_AMOUNT = "|".join(word for word, value in WORDS.items() if value > 1)
_COUNT = re.compile(
    rf"\b({_AMOUNT}|\d{{1,2}})\s+(?:\w+\s+){{0,2}}?"
    r"(inputs|values|requests|forms|kinds|types|operations|encodings|codes|calls)\b",
    re.IGNORECASE,
)


def _counts(sentence: str, context: Context) -> _Said:
    """`one of two requests, register and deregister`: how many codes, or calls, there are."""
    for found in _COUNT.finditer(sentence):
        amount = spoken(found[1])
        enum, clause = _counted(sentence, found[2], context)
        if enum is not None:
            if amount != len(enum):
                listed = ", ".join(each.name for each in sorted(enum))
                yield f"{found[0]} found, {enum.__name__} has {len(enum)}: {listed}", clause
        elif found[2].lower() == "calls" and context.protocol and "protocol" in sentence.lower():
            current = {c.number for c in every_call() if c.protocol is context.protocol}
            if amount != len(current):
                text = f"{found[0]} found, {context.protocol.name} has {len(current)}"
                yield text, clause_of_calls(context.protocol)


def _counted(sentence: str, noun: str, context: Context) -> tuple[type[IntEnum] | None, str]:
    """The enumeration that a sentence counts, which names two of its codes whole, with its clause.

    `noun`: what is counted, `requests`; it names no code.
    """
    said = {each for word in _words(sentence) - _words(noun) for each in (word, _stem(word))}
    layouts = [
        each.layout
        for call in [*context.section, *context.calls]
        for each in call.inputs
        if each.layout is not None and not call.revision
    ]
    for cls in dict.fromkeys([*layouts, *context.structures]):
        for enum in codes_of(cls):
            if sum(said >= set(_words(each.name.replace("_", " "))) for each in enum) >= 2:
                return enum, cls.declaration.clause
    named = {call.name: call for call in calls_named(sentence) if not call.revision}
    inputs = [each.layout for call in named.values() for each in call.inputs if each.layout]
    codes = [(enum, cls.declaration.clause) for cls in inputs for enum in codes_of(cls)]
    return codes[0] if len(named) == 1 and len(codes) == 1 else (None, "")


def _stem(word: str) -> str:
    """A verb without its ending, and `unregister` as `deregister`."""
    return re.sub(r"^un", "de", re.sub(r"(ing|ed|ation)$", "", word))


# --- registers ------------------------------------------------------------------------------------

_GIVEN = re.compile(
    r"\b(?:passed|specified|provided|given|supplied)\s+(?:\w+\s+){0,3}?(?:via|in|by|through)\s+"
    r"(?:the )?`?(R(?:AX|BX|CX|DX|\d+))\b|source index in `?(R(?:AX|BX|CX|DX|\d+))\b"
)


def _registers(sentence: str, context: Context) -> _Said:
    """`passed via RAX`, where the section's own table of registers has no RAX going in."""
    ways = {(each.name, each.way) for each in context.registers}
    for found in _GIVEN.finditer(sentence):
        name = found[1] or found[2]
        if ways and (name.lower(), "in") not in ways:
            inputs = ", ".join(sorted(each.upper() for each, way in ways if way == "in"))
            yield f"{name} goes in here; in the table above {inputs} do", ""


CLAIMS: Sequence[Callable[[str, Context], _Said]] = (
    _bits_of_a_word,
    _bits_beside_a_name,
    _numbers_of_names,
    _numbers_of_calls,
    _sizes,
    _counts,
    _registers,
)
