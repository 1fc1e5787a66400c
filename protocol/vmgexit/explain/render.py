"""Answers as lines for a person and as JSON for a tool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..counting import count_of
from ..images.scan import Find, reasons_text
from ..logs.kvm import Event
from ..logs.lines import as_text, fault_text, pair_object
from ..schema import Bits
from ..show.line import describe
from ..show.values import render
from .dumps import Dumped
from .guess import ENOUGH, Guess
from .lines import Count, Known, Line, Named, Traced, Worded
from .meanings import Said
from .number_readings import Reading
from .questions import Answer, Number, Value
from .subject import Subject

_SURE = 0.85  # a reading of a number whose page is shown at once
_SHOWN = 12  # readings of a number that are listed
_GUESSES = 3


# --- lines of logs --------------------------------------------------------------------------------


def line_text(line: Line) -> bytes:
    """The line as it stands in the log, and below it what it says."""
    match line.says:
        case Known():
            return line.text + b"\n" + _known_text(line.says).encode()
        case Traced(event, pairs):
            if isinstance(event, Event):
                return as_text(line.text + b"\n", event, pairs)
            return fault_text(line.text + b"\n", event)
        case Named(values):
            said = "".join(_indented(value_text(value)) for value in values)
            return line.text + b"\n" + said.encode()
        case Worded(words):
            return line.text + b"\n" + "".join(_words(words)).encode()
        case Dumped():
            return _dumped_text(line.says).encode()
        case None:
            return line.text + b"\n"


def _known_text(known: Known) -> str:
    """Below the line: what it tells, then word by word. Within a dump the line's own words do."""
    form = known.form
    said = []
    if form.heads or not form.block:
        said.append(f"  {form.program}: {form.says} ({form.source})\n")
    return "".join([*said, *_words(known.words), *map(_known_text, known.also)])


def _words(words: tuple[Said, ...]) -> list[str]:
    names = max((len(word.name) for word in words), default=0)
    values = max((len(word.shown) for word in words), default=0)
    made = []
    for word in words:
        made.append(f"    {word.name:{names}}  {word.shown:{values}}  {word.text or word.title}\n")
        made += [f"      note: {note}\n" for note in word.notes]
        made += [f"      ! {problem}\n" for problem in word.problems]
    return made


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.rstrip("\n").split("\n"))


def _dumped_text(dumped: Dumped) -> str:
    dump = dumped.dump
    made = [f"lines from {dumped.first}: {dump}\n"]
    made += [f"  note: {note}\n" for note in dump.notes]
    made.append(guesses_text(dump.data, dumped.guesses, dump.gaps))
    return "".join(made)


def line_object(line: Line) -> dict[str, Any]:
    """One known line as `--json` prints it."""
    text = line.text.decode(errors="replace")
    made: dict[str, Any] = {"line": line.number, "text": text}
    match line.says:
        case Known():
            made |= _known_object(line.says)
            if line.says.also:
                made["also"] = [_known_object(each) for each in line.says.also]
        case Traced(event, pairs):
            made |= {"program": "KVM", "says": "A tracepoint."}
            if isinstance(event, Event):
                made["pairs"] = [pair_object(pair) for pair in pairs]
            else:
                made["fault"] = asdict(event)
        case Named(values):
            made["values"] = [value_object(value) for value in values]
        case Worded(words):
            made["words"] = [asdict(word) for word in words]
        case Dumped(dump, first, found):
            made |= {"from": first, "dump": str(dump), "notes": dump.notes}
            made["guesses"] = [guess_object(guess) for guess in found]
        case None:
            pass
    return made


def _known_object(known: Known) -> dict[str, Any]:
    form = known.form
    made: dict[str, Any] = {"program": form.program, "says": form.says, "source": form.source}
    return made | {"words": [asdict(word) for word in known.words]}


def line_json(line: Line) -> bytes:
    return json.dumps(line_object(line)).encode() + b"\n"


def count_text(count: Count) -> str:
    """How much of a log is known."""
    said = f"{count_of(count.lines, 'line')}: {count.known} known, {count.unknown} not known"
    if count.unanswered:
        said += f"; {count_of(count.unanswered, 'request')} without an answer"
    return said


# --- names and numbers ----------------------------------------------------------------------------


def answer_text(answer: Answer) -> str:
    parts = ["".join(_words(answer.words))] if answer.words else []
    parts += [page_text(page) for page in answer.pages]
    parts += [number_text(number) for number in answer.numbers]
    parts += [value_text(value) for value in answer.values]
    if answer.note:
        parts.append(f"{answer.note}\n")
    return "\n".join(parts)


def page_text(page: Subject) -> str:
    rows = page.rows()
    wide = max(len(label) for label, _ in rows)
    below = "\n".ljust(wide + 5)  # the lines of a row stand below each other
    told = [f"  {label:{wide}}  {text}".replace("\n", below) for label, text in rows]
    return "\n".join([page.heading, *told, ""])


def number_text(number: Number) -> str:
    """The readings of a number, and the page of the likeliest where it is far ahead."""
    if not number.readings:
        return f"read as {number.read_as}: no reading\n"
    counted = count_of(len(number.readings), "reading")
    order = ", the likeliest first" * (len(number.readings) > 1)
    made = [f"read as {number.read_as}: {counted}{order}"]
    for reading in number.readings[:_SHOWN]:
        made.append(f"  {reading.score:.2f}  {reading.what}: {reading.says}")
        made.append(f"        because {reading.why}")
    if (more := len(number.readings) - _SHOWN) > 0:
        made.append(f"  and {more} more, less likely")
    best = number.readings[0]
    if best.subject is not None and best.score >= _SURE:
        made += ["", page_text(best.subject)]
    return "\n".join([*made, ""])


def value_text(value: Value) -> str:
    if isinstance(value.held, Bits):
        notes = [f"  note: {note}" for note in value.held.notes()]
        problems = [f"  ! {problem}" for problem in value.held.problems()]
        name = value.structure.declaration.name
        head = f"{name}, read as {value.read_as}: {describe(value.held)}"
        return "\n".join([head, *notes, *problems, ""])
    return f"read as {value.read_as}\n{render(value.held)}"


def answer_objects(answer: Answer) -> list[dict[str, Any]]:
    """One object a page, number or value, as `--json` prints them."""
    made: list[dict[str, Any]] = [page_object(page) for page in answer.pages]
    made += [
        {
            "value": number.value,
            "read_as": number.read_as,
            "readings": [_reading_object(reading) for reading in number.readings],
        }
        for number in answer.numbers
    ]
    made += [value_object(value) for value in answer.values]
    if answer.words:
        made.append({"words": [asdict(word) for word in answer.words]})
    if answer.note:
        made.append({"note": answer.note})
    return made


def page_object(page: Subject) -> dict[str, Any]:
    rows: dict[str, list[str]] = {}
    for label, text in page.rows():
        rows.setdefault(label, []).extend(text.split("\n"))
    return {
        "kind": page.kind.name,
        "name": page.name,
        "number": page.number,
        "of": page.place,
        "page": rows,
    }


def _reading_object(reading: Reading) -> dict[str, Any]:
    made = {
        "what": reading.what,
        "says": reading.says,
        "why": reading.why,
        "score": reading.score,
    }
    return made if reading.subject is None else {**made, "page": page_object(reading.subject)}


def value_object(value: Value) -> dict[str, Any]:
    return {
        "structure": value.structure.declaration.name,
        "read_as": value.read_as,
        "fields": value.held.as_dict(),
        "problems": [str(problem) for problem in value.held.problems()],
        "notes": [str(note) for note in value.held.notes()],
    }


# --- bytes ----------------------------------------------------------------------------------------


def guesses_text(data: bytes, found: list[Guess], gaps: Sequence[range] = ()) -> str:
    """What bytes could be; the likeliest in full where it is likely enough. `gaps`: not in a dump."""
    if not found:
        nothing = "no structure has this size, and they begin no page that is known"
        return f"  {count_of(len(data), 'byte')}: {nothing}\n"
    made = []
    for guess in found[:_GUESSES]:
        why = reasons_text(guess.reasons, guess.against)
        made.append(f"  {guess.score:.2f}  {guess.name}: {why}\n")
    best = found[0]
    if best.score >= ENOUGH:
        size = len(data) if best.structure.declaration.any_length else best.structure.size
        shown = best.structure.decode(data[:size].ljust(size, b"\0"))
        made += ["\n", render(shown, missing=[*gaps, range(len(data), size)])]
    return "".join(made)


def find_text(find: Find) -> str:
    """A page of a memory image."""
    why = reasons_text(find.reasons, find.against)
    return f"  {find.gpa:#x}  {find.score:.2f}  {find.kind}: {why}\n"


def guess_object(guess: Guess) -> dict[str, Any]:
    return {
        "structure": guess.name,
        "score": guess.score,
        "reasons": guess.reasons,
        "against": guess.against,
    }
