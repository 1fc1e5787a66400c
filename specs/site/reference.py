"""The pages of the reference that tables make: structures, calls, exits, quirks, invariants, clauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from vmgexit.clauses.judged import Specification, specification
from vmgexit.hosts import quirks as host_quirks
from vmgexit.layout.document import Grid, text_of
from vmgexit.layout.formats import md
from vmgexit.layout.references import Reference, published_references
from vmgexit.layout.subjects import name_of, published
from vmgexit.machine import quirks as machine_quirks
from vmgexit.watch.hosts.invariants import HOST_INVARIANTS as OF_HOSTS
from vmgexit.watch.invariants import INVARIANTS

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = "../specs/layouts"


def write(folder: Path) -> None:
    """Write each page of `PAGES`."""
    folder.mkdir(exist_ok=True)
    for name, (title, intro, lines) in PAGES.items():
        text = "\n".join([f"# {title}", "", intro, "", *lines()])
        (folder / f"{name}.md").write_text(text + "\n")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(head)
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _structures() -> Iterator[str]:
    yield from _table(
        ("Structure", "Bytes", "What it is"),
        (
            (
                f"[{name_of(cls)}]({LAYOUTS}/{name_of(cls)}.md)",
                f"{cls.size} or more" if cls.declaration.any_length else str(cls.size),
                md.escape((cls.__doc__ or "").partition("\n")[0]),
            )
            for cls in published()
        ),
    )


def _references(*among: str) -> Callable[[], Iterator[str]]:
    """The lists whose name ends so, each with what it lists."""

    def lines() -> Iterator[str]:
        for one in published_references():
            if one.name.endswith(among):
                yield from (f"## [{one.name}]({LAYOUTS}/{one.name}.md)", "")
                yield from (md.escape(one.title), "")
                for grid in one.document.sections[0].grids:
                    yield from _grid(one, grid)

    return lines


def _grid(listed: Reference, grid: Grid) -> Iterator[str]:
    """A table of a list; a name that has a section of its own is a link to it, where versions stand."""
    sections = {section.label for section in listed.document.sections}
    shown = [at for at, column in enumerate(grid.columns) if column != "First version"]

    def cell(text: str) -> str:
        place = f"{LAYOUTS}/{listed.name}.md#{md.anchor(text)}"
        return f"[{md.escape(text)}]({place})" if text in sections else md.escape(text)

    if len(listed.document.sections[0].grids) > 1:
        yield from (f"{md.escape(grid.caption)}:", "")
    rows = ([cell(text_of(row[at])) for at in shown] for row in grid.rows)
    yield from (*_table((grid.columns[at] for at in shown), rows), "")


def _quirks() -> Iterator[str]:
    kinds = (
        ("SVSMs", machine_quirks.PROFILES, "quirks"),
        ("GHCB hosts", host_quirks.PROFILES, "hosts"),
    )
    for title, profiles, folder in kinds:
        yield from (f"## Quirks of {title}", "")
        yield from _table(
            ("Quirk", "What happens", "A scenario that shows it"),
            (
                (f"`{name}`", md.escape(profiles.happens(name)), _scenario(folder, name))
                for name in profiles.names()
            ),
        )
        yield ""


def _scenario(folder: str, name: str) -> str:
    path = f"corpus/{folder}/{name}.jsonl"
    return f"`{path}`" if (ROOT / path).exists() else ""


def _invariants() -> Iterator[str]:
    files = {clause.id: clause.file.name for clause in _specification().clauses}
    yield from _table(
        ("Clause", "What must hold", "It had something to check when"),
        (
            (
                f"[{one.name}](../specs/{files[one.name]})",
                md.escape(one.meaning),
                md.escape(one.when),
            )
            for one in sorted((*INVARIANTS, *OF_HOSTS), key=_by_number)
        ),
    )


def _by_number(one: Any) -> tuple[str, int]:
    kind, _, number = one.name.partition("-")
    return kind, int(number)


@cache
def _specification() -> Specification:
    return specification(ROOT)


def _clauses() -> Iterator[str]:
    found = _specification()
    for page in found.pages:
        if not page.clauses:
            continue
        yield from (f"## [{page.file.stem}](../specs/{page.file.name})", "")
        yield from _table(
            ("Clause", "Text", "Tests"),
            (
                (
                    clause.id,
                    md.escape(clause.plain),
                    str(len(found.cited_by(clause.id, found.tests))),
                )
                for clause in page.clauses
            ),
        )
        yield ""


PAGES: dict[str, tuple[str, str, Callable[[], Iterator[str]]]] = {
    "structures": (
        "Structures",
        "Each structure and each revision of it, with its table and its drawing.",
        _structures,
    ),
    "calls": (
        "SVSM calls",
        "What a guest asks of the SVSM: registers, result codes, memory.",
        _references("-calls"),
    ),
    "exits": (
        "Exits and MSR words",
        "What a guest asks of the host: by a GHCB page, or by the GHCB MSR.",
        _references("-exits", "-words", "-codes", "-reasons"),
    ),
    "quirks": (
        "Quirks",
        "How implementations depart from the reference. Each is a switch: `--profile NAME`.",
        _quirks,
    ),
    "invariants": (
        "Invariants",
        "What campaigns, replays and the explorer check after each step.",
        _invariants,
    ),
    "clauses": (
        "Clauses",
        "Every clause of the specification, and how many tests check it.",
        _clauses,
    ),
}
