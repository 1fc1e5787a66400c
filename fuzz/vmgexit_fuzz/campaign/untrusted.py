"""Files of a campaign's folder that may be torn, missing, of the wrong type, or somebody else's."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

MOST = 1 << 40
"""Of any number told; as a time, thousands of years from now."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


_Filled = TypeVar("_Filled", bound=_Dataclass)


def files(folder: Path, pattern: str = "*") -> list[Path]:
    """The files in a folder by name; without hidden ones, which are being written."""
    return sorted(
        path for path in folder.glob(pattern) if is_file(path) and not path.name.startswith(".")
    )


def is_file(path: Path) -> bool:
    """Whether it is a regular file, and no link to one elsewhere, which is nobody's to see."""
    return path.is_file() and not path.is_symlink()


def object_of(text: bytes) -> dict[str, Any] | None:
    """The JSON object that a text is; None for anything else."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def filled(empty: _Filled, told: dict[str, Any], kept: str) -> _Filled:
    """`empty` with the values told that are of the type there."""
    for each in dataclasses.fields(empty):
        if each.name != kept:
            value = typed(told.get(each.name), getattr(empty, each.name))
            setattr(empty, each.name, value)
    return empty


def typed(value: Any, otherwise: Any) -> Any:
    """`value` where it is of the type of `otherwise`; numbers are not negative, nor past all sense."""
    if isinstance(otherwise, bool | str):
        return value if type(value) is type(otherwise) else otherwise
    if type(value) not in (int, float) or not 0 <= value < MOST:
        return otherwise
    return type(otherwise)(value)


def append(path: Path, told: dict[str, Any]) -> None:
    """Add a JSON line to a file. The line before may be torn: then it is ended first. Raises OSError."""
    text = json.dumps(told, separators=(",", ":")) + "\n"
    with path.open("a+b") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            text = text if stream.read(1) == b"\n" else f"\n{text}"
        os.write(stream.fileno(), text.encode())
