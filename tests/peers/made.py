"""Peers made as a user makes them: `vmgexit peer new`, then files of tests/peers in place of its own.

In each language there is an SVSM, which knows nothing of vmgexit, and the adapter around it, one file.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from vmgexit.cli import main

FILLED_IN = Path(__file__).parent


@dataclass(frozen=True)
class Bug:
    """What a bug does, what a campaign calls it (a quirk, or what first differs), and what it breaks."""

    what: str
    called: str
    breaks: str


BUGS = {
    "ppr": Bug("PPR keeps the low bits of the vector in service", "ppr-keeps-low-nibble", "INV-6"),
    "vector-31": Bug(
        "the host does not get vector 31 when it takes over", "handoff-drops-vector-31", "INV-1"
    ),
    "level-eoi": Bug(
        "a level-triggered interrupt that is not allowed is never acknowledged",
        "level-dropped-without-eoi",
        "INV-4",
    ),
    "register": Bug(
        "a vCPU registers while the count is 0",
        "call SVSM_APIC_CONFIGURE_EMULATION: reg_count differs",
        "INV-7",
    ),
    "lazy": Bug(
        "a lazy EOI is offered for a level-triggered interrupt",
        "flags.lazy_eoi_pending is true",
        "INV-4",
    ),
    "oldest": Bug("an EOI ends the oldest interrupt in service", "apic.isr_stack differs", "INV-5"),
    "last-word": Bug(
        "vectors from 224 on are not taken from the descriptor",
        "doorbell.vmpl2.irr differs",
        "INV-3",
    ),
    "ldr": Bug(
        "LDR has the bit of the next APIC id",
        "call SVSM_APIC_READ_REGISTER of LDR: rdx differs",
        "INV-6",
    ),
    "window": Bug(
        "a #HV in the switch window does not cancel the switch",
        "doorbell.flags.no_further_signal is true",
        "INV-3",
    ),
    "refused": Bug("a host that refuses an IPI stops the SVSM", "refused-ipi-crashes", "INV-10"),
}
"""What `./adapter --bugs NAME,...` switches on, in every language."""

ADAPTERS = {"c": "adapter.c", "rust": "main.rs"}
"""The file by which a user brings an SVSM and a kit together."""

COMPILED = [
    pytest.param("c", marks=pytest.mark.needs("cc")),
    pytest.param("rust", marks=pytest.mark.needs("rustc")),
]
LANGUAGES = [*COMPILED, "python"]

NO_WARNING = "-O0 -Werror -Wconversion -Wno-sign-conversion"
SANITIZED = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover"
"""CFLAGS."""

Made = Callable[..., Path]
"""The adapter of a language as `peer new` makes it, or with True around what has bugs."""


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


def once(folders: pytest.TempPathFactory, surface: str = "svsm", **variables: str) -> Made:
    """What makes adapters for a surface, each no more than once."""

    @cache
    def made(language: str, filled_in: bool = False) -> Path:
        folder = folders.mktemp("peer") / "project"
        return built(project(language, folder, filled_in=filled_in, surface=surface), **variables)

    return made


def told(adapter: Path, sent: bytes, timeout: int = 60) -> list[Any]:
    """Its hello and its answers. It ends with its input, without a word on standard error."""
    run = subprocess.run([adapter], input=sent, capture_output=True, timeout=timeout)
    assert (run.returncode, run.stderr[:2000]) == (0, b"")
    return [json.loads(line) for line in run.stdout.splitlines()]


def answers(adapter: Path, lines: list[bytes]) -> list[Any]:
    """Its answer to each line."""
    _, *answers = told(adapter, b"".join(line + b"\n" for line in lines))
    assert len(answers) == len(lines)
    return answers
