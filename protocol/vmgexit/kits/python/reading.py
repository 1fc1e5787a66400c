"""How a line becomes a command: each argument is held against its description in `commands`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .commands import COMMANDS

LONGEST_LINE = 1 << 20


class Wrong(Exception):
    """A line that is no command that the kit knows: it is not supported, and changes nothing."""


def read_command(line: bytes) -> dict[str, Any]:
    """The command, with None for what was left out. Raises Wrong."""
    if len(line) > LONGEST_LINE:
        raise Wrong("a line of more than 1 MiB")
    try:
        command = json.loads(line.decode("ascii"), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise Wrong("a line that is no JSON object") from None
    if not isinstance(command, dict):
        raise Wrong("a line that is no JSON object")
    arguments = COMMANDS.get(command["op"]) if isinstance(command.get("op"), str) else None
    if arguments is None:
        raise Wrong("an operation that the kit does not know")
    if not command.keys() <= {"op", *arguments}:
        raise Wrong("a command with other arguments")
    for name, (kind, is_optional, *limits) in arguments.items():
        if name not in command:
            if not is_optional:
                raise Wrong("a command with other arguments")
            command[name] = None
        elif not _KINDS[kind](command[name], *limits):
            raise Wrong("a command with other arguments")
    return command


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise ValueError("a key that is there twice")
    return held


def _number(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _flag(value: Any) -> bool:
    return type(value) is bool


def _choice(value: Any, *names: str) -> bool:
    return isinstance(value, str) and value in names


def _hex(value: Any, least: int, most: int) -> bool:
    if not isinstance(value, str) or not least <= len(value) / 2 <= most or len(value) % 2:
        return False
    return all(digit in "0123456789abcdefABCDEF" for digit in value)


def _numbers(value: Any, least: int, most: int) -> bool:
    return isinstance(value, list) and all(_number(one, least, most) for one in value)


def _posts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(post, dict)
        and post.keys() == {"vector", "level"}
        and _number(post["vector"], 0, 255)
        and _flag(post["level"])
        for post in value
    )


_KINDS: dict[str, Callable[..., bool]] = {
    "number": _number,
    "flag": _flag,
    "choice": _choice,
    "hex": _hex,
    "numbers": _numbers,
    "posts": _posts,
}
