"""What dmesg, the journal, syslog, /dev/kmsg and Rust's dbg! put before a line: time, host, caller, place.

No part of a dump is mistaken for a prefix: a prefix needs a bracket, a date, or a name with letters
that are no hex digits.
"""

from __future__ import annotations

import json
import re

_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
# `host kernel:`, `host qemu-system-x86[123]:`; the tag has a letter that is no hex digit.
_SOURCE = r"(?:\s+[^\s:\[]+\s+(?=\S*[g-zG-Z_])[\w./@-]+(?:\[\d+\])?:(?=\s|$))?"

_PARTS = (
    r"<\d{1,3}>",  # syslog's level
    r"\d+,\d+,\d+,[^;\s]*;",  # /dev/kmsg
    r"(?:kern|user|daemon|syslog|local\d)\s*:\s*(?:emerg|alert|crit|err|warn|notice|info|debug)\s*:",
    rf"\[{_DAY} {_MONTH} +\d+ {_CLOCK} \d{{4}}\]",  # dmesg -T
    rf"\[{_MONTH}\s?\d+ \d\d:\d\d\]",  # dmesg -e
    r"\[\s*\d+\.\d+ <\s*\d+\.\d+>\]",  # dmesg -d
    r"\[\s*\+?\d+\.\d+\](?:\s+[^\s:\[]+\s+kernel:(?=\s|$))?",  # uptime; journalctl -o short-monotonic
    r"\[\s*[TC]\d+\]",  # the caller: a task or a processor
    rf"{_MONTH} +\d+ {_CLOCK}{_SOURCE}",  # journalctl, syslog
    rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?:[+-]\d\d:?\d\d|Z)?{_SOURCE}",  # short-iso, rsyslog
    rf"{_DAY} \d{{4}}-\d\d-\d\d {_CLOCK} [A-Z][A-Z0-9+-]*{_SOURCE}",  # short-full
    rf"\d{{9,}}\.\d{{6}}{_SOURCE}",  # short-unix
    r"kernel:(?=\s|$)",
    r"\[[\w./\\-]+\.rs:\d+(?::\d+)?\]",  # dbg! of Rust
)
_PREFIX = re.compile(rf"\s*(?:(?:{'|'.join(_PARTS)})\s?)+")

_PROMPT = re.compile(
    r"\s*(?:>>> |\.\.\. |\((?:gdb|lldb|qemu)\)|In \[\d+\]:|crash>|drgn>|\d+: kd>|[$#] )"
)
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_QUOTES = re.compile(r"\s*(?:>(?!>> )\s?)+")  # of mails; three and a blank are Python's prompt


def split(line: str) -> tuple[str, str]:
    """The prefix of a line of a log, "" where there is none, and the rest of it.

    Colours of a terminal and a mail's marks of quoted lines are no part of either.
    """
    if message := _member(line, "MESSAGE"):  # journalctl -o json
        return "{", split(message)[1]
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    if quotes := _QUOTES.match(line):
        line = line[quotes.end() :]
    match = _PREFIX.match(line)
    return (match[0], line[match.end() :]) if match else ("", line)


def is_prompt(line: str) -> bool:
    """Whether a line is what a person typed at a debugger, a monitor, Python or a shell."""
    return _PROMPT.match(line) is not None


def lines_of(line: str) -> list[str]:
    """The lines that a line holds: those of QEMU's monitor, where QMP answers with them in JSON."""
    return _member(line, "return").splitlines() or [line]


def _member(line: str, name: str) -> str:
    """The text that a line of JSON has under a name; "" for another line."""
    if not line.startswith("{") or f'"{name}"' not in line:
        return ""
    try:
        text = json.loads(line).get(name)
    except ValueError:
        return ""
    return text if isinstance(text, str) else ""
