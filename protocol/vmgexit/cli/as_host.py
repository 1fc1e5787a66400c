"""`vmgexit decode ghcb --host`: what a host would answer to a page, ask of user space, and write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..descriptions import U64
from ..errors import UsageError, brief
from ..hosts.host import Host
from ..hosts.kinds import Bytes
from ..hosts.page import SharedPage
from ..hosts.quirks import PROFILES, Quirks
from ..hosts.scenario import setup_of
from ..hosts.vm import KEYS, MEMORY_TOP, Vm
from ..rules.exits import answer_text
from ..wire.ghcb import GhcbPage
from ..wire.page_size import PAGE

GPA = "gpa"  # beside the keys of a set-up: where the page lies
DEFAULT_GPA = 0x1000
SHOWN_ALWAYS = ("ghcb_version", "snp", "registered")


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

    def answer(self, page: GhcbPage) -> tuple[dict[str, Any], dict[str, Any], GhcbPage]:
        """The VM as far as it matters, the answer, and the page after it."""
        gpa = self.given.get(GPA)
        if gpa is None:
            held = page.sw_scratch // PAGE * PAGE if page.is_valid("sw_scratch") else 0
            gpa = held or DEFAULT_GPA
        told = {"registered": gpa} | {k: v for k, v in self.given.items() if k != GPA}
        told.setdefault("memory_top", max(MEMORY_TOP, min(gpa + PAGE, U64)))
        setup = setup_of(told)
        shared = SharedPage(page.encode())
        answer = Host(Vm.of(setup), self.quirks).vmgexit(shared, gpa)
        shown = {GPA: gpa} | {key: getattr(setup, key) for key in SHOWN_ALWAYS}
        shown |= {key: value for key, value in told.items() if key in self.given}
        return shown, answer, GhcbPage.decode(bytes(shared.memory))

    def as_dict(self, page: GhcbPage) -> dict[str, Any]:
        vm, answer, _ = self.answer(page)
        return {"profile": self.name, "vm": vm, "answer": answer}

    def text(self, page: GhcbPage) -> str:
        """Lines for a person: the VM first, then the answer."""
        vm, answer, after = self.answer(page)
        said = " ".join(f"{key}={_shown(value)}" for key, value in vm.items())
        lines = [f"host {self.name}: {said}", f"  run        {_run(answer['run'])}"]
        if "page" in answer:
            lines.append("  page       untouched")
        else:
            lines += _page_lines(answer, after)
        lines += [f"  asked      {_asked(one)}" for one in answer["asked"]] or [
            "  asked      nothing"
        ]
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


def _asked(one: list[Any]) -> str:
    word, *numbers = one
    return " ".join([word, *("none" if n is None else _shown(n) for n in numbers)])


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:#x}" if value > 9 else str(value)
    return value if isinstance(value, str) else json.dumps(value)


def _setting(text: str) -> tuple[str, Any]:
    """A word `key=value` of --vm."""
    key, equals, given = text.partition("=")
    if not equals or key not in (GPA, *KEYS):
        raise UsageError(f"--vm {text}: key=value expected, with one of {', '.join((GPA, *KEYS))}")
    if key == GPA:
        gpa = _value(given)
        if not isinstance(gpa, int) or isinstance(gpa, bool) or gpa % PAGE or not 0 <= gpa <= U64:
            raise UsageError(f"--vm {text}: a 4 KiB aligned address expected")
        return key, gpa
    kind = KEYS[key].metadata["kind"]
    value = given if isinstance(kind, Bytes) else _value(given)
    if not kind.accepts(value):
        raise UsageError(f"--vm {brief(text)}: {kind.expected} expected")
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
