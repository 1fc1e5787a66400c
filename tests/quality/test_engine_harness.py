"""The build of OSS-Fuzz and ClusterFuzzLite, and each of its programs run as their runners do.

build.sh runs as it is; in place of its image's packer and pip stand stubs on PATH.
"""

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from vmgexit_fuzz.harness import PLANT, dictionary, seeds, targets
from vmgexit_fuzz.targets import TARGETS, find

HERE = Path(__file__).parents[2]
NAMES = [target.name for target in targets()]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris has wheels for Linux on x86-64 only",
)

# As the image's: an executable of the script's name in $OUT.
PACKER = f"""#!/bin/bash -eu
name=$(basename "$1" .py)
cp "$1" "$OUT/$name.pkg"
printf '#!/bin/bash\\nexec {sys.executable} "%s" "$@"\\n' "$OUT/$name.pkg" > "$OUT/$name"
chmod +x "$OUT/$name"
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    for name, text in (("compile_python_fuzzer", PACKER), ("pip3", "#!/bin/sh\n")):
        path = folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    places = {name: str(folder / name.lower()) for name in ("OUT", "WORK", "SRC")}
    for place in places.values():
        Path(place).mkdir()
    found = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    build = subprocess.run(
        [str(HERE / ".clusterfuzzlite" / "build.sh")],
        cwd=HERE,
        env=os.environ | places | {"PATH": found},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    return folder / "out"


def program(name: str) -> str:
    return f"fuzz_{name.replace('-', '_')}"


def run(
    out: Path, name: str, folder: Path, words: Sequence[str], planted: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(out / program(name)), *words],
        cwd=folder,
        env=os.environ | {PLANT: planted},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_everything_is_built_for_every_target(out: Path) -> None:
    assert set(NAMES) == set(TARGETS) - {"peer"}
    for name in NAMES:
        assert os.access(out / program(name), os.X_OK)
        with zipfile.ZipFile(out / f"{program(name)}_seed_corpus.zip") as archive:
            assert archive.testzip() is None
            assert len(archive.namelist()) == len(list(seeds(find(name))))
        assert (out / f"{program(name)}.dict").read_text() == dictionary(find(name))
    assert len(list(seeds(find("scenario")))) > 90


@pytest.mark.parametrize("name", NAMES)
def test_a_target_runs_as_its_runner_calls_it(out: Path, name: str, tmp_path: Path) -> None:
    corpus, artifacts, start = (tmp_path / part for part in ("corpus", "artifacts", "start"))
    for folder in (corpus, artifacts, start):
        folder.mkdir()
    with zipfile.ZipFile(out / f"{program(name)}_seed_corpus.zip") as archive:
        archive.extractall(start)
    words = ["-runs=150", "-seed=1", f"-artifact_prefix={artifacts}/", "-timeout=25"]
    words += [f"-dict={out / program(name)}.dict", str(corpus), str(start)]
    done = run(out, name, tmp_path, words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 150 runs" in done.stderr
    assert list(artifacts.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "artifacts", "start"}


def test_a_finding_is_an_exit_code_and_an_artifact(out: Path, tmp_path: Path) -> None:
    planted = "vmgexit_fuzz.planted.machine:ldr_not_readable"
    words = ["-runs=100000", "-max_total_time=60", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    found = run(out, "scenario", tmp_path, words, planted)
    assert found.returncode == 77, found.stderr[-2000:]
    [artifact] = tmp_path.glob("crash-*")
    again = run(out, "scenario", tmp_path, [str(artifact)], planted)
    assert again.returncode == 77
    assert "Finding" in again.stdout + again.stderr
    assert run(out, "scenario", tmp_path, [str(artifact)]).returncode == 0
