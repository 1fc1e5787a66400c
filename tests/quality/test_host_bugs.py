"""A GHCB host in C with bugs: campaigns find each, named by our quirk or by the check that it lacks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.host_shows import BUGS
from tests.peers.made import built, project
from vmgexit.cli import main
from vmgexit.compare.host_causes import first
from vmgexit.compare.peer import Peer
from vmgexit.hosts.quirks import REFERENCE

pytestmark = [pytest.mark.slow, pytest.mark.needs("cc")]

needs_atheris = pytest.mark.needs("atheris")

Fuzz = Callable[..., dict[str, int]]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = project("c", tmp_path_factory.mktemp("host") / "project", surface="host")
    return str(built(folder, CFLAGS="-O1 -Werror"))


def test_the_adapter_is_short_and_keeps_the_rules(
    adapter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len((Path(adapter).parent / "adapter.c").read_text().splitlines()) < 200
    capsys.readouterr()
    assert main(["peer", "check", "--peer", adapter]) == 0
    assert capsys.readouterr().out.endswith("17 rules hold, 5 not supported, 0 broken\n")


def test_what_the_check_says_of_a_bug(adapter: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["peer", "check", "--peer", f"{adapter} --bugs rdx,usage"]) == 1
    told = capsys.readouterr().out.splitlines()
    at = told.index("PEER-H6 The answer: BROKEN: registers.rdx: nothing found, 0x69746e65 expected")
    assert told[at + 6] == "    # CPUID: rax 0x0, rcx 0x0"
    assert told[at + 8].endswith("  <- expected")
    at = told.index(
        "PEER-H10 A refusal: BROKEN: status: 0 found, 2 expected; detail: 0 found, 2 expected"
    )
    assert told[at + 3] == "    # INVD: usage 1"
    assert told[-1] == "15 rules hold, 5 not supported, 2 broken"


def test_each_bug_has_its_name(adapter: str) -> None:
    with Peer([adapter]) as right:
        for bug, (name, commands) in BUGS.items():
            assert first(right, REFERENCE, commands) is None
            with Peer([adapter, "--bugs", bug]) as wrong:
                cause = first(wrong, REFERENCE, commands)
            assert cause is not None, bug
            assert (cause.name, cause.index) == (name, 1)


@pytest.fixture
def fuzz(
    adapter: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Fuzz:
    """Runs a campaign on the host with some bugs: how often each cause was found."""
    monkeypatch.chdir(tmp_path)

    def fuzz(bugs: str, *words: str) -> dict[str, int]:
        peer = f"{adapter} --bugs {bugs}"
        run = ("fuzz", "run", "host-peer", "--peer", peer, "--dir", "found", "--quiet")
        assert main([*run, *words, "--seed", "1"]) == 1
        capsys.readouterr()
        assert main(["fuzz", "triage", "--dir", "found", "--json"]) == 0
        records = json.loads(capsys.readouterr().out)
        return {record["cause"]: record["count"] for record in records}

    return fuzz


@needs_atheris
def test_a_campaign_finds_a_bug(fuzz: Fuzz) -> None:
    found = fuzz("rdx", "--runs", "150", "--kinds", "random")
    assert list(found) == [BUGS["rdx"][0]]


@needs_atheris
@pytest.mark.long
def test_a_campaign_of_half_a_minute_finds_every_bug_once(fuzz: Fuzz) -> None:
    """But for the one that shows only where another vCPU writes to the right field: that takes minutes."""
    bugs = [bug for bug in BUGS if bug != "fetch"]
    found = fuzz(",".join(bugs), "--time", "30", "--workers", "2")
    assert sorted(found) == sorted(BUGS[bug][0] for bug in bugs)
