"""Comparing a peer's answers with recorded ones, and with the machine's where nothing was recorded.

A peer need not support everything. When it refuses a whole operation, the machine leaves that
operation out too, so that both stay in step. When it answers in part, only the keys of its answer
are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from typing import Any

from ..descriptions import Answer, Command
from ..devices import RECORDED
from ..errors import PeerError, ScenarioError
from ..sequences import Sequence
from .mirror import Exchange, ask, judge
from .peer import UNSUPPORTED, Peer, is_unsupported, stops
from .pipes import plain
from .replay import KINDS, Mismatch, Tally, causes_among, differences, explain, replay, same

Differences = dict[str, tuple[Any, Any]]  # by dotted key: found, expected


def compare(answer: Answer, expected: Answer) -> Differences:
    """Where a peer's answer is not as expected; empty when it conforms.

    What a stop must be like says `same`; of a partial answer the keys that are there count.
    """
    if same(answer, expected):
        return {}
    if UNSUPPORTED in answer:
        answer = {key: value for key, value in answer.items() if key != UNSUPPORTED}
        expected = _only(expected, answer)
    # A stranger's keys are shown as they can be.
    return {plain(key): pair for key, pair in differences(answer, expected).items()}


def _only(expected: Answer, given: Answer) -> Answer:
    """The part of `expected` of which the peer says something."""
    return {
        key: _only(value, given[key])
        if isinstance(value, dict) and isinstance(given[key], dict)
        else value
        for key, value in expected.items()
        if key in given
    }


def misshapen(command: Command, answer: Answer, expected: Answer) -> str:
    """In which way an answer is none that the operation can have, wherever it is asked for; empty where it
    is of the form that is expected."""
    if UNSUPPORTED in answer or stops(answer) or stops(expected):
        return ""
    if not answer.keys() & expected.keys():
        return f"{command['op']}: an answer to something else"
    for key, due in expected.items():
        given = answer.get(key)
        if given is not None and type(due) in _FORMS and type(given) is not type(due):
            return f"{command['op']}: {key} is no {_FORMS[type(due)]}"
    return ""


_FORMS: dict[type, str] = {int: "number", bool: "true or false"}


def replay_peer(
    sequences: Iterable[Sequence],
    peer: Peer,
    quirks: Any,
    tally: Tally,
    *,
    watched: bool = False,
    explaining: bool = False,
) -> Iterator[Mismatch]:
    """Run every sequence on the peer and yield the answers that differ; `tally` counts on the way.

    Expected are the recorded answers, and those of a machine with `quirks` in sequences that lack
    some. A peer that fails ends its sequence by a mismatch and is started again for the next one, and a
    stop that was not expected ends it too. With `watched` the invariants judge the peer's own answers; a
    broken one is kept in the tally. With `explaining` each mismatch has the quirks that explain it.
    Raises PeerError when it cannot be started.
    """
    for sequence in sequences:
        tally.sequences += 1
        if not watched and _conforms(sequence, peer, quirks, tally):
            continue
        # Once more in step: only so is it certain which answer belongs to which command.
        peer.forget()
        exchanges: list[Exchange] = []
        mismatches = list(_in_step(sequence, peer, quirks, tally, exchanges, watched=watched))
        if watched:
            _judge(sequence, exchanges, tally)
        if explaining:
            _explain(sequence, mismatches, exchanges, quirks)
        yield from mismatches


def _in_step(
    sequence: Sequence,
    peer: Peer,
    quirks: Any,
    tally: Tally,
    exchanges: list[Exchange],
    *,
    watched: bool,
) -> Iterator[Mismatch]:
    """The same of one sequence, command by command. The `exchanges` are added to those that there are."""
    machine: Any = KINDS[sequence.machine].begin(quirks, RECORDED)
    needs_machine, vcpus = None in sequence.answers, 0
    for index, (command, recorded) in enumerate(
        zip(sequence.commands, sequence.answers, strict=True)
    ):
        tally.operations += 1
        vcpus = command.get("cpus", vcpus)
        try:
            if watched:
                exchange = ask(peer, command, vcpus)
            else:
                exchange = Exchange(command, peer.execute(command))
            exchanges.append(exchange)
            answer = exchange.answer
            runs = needs_machine and not exchange.is_left_out
            expected = machine.execute(command) if runs else {}
        except ScenarioError as error:
            raise ScenarioError(f"operation {index}: {error}", line=sequence.line) from None
        except PeerError as error:
            if error.kind == "start":
                raise
            tally.mismatches += 1
            yield Mismatch(sequence, index, {}, failure=f"peer: {error}")
            break
        tally.unsupported += UNSUPPORTED in answer
        if UNSUPPORTED in answer and command["op"] == "init":
            break  # it has no machines with memory
        expected = expected if recorded is None else recorded
        found = compare(answer, expected)
        if found:
            tally.mismatches += 1
            yield Mismatch(sequence, index, found, is_recorded=recorded is not None)
            if stops(answer) != stops(expected):
                break  # what comes after it would differ too


def _judge(sequence: Sequence, exchanges: Several[Exchange], tally: Tally) -> None:
    """Hold the invariants against what the peer answered to a sequence."""
    if "memory" in sequence.commands[0]:
        tally.unjudged += 1
    elif (violation := judge(exchanges)) is not None:
        tally.violations.append((sequence, violation))


def _explain(
    sequence: Sequence, mismatches: Several[Mismatch], exchanges: Several[Exchange], quirks: Any
) -> None:
    """Name the quirks that a machine with `quirks` lacks to answer as the peer does, and as was recorded.
    From the first answer on that no machine gives, nothing is explained."""
    recorded = explain(sequence, quirks) if any(sequence.answers) else {}
    places = [at for at, exchange in enumerate(exchanges) if not exchange.is_left_out]
    answered = [exchanges[at] for at in places]
    is_given = True
    for mismatch in mismatches:
        mismatch.explained_by = ()
        several = len([at for at in places if at <= mismatch.index])
        is_given = is_given and not mismatch.failure
        if not is_given:
            continue
        told = Sequence(sequence.name, sequence.line, machine=sequence.machine)
        for exchange in answered[:several]:
            partly = UNSUPPORTED in exchange.answer
            told.add(exchange.command, None if partly else exchange.answer)
        causes = _causes(told, quirks)
        is_given = causes is not None
        if causes is not None:
            ours, theirs = causes.get(several - 1, ()), recorded.get(mismatch.index, ())
            mismatch.explained_by = tuple(dict.fromkeys((*ours, *theirs)))


def _causes(told: Sequence, quirks: Any) -> dict[int, tuple[str, ...]] | None:
    """What `explain` says of a peer's answers, which need no quirk, those of a profile, or a single one;
    None where no machine gives them."""
    if not list(replay([told], quirks, Tally())):
        return {}
    if causes := explain(told, quirks):
        return causes
    singly = (causes_among(told, quirks, [one]) for one in KINDS[told.machine].profiles.names())
    return next((causes for causes in singly if causes), None)


def _conforms(sequence: Sequence, peer: Peer, quirks: Any, tally: Tally) -> bool:
    """Whether a peer that gets a whole sequence at once gives every answer; the tally counts it then."""
    machine = KINDS[sequence.machine].begin(quirks, RECORDED) if None in sequence.answers else None
    unsupported = 0
    try:
        for command, recorded, answer in zip(
            sequence.commands, sequence.answers, peer.answers(sequence.commands), strict=True
        ):
            expected: Answer = recorded or {}
            if machine is not None and not is_unsupported(answer):
                given = machine.execute(command)
                expected = given if recorded is None else recorded
            if UNSUPPORTED in answer:
                if command["op"] == "init":
                    return False
                unsupported += 1
            if answer != expected and compare(answer, expected):
                return False
    except (PeerError, ScenarioError):
        return False
    tally.operations += len(sequence.commands)
    tally.unsupported += unsupported
    return True
