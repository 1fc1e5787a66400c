"""Targets of single messages: which inputs are about what, and what counts as wrong."""

import pytest

from vmgexit.rules import exits as exit_rules
from vmgexit.rules import msr as msr_rules
from vmgexit.wire.exit import Where
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.exits import exits
from vmgexit.wire.ghcb_msr import DECLARATIONS, RESPONSE_TO
from vmgexit_fuzz.targets import Finding, find, msr
from vmgexit_fuzz.targets.ghcb import exit as ghcb_exit
from vmgexit_fuzz.targets.ghcb import host as ghcb_host

GHCB_EXIT, MSR = find("ghcb-exit").open(), find("msr").open()


def exit_number(code: int) -> int:
    return next(n for n in range(256) if ghcb_exit.chosen(bytes([n]))[0] == code)


def test_every_exit_of_a_ghcb_is_reached_and_carried_out() -> None:
    there_are = {row.code for row in exits() if row.where is Where.GHCB}
    assert {ghcb_exit.chosen(bytes([number]))[0] for number in range(256)} == there_are
    assert set(ghcb_host._EXITS) <= there_are


@pytest.mark.parametrize("budget", range(4))
def test_what_the_builder_makes_is_carried_out(budget: int) -> None:
    for number in range(len(ghcb_exit._codes())):
        for arguments in range(6):
            assert GHCB_EXIT.run(bytes([number, arguments, budget])) >= 1
            page, as_built = ghcb_exit.page_of(bytes([number, arguments, budget]))
            assert as_built
            assert page.problems() == []


def test_a_page_list_is_followed_over_several_exits() -> None:
    number = exit_number(ExitCode.SNP_PAGE_STATE_CHANGE)
    assert GHCB_EXIT.run(bytes([number, 0, 0])) == 1
    assert GHCB_EXIT.run(bytes([number, 2, 3])) == 3  # 512 + 507 + 512 pages, 600 at a time
    assert GHCB_EXIT.run(bytes([number, 3, 1])) == ghcb_exit.ROUNDS


@pytest.mark.parametrize(
    ("choices", "changed"),
    [
        (bytes([0xC0 + 9]), {"sw_scratch"}),
        (bytes([0, 0xC0 | 1 << 2 | 1]), {"sw_exit_info_2"}),
        (bytes([0, 0, 0xC0 + 1]), {"shared_buffer"}),
    ],
)
def test_choices_go_wrong_in_one_place(choices: bytes, changed: set[str]) -> None:
    start = bytes([exit_number(ExitCode.SNP_PAGE_STATE_CHANGE), 0, 0])
    right, _ = ghcb_exit.page_of(start)
    wrong, as_built = ghcb_exit.page_of(start + choices)
    assert not as_built
    names = {
        field.name
        for field in right.declaration.fields
        if getattr(right, field.name) != getattr(wrong, field.name)
    }
    assert changed <= names <= changed | {"shared_buffer"}


def test_an_exit_that_does_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes([exit_number(ExitCode.SPECIFIC_EOI)])
    GHCB_EXIT.run(data)
    monkeypatch.setitem(ghcb_host._EXITS, ExitCode.SPECIFIC_EOI, ghcb_host._disable)
    with pytest.raises(Finding) as found:
        GHCB_EXIT.run(data)
    assert found.value.cause == "SPECIFIC_EOI is carried out otherwise"
    assert found.value.message == (
        "SPECIFIC_EOI: asked for ('eoi', 2, 97), done ('hand over', 2, 1, 0, 0)"
    )


def test_rules_that_refuse_what_is_right_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes([exit_number(ExitCode.MMIO_READ)])
    monkeypatch.setattr(exit_rules, "MMIO_LIMIT", 3)
    with pytest.raises(Finding, match="the builder's MMIO_READ"):
        GHCB_EXIT.run(data)


def test_codes_of_the_msr_are_all_reached_and_paired() -> None:
    codes = {msr.chosen(bytes([number]) + bytes(20))[0] & 0xFFF for number in range(256)}
    assert codes == set(DECLARATIONS)
    assert {int(code): int(answer) for code, answer in RESPONSE_TO.items()} == msr.ANSWERS
    # Where the second code is chosen by an odd byte, it is the first one's answer.
    for number in range(256):
        one, other = msr.chosen(bytes([number, 1]) + bytes(20))
        if one & 0xFFF in msr.ANSWERS:
            assert msr_rules.pair(one, other) == ""


@pytest.mark.parametrize(
    ("function", "cause"),
    [("pair", "wrongly refused: no"), ("failure", "wrongly read as a failure")],
)
def test_a_wrong_word_on_a_pair_is_found(
    monkeypatch: pytest.MonkeyPatch, function: str, cause: str
) -> None:
    features = bytes(3) + (0x080).to_bytes(8, "little") + (0x1081).to_bytes(8, "little")
    assert MSR.run(features) == 2
    assert "they pair" in MSR.show(features)
    monkeypatch.setattr(msr_rules, function, lambda *values: "no")
    with pytest.raises(Finding, match=cause):
        MSR.run(features)
