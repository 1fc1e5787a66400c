"""What tests run and read of the checkout: the command line, the adapters, the scenario of each quirk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vmgexit.descriptions import Command
from vmgexit.machine.scenario import sequences

ROOT = Path(__file__).parents[1]
QUIRKS = ROOT / "corpus" / "quirks"

VMGEXIT = str(Path(sys.executable).with_name("vmgexit"))
PYTHON_PEER, PYTHON_HOST = (
    [sys.executable, str(ROOT / "specs" / "peers" / f"python_{what}.py")]
    for what in ("peer", "host")
)
"""The words that run the adapters in Python: of an SVSM, and of a GHCB host."""


def quirk_scenario(name: str) -> list[Command]:
    """The scenario on which a quirk of the machine breaks an invariant."""
    with (QUIRKS / f"{name}.jsonl").open("rb") as stream:
        [sequence] = sequences(stream, name)
    return sequence.commands


def complaint(run: subprocess.CompletedProcess[str]) -> str:
    """The one line that bad input gets."""
    assert run.returncode == 2, run
    assert run.stdout == ""
    [line] = run.stderr.splitlines()
    return line
