"""Set-up for every test: what a machine may lack, how hypothesis runs, Ctrl-C."""

import importlib.util
import re
import shutil
import signal
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Its asserts are tests too, and should say as much as theirs when they fail.
pytest.register_assert_rewrite("tests.structures")

# How long an example takes says more of what else the machine does than of us.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("untimed"), max_examples=10)
settings.load_profile("untimed")

NAMES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "jsonschema": (),  # the package is needed; Debian has a program of that name
}
"""Programs that have several names, or none."""

NODE_MODULES = Path(__file__).parent / "tools" / "node_modules"
"""Where `dev.py test --long` has npm install what tests/tools/package.json names."""

_NEEDS = re.compile(r"needs (.+)")
_missing: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    """Give child processes the usual Ctrl-C: a shell's background job starts with SIGINT ignored, and
    so would they. A handler is not inherited; this one keeps ignoring SIGINT here."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


def is_here(tool: str) -> bool:
    """Whether a program is on the PATH, or a Python package or one of npm's is installed."""
    names = NAMES.get(tool, (tool,))
    if (NODE_MODULES / tool / "package.json").is_file():
        return True
    if tool == "rustc":
        return _runs(tool)
    return any(map(shutil.which, names)) or importlib.util.find_spec(tool) is not None


@cache
def _runs(tool: str) -> bool:
    """Whether a program says its version: rustup's rustc is there without a compiler behind it."""
    found = shutil.which(tool)
    return (
        found is not None
        and not subprocess.run([found, "--version"], capture_output=True).returncode
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `needs(TOOL, ...)` where a tool is missing."""
    for mark in item.iter_markers("needs"):
        for tool in mark.args:
            if not is_here(tool):
                pytest.skip(f"needs {tool}")


def _count(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    if report.skipped and (found := _NEEDS.search(reason)):
        _missing[found[1]] += 1


pytest_runtest_logreport = pytest_collectreport = _count


def pytest_unconfigure() -> None:
    """The last line of a run says which tools were missing."""
    if _missing:
        each = (f"{tool} ({count} test{'s' * (count > 1)})" for tool, count in _missing.items())
        print(f"missing here: {', '.join(each)}")
