"""What README shows is what happens: its Python runs, and its commands print what stands below them."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^    \$ vmgexit (.+)\n((?:    [^$].*\n|\n(?=    ))+)", README, re.MULTILINE)


def test_the_python_gives_the_values_beside_it() -> None:
    names: dict[str, Any] = {}
    values = 0
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        lines = block.splitlines()
        for statement in ast.parse(block).body:
            _, _, expected = lines[(statement.end_lineno or 0) - 1].partition("  # ")
            if isinstance(statement, ast.Expr):
                assert repr(eval(ast.unparse(statement), names)) == expected  # noqa: S307
                values += 1
            else:
                exec(ast.unparse(statement), names)  # noqa: S102
    assert values >= 4


@pytest.mark.parametrize(("words", "output"), SHOWN, ids=[words for words, _ in SHOWN])
def test_a_command_prints_what_stands_below_it(words: str, output: str, run: Run) -> None:
    said, rest, _ = output.replace("    ", "", 1).replace("\n    ", "\n").partition("...\n")
    done = run(*words.split())
    assert done.code == 0
    assert (done.err + done.out).startswith(said) if rest else done.err + done.out == said


def test_every_command_is_in_the_table(run: Run) -> None:
    listed = re.findall(r"^    (\w+) ", run("--help").out, re.MULTILINE)
    table = README.partition("| command |")[2].partition("\n\n")[0]
    assert [name for name in listed if not re.search(rf"`(vmgexit )?{name}\b", table)] == []
