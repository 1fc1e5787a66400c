"""Making a corpus small: of all inputs the smallest ones that reach together what all of them reach.

Runs as a process of its own (`python -m vmgexit_fuzz.campaign.merge`), because probes must be in place
before the target is imported. Inputs are tried from the smallest on; one that reaches a counter that no
smaller one did is kept. An input that is a finding is kept too: what it reaches is not all run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from vmgexit.errors import VmgexitError

from .. import probes
from ..targets import find
from .directory import Directory


def merge(directory: Directory, others: list[Path]) -> tuple[int, int]:
    """Merge other corpora into a campaign's: how many inputs there were, and are. Raises VmgexitError."""
    about = directory.read()
    identity = {name: about[name] for name in ("target", "profile", "plant", "peer")}
    for other in others:
        if not other.is_dir():
            raise VmgexitError(f"{other}: no folder")
    with directory.used(**identity):
        paths = [
            path
            for folder in (directory.corpus, *others)
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        ]
        kept = set(_kept(identity, paths))
        for path in kept:
            if path.parent != directory.corpus:
                shutil.copyfile(path, directory.corpus / path.name)
        for path in paths:
            if path.parent == directory.corpus and path not in kept:
                path.unlink()
    return len(paths), len(kept)


def _kept(about: dict[str, Any], paths: list[Path]) -> list[Path]:
    request = json.dumps({**about, "paths": [str(path) for path in paths]})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "vmgexit_fuzz.campaign.merge"],
        input=request.encode(),
        capture_output=True,
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise VmgexitError(f"merge: the process ended with code {done.returncode}: {last}")
    return [Path(path) for path in json.loads(done.stdout)]


def main() -> None:
    """Read a request, run its inputs, write the list of those to keep."""
    request = json.loads(sys.stdin.read())
    target = find(request["target"])
    probes.install(target.probed)
    module: Any = import_module(target.module)
    if target.is_program:
        from vmgexit.machine.quirks import profile

        module.quirks = profile(request["profile"])
    if target.has_states:
        from .. import states

        states.install()
        module.observe = states.mark
    reached, kept = set[int](), []
    paths = sorted(map(Path, request["paths"]), key=lambda path: (path.stat().st_size, path.name))
    target.run(b"")  # what is imported late
    for path in paths:
        probes.clear()
        try:
            target.run(path.read_bytes())
            finding = False
        except (Exception, SystemExit):
            finding = True
        now = probes.passed()
        if finding or not now <= reached:
            kept.append(str(path))
            reached |= now
    json.dump(kept, sys.stdout)


if __name__ == "__main__":
    main()
