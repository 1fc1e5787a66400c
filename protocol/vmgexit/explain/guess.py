"""What bytes look like: the structures that they could be, the likeliest first, with the reasons.

Pages are judged by the rules of `images.page_rules`, as `vmgexit find` does it. Any other structure is
judged by its declaration: the more of its bits are reserved or name known codes, the less likely it is
that bytes of something else keep all its rules.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from ..images.page_rules import KINDS
from ..images.scan import judge
from ..schema import Structure, leaves, members
from ..wire.page_size import PAGE
from ..wire.registry import structures
from .subject import plain

ENOUGH = 0.5
"""From this score on a guess is worth showing in full."""

_PART = 256
"""Bytes of a page that are enough to judge it by."""

_KINDS = {kind.structure.declaration.name: kind for kind in KINDS}
_HALF = 128  # ruled bits that are kept and make the guess half as doubtful
_TELLING = 8  # one byte of so many that is not zero is enough to tell
_NAMED = 0.3  # what a heading adds that names the structure


@dataclass(frozen=True, slots=True)
class Guess:
    """A structure that bytes could be. `score`: from 0 to 1."""

    structure: type[Structure]
    score: float
    reasons: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.structure.declaration.name


def guesses(data: bytes, heading: str = "") -> list[Guess]:
    """What `data` could be, the likeliest first. `heading`: the line above a dump, if there is one."""
    named = {name for name in structures() if _names(heading, name)}
    found = [_page(name, data, name in named) for name in _KINDS if len(data) >= _PART]
    found += [
        _structure(cls, data, name in named)
        for name, revisions in structures().items()
        for revision, cls in revisions.items()
        if cls.size == len(data) and not cls.declaration.any_length
        if name not in _KINDS and not revision
    ]
    found += [_headed(cls, data) for cls in _heads() if _begins(cls, data)]
    return sorted((guess for guess in found if guess.score), key=lambda guess: -guess.score)


@functools.cache
def _heads() -> tuple[type[Structure], ...]:
    """Structures that begin with bytes of their own, and that more may follow; but not those that only
    begin another one."""
    current = [revisions[""] for revisions in structures().values() if "" in revisions]
    heads = [cls for cls in current if isinstance(next(leaves(cls)).field.value, bytes)]
    inner = {cls.declaration.fields[0].of for cls in heads}
    return tuple(cls for cls in heads if cls not in inner)


def _begins(cls: type[Structure], data: bytes) -> bool:
    first = next(leaves(cls)).field.value
    return isinstance(first, bytes) and cls.size < len(data) and data.startswith(first)


def _headed(cls: type[Structure], data: bytes) -> Guess:
    place = next(leaves(cls))
    own = data if cls.declaration.any_length else data[: cls.size]
    after = len(data) - len(own)
    reasons = [f"begins with its {place.field.spec}", *[f"{after} bytes follow"] * (after > 0)]
    problems = [str(problem) for problem in cls.decode(own).problems()]
    return Guess(cls, 0.7 if problems else 0.95, tuple(reasons), tuple(problems))


def _names(heading: str, name: str) -> bool:
    """Whether a heading has the structure's name as words of its own."""
    words = [plain(word) for word in heading.replace("(", " ").replace(")", " ").split()]
    return plain(name) in words


def _page(name: str, data: bytes, is_named: bool) -> Guess:
    """A page by the rules of its kind; of a page that is cut short, by the part that is there."""
    kind = _KINDS[name]
    find = judge(kind, data[:PAGE].ljust(PAGE, b"\0"))
    score = min(1.0, find.score + _NAMED) if is_named and find.score else find.score
    reasons = (f"the line above names it: {name}", *find.reasons) if is_named else find.reasons
    if len(data) < PAGE:
        score *= 0.9 if is_named else 0.7
        against = (f"only {len(data)} of {PAGE} bytes are there", *find.against)
        return Guess(kind.structure, round(score, 2), reasons, against)
    return Guess(kind.structure, round(score, 2), reasons, find.against)


def _structure(cls: type[Structure], data: bytes, is_named: bool) -> Guess:
    problems = [str(problem) for problem in cls.decode(data).problems()]
    bits = _ruled(cls)
    reasons = [f"{cls.size} bytes, as many as it has"]
    if is_named:
        reasons.append(f"the line above names it: {cls.declaration.name}")
    score = _NAMED * is_named
    if problems:
        score += 0.1
    elif not any(data):
        score += 0.1
        reasons.append("all zero, which nearly every structure may be")
    elif bits:
        said = min(1.0, _TELLING * sum(map(bool, data)) / cls.size)  # zeros keep most rules
        score += 0.2 + 0.6 * (1 - 2 ** (-bits / _HALF)) * said
        reasons.append(f"keeps its rules, of {bits} bits of {8 * cls.size}")
    else:
        score += 0.15
        reasons.append("has no rules that could be broken")
    return Guess(cls, round(min(score, 1.0), 2), tuple(reasons), tuple(problems[:3]))


def _ruled(cls: type[Structure]) -> int:
    """Bits that a rule of the declaration fixes: reserved ones, and those that known codes leave."""
    total = 0.0
    for place in leaves(cls):
        field = place.field
        if field.rule is not None or field.value is not None:
            total += field.width
        elif field.enum is not None:
            total += max(0.0, field.width - math.log2(max(1, len(members(field.enum)))))
    return int(total)
