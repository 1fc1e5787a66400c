"""The layers are checked: an import that goes the wrong way, planted in a copy, fails the lint."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dev

pytestmark = pytest.mark.slow

ROOT = Path(dev.__file__).parent
IN_A_FUNCTION = "def late() -> None:\n    "
FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


def linted(copy: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of a copy of both packages, with the contracts of this checkout."""
    [(program, *options)] = [words for words in dev.LINTERS if words[0] == "lint-imports"]
    return subprocess.run(
        [sys.executable, Path(sys.executable).with_name(program), *options],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": f"{copy / 'protocol'}:{copy / 'fuzz'}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("protocol", "fuzz"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_imports_of_both_packages_go_one_way(copy: Path) -> None:
    done = linted(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


@pytest.mark.parametrize(
    ("file", "planted", "told"),
    [
        (
            "protocol/vmgexit/wire/doorbell.py",
            "from ..machine import vcpu",
            "vmgexit.wire.doorbell -> vmgexit.machine.vcpu",
        ),
        (
            "protocol/vmgexit/wire/doorbell.py",
            IN_A_FUNCTION + "from ..machine import vcpu",
            "vmgexit.wire.doorbell -> vmgexit.machine.vcpu",
        ),
        (
            "protocol/vmgexit/schema/fields.py",
            "from ..wire import doorbell",
            "vmgexit.schema.fields -> vmgexit.wire.doorbell",
        ),
        (
            "protocol/vmgexit/machine/vcpu.py",
            FOR_TYPES + "from .machine import Machine",
            "vmgexit.machine.vcpu -> vmgexit.machine.machine",
        ),
        (
            "protocol/vmgexit/layout/formats/svg.py",
            "from ...machine import vcpu",
            "vmgexit.layout.formats.svg -> vmgexit.machine.vcpu",
        ),
        (
            "protocol/vmgexit/cli/find.py",
            "import vmgexit_fuzz",
            "vmgexit.cli.find -> vmgexit_fuzz",
        ),
        (
            "fuzz/vmgexit_fuzz/inputs/messages.py",
            "from ..cli import run",
            "vmgexit_fuzz.inputs.messages -> vmgexit_fuzz.cli.run",
        ),
    ],
)
def test_an_import_that_goes_up_fails_the_lint(
    copy: Path, file: str, planted: str, told: str
) -> None:
    with (copy / file).open("a") as source:
        source.write(f"\n{planted}\n")
    done = linted(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert told in done.stdout
