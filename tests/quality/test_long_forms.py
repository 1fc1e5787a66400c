"""What takes minutes to hours: the reference under a long campaign, every planted bug, larger systems.

`python3 dev.py test --long` runs these; the short form of each stands in a file beside this one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns.cases import cases
from tests.campaigns.methods import US
from tests.checkout import ROOT, VMGEXIT

pytestmark = [pytest.mark.long, pytest.mark.slow]


def ran(folder: Path, *words: object) -> str:
    """What a command printed; it must have ended with 0."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PWD": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.needs("atheris")
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("target", ["scenario", "svsm", "svsm-hostile"])
def test_half_an_hour_of_campaign_finds_nothing_on_the_reference(
    tmp_path: Path, target: str
) -> None:
    told = ran(tmp_path, VMGEXIT, "fuzz", "run", target, "--workers", 2, "--time", 1800)
    assert "finding" not in told.replace("0 findings", "")


@pytest.mark.needs("atheris", "hypothesis")
@pytest.mark.timeout(4 * 3600)
def test_our_campaign_finds_every_planted_bug(tmp_path: Path) -> None:
    ran(ROOT, "-m", "tests.campaigns", "--methods", US, "-o", tmp_path)
    trials = json.loads((tmp_path / "bench.json").read_text())["trials"]
    found = {trial["bug"] for trial in trials if trial["found"]}
    assert found == set(cases())


@pytest.mark.timeout(3600)
def test_two_vcpus_hold_the_invariants_in_every_interleaving(tmp_path: Path) -> None:
    words = ["--vcpus", "2", "--edge", "0x31,0x51", "--calls", "2"]
    assert ": every reachable state; " in ran(tmp_path, VMGEXIT, "explore", *words)
