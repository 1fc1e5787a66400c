"""How a line becomes a command: each argument is held against its description in `commands`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .commands import COMMANDS

LONGEST_LINE = 1 << 20

Commands = Mapping[str, Mapping[str, tuple[Any, ...]]]


class Wrong(Exception):
    """A line that is no command that the kit knows: it is not supported, and changes nothing."""


def read_command(line: bytes) -> dict[str, Any]:
    """The command, with None for what was left out. Raises Wrong."""
    command = parsed(line)
    checked(command, COMMANDS)
    return command


def parsed(line: bytes) -> dict[str, Any]:
    """The line as an object. Raises Wrong."""
    if len(line) > LONGEST_LINE:
        raise Wrong("a line of more than 1 MiB")
    try:
        command = json.loads(line.decode("ascii"), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise Wrong("a line that is no JSON object") from None
    if not isinstance(command, dict):
        raise Wrong("a line that is no JSON object")
    return command


def checked(command: dict[str, Any], commands: Commands) -> None:
    """Hold a command against its description, and fill in None for what was left out. Raises Wrong."""
    arguments = commands.get(command["op"]) if isinstance(command.get("op"), str) else None
    if arguments is None:
        raise Wrong("an operation that the kit does not know")
    if not command.keys() <= {"op", *arguments}:
        raise Wrong("a command with other arguments")
    for name, (kind, is_optional, *limits) in arguments.items():
        if name not in command:
            if not is_optional:
                raise Wrong("a command with other arguments")
            command[name] = None
        elif not _is_a(kind, command[name], *limits):
            raise Wrong("a command with other arguments")


def _is_a(kind: str, value: Any, *limits: Any) -> bool:
    """Whether a value is one of its kind, which may end in `or null`."""
    name = kind.removesuffix(" or null")
    return (value is None and name != kind) or _KINDS[name](value, *limits)


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


def _hex(value: Any, least: int, most: int | None) -> bool:
    if not isinstance(value, str) or len(value) % 2 or len(value) / 2 < least:
        return False
    if most is not None and len(value) / 2 > most:
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


def _pieces(value: Any, end: int) -> bool:
    """A list of places and bytes that end at `end` or below."""
    return isinstance(value, list) and all(
        isinstance(piece, list)
        and len(piece) == 2
        and _hex(piece[1], 0, None)
        and _number(piece[0], 0, end - len(piece[1]) // 2)
        for piece in value
    )


def _leaves(value: Any) -> bool:
    """A list of leaf, sub-leaf or null, EAX, EBX, ECX and EDX."""
    return isinstance(value, list) and all(
        isinstance(leaf, list)
        and len(leaf) == 6
        and all(
            _number(one, 0, 0xFFFF_FFFF) or (at == 1 and one is None) for at, one in enumerate(leaf)
        )
        for leaf in value
    )


def _row(value: Any, *kinds: tuple[Any, ...]) -> bool:
    """A list with a value of each kind."""
    return (
        isinstance(value, list)
        and len(value) == len(kinds)
        and all(_is_a(kind[0], held, *kind[1:]) for kind, held in zip(kinds, value, strict=True))
    )


def _rows(value: Any, *kinds: tuple[Any, ...]) -> bool:
    return isinstance(value, list) and all(_row(one, *kinds) for one in value)


def _prepared(value: Any, *words: str) -> bool:
    """A list of answers: a word, an error of the host, or a status."""
    return isinstance(value, list) and all(
        _choice(one, *words)
        or (
            isinstance(one, dict)
            and one.keys() in ({"err", "rbx"}, {"status"})
            and all(
                _number(held, 0, (1 << (32 if name == "status" else 64)) - 1)
                for name, held in one.items()
            )
        )
        for one in value
    )


def _whom(value: Any, *names: int | str) -> bool:
    """A VMPL, or the host."""
    return type(value) in (int, str) and value in names


_KINDS: dict[str, Callable[..., bool]] = {
    "number": _number,
    "flag": _flag,
    "choice": _choice,
    "hex": _hex,
    "numbers": _numbers,
    "posts": _posts,
    "pieces": _pieces,
    "leaves": _leaves,
    "row": _row,
    "rows": _rows,
    "prepared": _prepared,
    "whom": _whom,
}
