"""What a layout can be asked for: structures and references, by their names on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from ..errors import UsageError, hint, nearest
from ..schema import Structure
from ..wire.registry import CHAPTERS, find, letters, structures
from .described import document_of
from .document import Document
from .naming import label
from .references import Reference, published_references, references

Subject = type[Structure] | Reference


def subject(name: str, revision: str | None = None) -> Subject:
    """The structure or the reference called `name`. Raises UsageError with the nearest names."""
    known = {letters(each): found for each, found in references().items()}
    if revision is None and (found := known.get(letters(name))):
        return found
    try:
        return find(name, revision)
    except UsageError:
        if revision is not None or "@" in name:
            raise
        names = {letters(each): each for each in (*chain(*CHAPTERS.values()), *references())}
        near = hint(names[each] for each in nearest(letters(name), names))
        raise UsageError(f"nothing is called {name}{near}; see vmgexit list") from None


def published() -> list[type[Structure]]:
    """Every structure, by name; the current revision first, then ascending."""
    return [
        cls for _, revisions in sorted(structures().items()) for _, cls in sorted(revisions.items())
    ]


def every() -> list[Subject]:
    """Every structure, then every reference that is no part of another."""
    return [*published(), *published_references()]


def name_of(one: Subject) -> str:
    """`doorbell-page@2024-05-16`, `core-calls`: as a file is called, without what it ends with."""
    return one.name if isinstance(one, Reference) else label(one)


def document(one: Subject, *, full: bool = False) -> Document:
    """What a format of text shows of `one`."""
    return one.document if isinstance(one, Reference) else document_of(one, full=full)


def classes(subjects: Iterable[Subject]) -> list[type[Structure]]:
    """The structures among `subjects`."""
    return [one for one in subjects if not isinstance(one, Reference)]
