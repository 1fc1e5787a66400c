"""Deleting one row, bit number, default or clause check makes a quick test fail.

Each mutant of `mutants.py` is planted into a copy of the checkout, and its killers run there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.mutants import FEW, MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("protocol", "fuzz", "tests", "specs", "corpus")
QUICK = ("-m", "not slow and not long", "--hypothesis-profile", "quick")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, as a user's own: its tests import what stands beside them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    return folder


def pytest_in(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *QUICK, *tests],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": f"{folder}/protocol:{folder}/fuzz",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PWD": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def survives(folder: Path, mutant: Mutant) -> bool:
    """Whether every killer passes with a mutant, which is taken back afterwards."""
    file = folder / mutant.file
    right = file.read_text(encoding="utf-8")
    assert right.count(mutant.old) == 1, f"{mutant}: {right.count(mutant.old)} places, 1 expected"
    file.write_text(right.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return pytest_in(folder, *mutant.killers).returncode == 0
    finally:
        file.write_text(right, encoding="utf-8")


def test_there_are_mutants_of_every_room() -> None:
    rooms = {mutant.file.split("/")[2] for mutant in MUTANTS if mutant.file.startswith("protocol")}
    assert rooms == {"wire", "schema", "layout", "clauses", "drafts"}
    assert len(MUTANTS) >= 30


@pytest.mark.timeout(320)
def test_the_copy_itself_passes(copy: Path) -> None:
    done = pytest_in(copy, *FEW[0].killers, *FEW[-1].killers)
    assert done.returncode == 0, done.stdout[-3000:]
    where = subprocess.run(
        [sys.executable, "-c", "import vmgexit; print(vmgexit.__file__)"],
        env=os.environ | {"PYTHONPATH": f"{copy}/protocol"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(copy))


@pytest.mark.parametrize("mutant", FEW, ids=str)
def test_a_mutant_is_killed(copy: Path, mutant: Mutant) -> None:
    assert not survives(copy, mutant)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_mutant_is_killed(copy: Path) -> None:
    assert [str(mutant) for mutant in MUTANTS if survives(copy, mutant)] == []
