"""`vmgexit replay`: recordings against the machine or a peer, scenarios under the invariants."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..compare.lockstep import replay_peer
from ..compare.peer import Peer
from ..compare.replay import KINDS, Mismatch, Tally, explained, replay
from ..devices import RECORDED
from ..errors import UsageError
from ..guests.profiles import GUESTS, find_guest
from ..machine.quirks import profile
from ..sequences import HOST, SVSM, Sequence
from .as_guest import check
from .devices import add_devices, chosen_devices
from .formatter import examples
from .peer import add_timeout, words_of
from .sequence_files import named, read_sequences

_NAMED = {SVSM: "an SVSM", HOST: "a GHCB host"}

SHOWN = 20  # mismatches printed in full; all are counted


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run each sequence of JSON lines on a fresh machine, and compare the answers with the"
        " recorded ones. The lines say whether that is an SVSM or a GHCB host. With --peer, run it on"
        " another implementation; where no answer is recorded, compare with the machine; --invariants then"
        " judges what it answers, and --explain names the quirks that it has. Exits 1 on a"
        " mismatch (with --explain: on a mismatch that no quirk explains) and on a broken invariant."
    )
    parser.epilog = examples(
        "vmgexit replay --profile coconut corpus/recordings/*.jsonl.xz",
        "vmgexit replay --profile kvm --explain corpus/recordings/kvm/*.jsonl.xz",
        "vmgexit replay --explain --invariants --peer my-adapter/adapter scenario.jsonl",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="recording or scenario, or -")
    parser.add_argument(
        "--profile",
        default="reference",
        help="reference, coconut (of an SVSM), kvm and kvm-planes (of a GHCB host), or names of quirks"
        " joined by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--invariants", action="store_true", help="check the invariants after each operation"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="name the quirks that explain each difference, and count what each explains",
    )
    parser.add_argument(
        "--guest",
        default="",
        metavar="NAME",
        help=f"{' or '.join(GUESTS)}: say where a scenario does what that guest never does, and where the"
        " guest ends itself; exits 1 where it never does that",
    )
    add_devices(parser)
    parser.add_argument(
        "--peer",
        metavar="CMD",
        help="the program to run instead, with its arguments (specs/peer-protocol.md)",
    )
    add_timeout(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    _known(arguments.profile)
    guest = find_guest(arguments.guest)
    if guest is not None:
        return check(_without_answers(arguments), guest, profile(arguments.profile))
    tally = Tally()
    mismatches = _mismatches(arguments, tally)
    causes: Counter[str] = Counter()
    unexplained = 0
    for shown, mismatch in enumerate(mismatches, 1):
        causes.update(mismatch.explained_by or ())
        unexplained += not mismatch.explained_by
        if shown <= SHOWN or arguments.explain:
            print(mismatch)
        elif shown == SHOWN + 1:
            print("... further mismatches are counted, not shown")
    for sequence, violation in tally.violations:
        _show_violation(sequence, violation.index, str(violation), violation.invariant.meaning)
    print(tally)
    if arguments.explain:
        for name, count in causes.most_common():
            print(f"{name}: {count}")
        print(f"{unexplained} unexplained")
    return 1 if unexplained or tally.violations else 0


def _known(profile: str) -> None:
    """Raise UsageError for a profile that no kind of machine has."""
    names = dict.fromkeys(name for kind in KINDS.values() for name in kind.profiles.all)
    for kind in KINDS.values():
        try:
            kind.profiles.profile(profile)
            return
        except UsageError:
            continue
    raise UsageError(
        f"unknown profile {profile}; expected {', '.join(names)}, or quirks of one kind of machine joined"
        " by commas"
    )


def _mismatches(arguments: argparse.Namespace, tally: Tally) -> Iterator[Mismatch]:
    """What differs in any of the files, on the machine or on the peer."""
    if arguments.peer is None:
        watched = arguments.invariants
        with chosen_devices(arguments) as devices:
            if arguments.explain and devices is not RECORDED:
                raise UsageError(
                    "--explain compares with recorded devices: not with --psp or --tpm"
                )
            for sequence, quirks in _sequences(arguments):
                found = replay([sequence], quirks, tally, watched=watched, devices=devices)
                with named(sequence.name):
                    yield from explained(found, quirks) if arguments.explain else found
        return
    with Peer(_command(arguments), arguments.peer_timeout) as peer:
        for sequence, quirks in _sequences(arguments):
            if sequence.machine != peer.hello.machine:
                where = f"{sequence.name} line {sequence.line}"
                raise UsageError(
                    f"{where}: this is for {_NAMED[sequence.machine]}, and the peer is"
                    f" {_NAMED[peer.hello.machine]}"
                )
            if arguments.invariants:
                _for_an_svsm(sequence, "invariants judge what an SVSM answers")
            yield from replay_peer(
                [sequence],
                peer,
                quirks,
                tally,
                watched=arguments.invariants,
                explaining=arguments.explain,
            )


def _without_answers(arguments: argparse.Namespace) -> Iterator[Sequence]:
    """The sequences of all files, whose answers are not looked at."""
    for option in ("invariants", "explain", "peer"):
        if getattr(arguments, option):
            raise UsageError(f"--{option} compares answers: not with --guest")
    for sequence, _ in _sequences(arguments):
        yield _for_an_svsm(sequence, "a guest calls an SVSM")


def _for_an_svsm(sequence: Sequence, why: str) -> Sequence:
    if sequence.machine != SVSM:
        where = f"{sequence.name} line {sequence.line}"
        raise UsageError(f"{where}: {why}, and this is for a GHCB host")
    return sequence


def _sequences(arguments: argparse.Namespace) -> Iterator[tuple[Sequence, Any]]:
    """Each sequence of the files, with the quirks that the profile means for its kind of machine."""
    quirks: dict[str, Any] = {}
    for name in arguments.files:
        for sequence in read_sequences(name):
            if sequence.machine not in quirks:
                try:
                    quirks[sequence.machine] = KINDS[sequence.machine].profiles.profile(
                        arguments.profile
                    )
                except UsageError as error:
                    raise UsageError(f"{name} line {sequence.line}: {error}") from None
            yield sequence, quirks[sequence.machine]


def _command(arguments: argparse.Namespace) -> list[str]:
    """The words of --peer, as a shell would read them."""
    for option in ("psp", "tpm"):
        if getattr(arguments, option) != "recorded":
            raise UsageError(f"--{option}: a device of our own machine, not of a peer")
    return words_of(arguments)


def _show_violation(sequence: Sequence, index: int, message: str, meaning: str) -> None:
    print(f"{sequence.name} line {sequence.line}: {message}\n  ({meaning})")
    show = KINDS[sequence.machine].show
    print(show(sequence.commands[: index + 1], mark=index))
    sys.stdout.flush()
