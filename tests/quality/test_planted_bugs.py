"""A deliberate bug is found, shown and reproduced; the same campaign without it finds nothing.

Campaigns are real processes here, started as a user starts them.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.checkout import VMGEXIT, quirk_scenario
from vmgexit.machine import program
from vmgexit.machine.quirks import WITHOUT_MEMORY
from vmgexit_fuzz.targets import Conditions, Finding, find

pytestmark = pytest.mark.slow


# 0b10 is accepted while the count is 0: off is no longer off.
PLANT = """
from vmgexit.machine.rules import registration
from vmgexit.wire.apic import ConfigureRequest
from vmgexit.wire.svsm import ResultCode


def accept_at_zero():
    row = ConfigureRequest.REGISTER, registration.Level.OFF
    registration.CHANGES[row] = registration.Change(1, False, ResultCode.SUCCESS)
"""

needs_atheris = pytest.mark.needs("atheris")


def vmgexit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VMGEXIT, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PWD": str(folder)},
        capture_output=True,
        text=True,
        timeout=100,
    )


@needs_atheris
@pytest.mark.clause("REG-3")
def test_register_at_count_0_is_found_within_a_minute(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANT)
    campaign = vmgexit(
        tmp_path,
        *("fuzz", "run", "scenario", "--time", "60", "--seed", "1", "--stop-on-finding"),
        *("--plant", "planted:accept_at_zero", "--findings", "what was found"),
    )
    assert campaign.returncode == 1, campaign.stderr
    lines = campaign.stdout.splitlines()
    [told] = [line for line in lines if line.startswith("finding: ")]
    assert told.startswith("finding: INV-7 at call of vCPU ")
    assert "the count rose from 0 to 1" in told
    assert "REG-3" in told
    again = next(line for line in lines if " replay " in line)
    replayed = vmgexit(tmp_path, *shlex.split(again)[2:])
    assert replayed.returncode == 1, replayed.stderr
    assert told.removeprefix("finding: ") in replayed.stdout

    # The scenario: it starts a machine, and the last line is the call that was wrongly accepted.
    *shown, before, after = replayed.stdout.splitlines()[1:-1]
    assert before.startswith("   before: vCPU ")
    assert "; count 0; " in before
    assert "; count 1; " in after
    assert shown[0].split()[:2] == ["0", "init"]
    assert shown[-1].startswith("->")
    assert shown[-1].endswith("(SVSM_APIC_CONFIGURE_EMULATION)")
    assert sum(line.startswith("->") for line in shown) == 1
    assert shown[-1] in replayed.stdout

    kept = tmp_path / "what was found" / "scenario-inv-7-call.jsonl"
    assert json.loads(kept.read_text().splitlines()[0])["op"] == "init"


@needs_atheris
@pytest.mark.parametrize("target", ["scenario", "svsm", "svsm-hostile"])
def test_without_the_bug_nothing_is_found(tmp_path: Path, target: str) -> None:
    campaign = vmgexit(tmp_path, "fuzz", "run", target, "--runs", "500", "--seed", "1")
    assert campaign.returncode == 0, campaign.stdout + campaign.stderr
    assert "500 inputs" in campaign.stdout
    assert "0 findings" in campaign.stdout


@pytest.mark.parametrize("name", WITHOUT_MEMORY)
def test_the_target_finds_each_quirk_and_not_in_the_reference(name: str) -> None:
    row, data = find("scenario"), program.write(quirk_scenario(name))
    assert row.open().run(data) > 0
    # Vector 0 must be allowed, which the reference refuses.
    profile = f"{name},allow-below-31" if name == "level-vector-zero" else name
    target = row.open(Conditions(profile=profile))
    with pytest.raises(Finding) as found:
        target.run(data)
    assert found.value.cause.startswith("INV-")
    assert "->" in target.examine(data)[1]
