"""Sequence charts: who sends what to whom, marks of what was refused and broken, labels apart."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import drawings
from tests.conformance.test_quirks import BROKEN, COMPANIONS
from vmgexit.descriptions import U64, Actor, Argument, Command, Description, Number
from vmgexit.diagrams.charts import FORMATS, charted, hosts, svg, svsm
from vmgexit.diagrams.charts.chart import Chart, Lane, Mark, Message, Note, Party
from vmgexit.diagrams.charts.follow import MOST
from vmgexit.diagrams.charts.grid import NARROW, PITCH, placed
from vmgexit.diagrams.charts.row import derived
from vmgexit.diagrams.charts.step import Before, Step
from vmgexit.diagrams.sheet import wrapped
from vmgexit.errors import UsageError
from vmgexit.hosts.commands import COMMANDS as HOST_COMMANDS
from vmgexit.hosts.scenario import sequence_of
from vmgexit.machine import program
from vmgexit.machine.commands import COMMANDS, ON_MEMORY, call
from vmgexit.machine.scenario import sequences
from vmgexit.machine.vm import Vm
from vmgexit.read.streams import lines
from vmgexit.sequences import Sequence

CORPUS = Path(__file__).parents[2] / "corpus"
QUIRKS = sorted(BROKEN)
INIT = {"op": "init", "cpus": 1, "reg_count": 1}


def chart(*commands: Command, profile: str = "reference") -> Chart:
    made = Sequence("made here", 1)
    for command in commands:
        made.add(command)
    return charted(made, profile)


def messages(drawn: Chart) -> list[tuple[str, str, str]]:
    return [
        (drawn.name(item.source), drawn.name(item.target), item.text)
        for item in drawn.items
        if isinstance(item, Message)
    ]


def read(path: Path, most: int = 1) -> list[Sequence]:
    return list(itertools.islice(sequences(lines(str(path)), path.name, sequence_of), most))


def quirk(name: str) -> Chart:
    profile = ",".join(filter(None, (name, COMPANIONS.get(name))))
    return charted(read(CORPUS / "quirks" / f"{name}.jsonl")[0], profile)


def test_an_interrupt_on_its_way() -> None:
    drawn = chart(
        INIT,
        call(0, 4, 0x300),
        {"op": "host_irq", "cpu": 0, "vector": 0x31, "level": False},
        {"op": "host_irq", "cpu": 0, "vector": 0x51, "level": False},
        {"op": "enter", "cpu": 0},
    )
    assert [drawn.name(lane) for lane in drawn.lanes] == ["host", "SVSM", "guest"]
    assert messages(drawn) == [
        ("guest", "SVSM", "APIC_CONFIGURE_VECTOR\nRCX Enable, AllVectors"),
        ("SVSM", "guest", "SUCCESS"),
        ("host", "SVSM", "posts edge vector 0x31\nstatus word: PendingVector 0x31\nraises #HV"),
        (
            "host",
            "SVSM",
            "posts edge vector 0x51\nstatus word: MultipleVectors\nno #HV: NoFurtherSignal is set",
        ),
        ("SVSM", "guest", "enters the guest\nV_IRQ: vector 0x51"),
    ]


def test_an_ipi_goes_from_one_vcpu_to_the_other() -> None:
    icr = 1 << 32 | 0x30  # to APIC id 1, vector 0x30, fixed
    drawn = chart(INIT | {"cpus": 2, "reg_count": 2}, call(0, 3, 0x830, icr))
    assert ("SVSM 0", "SVSM 1", "IPI: vector 0x30") in messages(drawn)
    assert messages(drawn)[0][2] == ("APIC_WRITE_REGISTER\nRCX ICR\nRDX Vector 0x30, Destination 1")


def test_a_refusal_is_marked() -> None:
    drawn = chart(INIT, call(0, 2, 0x80B), {"op": "host_refuse", "cpu": 0, "call": "specific_eoi"})
    asked, answer, refuses = drawn.items[1:]
    assert isinstance(asked, Message)
    assert isinstance(answer, Message)
    assert asked.mark is Mark.PLAIN
    assert answer.text == "INVALID_PARAMETER"
    assert answer.is_answer
    assert answer.mark is Mark.REFUSED
    assert isinstance(refuses, Message)
    assert refuses.text == "will refuse SPECIFIC_EOI"


def test_changed_pages_are_notes_beside_the_memory() -> None:
    drawn = quirk("unvalidated-operand-stops")
    assert Lane(Party.MEMORY) in drawn.lanes
    written = quirk("list-cleared-while-read")
    notes = [item.text for item in written.items if isinstance(item, Note) and item.over]
    assert any(note.startswith("system page 0x") for note in notes)


@pytest.mark.parametrize("name", QUIRKS)
def test_what_a_quirk_breaks_is_told_and_labels_stand_apart(name: str) -> None:
    drawn = quirk(name)
    told = [item.text for item in drawn.items if item.mark is Mark.BROKEN]
    clause = BROKEN[COMPANIONS.get(name, name)]
    assert any(text.startswith(f"{clause} is broken at ") for text in told), told
    for pitch in (NARROW, PITCH):
        assert drawings.meetings(svg.render(drawn, pitch)) == []
    assert "is broken at" not in FORMATS["text"](
        charted(read(CORPUS / "quirks" / f"{name}.jsonl")[0])
    )


def test_meetings_sees_labels_on_lines_and_on_each_other() -> None:
    """The judge itself: a label moved onto a lifeline, and one onto another."""
    made = FORMATS["svg"](chart(INIT, call(0, 0)))
    text = next(one for one in drawings.labels(made) if one.text == "APIC_QUERY_FEATURES")
    life = next(one for one in drawings.edges(made) if one.of == "life")
    x = f'x="{(text.left + text.right) / 2:.1f}"'
    moved = made.replace(x, f'x="{life.left:.1f}"')
    assert moved != made
    assert drawings.meetings(moved)
    twice = made.replace("</svg>", f'<text x="{text.left}" y="{text.bottom - 2}">x</text></svg>')
    assert drawings.meetings(twice)


RECORDED = {
    "host.jsonl.xz": "coconut",
    "intercept.jsonl.xz": "coconut",
    "hostile.jsonl.xz": "coconut",
    "memory/core-honest.jsonl.xz": "coconut",
    "memory/attest.jsonl.xz": "coconut",
    "memory/vtpm.jsonl.xz": "coconut",
    "kvm/kvm-ghcb.jsonl.xz": "kvm",
    "kvm/kvm-msr.jsonl.xz": "kvm",
}


@pytest.mark.parametrize("name", RECORDED)
def test_recordings_are_drawn_as_they_were_answered(name: str) -> None:
    """The profile of what was recorded answers the same; no note says otherwise."""
    for sequence in read(CORPUS / "recordings" / name, 2 if name.startswith("memory") else 5):
        drawn = charted(sequence, RECORDED[name], last=MOST - 1)
        assert not [
            item for item in drawn.items if "answers otherwise" in getattr(item, "text", "")
        ]
        assert {item.index for item in drawn.items} == set(range(min(MOST, len(sequence.commands))))
        assert drawings.meetings(FORMATS["svg"](drawn)) == []


def test_another_answer_than_the_recorded_one_is_told() -> None:
    made = Sequence("made here", 1)
    made.add(INIT, {"ok": True, "cpus": 1, "reg_count": 1})
    made.add(call(0, 0), {"rax": 0x80000001, "rcx": 0, "rdx": 0, "r8": 0})
    drawn = charted(made)
    assert messages(drawn)[-1] == ("SVSM", "guest", "UNSUPPORTED_PROTOCOL")
    assert drawn.items[-1] == Note(
        1,
        None,
        "a machine of profile reference answers otherwise\nrax: 0 found, 0x80000001 recorded",
        Mark.BROKEN,
    )


@given(st.binary(min_size=64, max_size=16 * 64))
def test_any_scenario_is_drawn_with_labels_apart(data: bytes) -> None:
    made = (
        command | ({"cpu": command["cpu"] % 2} if "cpu" in command else {})
        for command in program.read(data)
        if command["op"] not in {"init", *ON_MEMORY}
    )
    drawn = chart(INIT | {"cpus": 2}, *made)
    assert drawings.meetings(FORMATS["svg"](drawn)) == []
    text = FORMATS["text"](drawn)
    for label in placed(drawn).labels:
        for line in label.lines:
            assert line in text


def test_rows_are_of_commands_that_exist() -> None:
    assert set(svsm.EXCHANGES) <= set(COMMANDS)
    assert set(hosts.EXCHANGES) <= set(HOST_COMMANDS)


def test_a_new_command_draws_itself() -> None:
    new = Description(
        "host_smi",
        99,
        Actor.HOST,
        (Argument("cpu", Number(3)), Argument("word", Number(U64))),
        "hv",
        "",
    )
    row = derived(new)
    step = Step(
        0, {"op": "host_smi", "cpu": 0, "word": 0x1234}, {"hv": True}, Vm(), Before(), [], []
    )
    assert (row.source, row.target) == (Party.HOST, Party.SVSM)
    assert row.says(step) == "host_smi\nword 0x1234"
    assert row.answers(step) == "hv"


def test_a_part_of_a_long_scenario() -> None:
    commands = [INIT, *([{"op": "enter", "cpu": 0}] * 999)]
    with pytest.raises(UsageError, match="1000 commands; one chart has 200 at most"):
        chart(*commands)
    made = Sequence("made here", 1, "", list(commands), [None] * 1000)
    drawn = charted(made, first=500, last=502)
    assert [item.index for item in drawn.items] == [500, 501, 502]
    assert "commands 500 to 502 of 1000" in drawn.about
    with pytest.raises(UsageError, match="--from 1000: the last command is 999"):
        charted(made, first=1000)


def test_of_very_many_vcpus_no_chart_is_made() -> None:
    entries = [{"op": "enter", "cpu": cpu} for cpu in range(150)]
    with pytest.raises(UsageError, match="300 lanes; one chart has 20 at most: choose fewer"):
        chart(INIT | {"cpus": 150}, *entries)
    assert len(chart(INIT | {"cpus": 150}, *entries[:10]).lanes) == 20


def test_lines_are_broken_at_words_and_never_too_long() -> None:
    assert wrapped("RDX vector 0x31, level", 12) == ("RDX", "vector 0x31,", "level")
    assert wrapped("APIC_CONFIGURE_EMULATION", 20) == ("APIC_CONFIGURE_", "EMULATION")
    assert wrapped("NoFurtherSignal is clear", 12) == ("NoFurther", "Signal is", "clear")
    assert wrapped("f" * 25, 10) == ("f" * 10, "f" * 10, "f" * 5)
    assert wrapped("a\n\nb", 10) == ("a", "", "b")


def test_mermaid_takes_no_text_for_its_own() -> None:
    drawn = Chart(
        "of\nus",
        "",
        (Lane(Party.HOST), Lane(Party.SVSM)),
        (Message(3, Lane(Party.HOST), Lane(Party.SVSM), "#HV; <b>\nend", mark=Mark.REFUSED),),
    )
    assert FORMATS["mermaid"](drawn).splitlines() == [
        "%% of us",
        "sequenceDiagram",
        "    participant lane0 as host",
        "    participant lane1 as SVSM",
        "    lane0-xlane1: (3) #35;HV#59; #60;b#62;<br/>end",
    ]


def test_markup_in_a_scenario_stays_text() -> None:
    made = Sequence('<script>"&', 1)
    made.add(INIT, None)
    made.add({"op": "enter", "cpu": 0}, json.loads('{"panic": "<b>&"}'))
    markup = FORMATS["svg"](charted(made))
    assert "<b>" not in markup
    assert "<script" not in markup
    assert "&lt;b&gt;&amp;" in markup
