"""The build of OSS-Fuzz and ClusterFuzzLite, and each of its programs run as their runners do.

build.sh runs as it is; in place of its image's packer and pip stand stubs on PATH. The programs run with
libFuzzer loaded before Python, as the image's do: with the one for UBSan, for that of ASan needs kernel
settings that its runner makes.
"""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from vmgexit.machine import quirks
from vmgexit_fuzz.fleets import FROM_NOTHING, PLANT, dictionary, seeds, targets
from vmgexit_fuzz.targets import TARGETS, find

HERE = Path(__file__).parents[2]
NAMES = [target.name for target in targets()]
ATHERIS = importlib.util.find_spec("atheris")
PRELOADED = (
    Path(ATHERIS.origin).parents[1] / "ubsan_with_fuzzer.so" if ATHERIS and ATHERIS.origin else ""
)

pytestmark = [pytest.mark.needs("atheris"), pytest.mark.slow]

# As the image's: an executable of the script's name in $OUT, the packed script beside it.
PACKER = f"""#!/bin/bash -eu
name=$(basename "$1" .py)
test "$2" = --additional-hooks-dir && test -f "$3/hook-vmgexit_fuzz.py"
cp "$1" "$OUT/$name.pkg"
printf '#!/bin/sh\\nexec "{sys.executable}" "%s" "$@"\\n' "$OUT/$name.pkg" > "$OUT/$name"
chmod +x "$OUT/$name"
"""
# What is installed is to come from the lock, and it is there already.
PIP = '#!/bin/bash -eu\ntest "$1 $2" = "install --constraint" && test -f "$3"\n'


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    for name, text in (("compile_python_fuzzer", PACKER), ("pip3", PIP)):
        path = folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    places = {name: str(folder / name.lower()) for name in ("OUT", "WORK", "SRC")}
    for place in places.values():
        Path(place).mkdir()
    # The loader takes a space for the end of a path, and the checkout's may have one.
    (folder / "preloaded.so").symlink_to(PRELOADED)
    found = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    build = subprocess.run(
        [str(HERE / ".clusterfuzzlite" / "build.sh")],
        cwd=HERE,
        env=os.environ | places | {"PATH": found},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    assert build.stderr == ""
    return folder / "out"


def program(name: str) -> str:
    return f"fuzz_{name.replace('-', '_')}"


def unpacked(out: Path, name: str, folder: Path) -> Path:
    with zipfile.ZipFile(out / f"{program(name)}_seed_corpus.zip") as archive:
        archive.extractall(folder)
    return folder


def run(
    out: Path,
    name: str,
    folder: Path,
    words: Sequence[str],
    planted: str = "",
    preloaded: bool = True,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(out / program(name)), "--", *words],
        cwd=folder,
        env=os.environ
        | {PLANT: planted, "LD_PRELOAD": str(out.parent / "preloaded.so") * preloaded},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=100,
    )


def coverage(log: str) -> list[int]:
    """At the start, when every seed was run, and at the end."""
    return [int(count) for count in re.findall(r"(?:INITED|DONE) +cov: (\d+)", log)]


def test_everything_is_built_for_every_target(out: Path) -> None:
    assert set(NAMES) == {name for name, row in TARGETS.items() if not row.takes_peer}
    for name in NAMES:
        assert os.access(out / program(name), os.X_OK)
        with zipfile.ZipFile(out / f"{program(name)}_seed_corpus.zip") as archive:
            assert archive.testzip() is None
            members = archive.namelist()
        assert sorted(members) == sorted({seed for seed, _ in seeds(find(name))})
        assert len(members) >= FROM_NOTHING  # an unpacker refuses an empty archive
        assert (out / f"{program(name)}.options").read_text().startswith("[libfuzzer]\nmax_len = ")
        assert (out / f"{program(name)}.dict").read_text() == dictionary(find(name))


def test_scenarios_of_the_corpus_are_seeds() -> None:
    names = {seed for row in ("scenario", "svsm") for seed, _ in seeds(find(row))}
    for folder, committed in (("quirks", len(quirks.names())), ("regressions", 2)):
        paths = list((HERE / "corpus" / folder).glob("*.jsonl"))
        assert len(paths) >= committed
        assert {f"{path.stem}-0.bin" for path in paths} <= names


def test_the_dictionary_has_the_numbers_as_memory_has_them() -> None:
    of_messages = dictionary(find("codec")).splitlines()
    assert {
        r'register_eoi="\x0b\x08\x00\x00\x00\x00\x00\x00"',
        r'exit_hv_doorbell_page="\x14\x00\x00\x80\x00\x00\x00\x00"',
        r'call_svsm_apic_read_register="\x03\x00\x00\x00\x02\x00\x00\x00"',
    } <= set(of_messages)
    assert set(dictionary(find("scenario")).splitlines()) < set(of_messages)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_runs_as_its_runner_calls_it(out: Path, name: str, tmp_path: Path) -> None:
    corpus, artifacts, start = (tmp_path / part for part in ("corpus", "artifacts", "start"))
    for folder in (corpus, artifacts):
        folder.mkdir()
    unpacked(out, name, start)
    words = ["-runs=500", "-seed=1", f"-artifact_prefix={artifacts}/", "-timeout=25"]
    words += [f"-dict={out / program(name)}.dict", str(corpus), str(start)]
    done = run(out, name, tmp_path, words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Using preloaded libfuzzer" in done.stderr
    assert "Done 500 runs" in done.stderr
    at_first, at_last = coverage(done.stderr)
    assert 100 < at_first <= at_last
    assert list(artifacts.iterdir()) == []
    assert list(corpus.iterdir()) != []
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "artifacts", "start"}


def test_with_the_engine_of_atheris_mutators_count_too(out: Path, tmp_path: Path) -> None:
    done = run(out, "scenario", tmp_path, ["-runs=200", "-seed=1"], preloaded=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Custom" in done.stderr
    at_first, at_last = coverage(done.stderr)
    assert at_first < at_last


@pytest.mark.parametrize("preloaded", [True, False])
@pytest.mark.parametrize(
    ("name", "planted"),
    [("scenario", "machine:ldr_not_readable"), ("ghcb-exit", "wire:mmio_above_8_bytes")],
)
def test_a_finding_is_an_exit_code_and_an_artifact(
    out: Path, name: str, planted: str, preloaded: bool, tmp_path: Path
) -> None:
    planted = f"tests.campaigns.planted.{planted}"
    start = unpacked(out, name, tmp_path / "start")
    words = ["-runs=100000", "-max_total_time=60", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    found = run(out, name, tmp_path, [*words, str(start)], planted, preloaded)
    assert found.returncode == 77, found.stderr[-2000:]
    [artifact] = tmp_path.glob("crash-*")
    again = run(out, name, tmp_path, [str(artifact)], planted, preloaded)
    assert again.returncode == 77
    assert "Finding" in again.stdout + again.stderr
    assert run(out, name, tmp_path, [str(artifact)], "", preloaded).returncode == 0
