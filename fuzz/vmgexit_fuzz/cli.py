"""`vmgexit fuzz`: run, list, replay, seeds. Found by the codec's command line as an entry point."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vmgexit.errors import UsageError, VmgexitError

from .targets import ANSWERS_IN_A_HANG, TARGETS, Finding, Target, as_finding, find, plant

MOST = (1 << 31) - 1  # of any number given


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = commands.add_parser("fuzz", help="fuzzing campaigns", description=__doc__)
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_run(actions)
    listing = actions.add_parser("list", help="the targets and what must hold")
    listing.set_defaults(run=_list)
    replay = actions.add_parser(
        "replay",
        help="run inputs once, without the engine",
        description="Run inputs of a target once. Exits 1 when one is a finding.",
    )
    replay.add_argument("files", nargs="+", metavar="FILE", help="inputs, or folders of them")
    replay.add_argument("--target", help="where the name of the file does not say it")
    _add_profile(replay)
    replay.set_defaults(run=_replay)
    seeds = actions.add_parser("seeds", help="make the committed seeds from the recordings")
    seeds.set_defaults(run=_seeds)


def _add_run(actions: argparse._SubParsersAction[Any]) -> None:
    parser = actions.add_parser(
        "run",
        help="run a campaign",
        description="Fuzz a target until time or runs are used up, or until Ctrl-C. A finding does"
        " not end the campaign. Exits 1 with findings, those of earlier campaigns included when they"
        " are met again; 0 without; 130 when interrupted.",
        epilog="example: vmgexit fuzz run scenario --time 60",
    )
    parser.add_argument("target", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--time", type=_positive, metavar="S", help="seconds")
    parser.add_argument("--runs", type=_positive, metavar="N", help="inputs, seeds included")
    parser.add_argument("--seed", type=_positive, metavar="N", help="of the engine's randomness")
    parser.add_argument(
        "--stop-on-finding", action="store_true", help="end with the first finding, new or known"
    )
    parser.add_argument(
        "--corpus", type=Path, metavar="DIR", help="where new inputs are kept (.vmgexit/TARGET/...)"
    )
    parser.add_argument(
        "--findings", type=Path, metavar="DIR", help="where findings are kept (.vmgexit/TARGET/...)"
    )
    parser.add_argument(
        "--feedback",
        choices=("probes", "atheris", "none"),
        default="probes",
        help="coverage: by our probes, by atheris, or none",
    )
    _add_profile(parser)
    parser.set_defaults(run=_run)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile", default="reference", help="of scenario and peer: quirks, or coconut"
    )
    parser.add_argument(
        "--peer",
        default="",
        metavar="CMD",
        help="of peer: the other implementation's program (specs/peer-protocol.md)",
    )
    parser.add_argument(
        "--plant", default="", metavar="MODULE:FUNCTION", help="called first, to plant a bug"
    )
    parser.add_argument(
        "--hang", type=_positive, metavar="S", default=20, help="seconds until one input is a hang"
    )


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    if value > MOST:
        raise argparse.ArgumentTypeError(f"{text} is above {MOST}")
    return value


def _run(arguments: argparse.Namespace) -> int:
    from vmgexit.machine.quirks import profile

    from .campaign.run import Settings, run

    target = find(arguments.target)
    profile(arguments.profile)  # a wrong name is told here, not by the child
    _use_peer([target], arguments)
    _engine()
    home = Path(".vmgexit") / _folder(target, arguments)
    return run(
        Settings(
            target=target,
            corpus=arguments.corpus or home / "corpus",
            findings=arguments.findings or home / "findings",
            seconds=arguments.time,
            runs=arguments.runs,
            seed=arguments.seed,
            feedback=arguments.feedback,
            profile=arguments.profile,
            plant=arguments.plant,
            peer=arguments.peer,
            hang_seconds=arguments.hang,
            stop_on_finding=arguments.stop_on_finding,
        )
    )


def _use_peer(targets: list[Target], arguments: argparse.Namespace) -> None:
    """Start the peer and end it again, so that one that does not start is told here, once; the target
    starts it when it needs it."""
    if "peer" not in (target.name for target in targets):
        if arguments.peer:
            raise UsageError("--peer: only the target peer has a use for it")
        return
    from .targets import peer

    try:
        words = shlex.split(arguments.peer)
    except ValueError as error:
        raise UsageError(f"--peer {arguments.peer}: {error}") from None
    if not words:
        raise UsageError("the target peer needs --peer, a program and its arguments")
    peer.use(words, arguments.hang / ANSWERS_IN_A_HANG).restart()
    peer.close()


def _folder(target: Target, arguments: argparse.Namespace) -> str:
    """What another profile or a planted bug finds is not known of the reference."""
    from .campaign.findings import slug

    name = target.name
    if arguments.profile != "reference":
        name += f"-{slug(arguments.profile)}"
    if arguments.peer:
        name += f"-{slug(arguments.peer)}"
    if arguments.plant:
        name += f"-planted-{slug(arguments.plant)}"
    return name


def _engine() -> None:
    import importlib.util

    if importlib.util.find_spec("atheris") is None:
        raise UsageError(
            "fuzz run needs atheris, which has wheels for Linux on x86-64 only:"
            " pip install 'vmgexit[fuzz]'"
        )


def _list(arguments: argparse.Namespace) -> int:
    for target in TARGETS.values():
        print(f"{target.name:10} {target.invariant}")
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from vmgexit.machine.quirks import profile

    from .campaign.findings import shown
    from .targets import peer, scenario

    quirks = profile(arguments.profile)
    inputs = [
        (name, _target(path, arguments.target), path) for name, path in _files(arguments.files)
    ]
    plant(arguments.plant)
    scenario.quirks = peer.quirks = quirks
    _use_peer([target for _, target, _ in inputs], arguments)
    found = total = 0
    for name, target, path in inputs:
        data = _data(path, target)
        total += 1
        try:
            with _limited(arguments.hang):
                target.run(data)
        except (Exception, SystemExit) as error:
            found += 1
            finding = as_finding(error)
            print(f"{name}: {shown(target, finding, data, deadly=isinstance(error, _Hang))}")
    print(f"{total} input{'s' * (total != 1)}, {found} finding{'s' * (found != 1)}")
    return 1 if found else 0


class _Hang(Finding):
    """One input took too long."""


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise _Hang after so many seconds."""

    def hangs(*_: object) -> None:
        raise _Hang("hang", f"hang: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _files(names: list[str]) -> list[tuple[str, Path]]:
    files: list[Path] = []
    for name in names:
        path = Path("/dev/stdin" if name == "-" else name)
        if path.is_dir():
            files += sorted(entry for entry in path.iterdir() if _is_input(entry))
        elif path.exists():
            files.append(path)
        else:
            raise VmgexitError(f"{name}: no such file")
    return [(str(path), path) for path in files]


def _is_input(path: Path) -> bool:
    """Beside inputs a folder holds readable copies, notes, and files being written."""
    return (
        path.is_file()
        and path.suffix not in (".txt", ".jsonl", ".md")
        and not path.name.startswith(".")
    )


def _data(path: Path, target: Target) -> bytes:
    """An input, of no more bytes than the engine would take; a scenario in either spelling."""
    try:
        with path.open("rb") as stream:
            if path.suffix == ".jsonl" and target.is_program:
                return _program(stream)
            data = stream.read(target.longest + 1)
    except OSError as error:
        raise VmgexitError(f"{path}: {error.strerror}") from None
    if len(data) > target.longest:
        print(
            f"{path}: the first {target.longest} bytes are run, as the engine would",
            file=sys.stderr,
        )
    return data[: target.longest]


def _program(stream: BinaryIO) -> bytes:
    from vmgexit.machine import program
    from vmgexit.machine.scenario import sequences

    return b"".join(program.write(sequence.commands) for sequence in sequences(stream))


def _target(path: Path, wanted: str | None) -> Target:
    from .campaign.findings import target_of

    name = wanted or target_of(path)
    if not name:
        raise UsageError(f"{path}: which target? --target {' or '.join(TARGETS)}")
    return find(name)


def _seeds(arguments: argparse.Namespace) -> int:
    from .seeds import make

    print(f"{make()} seeds")
    return 0
