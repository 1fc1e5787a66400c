"""The host of restricted injection: what the reference does, and where KVM with the planes series departs.

Words are written by hand: #HV in EVENTINJ is 0x80000300 | 28; PendingEvent has the vector in bits 7:0, the
NMI at bit 8, the machine check at bit 9, NoFurtherSignal at bit 15.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgexit.compare.replay import Tally, explain, replay
from vmgexit.descriptions import Command
from vmgexit.hosts.quirks import PLANES_SEEN, REFERENCE, Quirks, names, only, profile
from vmgexit.hosts.scenario import Session, sequence_of
from vmgexit.machine.scenario import sequences
from vmgexit.sequences import Sequence

CORPUS = Path(__file__).parents[2] / "corpus" / "hosts"
PLANES = names(seen=PLANES_SEEN)
HV = 0x8000031C
IRQ_31, IRQ_51, NMI, MACHINE_CHECK = 0x80000031, 0x80000051, 0x80000200, 0x80000312
GHCB, PAGE = 0x7000, 0x9000
RESTRICTED = 1 | 8  # SEV_FEATURES: SNP, restricted injection


def exits(code: int, info1: int, info2: int = 0, rax: int | None = None) -> Command:
    """A page by its offsets: RAX 0x1F8, exit code and words 0x390, valid bits 0x3F0, version 0xFFA."""
    words = b"".join(word.to_bytes(8, "little") for word in (code, info1, info2))
    valid = 7 << 0x72
    pieces: list[Any] = [[0x390, words.hex()], [0xFFA, "0200"]]
    if rax is not None:
        pieces.append([0x1F8, rax.to_bytes(8, "little").hex()])
        valid |= 1 << 0x3F
    pieces.append([0x3F0, valid.to_bytes(16, "little").hex()])
    return {"op": "vmgexit", "gpa": GHCB, "page": pieces}


def doorbell(operation: int, address: int = 0) -> Command:
    return exits(0x80000014, operation, address)


class Host:
    """A host with one vCPU that was told of a doorbell page."""

    def __init__(
        self, quirks: Quirks = REFERENCE, features: int = RESTRICTED, page: int = PAGE
    ) -> None:
        self.session = Session(quirks)
        self("init", registered=GHCB, vmsa_features=features)
        if page:
            assert self.exits(doorbell(1, page)) == (0, page)

    def __call__(self, op: str, **arguments: Any) -> Any:
        return self.session.execute({"op": op, **arguments})

    def exits(self, command: Command) -> tuple[int, int]:
        answer = self.session.execute(command)
        return answer["status"], answer["detail"]

    def entered(self) -> tuple[int, int, int | None]:
        answer = self("enter")
        return answer["vmpl"], answer["event_inj"], answer["doorbell"]


def test_an_interrupt_is_written_down_and_signalled_once() -> None:
    host = Host()
    host("irq", vector=0x31)
    assert host.entered() == (0, HV, 0x8031)
    assert host.entered() == (0, 0, 0x8031)  # it is there already
    assert host("take") == {"events": [IRQ_31], "doorbell": 0}
    assert host.entered() == (0, 0, 0)


def test_every_kind_has_its_place_and_one_signal_tells_of_all() -> None:
    host = Host()
    for op in ("nmi", "machine_check"):
        host(op)
    host("irq", vector=0x31)
    assert host.entered() == (0, HV, 0x8331)
    assert host("take")["events"] == [IRQ_31, NMI, MACHINE_CHECK]


def test_a_higher_vector_takes_the_place_of_a_lower_one_without_a_signal() -> None:
    host = Host()
    host("irq", vector=0x31)
    host.entered()
    host("take", tpr=15)  # NoFurtherSignal is cleared, the vector stays
    host("irq", vector=0x51)
    assert host.entered() == (0, 0, 0x51)
    host("irq", vector=0x41)
    assert host("enter") == {
        "vmpl": 0,
        "event_inj": 0,
        "doorbell": 0x51,
        "waiting": [0x31, 0x41],  # lower ones wait
    }
    assert host("take")["events"] == [IRQ_51]
    assert host.entered() == (0, HV, 0x8041)


def test_no_signal_while_the_guest_has_one_to_handle() -> None:
    host = Host()
    host("nmi")
    assert host.entered() == (0, HV, 0x8100)
    host("irq", vector=0x31)
    assert host.entered() == (0, 0, 0x8131)


def test_a_cancelled_entry_takes_back_what_it_told() -> None:
    host = Host()
    host("irq", vector=0x31)
    host("nmi")
    host.entered()
    assert host("cancel") == {"events": [IRQ_31, NMI], "doorbell": 0, "waiting": ["NMI", 0x31]}
    assert host("cancel")["events"] == []
    assert host.entered() == (0, HV, 0x8131)


def test_without_a_page_everything_waits() -> None:
    host = Host(page=0)
    host("irq", vector=0x31)
    assert host("enter") == {"vmpl": 0, "event_inj": 0, "doorbell": None, "waiting": [0x31]}
    assert host("take") == {"events": [], "doorbell": None}


def test_without_the_feature_events_are_injected_as_they_are() -> None:
    host = Host(features=1)
    host("irq", vector=0x31)
    host("nmi")
    assert host.entered() == (0, NMI, 0)
    assert host("take")["events"] == [NMI]
    assert host.entered() == (0, IRQ_31, 0)
    assert host("cancel")["waiting"] == [0x31]


def test_coconut_leaves_a_vector_that_its_task_priority_blocks() -> None:
    host = Host()
    host("irq", vector=0x31)
    host("nmi")
    host.entered()
    assert host("take", tpr=3) == {"events": [NMI], "doorbell": 0x31}
    assert host("take", tpr=2) == {"events": [IRQ_31], "doorbell": 0}


@pytest.mark.clause("SCHED-1")
@pytest.mark.parametrize("event", ["nmi", "machine_check", "irq"])
def test_vmpl_0_runs_next_when_something_waits_for_it(event: str) -> None:
    host = Host()
    assert host.exits(exits(0x80000018, 2)) == (2, 5)  # there is no VMPL 2 yet
    host.exits(exits(0x80000013, 2 << 16 | 1, 0xA000, rax=RESTRICTED))
    assert host.exits(exits(0x80000018, 2)) == (0, 0)
    assert host.entered()[:2] == (2, 0)
    host(event, **({"vector": 0x31} if event == "irq" else {}))
    assert host.entered()[:2] == (0, HV)


def test_the_page_is_registered_asked_for_and_forgotten() -> None:
    host = Host()
    none = (1 << 64) - 1
    assert host.exits(doorbell(0)) == (0, none)
    assert host.exits(doorbell(2)) == (0, PAGE)
    for bad in (doorbell(1, 0x9800), doorbell(1, 1 << 40), doorbell(4)):
        assert host.exits(bad) == (2, 5)
        assert host.exits(doorbell(2)) == (0, PAGE)
    assert host.exits(doorbell(3)) == (0, 0)
    assert host.exits(doorbell(2)) == (0, none)


def test_kvm_guards_vmpl_0_and_compares_features_by_vmpl() -> None:
    """Patch 57 of the planes series: sev_snp_ap_creation."""

    def create(apic_id: int, vmpl: int, rax: int) -> Command:
        return exits(0x80000013, apic_id << 32 | vmpl << 16 | 1, 0xA000, rax=rax)

    kvm, reference = Host(profile("kvm-planes")), Host()
    assert kvm.exits(create(0, 0, RESTRICTED)) == (2, 5)  # its own
    assert kvm.exits(create(1, 0, RESTRICTED)) == (0, 0)
    assert reference.exits(create(0, 0, RESTRICTED)) == (0, 0)
    assert kvm.exits(create(0, 2, 0x21)) == (0, 0)  # the first of VMPL 2
    assert kvm.exits(create(1, 2, RESTRICTED)) == (2, 5)
    assert kvm.exits(create(1, 2, 0x21)) == (0, 0)
    assert kvm.exits(create(1, 0, 0x21)) == (2, 5)
    assert kvm.exits(exits(0x80000018, 2)) == (0, 0)
    assert kvm.exits(create(1, 0, RESTRICTED)) == (2, 5)  # VMPL 2 asks


@pytest.mark.parametrize(
    ("code", "reference", "kvm"),
    [  # patches 2, 7, 56 and 58: which of them ask is_sev_snp_guest
        *((code, (2, 6), (2, 4)) for code in (0x80000014, 0x80000015, 0x80000018)),
        (0x80000017, (0, 0), (0, 0)),
        (0x8000001A, (2, 6), (2, 6)),
    ],
)
def test_exits_of_snp_in_another_guest(
    code: int, reference: tuple[int, int], kvm: tuple[int, int]
) -> None:
    for quirks, answer in ((REFERENCE, reference), (profile("kvm-planes"), kvm)):
        host = Host(quirks, page=0)
        host("init", snp=False)
        assert host.exits(exits(code, 0, rax=0)) == answer


def test_the_apic_id_list_leaves_rax_in_kvm_alone() -> None:
    """Patch 56 of the planes series: sev_get_apic_ids; 8 IDs and their count are 36 bytes."""
    for quirks, rax in ((REFERENCE, 1), (profile("kvm-planes"), 4)):
        host = Host(quirks)
        asked = host.session.execute(exits(0x80000017, 0xB000, rax=0))
        assert (asked["registers"]["rax"], asked["asked"]) == (1, [])
        given = host.session.execute(exits(0x80000017, 0xB000, rax=4))
        assert given["registers"]["rax"] == rax
        assert given["asked"][0][:3] == ["write-memory", 0xB000, 36]
        assert host.exits(exits(0x80000017, 0xB008, rax=4)) == (2, 5)


@pytest.mark.parametrize(
    ("quirks", "run"),
    [(REFERENCE, "guest"), (profile("kvm"), "guest"), (profile("kvm-planes"), ["terminate", 0x16])],
)
def test_the_msr_runs_no_vmpl_without_snp(quirks: Quirks, run: Any) -> None:
    """Patch 58 of the planes series; the KVM before does not know the word."""
    host = Host(quirks, page=0)
    host("init", snp=False)
    assert host("msr", request=0x16) == {"run": run, "word": 0x16, "asked": []}


def test_vmpls_by_the_msr() -> None:
    host = Host()
    assert host("msr", request=4 << 32 | 0x16) == {"run": "guest", "word": 0x100000017, "asked": []}
    assert host("msr", request=2 << 32 | 0x16)["word"] == 0x100000017
    kvm = Host(only("msr-missing-vmpl-ends-run"))
    assert kvm("msr", request=2 << 32 | 0x16)["run"] == ["error", 22]
    assert kvm("msr", request=0x16)["run"] == "ended"


def test_kvm_makes_an_interrupt_of_vector_0() -> None:
    """NoFurtherSignal alone is left when another vCPU took the vector from the shared page."""
    host = Host(profile("kvm-planes"))
    host("irq", vector=0x31)
    host.entered()
    host("write", gpa=PAGE, hex="00")
    assert host("cancel")["events"] == [0x80000000]


def test_kvm_ors_a_vector_and_an_nmi_into_one_event() -> None:
    host = Host(profile("kvm-planes"))
    host("irq", vector=0x31)
    host.entered()
    host("take", tpr=15)
    host("nmi")
    assert host.entered() == (0, HV, 0x8131)
    assert host("cancel") == {"events": [0x80000231], "doorbell": 0, "waiting": ["NMI"]}


# --- no event is lost -----------------------------------------------------------------------------

Moves = list[tuple[str, dict[str, int]]]

MOVES = st.lists(
    st.sampled_from(
        [
            *[("nmi", {}), ("machine_check", {}), ("enter", {}), ("enter", {}), ("cancel", {})],
            *[("irq", {"vector": vector}) for vector in (0x31, 0x3F, 0x51)],
            *[("take", {}), ("take", {"tpr": 0}), ("take", {"tpr": 4})],
        ]
    ),
    max_size=30,
)


def lost(host: Host, moves: Moves) -> str:
    """Books of a host that loses and makes up nothing: what is wrong after the moves; "" for nothing. An
    event that is posted again before it is taken may come once or twice."""
    owed, posted = set[int](), Counter[int]()
    events = {"nmi": NMI, "machine_check": MACHINE_CHECK}
    for op, arguments in moves:
        answer = host(op, **arguments)
        if op in ("irq", "nmi", "machine_check"):
            event = events.get(op) or 0x80000000 | arguments["vector"]
            owed.add(event)
            posted[event] += 1
        elif op == "take":
            # A machine check stays in the page, where COCONUT-SVSM stops on it.
            taken = set(answer["events"]) - ({MACHINE_CHECK} if "tpr" in arguments else set())
            owed -= taken
            posted.subtract(taken)
    waiting = host("cancel")["waiting"]
    there = {0x80000000 | vector for vector in waiting if isinstance(vector, int)}
    there |= {NMI} if "NMI" in waiting else set()
    there |= {MACHINE_CHECK} if "machine check" in waiting else set()
    page = int.from_bytes(bytes.fromhex(host("read", gpa=PAGE, size=2)["hex"]), "little")
    there |= {0x80000000 | page & 0xFF} if page & 0xFF else set()
    there |= {NMI} if page & 0x100 else set()
    there |= {MACHINE_CHECK} if page & 0x200 else set()
    may = {event for event, count in posted.items() if count > 0}
    wrong = min(posted.values(), default=0) < 0 or not owed <= there <= may
    return f"owed {owed}, may come {may}, there {there}" if wrong else ""


@given(MOVES)
@settings(max_examples=300, deadline=None)
def test_the_reference_loses_nothing_and_makes_up_nothing(moves: Moves) -> None:
    assert lost(Host(), moves) == ""


def test_what_kvm_loses_is_seen() -> None:
    """The same books find that the vector of a merged event is gone."""
    moves: Moves = [
        *[("irq", {"vector": 0x31}), ("enter", {}), ("take", {"tpr": 4})],
        *[("nmi", {}), ("enter", {}), ("cancel", {})],
    ]
    assert lost(Host(), moves) == ""
    assert "owed" in lost(Host(only("cancel-merges-events")), moves)


# --- the scenarios of the quirks ------------------------------------------------------------------


def scenario(quirk: str) -> Sequence:
    lines = (CORPUS / f"{quirk}.jsonl").read_bytes().splitlines()
    [found] = sequences(lines, quirk, sequence_of)
    return found


def answers(commands: list[Command], quirks: Quirks) -> list[Any]:
    session = Session(quirks)
    return [session.execute(command) for command in commands]


@pytest.mark.parametrize("quirk", PLANES)
def test_a_quirk_alone_shows_in_its_scenario(quirk: str) -> None:
    found = scenario(quirk)
    assert answers(found.commands, only(quirk)) != answers(found.commands, REFERENCE)


@pytest.mark.parametrize("quirk", PLANES)
def test_the_profile_gives_the_answers_and_the_quirk_explains_them(quirk: str) -> None:
    found = scenario(quirk)
    assert not list(replay([found], profile("kvm-planes"), Tally()))
    assert list(replay([found], REFERENCE, Tally()))
    causes = explain(found, REFERENCE)
    assert any(quirk in needed for needed in causes.values())


def test_the_profile_is_kvm_with_the_series() -> None:
    kvm, planes = profile("kvm"), profile("kvm-planes")
    assert kvm.registers_always_returned is planes.registers_always_returned is True
    assert (kvm.later_events_unknown, planes.later_events_unknown) == (True, False)
    assert (kvm.events_beyond_planes_unknown, planes.events_beyond_planes_unknown) == (False, True)
