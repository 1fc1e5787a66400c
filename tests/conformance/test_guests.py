"""What Linux and OVMF send breaks no rule: `corpus/guests`, made from its table by `tests.guests`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.guests import HERE, Sent, pages, words
from vmgexit import GhcbPage
from vmgexit.compare.replay import causes_among
from vmgexit.hosts.quirks import KVM, PROFILES, REFERENCE
from vmgexit.hosts.scenario import Session
from vmgexit.rules.exits import problems_of_request
from vmgexit.sequences import HOST, Sequence
from vmgexit.wire.ghcb_msr import RESPONSE_TO, decode_msr

PAGES, WORDS = pages(), words()

EXITS = {  # what each guest sends by its sources
    "linux": {
        *(0x37, 0x6E, 0x6F, 0x72, 0x7B, 0x7C, 0x81, 0x87, 0x89),
        *(0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000005),
        *(0x80000010, 0x80000011, 0x80000012, 0x80000013, 0x80000018, 0x8000001A),
        *(0x80000020, 0x80000021, 0x8000FFFE),
    },
    "ovmf": {
        *(0x37, 0x6E, 0x6F, 0x72, 0x76, 0x7B, 0x7C, 0x81, 0x87, 0x89, 0x8A, 0x8B),
        *(0x80000001, 0x80000002, 0x80000004, 0x80000005, 0x80000010, 0x80000013, 0x80000017),
        *(0x8000FFFD, 0x8000FFFF),
    },
}
MESSAGES = {0x000, 0x002, 0x004, 0x012, 0x016, 0x080, 0x100}  # and Linux 0x014


def _name(sent: Sent) -> str:
    return sent.name


def test_the_files_are_those_of_the_table() -> None:
    made = {f"{sent.name}.bin": sent.page for sent in PAGES}
    assert len(made) == len(PAGES)
    stale = "stale: python -m tests.guests makes them again"
    assert {path.name: path.read_bytes() for path in HERE.glob("*.bin")} == made, stale


def test_every_exit_of_both_guests_is_here() -> None:
    for guest, codes in EXITS.items():
        assert {sent.row["exit"] for sent in PAGES if sent.name.startswith(guest)} == codes
    sent_words = {(sent.name.split("-")[0], sent.row["word"] & 0xFFF) for sent in WORDS}
    assert sent_words == {
        *((guest, code) for guest in EXITS for code in MESSAGES),
        ("linux", 0x014),
    }


@pytest.mark.parametrize("sent", PAGES, ids=_name)
def test_a_page_is_read_and_breaks_no_rule(sent: Sent) -> None:
    page = GhcbPage.decode((HERE / f"{sent.name}.bin").read_bytes())
    assert {name: getattr(page, name) for name in page.valid_fields()} == sent.marked
    assert page.shared_buffer.startswith(sent.buffer)
    assert page.protocol_version == sent.version
    assert page.problems() == []
    assert list(problems_of_request(page, 2)) == []
    stated = [note for note in page.notes() if note.path == "protocol_version"]
    assert bool(stated) == (sent.version == 0)


@pytest.mark.parametrize("sent", WORDS, ids=_name)
def test_a_word_is_read_and_breaks_no_rule(sent: Sent) -> None:
    word = decode_msr(sent.row["word"])
    assert word.problems() == []
    code = sent.row["word"] & 0xFFF
    assert (code in RESPONSE_TO) == (code not in (0x000, 0x100))


# --- what the table says of KVM ---------------------------------------------------------------------

GPA = 0x7000


def _as_kvm(kind: str, command: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The answer of profile kvm to a page or word, and the quirks that make it another."""
    commands = [{"op": "init", "registered": GPA}, {"op": kind, **command}]
    session = Session(KVM)
    answers: list[Any] = [session.execute(one) for one in commands]
    sequence = Sequence("", 0, commands=commands, answers=answers, machine=HOST)
    causes = causes_among(sequence, REFERENCE, PROFILES.named(KVM))
    assert causes is not None
    return answers[1], causes.get(1, ())


def _told(answer: dict[str, Any]) -> str:
    """An answer in the words of the table; empty where the exit was carried out."""
    if answer["run"] != "guest":
        why, number = answer["run"]
        return {"error": f"error {number} of KVM_RUN", "internal-error": "internal error"}.get(
            why, ""
        )
    if answer["status"] == 2:
        return f"error {answer['detail']}"
    assert answer["status"] == 0
    if ["inject", 6] in answer["asked"]:
        return "#UD"
    refused = answer["registers"]["rax"] == (1 << 64) - 1 and answer["asked"][-1][0] == "hypercall"
    return "RAX = -1" if refused else ""


@pytest.mark.parametrize("sent", PAGES, ids=_name)
def test_kvm_answers_as_the_table_says(sent: Sent) -> None:
    answer, quirks = _as_kvm("vmgexit", {"page": [[0, sent.page.hex()]], "gpa": GPA})
    told, _, name = sent.row.get("kvm", "").rstrip(")").partition(" (")
    assert _told(answer) == told
    assert not name or name in quirks
    assert sent.source.count(" ") >= 1


@pytest.mark.parametrize("sent", WORDS, ids=_name)
def test_kvm_answers_words_as_the_table_says(sent: Sent) -> None:
    answer, quirks = _as_kvm("msr", {"request": sent.row["word"]})
    told, _, name = sent.row.get("kvm", "").rstrip(")").partition(" (")
    assert not name or name in quirks
    if sent.row["word"] & 0xFFF == 0x100:
        assert answer["run"] == ["terminate", sent.row["word"]]
    elif sent.row["word"] & 0xFFF:
        same = answer["word"] == sent.row["word"]
        assert same == (told == "left as it is")
