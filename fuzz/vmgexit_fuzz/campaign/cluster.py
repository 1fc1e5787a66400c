"""A campaign whose fuzzing processes run on the nodes of a dask cluster.

The center is a campaign like any other (`workers`), with the same folder, the same mix of kinds and the
same statistics. But a node plays the turns of each worker (`node`). One turn is one task: the task carries
an order and a sample of the corpus to the node, and carries back what the process told and which
inputs it kept. On the way, events tell how it goes. A turn may be played twice, so nodes may come and go.
When a node is lost, its last inputs are lost, and nothing else.

A node that cannot play is named, with the reason, and left out for a while. Nodes and scheduler must have
the center's version of this package. They are trusted as the center is.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import math
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from ..process.child import Order
from ..process.parent import INTERRUPTED, Process
from . import workers as local
from .node import Played, play, whole
from .run import run as run_here

CONNECT_SECONDS = 10
ROUND_SECONDS = 20.0  # at most; what a lost node costs
LATE_SECONDS = 10.0  # after the campaign's end, until a round is given up
LOOK_SECONDS = 2.0  # between two looks at who is in the cluster
SILENT_SECONDS = 30.0  # without an event of a round, until its node is taken for lost
LEFT_OUT_SECONDS = 60.0  # until a node that could not play is asked again
SAMPLE_SECONDS = 5.0  # between two samples of the corpus
MOST_INPUTS, MOST_BYTES = 2000, 2 << 20  # in one sample
_POLL_SECONDS = 0.2


@dataclass(slots=True)
class Node:
    """A worker of dask."""

    address: str
    host: str
    threads: int
    rounds: int = 0  # that it has to play
    left_out: float = 0.0  # until when, as `time.monotonic` has it

    def __str__(self) -> str:
        return f"{self.host} ({self.address})"


class Lost(Exception):
    """A round whose node could not play it, and why."""


def run(settings: local.Settings, address: str, rounds: int | None) -> int:
    """Run a campaign on the cluster whose scheduler is at `address`, so many rounds at a time, or as
    many as it has threads. As `run.run`; raises VmgexitError where there is no such cluster."""
    with _connected(address) as client:
        return run_here(
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

    late_seconds = LATE_SECONDS

    def __init__(
        self, settings: local.Settings, client: Any, address: str, rounds: int | None
    ) -> None:
        super().__init__(settings)
        self.client, self.address, self.rounds = client, address, rounds
        self.looked = 0.0
        self.nodes: dict[str, Node] = {}  # by address
        self.without: set[str] = set()  # addresses of nodes without this version of the package
        self.asked: dict[str, threading.Thread] = {}  # by address; those that have not answered yet
        self.threads_there: int | None = None  # when last looked at
        self.has_played = False  # some node did
        self._sample: tuple[bytes, ...] = ()
        self._sampled = -SAMPLE_SECONDS
        _log_to(logging.FileHandler(settings.directory.logs / "cluster.log", delay=True))
        try:
            found = client.run_on_scheduler(metadata.version, "vmgexit")
        except metadata.PackageNotFoundError:
            found = None
        if wrong := _unexpected(found):
            raise VmgexitError(f"{address}: {wrong}")
        self._look_around()
        until = time.monotonic() + CONNECT_SECONDS
        for ask in list(self.asked.values()):
            ask.join(max(until - time.monotonic(), 0))
        self._count_threads()

    def worker(self, number: int) -> local.Worker:
        """A worker that has its turns played by nodes."""
        return _Slot(self, number)

    def look(self) -> None:
        """See who is there too: what comes late is given work."""
        super().look()
        if time.monotonic() - self.looked > LOOK_SECONDS and not self.stop.is_set():
            self._look_around()
            self._count_threads()
            self.employ()

    def _look_around(self) -> None:
        """See which nodes are there. A lost connection is made again, or else the rounds tell."""
        self.looked = time.monotonic()
        with contextlib.suppress(CancelledError, OSError, RuntimeError):
            there = self.client.nthreads()
            self._know({node: count for node, count in there.items() if node not in self.without})

    def _count_threads(self) -> None:
        before = self.threads_there
        with self.lock:
            count, threads = len(self.nodes), sum(node.threads for node in self.nodes.values())
        self.threads_there = threads
        # One waits for the first node.
        self.settings.workers = self.rounds or max(self.settings.workers, threads, 1)
        if not threads and before != 0:
            self.screen.say(f"{self.address}: no nodes yet; on each: dask worker {self.address}")
        elif threads and before == 0:
            self.screen.say(f"{self.address}: nodes: {count}, threads: {threads}")

    def _know(self, there: dict[str, int]) -> None:
        """Take note of who is there, and of who is not any more."""
        with self.lock:
            for address in self.nodes.keys() - there.keys():
                self.screen.say(f"{self.nodes.pop(address)}: lost")
        for address in there.keys() - self.nodes.keys() - self.asked.keys():
            # One that never answers is not to be waited for.
            ask = threading.Thread(target=self._meet, args=(address, there[address]), daemon=True)
            self.asked[address] = ask
            ask.start()

    def _meet(self, address: str, threads: int) -> None:
        """Ask a new node what it has: dask ends those that cannot read a round, unheard."""

        def answer(function: Callable[..., object], *words: str) -> object:
            asked = self.client.run(function, *words, on_error="return", workers=[address])
            return asked.get(address)

        try:
            host, version = answer(socket.gethostname), answer(metadata.version, "vmgexit")
        except (CancelledError, OSError, RuntimeError):
            host = version = None
        with self.lock:
            del self.asked[address]
            if not isinstance(host, str) or isinstance(version, OSError):
                return  # it is gone again
            node = Node(address, host, threads)
            if wrong := _unexpected(version):
                self.without.add(address)
                self.screen.say(f"{node}: left out: {wrong}")
                if not self.nodes and not self.asked and not self.has_played:
                    self.fail(f"{node}: {wrong}")
            else:
                self.nodes[address] = node

    def order(self, turn: int) -> Order | None:
        """As everywhere, but never for long."""
        order = super().order(turn)
        if order is not None:
            order.seconds = min(order.seconds or ROUND_SECONDS, ROUND_SECONDS)
        return order

    def played(self, round_: _Round) -> Played | None:
        """Have a round played; None if it was lost or came too late. Raises VmgexitError."""
        node = self._free_node()
        if node is None:
            return None
        try:
            played = self._played(round_, node)
        except Lost as lost:
            self._leave_out(node, str(lost))
            return None
        finally:
            with self.lock:
                node.rounds -= 1
        return played

    def _free_node(self) -> Node | None:
        """A node with a free thread, once there is one; None where the campaign ends before."""
        while not self._is_over():
            with self.lock:
                now = time.monotonic()
                for node in self.nodes.values():
                    if node.left_out <= now and node.rounds < node.threads:
                        node.rounds += 1
                        return node
            if self.client.status == "closed":
                raise VmgexitError(
                    f"{self.address}: the scheduler is gone; the same command goes on"
                )
            self.stop.wait(_POLL_SECONDS)
        return None

    def _leave_out(self, node: Node, why: str) -> None:
        """Tell by name what is wrong with a node. Where no node ever played, nothing will come of it."""
        with self.lock:
            if node.left_out > time.monotonic() or self.stop.is_set():
                return  # another round of it told
            node.left_out = time.monotonic() + LEFT_OUT_SECONDS
            self.screen.say(f"{node}: left out for {LEFT_OUT_SECONDS:.0f} s: {why}")
            now = time.monotonic()
            if not self.has_played and all(each.left_out > now for each in self.nodes.values()):
                self.fail(f"{node}: {why}")

    def _played(self, round_: _Round, node: Node) -> Played | None:
        """Have a node play a round. Raises Lost."""
        left = self.seconds_left()
        if left is not None:  # it may have waited for a node
            round_.order.seconds = max(min(round_.order.seconds or left, left), 0.1)
        topic, news = f"vmgexit-{uuid.uuid4()}", SimpleQueue[dict[str, Any]]()
        self.client.subscribe_topic(topic, lambda event: news.put(event[1]))
        try:
            future = self.client.submit(
                play,
                dataclasses.asdict(round_.order),
                self.sample(),
                round_.recording is not None,
                self.settings.stop_on_finding,
                topic,
                self._most(),
                pure=False,
                workers=[node.address],
            )
            heard = time.monotonic()
            while not future.done():
                while not news.empty():
                    heard = time.monotonic()
                    round_.hear(news.get())
                if self._is_over(LATE_SECONDS) or self.nodes.get(node.address) is not node:
                    future.release()  # which ends it
                    return None
                if time.monotonic() - heard > SILENT_SECONDS:
                    future.release()
                    raise Lost(f"nothing was heard of it for {SILENT_SECONDS:.0f} s")
                self.stop.wait(_POLL_SECONDS)
            played: Played = future.result(timeout=CONNECT_SECONDS)
        except (CancelledError, TimeoutError, OSError):
            self.stop.wait(1)
            return None  # the connection was lost, or the node before it had handed over what it played
        except Lost:
            raise
        except Exception as error:
            raise Lost(_line(error)) from None
        finally:
            with contextlib.suppress(Exception):  # the connection may be gone
                self.client.unsubscribe_topic(topic)
        if played.failure:
            raise Lost(played.failure)
        return played

    def _most(self) -> float:
        """How long a round may take in all. Of a peer it may hang; else a hang is a finding."""
        left = self.seconds_left()
        if left is None or not self.settings.target.takes_peer:
            return math.inf
        return left + local.Campaign.late_seconds

    def _is_over(self, late: float = 0.0) -> bool:
        """Whether the campaign is to end, or was `late` seconds ago."""
        left = self.seconds_left()
        return self.stop.is_set() or (left is not None and left < -late)

    def sample(self) -> tuple[bytes, ...]:
        """The smallest inputs of the corpus, of some seconds ago at most."""
        with self.lock:
            if time.monotonic() - self._sampled > SAMPLE_SECONDS:
                self._sample = smallest(self.settings.directory.corpus)
                self._sampled = time.monotonic()
            return self._sample


def _unexpected(version: object) -> str:
    """What is wrong with a version of this package that was found somewhere; empty where nothing is."""
    ours = metadata.version("vmgexit")
    if version == ours:
        return ""
    return f"vmgexit {ours} expected there, {version if isinstance(version, str) else 'none'} found"


def smallest(corpus: Path) -> tuple[bytes, ...]:
    """The smallest inputs of a corpus, no more than fit into a message."""
    inputs, size = list[bytes](), 0
    for data in sorted((data for _, data in whole(corpus)), key=len)[:MOST_INPUTS]:
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
        return _Round(order, self._told, log, stop, recording, campaign=self.campaign)


@dataclass(slots=True)
class _Round(Process):
    """A process that runs on some node."""

    campaign: ClusterCampaign = field(kw_only=True)
    _last_input: bytes | None = None

    def run(self) -> int:
        """Have it played; its exit code, 0 for one that was lost or that a node ended."""
        played = self.campaign.played(self)
        if played is None:
            return 0
        for name, value in played.process.items():
            setattr(self, name, value)
        self._last_input = played.last_input
        self.log(played.log)
        corpus = self.campaign.settings.directory.corpus
        for data in played.inputs:
            write(corpus / hashlib.sha1(data).hexdigest(), data)
        for line in played.told:
            self.told(line)
        return 0 if played.code in INTERRUPTED else played.code

    def hear(self, news: dict[str, Any]) -> None:
        """An event of the node: how far it is, and perhaps a finding, which the end tells again."""
        self.coverage = news.pop("coverage", 0)
        self.campaign.has_played |= bool(news.get("inputs"))
        self.told(news)

    def last_input(self) -> bytes | None:
        return self._last_input
