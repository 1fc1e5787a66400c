"""Commands and exits in words: what a line of an export says of the numbers in it."""

from __future__ import annotations

from collections.abc import Iterable

from vmgexit.descriptions import Command
from vmgexit.layout.document import printable
from vmgexit.layout.parts import without_markers
from vmgexit.sequences import HOST
from vmgexit.wire.calls import find_call
from vmgexit.wire.exits import find_exit
from vmgexit.wire.ghcb import GhcbPage
from vmgexit.wire.ghcb_msr import decode_msr

from ..targets.ghcb.programs import page_in


def remark(command: Command, machine: str) -> str:
    """The name of a call, an exit or a word of the GHCB MSR; empty of other commands."""
    match command["op"]:
        case "call":
            known = find_call(command["protocol"], command["request"])
            return known.name if known else "an unknown call"
        case "vmgexit" if "page" in command:
            code = page_in(command).sw_exit_code
            row = find_exit(code)
            return row.name if row else f"exit {code:#x}, which there is not"
        case "msr" if machine == HOST:
            return decode_msr(command["request"]).declaration.name
    return ""


def valid_bits(names: Iterable[str]) -> int:
    """The bitmap of a GHCB page in which these fields are valid, and no others."""
    page = GhcbPage()
    for name in names:
        page.mark(name)
    return page.valid_bitmap


def comment(text: str) -> str:
    """A text that stays within a comment of C and of Rust, and within a docstring."""
    return without_markers(printable(text).replace("\\", "/"), "*/", "/*", "??", '"""')
