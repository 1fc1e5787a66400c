"""`vmgexit decode ghcb --host`: what a host would answer to a page, ask of user space, and write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..compare.replay import causes_among
from ..descriptions import U64, Answer, Bytes, Command
from ..errors import UsageError, brief, hint, nearest
from ..hosts.asked import shown as shown_asked
from ..hosts.quirks import PROFILES, REFERENCE, Quirks
from ..hosts.scenario import Session
from ..hosts.vm import KEYS, MEMORY_TOP
from ..rules.exit_notes import answer_text
from ..sequences import HOST, Sequence
from ..wire.ghcb import GhcbPage
from ..wire.page_size import PAGE

GPA = "gpa"  # beside the keys of a set-up: where the page lies
DEFAULT_GPA = 0x1000
SHOWN_ALWAYS = ("ghcb_version", "snp", "registered")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a host made of a page: its VM as far as it matters, its answer, the page after it, and the
    quirks without which the answer would be another."""

    vm: dict[str, Any]
    answer: Answer
    after: GhcbPage
    departures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AsHost:
    """The host that answers, and what was said of its VM."""

    name: str
    quirks: Quirks
    given: dict[str, Any]

    @classmethod
    def of(cls, name: str, settings: list[str]) -> AsHost:
        """Raises UsageError for a host or a setting that does not exist."""
        return cls(name, PROFILES.profile(name), dict(map(_setting, settings)))

    def answer(self, page: GhcbPage) -> Answered:
        gpa = self.given.get(GPA)
        if gpa is None:
            held = page.sw_scratch // PAGE * PAGE if page.is_valid("sw_scratch") else 0
            gpa = held or DEFAULT_GPA
        told = {"registered": gpa} | {k: v for k, v in self.given.items() if k != GPA}
        told.setdefault("memory_top", max(MEMORY_TOP, min(gpa + PAGE, U64)))
        commands: list[Command] = [
            {"op": "init", **told},
            {"op": "vmgexit", "page": [(0, page.encode().hex())], "gpa": gpa},
        ]
        session = Session(self.quirks)
        answers = [session.execute(command) for command in commands]
        vm = session.host.vm
        sequence = Sequence("", 0, commands=commands, answers=[*answers], machine=HOST)
        causes = causes_among(sequence, REFERENCE, PROFILES.named(self.quirks)) or {}
        shown = {GPA: gpa} | {key: getattr(vm.setup, key) for key in SHOWN_ALWAYS}
        shown |= {key: value for key, value in told.items() if key in self.given}
        after = GhcbPage.decode(vm.memory.read(gpa, PAGE) or bytes(PAGE))
        return Answered(shown, answers[-1], after, causes.get(1, ()))

    def as_dict(self, page: GhcbPage) -> dict[str, Any]:
        made = self.answer(page)
        return {
            "profile": self.name,
            "vm": made.vm,
            "answer": made.answer,
            "departures": list(made.departures),
        }

    def text(self, page: GhcbPage) -> str:
        """Lines for a person: the VM first, then the answer, then why the reference answers otherwise."""
        made = self.answer(page)
        said = " ".join(f"{key}={_shown(value)}" for key, value in made.vm.items())
        lines = [f"host {self.name}: {said}", f"  run        {_run(made.answer['run'])}"]
        if "page" in made.answer:
            lines.append("  page       untouched")
        else:
            lines += _page_lines(made.answer, made.after)
        lines += [f"  asked      {shown_asked(one)}" for one in made.answer["asked"]] or [
            "  asked      nothing"
        ]
        lines += [f"  departs    {name}: {PROFILES.happens(name)}" for name in made.departures]
        return "\n".join(lines)


def _page_lines(answer: dict[str, Any], after: GhcbPage) -> list[str]:
    valid = answer["valid"]
    lines = []
    if "sw_exit_info_1" in valid:
        lines.append(f"  status     {answer['status']:#x}, {answer_text(after)}")
        lines.append(f"  detail     {answer['detail']:#x}")
    lines.append(f"  valid      {', '.join(valid) or 'nothing'}")
    lines += [f"  {name:10} {value:#x}" for name, value in answer["registers"].items()]
    lines += [f"  buffer     {at:#x}: {data}" for at, data in answer["buffer"]]
    return lines


def _run(run: str | list[Any]) -> str:
    if isinstance(run, str):
        return f"the {run} goes on" if run == "guest" else run
    why, number = run
    match why:
        case "error":
            return f"KVM_RUN fails with {number}"
        case "terminate":
            return f"the guest is terminated, GHCB MSR {number:#x}"
        case "internal-error":
            return f"an internal error goes to user space, exit code {number:#x}"
    return f"{why}: {number}"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return value if isinstance(value, str) else json.dumps(value)


def _setting(text: str) -> tuple[str, Any]:
    """A word `key=value` of --vm."""
    key, equals, given = text.partition("=")
    keys = (GPA, *KEYS)
    if key not in keys:
        near = hint(nearest(key, keys))
        raise UsageError(f"--vm {text}: unknown key{near}; keys: {', '.join(keys)}")
    if not equals:
        raise UsageError(f"--vm {key}: {key}=value expected")
    if key == GPA:
        gpa = _value(given)
        is_number = isinstance(gpa, int) and not isinstance(gpa, bool)
        if not is_number or gpa % PAGE or not 0 <= gpa <= U64:
            expected = "a 4 KiB aligned address below 2^64"
            raise UsageError(f"--vm {key}: {brief(given)} found, {expected} expected")
        return key, gpa
    kind = KEYS[key].metadata["kind"]
    value = given if isinstance(kind, Bytes) else _value(given)
    if not kind.accepts(value):
        raise UsageError(f"--vm {key}: {brief(given)} found, {kind.expected} expected")
    return key, value


def _value(text: str) -> Any:
    """A number, decimal or 0x hex, or JSON; the text itself where it is neither."""
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
