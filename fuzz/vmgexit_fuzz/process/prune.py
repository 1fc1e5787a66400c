"""Making a corpus small: the smallest inputs that together reach all that the corpus reaches.

It runs as a process of its own (`python -m vmgexit_fuzz.process.prune`), because probes must be in
place before the target is imported. It runs the inputs from the smallest to the largest, and keeps
an input that reaches a counter that no smaller input reached. It also keeps each finding, since a
finding stops before its end.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from .. import probes
from ..targets import Conditions, find


def prune(corpus: Path, about: dict[str, Any], others: Sequence[Path] = ()) -> tuple[int, int]:
    """Prune a corpus, which may grow meanwhile: how many inputs there were, and are.

    It may be stopped at any moment: what is taken in comes first, and what goes is not needed.
    """
    paths = [
        path
        for folder in (corpus, *others)
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    kept = set(_kept(about, paths))
    for path in kept:
        if path.parent != corpus:
            data = path.read_bytes()
            write(corpus / hashlib.sha1(data).hexdigest(), data)
    for path in paths:
        if path.parent == corpus and path not in kept:
            path.unlink(missing_ok=True)
    return len(paths), len(kept)


def _kept(about: dict[str, Any], paths: list[Path]) -> list[Path]:
    request = json.dumps({**about, "paths": [str(path) for path in paths]})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "vmgexit_fuzz.process.prune"],
        input=request.encode(),
        capture_output=True,
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise VmgexitError(f"pruning: the process ended with code {done.returncode}: {last}")
    return [Path(path) for path in json.loads(done.stdout)]


def main() -> None:
    """Read a request, run its inputs, write the list of those to keep."""
    request = json.loads(sys.stdin.read())
    row = find(request["target"])
    probes.install(row.probed)
    # No planted bug and no peer: a folder that somebody sent must not choose code to run.
    target = row.open(Conditions(profile=request["profile"], guest=request.get("guest", "")))
    if row.has_states:
        from . import states

        states.install()
        target.observe = states.mark
    reached, kept, seen = set[int](), list[str](), set[bytes]()
    target.run(b"")  # what is imported late
    for path in sorted(map(Path, request["paths"]), key=_size):
        probes.clear()
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # the engine put a smaller one in its place
            continue
        if data in seen:
            continue
        seen.add(data)
        try:
            target.run(data)
            finding = False
        except (Exception, SystemExit):
            finding = True
        now = probes.passed()
        if finding or not now <= reached:
            kept.append(str(path))
            reached |= now
    json.dump(kept, sys.stdout)


def _size(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_size, path.name
    except FileNotFoundError:
        return 0, path.name


if __name__ == "__main__":
    main()
