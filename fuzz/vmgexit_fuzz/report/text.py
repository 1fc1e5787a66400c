"""Making the text of strangers safe to look at. The page prints nothing by any other way.

Jinja escapes markup. This module makes visible what a browser would hide, reorder or obey: control
characters, bidirectional overrides, lone surrogates, and all else that is not printable.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup


def visible(value: Any) -> Any:
    """A string with every character that is not printable as its Python escape; line ends and tabs
    stay. Anything else as it is, markup that a template made included."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else _escape(letter) for letter in value
    )


def one_line(value: str) -> str:
    """`visible`, with line ends and tabs escaped too."""
    return str(visible(value)).replace("\n", "\\n").replace("\t", "\\t")


def decoded(data: bytes) -> str:
    """Bytes as text: UTF-8, what is none as `\\xff`."""
    return data.decode("utf-8", "backslashreplace")


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")
