"""The formats of exports: one file for each, and the table of them.

A format makes files of cases: their bytes by path. It says what it takes; whoever asks for more is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vmgexit.sequences import HOST, SVSM

from ..cases import KINDS_OF_CASES, ON_MEMORY, STRUCTURE, Case
from . import c, driven, jsonl, kselftest, python, raw, rust, syzlang

Files = dict[str, bytes]
SCENARIOS = (SVSM, ON_MEMORY, HOST)
EVERYTHING = (*SCENARIOS, STRUCTURE)


@dataclass(frozen=True, slots=True)
class Format:
    """A format. `makes` says in a few words what it makes: one file, or a folder."""

    makes: str
    takes: tuple[str, ...]  # which kinds of cases
    render: Callable[[Sequence[Case]], Files]
    is_folder: bool = False
    refuses: Callable[[Case], str] = lambda case: ""  # why it cannot take a case of these kinds

    @property
    def taken(self) -> str:
        """What it takes, in words."""
        if STRUCTURE in self.takes:
            return "anything"
        if self.takes == SCENARIOS:
            return "a scenario"
        return " or ".join(KINDS_OF_CASES[kind] for kind in self.takes)

    def refused(self, case: Case) -> str:
        """Why it does not take a case; empty where it does."""
        if case.kind not in self.takes:
            return f"{KINDS_OF_CASES[case.kind]} found, {self.taken} expected"
        return self.refuses(case)


FORMATS = {
    "pytest": Format(
        "a test for each, with commands in words",
        EVERYTHING,
        python.render,
    ),
    "jsonl": Format(
        "JSON lines, which `vmgexit replay` and `vmgexit export` read",
        EVERYTHING,
        jsonl.render,
    ),
    "c": Format(
        "a C program that tests an adapter",
        SCENARIOS,
        c.render,
        True,
        driven.refuses,
    ),
    "rust": Format(
        "a Rust #[test] for each, which tests an adapter",
        SCENARIOS,
        rust.render,
        True,
        driven.refuses,
    ),
    "kselftest": Format(
        "exits of a guest in C, for CPL 0 or with a host's adapter in the place of VMGEXIT",
        (HOST,),
        kselftest.render,
        True,
        kselftest.refuses,
    ),
    "syzlang": Format(
        "descriptions of the exits and MSR words for syzkaller",
        (HOST,),
        syzlang.render,
        True,
        syzlang.refuses,
    ),
    "raw": Format(
        "bytes for other projects' libFuzzer corpora, in a folder for each structure, call and exit",
        EVERYTHING,
        raw.render,
        True,
        raw.refuses,
    ),
}
"""Every format by its name on the command line."""
