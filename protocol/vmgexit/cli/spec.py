"""`vmgexit spec`: each clause with the tests that check it. Works in a checkout of the repository."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError
from .formatter import examples

_CLAUSE = re.compile(r"^\*\*([A-Z]+-\d+)\.\*\* (.+)")
_ROOT = Path(__file__).resolve().parents[3]


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = "Every clause of specs/, its first sentence, and the tests marked with it."
    parser.epilog = examples("vmgexit spec --unchecked")
    parser.add_argument("--root", type=Path, default=_ROOT, help="the checkout (default: this one)")
    parser.add_argument("--unchecked", action="store_true", help="only clauses without a test")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    clauses = dict(_clauses(arguments.root / "specs"))
    if not clauses:
        raise UsageError(f"{arguments.root / 'specs'}: no clauses found, a checkout expected")
    tests: dict[str, list[str]] = {clause: [] for clause in clauses}
    for clause, test in _tests(arguments.root / "tests"):
        tests.setdefault(clause, []).append(test)
    unchecked = 0
    for clause, found in tests.items():
        unchecked += not found
        if arguments.unchecked and found:
            continue
        print(f"{clause:8} {clauses.get(clause, '(not in specs)')}")
        for test in found or ["(no test)"]:
            print(f"           {test}")
    print(f"{len(tests)} clauses, {unchecked} without a test")
    return 0


def _clauses(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.md")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := _CLAUSE.match(line):
                yield match[1], match[2]


def _tests(folder: Path) -> Iterator[tuple[str, str]]:
    """Every `@pytest.mark.clause(...)`, with the test under it."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.clause":
                    for argument in mark.args:
                        clause = ast.literal_eval(argument)
                        yield clause, f"{path.relative_to(folder.parent)}::{node.name}"
