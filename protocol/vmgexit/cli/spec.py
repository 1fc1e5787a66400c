"""`vmgexit spec`: each clause with the rules and the tests that cite it, in a checkout; or the drafts
of others beside the declarations."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from ..clauses.judged import Specification, specification
from ..clauses.text import Clause
from ..counting import count_of
from ..drafts.checked import check, is_known
from ..drafts.document import Table, read
from ..errors import UsageError, hint, nearest
from .formatter import examples

_ROOT = Path(__file__).resolve().parents[3]
_INDENT = " " * 11


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Every clause of specs/, the rules in code that cite it, and the tests that check it. Exits 1"
        " where a clause has no test, an id is not defined, or a figure is not as it is declared."
        " With --check: where a draft in Markdown, Word or reStructuredText differs from the"
        " declarations, or contradicts itself; exits 1 if it does."
    )
    parser.epilog = examples(
        "vmgexit spec reg-2", "vmgexit spec --unchecked", "vmgexit spec --check DRAFT.docx"
    )
    parser.add_argument("clauses", nargs="*", metavar="CLAUSE", help="only these")
    parser.add_argument("--root", type=Path, default=_ROOT, help="the checkout (default: this one)")
    parser.add_argument("--unchecked", action="store_true", help="only clauses without a test")
    parser.add_argument("--check", type=Path, metavar="DRAFT", help="compare a draft instead")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.check is not None:
        return _check(arguments.check)
    found = specification(arguments.root)
    known = {clause.id: clause for clause in found.clauses}
    for name in arguments.clauses:
        if name.upper() not in known:
            near = hint(nearest(name.upper(), known))
            raise UsageError(f"no clause {name}{near or '; vmgexit spec lists them'}")
    wanted = {name.upper() for name in arguments.clauses} or set(known)
    checked = {test.clause for test in found.tests}
    for clause in found.clauses:
        if clause.id in wanted and not (arguments.unchecked and clause.id in checked):
            _show(found, clause)
    mistakes = list(found.mistakes())
    for mistake in mistakes:
        print(mistake)
    without = len(known.keys() - checked)
    figures = sum(len(clause.marks) for clause in found.clauses)
    print(
        f"{count_of(len(known), 'clause')}, {without} without a test;"
        f" {count_of(figures, 'figure')} compared; {count_of(len(mistakes), 'mistake')}"
    )
    return 1 if mistakes else 0


def _check(draft: Path) -> int:
    """Print what is found in a draft, and last how much of it could be compared."""
    blocks = read(draft)
    remarks = check(blocks)
    for remark in remarks:
        print(f"{draft}: {remark}")
    findings = sum(remark.is_finding for remark in remarks)
    are_known = [is_known(block) for block in blocks if isinstance(block, Table)]
    print(
        f"{draft}: {sum(are_known)} of {count_of(len(are_known), 'table')} compared;"
        f" {count_of(findings, 'finding')}"
    )
    return 1 if findings else 0


def _show(found: Specification, clause: Clause) -> None:
    first, *more = textwrap.wrap(clause.plain, 89, break_on_hyphens=False)
    print(f"{clause.id:11}{first}")
    for line in more:
        print(_INDENT + line)
    for name, among in (("rule", found.rules), ("test", found.tests)):
        for place in found.cited_by(clause.id, among) or ["none"]:
            print(f"    {name}   {place}")
