"""Commands as people type them: a line of words, made into the command that JSON spells.

`call core pvalidate rcx=0x9000`, `write 0x9000 0100 by=2`, `page 0x9000`: the command's name, then its
arguments, by name or in the order of the table. A line that begins with `{` is JSON. vCPU 0 is meant where
none is named, and a register of a call that is not named is zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..descriptions import Choice, Command, Description, Flag, Number
from ..errors import ScenarioError, brief
from ..wire.calls import calls
from ..wire.svsm import Call
from .commands import COMMANDS, checked
from .kinds import Whom

FIRST: Command = {
    "op": "init",
    "cpus": 2,
    "reg_count": 1,
    "memory": [[0, 0x1000000]],
    "svsm": [0x800000, 0x200000],
    "caa": 0x8000,
    "sev_features": 0x11,
    "npf": "stop",
    "unvalidated": "input",
    "pages": [
        [0, 0x200000, "valid", 0],
        [0x200000, 0x200000, "huge-valid", 0],
        [0x400000, 0x200000, "private", 0],
    ],
}
"""A machine of 16 MiB: validated pages, a validated 2 MiB page, pages that are the guest's but not
validated; the rest is shared. A bare `init` makes it."""

_DEFAULTS = {"cpu": 0, "rcx": 0, "rdx": 0, "r8": 0}
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_PREFIX = "SVSM_"


def typed(line: str) -> Command:
    """The command that a line spells. Raises ScenarioError with what is not understood."""
    if line.lstrip().startswith("{"):
        return checked(_json(line, "the line"))
    name, *words = line.split()
    described = COMMANDS.get(name)
    if described is None:
        raise ScenarioError(f"{brief(name)}: no such command; help lists what can be typed")
    if name == "init" and not words:
        return dict(FIRST)
    command: Command = {"op": name}
    if name == "call":
        command |= _which(words)
    command |= _arguments(described, words, set(command))
    given = {key: value for key, value in _DEFAULTS.items() if key in described.needed} | command
    return checked({key: given[key] for key in ("op", *described.kinds) if key in given})


def _which(words: list[str]) -> Command:
    """Protocol and request of a call, which are taken from the words: two numbers, or its name."""
    names = []
    while words and "=" not in words[0]:
        names.append(words.pop(0))
    if not names:
        return {}  # protocol=, request=
    if len(names) == 2 and all(name[0].isdigit() for name in names):
        return dict(zip(("protocol", "request"), map(_number, names), strict=True))
    spelled = "_".join(names).upper().replace("-", "_").removeprefix(_PREFIX)
    found = [call for call in calls() if call.name.removeprefix(_PREFIX) == spelled]
    if not found:
        near = ", ".join(_near(names[0].upper())) or "vmgexit list calls names them"
        raise ScenarioError(f"call {brief(' '.join(names))}: no such call; {near}")
    return {"protocol": int(found[0].protocol), "request": found[0].number}


def _near(protocol: str) -> Iterator[str]:
    """The names of a protocol's calls, as they are typed."""
    return (spelling(call) for call in calls() if call.name.startswith(f"{_PREFIX}{protocol}_"))


def spelling(call: Call) -> str:
    """A call's name as it is typed: `core pvalidate`."""
    protocol, _, rest = call.name.removeprefix(_PREFIX).lower().partition("_")
    return f"{protocol} {rest}"


def _arguments(described: Description, words: list[str], taken: set[str]) -> Command:
    found: Command = {}
    kinds = described.kinds
    in_order = [one.name for one in described.arguments if one.name not in taken | {"cpu"}]
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            name = next((one for one in in_order if one not in found), "")
            text = word
            if not name:
                raise ScenarioError(f"{described.name}: {brief(word)} is one argument too many")
        if name not in kinds:
            known = ", ".join(kinds) or "none"
            raise ScenarioError(f"{described.name} has no argument {brief(name)}; it has {known}")
        if name in found or name in taken:
            raise ScenarioError(f"{described.name}.{name}: given twice")
        found[name] = _value(kinds[name], f"{described.name}.{name}", text)
    return found


def _value(kind: Any, where: str, text: str) -> Any:
    """The value that a word spells; whether it is within the limits is looked at later."""
    if isinstance(kind, Flag):
        return _FLAGS.get(text, text)
    if isinstance(kind, Number):
        return _number(text, where)
    if isinstance(kind, Whom):
        return _number(text, where) if text[:1].isdigit() else text
    if isinstance(kind, Choice) or not text.startswith(("[", "{")):
        return text
    return _json(text, where)


def _number(text: str, where: str = "call") -> int:
    try:
        if text.isascii():
            return int(text, 0)
    except ValueError:
        pass
    raise ScenarioError(f"{where}: {brief(text)} is not a number")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{where} is not JSON: {error}") from None
