"""pytest: a test for each case, with calls, exits and fields by their names.

A finding's test opens its target under the finding's conditions, and passes once the finding is fixed. The
tests of other scenarios compare answers, with our machine or with the adapter that VMGEXIT_PEER names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from vmgexit.descriptions import Command
from vmgexit.layout.naming import label
from vmgexit.wire.calls import find_call
from vmgexit.wire.exits import find_exit

from ...targets import USUAL
from ...targets.ghcb.programs import page_in
from ..cases import Case
from ..words import comment, valid_bits

WIDTH = 100  # columns of a line that is not one text

_REGISTERS = ("rcx", "rdx", "r8")  # of a call, 0 unless they are given

_HEAD = '''\
"""Exported by `vmgexit export pytest`.

A finding's test passes once the finding is fixed. The other tests compare answers: those of the adapter
that the environment variable VMGEXIT_PEER names, else of our machine, of the profile VMGEXIT_PROFILE.
"""

from vmgexit_fuzz.export.testing import {names}
'''


def render(cases: Sequence[Case]) -> dict[str, bytes]:
    """One file."""
    tests = "".join(f"\n\n{''.join(_test(case))}" for case in cases)
    used = [
        name
        for name in ("call", "check", "decoded", "rerun", "run", "vmgexit")
        if f"{name}(" in tests
    ]
    return {"test_exported.py": (_HEAD.format(names=", ".join(used)) + tests).encode()}


def _test(case: Case) -> Iterator[str]:
    yield f"def test_{case.name}() -> None:\n"
    about = comment(case.about)
    yield f'    """{about}{" " * about.endswith(chr(34))}"""\n'
    if case.record is not None:
        yield from _of_finding(case)
    elif case.sequence is not None:
        yield f"    check(\n        {_text(case.sequence.machine)},\n        [\n"
        for command, answer in case.steps:
            yield f"            (\n                {_command(command, 16)},\n"
            yield f"                {_value(answer, 16)},\n            ),\n"
        yield "        ],\n    )\n"
    else:
        assert case.structure is not None
        fields = case.structure.decode(case.data).as_dict()
        yield f"    data = bytes.fromhex(\n        {_long(case.data, 8)}\n    )\n"
        yield f"    assert decoded({_text(label(case.structure))}, data) == {_value(fields, 4)}\n"


def _of_finding(case: Case) -> Iterator[str]:
    """The commands of a scenario, or the input of another target, under the finding's conditions."""
    assert case.record is not None
    target = _text(case.record.target)
    under = "".join(
        f"        {name}={_text(value)},\n"
        for name, value in case.record.conditions.about.items()
        if value and value != USUAL.about[name]
    )
    if 0 < (count := case.record.commands) <= len(case.steps):
        yield f"    run(\n        {target},\n        [\n"
        for command, _ in case.steps[:count]:
            yield f"            {_command(command, 12)},\n"
        yield f"        ],\n{under}    )\n"
    else:
        yield f"    rerun(\n        {target},\n        bytes.fromhex(\n            {_long(case.data, 12)}\n"
        yield f"        ),\n{under}    )\n"


def _command(command: Command, indent: int) -> str:
    """A command; a call and an exit by their names."""
    rest = {name: value for name, value in command.items() if name != "op"}
    if command["op"] == "call":
        known = find_call(rest["protocol"], rest["request"])
        if known is not None:
            del rest["protocol"], rest["request"]
            given = {name: held for name, held in rest.items() if held or name not in _REGISTERS}
            return _function("call", [_text(known.name)], given, indent)
    if command["op"] == "vmgexit" and "page" in command:
        return _exit(command, rest, indent)
    return _value(command, indent)


def _exit(command: Command, rest: dict[str, Any], indent: int) -> str:
    """An exit with what is not zero in its page, and its valid fields."""
    page = page_in(command)
    row = find_exit(page.sw_exit_code)
    fields = {name: value for name, value in page.as_dict().items() if _is_given(value)}
    fields.pop("sw_exit_code", None)
    fields.pop("valid_bitmap", None)
    if isinstance(held := fields.get("shared_buffer"), str):
        fields["shared_buffer"] = _without_zeros(held)
    given = {name: value for name, value in rest.items() if name != "page"}
    names = page.valid_fields()
    valid = names if page.valid_bitmap == valid_bits(names) else page.valid_bitmap
    code = _text(row.name) if row else f"{page.sw_exit_code:#x}"
    return _function("vmgexit", [code], {**given, "valid": valid, **fields}, indent)


def _is_given(value: Any) -> bool:
    return bool(value.strip("0") if isinstance(value, str) else value)


def _without_zeros(held: str) -> str:
    """Bytes in hex without the zeros behind them."""
    return bytes.fromhex(held).rstrip(b"\0").hex()


def _function(name: str, words: list[str], given: dict[str, Any], indent: int) -> str:
    named = [f"{key}={_value(value, indent + 4)}" for key, value in given.items()]
    return _spread(f"{name}(", [*words, *named], ")", indent)


def _value(value: Any, indent: int) -> str:
    """A value of JSON as Python writes it, numbers above 9 in hex."""
    match value:
        case bool() | None:
            return repr(value)
        case int():
            return f"{value:#x}" if value > 9 else str(value)
        case float():
            return f"float({str(value)!r})"
        case str():
            return _text(value)
        case dict():
            items = [f"{_text(name)}: {_value(held, indent + 4)}" for name, held in value.items()]
            return _spread("{", items, "}", indent)
    return _spread("[", [_value(one, indent + 4) for one in value], "]", indent)


def _spread(before: str, items: list[str], after: str, indent: int) -> str:
    """Items in one line where they fit, else one a line."""
    line = f"{before}{', '.join(items)}{after}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    inner = "".join(f"{' ' * (indent + 4)}{item},\n" for item in items)
    return f"{before}\n{inner}{' ' * indent}{after}"


def _text(text: str) -> str:
    return json.dumps(text) if text.isascii() else repr(text)


def _long(data: bytes, indent: int) -> str:
    """Bytes in hex, some a line."""
    rows = [data.hex()[at : at + 72] for at in range(0, 2 * len(data), 72)] or [""]
    return f"\n{' ' * indent}".join(map(_text, rows))
