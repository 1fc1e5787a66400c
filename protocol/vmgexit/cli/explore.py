"""`vmgexit explore`: every interleaving of a small system."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ..descriptions import Command
from ..errors import UsageError
from ..explore.counting import PROJECTIONS
from ..explore.itf import trace
from ..explore.memory.model import explore_memory
from ..explore.memory.system import KINDS, MemorySystem
from ..explore.model import explore
from ..explore.search import Limits, Outcome
from ..explore.system import System
from ..files import write_output
from ..guests.guest import Guest
from ..guests.profiles import GUESTS, find_guest
from ..guests.values import NMI
from ..machine.quirks import MEMORY, Quirks, names, profile
from ..machine.scenario import show, to_lines
from ..watch.judged import Violation
from .formatter import examples
from .names import number
from .races import show_races

_OF_INTERRUPTS = (
    "guest", "edge", "level", "ipis", "calls", "intercepts", "refusals", "creations",
    "handler_in_window", "reduce", "count_by",
)  # fmt: skip
_OF_A_SEARCH = (*_OF_INTERRUPTS, "memory", "host_moves", "unvalidated_faults", "output", "itf")


def _vectors(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    try:
        vectors = tuple(int(word, 0) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of vectors") from None
    if not all(31 <= vector <= 255 for vector in vectors) or len(set(vectors)) < len(vectors):
        raise argparse.ArgumentTypeError(f"{text}: different vectors from 31 to 255 expected")
    return vectors


def _ipis(text: str) -> tuple[int, ...]:
    words = text.split(",")
    vectors = _vectors(",".join(word for word in words if word != "nmi"))
    return (*vectors, NMI) if "nmi" in words else vectors


def _kinds(text: str) -> frozenset[str]:
    kinds = text.split(",")
    odd = next((kind for kind in kinds if kind not in KINDS), None)
    if odd is not None:
        raise argparse.ArgumentTypeError(f"{odd!r}: {', '.join(KINDS)} expected")
    return frozenset(kinds)


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Visit every interleaving of host, SVSMs and guests, shortest first, and check all invariants."
        " Exits 1 with a shortest scenario when an invariant breaks."
    )
    parser.epilog = examples(
        "vmgexit explore --vcpus 1 --edge 0x31,0x51 --level 0x61",
        "vmgexit explore --memory --vcpus 2 --depth 4 --profile delete-running-stops --moves vcpus",
        "vmgexit explore --guest linux --profile lazy-eoi-survives-disable --edge 0x31",
    )
    _add_system(parser)
    _add_search(parser)
    _add_memory(parser.add_argument_group("SVSMs with memory"))
    parser.add_argument("-o", "--output", metavar="FILE", help="write the counterexample there")
    parser.add_argument(
        "--itf",
        metavar="FILE",
        help="write it there as a trace in the Informal Trace Format (.itf.json)",
    )
    parser.set_defaults(run=run)


def _add_system(parser: argparse.ArgumentParser) -> None:
    """What there is, and what may happen to it."""
    parser.add_argument(
        "--guest",
        default="",
        metavar="NAME",
        help=f"{' or '.join(GUESTS)}: guests make that one's calls and no others"
        " (default: guests of which nothing is known)",
    )
    parser.add_argument("--profile", default="reference", help="as for replay")
    for option, of, default, what in (
        ("--edge", _vectors, None, "vectors that the host posts, each once"),
        ("--level", _vectors, (), "level-triggered vectors that the host posts"),
        (
            "--ipis",
            _ipis,
            (),
            "vectors that vCPUs send, each once; nmi, of a known guest, is an NMI",
        ),
    ):
        parser.add_argument(option, type=of, default=default, metavar="V,V", help=what)
    for option, least, what in (
        ("--vcpus", 1, "1 to 4"),
        ("--registrations", 1, "the registration count at the start"),
        ("--calls", 0, "how many CONFIGURE_EMULATION calls, of any kind"),
        ("--intercepts", 0, "how many deliveries an intercept cuts short"),
        ("--refusals", 0, "how many requests of an SVSM the host refuses"),
        ("--creations", 0, "how many vCPUs are created anew"),
    ):
        parser.add_argument(option, type=number, default=least, metavar="N", help=what)
    parser.add_argument(
        "--handler-in-window",
        action="store_true",
        help="the SVSM's #HV handler can run inside the switch window, as where its interrupts are on",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    """What is looked at, and what ends the search."""
    parser.add_argument(
        "--reduce",
        action="store_true",
        help="leave out what differs in nothing that matters, and orders of moves that do not touch each"
        " other: the same verdict from fewer states",
    )
    parser.add_argument(
        "--count-by",
        choices=PROJECTIONS,
        default="",
        help="count the states: "
        + "; ".join(f"{name}: {what}" for name, (what, _) in PROJECTIONS.items()),
    )
    for option, unit, most, what in (
        ("--depth", "D", 10_000, "at most so many moves from the start"),
        ("--states", "N", Limits().states, "at most so many states"),
        ("--seconds", "S", 0, "at most so long (default: no limit)"),
        ("--megabytes", "MB", 1900, "at most so much of our memory"),
    ):
        parser.add_argument(option, type=number, default=most, metavar=unit, help=what)


def _add_memory(memory: argparse._ArgumentGroup) -> None:
    memory.add_argument(
        "--memory",
        action="store_true",
        help="guests with four pages and a 2 MiB page make calls of the core protocol, each as a whole",
    )
    memory.add_argument(
        "--host-moves",
        type=number,
        default=0,
        metavar="N",
        help="how many pages the host takes, remaps, splits or joins",
    )
    memory.add_argument(
        "--moves",
        type=_kinds,
        default=frozenset(KINDS),
        metavar="K,K",
        help=f"kinds of moves of the guests, of {', '.join(KINDS)} (default: all)",
    )
    memory.add_argument(
        "--unvalidated-faults",
        action="store_true",
        help="a processor on which RMPADJUST of a page that is not validated is #VC",
    )
    memory.add_argument(
        "--races",
        metavar="FILE",
        help="instead: the last two calls of this scenario at once, in every order of their steps, as if"
        " the SVSM held no lock",
    )


def run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.vcpus <= 4:
        raise UsageError(f"--vcpus {arguments.vcpus}: 1 to 4 expected")
    guest = find_guest(arguments.guest)
    limits = Limits(
        arguments.depth, arguments.states, arguments.megabytes, arguments.seconds or math.inf
    )
    quirks = profile(arguments.profile)
    if arguments.races is not None:
        _refuse(arguments, _OF_A_SEARCH, "--races")
        return show_races(arguments.races, quirks)
    if arguments.memory:
        outcome = explore_memory(
            _with_memory(arguments), quirks, limits=limits, progress=_progress()
        )
    else:
        _say_what_cannot_be(arguments, quirks)
        outcome = explore(
            _system(arguments, guest),
            quirks,
            limits=limits,
            progress=_progress(),
            reduced=arguments.reduce,
            count_by=arguments.count_by,
        )
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    for ending, scenario in outcome.endings.items():
        print(f"{ending}\n{show(scenario, mark=len(scenario) - 1)}")
    for kind, states in sorted(outcome.counts.items()):
        print(f"{states:10} {kind}")
    if outcome.counts:
        print(f"{len(outcome.counts)} kinds of states by {arguments.count_by}")
    if isinstance(outcome.broken, Violation):
        _show_violation(arguments, outcome, outcome.broken, quirks)
    elif guest is not None:
        print(f"{guest.name} provokes nothing of {arguments.profile} within these bounds")
    if outcome.broken is None and not arguments.memory:
        for name in _on(quirks):
            if name not in MEMORY and name.replace("-", "_") not in outcome.asked:
                print(f"{name}: no move that was made comes to it")
    print(
        f"{outcome.states} states, {outcome.moves} moves, depth {outcome.depth}: {_covered(outcome)};"
        f" {outcome.rate:.0f} states/s, {outcome.megabytes:.0f} MB"
    )
    return 1 if outcome.broken is not None else 0


def _show_violation(
    arguments: argparse.Namespace, outcome: Outcome[Command], violation: Violation, quirks: Quirks
) -> None:
    """The counterexample, and the files that it is written to."""
    print(f"{violation}\n  ({violation.invariant.meaning})")
    print(show(outcome.path, mark=len(outcome.path) - 1))
    if not outcome.shortest:
        print("a shorter scenario may exist: the full search was too large to look for it")
    if arguments.output:
        path = write_output(Path(arguments.output), to_lines(outcome.path).encode())
        print(f"again: vmgexit replay --invariants --profile {arguments.profile} {path}")
    if arguments.itf:
        told = trace(outcome.path, quirks, source=str(violation))
        print(f"ITF trace: {write_output(Path(arguments.itf), told.encode())}")


def _covered(outcome: Outcome[Command]) -> str:
    """How much of the system the search has seen."""
    if outcome.stopped_by:
        return (
            f"stopped by {outcome.stopped_by}, {outcome.frontier} states not followed; every state"
            f" within {outcome.depth} moves was seen"
        )
    return "every reachable state" if outcome.broken is None else "stopped at the violation"


def _on(quirks: Quirks) -> list[str]:
    """The quirks that are on, by name."""
    return [name for name in names() if getattr(quirks, name.replace("-", "_"))]


def _say_what_cannot_be(arguments: argparse.Namespace, quirks: Quirks) -> None:
    """What is known before the search. Raises UsageError where there is nothing to look for."""
    on = _on(quirks)
    if on and all(name in MEMORY for name in on):
        raise UsageError(f"--profile {arguments.profile}: only with --memory")
    posts = len(arguments.edge or ()) + len(arguments.level) + len(arguments.ipis)
    moves = posts + arguments.calls + arguments.intercepts + arguments.creations
    if arguments.depth < moves:
        print(f"--depth {arguments.depth}: to do everything takes {moves} moves or more")


def _refuse(arguments: argparse.Namespace, options: Iterable[str], beside: str) -> None:
    """Raise UsageError on one of these options, which say nothing beside another."""
    for option in options:
        if getattr(arguments, option):
            raise UsageError(f"--{option.replace('_', '-')}: not with {beside}")


def _with_memory(arguments: argparse.Namespace) -> MemorySystem:
    """The system of --memory. Raises UsageError on an option of the others."""
    _refuse(arguments, _OF_INTERRUPTS, "--memory")
    return MemorySystem(
        vcpus=arguments.vcpus,
        host_moves=arguments.host_moves,
        unvalidated_faults=arguments.unvalidated_faults,
        kinds=arguments.moves,
    )


def _system(arguments: argparse.Namespace, guest: Guest | None) -> System:
    """The system of interrupts that the options describe. Raises UsageError."""
    for option in ("host_moves", "unvalidated_faults"):
        if getattr(arguments, option):
            raise UsageError(f"--{option.replace('_', '-')}: only with --memory")
    if arguments.moves != frozenset(KINDS):
        raise UsageError("--moves: only with --memory")
    if guest is not None and arguments.calls:
        raise UsageError(f"--calls {arguments.calls}: {guest.name} never configures its APIC")
    if guest is None and NMI in arguments.ipis:
        raise UsageError("--ipis nmi: a --guest that sends NMIs expected")
    if guest is None and arguments.ipis and arguments.vcpus == 1:
        raise UsageError("--ipis: 2 or more --vcpus expected, an IPI goes to all others")
    if guest is not None and arguments.ipis and not any(row.sends for row in guest.makes):
        raise UsageError(f"--ipis: {guest.name} sends none")
    nothing_named = arguments.edge is None and not (arguments.level or arguments.ipis)
    return System(
        vcpus=arguments.vcpus,
        registrations=arguments.registrations,
        edge=(0x31, 0x51) if nothing_named and not arguments.calls else arguments.edge or (),
        level=arguments.level,
        ipis=arguments.ipis,
        calls=arguments.calls,
        intercepts=arguments.intercepts,
        refusals=arguments.refusals,
        creations=arguments.creations,
        handler_in_window=arguments.handler_in_window,
        guest=guest,
    )


def _progress() -> Callable[[Outcome[Command]], None]:
    """A line that is renewed once a second on a terminal, and nothing elsewhere."""
    last = time.monotonic()

    def say(outcome: Outcome[Command]) -> None:
        nonlocal last
        if not sys.stderr.isatty() or time.monotonic() - last < 1:
            return
        last = time.monotonic()
        print(
            f"\r\033[K{outcome.states} states, depth {outcome.depth}, frontier {outcome.frontier},"
            f" {outcome.rate:.0f}/s, {outcome.megabytes:.0f} MB",
            end="",
            file=sys.stderr,
            flush=True,
        )

    return say
