"""One round on a node of a cluster: a process's whole life, played as a task of dask.

A node keeps nothing. What a round came to goes back with it; on the way, events tell the center how it
goes. A node that cannot play says why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from ..process.child import Order
from ..process.parent import Process, recording
from ..targets import find

LOG_LINES = 100  # of a round
NEWS_SECONDS = 1.0  # between two events


@dataclass(frozen=True, slots=True)
class Played:
    """What a round came to. The fields of a process are named as there."""

    code: int = 0
    process: dict[str, Any] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)  # new ones of the corpus
    last_input: bytes | None = None  # of a process that died
    log: bytes = b""
    failure: str = ""  # why the node could not play it


_COPIED = ("ready", "error", "last", "inputs", "coverage", "seconds", "hangs_in")


def play(
    spelled: dict[str, Any],
    inputs: tuple[bytes, ...],
    recorded: bool,
    brief: bool,
    topic: str,
    most: float,
) -> Played:
    """Play one round, on a node, for at most so many seconds. A `brief` one ends with its first finding.
    Its news are events of `topic`.

    It also ends when nobody waits for it any more or the node is closing.
    """
    try:
        return _played(spelled, inputs, recorded, brief, topic, time.monotonic() + most)
    except OSError as error:  # a full disk, no more processes
        return Played(failure=f"{error.filename or 'a round'}: {error.strerror or error}")


def _played(
    spelled: dict[str, Any],
    inputs: tuple[bytes, ...],
    recorded: bool,
    brief: bool,
    topic: str,
    until: float,
) -> Played:
    from distributed import Status, get_worker

    worker = get_worker()
    key = worker.get_current_task()
    stop, lines, log = Event(), list[dict[str, Any]](), deque[bytes](maxlen=LOG_LINES)
    last = 0.0

    def told(line: dict[str, Any]) -> None:
        nonlocal last
        task = worker.state.tasks.get(key)
        wanted = task is not None and task.state != "cancelled"
        if not wanted or worker.status not in (Status.running, Status.paused):
            stop.set()
        if line:
            lines.append(line)
        if brief and ("finding" in line or line.get("counts")):
            stop.set()
        now = time.monotonic()
        if now > until:
            stop.set()
        if line.keys() & {"draft", "finding"} or now - last > NEWS_SECONDS:
            last = now
            news = {
                name: line[name] for name in ("draft", "finding", "inputs", "steps") if name in line
            }
            worker.log_event(topic, news | {"coverage": process.coverage})

    with contextlib.ExitStack() as stack:
        # What a killed node leaves there is taken away by the next one.
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(dir=worker.local_directory, ignore_cleanup_errors=True)
        )
        held = stack.enter_context(recording()) if recorded else None
        order = _at_home(Order.of(spelled), Path(folder))
        corpus, sent = Path(order.corpus), {hashlib.sha1(data).hexdigest() for data in inputs}
        for data in inputs:
            (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
        process = Process(order, told, log.append, stop, held)
        code = process.run()
        return Played(
            code=code,
            process={name: getattr(process, name) for name in _COPIED},
            told=lines,
            inputs=[data for name, data in whole(corpus) if name not in sent],
            last_input=process.last_input() if code else None,
            log=b"".join(log),
            failure=_failure(process, code),
        )


def _failure(process: Process, code: int) -> str:
    """Why a process did not come to its first input: a package is missing, say."""
    if process.error or (code > 0 and not process.ready):
        return process.error or f"the fuzzing process did not start: {process.last}"
    return ""


def _at_home(order: Order, folder: Path) -> Order:
    """An order with the places that it has here."""
    corpus = folder / "corpus"
    corpus.mkdir()
    return dataclasses.replace(
        order,
        corpus=str(corpus),
        seeds=str(find(order.target).seeds),
        ends=None,  # by the clock of another machine
        rests=False,  # a round is a process's whole life
    )


def whole(corpus: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of inputs; a process that was ended may have left a torn one."""
    for path in corpus.iterdir():
        with contextlib.suppress(FileNotFoundError):  # pruned meanwhile
            data = path.read_bytes()
            if path.name == hashlib.sha1(data).hexdigest():
                yield path.name, data
