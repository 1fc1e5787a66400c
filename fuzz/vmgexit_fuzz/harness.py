"""Targets as libFuzzer programs of their own, for OSS-Fuzz and ClusterFuzzLite (`.clusterfuzzlite/`).

Their runners give libFuzzer's own flags and folders, or one input to run again, and take an uncaught
exception for a finding: exit code 77, the input as an artifact. Nothing of our campaigns is in here: the
fleet keeps corpus and findings. A preloaded libFuzzer passes over Python mutators, so each target reads
plain bytes in a structured way too.

`python -m vmgexit_fuzz.harness` prints what a build needs: `targets`; of a target its `source`, `seeds`
and `dictionary`.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from . import probes
from .targets import TARGETS, Target, find, plant

PLANT = "VMGEXIT_PLANT"
"""Environment variable: MODULE:FUNCTION that plants a bug, to see that it is found."""


def main(name: str, arguments: Sequence[str] = ()) -> None:
    """Hand a target over to libFuzzer for good. `arguments` are those of the program, with its name."""
    import atheris

    from .campaign.child import mutators

    target = find(name)
    if getattr(sys, "frozen", False):  # a packed program has no sources for our probes
        with atheris.instrument_imports(include=list(target.probed)):
            import_module(target.module)
    else:
        probes.install(target.probed)
    module: Any = import_module(target.module)
    plant(os.environ.get(PLANT, ""))
    run = target.run
    run(b"")  # imports what is imported late
    if target.has_states:
        from . import states

        states.install()
        module.observe = states.mark
    functions = mutators(target, atheris)
    atheris.Setup(list(arguments or sys.argv), lambda data: _run(run, data), **functions)
    probes.connect(with_mutator=bool(functions))
    atheris.Fuzz()


def _run(run: Any, data: bytes) -> None:
    run(data)


def targets() -> list[Target]:
    """Those that need nothing but their input."""
    return [target for target in TARGETS.values() if target.name != "peer"]


def source(target: Target) -> str:
    """The program."""
    return f'from vmgexit_fuzz.harness import main\n\nmain("{target.name}")\n'


def seeds(target: Target) -> Iterator[tuple[str, bytes]]:
    """Inputs to start from: the committed ones; of scenarios those of quirks and regressions too."""
    if target.seeds.is_dir():
        for path in sorted(target.seeds.iterdir()):
            yield path.name, path.read_bytes()
    if target.is_program:
        from vmgexit.machine import program
        from vmgexit.machine.scenario import sequences

        for path in sorted(target.seeds.parents[1].glob("[qr]*/*.jsonl")):
            with path.open("rb") as stream:
                commands = [c for sequence in sequences(stream) for c in sequence.commands]
            yield f"{path.stem}.bin", program.write(commands)


def dictionary(target: Target) -> str:
    """The protocol's numbers as a libFuzzer dictionary, each as the little-endian bytes of a word."""
    from vmgexit.wire.apic import ApicRegister
    from vmgexit.wire.exits import exits
    from vmgexit.wire.svsm import calls

    words: dict[str, int] = {f"exit_{row.name}": row.code for row in exits()}
    words |= {f"register_{register.name}": register for register in ApicRegister}
    # As a program's operation holds them: the protocol before the number of the call.
    words |= {f"call_{call.name}": call.protocol | call.number << 32 for call in calls()}
    lines = []
    for name, number in sorted(words.items()):
        text = "".join(f"\\x{byte:02x}" for byte in int(number).to_bytes(8, "little"))
        lines.append(f'{name.lower()}="{text}"\n')
    return "".join(lines)


def _build(words: Sequence[str]) -> None:
    match words:
        case ["targets"]:
            print(*(target.name for target in targets()), sep="\n")
        case ["source", name]:
            print(source(find(name)), end="")
        case ["dictionary", name]:
            print(dictionary(find(name)), end="")
        case ["seeds", name, file]:
            with zipfile.ZipFile(Path(file), "w", zipfile.ZIP_DEFLATED) as archive:
                for seed, data in seeds(find(name)):
                    archive.writestr(seed, data)
        case _:
            sys.exit("targets, source TARGET, dictionary TARGET, or seeds TARGET FILE expected")


if __name__ == "__main__":
    _build(sys.argv[1:])
