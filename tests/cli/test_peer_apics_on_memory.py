"""An SVSM that emulates local APICs, on a machine with memory: that of tests/peers/c, around which stands
what `vmgexit peer new --for svsm-memory` writes."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.test_interrupts_on_memory import NAMES, on_memory, scenario
from tests.peers.made import FILLED_IN, built, project
from tests.peers.opened import opener
from vmgexit.cli import main
from vmgexit.machine import program
from vmgexit_fuzz.targets.svsm_peer import SvsmPeer

pytestmark = [pytest.mark.slow, pytest.mark.needs("cc")]

LACKS = "validated-twice,boot-calling-area-stuck"  # of the calls that a new project has
REMAPS = "    vmgexit_store(area, zero, sizeof zero);\n"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peer") / "project"
    project("c", folder, filled_in=False, surface="svsm-memory")
    (folder / "svsm.c").unlink()
    shutil.copytree(FILLED_IN / "c", folder / "its")
    shutil.copy(FILLED_IN / "c_on_memory" / "adapter.c", folder)
    calls, header = folder / "calls.c", folder / "calls.h"
    assert calls.read_text().count(REMAPS) == 1
    calls.write_text(calls.read_text().replace(REMAPS, f"{REMAPS}    svsm_leave_area(cpu);\n"))
    declared = "void svsm_leave_area(struct vmgexit_vcpu *cpu);\n\n#endif"
    header.write_text(header.read_text().replace("#endif", declared))
    return built(folder, CFLAGS="-O0")


@pytest.fixture
def target(adapter: Path) -> Iterator[SvsmPeer]:
    for opened in opener("svsm-peer", SvsmPeer):
        yield opened(str(adapter), profile=LACKS)


def test_it_keeps_every_rule(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peer", "check", "--peer", str(adapter)]) == 0
    assert " 0 not supported, 0 broken" in capsys.readouterr().out


def test_scenarios_of_interrupts(target: SvsmPeer) -> None:
    for name in NAMES:
        target.run(program.write(on_memory(scenario(name))))


def test_programs(target: SvsmPeer) -> None:
    for seed in range(100):
        target.run(target.make(random.Random(seed)))
