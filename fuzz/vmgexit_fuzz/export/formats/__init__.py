"""The formats of exports: one file for each, and the table of them.

A format makes files of cases: their bytes by path. It says what it takes; whoever asks for more is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vmgexit.sequences import HOST, SVSM

from ..cases import ON_MEMORY, STRUCTURE, Case
from . import c, driven, jsonl, kselftest, python, raw, rust, syzlang

Files = dict[str, bytes]
SCENARIOS = (SVSM, ON_MEMORY, HOST)


@dataclass(frozen=True, slots=True)
class Format:
    """A format: what it makes in a few words, which kinds of cases it takes, the file that it makes (of a
    format that makes a folder: its main file, or nothing), and the function that makes it."""

    makes: str
    takes: tuple[str, ...]
    file: str
    render: Callable[[Sequence[Case]], Files]
    is_folder: bool = False
    refuses: Callable[[Case], str] = lambda case: ""  # why it cannot take a case of its kinds


FORMATS = {
    "pytest": Format(
        "a test for each, with commands in words",
        (*SCENARIOS, STRUCTURE),
        "test_exported.py",
        python.render,
    ),
    "jsonl": Format(
        "JSON lines, which `vmgexit replay` and `vmgexit export` read",
        (*SCENARIOS, STRUCTURE),
        "exported.jsonl",
        jsonl.render,
    ),
    "c": Format(
        "a C program that tests an adapter",
        SCENARIOS,
        "exported.c",
        c.render,
        True,
        driven.refuses,
    ),
    "rust": Format(
        "a Rust #[test] for each, which tests an adapter",
        SCENARIOS,
        "exported.rs",
        rust.render,
        True,
        driven.refuses,
    ),
    "kselftest": Format(
        "exits of a guest in C, for CPL 0 or with a host's adapter in the place of VMGEXIT",
        (HOST,),
        "ghcb_exits.c",
        kselftest.render,
        True,
        kselftest.refuses,
    ),
    "syzlang": Format(
        "descriptions of the exits and MSR words for syzkaller",
        (HOST,),
        syzlang.FILE,
        syzlang.render,
        True,
        syzlang.refuses,
    ),
    "raw": Format(
        "bytes for other projects' libFuzzer corpora, in a folder for each structure, call and exit",
        (*SCENARIOS, STRUCTURE),
        "",
        raw.render,
        True,
        raw.refuses,
    ),
}
"""Every format by its name on the command line."""
