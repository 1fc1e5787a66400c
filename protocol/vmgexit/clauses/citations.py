"""Who cites a clause: rules in code by words, comments and arguments, tests by their marks."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODE = ("protocol", "fuzz")
"""The folders of a checkout whose code may cite."""

_TEXT = frozenset({tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)})


_GIVEN = re.compile(r"\bclause\s*=")


@dataclass(frozen=True, slots=True)
class Citation:
    """One place that names a clause."""

    clause: str
    file: str  # from the checkout's root
    line: int
    where: str  # the class, function or test around it; "" for a module's own words

    def __str__(self) -> str:
        around = f"::{self.where}" if self.where else f":{self.line}"
        return f"{self.file}{around}"


def in_tests(root: Path) -> Iterator[Citation]:
    """Every `@pytest.mark.clause(...)`, with the test under it. Raises OSError."""
    for file, source in _sources(root, "tests"):
        if "mark.clause" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.clause":
                    for argument in mark.args:
                        yield Citation(ast.literal_eval(argument), file, node.lineno, node.name)


def in_code(root: Path, ids: frozenset[str]) -> Iterator[Citation]:
    """Every id in a string or a comment of our code, and every `clause=` argument.

    `ids` are those defined: what begins as one of them is an id, defined or not. Raises OSError.
    """
    families = sorted({clause.partition("-")[0] for clause in ids})
    cited = re.compile(rf"\b({'|'.join(families)})-(\d+)(?:\s+(?:#\s*)?to\s+(?:#\s*)?\1-(\d+))?\b")
    for folder in CODE:
        for file, source in _sources(root, folder):
            cites = cited.search(source)  # most files have none, and parsing is slow
            if not cites and not _GIVEN.search(source):
                continue
            tree = ast.parse(source)
            yield from _named(tree, file)
            if not cites:
                continue
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                if token.type not in _TEXT:
                    continue
                for found in cited.finditer(token.string):
                    family, first, last = found.groups()
                    line = token.start[0] + token.string.count("\n", 0, found.start())
                    for number in range(int(first), int(last or first) + 1):
                        yield Citation(f"{family}-{number}", file, line, _around(tree, line))


def _named(tree: ast.Module, file: str) -> Iterator[Citation]:
    """What `clause=` is given, whatever it begins with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "clause":
            given = node.value
            if isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value:
                yield Citation(given.value, file, given.lineno, _around(tree, given.lineno))


def _around(tree: ast.Module, line: int) -> str:
    """The innermost class or function of a module around a line; its decorators belong to it."""
    found: list[str] = []
    inside: ast.AST | None = tree
    while inside is not None:
        inner = None
        for node in ast.iter_child_nodes(inside):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                if first <= line <= (node.end_lineno or first):
                    found.append(node.name)
                    inner = node
        inside = inner
    return ".".join(found)


def _sources(root: Path, folder: str) -> Iterator[tuple[str, str]]:
    for path in sorted((root / folder).rglob("*.py")):
        yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
