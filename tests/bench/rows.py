"""What the bench measures: each row is one piece of work, done by us and by the peers.

Records are as they are on the wire: reserved bits zero, everything else random; `--noise` makes them
random altogether.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vmgexit import (
    DoorbellHead,
    DoorbellPage,
    ExtIntDescriptor,
    ExtIntStatus,
    GhcbPage,
    Vmsa,
)
from vmgexit.explore.exact import Exact
from vmgexit.explore.search import Limits
from vmgexit.explore.system import System
from vmgexit.machine.quirks import REFERENCE
from vmgexit.schema import Structure, leaves
from vmgexit.schema.columns import columns

from . import adapters, layouts
from .peers import PEERS, Contestant, check, ctypes_of, ours
from .timing import Job, Timing, bytes_held, imports, interleaved, processes

US = "vmgexit"
PYTHON = "argparse, json"  # a Python that imports these two, and no more
RECORDS = 32
STATUS_FIELDS = (
    "pending_vector",
    "nmi_pending",
    "mc_pending",
    "level_sensitive",
    "multiple_vectors",
    "ipi_requested",
    "vector_31",
)


@dataclass(frozen=True)
class Limit:
    """What must hold: our time, over that of `against` ("" is the fastest peer), is at most `most`."""

    most: float
    against: str = ""


@dataclass
class Row:
    """One piece of work, what everyone took for it, and what must hold. `unit` is ns, ms or bytes."""

    work: str
    took: dict[str, Timing]
    limits: tuple[Limit, ...] = ()
    unit: str = "ns"
    ratios: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.ratios = [self.took[US].best / self._other(limit) for limit in self.limits]

    def _other(self, limit: Limit) -> float:
        return min(
            timing.best
            for name, timing in self.took.items()
            if name != US and limit.against in ("", name)
        )

    @property
    def holds(self) -> bool:
        return all(
            ratio <= limit.most for ratio, limit in zip(self.ratios, self.limits, strict=True)
        )


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    imports: int
    records: int  # of the columns
    noise: bool = False


CODECS: tuple[tuple[str, type[Structure], layouts.Word | layouts.Record], ...] = (
    ("status word, 4 bytes", ExtIntStatus, layouts.STATUS),
    ("descriptor, 64 bytes", ExtIntDescriptor, layouts.DESCRIPTOR),
    ("doorbell head, 256 bytes", DoorbellHead, layouts.HEAD),
    ("GHCB page", GhcbPage, layouts.GHCB),
    ("VMSA", Vmsa, layouts.VMSA),
)
FASTEST = Limit(0.9)
FORTIETH = Limit(1 / 40, "construct")


def records_of(cls: type[Structure], noise: bool = False) -> list[bytes]:
    """Records to decode, the same each time."""
    source = random.Random(cls.declaration.name)
    used = sum(
        (1 << place.field.width) - 1 << place.bit_offset
        for place in leaves(cls)
        if place.field.rule is None
    )
    found = []
    for _ in range(RECORDS if cls.size < 4096 else RECORDS // 4):
        word = source.getrandbits(8 * cls.size)
        found.append((word if noise else word & used).to_bytes(cls.size, "little"))
    return found


def contestants(cls: type[Structure], layout: layouts.Word | layouts.Record) -> list[Contestant]:
    return [ours(cls), *(peer(layout) for peer in PEERS)]


def codecs(effort: Effort) -> Iterator[Row]:
    """Decode and encode of all fields as named values."""
    for title, cls, layout in CODECS:
        records = records_of(cls, effort.noise)
        everyone = contestants(cls, layout)
        check(everyone, records)
        page = cls.size == 4096
        limits = (FASTEST,) if page else (FASTEST, FORTIETH)
        rounds = effort.rounds // 6 if page else effort.rounds
        decoding = {one.name: Job(one.decode, records) for one in everyone}
        yield Row(f"decode {title}", interleaved(decoding, rounds), limits)
        encoding = {
            one.name: Job(one.encode, [one.decode(data) for data in records]) for one in everyone
        }
        yield Row(f"encode {title}", interleaved(encoding, rounds), () if page else limits)


def views(effort: Effort) -> Iterator[Row]:
    """One field of a page in place."""
    page = layouts.Record("Page", 4096, f"{layouts.HEAD.text} reserved_0x100:b3840")
    from_buffer = ctypes_of(page).from_buffer
    buffers = [bytearray(data) for data in records_of(DoorbellPage)]

    def both(
        work: str, ours: Callable[[bytearray], int], theirs: Callable[[bytearray], int]
    ) -> Row:
        assert [ours(buffer) for buffer in buffers] == [theirs(buffer) for buffer in buffers]
        jobs = {US: Job(ours, buffers), "ctypes": Job(theirs, buffers)}
        return Row(work, interleaved(jobs, effort.rounds), (Limit(1.5, "ctypes"),))

    yield both(
        "view, one field",
        lambda buffer: DoorbellPage.view(buffer).no_eoi_required,
        lambda buffer: from_buffer(buffer).no_eoi_required,
    )
    yield both(
        "view, vmpl2.status.pending_vector",
        lambda buffer: DoorbellPage.view(buffer).vmpl2.status.pending_vector,
        lambda buffer: from_buffer(buffer).vmpl2.status.pending_vector,
    )


def batches(effort: Effort) -> Iterator[Row]:
    """The seven fields of the status words of many descriptors; milliseconds."""
    count = effort.records
    data = np.random.default_rng(1).integers(0, 256, count * 64, dtype=np.uint8)
    copied = np.empty_like(data)
    paths = [f"status.{name}" for name in STATUS_FIELDS]
    found = columns(ExtIntDescriptor, data, paths)
    for index in (0, count // 2, count - 1):
        status = ExtIntDescriptor.decode(data[64 * index : 64 * index + 64].tobytes()).status
        assert all(
            found[f"status.{name}"][index] == getattr(status, name) for name in STATUS_FIELDS
        )
    jobs = {
        US: Job(lambda _: columns(ExtIntDescriptor, data, paths), [None]),
        "memcpy": Job(lambda _: np.copyto(copied, data), [None]),
    }
    took = {
        name: Timing(timing.best / 1e6, timing.median / 1e6)
        for name, timing in interleaved(jobs, effort.rounds // 4).items()
    }
    yield Row(f"columns, 7 fields of {count:,}", took, (Limit(1.5, "memcpy"),), "ms")


def starts(effort: Effort) -> Iterator[Row]:
    """Imports, and the command line as a whole process, in milliseconds."""
    programs = {
        US: "import vmgexit",
        "vmgexit, first decode": "import vmgexit; vmgexit.ExtIntDescriptor.decode(bytes(64))",
        "construct": "import construct",
        "bitstruct, C": "import bitstruct.c",
        "ctypes": "import ctypes",
        "dissect.cstruct": "import dissect.cstruct",
        "Kaitai style": "import kaitaistruct",
    }
    took = {
        name: Timing(timing.best / 1e6, timing.median / 1e6)
        for name, timing in imports(programs, effort.imports).items()
    }
    yield Row("import", took, (Limit(0.5, "construct"),), "ms")
    python, vmgexit = sys.executable, str(Path(sys.executable).with_name("vmgexit"))
    commands = {
        US: [vmgexit, "decode", "doorbell-head", "--pad", "--hex", "61810102"],
        PYTHON: [python, "-c", "import argparse, json"],
    }
    took = {
        name: Timing(timing.best / 1e6, timing.median / 1e6)
        for name, timing in processes(commands, effort.imports).items()
    }
    yield Row("vmgexit decode, a process", took, (Limit(3, PYTHON),), "ms")


def memory(_: Effort) -> Iterator[Row]:
    """Bytes held by one decoded descriptor."""
    records = records_of(ExtIntDescriptor) * 8
    took = {
        one.name: Timing(held, held)
        for one in contestants(ExtIntDescriptor, layouts.DESCRIPTOR)
        for held in [bytes_held(Job(one.decode, records))]
    }
    yield Row("held by a decoded descriptor", took, (), "bytes")


EXPLORED = {
    "A: 2 vCPUs, two edge, a call": System(vcpus=2, edge=(0x31, 0x51), calls=1),
    "D: 1 vCPU, two edge, a level": System(vcpus=1, edge=(0x31, 0x51), level=(0x61,)),
}


def explorer(effort: Effort) -> Iterator[Row]:
    """Whole searches of the explorer: the best of a few, and the memory of each state."""
    for title, system in EXPLORED.items():
        rates, held = [], 0.0
        for _ in range(1 + effort.rounds // 300):
            exact = Exact(system, REFERENCE, Limits())
            exact.run()
            assert exact.broken is None
            assert not exact.outcome.stopped_by
            rates.append(exact.outcome.rate)
            held = (sys.getsizeof(exact.parents) + sum(map(sys.getsizeof, exact.parents))) / len(
                exact.parents
            )
        took = {US: Timing(max(rates), statistics.median(rates))}
        yield Row(f"explore {title}", took, (), "states/s")
        yield Row(f"held by a state of {title[0]}", {US: Timing(held, held)}, (), "bytes")


def peers(effort: Effort) -> Iterator[Row]:
    """A command of a campaign on an adapter in C, beside JSON alone."""
    for way, took in adapters.measured(max(effort.imports // 5, 1), 2.0):
        limits = (Limit(2.5, adapters.BASE),) if way == adapters.USUAL else ()
        yield Row(f"fuzz run peer, {way}: a command", took, limits, "ns")


SECTIONS: tuple[Callable[[Effort], Iterator[Row]], ...] = (
    codecs,
    views,
    batches,
    starts,
    memory,
    explorer,
    peers,
)
