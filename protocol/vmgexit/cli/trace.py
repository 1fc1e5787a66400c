"""`vmgexit trace`: KVM's VMGEXIT trace lines, decoded and paired."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from ..counting import count_of
from ..errors import DecodeError, UsageError
from ..explain.inputs import is_binary, trace_of
from ..files import write_output
from ..logs.kvm import Event, Line, Pair, Pairing, lost, parse, rmp_fault
from ..logs.lines import as_json, as_text, duration, fault_text
from ..logs.summary import Row, Summary
from ..logs.timeline import Timeline
from ..read.streams import lines
from .formatter import examples
from .progress import Progress
from .writer import Writer

_PROGRESS_EVERY = 4096  # lines


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read KVM's kvm_vmgexit tracepoints, as trace-cmd report, perf script or tracefs print them."
        " Show every exit by its name and fields, and each response beside its request. Other lines"
        " pass through. A summary by exit code comes last; its medians are within 7 %."
    )
    parser.epilog = examples("trace-cmd report | vmgexit trace - --summary")
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="file, .gz or .xz, or - (standard input)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each pair")
    parser.add_argument("--summary", action="store_true", help="only the summary")
    parser.add_argument(
        "--timeline",
        action="store_true",
        help="only what happened when: first requests, GHCBs, started vCPUs, page state bursts, failures",
    )
    parser.add_argument("--plot", metavar="FILE", help="the timeline as a picture, SVG")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.timeline and arguments.json:
        raise UsageError("--timeline goes without --json, which has the time of every request")
    draw = _drawing() if arguments.plot else None
    summary = Summary()
    timeline = Timeline() if arguments.timeline or arguments.plot else None
    quiet = arguments.summary or arguments.timeline
    show = None if quiet else as_json if arguments.json else as_text
    progress = Progress(*_watched(arguments))
    interrupted = False
    try:
        _read(arguments.file, summary, timeline, show, progress)
    except KeyboardInterrupt:  # how a person ends a live trace: the summary is what they want then
        interrupted = True
    progress.clear()
    if timeline is not None:
        timeline.finish()
    _print_end(arguments, summary, timeline)
    if draw is not None and timeline is not None and timeline.points:
        write_output(Path(arguments.plot), draw(timeline, f"VMGEXITs of {arguments.file}"))
    sys.stdout.flush()
    rate = summary.lines / progress.seconds
    print(
        f"vmgexit: {count_of(summary.lines, 'line')} in {progress.seconds:.2f} s, {rate:.0f} lines/s",
        file=sys.stderr,
    )
    if interrupted:
        return 130
    if summary.lines and summary.has_nothing:
        raise DecodeError(
            f"{arguments.file}: {count_of(summary.lines, 'line')} found, none of a tracepoint kvm_vmgexit_*"
            " as trace-cmd report, perf script and tracefs print it"
        )
    if draw is not None and timeline is not None and not timeline.points:
        raise DecodeError(
            f"{arguments.file}: no event with a time found: {arguments.plot} is not written"
        )
    return 0


def _drawing() -> Callable[[Timeline, str], bytes]:
    """What draws a timeline; asked for before a long trace is read."""
    try:
        from ..logs.plot import svg
    except ImportError as error:
        raise UsageError(f"--plot needs: pip install 'vmgexit[plot]' ({error})") from None
    return svg


def _watched(arguments: argparse.Namespace) -> tuple[int, bool]:
    """The size that progress is measured by, and whether it is shown."""
    path = Path(arguments.file)
    if arguments.file == "-" or not path.is_file():
        return 0, False
    quiet = arguments.summary or not sys.stdout.isatty()
    packed = path.suffix in (".gz", ".xz")  # bytes read do not tell how much is left
    return 0 if packed else path.stat().st_size, quiet


# --- reading ------------------------------------------------------------------------------------------

Show = Callable[[bytes, Event | None, list[Pair]], bytes]


def _read(
    name: str,
    summary: Summary,
    timeline: Timeline | None,
    show: Show | None,
    progress: Progress,
) -> None:
    """Read the trace: pairs and RMP faults go to summary and timeline, lines to `show`."""
    pairing = Pairing()
    writer = Writer()
    done = 0
    try:
        for line in lines(name, lambda head: _refuse_binary(head, name)):
            summary.lines += 1
            done += len(line)
            if not summary.lines % _PROGRESS_EVERY:
                rate = summary.lines / progress.seconds
                progress.at(done, f"{summary.lines} lines, {rate:.0f} lines/s")
            found = parse(line, summary.lines)
            if isinstance(found, Line):
                summary.pass_by(found, lost(line))
                fault = rmp_fault(line)
                if fault is not None:
                    line = fault_text(line, fault)
                    summary.rmp_faults += 1
                    if timeline is not None:
                        timeline.fault(fault)
                pairs, event = [], None
            else:
                pairs, event = pairing.take(found), found
                _take(pairs, summary, timeline)
            if show is not None:
                writer.put(show(line, event, pairs))
    finally:  # interrupted or damaged: what was read counts
        for pair in pairing.finish():
            _take([pair], summary, timeline)
            if show is not None:
                writer.put(show(b"", None, [pair]))
        writer.flush()


def _take(pairs: list[Pair], summary: Summary, timeline: Timeline | None) -> None:
    for pair in pairs:
        summary.add(pair)
        if timeline is not None:
            timeline.add(pair)


_TELLING = 16  # bytes by which text is known; fewer may be damaged


def _refuse_binary(head: bytes, name: str) -> None:
    if what := trace_of(head):
        raise DecodeError(f"{name}: {what}")
    if len(head) >= _TELLING and is_binary(head):
        raise DecodeError(
            f"{name}: bytes that are no text found, lines of a trace in UTF-8 expected"
        )


# --- what comes last ----------------------------------------------------------------------------------


def _print_end(arguments: argparse.Namespace, summary: Summary, timeline: Timeline | None) -> None:
    """The timeline or the summary, as it was asked for."""
    if arguments.timeline and timeline is not None:
        print("\n".join(timeline.lines()))
    elif arguments.json and arguments.summary:
        print(json.dumps(summary.as_dict()))
    elif not arguments.json:
        _print_summary(summary)


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
        f"{count_of(totals['lines'], 'line')}: {count_of(totals['pairs'], 'request')},"
        f" {totals['errors']} failed, {totals['unpaired']} unpaired; {totals['malformed']} malformed,"
        f" {count_of(totals['other'], 'other line')}, {count_of(totals['lost'], 'event')} lost"
        + f"; {count_of(totals['rmp_faults'], 'RMP fault')}"
        * bool(totals["rmp_faults"])
    )
    if totals["unpaired"] and not summary.answers:
        print("no line is of an exit tracepoint: record these too, to see what the host answered")


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
        *(duration(time, raw) for time in times),
        *[""] * (3 - len(times)),
    )
