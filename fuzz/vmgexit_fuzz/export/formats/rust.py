"""Rust tests: a `#[test]` for each scenario, which drives an adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..cases import Case
from ..words import comment
from . import driven

_HEAD = """\
//! Exported by `vmgexit export rust`: scenarios, and the answers expected.
//!
//!     rustc --edition 2021 --test exported.rs
//!     VMGEXIT_PEER="./adapter" ./exported
//!
//! In a Cargo project this folder's files belong into `tests/`.

mod vmgexit_test;

use vmgexit_test::check;
"""


def render(cases: Sequence[Case]) -> dict[str, bytes]:
    """The tests, and the module that they use."""
    tests = "".join(f"\n{''.join(_test(case))}" for case in cases)
    return {
        "exported.rs": (_HEAD + tests).encode(),
        "vmgexit_test/mod.rs": driven.source("rust/mod.rs"),
        "vmgexit_test/json.rs": driven.of_kit("svsm", "rust", "json.rs")["json.rs"],
    }


def _test(case: Case) -> Iterator[str]:
    yield f"/// {comment(case.about)}\n#[test]\nfn {case.name}() {{\n    check(&[\n"
    for command, answer, remark in driven.steps(case):
        if remark:
            yield f"        // {comment(remark)}\n"
        yield "        (\n"
        for value in (command, answer):
            yield f"            {_raw(json.dumps(value))},\n"
        yield "        ),\n"
    yield "    ]);\n}\n"


def _raw(text: str) -> str:
    """A raw string, which ends with a quotation mark and more signs than stand behind one in the text."""
    signs = "#"
    while f'"{signs}' in text:
        signs += "#"
    return f'r{signs}"{text}"{signs}'
