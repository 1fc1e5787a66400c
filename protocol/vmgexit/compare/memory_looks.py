"""What is asked of a machine with memory after each command, so that the command that first did harm is
named: where vCPUs are, which VMSAs are registered, and the pages that it named or changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..descriptions import Answer, Command
from ..machine.machine import Machine
from ..machine.memory.changes import changes
from ..machine.memory.memory import Memory
from ..machine.memory.rmp import ASSIGNED, FRAME, MOST_ADDRESS
from ..wire.page_size import PAGE
from .lockstep import Differences

LOOKS = ("calling_area", "registry", "page")
"""The commands that only look at vCPUs and memory."""

_MOST_PAGES = 8  # after one command
_SHOWN = 3  # pages in the state around a command
_NAMING = ("gpa", "rcx", "rdx", "spa")  # arguments that are addresses


def looks(command: Command, machine: Machine, before: Memory | None) -> Iterator[Command]:
    """What is asked after a command that our machine carried out; `before` is its memory as it was."""
    yield from ({"op": "calling_area", "cpu": cpu} for cpu in range(len(machine.vm.vcpus)))
    yield {"op": "registry"}
    if command["op"] == "init":
        pages = [page for cpu in machine.vm.vcpus for page in cpu.home if page is not None]
    else:
        pages = [*_named(command), *_changed(machine.vm.memory, before)]
    for page in islice(dict.fromkeys(pages), _MOST_PAGES):
        yield {"op": "page", "gpa": page}


def _named(command: Command) -> Iterator[int]:
    addresses = (command[name] for name in _NAMING if name in command)
    yield from (address & -PAGE for address in addresses if PAGE <= address <= MOST_ADDRESS)


def _changed(memory: Memory | None, before: Memory | None) -> Iterator[int]:
    """The guest pages whose entries or bytes are others than before."""
    if memory is None or before is None:
        return
    entries = (at for at, _, _ in memory.rmp.changes(before.rmp))
    for at in sorted({*entries, *memory.pages.changes(before.pages)}):
        entry = memory.rmp[at]
        yield entry & FRAME if entry & ASSIGNED else at


def of_look(look: Command, found: Differences, expected: Answer) -> Differences:
    """The differences of a look, each with the place that it is about. The bytes of a VMSA are an
    implementation's own: what guests see of them is in the answers to calls."""
    if look["op"] == "page":
        is_vmsa = expected.get("vmsa")
        kept = {key: pair for key, pair in found.items() if not (is_vmsa and key == "hash")}
        return {f"page[{look['gpa']:#x}].{key}": pair for key, pair in kept.items()}
    if look["op"] == "calling_area":
        return {f"calling_area[{look['cpu']}].{key}": pair for key, pair in found.items()}
    return {f"registry.{key}": pair for key, pair in found.items()}


def around(memory: Memory | None, before: Memory | None) -> str:
    """What a command changed of memory, for the reader of a finding."""
    if memory is None or before is None:
        return ""
    told = list(changes(before, memory))
    more = [f"{len(told) - _SHOWN} more pages changed"] if told[_SHOWN:] else []
    return "".join(f"; {line}" for line in (*told[:_SHOWN], *more))
