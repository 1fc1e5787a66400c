#!/usr/bin/env python3
"""Every chore of this repository, on a machine that has only Python and pip.

usage: python3 dev.py COMMAND [ARGUMENTS]

  setup                     make .venv, or leave it if it is current
  fuzz [TARGET] [OPTIONS]   run `vmgexit fuzz run TARGET OPTIONS`; without TARGET the target is
                            scenario, without --time or --runs the limit is --time 60
  test [PYTEST OPTIONS]     the linters, then pytest; fails if any of them does
  test --quick [OPTIONS]    the same with the quick tests only: less than a minute
  test --long [OPTIONS]     the same with every test, the long ones too: more than an hour; installs
                            requirements-heavy.lock, and by npm tests/tools
  lint                      the linters only: ruff, mypy, and import-linter, which checks that
                            imports go one way
  bench [--quick] [OPTIONS] our codec, views and columns beside construct, bitstruct, ctypes,
                            dissect.cstruct and Kaitai: a table; JSON and a plot in .vmgexit/bench
  bench --loop [OPTIONS]    how fast the fuzzing loop is; --compare REV: another revision beside it
  bench find [OPTIONS]      how soon campaigns find planted bugs, beside other methods
  docs [FOLDER]             build the site, by default in .vmgexit/docs; installs requirements-heavy.lock
  lock [UV OPTIONS]         bring both locks up to pyproject.toml; --upgrade for the newest

The first use makes .venv beside this file, installs the packages that requirements.lock names, and
checks each file against its hash. Later uses keep .venv until the lock, pyproject.toml or the Python
changes. requirements-heavy.lock names large tools that few tests need; only the commands that need
them install them; those of npm stand in tests/tools/package-lock.json. Nothing is installed outside
.venv and tests/tools/node_modules.
"""

# Only the standard library, and no virtual environment to start from: this file is what makes one.
import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Everything above and below must parse on older Pythons, or they would never say this.
if sys.version_info < (3, 11) or os.name != "posix":
    sys.exit(
        "dev.py: needs Python 3.11 or later on Linux or macOS; this is Python "
        f"{sys.version.split()[0]} ({sys.executable}) on {sys.platform}"
    )

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "requirements.lock"
HEAVY_LOCK = ROOT / "requirements-heavy.lock"
NODE_LOCK = ROOT / "tests" / "tools" / "package-lock.json"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "complete"
HEAVY_STAMP = VENV / "complete-heavy"
NODE_STAMP = NODE_LOCK.parent / "node_modules" / "complete"

LINTERS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports", "--no-logo", "--no-cache"),
)
FUZZ_LIMITS = ("--time", "--runs")
# The files of tests are shared between two processes; a file is not divided, so that its fixtures are
# made once.
IN_PARALLEL = ("-n", "2", "--dist", "loadfile")
# Without a size, pyproject.toml has pytest leave out what is long.
TEST_SIZES = {
    "--quick": (
        *("-m", "not slow and not long", "--hypothesis-profile", "quick"),
        *("tests/unit", "tests/conformance"),
    ),
    "--long": ("-m", ""),
}
# How long a child may take to close after Ctrl-C before it is ended.
CLOSING_SECONDS = 5


def say(line: str) -> None:
    """Standard error, so that a command's own output can be piped on."""
    print(f"dev.py: {line}", file=sys.stderr, flush=True)


def run(*command: str | Path, holding: int | None = None) -> int:
    """Run a command at the repository's root; its exit code, or 128 + N if signal N ended it.

    `holding` is a descriptor for a child to keep open, one that the terminal's Ctrl-C is not to reach.
    """
    child = subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        pass_fds=() if holding is None else (holding,),
        process_group=None if holding is None else 0,
    )
    try:
        code = child.wait()
    except KeyboardInterrupt:
        if holding is not None:
            os.killpg(child.pid, signal.SIGTERM)
        # The terminal told any other child, which may have something to put in order.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(CLOSING_SECONDS)
        child.terminate()
        raise
    return code if code >= 0 else 128 - code


def fingerprint(lock: Path) -> str:
    """What .venv was made from. The place counts: scripts in .venv hold absolute paths."""
    made_from = [lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes()]
    made_from += [sys.version.encode(), os.fsencode(ROOT)]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in made_from)).hexdigest()


def is_current(stamp: Path, lock: Path) -> bool:
    """Whether .venv holds all of a lock, and was made from what is here now."""
    return PYTHON.exists() and stamp.is_file() and stamp.read_text() == fingerprint(lock)


def lay_out_venv(base: Path) -> None:
    """An empty virtual environment of the interpreter `base`, as PEP 405 describes one.

    By hand, since some distributions ship Python without the venv module or what it calls.
    """
    (VENV / "lib").mkdir(parents=True)
    if sys.platlibdir != "lib":
        (VENV / sys.platlibdir).symlink_to("lib")
    (VENV / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\n"
        f"version = {sys.version.split()[0]}\n"
    )
    PYTHON.parent.mkdir()
    PYTHON.symlink_to(base)
    PYTHON.with_name("python3").symlink_to("python")


@contextlib.contextmanager
def sole_user() -> Iterator[int]:
    """Keep other copies of this script out of .venv; gives the descriptor that holds the lock."""
    import fcntl  # Not on every platform, and the check above is to come first.

    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of .venv to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def python_with_pip() -> str:
    """The Python that runs pip; ends the program where it has none."""
    base = base_python()
    with_pip = str(base) if Path(sys.prefix) == VENV else sys.executable
    if subprocess.run([with_pip, "-m", "pip", "--version"], capture_output=True).returncode:
        say(
            f"tried `{with_pip} -m pip --version`, but this Python has no working pip; "
            "install it (Debian, Ubuntu: apt-get install python3-pip) and run this again"
        )
        sys.exit(1)
    return with_pip


def base_python() -> Path:
    """Where this Python is itself in a virtual environment, the one that it was made with."""
    return Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))


def install(with_pip: str, held: int, *what: str) -> None:
    """Have pip install into .venv; ends the program where that fails."""
    words = [with_pip, "-m", "pip", "--python", str(PYTHON), "-qq", "install"]
    words += ["--disable-pip-version-check", "--no-compile", "--no-input", *what]
    # pip holds the lock too: should this script be killed, the next waits for pip to end.
    # It is kept from the terminal's Ctrl-C because it answers that with a traceback.
    code = run(*words, holding=held)
    if code:
        say(f"tried `{shlex.join(words)}`, which failed (exit code {code})")
        sys.exit(code)


def install_locked(with_pip: str, held: int, lock: Path) -> None:
    """Install what a lock names, each file checked against its hash."""
    install(with_pip, held, "--require-hashes", "--only-binary", ":all:", "-r", str(lock))


def install_node_tools(held: int) -> None:
    """Have npm install what package-lock.json names, each file checked against its hash.

    Where it cannot, the tests that need these tools are skipped, and say so.
    """
    words = ["npm", "ci", "--prefix", str(NODE_LOCK.parent), "--ignore-scripts", "--silent"]
    if shutil.which("npm") is None:
        say("there is no npm, which some tests of formats need")
    elif run(*words, holding=held):
        say(f"tried `{shlex.join(words)}`, which failed")
    else:
        NODE_STAMP.write_text(fingerprint(NODE_LOCK))


def set_up(_arguments: Sequence[str] = (), *, heavy: bool = False, node: bool = True) -> int:
    """Make .venv unless it is current, with the heavy tools if asked; ends the program on failure.

    A stamp is written last: without it a set-up that was cut short starts again.
    """
    with sole_user() as held:
        if not is_current(STAMP, LOCK):
            with_pip = python_with_pip()
            say("making .venv; this takes about a minute, once")
            STAMP.unlink(missing_ok=True)
            shutil.rmtree(VENV, ignore_errors=True)
            lay_out_venv(base_python())
            install_locked(with_pip, held, LOCK)
            install(with_pip, held, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
            STAMP.write_text(fingerprint(LOCK))
            say("made .venv; the command is .venv/bin/vmgexit")
        if heavy and not is_current(HEAVY_STAMP, HEAVY_LOCK):
            say(f"installing {HEAVY_LOCK.name}; this takes some minutes, once")
            install_locked(python_with_pip(), held, HEAVY_LOCK)
            HEAVY_STAMP.write_text(fingerprint(HEAVY_LOCK))
        if heavy and node and not is_current(NODE_STAMP, NODE_LOCK):
            install_node_tools(held)
    return 0


def fuzz_arguments(arguments: Sequence[str]) -> list[str]:
    """The words after `vmgexit` for those after `dev.py fuzz`."""
    target = "scenario"
    if arguments and not arguments[0].startswith("-"):
        target, *arguments = arguments
    if not any(word.partition("=")[0] in FUZZ_LIMITS for word in arguments):
        arguments = ["--time", "60", *arguments]
    return ["fuzz", "run", target, *arguments]


def fuzz(arguments: Sequence[str]) -> int:
    """Become the campaign: signals and the exit code are its own, and so is the caller's folder."""
    set_up()
    command = [str(PYTHON), str(VENV / "bin" / "vmgexit"), *fuzz_arguments(arguments)]
    os.execv(command[0], command)


def lint(_arguments: Sequence[str] = ()) -> int:
    """Every linter, also after one that failed; the first failure's exit code."""
    set_up()
    first_failure = 0
    for linter in LINTERS:
        program, *options = linter
        code = run(VENV / "bin" / program, *options)
        if code:
            say(f"{' '.join(linter)} failed (exit code {code})")
        first_failure = first_failure or code
    return first_failure


def test(arguments: Sequence[str]) -> int:
    """The linters, then pytest, whose closing line is the last that is printed."""
    size = arguments[0] if arguments and arguments[0] in TEST_SIZES else ""
    set_up(heavy=size == "--long")
    lint_code = lint()
    words = [*TEST_SIZES[size], *arguments[1:]] if size else arguments
    return run(PYTHON, "-m", "pytest", *IN_PARALLEL, *words) or lint_code


def bench(arguments: Sequence[str]) -> int:
    """The codec beside its peers, or campaigns; where output goes is relative to the repository."""
    set_up()
    if arguments[:1] == ["find"]:
        return run(PYTHON, "-m", "tests.campaigns", *arguments[1:])
    return run(PYTHON, "-m", "tests.bench", *arguments)


def docs(arguments: Sequence[str]) -> int:
    """The documentation; a command that it shows and that fails, or a broken link, fails the build."""
    set_up(heavy=True, node=False)
    output = Path(arguments[0]) if arguments else ROOT / ".vmgexit" / "docs"
    say("building the site; this takes about two minutes")
    return run(PYTHON, ROOT / "specs" / "site" / "build.py", output.absolute())


def lock(arguments: Sequence[str]) -> int:
    """Resolve for every supported Python and platform at once; names no registry."""
    set_up()
    command = "uv pip compile --no-config --universal --python-version 3.11"
    command += " --generate-hashes --no-emit-index-url --no-emit-find-links --quiet"
    words = [*command.split(), "--custom-compile-command", "python3 dev.py lock", *arguments]
    usual = ["--all-extras", "--output-file", LOCK.name, "pyproject.toml"]
    # What is in both is of one version.
    heavy = ["--group", "heavy", "--constraint", LOCK.name, "--output-file", HEAVY_LOCK.name]
    return run(PYTHON, "-m", *words, *usual) or run(PYTHON, "-m", *words, *heavy)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "setup": set_up,
    "fuzz": fuzz,
    "test": test,
    "lint": lint,
    "bench": bench,
    "docs": docs,
    "lock": lock,
}
TAKE_NO_ARGUMENTS = ("setup", "lint")


def main(arguments: list[str]) -> int:
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help") or rest[:1] in (["-h"], ["--help"]):
        print(__doc__, end="")
        return 0
    if command not in COMMANDS:
        say(f"no command {command!r}; there are {', '.join(COMMANDS)}")
        return 2
    if rest and command in TAKE_NO_ARGUMENTS:
        say(f"{command} takes no arguments, but got {shlex.join(rest)}")
        return 2
    return COMMANDS[command](rest)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"dev.py: {error}")
