"""Targets: what they let pass, what they call a finding, and which findings are one."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vmgexit
from vmgexit import DoorbellHead, ExtIntStatus
from vmgexit.errors import UsageError
from vmgexit.machine import program
from vmgexit.machine.machine import ACTS
from vmgexit.machine.vm import Assertion
from vmgexit.wire.registry import structures
from vmgexit_fuzz.targets import TARGETS, USUAL, Finding, as_finding, differential, find, plant
from vmgexit_fuzz.targets.codec import Codec
from vmgexit_fuzz.targets.differential import Differential

INIT = program.spelled({"op": "init", "cpus": 1, "reg_count": 1})
ENTER = program.spelled({"op": "enter", "cpu": 0})


@given(data=st.binary(max_size=400))
@settings(max_examples=150)
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_are_a_finding(name: str, data: bytes) -> None:
    target = find(name).open()
    assert target.run(data) == target.run(data) >= 0
    finding, shown = target.examine(data)
    assert (finding, shown) == (None, target.examine(data)[1])
    assert isinstance(target.read(data), str)


@pytest.mark.parametrize("name", TARGETS)
def test_the_largest_input_runs(name: str) -> None:
    target = find(name).open()
    for byte in (0, 1, 0xF0, 0xFF):
        assert target.run(bytes([byte]) * target.row.longest) > 0


def test_an_unknown_target_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown target x; there are codec, codec-ghcb"):
        find("x")


WIRE = [cls for revisions in structures().values() for cls in revisions.values()]
CODEC = Codec(find("codec"), USUAL)
DIFFERENTIAL = Differential(find("codec-differential"), USUAL)
SCENARIO = find("scenario").open()
FAMILIES = ("codec-ghcb", "codec-svsm", "codec-doorbell", "codec-vmsa", "codec-firmware")


def reached(name: str) -> list[type]:
    """The structures that inputs of a target are about, as the first two bytes count up."""
    target = find(name).open()
    assert isinstance(target, Codec)
    found = [target.chosen(number.to_bytes(2, "little"))[0] for number in range(4000)]
    return list(dict.fromkeys(found))


def test_codecs_reach_every_structure() -> None:
    assert set(reached("codec")) == set(WIRE)
    assert set(WIRE) == set(reached("codec-differential"))
    largest = max(cls.size for cls in WIRE)
    assert find("codec-differential").longest > differential.HEAD + largest  # too long ones too


def test_each_structure_is_in_one_family() -> None:
    assert Counter(cls for name in FAMILIES for cls in reached(name)) == Counter(WIRE)


def input_for(cls: type) -> bytes:
    return next(
        data
        for number in range(1 << 16)
        if CODEC.chosen(data := number.to_bytes(2, "little") + b"\0")[0] is cls
    )


@pytest.mark.parametrize(
    ("function", "does", "cause"),
    [
        ("encode", lambda value: b"", "doorbell-head is not lossless"),
        ("problems", lambda value: [1 // 0], "ZeroDivisionError in the target"),
    ],
)
def test_a_broken_codec_is_found(
    monkeypatch: pytest.MonkeyPatch, function: str, does: object, cause: str
) -> None:
    data = input_for(DoorbellHead) + bytes(range(200))
    CODEC.run(data)
    monkeypatch.setattr(DoorbellHead, function, does)
    with pytest.raises((Finding, ZeroDivisionError)) as found:
        CODEC.run(data)
    assert as_finding(found.value).cause == cause


def test_a_wrong_length_that_decodes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    data = input_for(DoorbellHead)[:2] + b"\xff" + bytes(5)
    CODEC.run(data)
    monkeypatch.setattr(DoorbellHead, "decode", lambda body: None)
    with pytest.raises(Finding, match="doorbell-head decoded 5 bytes"):
        CODEC.run(data)


def test_scenario_counts_commands_and_stops_at_the_failing_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = INIT + ENTER * 3
    assert SCENARIO.run(data) == 4

    def enter(*_: object) -> None:
        raise Assertion("planted")

    monkeypatch.setitem(ACTS, "enter", enter)
    with pytest.raises(Finding) as found:
        SCENARIO.run(data)
    assert found.value.cause == "INV-10 enter"
    assert "the SVSM stopped: planted" in found.value.message
    shown = SCENARIO.examine(data)[1].splitlines()
    assert shown[1].startswith("->   1 enter")
    assert [line.split(":")[0].strip() for line in shown[2:]] == ["before", "after"]
    assert len(SCENARIO.read(data).splitlines()) == 4


def test_an_exception_of_the_machine_is_shown_at_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def enter(*_: object) -> None:
        raise KeyError("planted\nsecond line")

    data = INIT + ENTER * 2
    monkeypatch.setattr("vmgexit.machine.rules.entry.enter", enter)
    with pytest.raises(KeyError) as failure:
        SCENARIO.run(data)
    finding = as_finding(failure.value)
    assert finding.cause.startswith("KeyError in machine.")
    assert "\n" not in finding.message
    examined, shown = SCENARIO.examine(data)
    assert examined is not None
    assert examined.cause == finding.cause
    assert shown.splitlines()[1].startswith("->   1 enter")


def test_causes_are_places_of_ours_not_texts_or_depths() -> None:
    def cause(depth: int, text: str) -> str:
        try:
            return cause(depth - 1, text) if depth else str(int(text))
        except ValueError as error:
            return as_finding(error).cause

    assert cause(0, "x") == cause(3, "y") == "ValueError in the target"

    with pytest.raises(vmgexit.DecodeError) as failure:
        vmgexit.DoorbellHead.decode(b"")
    assert as_finding(failure.value).cause == "DecodeError in <decode doorbell-head>.decode"
    assert as_finding(Finding("a", "b")).cause == "a"
    assert as_finding(SystemExit()).message == "SystemExit (in the target)"


def test_a_plant_that_cannot_be_is_told() -> None:
    plant("")
    for text, told in (
        ("x", "MODULE:FUNCTION expected"),
        (":f", "MODULE:FUNCTION expected"),
        ("absent_module:f", "ModuleNotFoundError"),
        ("json:absent", "AttributeError"),
        ("json:loads", "TypeError"),
    ):
        with pytest.raises(UsageError, match=told):
            plant(text)


def test_nothing_of_the_codec_needs_a_fuzzer() -> None:
    code = "import sys, vmgexit, vmgexit.cli; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"vmgexit_fuzz", "atheris", "hypothesis"} & set(run.stdout.split())
    assert Path(vmgexit.__file__).is_file()


def differing(body: bytes, how: int = 0, field: int = 0) -> bytes:
    """An input of `codec-differential` about an EXTINT status word."""
    index = next(
        number
        for number in range(2000)
        if DIFFERENTIAL.chosen(number.to_bytes(2, "little"))[0] is ExtIntStatus
    )
    return index.to_bytes(2, "little") + bytes([0, how]) + field.to_bytes(2, "little") + body


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (differing(bytes(4), how=9), "differs from construct in what is encoded"),  # all ones
        (differing(bytes(4), how=10), "differs from construct in what is refused"),  # one too many
    ],
)
def test_a_fast_encoder_that_does_not_look_is_found(
    monkeypatch: pytest.MonkeyPatch, data: bytes, cause: str
) -> None:
    DIFFERENTIAL.run(data)
    assert "pending_vector = " in DIFFERENTIAL.read(data)
    monkeypatch.setattr(ExtIntStatus, "encode", lambda value: bytes(4))
    with pytest.raises(Finding, match=cause):
        DIFFERENTIAL.run(data)


def test_every_way_to_set_a_field_is_tried_on_fields_of_every_kind() -> None:
    for cls in dict.fromkeys(differential.classes()):
        index = differential.classes().index(cls).to_bytes(2, "little")
        for how in range(10):
            for field in (0, 1, 300, 0xFFFF):
                data = index + bytes([0, how]) + field.to_bytes(2, "little") + bytes(range(64))
                assert DIFFERENTIAL.run(data) == 1
