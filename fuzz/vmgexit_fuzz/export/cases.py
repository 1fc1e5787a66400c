"""What is exported: a scenario in which each command has an expected answer, or a structure's bytes.

Expected is what was recorded; else, or where a profile is named, what our machine answers. A case ends
with the first stop, since a machine that has stopped is asked nothing more. A scenario of an SVSM without
any answers ends with a look at the state that it leaves. A GHCB page or a word of the GHCB MSR is a
scenario of a host too: the guest exits with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vmgexit.compare.peer import stops
from vmgexit.compare.replay import KINDS
from vmgexit.descriptions import Answer, Command
from vmgexit.devices import RECORDED
from vmgexit.errors import ScenarioError, UsageError
from vmgexit.hosts.scenario import sequence_of
from vmgexit.layout.document import printable
from vmgexit.machine.scenario import sequences
from vmgexit.schema import Structure
from vmgexit.sequences import HOST, SVSM, Sequence
from vmgexit.wire.registry import find

from ..campaign.findings import DIGEST, Record
from ..targets import Target

ON_MEMORY, STRUCTURE = "SVSM with memory", "structure"
KINDS_OF_CASES = {
    SVSM: "a scenario of an SVSM",
    ON_MEMORY: "a scenario of an SVSM with memory",
    HOST: "a scenario of a GHCB host",
    STRUCTURE: "a structure",
}
"""What a case can be of, and what it is called."""

GPA = 0x7000
"""Where the page stands of an exit that is given without a VM."""

SHA1 = 40  # letters of the name that libFuzzer gives an input


@dataclass(frozen=True, slots=True)
class Case:
    """One test of an export. A scenario has a sequence, a structure its class and bytes."""

    name: str  # of a function, in C, Rust and Python
    about: str  # where it is from, or what is wrong; one line
    sequence: Sequence | None = None
    structure: type[Structure] | None = None
    data: bytes = b""  # of the structure, or of a finding's input
    record: Record | None = None  # of a finding

    @property
    def kind(self) -> str:
        """One of `KINDS_OF_CASES`."""
        return STRUCTURE if self.sequence is None else case_kind(self.sequence)

    @property
    def steps(self) -> list[tuple[Command, Answer]]:
        """Commands, each with its expected answer; of a structure none."""
        if self.sequence is None:
            return []
        return [
            (command, answer or {})
            for command, answer in zip(self.sequence.commands, self.sequence.answers, strict=True)
        ]


def case_kind(sequence: Sequence) -> str:
    """The kind of a case of a sequence."""
    has_memory = sequence.machine == SVSM and any("memory" in one for one in sequence.commands)
    return ON_MEMORY if has_memory else sequence.machine


def scenario(
    name: str, about: str, sequence: Sequence, profile: str = "", record: Record | None = None
) -> Case:
    """A case of a sequence. Raises ScenarioError on a command that cannot be carried out, UsageError on a
    profile that its machine does not have."""
    return Case(_name(name), printable(about), _answered(sequence, profile), record=record)


def message(
    name: str,
    about: str,
    structure: str,
    data: bytes,
    profile: str = "",
    record: Record | None = None,
) -> Case:
    """A case of a structure's bytes, which are an exit where it is a GHCB page or a word of its MSR.
    Raises UsageError on a structure that there is not, or that has another length."""
    cls = find(structure)
    if not cls.accepts(len(data)):
        raise UsageError(f"{name}: {len(data)} bytes found, {cls.size} of {structure} expected")
    case = Case(_name(name), printable(about), structure=cls, data=data, record=record)
    exits = Sequence(name, 0, machine=HOST)
    exits.add({"op": "init", "registered": GPA})
    if structure == "ghcb":
        exits.add({"op": "vmgexit", "page": pieces(data), "gpa": GPA})
    elif structure == "ghcb-msr":
        exits.add({"op": "msr", "request": int.from_bytes(data, "little")})
    else:
        return case
    return replace(case, sequence=_answered(exits, profile))


def of_input(
    path: Path, data: bytes, target: Target, profile: str = "", record: Record | None = None
) -> Case | None:
    """The case of a target's input; None of one that means nothing. Raises ScenarioError, UsageError."""
    name, about = (record.id, record.message) if record else (path.name, str(path))
    if len(name) == SHA1 and not record:
        name = f"{target.row.name}_{name[:DIGEST]}"
    if told := target.message(data):
        return replace(
            message(name, about, *told, profile, record), data=data if record else told[1]
        )
    text = target.lines(data)
    commands = [json.loads(line) for line in text.splitlines()]
    if not commands:
        return None
    entry = commands[0] if "ops" in commands[0] else {"ops": commands}
    [found] = sequences([json.dumps(entry)], str(path), sequence_of)
    return replace(scenario(name, about, found, profile, record), data=data)


def pieces(data: bytes) -> list[list[int | str]]:
    """What is not zero of a page, as a recording has it: runs of bytes by their place, in hex."""
    return [[found.start(), found[0].hex()] for found in re.finditer(rb"[^\0]+", data)]


def recorded(lines: Iterable[bytes], name: str, profile: str = "") -> Iterator[Case]:
    """The cases of a recording, a scenario or an export as JSON lines. Raises ScenarioError, UsageError."""
    structures: list[Case] = []

    def others() -> Iterator[bytes]:
        for number, line in enumerate(lines, 1):
            where = f"{name} line {number}"
            one = _structure_of(line, where, profile) if b'"structure"' in line else None
            structures.extend([one] if one else [])
            yield b"" if one else line

    stem = re.sub(r"\.jsonl?(\.\w+)?$", "", name.rpartition("/")[2]) or "scenario"
    for number, sequence in enumerate(sequences(others(), name, sequence_of)):
        if not sequence.commands:
            continue
        label = sequence.name.rpartition(" #")[2]
        own = f"{stem}_{number}" if label == sequence.name or label.isdigit() else label
        yield scenario(own, f"{name} line {sequence.line}", sequence, profile)
    yield from structures


def _structure_of(line: bytes, where: str, profile: str) -> Case | None:
    """The structure of a line that has one. Raises ScenarioError and UsageError."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None  # whoever reads scenarios says what is wrong
    if not isinstance(entry, dict) or "structure" not in entry or "ops" in entry:
        return None
    try:
        data = bytes.fromhex(entry["hex"])
        name = str(entry.get("seq", entry["structure"]))
        return message(name, where, entry["structure"], data, profile)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ScenarioError(f"{where}: structure, and its bytes as hex, expected") from None


def distinct(cases: Iterable[Case]) -> Iterator[Case]:
    """The cases, with a number behind a name that was there before."""
    taken: set[str] = set()
    for case in cases:
        name, number = case.name, 1
        while name in taken:
            number += 1
            name = f"{case.name}_{number}"
        taken.add(name)
        yield replace(case, name=name) if name != case.name else case


def _name(text: str) -> str:
    """A text as an identifier. No keyword has a digit or an underscore behind it."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if re.match(r"[a-z]\w*[_0-9]", name) else f"case_{name}"


def _answered(sequence: Sequence, profile: str) -> Sequence:
    """The sequence up to its first stop, with an answer for each command."""
    machine = None
    if profile or None in sequence.answers:
        of_kind = KINDS[sequence.machine]
        quirks = of_kind.profiles.profile(profile or "reference")
        machine = of_kind.begin(quirks, RECORDED)
    found = Sequence(sequence.name, sequence.line, sequence.kind, machine=sequence.machine)
    if sequence.machine == HOST and sequence.commands[0]["op"] != "init":
        found.add({"op": "init"}, {"ok": True})  # a VM of the defaults
    for index, (command, answer) in enumerate(
        zip(sequence.commands, sequence.answers, strict=True)
    ):
        if machine is not None:
            try:
                ours = machine.execute(command)
            except ScenarioError as error:
                raise ScenarioError(
                    f"{sequence.name} line {sequence.line}, operation {index}: {error}"
                ) from None
            answer = ours if profile or answer is None else answer
        assert answer is not None
        found.add(command, answer)
        if stops(answer):
            return found
    if machine is not None and case_kind(found) == SVSM and not any(sequence.answers):
        for command in _looks(found):
            found.add(command, machine.execute(command))
    return found


def _looks(sequence: Sequence) -> list[Command]:
    """What looks at the state that a scenario leaves: of answers alone some mistakes are never seen."""
    cpus = dict.fromkeys(one["cpu"] for one in sequence.commands if "cpu" in one)
    return [{"op": op, "cpu": cpu} for cpu in cpus for op in ("doorbell", "state")]
