"""Running the command line in this process, and what it said."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from vmgexit.cli import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that bad input gets."""
        assert self.code == 2
        assert self.out == ""
        [line] = self.err.splitlines()
        assert "Traceback" not in line
        return line


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def run_it(*words: str) -> Ran:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stopped:  # argparse
            code = int(stopped.code or 0)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run_it
