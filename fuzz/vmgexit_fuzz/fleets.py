"""Targets as libFuzzer programs of their own, for OSS-Fuzz and ClusterFuzzLite (`.clusterfuzzlite/`).

The runner of a fleet gives a program libFuzzer's own flags and folders, or one input to run again.
An uncaught exception is a finding: exit code 77, and the input as an artifact. The fleet keeps
corpus and findings, so no part of our campaigns is used. A fleet loads libFuzzer before Python, and
such a libFuzzer calls no mutator in Python. Seeds and dictionary carry what our mutators know.

`python -m vmgexit_fuzz.fleets` prints what a build needs: the `targets`, and the `source`, `options`,
`dictionary` and `seeds` of one target.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import zipfile
from collections.abc import Iterator, Sequence

from . import probes
from .process.child import mutators
from .targets import REPOSITORY, TARGETS, Conditions, TargetRow, find

PLANT = "VMGEXIT_PLANT"
"""Environment variable: MODULE:FUNCTION that plants a bug, to see that it is found."""

FROM_NOTHING = 64  # seeds that the mutator of a target makes


def main(name: str, arguments: Sequence[str] = ()) -> None:
    """Hand a target over to libFuzzer for good. `arguments` are those of the program, with its name."""
    import atheris

    row = find(name)
    probes.install(row.probed)
    target = row.open(Conditions(plant=os.environ.get(PLANT, "")))
    run = target.run
    with contextlib.suppress(Exception):  # the engine starts with it too
        run(b"")  # imports what is imported late, for that has probes as well
    if row.has_states:
        from .process import states

        states.install()
        target.observe = states.mark

    def one(data: bytes) -> None:
        run(data)  # what it counts would be a verdict to libFuzzer

    functions = mutators(target, atheris)
    atheris.Setup(list(arguments or sys.argv), one, **functions)
    probes.connect(with_mutator=bool(functions))
    atheris.Fuzz()


def targets() -> list[TargetRow]:
    """Those that need nothing but their input."""
    return [row for row in TARGETS.values() if not row.takes_peer]


def source(row: TargetRow) -> str:
    """The program."""
    return f'from vmgexit_fuzz.fleets import main\n\nmain("{row.name}")\n'


def options(row: TargetRow) -> str:
    """Flags that the runners add: without a length, libFuzzer stops at 4096 bytes."""
    return f"[libfuzzer]\nmax_len = {row.longest}\n"


def dictionary(row: TargetRow) -> str:
    """The protocol's numbers as a libFuzzer dictionary, each as the little-endian bytes of a word."""
    from vmgexit.wire.apic import ApicRegister
    from vmgexit.wire.calls import calls
    from vmgexit.wire.exits import exits

    words: dict[str, int] = {f"register_{register.name}": register for register in ApicRegister}
    # As a program's operation holds them: the protocol before the number of the call.
    words |= {f"call_{call.name}": call.protocol | call.number << 32 for call in calls()}
    if not row.is_program:  # no operation has an exit in it
        words |= {f"exit_{row.name}": row.code for row in exits()}
    lines = []
    for name, number in sorted(words.items()):
        text = "".join(f"\\x{byte:02x}" for byte in int(number).to_bytes(8, "little"))
        lines.append(f'{name.lower()}="{text}"\n')
    return "".join(lines)


def seeds(row: TargetRow) -> Iterator[tuple[str, bytes]]:
    """Inputs to start from: the committed ones, quirks and regressions as programs, some from
    nothing."""
    if row.seeds.is_dir():
        for path in sorted(row.seeds.iterdir()):
            yield path.name, path.read_bytes()
    if row.is_program:
        yield from _scenarios(row.has_memory)
    target = row.open()
    for number in range(FROM_NOTHING):
        yield f"{row.name}-{number}.bin", target.make(random.Random(number))


def _scenarios(has_memory: bool) -> Iterator[tuple[str, bytes]]:
    """The committed scenarios of machines with memory, or without, in their binary spelling."""
    from vmgexit.machine import program
    from vmgexit.machine.scenario import sequences

    for folder in ("quirks", "regressions"):
        for path in sorted((REPOSITORY / "corpus" / folder).glob("*.jsonl")):
            with path.open("rb") as stream:
                for number, sequence in enumerate(sequences(stream)):
                    if ("memory" in sequence.commands[0]) is not has_memory:
                        continue
                    yield f"{path.stem}-{number}.bin", program.write(sequence.commands)


def _build(words: Sequence[str]) -> None:
    match words:
        case ["targets"]:
            print(*(row.name for row in targets()), sep="\n")
        case ["source", name]:
            print(source(find(name)), end="")
        case ["options", name]:
            print(options(find(name)), end="")
        case ["dictionary", name]:
            print(dictionary(find(name)), end="")
        case ["seeds", name, file]:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for seed, data in seeds(find(name)):
                    archive.writestr(seed, data)
        case _:
            sys.exit("targets; source, options or dictionary TARGET; seeds TARGET FILE expected")


if __name__ == "__main__":
    _build(sys.argv[1:])
