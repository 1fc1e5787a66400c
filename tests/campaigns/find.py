"""How good campaigns are: how soon each method finds each planted bug, all methods in one run.

`cases` says what is to be found, `methods` what searches, `child` is the process of one search,
`schedule` starts them, `score` and `report` say what came of it. Every search starts from an empty corpus
without seeds, and its time counts from its first input. `speed` is apart: how fast the loop is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vmgexit.errors import UsageError

from .cases import cases
from .methods import METHODS, USUAL

SEEDS, SECONDS, JOBS = 5, 20.0, 2
QUICK_SECONDS = 5.0


def run(
    *,
    bugs: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: int = SEEDS,
    seconds: float = SECONDS,
    jobs: int = JOBS,
    output: Path | None = None,
) -> int:
    """Let `methods` search for `bugs` (all of them where none is named) and say how soon they found
    them: 0; 1 when a trial failed, which is left out; 130 when interrupted, with what there was then.

    `seconds` is each trial's budget; `jobs` trials run at a time; `output` is a folder for `bench.md`
    and `bench.json`. Raises UsageError for a name that there is not, and OSError when the folder
    cannot be written.
    """
    from vmgexit.files import write

    from .report import Bench, show
    from .schedule import make

    bench = Bench(
        _chosen("bug", bugs, cases()),
        list(_chosen("method", methods or USUAL, METHODS)),
        seeds,
        seconds,
        jobs,
    )
    interrupted = make(bench)
    show(list(bench.rows()), list(bench.notes()))
    if output is not None:
        write(output / "bench.md", bench.markdown().encode())
        write(output / "bench.json", bench.as_json())
        print(f"written: {output / 'bench.md'}, {output / 'bench.json'}")
    return 130 if interrupted else int(bool(bench.failed))


def _chosen(what: str, names: Iterable[str], there_are: Mapping[str, Any]) -> dict[str, Any]:
    """The entries named, or all. Raises UsageError."""
    for name in names:
        if name not in there_are:
            raise UsageError(f"unknown {what} {name}; there are {', '.join(there_are)}")
    return {name: there_are[name] for name in names or there_are}
