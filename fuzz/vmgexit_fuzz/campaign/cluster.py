"""A campaign whose fuzzing processes run on the nodes of a dask cluster.

The center is a campaign like any other (`run`), with the same folder, the same mix of kinds and the
same statistics. But a node plays the turns of each worker. One turn is one task: the task carries
an order and a sample of the corpus to the node, and carries back what the process told and which
inputs it kept. A node keeps nothing, and a turn may be played twice, so nodes may come and go. When
a node is lost, its last inputs are lost, and nothing else.

Nodes and scheduler must have the center's version of this package. They are trusted as the center is.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import os
import socket
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from threading import Event
from typing import Any

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from ..process.child import Order
from ..process.parent import INTERRUPTED, Process, recording
from ..targets import find
from . import run as local

CONNECT_SECONDS = 10
ROUND_SECONDS = 20.0  # at most; what a lost node costs
LATE_SECONDS = 10  # after the campaign's end, until a round is given up
LOOK_SECONDS = 2.0  # between two looks at who is in the cluster
SAMPLE_SECONDS = 5.0  # between two samples of the corpus
MOST_INPUTS, MOST_BYTES = 2000, 8 << 20  # in one sample
LOG_LINES = 100  # of a round
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Played:
    """What a round came to. The fields of a process are named as there."""

    node: str
    code: int
    process: dict[str, Any]
    told: list[dict[str, Any]]
    inputs: list[bytes]  # new ones of the corpus
    last_input: bytes | None  # of a process that died
    log: bytes


_COPIED = ("ready", "error", "last", "inputs", "coverage", "seconds", "hangs_in")


def play(spelled: dict[str, Any], inputs: tuple[bytes, ...], recorded: bool, brief: bool) -> Played:
    """Play one round, on a node. A `brief` one ends with its first finding.

    It also ends when nobody waits for it any more or the node is closing.
    """
    from distributed import Status, get_worker

    node, worker = socket.gethostname(), get_worker()
    key = worker.get_current_task()
    stop, lines, log = Event(), list[dict[str, Any]](), deque[bytes](maxlen=LOG_LINES)

    def told(line: dict[str, Any]) -> None:
        task = worker.state.tasks.get(key)
        wanted = task is not None and task.state != "cancelled"
        if not wanted or worker.status not in (Status.running, Status.paused):
            stop.set()
        if line:
            lines.append(line)
        if brief and ("finding" in line or line.get("counts")):
            stop.set()

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
            node=node,
            code=code,
            process={name: getattr(process, name) for name in _COPIED},
            told=lines,
            inputs=[data for name, data in _whole(corpus) if name not in sent],
            last_input=process.last_input() if code else None,
            log=b"".join(log),
        )


def _at_home(order: Order, folder: Path) -> Order:
    """An order with the places that it has here."""
    corpus, seeds = folder / "corpus", find(order.target).seeds
    corpus.mkdir()
    return dataclasses.replace(
        order,
        corpus=str(corpus),
        seeds=str(seeds) if seeds.is_dir() else "",
        rests=False,  # a round is a process's whole life
    )


def _whole(corpus: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of inputs; a process that was ended may have left a torn one."""
    for path in corpus.iterdir():
        with contextlib.suppress(FileNotFoundError):  # pruned meanwhile
            data = path.read_bytes()
            if path.name == hashlib.sha1(data).hexdigest():
                yield path.name, data


def _handed(inputs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """A sample of the corpus as a task of its own: made again when the node that has it is lost."""
    return inputs


def run(settings: local.Settings, address: str, rounds: int | None) -> int:
    """Run a campaign on the cluster whose scheduler is at `address`, so many rounds at a time, or as
    many as it has threads. As `run.run`; raises VmgexitError where there is no such cluster."""
    with _connected(address) as client:
        return local.run(
            settings, lambda settings: ClusterCampaign(settings, client, address, rounds)
        )


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        import distributed
        from distributed.versions import VersionMismatchWarning
    except ImportError:
        raise VmgexitError("--cluster needs distributed: pip install 'vmgexit[cluster]'") from None
    _log_to(logging.NullHandler())
    with warnings.catch_warnings():
        # Whether a node can play is seen when it does.
        warnings.simplefilter("ignore", VersionMismatchWarning)
        try:
            asyncio.run(asyncio.wait_for(_asked(address), CONNECT_SECONDS))
            client: Any = distributed.Client(  # type: ignore[no-untyped-call]
                address, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError):
            raise VmgexitError(
                f"{address}: no dask scheduler found; one is started by: dask scheduler"
            ) from None
        try:
            yield client
        finally:
            client.close()


async def _asked(address: str) -> None:
    """Ask who is there: dask's client would wait for good for what is no scheduler."""
    from distributed import rpc

    async with rpc(address) as there:  # type: ignore[no-untyped-call]
        if (await there.identity())["type"] != "Scheduler":
            raise ValueError


def _log_to(handler: logging.Handler) -> None:
    """Have all that dask says go to `handler`, and not to the terminal."""
    named = logging.root.manager.loggerDict
    for name in ("distributed", "tornado", "asyncio", *named):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logger = logging.getLogger(name)
            logger.handlers = [handler] if "." not in name else []
            logger.propagate = "." in name


def _line(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, VmgexitError) else f"{type(error).__name__}: {text}".rstrip(": ")
    )


class ClusterCampaign(local.Campaign):
    """The center: as many workers as the cluster has threads, unless told how many."""

    def __init__(
        self, settings: local.Settings, client: Any, address: str, rounds: int | None
    ) -> None:
        super().__init__(settings)
        self.client, self.address, self.rounds = client, address, rounds
        self.looked = 0.0
        self.known = set[str]()  # nodes that have this version of the package
        self.threads_there: int | None = None  # when last looked at
        self._sample: Any = None
        self._sampled = 0.0
        self._names: list[str] = []
        _log_to(logging.FileHandler(settings.directory.logs / "cluster.log", delay=True))
        try:
            self._expect(address, client.run_on_scheduler(metadata.version, "vmgexit"))
        except metadata.PackageNotFoundError:
            self._expect(address, None)
        self._count_threads()

    def worker(self, number: int) -> local.Worker:
        """A worker that has its turns played by nodes."""
        return _Slot(self, number)

    def look(self) -> None:
        """See who is there too: what comes late is given work."""
        super().look()
        if time.monotonic() - self.looked > LOOK_SECONDS and not self.stop.is_set():
            self._count_threads()
            self.employ()

    def _count_threads(self) -> None:
        before = self.threads_there
        try:
            threads = self.client.nthreads()
            self._check([node for node in threads if node not in self.known])
        except (CancelledError, OSError, RuntimeError):
            threads = {}  # the connection is made again, or else the rounds tell
        self.looked = time.monotonic()
        self.threads_there = sum(threads.values())
        # One waits for the first node.
        self.settings.workers = self.rounds or max(self.settings.workers, self.threads_there, 1)
        if not self.threads_there and before != 0:
            self.screen.say(f"{self.address}: no nodes yet; on each: dask worker {self.address}")
        elif self.threads_there and before == 0:
            self.screen.say(f"{self.address}: nodes: {len(threads)}, threads: {self.threads_there}")

    def _check(self, nodes: list[str]) -> None:
        """See that new nodes have this package: dask ends those that cannot read a round, unheard."""
        if not nodes:
            return
        ask = {"on_error": "return", "workers": nodes}
        for node, version in self.client.run(metadata.version, "vmgexit", **ask).items():
            if not isinstance(version, OSError):  # it is not gone again
                self._expect(node, version)
                self.known.add(node)

    def _expect(self, place: str, version: object) -> None:
        ours = metadata.version("vmgexit")
        if version != ours:
            found = version if isinstance(version, str) else "none"
            self.fail(f"{place}: vmgexit {ours} expected there, {found} found")

    def order(self, turn: int) -> Order | None:
        """As everywhere, but never for long."""
        order = super().order(turn)
        if order is not None:
            order.seconds = min(order.seconds or ROUND_SECONDS, ROUND_SECONDS)
        return order

    def played(self, order: Order, recorded: bool) -> Played | None:
        """Have a round played; None if it was lost or came too late. Raises VmgexitError."""
        from distributed import KilledWorker

        try:
            spelled = dataclasses.asdict(order)
            brief = self.settings.stop_on_finding
            future = self.client.submit(play, spelled, self.sample(), recorded, brief, pure=False)
            while not future.done():
                left = self.seconds_left()
                if self.stop.wait(_POLL_SECONDS) or (left is not None and left < -LATE_SECONDS):
                    future.release()  # which ends it
                    return None
            played: Played = future.result(timeout=CONNECT_SECONDS)
            return played
        except KilledWorker:
            self.screen.say(
                f"{self.address}: a round was given up, several nodes were lost with it"
            )
        except (CancelledError, TimeoutError, OSError):
            pass  # the connection was lost, or the node before it had handed over what it played
        except Exception as error:
            if self.client.status == "running":
                raise VmgexitError(f"{self.address}: a round failed: {_line(error)}") from None
        if self.client.status == "closed":
            raise VmgexitError(f"{self.address}: the scheduler is gone; the same command goes on")
        with self.lock:
            self._sample = None
        self.stop.wait(1)
        return None

    def sample(self) -> Any:
        """The smallest inputs of the corpus, as a future that is shared until there are others."""
        with self.lock:
            if self._sample is None or time.monotonic() - self._sampled > SAMPLE_SECONDS:
                names = sorted(os.listdir(self.settings.directory.corpus))
                if self._sample is None or names != self._names:
                    inputs = smallest(self.settings.directory.corpus)
                    self._sample = self.client.submit(_handed, inputs, pure=False, priority=1)
                self._names, self._sampled = names, time.monotonic()
            return self._sample


def smallest(corpus: Path) -> tuple[bytes, ...]:
    """The smallest inputs of a corpus, no more than fit into a message."""
    inputs, size = list[bytes](), 0
    for data in sorted((data for _, data in _whole(corpus)), key=len)[:MOST_INPUTS]:
        size += len(data)
        if size > MOST_BYTES:
            break
        inputs.append(data)
    return tuple(inputs)


class _Slot(local.Worker):
    """A worker whose processes are rounds."""

    campaign: ClusterCampaign

    def process_for(self, order: Order, log: Callable[[bytes], object]) -> Process:
        stop, recording = self.campaign.stop, self.recording
        return _Round(order, self.take, log, stop, recording, campaign=self.campaign)


@dataclass(slots=True)
class _Round(Process):
    """A process that runs on some node. The parent hears all that it told at its end."""

    campaign: ClusterCampaign = field(kw_only=True)
    _last_input: bytes | None = None

    def run(self) -> int:
        """Have it played; its exit code, 0 for one that was lost or that a node ended."""
        played = self.campaign.played(self.order, self.recording is not None)
        if played is None:
            return 0
        for name, value in played.process.items():
            setattr(self, name, value)
        self._last_input = played.last_input
        if self.error:
            self.error = f"{played.node}: {self.error}"
        self.last = f"{self.last} (on {played.node})"
        self.log(played.log)
        corpus = self.campaign.settings.directory.corpus
        for data in played.inputs:
            write(corpus / hashlib.sha1(data).hexdigest(), data)
        for line in played.told:
            self.told(line)
        return 0 if played.code in INTERRUPTED else played.code

    def last_input(self) -> bytes | None:
        return self._last_input
