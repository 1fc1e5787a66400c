"""dev.py's own logic: what it passes on, when it starts again, how it ends. Installs nothing."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import dev
from vmgexit.cli.main import parser
from vmgexit_fuzz.targets import TARGETS

ROOT = Path(dev.__file__).parent


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """dev.py at work in a copy of its own inputs, so that the real .venv is out of reach."""
    for name in ("requirements.lock", "requirements-heavy.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(dev, "HEAVY_LOCK", tmp_path / "requirements-heavy.lock")
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(dev, "PYTHON", tmp_path / ".venv/bin/python")
    monkeypatch.setattr(dev, "STAMP", tmp_path / ".venv/complete")
    monkeypatch.setattr(dev, "HEAVY_STAMP", tmp_path / ".venv/complete-heavy")
    monkeypatch.setattr(dev, "NODE_LOCK", tmp_path / "tools/package-lock.json")
    monkeypatch.setattr(dev, "NODE_STAMP", tmp_path / "tools/node_modules/complete")
    dev.NODE_STAMP.parent.mkdir(parents=True)
    dev.NODE_LOCK.write_text("{}")
    return tmp_path


def as_if_set_up(checkout: Path) -> None:
    dev.lay_out_venv(Path(sys.executable))
    dev.STAMP.write_text(dev.fingerprint(dev.LOCK))


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ("", "fuzz run scenario --time 60"),
        ("--time 5", "fuzz run scenario --time 5"),
        ("--time=5 --seed 1", "fuzz run scenario --time=5 --seed 1"),
        ("--runs 100", "fuzz run scenario --runs 100"),
        ("--runs=100 --seed 1", "fuzz run scenario --runs=100 --seed 1"),
        ("--workers 2", "fuzz run scenario --time 60 --workers 2"),
        ("codec", "fuzz run codec --time 60"),
        ("codec --runs 1", "fuzz run codec --runs 1"),
        ("--seed 1", "fuzz run scenario --time 60 --seed 1"),
    ],
)
def test_fuzz_names_a_target_and_always_ends(given: str, passed_on: str) -> None:
    assert dev.fuzz_arguments(given.split()) == passed_on.split()
    # The campaign's own command line takes these words: they name a target and a limit.
    taken = parser("fuzz").parse_args(passed_on.split())
    assert taken.target in TARGETS
    assert taken.time or taken.runs


def test_a_finished_set_up_is_taken_as_it_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_if_set_up(checkout)
    monkeypatch.setattr(dev, "run", lambda *_, **__: pytest.fail("installed again"))
    assert dev.set_up() == 0


def test_heavy_tools_are_installed_once_and_only_where_they_are_asked_for(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[str] = []

    def record(*words: str, holding: int) -> int:
        installed.append("npm" if words[0] == "npm" else Path(words[-1]).name)
        return 0

    as_if_set_up(checkout)
    monkeypatch.setattr(dev, "run", record)
    monkeypatch.setattr(dev, "python_with_pip", lambda: sys.executable)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    dev.set_up()
    assert installed == []
    dev.set_up(heavy=True)
    dev.set_up(heavy=True)
    assert installed == ["requirements-heavy.lock", "npm"]
    with dev.HEAVY_LOCK.open("a") as file:
        file.write("#")
    dev.set_up(heavy=True)
    assert installed == ["requirements-heavy.lock", "npm", "requirements-heavy.lock"]
    dev.NODE_LOCK.write_text("{} ")
    dev.set_up(heavy=True)
    assert installed[3:] == ["npm"]


def test_without_npm_the_other_tools_are_installed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_if_set_up(checkout)
    monkeypatch.setattr(dev, "run", lambda *_, holding: 0)
    monkeypatch.setattr(dev, "python_with_pip", lambda: sys.executable)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert dev.set_up(heavy=True) == 0
    assert "there is no npm" in capsys.readouterr().err
    assert not dev.NODE_STAMP.exists()


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_input_makes_it_stale(checkout: Path, name: str) -> None:
    as_if_set_up(checkout)
    with (checkout / name).open("a") as file:
        file.write("#")
    assert not dev.is_current(dev.STAMP, dev.LOCK)


def test_another_python_makes_it_stale(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_if_set_up(checkout)
    monkeypatch.setattr(sys, "version", "3.99.0 (another)")
    assert not dev.is_current(dev.STAMP, dev.LOCK)


def test_a_removed_python_makes_it_stale(checkout: Path) -> None:
    as_if_set_up(checkout)
    dev.PYTHON.unlink()
    dev.PYTHON.symlink_to(checkout / "removed")
    assert not dev.is_current(dev.STAMP, dev.LOCK)


def test_a_moved_checkout_is_stale(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_if_set_up(checkout)
    monkeypatch.setattr(dev, "ROOT", checkout / ".." / checkout.name)
    assert not dev.is_current(dev.STAMP, dev.LOCK)


def test_a_failed_install_leaves_no_stamp_and_passes_on_the_code(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_if_set_up(checkout)
    dev.STAMP.write_text("stale")
    # Stands for a Python with pip, which the one that runs the tests need not have.
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    monkeypatch.setattr(sys, "prefix", "elsewhere")
    monkeypatch.setattr(dev, "run", lambda *_, **__: 23)
    with pytest.raises(SystemExit) as ending:
        dev.set_up()
    assert ending.value.code == 23
    assert not dev.STAMP.exists()
    assert "--require-hashes" in capsys.readouterr().err.splitlines()[-1]


def test_no_pip_is_one_line_that_says_what_was_tried(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_pip = str(shutil.which("false"))
    monkeypatch.setattr(sys, "executable", without_pip)
    monkeypatch.setattr(sys, "prefix", "elsewhere")
    with pytest.raises(SystemExit) as ending:
        dev.set_up()
    assert ending.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"`{without_pip} -m pip --version`" in line
    assert not dev.VENV.exists()


def test_the_venv_laid_by_hand_is_one_to_python(checkout: Path) -> None:
    dev.lay_out_venv(Path(os.path.realpath(sys.executable)))
    program = "import sys; print(sys.prefix, sys.prefix != sys.base_prefix)"
    answer = subprocess.run([dev.PYTHON, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [str(dev.VENV), "True"]


def test_a_child_that_fails_or_dies_gives_its_code() -> None:
    assert dev.run(sys.executable, "-c", "raise SystemExit(7)") == 7
    assert dev.run(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)") == 128 + 9


@pytest.mark.parametrize(
    ("codes", "result"), [("00000", 0), ("03000", 3), ("03005", 5), ("00005", 5), ("00010", 1)]
)
def test_every_check_runs_pytest_last_and_any_failure_counts(
    monkeypatch: pytest.MonkeyPatch, codes: str, result: int
) -> None:
    ran: list[str] = []

    def record(program: Path, *rest: str) -> int:
        ran.append(rest[1] if program == dev.PYTHON else program.name)
        return int(codes[len(ran) - 1])

    monkeypatch.setattr(dev, "set_up", lambda **_: 0)
    monkeypatch.setattr(dev, "run", record)
    assert dev.test(["-k", "name"]) == result
    assert ran == ["ruff", "ruff", "mypy", "lint-imports", "pytest"]


@pytest.mark.parametrize(
    ("given", "passed_on", "heavy"),
    [
        ("", "", False),
        ("-x tests/unit", "-x tests/unit", False),
        (
            "--quick -x",
            "-m not_slow_and_not_long --hypothesis-profile quick tests/unit tests/conformance -x",
            False,
        ),
        ("--long -x", "-m  -x", True),
    ],
)
def test_a_size_chooses_the_tests(
    monkeypatch: pytest.MonkeyPatch, given: str, passed_on: str, heavy: bool
) -> None:
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr(dev, "set_up", lambda *, heavy=False: seen.append(("heavy", heavy)))
    monkeypatch.setattr(dev, "lint", lambda: 0)
    monkeypatch.setattr(dev, "run", lambda *words: seen.append(words))
    dev.test(given.split())
    words = [word.replace("_", " ") for word in passed_on.split(" ") if passed_on]
    assert seen == [("heavy", heavy), (dev.PYTHON, "-m", "pytest", *dev.IN_PARALLEL, *words)]


@pytest.mark.parametrize(
    ("holding", "child_says"), [("None", "told\n"), ("0", "")], ids=["ordinary child", "pip"]
)
def test_ctrl_c_ends_with_130_and_no_traceback_and_no_child(
    tmp_path: Path, holding: str, child_says: str
) -> None:
    started = tmp_path / "started"
    child = f"""
import sys, time
try:
    open({str(started)!r}, "w").close()
    time.sleep(60)
except KeyboardInterrupt:
    print("told", file=sys.stderr)
"""
    # dev.py's own ending around that child; whoever runs the tests may have turned Ctrl-C off.
    ending = (ROOT / "dev.py").read_text().partition('if __name__ == "__main__":\n')[2]
    script = tmp_path / "script.py"
    script.write_text(
        f"import signal, sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom dev import run\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"def main(_): return run(sys.executable, '-c', {child!r}, holding={holding})\n"
        "if True:\n" + ending
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for _ in range(1000):
        if started.exists():
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    # The pipe closes only when the child, which has inherited it, is gone as well.
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, child_says)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["bogus"], "no command 'bogus'"), (["setup", "now"], "setup takes no arguments")],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dev.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fuzz", "--help"], ["test", "-h"]])
def test_help_needs_no_set_up_and_names_every_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "sole_user", lambda: pytest.fail("set up"))
    assert dev.main(arguments) == 0
    told = capsys.readouterr().out
    assert [name for name in dev.COMMANDS if f"\n  {name} " not in told] == []
    assert "--time 60" in told


@pytest.mark.parametrize("lock", [dev.LOCK, dev.HEAVY_LOCK], ids=lambda lock: lock.name)
def test_a_lock_holds_names_versions_markers_and_hashes_only(lock: Path) -> None:
    requirement = re.compile(r"[a-z0-9-]+==[\w.]+( ; [\w.'* <>=!()]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    strange = [
        line
        for line in lock.read_text().splitlines()
        if not (
            line.lstrip().startswith("#") or requirement.fullmatch(line) or digest.fullmatch(line)
        )
    ]
    assert strange == []
    assert "/" not in lock.read_text()


def locked(lock: Path) -> dict[str, str]:
    """The version of each package that a lock names."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_the_locks_cover_all_that_pyproject_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    for lock, groups in (
        (dev.LOCK, [project["project"]["dependencies"], *extras]),
        (dev.HEAVY_LOCK, project["dependency-groups"].values()),
    ):
        names = {re.split(r"[^\w-]", line)[0] for group in groups for line in group}
        assert names - locked(lock).keys() == set()


def test_what_stands_in_both_locks_is_of_one_version() -> None:
    usual, heavy = locked(dev.LOCK), locked(dev.HEAVY_LOCK)
    assert {name: usual[name] for name in usual.keys() & heavy.keys()}.items() <= heavy.items()
