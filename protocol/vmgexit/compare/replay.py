"""Replaying recordings: running the recorded commands, and naming the answers that differ.

`replay` runs each sequence on a fresh machine of its kind: an SVSM or a GHCB host. A recorded stop is met
by a stop at the same place, whatever its text. `explain` names the quirks without which an answer would
have been another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..counting import count_of
from ..descriptions import Answer, Command
from ..devices import RECORDED, Devices
from ..errors import TOO_DEEP, WIDEST, ScenarioError, cut
from ..hosts import quirks as host_quirks
from ..hosts import scenario as host_scenario
from ..hosts.scenario import Session
from ..machine import quirks as machine_quirks
from ..machine import scenario as machine_scenario
from ..machine.machine import Machine
from ..profiles import Profiles
from ..sequences import HOST, SVSM, Sequence
from ..watch.hosts.invariants import HostWatch
from ..watch.judged import Violation
from ..watch.watch import Watch
from .peer import stops


class Executor(Protocol):
    """What carries commands out."""

    def execute(self, command: Command) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of machine: its profiles, and how one begins with some quirks."""

    profiles: Profiles[Any]
    begin: Callable[[Any, Devices], Executor]
    watch: Callable[[Any], Executor]  # the machine under all invariants
    show: Callable[..., str]  # commands for a person, one of them marked


def _host(quirks: Any, devices: Devices) -> Executor:
    """A GHCB host, which has none of an SVSM's devices."""
    return Session(quirks)


KINDS = {
    SVSM: Kind(machine_quirks.PROFILES, Machine, Watch, machine_scenario.show),
    HOST: Kind(host_quirks.PROFILES, _host, HostWatch, host_scenario.show),
}
"""By what a sequence is for."""


@dataclass(slots=True)
class Mismatch:
    """One answer that differs: where it stands, and each differing key with both values; or in a word
    why there is none (`failure`)."""

    sequence: Sequence
    index: int
    differences: dict[str, tuple[Any, Any]]  # found, recorded
    explained_by: tuple[str, ...] | None = None  # names of quirks; None where nobody asked
    failure: str = ""
    is_recorded: bool = True  # else what is expected is a machine's answer

    def __str__(self) -> str:
        command = self.sequence.commands[self.index]
        where = f"{self.sequence.name} line {self.sequence.line}, operation {self.index}"
        whose = "recorded" if self.is_recorded else "expected"
        parts = [
            f"{key}: {apart(found, expected, whose)}"
            for key, (found, expected) in self.differences.items()
        ]
        if self.failure:
            parts.append(self.failure)
        because = ""
        if self.explained_by is not None:
            because = f" (explained by {', '.join(self.explained_by) or 'no quirk'})"
        return f"{where}, {command['op']}: {'; '.join(parts)}{because}"


def apart(found: Any, expected: Any, whose: str = "expected") -> str:
    """Two values of an answer for a person: `0x31 found, 0x51 expected`.

    Of long ones what they have alike at their beginning is left out, but for the last of it.
    """
    texts = [_whole(value) for value in (found, expected)]
    differ = (at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other)
    alike = next(differ, min(map(len, texts))) - _ALIKE
    if alike > 0 and max(map(len, texts)) > WIDEST:
        texts = [f"...{text[alike:]}" for text in texts]
    return f"{cut(texts[0])} found, {cut(texts[1])} {whose}"


_ALIKE = 24  # letters before the first that differs


def _whole(value: Any) -> str:
    try:
        return _shown(value)
    except RecursionError:
        return TOO_DEEP


def _shown(value: Any) -> str:
    """Numbers above 9 in hex, `nothing` where an answer has no such key."""
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, int) and not isinstance(value, bool) and value > 9:
        return f"{value:#x}"
    return repr(value)


@dataclass(slots=True)
class Tally:
    """What a replay came to."""

    sequences: int = 0
    operations: int = 0
    mismatches: int = 0
    violations: list[tuple[Sequence, Violation]] = field(default_factory=list)
    unsupported: int = 0  # operations of which a peer says that it does not know them, or not all
    unjudged: int = 0  # sequences with memory, which no invariant judges by a peer's answers

    def __str__(self) -> str:
        parts = [
            count_of(self.sequences, "sequence"),
            count_of(self.operations, "operation"),
            f"{self.mismatches} mismatch{'es' * (self.mismatches != 1)}",
        ]
        if self.violations:
            parts.append(count_of(len(self.violations), "violation"))
        if self.unsupported:
            parts.append(
                f"{count_of(self.unsupported, 'operation')} the peer does not fully support"
            )
        if self.unjudged:
            parts.append(
                f"{count_of(self.unjudged, 'sequence')} with memory not judged by invariants"
            )
        return ", ".join(parts)


def replay(
    sequences: Iterable[Sequence],
    quirks: Any,
    tally: Tally,
    *,
    watched: bool = False,
    devices: Devices = RECORDED,
) -> Iterator[Mismatch]:
    """Run every sequence and yield the answers that differ; `tally` counts on the way.

    The quirks are those of the sequences' kind of machine. With `watched` a broken invariant ends its
    sequence and is kept in the tally. `devices` stand behind an SVSM.
    """
    for sequence in sequences:
        tally.sequences += 1
        executor = _begun(sequence, quirks, watched, devices)
        for index, (command, recorded) in enumerate(
            zip(sequence.commands, sequence.answers, strict=True)
        ):
            try:
                answer = executor.execute(command)
            except Violation as violation:
                tally.operations += 1
                tally.violations.append((sequence, violation))
                break
            except ScenarioError as error:
                raise ScenarioError(f"operation {index}: {error}", line=sequence.line) from None
            tally.operations += 1
            if recorded is not None and not same(answer, recorded):
                tally.mismatches += 1
                yield Mismatch(sequence, index, differences(answer, recorded))


def _begun(sequence: Sequence, quirks: Any, watched: bool, devices: Devices) -> Executor:
    kind = KINDS[sequence.machine]
    machine = kind.begin(quirks, devices)
    return kind.watch(machine) if watched else machine


def same(answer: Answer, expected: Answer) -> bool:
    """Whether an answer conforms to the one expected. The text of a stop is free: an assertion is met
    by any stop, a termination request by one."""
    if "panic" in expected:
        return stops(answer)
    if "terminated" in expected:
        return "terminated" in answer
    return answer == expected


def differences(answer: Answer, recorded: Answer) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, nested ones by dotted path."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in (*recorded, *(key for key in answer if key not in recorded)):
        ours, theirs = answer.get(key), recorded.get(key)
        if ours == theirs:
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for inner, pair in differences(ours, theirs).items():
                found[f"{key}.{inner}"] = pair
        else:
            found[key] = (ours, theirs)
    return found


def explained(mismatches: Iterable[Mismatch], quirks: Any) -> Iterator[Mismatch]:
    """The mismatches of a machine with `quirks`, each with the quirks that explain it."""
    for _, group in itertools.groupby(mismatches, lambda mismatch: id(mismatch.sequence)):
        together = list(group)
        causes = explain(together[0].sequence, quirks)
        for mismatch in together:
            mismatch.explained_by = causes.get(mismatch.index, ())
            yield mismatch


def explain(sequence: Sequence, quirks: Any) -> dict[int, tuple[str, ...]]:
    """For each recorded answer that a machine with `quirks` does not give, by its index, the further
    quirks that it takes, of one profile.

    The sequence needs as few as can be found by leaving out one after the other; an answer takes those
    without which it would be another. Empty when no profile gives every answer.
    """
    profiles = KINDS[sequence.machine].profiles
    have = profiles.named(quirks)
    for name in profiles.all[1:]:
        wanted = [one for one in profiles.of_profile(name) if one not in have]
        causes = causes_among(sequence, quirks, wanted)
        if causes is not None:
            return causes
    return {}


def causes_among(
    sequence: Sequence, quirks: Any, wanted: Iterable[str]
) -> dict[int, tuple[str, ...]] | None:
    """The same, of the quirks `wanted`; None when a machine with all of them does not give every answer."""
    profiles = KINDS[sequence.machine].profiles
    have = profiles.named(quirks)

    def differing(names: Iterable[str]) -> set[int]:
        return _differing(sequence, profiles.only(*have, *names))

    wanted = tuple(wanted)
    asking = Asking(profiles.only(*have, *wanted))
    if _differing(sequence, asking):
        return None
    # A quirk that no rule asked for decided nothing.
    needed = [one for one in wanted if one.replace("-", "_") in asking.asked]
    for one in tuple(needed):
        fewer = [other for other in needed if other != one]
        if not differing(fewer):
            needed = fewer
    without = {one: differing(other for other in needed if other != one) for one in needed}
    return {
        index: tuple(one for one in needed if index in without[one]) or tuple(needed)
        for index in _differing(sequence, quirks)
    }


class Asking:
    """Quirks that note which of them are asked for."""

    def __init__(self, quirks: Any) -> None:
        self._quirks = quirks
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.asked.add(name)
        return getattr(self._quirks, name)


def _differing(sequence: Sequence, quirks: Any) -> set[int]:
    """The indices of the recorded answers that a machine with `quirks` does not give."""
    return {mismatch.index for mismatch in replay([sequence], quirks, Tally())}
