"""Answers as lines for a person and as JSON for a tool."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ..logs.lines import as_text, pair_object
from .lines import Count, Known, Line, Traced
from .meanings import Said


def line_text(line: Line) -> bytes:
    """The line as it stands in the log, and below it what it says."""
    match line.says:
        case Known():
            return line.text + b"\n" + known_text(line.says).encode()
        case Traced(event, pairs):
            return as_text(line.text + b"\n", event, pairs)
        case None:
            return line.text + b"\n"


def known_text(known: Known) -> str:
    """Below the line: what it tells, then word by word. Within a dump the line's own words do."""
    form = known.form
    said = []
    if form.heads or not form.block:
        said.append(f"  {form.program}: {form.says} ({form.source})\n")
    return "".join([*said, *_words(known.words)])


def _words(words: tuple[Said, ...]) -> list[str]:
    names = max((len(word.name) for word in words), default=0)
    values = max((len(word.shown) for word in words), default=0)
    made = []
    for word in words:
        made.append(f"    {word.name:{names}}  {word.shown:{values}}  {word.text or word.title}\n")
        made += [f"      note: {note}\n" for note in word.notes]
        made += [f"      ! {problem}\n" for problem in word.problems]
    return made


def line_object(line: Line) -> dict[str, Any]:
    """One known line as `--json` prints it."""
    text = line.text.decode(errors="replace")
    match line.says:
        case Known(form, words):
            return {
                "line": line.number,
                "text": text,
                "program": form.program,
                "says": form.says,
                "source": form.source,
                "words": [asdict(word) for word in words],
            }
        case Traced(_, pairs):
            return {
                "line": line.number,
                "text": text,
                "program": "KVM",
                "says": "A tracepoint of VMGEXIT.",
                "pairs": [pair_object(pair) for pair in pairs],
            }
        case None:
            return {"line": line.number, "text": text}


def line_json(line: Line) -> bytes:
    return json.dumps(line_object(line)).encode() + b"\n"


def count_text(count: Count) -> str:
    """How much of a log is known."""
    said = f"{count.lines} lines: {count.known} known, {count.unknown} not known"
    if count.unanswered:
        said += f"; {count.unanswered} requests without an answer"
    return said
