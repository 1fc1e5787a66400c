"""One defect of a GHCB host has one name: the quirk that explains it, or the check, exit and key."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.host_shows import INIT, exits
from vmgexit.compare.host_causes import HostCause, first
from vmgexit.descriptions import Answer, Command
from vmgexit.hosts.quirks import KVM, PROFILES, REFERENCE, Quirks
from vmgexit.hosts.scenario import Session, sequence_of
from vmgexit.wire.exit_codes import ExitCode, IoioInfo

SHOWN = Path(__file__).parents[2] / "corpus" / "hosts"


SAME = {"without io-reserved-ignored": "without io-size-zero-done"}
"""The exchange has an IOIO of size 0 with reserved bits, which a host without either quirk refuses."""


MEETING = {
    "xcr0-taken-always": "unregistered-page-ends-run",
    "unmarked-registers-zeroed": "registers-always-returned",
    "certificates-only-for-reports": "request-page-fault-ends-run",
    "certificate-table-emptied": "certificates-only-for-reports",
    "io-reserved-ignored": "io-size-zero-done",
    "psc-small-entry-marked-one": "psc-operation-skipped",
    "psc-ranges-merged": "psc-reserved-ignored",
    "psc-large-flag-on-rest": "psc-reserved-ignored",
    "psc-begun-entry-merged": "psc-large-flag-on-rest",
}
"""Exchanges in which another quirk of KVM shows too, and is nearer to how the guest goes on."""


class Peer:
    """Our host as a peer is: its answers come as JSON. `change` is its bug."""

    def __init__(
        self, quirks: Quirks = REFERENCE, change: Callable[..., None] | None = None
    ) -> None:
        self.session, self.change = Session(quirks), change

    def execute(self, command: Command) -> Answer:
        answer: Answer = json.loads(json.dumps(self.session.execute(command)))
        if self.change is not None:
            self.change(command, answer)
        return answer


def shown(name: str) -> list[Command]:
    sequence = sequence_of(json.loads((SHOWN / f"{name}.jsonl").read_text()), 1, name)
    assert sequence is not None
    return sequence.commands


def found(change: Callable[..., None], *commands: Command) -> HostCause:
    cause = first(Peer(change=change), REFERENCE, [INIT, *commands])
    assert cause is not None
    return cause


@pytest.mark.parametrize("name", sorted(path.stem for path in SHOWN.glob("*.jsonl")))
def test_a_difference_is_named_by_the_quirk(name: str) -> None:
    """That the peer has and we do not, and that we have and it does not."""
    profile = "kvm" if name in PROFILES.of_profile("kvm") else "kvm-planes"
    whole = PROFILES.of_profile(profile)
    others = [one for one in whole if one != name]
    for peer, ours, told in (
        (PROFILES.only(*whole), PROFILES.only(*others), name),
        (PROFILES.only(*others), PROFILES.only(*whole), f"without {name}"),
    ):
        cause = first(Peer(peer), ours, shown(name))
        assert cause is not None
        assert cause.name == SAME.get(told, told)
        assert str(cause).startswith(f"{cause.place} (explained by {cause.name}): ")


@pytest.mark.parametrize("name", PROFILES.of_profile("kvm"))
def test_of_quirks_that_meet_the_telling_one_is_named(name: str) -> None:
    """KVM returns registers at every exit; that is not what an exchange is about."""
    cause = first(Peer(KVM), REFERENCE, shown(name))
    assert cause is not None
    assert cause.name == MEETING.get(name, name)


def _its_own_state(command: Command, answer: Answer) -> None:
    if "ended" in answer:
        answer |= {"ended": "no", "more": 1}


def test_a_state_that_is_always_another_is_not_looked_at() -> None:
    peer = Peer(PROFILES.only("rdtsc-ends-run"), _its_own_state)
    cause = first(peer, REFERENCE, [INIT, exits(ExitCode.RDTSC)])
    assert cause is not None
    assert cause.name == "rdtsc-ends-run"


@pytest.mark.parametrize("name", sorted(path.stem for path in SHOWN.glob("*.jsonl")))
def test_a_host_does_not_differ_from_itself(name: str) -> None:
    assert first(Peer(KVM), KVM, shown(name)) is None


def test_words_are_told_in_hex() -> None:
    command: Command = {"op": "msr", "request": 1 << 40 | 0x012}
    cause = first(Peer(PROFILES.only("msr-any-frame-registered")), REFERENCE, [INIT, command])
    assert str(cause) == (
        "the MSR word REGISTER_GPA_REQUEST (explained by msr-any-frame-registered):"
        " word: 0x10000000013 found, 0xfffffffffffff013 expected"
    )


@pytest.mark.parametrize("told", [{"status": 0, "detail": 0}, {"detail": 4}])
def test_a_check_that_every_exit_has_is_one_cause(told: Answer) -> None:
    def does_not_look(command: Command, answer: Answer) -> None:
        if answer.get("detail") == 2:
            answer |= told

    codes = (ExitCode.INVD, ExitCode.CPUID)
    names = {found(does_not_look, exits(code, ghcb_usage=1)).name for code in codes}
    assert names == {"not refused as INVALID_USAGE"}


def _features(command: Command, answer: Answer) -> None:
    if answer.get("detail") == 3:
        answer["detail"] = 1


def _other(command: Command, answer: Answer) -> None:
    if answer.get("status") == 2:
        answer["detail"] = 5


def _merges(command: Command, answer: Answer) -> None:
    for asked in answer.get("asked", []):
        if asked[0] == "out":
            asked[3] = "00"


def _forgets(command: Command, answer: Answer) -> None:
    if "rdx" in answer.get("registers", {}):
        del answer["registers"]["rdx"]
        answer["valid"].remove("rdx")


def _runs(command: Command, answer: Answer) -> None:
    if answer.get("run") == "held":
        answer |= {"run": "guest", "status": 0, "detail": 0}


def _late(command: Command, answer: Answer) -> None:
    if "0" in answer.get("vcpus", {}):
        answer["vcpus"]["0"]["registered"] = 0


OUT = int(IoioInfo(port=0x80, size_8=True, address_16=True))


@pytest.mark.parametrize(
    ("change", "commands", "name", "rests_on"),
    [
        (
            _merges,
            [exits(ExitCode.IOIO, OUT, rax=0x41)],
            "the exit IOIO: asks 'out' with another data",
            "HOST-7",
        ),
        (
            _forgets,
            [exits(ExitCode.CPUID, rax=0, rcx=0)],
            "the exit CPUID: valid lacks rdx",
            "HOST-8",
        ),
        (
            _features,  # a detail of 1, which would be an error were it a refusal
            [exits(ExitCode.HYPERVISOR_FEATURES)],
            "the exit HYPERVISOR_FEATURES: detail differs",
            "HOST-7",
        ),
        (
            _other,
            [exits(ExitCode.CPUID)],
            "refused as INVALID_INPUT, not as MISSING_INPUT",
            "HOST-7",
        ),
        (
            _runs,
            [exits(ExitCode.AP_RESET_HOLD), exits(ExitCode.WBINVD)],
            "run is guest, not held",
            "HOST-9",
        ),
        (
            _late,
            [{"op": "msr", "request": 0x9012}],
            "the MSR word REGISTER_GPA_REQUEST: state.vcpus.registered differs",
            "",
        ),
    ],
)
def test_what_no_quirk_explains(
    change: Callable[..., None], commands: list[Command], name: str, rests_on: str
) -> None:
    cause = found(change, *commands)
    assert (cause.name, cause.clause, cause.quirk) == (name, rests_on, "")
    assert cause.index == len(commands)
