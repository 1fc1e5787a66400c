"""Peers made as a user makes them: `vmgexit peer new`, then files of tests/peers in place of its own.

In each language there is an SVSM, which knows nothing of vmgexit, and the adapter around it, one file.
"""

import os
import shutil
import subprocess
from pathlib import Path

from vmgexit.cli import main

FILLED_IN = Path(__file__).parent
BUGS = {
    "ppr": "PPR keeps the low bits of the vector in service",
    "vector-31": "the host does not get vector 31 when it takes over",
    "level-eoi": "a level-triggered interrupt that is not allowed is never acknowledged",
    "register": "a vCPU registers while the count is 0",
    "lazy": "a lazy EOI is offered for a level-triggered interrupt",
    "oldest": "an EOI ends the oldest interrupt in service",
    "last-word": "vectors from 224 on are not taken from the descriptor",
    "ldr": "LDR has the bit of the next APIC id",
    "window": "a #HV in the switch window does not cancel the switch",
    "refused": "a host that refuses an IPI stops the SVSM",
}
"""What `./adapter --bugs NAME,...` switches on, in every language."""


ADAPTERS = {"c": "adapter.c", "rust": "main.rs"}
"""The file by which a user brings an SVSM and a kit together."""


def project(language: str, folder: Path, *, filled_in: bool = True, surface: str = "svsm") -> Path:
    """A project's folder; with `filled_in` around what has bugs, else as `peer new` makes it."""
    assert main(["peer", "new", "--for", surface, "--lang", language, str(folder)]) == 0
    if filled_in:
        for small in folder.glob("svsm.*"):  # which is meant to be replaced
            small.unlink()
        of = language if surface == "svsm" else f"{language}_{surface}"
        shutil.copytree(FILLED_IN / of, folder, dirs_exist_ok=True)
    return folder


def built(folder: Path, **variables: str) -> Path:
    """The adapter that a project's build.sh makes, without a word from the compiler."""
    run = subprocess.run(
        ["sh", str(folder / "build.sh")],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    return folder / "adapter"
