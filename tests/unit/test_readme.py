"""The Python examples of README.md give what their comments say."""

import ast
import re
from pathlib import Path
from typing import Any

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_examples_give_what_their_comments_say() -> None:
    names: dict[str, Any] = {}
    checked = 0
    for block in re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for statement in ast.parse(block).body:
            code = ast.get_source_segment(block, statement) or ""
            if not isinstance(statement, ast.Expr):
                exec(code, names)  # noqa: S102  # our own text
                continue
            line = block.splitlines()[(statement.end_lineno or 0) - 1]
            _, _, comment = line.partition("  # ")
            assert repr(eval(code, names)) == comment  # noqa: S307
            checked += 1
    assert checked
