"""Every form of line that is known: an example of it, and the readings that its source demands."""

from __future__ import annotations

import pytest

from tests.conformance.ladders.log_lines import ROWS
from vmgexit.explain.lines import Known, Reader


def read(line: str) -> Known:
    [found] = Reader().lines([line.encode()])
    assert isinstance(found.says, Known)
    return found.says


@pytest.mark.parametrize(("line", "readings"), ROWS, ids=[row[0][-60:] for row in ROWS])
def test_line(line: str, readings: dict[str, int | str]) -> None:
    said = {word.name: word for word in read(line).words}
    for name, expected in readings.items():
        word = said[name]
        assert (word.value if isinstance(expected, int) else word.text) == expected
