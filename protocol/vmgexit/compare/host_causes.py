"""What is wrong with a GHCB host behind a pipe, by cause: the command at which it first differs from ours,
what differs there, which quirk of ours does the same, and which clause says what should be.

A defect in a check that stands before every exit has one name, whatever exit brings it to light. A defect
of an exit is named by the exit, and by the word or register that is wrong.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..descriptions import Answer, Command
from ..errors import PeerError
from ..hosts.asked import ASKED
from ..hosts.quirks import PROFILES, REFERENCE, Quirks
from ..hosts.scenario import Session, page_of
from ..wire.exit_codes import MalformedInput, Status
from ..wire.exits import find_exit
from ..wire.ghcb import GhcbPage
from ..wire.ghcb_msr import GhcbInfo
from ..wire.page_size import PAGE
from .causes import MOST_MEETING, Cause, Failed, most_meeting
from .lockstep import Differences, compare, misshapen
from .peer import STOPS, Answering, is_unsupported
from .replay import Asking, apart

LOOK: Command = {"op": "state"}
"""What is asked after each command, and compared with it."""

# What a difference is named by, where several keys differ at once; and the clause that says what should be.
_CLAUSES = {
    "run": "HOST-9",
    "page": "HOST-1",
    "word": "HOST-10",
    "status": "HOST-7",
    "detail": "HOST-7",
    "asked": "HOST-7",
    "buffer": "HOST-4",
    "registers": "HOST-7",
    "valid": "HOST-8",
    "vmpl": "HOST-12",
    "events": "HOST-11",
    "event_inj": "HOST-11",
    "doorbell": "HOST-11",
    "waiting": "HOST-11",
}
_SHARED = (
    MalformedInput.NOT_REGISTERED,
    MalformedInput.INVALID_USAGE,
    MalformedInput.INVALID_SCRATCH_AREA,
    MalformedInput.INVALID_EVENT,
)
"""The errors of checks that exits share."""

STANDS = ("held", "ended")
"""How a vCPU goes on that does not run, whatever it would have done."""

_WORDS = {int(one): one.name for one in GhcbInfo}


@dataclass(frozen=True, slots=True)
class HostCause(Cause):
    """A cause of a host, whose answers have words and addresses."""

    @property
    def clause(self) -> str:
        """The clause that says what should be, or an empty string."""
        return _CLAUSES.get(_nearest(self.differences), "")

    def __str__(self) -> str:
        because = f" (explained by {self.quirk})" if self.quirk else ""
        nearest = sorted(self.differences.items(), key=lambda one: _order(one[0]))
        parts = [f"{key}: {apart(found, due)}" for key, (found, due) in nearest]
        return f"{self.place}{because}: {'; '.join(parts)}"


def first(
    peer: Answering,
    quirks: Quirks,
    commands: Sequence[Command],
    unexplained: Counter[str] | None = None,
) -> HostCause | None:
    """Where a peer first differs from a host with `quirks`; None where it does not. Raises Failed, and
    ScenarioError. `unexplained` is kept from one scenario to the next, so that what stays without an
    explanation does not take long each time."""
    session = Session(quirks)
    told: list[tuple[Command, Answer]] = []
    # Keys of the state that differ from the beginning: no command is their cause.
    usual: set[str] = set()
    where = ""
    for index, command in enumerate(commands):
        earlier, where, before = where, place(command, session), _state(session)
        found: Differences = {}
        expected: Answer = {}
        shape = ""
        for one in (command, LOOK):
            try:
                answer = peer.execute(one)
            except PeerError as error:
                if error.is_earlier and one is command:
                    raise Failed(error, index - 1, earlier) from None
                raise Failed(error, index, where) from None
            if is_unsupported(answer):
                if one is command and command["op"] == "init":
                    return None  # it has no such VM
                continue  # our host leaves it out too
            told.append((one, answer))
            expected = session.execute(one)
            differing = compare(answer, expected)
            shape = misshapen(one, answer, expected)
            if one is LOOK:
                if command["op"] == "init":
                    usual |= differing.keys()
                differing = {
                    f"state.{key}": pair for key, pair in differing.items() if key not in usual
                }
            found |= differing
            if found:
                break
        if found:
            key = shape or _key(where, found, expected)
            named = explaining(told, quirks, most_meeting(key, unexplained), usual)
            if unexplained is not None and not named:
                unexplained[key] += 1
            return HostCause(index, where, key, found, named, before, _state(session))
    return None


def explaining(
    told: Sequence[tuple[Command, Answer]],
    quirks: Quirks,
    most: int = MOST_MEETING,
    usual: Collection[str] = (),
) -> str:
    """The quirk with which a host gives all these answers, or without which, where `quirks` have it; an
    empty string where there is none. Where only several together do so, those of a profile or at most
    `most`, it is the one by which most of the last answer is as it is. `usual` are keys of the state that
    are not looked at."""
    have = set(PROFILES.named(quirks))

    def differs(some: Iterable[str]) -> Differences:
        """Where a host differs first for which `some` are the other way than in `quirks`."""
        session = Session(PROFILES.only(*have.symmetric_difference(some)))
        for command, answer in told:
            found = compare(answer, session.execute(command))
            if command == LOOK:
                found = {key: pair for key, pair in found.items() if key not in usual}
            if found:
                return found
        return {}

    candidates = _candidates(_asked_for(told, quirks), have, most)
    chosen = next((list(some) for some in candidates if not differs(some)), [])
    while chosen[1:]:
        without = {one: differs(other for other in chosen if other != one) for one in chosen}
        spare = next((one for one in chosen if not without[one]), None)
        if spare is None:
            chosen = [min(chosen, key=lambda one: min(map(_order, without[one])))]
        else:
            chosen.remove(spare)
    return "".join(one if one not in have else f"without {one}" for one in chosen)


def _candidates(
    asked: tuple[set[str], set[str]], have: set[str], most: int
) -> Iterator[Sequence[str]]:
    """Quirks that may explain answers, of those `asked` for: one, then those of a profile, then some."""
    last, ever = asked
    yield from ([one] for one in _in_order(ever))
    if most > 1:
        for name in PROFILES.all[1:]:
            yield _in_order(ever & (have ^ set(PROFILES.of_profile(name))))
    for size in range(2, most + 1):
        yield from itertools.combinations(_in_order(last), size)


def _asked_for(told: Sequence[tuple[Command, Answer]], quirks: Quirks) -> tuple[set[str], set[str]]:
    """The quirks that the last command asks for, and those that any does."""
    last, ever = set[str](), set[str]()
    # With one, or without it, a rule may ask for another.
    for base in (quirks, REFERENCE, PROFILES.only(*PROFILES.names())):
        asking: Any = Asking(base)
        session = Session(asking)
        for command, _ in told:
            if command != LOOK:
                ever |= asking.asked
                asking.asked.clear()
            session.execute(command)
        last |= asking.asked
    ever |= last
    return {one.replace("_", "-") for one in last}, {one.replace("_", "-") for one in ever}


def _in_order(some: set[str]) -> list[str]:
    return [one for one in PROFILES.names() if one in some]


def place(command: Command, session: Session) -> str:
    """The operation; of a page, which exit, and of a word in the MSR, which request."""
    if command["op"] == "msr":
        info = command["request"] & 0xFFF
        return f"the MSR word {_WORDS.get(info, 'unknown')}" if info else "a page named in the MSR"
    if command["op"] != "vmgexit":
        return str(command["op"])
    if "page" in command:
        data = page_of(command["page"])
    else:
        data = session.host.vm.memory.read(command["gpa"], PAGE) or bytes(PAGE)
    row = find_exit(GhcbPage.decode(data).sw_exit_code)
    return f"the exit {row.name}" if row else "an exit that does not exist"


def _nearest(found: Differences) -> str:
    """The key by which a difference is named, without what is inside of it."""
    group = min(found, key=_order).partition(".")[0]
    return "valid" if group == "registers" and "valid" in found else group


def _order(key: str) -> tuple[int, str]:
    """Where a key stands among those that a difference is named by."""
    group = key.partition(".")[0]
    return (list(_CLAUSES).index(group) if group in _CLAUSES else len(_CLAUSES)), key


def _key(where: str, found: Differences, expected: Answer) -> str:
    """The name of a difference from the answer `expected`."""
    for stop in STOPS:
        if found.get(stop, (None,))[0] is not None:
            return f"{stop} at {where}"
    group = _nearest(found)
    is_due = expected.get("status") == Status.MALFORMED_INPUT
    if group in ("status", "detail") or (is_due and "status" in found):
        return _of_status(where, found, is_due)
    key = min(key for key in found if key.partition(".")[0] == group)
    if group == "run":
        ours, theirs = map(_how, found[key])
        at = "" if theirs in STANDS else f"{where}: "
        return f"{at}run is {ours}, not {theirs}"
    if group == "valid":
        return f"{where}: {_of_lists(group, *found[key])}"
    if group == "asked":
        return f"{where}: {_of_asked(*found[key])}"
    if group == "state":  # the number of a vCPU says nothing of the defect
        key = ".".join(part for part in key.split(".") if not part.isdigit())
    return f"{where}: {key} differs"


def _of_status(where: str, found: Differences, is_due: bool) -> str:
    """A refusal that is missing, another one, or one too many; `is_due` says whether one is due."""
    status = found.get("status", (None, None))[0]
    detail, due = found.get("detail", (None, None))
    is_refused = is_due if "status" not in found else status == Status.MALFORMED_INPUT
    if is_due and due in _SHARED:
        return f"not refused as {_error(due)}"
    if is_due and is_refused:
        return f"refused as {_error(detail)}, not as {_error(due)}"
    if is_due:
        return f"{where}: not refused as {_error(due)}"
    if is_refused:
        return f"{where}: refused as {_error(detail)}"
    return f"{where}: {'status' if 'status' in found else 'detail'} differs"


def _how(run: Any) -> str:
    """How a guest goes on, without the number that says more."""
    return str(run[0]) if isinstance(run, list) and run else str(run)


def _error(detail: Any) -> str:
    names: dict[object, str] = {one.value: one.name for one in MalformedInput}
    return names.get(detail, "an unknown error") if type(detail) is int else "an unknown error"


def _of_lists(what: str, ours: Any, theirs: Any) -> str:
    """What a list of names has too many, or lacks."""
    if not (isinstance(ours, list) and isinstance(theirs, list)):
        return f"{what} differs"
    more = sorted(str(one) for one in ours if one not in theirs)
    fewer = sorted(str(one) for one in theirs if one not in ours)
    if (more and fewer) or not more + fewer:
        return f"{what} differs"
    return f"{what} has {', '.join(more)} too many" if more else f"{what} lacks {', '.join(fewer)}"


def _of_asked(ours: Any, theirs: Any) -> str:
    """The first of what was asked that is not as it should be."""
    for found, due in itertools.zip_longest(_listed(ours), _listed(theirs)):
        if found == due:
            continue
        if found is None or due is None or found[:1] != due[:1]:
            words = (repr(one[0]) if one else "nothing" for one in (found, due))
            return "asks {}, not {}".format(*words)
        names = ASKED.get(due[0], ())
        wrong = [
            name
            for name, one, other in zip(names, found[1:], due[1:], strict=False)
            if one != other
        ]
        return f"asks {due[0]!r} with another {' and '.join(wrong) or 'list of values'}"
    return "asked differs"


def _listed(asked: Any) -> Iterator[list[Any]]:
    for one in asked if isinstance(asked, list) else ():
        yield one if isinstance(one, list) else [one]


def _state(session: Session) -> str:
    """What our host keeps."""
    return ", ".join(f"{key} {value}" for key, value in session.execute(LOOK).items())
