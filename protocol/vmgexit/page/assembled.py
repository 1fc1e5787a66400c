"""The page as one file: markup, style, scripts and the declarations, with a policy that allows no more.

The policy names the hash of each script and of the style, so that a browser runs these and nothing else;
it allows no connection, no image and no frame.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

from .described import described

SCRIPTS = (
    "text", "numbers", "rows", "lines", "joined", "literals", "dump", "decode", "rules", "judge", "guess",
    "answer", "view", "app",
)  # fmt: skip
"""The scripts, each after those that it stands on."""

INTERPRETER = SCRIPTS[: SCRIPTS.index("view")]
"""Those of them that need no document: what a test may run by itself."""


def page() -> bytes:
    """The HTML file, in UTF-8."""
    style, script = _text("page.css"), f'"use strict";\n(() => {{\n{scripts(SCRIPTS)}}})();\n'
    # A script's element ends at `</`, whatever stands around it.
    data = json.dumps(described(), separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    return (
        _text("page.html")
        .replace("{{policy}}", _policy(style, script))
        .replace("{{style}}", style)
        .replace("{{data}}", data)
        .replace("{{script}}", script)
        .encode()
    )


def scripts(names: tuple[str, ...]) -> str:
    """The text of these scripts, one after the other."""
    return "\n".join(_text(f"scripts/{name}.js") for name in names)


def _text(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}';"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
