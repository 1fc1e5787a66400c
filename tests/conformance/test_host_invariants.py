"""The invariants of a GHCB host: the reference keeps them on all that is recorded and all that guests send,
and each error of KVM breaks one."""

import dataclasses
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from vmgexit.descriptions import Command
from vmgexit.hosts.quirks import REFERENCE, Decision, Quirks, names, only
from vmgexit.hosts.request import Request, Scratch
from vmgexit.hosts.scenario import Session, sequence_of
from vmgexit.sequences import Sequence
from vmgexit.watch.hosts.invariants import HOST_INVARIANTS, HostWatch
from vmgexit.watch.judged import Violation

CORPUS = Path(__file__).parents[2] / "corpus"
RECORDED = sorted((CORPUS / "recordings" / "kvm").glob("*.jsonl.xz"))
SHOWN = CORPUS / "hosts"
GUESTS = sorted((CORPUS / "guests").rglob("*.bin"))
ERRORS = [
    field.name.replace("_", "-")
    for field in dataclasses.fields(Quirks)
    if field.metadata["decision"] is Decision.ERROR
]


def lines(path: Path) -> list[str]:
    data = path.read_bytes()
    return (lzma.decompress(data) if path.suffix == ".xz" else data).decode().splitlines()


def sequences(path: Path) -> list[Sequence]:
    found = [sequence_of(json.loads(line), at, path.name) for at, line in enumerate(lines(path), 1)]
    assert all(found)
    return [one for one in found if one is not None]


def broken(commands: list[Command], quirks: Quirks) -> Violation | None:
    watch = HostWatch(Session(quirks))
    try:
        for command in commands:
            watch.execute(command)
    except Violation as violation:
        return violation
    return None


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_the_reference_breaks_nothing_on_what_was_recorded(path: Path) -> None:
    for sequence in sequences(path):
        found = broken(sequence.commands, REFERENCE)
        assert found is None, f"line {sequence.line}: {found}"


def test_the_reference_breaks_nothing_on_what_shows_a_quirk() -> None:
    for path in sorted(SHOWN.glob("*.jsonl")):
        for sequence in sequences(path):
            assert broken(sequence.commands, REFERENCE) is None, path.name


def test_the_reference_breaks_nothing_on_what_guests_send() -> None:
    assert len(GUESTS) > 150
    watch = HostWatch()
    for path in GUESTS:
        page = path.read_bytes()
        scratch = int.from_bytes(page[0x3A8:0x3B0], "little")
        gpa = scratch & ~0xFFF or 0x1000
        watch.execute({"op": "init", "registered": gpa, "memory_top": 1 << 47})
        watch.execute({"op": "vmgexit", "gpa": gpa, "page": [[0, page.hex()]]})
    assert {one.name for one in watch.checked} >= {"HOST-1", "HOST-2", "HOST-5", "HOST-7", "HOST-9"}


BROKEN = {
    "rdtsc-ends-run": "HOST-9",
    "rdtscp-injects-ud": "HOST-1",
    "cpuid-xcr0-by-64-bits": "HOST-3",
    "exception-word-sign-extended": "HOST-1",
    "rdpmc-fault-injected": "HOST-1",
    "psc-begun-entry-merged": "HOST-5",
    "certificate-area-missing-is-invalid": "HOST-7",
    "machine-check-leaves-plane": "HOST-12",
    "cancel-bare-signal-is-vector-0": "HOST-11",
    "cancel-merges-events": "HOST-11",
    "bad-doorbell-set-forgets": "HOST-6",
    "unknown-doorbell-operation-forgets": "HOST-6",
    "msr-missing-vmpl-ends-run": "HOST-9",
    # Not errors, but a choice of KVM that an invariant judges.
    "registers-always-returned": "HOST-8",
    "msr-unknown-unchanged": "HOST-10",
    "psc-list-read-again": "HOST-2",
}


def test_every_error_of_kvm_is_judged() -> None:
    assert set(ERRORS) <= set(BROKEN)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_quirk_breaks_an_invariant_where_it_is_shown(name: str) -> None:
    [sequence] = sequences(SHOWN / f"{name}.jsonl")
    found = broken(sequence.commands, only(name))
    assert found is not None
    assert found.invariant.name == BROKEN[name]


@pytest.mark.parametrize("name", names())
def test_every_quirk_has_a_scenario(name: str) -> None:
    assert (SHOWN / f"{name}.jsonl").exists()


def words(*pairs: tuple[int, int]) -> list[list[Any]]:
    return [[at, value.to_bytes(8, "little").hex()] for at, value in pairs]


def test_a_host_that_writes_past_the_buffer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of ours that does not look where the scratch area ends."""
    monkeypatch.setattr(Request, "scratch", lambda self, size, brings=False: Scratch(self, 0xFEC))
    valid = (1 << 0x72 | 1 << 0x73 | 1 << 0x74 | 1 << 0x75).to_bytes(16, "little").hex()
    page = words((0x390, 0x80000001), (0x398, 0xFEE00000), (0x3A0, 8), (0x3A8, 0x7FEC))
    found = broken(
        [
            {"op": "init", "registered": 0x7000},
            {"op": "vmgexit", "gpa": 0x7000, "page": [*page, [0x3F0, valid]]},
        ],
        REFERENCE,
    )
    assert found is not None
    assert found.invariant.name == "HOST-4"


@pytest.mark.clause("HOST-1")
@pytest.mark.clause("HOST-2")
@pytest.mark.clause("HOST-3")
@pytest.mark.clause("HOST-4")
@pytest.mark.clause("HOST-5")
@pytest.mark.clause("HOST-6")
@pytest.mark.clause("HOST-7")
@pytest.mark.clause("HOST-8")
@pytest.mark.clause("HOST-9")
@pytest.mark.clause("HOST-10")
@pytest.mark.clause("HOST-11")
@pytest.mark.clause("HOST-12")
def test_every_invariant_can_be_broken() -> None:
    assert {one.name for one in HOST_INVARIANTS} == {*BROKEN.values(), "HOST-4"}
