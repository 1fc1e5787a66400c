"""A campaign on a cluster goes on when a node is killed, and loses no more than that node's last inputs."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmgexit.errors import VmgexitError
from vmgexit_fuzz.campaign import cluster, statistics
from vmgexit_fuzz.campaign.findings import records
from vmgexit_fuzz.campaign.folder import Directory
from vmgexit_fuzz.campaign.workers import Settings
from vmgexit_fuzz.targets import find

pytestmark = pytest.mark.slow

SCRIPTS = Path(sys.executable).parent
SECONDS = "12"
PATIENCE = 60  # seconds, on a loaded machine

needs_distributed = pytest.mark.needs("distributed")
needs_atheris = pytest.mark.needs("atheris")


@contextlib.contextmanager
def started(folder: Path, *words: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(exist_ok=True)
    with (folder / "output").open("ab") as output:
        running = subprocess.Popen(
            [SCRIPTS / words[0], *words[1:]],
            cwd=folder,
            env=os.environ | variables,
            stdout=output,
            stderr=output,
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        finally:
            running.kill()


def node(
    folder: Path, address: str, *more: str, **variables: str
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", ".")
    return started(folder, "dask", "worker", address, *options, *more, **variables)


def soon(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def processes_in(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").resolve().is_relative_to(folder.resolve()):
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """A scheduler; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = ("--host", "127.0.0.1", "--port", port, "--no-dashboard")
    with started(folder / "scheduler", "dask", "scheduler", *options):
        yield f"127.0.0.1:{port}"


def said(folder: Path) -> str:
    return (folder / "output").read_text()


@needs_atheris
@needs_distributed
def test_a_killed_node_costs_its_last_inputs_only(tmp_path: Path) -> None:
    center, one, other = (tmp_path / name for name in ("center", "one", "other"))
    places = Directory.at(center / "campaign")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(scheduler(tmp_path))
        lost = stack.enter_context(node(one, address))
        stack.enter_context(node(other, address))
        assert soon(lambda: "Registered to" in said(other))
        words = ("run", "scenario", "--profile", "coconut", "--time", SECONDS, "--dir", "campaign")
        running = stack.enter_context(
            started(center, "vmgexit", "fuzz", *words, "--cluster", address)
        )
        assert soon(lambda: places.corpus.is_dir() and any(records(places.findings)))
        # In the middle of the first round, which ends with the campaign.
        assert soon(lambda: sum(line.inputs for line in statistics.read(places.statistics)) > 0)
        assert soon(lambda: len(processes_in(one)) == 2)
        inputs = {path.name for path in places.corpus.glob("[0-9a-f]*")}
        causes = {record.cause for record in records(places.findings)}
        lost.send_signal(signal.SIGKILL)
        killed = time.time()

        assert running.wait(PATIENCE) == 1
        assert soon(lambda: not processes_in(one))
        assert soon(lambda: len(processes_in(other)) == 1)
    assert processes_in(tmp_path) == []

    assert any(line.at > killed and line.inputs for line in statistics.read(places.statistics))
    after = {path.name: path.read_bytes() for path in places.corpus.iterdir()}
    assert all(name == hashlib.sha1(data).hexdigest() for name, data in after.items())
    assert inputs <= set(after)
    assert causes <= {record.cause for record in records(places.findings)}
    output = said(center)
    assert "Traceback" not in output
    assert "distributed" not in output
    assert re.search(
        rf"^{socket.gethostname()} \(tcp://127.0.0.1:\d+\): lost$", output, re.MULTILINE
    )
    assert f"new: {min(causes)}: campaign/findings/" in output


# What is wrong with a node, and what is told of it: a preload of dask, and what its processes find.
FULL = """\
import errno, os, tempfile
def full(*_, **__): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/scratch/x")
def dask_setup(worker): tempfile.TemporaryDirectory = full
"""
BROKEN = {
    "a full disk": (FULL, "", r"left out for 60 s: /scratch/x: No space left on device"),
    "a missing package": (
        "",
        "raise ImportError('no atheris here')",
        r"left out for 60 s: the fuzzing process did not start: .*no atheris here",
    ),
}


@needs_atheris
@needs_distributed
@pytest.mark.long
@pytest.mark.parametrize("name", BROKEN)
def test_a_node_that_cannot_play_is_told_by_name(name: str, tmp_path: Path) -> None:
    preload, atheris, told = BROKEN[name]
    bad, center = tmp_path / "bad", tmp_path / "center"
    bad.mkdir()
    (bad / "preload.py").write_text(preload)
    if atheris:
        (bad / "atheris.py").write_text(atheris)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(scheduler(tmp_path))
        more = ("--preload", str(bad / "preload.py"))
        stack.enter_context(node(bad, address, *more, PYTHONPATH=str(bad)))
        stack.enter_context(node(tmp_path / "good", address))
        assert soon(
            lambda: "Registered to" in said(bad) and "Registered to" in said(tmp_path / "good")
        )
        words = ("run", "scenario", "--profile", "coconut", "--time", "8", "--dir", "campaign")
        kinds = ("--kinds", "state", "--cluster", address)
        running = stack.enter_context(started(center, "vmgexit", "fuzz", *words, *kinds))
        assert running.wait(PATIENCE) == 1
    output = said(center)
    assert "Traceback" not in output
    assert re.search(
        rf"^{socket.gethostname()} \(tcp://127.0.0.1:\d+\): {told}$", output, re.MULTILINE
    ), output
    assert re.search(r"^scenario: .* [1-9]\d* findings, coverage", output, re.MULTILINE)


@needs_atheris
@needs_distributed
@pytest.mark.long
def test_a_node_that_falls_silent_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a connection is lost, and the network does not say so."""
    monkeypatch.setattr(cluster, "SILENT_SECONDS", 3)
    monkeypatch.setattr(cluster, "LEFT_OUT_SECONDS", 100)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(scheduler(tmp_path))
        silent = stack.enter_context(node(tmp_path / "silent", address))
        stack.enter_context(node(tmp_path / "good", address))
        registered = (tmp_path / "silent", tmp_path / "good")
        assert soon(lambda: all("Registered to" in said(folder) for folder in registered))
        stop = threading.Timer(10, lambda: silent.send_signal(signal.SIGSTOP))
        stack.callback(lambda: silent.send_signal(signal.SIGCONT))
        stop.start()
        settings = Settings(
            find("scenario"), Directory.at(tmp_path / "campaign"), seconds=30, kinds=["random"]
        )
        assert cluster.run(settings, address, None) == 0
    output = capsys.readouterr().out
    assert "left out for 100 s: nothing was heard of it for 3 s\n" in output
    assert re.search(r"^scenario: 3\d s: [1-9]", output, re.MULTILINE)


@needs_distributed
def test_without_a_scheduler_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    settings = Settings(find("codec"), Directory.at(tmp_path / "campaign"))
    with pytest.raises(VmgexitError, match=r"127\.0\.0\.1:9: no dask scheduler found") as raised:
        cluster.run(settings, "127.0.0.1:9", None)
    assert "\n" not in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_without_distributed_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(VmgexitError, match=r"pip install 'vmgexit\[cluster\]'$"):
        cluster.run(Settings(find("codec"), Directory.at(tmp_path)), "127.0.0.1:9", None)


def test_a_sample_is_of_the_smallest_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (b"four", b"", b"one"):
        (tmp_path / hashlib.sha1(data).hexdigest()).write_bytes(data)
    (tmp_path / hashlib.sha1(b"whole").hexdigest()).write_bytes(b"")
    assert cluster.smallest(tmp_path) == (b"", b"one", b"four")
    monkeypatch.setattr(cluster, "MOST_BYTES", 6)
    assert cluster.smallest(tmp_path) == (b"", b"one")
    monkeypatch.setattr(cluster, "MOST_INPUTS", 1)
    assert cluster.smallest(tmp_path) == (b"",)
