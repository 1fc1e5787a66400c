"""Peers in C and Rust, made by `vmgexit peer new` and filled in: a campaign finds each of their bugs, as
one finding, which a quirk of ours or a broken invariant names."""

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.checkout import VMGEXIT
from tests.peers.made import BUGS, COMPILED, Made, once
from vmgexit_fuzz.campaign.findings import records

pytestmark = pytest.mark.slow

SECONDS = "10"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return once(tmp_path_factory)


def found(adapter: Path, bug: str, folder: Path, *options: str) -> list[tuple[str, str]]:
    """What a campaign on an adapter with a bug finds: names, and what they break."""
    peer = shlex.join([str(adapter), "--bugs", bug])
    words = ["fuzz", "run", "peer", "--peer", peer, "--dir", "campaign", "--kinds", "random"]
    run = subprocess.run(
        [VMGEXIT, *words, *options], cwd=folder, capture_output=True, text=True, timeout=100
    )
    assert run.returncode in (0, 1), run.stderr
    findings = records(folder / "campaign" / "findings")
    return [(one.cause, one.clause) for one in findings]


@pytest.mark.needs("cc")
@pytest.mark.parametrize("bug", ["register", "refused"])
def test_a_campaign_finds_and_names_a_bug(bug: str, made: Made, tmp_path: Path) -> None:
    adapter = made("c", True)
    options = ("--time", "60", "--stop-on-finding")
    assert found(adapter, bug, tmp_path, *options) == [(BUGS[bug].called, BUGS[bug].breaks)]


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("language", COMPILED)
def test_each_bug_is_one_finding_with_its_name(
    language: str,
    bug: str,
    made: Made,
    tmp_path: Path,
) -> None:
    adapter = made(language, True)
    assert found(adapter, bug, tmp_path, "--time", SECONDS) == [
        (BUGS[bug].called, BUGS[bug].breaks)
    ]


@pytest.mark.long
@pytest.mark.needs("cc")
def test_without_a_bug_nothing_is_found(made: Made, tmp_path: Path) -> None:
    adapter = made("c", True)
    assert found(adapter, "none", tmp_path, "--time", SECONDS) == []
