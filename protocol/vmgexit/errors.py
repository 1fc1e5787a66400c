"""Every error that vmgexit raises on purpose.

All have one base class, so that a caller needs one `except`. Each message names the place (a field
path, a byte offset, a line), what was found and what was expected. The command line prints the
message as it is and exits with 2; a traceback is always a bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable


class VmgexitError(Exception):
    """Base of every error below."""


class DecodeError(VmgexitError):
    """Bytes that cannot be read: a wrong length, or with `strict` a broken rule.

    Attributes: `path` (field path, "" for the whole structure), `offset` (byte offset into the data,
    or None where the place is not a byte).
    """

    def __init__(self, message: str, *, path: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset


class EncodeError(VmgexitError):
    """A value that does not fit its field. Attribute: `path`, the field's path."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class ScenarioError(VmgexitError):
    """A scenario or a recording that cannot be read or carried out.

    Attribute: `line`, the 1-based line of the file, or None where there is no file.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


class PeerError(VmgexitError):
    """Another implementation that died, hung or answered something unreadable.

    Attributes: `kind`, one word: start, death, hang, garbage, or number (of answers); `is_earlier`, whether
    it did so before it was given the command at hand.
    """

    def __init__(self, message: str, *, kind: str, is_earlier: bool = False) -> None:
        super().__init__(message)
        self.kind, self.is_earlier = kind, is_earlier


class DeviceError(VmgexitError):
    """A device behind the machine that failed: what the machine was doing is left half done."""


class UsageError(VmgexitError):
    """A command line that names something that does not exist."""


TOO_DEEP = "something nested too deep"


WIDEST = 80
"""Characters of a value that a message shows."""


def brief(value: object) -> str:
    """A value as a message shows it: its beginning, where it is long."""
    try:
        return cut(repr(value))
    except RecursionError:
        return TOO_DEEP


def cut(text: str) -> str:
    """A text as a message shows it: its beginning, where it is long."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."


LIKENESS = 0.6
"""How like two names are of which one may be meant by the other, from 0 to 1."""


def nearest(word: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """The names of `known` that are like `word`, the likeliest first; none where none is."""
    from difflib import get_close_matches  # only a mistake needs it

    return get_close_matches(word[:80], list(known), most, LIKENESS)


def hint(near: Iterable[str]) -> str:
    """`; nearest: these, names`, or nothing."""
    names = ", ".join(near)
    return f"; nearest: {names}" if names else ""
