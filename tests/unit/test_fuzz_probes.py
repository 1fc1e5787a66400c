"""Probes: they see every way control can go, and change nothing else."""

import ctypes
import importlib
import importlib.util
import itertools
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from vmgexit_fuzz import probes

TOY = '''"""A toy module."""

from __future__ import annotations

import contextlib


class Node:
    """A class."""

    def __init__(self, value: Undefined) -> None:
        """Annotations are never looked at."""
        self.value = value


def sort_of(number: int) -> str:
    """Says what a number is."""
    if number < 0:
        return "negative"
    elif number == 0:
        return "zero"
    return "even" if number % 2 == 0 else "odd"


def matched(thing: object) -> str:
    match thing:
        case int() if thing > 5:
            return "large"
        case str():
            return "text"
    return "other"


def handled(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1
    finally:
        pass


def looped(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total += number
    else:
        total += 100
    while total > 1000:
        total -= 1000
    return total


async def later() -> int:
    return 1


def fails() -> None:
    with contextlib.suppress(KeyError):
        raise LookupError("line 60")


def empty() -> None:
    """Only a docstring."""


def generated(limit: int):
    nonlocal_like = 0

    def inner() -> int:
        nonlocal nonlocal_like
        nonlocal_like += 1
        return nonlocal_like

    for _ in range(limit):
        yield inner()
'''

Toys = tuple[ModuleType, ModuleType]


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toys]:
    """The toy module, plain and probed, from files of one text."""
    (tmp_path / "toy_plain.py").write_text(TOY)
    (tmp_path / "toy_probed.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    probes.install(["toy_probed"])
    yield importlib.import_module("toy_plain"), importlib.import_module("toy_probed")
    for name in ("toy_plain", "toy_probed"):
        del sys.modules[name]


def passed(module: ModuleType, function: str, *arguments: object) -> frozenset[int]:
    """The probes that a call passes."""
    probes.clear()
    getattr(module, function)(*arguments)
    return frozenset(index for index, count in enumerate(probes.counters) if count)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        ("sort_of", [-1, 0, 1]),
        ("matched", [9, "x", 1]),
        ("handled", ["1", "x"]),
        ("looped", [[], [1], [1000]]),
    ],
)
def test_inputs_that_go_other_ways_pass_other_probes(
    toys: Toys, function: str, inputs: list[object]
) -> None:
    ways = [passed(toys[1], function, value) for value in inputs]
    for one, other in itertools.combinations(ways, 2):
        assert one != other
    assert passed(toys[1], function, inputs[0]) == ways[0]


def test_what_is_not_named_has_no_probes(toys: Toys) -> None:
    assert passed(toys[0], "sort_of", 1) == frozenset()
    assert not probes.passed()
    toys[1].sort_of(1)
    assert probes.passed()


def test_probed_code_does_the_same(toys: Toys) -> None:
    plain, probed = toys
    for number in (-2, -1, 0, 1, 2):
        assert plain.sort_of(number) == probed.sort_of(number)
    for thing in (9, 1, "x", None):
        assert plain.matched(thing) == probed.matched(thing)
    for text in ("12", "x"):
        assert plain.handled(text) == probed.handled(text)
    for numbers in ([], [1, 2], [999, 999]):
        assert plain.looped(numbers) == probed.looped(numbers)
    assert list(plain.generated(4)) == list(probed.generated(4)) == [1, 2, 3, 4]
    assert plain.empty() is None
    assert probed.empty() is None
    assert probed.Node(3).value == 3  # with a future import, or its annotation would fail


def test_docstrings_and_names_stay(toys: Toys) -> None:
    plain, probed = toys
    assert probed.__doc__ == plain.__doc__ == "A toy module."
    for name in ("Node", "sort_of", "matched", "empty"):
        assert getattr(probed, name).__doc__ == getattr(plain, name).__doc__
    assert probed.Node.__init__.__doc__ == "Annotations are never looked at."
    public = {name for name in vars(probed) if not name.startswith("_")}
    assert public == {name for name in vars(plain) if not name.startswith("_")}


def test_tracebacks_have_the_lines_of_the_file(toys: Toys) -> None:
    lines = []
    for module in toys:
        with pytest.raises(LookupError) as failure:
            module.fails()
        last = traceback.extract_tb(failure.value.__traceback__)[-1]
        lines.append((last.lineno, last.line))
    assert (
        lines[0]
        == lines[1]
        == (TOY[: TOY.index("raise")].count("\n") + 1, 'raise LookupError("line 60")')
    )
    for name in ("sort_of", "matched", "handled", "looped"):
        plain, probed = (getattr(module, name).__code__ for module in toys)
        assert plain.co_firstlineno == probed.co_firstlineno
        assert {line for *_, line in probed.co_lines()} == {line for *_, line in plain.co_lines()}


def test_no_bytecode_is_kept(toys: Toys) -> None:
    folder = Path(str(toys[1].__file__)).parent
    kept = {path.name.partition(".")[0] for path in folder.rglob("*.pyc")}
    assert kept == {"toy_plain"}  # so bytecode is written here, but not of probed code


def test_bytecode_from_before_is_not_used(tmp_path: Path) -> None:
    """A module imported once without probes gets them all the same."""
    (tmp_path / "stale_toy.py").write_text(TOY)
    program = (
        "import sys; from vmgexit_fuzz import probes; probes.install(['stale_toy'])\n"
        "import stale_toy; stale_toy.sort_of(1); print(bool(probes.passed()))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for text in ("import stale_toy", program)
    ]
    assert list(tmp_path.rglob("*.pyc"))
    assert outputs[1] == "True\n"


def test_there_is_room_for_every_probe() -> None:
    """All of our modules together stay within the counters."""
    program = (
        "from vmgexit_fuzz import probes\n"
        "probes.install(['vmgexit'])\n"
        "from vmgexit_fuzz.targets import TARGETS\n"
        "for row in TARGETS.values(): row.load()\n"
        "print(probes._used)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 1000 < int(run.stdout) < probes.CAPACITY


@pytest.mark.needs("atheris")
def test_the_engine_gets_every_probe() -> None:
    """libFuzzer says how many counters it was given."""
    program = (
        "import sys, atheris\n"
        "from vmgexit_fuzz import probes\n"
        "probes.install(['vmgexit.machine'])\n"
        "import vmgexit.machine.rules.apic\n"
        "atheris.Setup([sys.argv[0], '-runs=5'], lambda data: None)\n"
        "print(probes.connect(with_mutator=False))\n"
        "sys.stdout.flush()\n"
        "atheris.Fuzz()"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    given = int(run.stdout.split()[0])
    assert given > 50
    assert f"({given} inline 8-bit counters)" in run.stderr
    assert f"({given} PCs)" in run.stderr


def test_the_counters_are_where_the_engine_looks() -> None:
    """libFuzzer keeps the address: the bytearray must never move."""
    address = ctypes.addressof((ctypes.c_char * probes.CAPACITY).from_buffer(probes.counters))
    probes.clear()
    assert address == ctypes.addressof(
        (ctypes.c_char * probes.CAPACITY).from_buffer(probes.counters)
    )


LINES = """
import sys
from vmgexit_fuzz import probes

probes.install_lines(["toy"])
import toy
import json

for number in (-1, -1, 0, 0):
    probes.clear()
    toy.sort_of(number)
    json.dumps(number)
    print(len(probes.passed()), end=" ")
"""


@pytest.mark.skipif(probes.monitoring is None, reason="needs sys.monitoring of Python 3.12")
def test_a_line_is_told_once_and_only_of_the_modules_named(tmp_path: Path) -> None:
    """Of sort_of(-1) its test and its answer; of sort_of(0) the second test and another answer."""
    (tmp_path / "toy.py").write_text(TOY)
    done = subprocess.run(
        [sys.executable, "-c", LINES],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["2", "0", "2", "0"]
