"""Running a corpus again in a process of its own, with a time limit, and counting the lines that it
runs.

`replayed` starts the process. The process runs inputs of strangers, but no planted bug and no peer:
a folder that somebody sent must not choose code to run.

The process starts coverage.py before it imports the machine, so that lines which the import runs
count too. This module must therefore not import the machine itself.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reach import Reach

_GRACE_SECONDS = 20  # for starting, and for counting lines at the end
_PACKAGE = "vmgexit.machine"


@dataclass(frozen=True, slots=True)
class File:
    """How much of one file of the machine ran. `missing` are line ranges: `12-14, 20`."""

    name: str
    lines: int
    passed: int
    missing: str


@dataclass(slots=True)
class Replayed:
    """What came of it. `why` says why nothing was counted, where nothing was."""

    found: int  # inputs in the corpus
    reach: Reach | None = None
    files: list[File] = field(default_factory=list)
    why: str = ""
    why_no_lines: str = ""


def replayed(
    corpus: list[Path], target: str, profile: str, seconds: float, guest: str = ""
) -> Replayed:
    """Run the inputs for `seconds` at most, in the order given."""
    from .reach import Reach

    result = Replayed(len(corpus))
    if not corpus:
        result.why = "the corpus is empty"
        return result
    order = {
        "corpus": [str(path) for path in corpus],
        "target": target,
        "profile": profile,
        "guest": guest,
        "seconds": seconds,
    }
    try:
        done = subprocess.run(
            # -P: a module in the current folder is not ours.
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=seconds + _GRACE_SECONDS,
            check=True,
        )
        told = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        result.why = f"the replay did not end within {seconds + _GRACE_SECONDS:g} s"
        return result
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="backslashreplace").strip().rpartition("\n")[2]
        result.why = f"the replay ended with status {error.returncode}: {last}"
        return result
    except ValueError:
        result.why = "the replay said nothing readable"
        return result
    result.reach = Reach.from_json(told["reach"])
    result.files = [File(**file) for file in told["files"]]
    result.why_no_lines = told["why_no_lines"]
    return result


def main() -> None:
    """The process: an order on standard input, a JSON object on standard output."""
    order = json.load(sys.stdin)
    measured = _Lines()
    with measured:
        reach = _reach(order)
    told = {
        "reach": reach.as_json(),
        "files": list(measured.files()),
        "why_no_lines": measured.why,
    }
    json.dump(told, sys.stdout)


def _reach(order: dict[str, Any]) -> Reach:
    from ..targets import Conditions, find
    from .reach import Reach

    row, reach = find(order["target"]), Reach()
    target: Any = row.open(Conditions(profile=order["profile"], guest=order["guest"]))
    with limited(order["seconds"]):
        for path in order["corpus"]:
            commands = target.commands(Path(path).read_bytes()[: row.longest])
            reach.add(commands, target.quirks, target.invariants)
    return reach


class TimeUp(BaseException):
    """No Exception, so that nothing on the way takes it for a failure of the machine."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """End what is inside after so many seconds, without an error."""

    def end(*_: object) -> None:
        raise TimeUp

    signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))  # 0 would be for ever
        yield
    except TimeUp:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Lines:
    """The lines of the machine that run inside, by coverage.py; `why` not, where it is missing."""

    def __init__(self) -> None:
        self.why = ""
        self._coverage: Any = None
        self._folder = _folder()
        try:
            import coverage
        except ImportError:
            self.why = "coverage.py is not installed (pip install coverage)"
            return
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[f"{self._folder}/**/*.py"]
        )

    def __enter__(self) -> None:
        if self._coverage is not None:
            self._coverage.start()

    def __exit__(self, *_: object) -> None:
        if self._coverage is not None:
            self._coverage.stop()

    def files(self) -> Iterator[dict[str, Any]]:
        """A row for each file of which any line ran."""
        if self._coverage is None:
            return
        for name in sorted(self._coverage.get_data().measured_files()):
            _, lines, _, missing, ranges = self._coverage.analysis2(name)
            yield {
                "name": Path(name).relative_to(self._folder).as_posix(),
                "lines": len(lines),
                "passed": len(lines) - len(missing),
                "missing": ranges,
            }


def _folder() -> Path:
    """Where the machine is, without importing it."""
    spec = importlib.util.find_spec("vmgexit")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / _PACKAGE.partition(".")[2]


if __name__ == "__main__":
    main()
