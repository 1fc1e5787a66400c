"""The wheel holds the two packages and nothing that only a checkout is for."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of each file in a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [path] = folder.iterdir()
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_wheel_holds_both_packages_whole(wheel: dict[str, str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top.partition("-")[0] for top in tops} == {"vmgexit", "vmgexit_fuzz"}
    for source in ("protocol/vmgexit", "fuzz/vmgexit_fuzz"):
        folder = ROOT / source
        files = {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert {path.relative_to(folder.parent).as_posix() for path in files} <= wheel.keys()


def test_the_wheel_holds_no_planted_bug_and_no_bench(wheel: dict[str, str]) -> None:
    planted = (ROOT / "tests" / "campaigns" / "planted" / "machine.py").read_text()
    assert "@bug(" in planted
    for name, text in wheel.items():
        assert not {"planted", "bench", "tests", "campaigns"} & set(Path(name).parts), name
        assert "@bug(" not in text, name
        assert "tests.campaigns" not in text, name
