"""`vmgexit trace`: KVM's VMGEXIT trace lines, decoded and paired."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .progress import Progress

if TYPE_CHECKING:
    from ..trace.kvm import Event, Pair
    from ..trace.summary import Row, Summary
    from ..trace.words import Reading

_PROGRESS_EVERY = 4096  # lines
_UNITS = (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "trace",
        help="KVM trace lines, decoded",
        description=(
            "Read what trace-cmd report, perf script or tracefs print of KVM's kvm_vmgexit tracepoints."
            " Every exit is shown by its name and fields, each response beside its request; other lines"
            " pass through. Closes with a summary by exit code; its medians are within 7 %%."
        ),
        epilog="example: trace-cmd report | vmgexit trace - --summary",
    )
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="file, .gz or .xz, or - (standard input)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each pair")
    parser.add_argument("--summary", action="store_true", help="only the summary")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from ..trace.summary import Summary

    summary = Summary()
    show = _as_nothing if arguments.summary else _as_json if arguments.json else _as_text
    progress = Progress(*_watched(arguments))
    interrupted = False
    try:
        _read(arguments.file, summary, show, progress)
    except KeyboardInterrupt:  # how a person ends a live trace: the summary is what they want then
        interrupted = True
    progress.clear()
    if arguments.json and arguments.summary:
        print(json.dumps(summary.as_dict()))
    elif not arguments.json:
        _print_summary(summary)
    sys.stdout.flush()
    rate = summary.lines / progress.seconds
    print(
        f"vmgexit: {summary.lines} lines in {progress.seconds:.2f} s, {rate:.0f} lines/s",
        file=sys.stderr,
    )
    return 130 if interrupted else 0


def _watched(arguments: argparse.Namespace) -> tuple[int, bool]:
    """The size that progress is measured by, and whether it is shown."""
    path = Path(arguments.file)
    if arguments.file == "-" or not path.is_file():
        return 0, False
    quiet = arguments.summary or not sys.stdout.isatty()
    packed = path.suffix in (".gz", ".xz")  # bytes read do not tell how much is left
    return 0 if packed else path.stat().st_size, quiet


# --- reading ------------------------------------------------------------------------------------------

Show = Callable[["bytes", "Event | None", "list[Pair]"], "bytes | None"]


def _read(name: str, summary: Summary, show: Show, progress: Progress) -> None:
    from ..trace.kvm import Line, Pairing, lost, parse
    from ..trace.source import lines

    pairing = Pairing()
    out = sys.stdout.buffer
    live = sys.stdout.isatty()
    done = 0
    try:
        for line in lines(name):
            summary.lines += 1
            done += len(line)
            if not summary.lines % _PROGRESS_EVERY:
                progress.at(
                    done, f"{summary.lines} lines, {summary.lines / progress.seconds:.0f}/s"
                )
            event = parse(line, summary.lines)
            if isinstance(event, Line):
                if event is Line.MALFORMED:
                    summary.malformed += 1
                else:
                    summary.other += 1
                    summary.lost += lost(line)
                text = show(line, None, [])
            else:
                pairs = pairing.take(event)
                for pair in pairs:
                    summary.add(pair)
                text = show(line, event, pairs)
            if text:
                out.write(text)
                if live:
                    out.flush()
    finally:
        rest = list(pairing.finish())
        for pair in rest:
            summary.add(pair)
        out.write(show(b"", None, rest) or b"")
        out.flush()


# --- showing ------------------------------------------------------------------------------------------


def _as_nothing(line: bytes, event: Event | None, pairs: list[Pair]) -> bytes | None:
    return None


def _as_json(line: bytes, event: Event | None, pairs: list[Pair]) -> bytes | None:
    return b"".join(json.dumps(_pair_object(pair)).encode() + b"\n" for pair in pairs)


def _as_text(line: bytes, event: Event | None, pairs: list[Pair]) -> bytes | None:
    """What the tool printed up to the tracepoint's name, then the event in names. Requests that turn
    out to have no response get a line of their own, before it."""
    notes = b"".join(_note(pair) for pair in pairs if pair.response is None)
    if event is None:
        return notes + line
    outcome = next((pair for pair in pairs if pair.response is event), None)
    text = f"{event.tracepoint}: vcpu {event.vcpu} {_event_text(event)}"
    if outcome is not None:
        text += _outcome_text(outcome)
    return notes + line[: event.name_at] + text.encode() + b"\n"


def _note(pair: Pair) -> bytes:
    event = pair.either
    text = f"# {pair.state.name}: vcpu {event.vcpu} {_event_text(event)}: line {event.line}: {pair.why}"
    return text.encode() + b"\n"


def _name(event: Event) -> str:
    from ..trace.words import exit_name, msr_name

    return msr_name(event.code) if event.msr else exit_name(event.code)


def _words(event: Event) -> dict[str, Reading]:
    from ..trace.words import read_answer, read_msr, read_request

    if event.msr:
        return {"msr": read_msr(event.word)}
    if event.response:
        first, second = read_answer(event.code, event.info1, event.info2)
    else:
        first, second, _ = read_request(event.code, event.info1, event.info2)
    return {"exit_info1": first, "exit_info2": second}


def _problems(event: Event) -> list[str]:
    from ..trace.words import read_request

    found = [problem for word in _words(event).values() for problem in word.problems]
    if not event.msr and not event.response:
        found.extend(read_request(event.code, event.info1, event.info2)[2])
    return found


def _event_text(event: Event) -> str:
    parts = [word.text for word in _words(event).values() if word.text]
    text = f"{'<' if event.response else '>'} {_name(event)}"
    if parts:
        text += f": {'; '.join(parts)}"
    if problems := _problems(event):
        text += f" (broken: {'; '.join(problems)})"
    return text


def _outcome_text(pair: Pair) -> str:
    from ..trace.kvm import State

    latency = pair.latency
    took = "" if latency is None else f" [{_duration(latency, pair.either.raw_time)}]"
    if pair.state is State.ANSWERED:
        return (f" ({pair.why})" if pair.why else "") + took
    return f" {pair.state.name}: {pair.why}{took}"


def _pair_object(pair: Pair) -> dict[str, Any]:
    event = pair.either
    return {
        "protocol": "msr" if event.msr else "ghcb",
        "name": _name(event),
        "code": event.code,
        "vcpu": event.vcpu,
        "thread": event.thread,
        "state": pair.state.value,
        "why": pair.why,
        "latency": pair.latency,
        "latency_unit": "counter" if event.raw_time else "ns",
        "request": _event_object(pair.request),
        "response": _event_object(pair.response),
    }


def _event_object(event: Event | None) -> dict[str, Any] | None:
    if event is None:
        return None
    made: dict[str, Any] = {"line": event.line, "time": event.time}
    for name, word in _words(event).items():
        made[name] = {"value": word.value, "meaning": word.meaning, "fields": word.fields}
    if event.msr and event.response:
        made["result"] = event.result
    made["problems"] = _problems(event)
    return made


# --- the summary --------------------------------------------------------------------------------------


def _duration(value: int, raw: bool | None) -> str:
    """`12.3 us`, or the plain number of a raw counter."""
    if raw:
        return str(value)
    for size, unit in _UNITS:
        if value >= size and size > 1:
            return f"{value / size:.1f} {unit}"
    return f"{value} ns"


def _print_summary(summary: Summary) -> None:
    head = "protocol", "exit", "code", "count", "errors", "unpaired", "min", "~median", "max"
    table = [head, *(_cells(row, summary.raw_time) for row in summary.rows())]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    if len(table) > 1:
        for line in table:
            cells = [
                f"{cell:{'<' if column < 2 else '>'}{width}}"
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            print("  ".join(cells).rstrip())
    totals = summary.totals()
    print(
        f"{totals['lines']} lines: {totals['pairs']} requests, {totals['errors']} failed,"
        f" {totals['unpaired']} unpaired; {totals['malformed']} malformed,"
        f" {totals['other']} other lines, {totals['lost']} events lost"
    )


def _cells(row: Row, raw: bool | None) -> tuple[str, ...]:
    held = row.latencies
    times = (held.low, held.median(), held.high) if held.count else ()
    code = "" if row.code is None else f"{row.code:#05x}" if row.msr else f"{row.code:#x}"
    return (
        "msr" if row.msr else "ghcb",
        row.name,
        code,
        str(row.count),
        str(row.errors),
        str(row.unpaired),
        *(_duration(time, raw) for time in times),
        *[""] * (3 - len(times)),
    )
