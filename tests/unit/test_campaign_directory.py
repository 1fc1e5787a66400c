"""A campaign's folder: who may use it, what is dropped, what is told."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from vmgexit.errors import VmgexitError
from vmgexit_fuzz.campaign import runs, statistics
from vmgexit_fuzz.campaign.folder import FORMAT, LEAST_FREE, Directory
from vmgexit_fuzz.campaign.merge import merge
from vmgexit_fuzz.campaign.run import run
from vmgexit_fuzz.campaign.statistics import Line, unseen
from vmgexit_fuzz.campaign.workers import Settings
from vmgexit_fuzz.targets import find

pytestmark = pytest.mark.slow

ABOUT = {"target": "scenario", "profile": "reference", "plant": "", "peer": ""}


def line(**more: float) -> Line:
    return Line(1.0, 0, "random", 2.0, 10, 100, 0, 0, 0, 0, **more)  # type: ignore[arg-type]


def test_a_folder_is_one_campaigns_at_a_time(tmp_path: Path) -> None:
    directory = Directory.at(tmp_path / "a" / "b")
    with directory.used(**ABOUT) as torn:
        assert torn == 0
        about = directory.read()
        assert about["format"] == FORMAT == 1
        assert {name: about[name] for name in ABOUT} == ABOUT
        with (
            pytest.raises(VmgexitError, match=rf"in use by another .* \(process {os.getpid()}\)"),
            directory.used(**ABOUT),
        ):
            pass
    with directory.used(**ABOUT):
        pass
    with (
        pytest.raises(VmgexitError, match="profile reference found, coconut expected; --dir"),
        directory.used(**ABOUT | {"profile": "coconut"}),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"format": 2}', "format 2 found, written by a newer version; this one reads up to 1"),
        ("{}", "no format found, 1 expected"),
        ("[]", "no format found"),
        ('{"format"', "unreadable, a JSON object expected"),
    ],
)
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "campaign.json").write_text(text)
    with (
        pytest.raises(VmgexitError, match=f"{tmp_path}/campaign.json: {told}"),
        Directory.at(tmp_path).used(**ABOUT),
    ):
        pass
    assert (tmp_path / "campaign.json").read_text() == text


def test_no_campaign_at_all(tmp_path: Path) -> None:
    with pytest.raises(VmgexitError, match=r"no campaign: a campaign\.json expected"):
        Directory.at(tmp_path / "x").read()


def test_torn_inputs_are_dropped_and_nothing_else(tmp_path: Path) -> None:
    directory = Directory.at(tmp_path)
    whole = hashlib.sha1(b"whole").hexdigest()
    torn = hashlib.sha1(b"another").hexdigest()
    with directory.used(**ABOUT):
        for name in (whole, torn, "by-hand", f".{whole}.77", ".mine"):
            (directory.corpus / name).write_bytes(b"whole")
    with directory.used(**ABOUT) as dropped:
        assert dropped == 1
    left = {path.name for path in directory.corpus.iterdir()}
    assert left == {whole, "by-hand", ".mine"}


def test_a_disk_that_fills_up_ends_a_campaign_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("atheris", reason="needs atheris")
    rooms = iter((LEAST_FREE, LEAST_FREE))
    monkeypatch.setattr(Directory, "free", lambda self: next(rooms, LEAST_FREE - 1))
    settings = Settings(find("scenario"), Directory.at(tmp_path / "c"), seconds=30)
    monkeypatch.setattr("vmgexit_fuzz.campaign.workers._SHOW_SECONDS", 10)
    with pytest.raises(VmgexitError, match="the disk is full: 15 MiB free, 16 expected; the same"):
        run(settings)
    assert runs.read(tmp_path / "c" / "runs.jsonl")[0].ended


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("there", [(), ("a/mine",), ("a/campaign/corpus/mine",)])
def test_a_campaign_that_does_not_begin_leaves_nothing(
    tmp_path: Path, there: tuple[str, ...]
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("mine")
    before = left(tmp_path)
    places = Directory.at(tmp_path / "a" / "campaign", findings=tmp_path / "b" / "found")
    with pytest.raises(VmgexitError, match="no"), places.used(**ABOUT):
        raise VmgexitError("no")
    assert left(tmp_path) == before


def test_a_disk_that_is_full_is_told_before_a_campaign_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Directory, "free", lambda self: LEAST_FREE - 1)
    with pytest.raises(VmgexitError, match=r"c: the disk is full: 15 MiB free, 16 expected$"):
        run(Settings(find("scenario"), Directory.at(tmp_path / "c")))
    assert left(tmp_path) == []


def test_what_fails_later_takes_nothing_away(tmp_path: Path) -> None:
    places = Directory.at(tmp_path)
    with places.used(**ABOUT):
        (places.corpus / "mine").write_text("mine")
    before = left(tmp_path)
    with pytest.raises(VmgexitError, match="no"), places.used(**ABOUT):
        raise VmgexitError("no")
    assert left(tmp_path) == before


def test_how_long_it_ran(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert runs.read(path) == []
    path.write_text(
        '{"began": 100, "limit": 60}\n{"ended": 160}\n{"ended": "x"}\n[]\n{"began": 1000}\n{"beg'
    )
    began = runs.begin(path, None)
    told = runs.read(path)
    assert [(run.began, run.limit, run.ended) for run in told[:2]] == [(100, 60, 160), (1000, 0, 0)]
    lines = [replace(line(), at=at) for at in (120, 1010, 1012.5)]
    # The second was killed; the third runs.
    assert runs.seconds(told, lines) == 60 + 12.5
    assert runs.seconds(told, lines, began.began + 5) == 60 + 12.5 + 5
    runs.end(path, began)
    assert runs.read(path)[-1].ended == began.ended
    # Folders of earlier versions have no file of runs.
    assert runs.seconds([], [*lines, replace(line(), worker=1)]) == 3 * 2.0


def test_statistics_survive_a_torn_line(tmp_path: Path) -> None:
    statistics.add(tmp_path, line())
    with (tmp_path / "0.jsonl").open("a") as stream:
        stream.write('{"at": 12, "wor')
    statistics.add(tmp_path, line())
    assert statistics.read(tmp_path) == [line(), line()]
    assert statistics.read_lines(tmp_path) == ([line(), line()], 1)
    texts = (tmp_path / "0.jsonl").read_text().splitlines()
    assert len(texts) == 3
    assert json.loads(texts[2])["inputs"] == 10


def test_what_is_unseen_by_good_and_turing() -> None:
    assert unseen([]) is None
    assert unseen([line()]) is None
    # Of 4,000 states reached by 400 inputs, 8 were reached by one alone: one in 500 is yet unseen.
    lines = [line(samples=100, species=50, singletons=30, incidences=900)]
    lines += [line(samples=400, species=60, singletons=8, incidences=4000), line()]
    assert unseen(lines) == (0.002, 400)


def test_state_counts_add_up_over_processes_and_restarts(tmp_path: Path) -> None:
    for _ in range(2):
        counts = statistics.StateCounts(tmp_path / "states.json")
        counts.add(2, [[5, 2], [7, 1]])
        counts.save()
    counts.add(1, [[9, 1]])
    assert counts.line() == {"samples": 5, "species": 3, "singletons": 1, "incidences": 7}
    (tmp_path / "states.json").write_text("{")
    assert statistics.StateCounts(tmp_path / "states.json").samples == 0


def test_a_merge_needs_to_know_what_the_campaign_is_about(tmp_path: Path) -> None:
    (tmp_path / "campaign.json").write_text(json.dumps({"format": FORMAT, "target": "scenario"}))
    expected = "campaign.json: target, profile, plant, peer expected"
    with pytest.raises(VmgexitError, match=expected):
        merge(Directory.at(tmp_path), [])


def test_a_start_beside_a_running_campaign_takes_nothing_of_it_away(tmp_path: Path) -> None:
    """Both began at once: the other has the lock, and has not said yet what it is about."""
    places = Directory.at(tmp_path / "c")
    with places.used(**ABOUT):
        (places.path / "campaign.json").unlink()
        before = left(tmp_path)
        with pytest.raises(VmgexitError, match="in use by another campaign"), places.used(**ABOUT):
            pass
        assert left(tmp_path) == before
