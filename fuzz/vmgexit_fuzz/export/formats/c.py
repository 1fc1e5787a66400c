"""A C test: a program that drives an adapter through scenarios, and prints TAP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..cases import Case
from ..words import comment
from . import driven

WIDTH = 110

_HEAD = """\
/*
 * Exported by `vmgexit export c`: scenarios, and the answers expected.
 *
 *     cc -std=c11 -Wall -Wextra -o exported exported.c
 *     VMGEXIT_PEER="./adapter" ./exported
 */
#include "vmgexit_test.h"
"""


def render(cases: Sequence[Case]) -> dict[str, bytes]:
    """The test, and the headers that it includes."""
    lines = [_HEAD]
    for case in cases:
        lines += [*_scenario(case), ""]
    lines += ["static const struct vmgexit_test tests[] = {"]
    lines += [f"    VMGEXIT_TEST({case.name})," for case in cases]
    lines += ["};", "", "int main(void)", "{"]
    lines += ["    return vmgexit_run_tests(tests, sizeof tests / sizeof tests[0]);", "}", ""]
    return {
        "exported.c": "\n".join(lines).encode(),
        "vmgexit_test.h": driven.source("c/vmgexit_test.h"),
        "vmgexit_peer.h": driven.source("c/vmgexit_peer.h"),
        **driven.of_kit("svsm", "c", "vmgexit_json.h"),
    }


def _scenario(case: Case) -> Iterator[str]:
    yield f"/* {comment(case.about)} */"
    yield f"static const struct vmgexit_step test_{case.name}[] = {{"
    for command, answer, remark in driven.steps(case):
        if remark:
            yield f"    /* {comment(remark)} */"
        yield f"    {{ {_json(command)},"
        yield f"      {_json(answer)} }},"
    yield "};"


def _json(value: dict[str, Any]) -> str:
    """An object, some members a line: what JSON() makes of it has spaces for ends of lines."""
    return f"JSON({_object(value, 11)})"


def _object(value: dict[str, Any], indent: int) -> str:
    rows = [""]
    for name, held in value.items():
        text = json.dumps(held)
        if isinstance(held, dict) and len(text) + indent > WIDTH:
            text = _object(held, indent + len(name) + 5)
        if rows[-1] and len(rows[-1]) + len(name) + len(text) + indent > WIDTH:
            rows.append("")
        rows[-1] += f"{', ' if rows[-1] else ''}{json.dumps(name)}: {text}"
    return "{" + f",\n{' ' * (indent + 1)}".join(rows) + "}"
