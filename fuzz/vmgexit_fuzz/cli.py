"""`vmgexit fuzz`: run, list, replay, seeds. Found by the codec's command line as an entry point."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from vmgexit.errors import UsageError, VmgexitError

from .targets import TARGETS, Target, as_finding, find


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
        description="Fuzz a target under coverage guidance until time or runs are used up.",
        epilog="example: vmgexit fuzz run scenario --time 60",
    )
    parser.add_argument("target", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--time", type=_positive, metavar="S", help="seconds")
    parser.add_argument("--runs", type=_positive, metavar="N", help="inputs")
    parser.add_argument("--seed", type=_positive, metavar="N", help="of the engine's randomness")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="where new inputs are kept")
    parser.add_argument("--findings", type=Path, metavar="DIR", help="where findings are kept")
    parser.add_argument(
        "--feedback", choices=("probes", "atheris", "none"), default="probes", help="coverage by"
    )
    _add_profile(parser)
    parser.set_defaults(run=_run)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile", default="reference", help="of the scenario target: quirks, or coconut"
    )
    parser.add_argument(
        "--plant", default="", metavar="MODULE:FUNCTION", help="called first, to plant a bug"
    )


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def _run(arguments: argparse.Namespace) -> int:
    from vmgexit.machine.quirks import profile

    from .campaign.run import Settings, run

    target = find(arguments.target)
    profile(arguments.profile)  # a wrong name is told here, not by the child
    _engine()
    home = Path(".vmgexit") / target.name
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
        )
    )


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
    from importlib import import_module

    from vmgexit.machine.quirks import profile

    if arguments.plant:
        module, _, function = arguments.plant.partition(":")
        sys.path.insert(0, "")
        getattr(import_module(module), function)()
    from .targets import scenario

    scenario.quirks = profile(arguments.profile)
    found = total = 0
    for path in _files(arguments.files):
        target = _target(path, arguments.target)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise VmgexitError(f"{path}: {error.strerror}") from None
        total += 1
        try:
            target.run(data)
        except Exception as error:
            found += 1
            print(f"{path}: {as_finding(error).message}")
            print(target.show(data).partition("\n")[2])
    print(f"{total} inputs, {found} findings")
    return 1 if found else 0


def _files(names: list[str]) -> list[Path]:
    files: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            files += sorted(entry for entry in path.iterdir() if _is_input(entry))
        elif path.exists():
            files.append(path)
        else:
            raise VmgexitError(f"{name}: no such file")
    return files


def _is_input(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".txt", ".jsonl", ".md")


def _target(path: Path, wanted: str | None) -> Target:
    from .campaign.findings import target_of

    name = wanted or target_of(path)
    if name not in TARGETS and path.parent.name in TARGETS:
        name = path.parent.name
    if name not in TARGETS:
        raise UsageError(f"{path}: which target? --target {' or '.join(TARGETS)}")
    return find(name)


def _seeds(arguments: argparse.Namespace) -> int:
    from .seeds import make

    print(f"{make()} seeds")
    return 0
