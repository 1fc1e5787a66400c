"""The clauses of a checkout with who cites them, and what is wrong with either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from . import citations, figures
from .citations import Citation
from .text import Clause, Page, pages


@dataclass(frozen=True, slots=True)
class Specification:
    """Every clause of a checkout, and every citation of one."""

    root: Path
    pages: tuple[Page, ...]
    rules: tuple[Citation, ...]
    tests: tuple[Citation, ...]

    @property
    def clauses(self) -> list[Clause]:
        return [clause for page in self.pages for clause in page.clauses]

    def cited_by(self, clause: str, among: tuple[Citation, ...]) -> list[str]:
        """Who cites a clause, each once."""
        return list(dict.fromkeys(str(each) for each in among if each.clause == clause))

    def mistakes(self) -> Iterator[str]:
        """Everything that is wrong: a line each, with its place."""
        yield from self._ids()
        yield from self._unchecked()
        yield from self._figures()

    def _ids(self) -> Iterator[str]:
        counts = Counter(clause.id for clause in self.clauses)
        for clause in self.clauses:
            if counts[clause.id] > 1:
                yield f"{self._place(clause)}: {clause.id} is defined {counts[clause.id]} times"
        for each in dict.fromkeys((*self.rules, *self.tests)):
            if each.clause not in counts:
                yield f"{each.file}:{each.line}: {each.clause} is defined nowhere in specs"

    def _unchecked(self) -> Iterator[str]:
        checked = {each.clause for each in self.tests}
        for clause in self.clauses:
            if clause.id not in checked:
                yield f"{self._place(clause)}: {clause.id} is checked by no test"

    def _figures(self) -> Iterator[str]:
        for page in self.pages:
            for clause in page.clauses:
                for mistake in (*figures.wrong(clause), *_links(page, clause)):
                    yield f"{self._place(clause)}: {clause.id}: {mistake}"

    def _place(self, clause: Clause) -> str:
        return f"{clause.file.relative_to(self.root).as_posix()}:{clause.line}"


def _links(page: Page, clause: Clause) -> Iterator[str]:
    """Marks that lead nowhere: a reader would see brackets, or a page that is missing."""
    for mark in clause.marks:
        target = page.targets.get(mark.path)
        if target is None:
            yield f"[{mark.path}] has no link at the end of the file"
        elif not (page.file.parent / target.partition("#")[0]).exists():
            yield f"[{mark.path}] leads to {target}, which is missing"


def specification(root: Path) -> Specification:
    """The clauses of the checkout at `root`. Raises UsageError where there are none."""
    found = tuple(pages(root / "specs"))
    ids = frozenset(clause.id for page in found for clause in page.clauses)
    if not ids:
        raise UsageError(f"{root / 'specs'}: no clauses found, a checkout expected")
    rules = tuple(citations.in_code(root, ids))
    return Specification(root, found, rules, tuple(citations.in_tests(root)))
