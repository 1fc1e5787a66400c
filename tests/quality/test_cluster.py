"""A campaign on a cluster goes on when a node is killed, and loses no more than that node's last inputs."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmgexit.errors import VmgexitError
from vmgexit_fuzz.campaign import cluster, statistics
from vmgexit_fuzz.campaign.findings import records
from vmgexit_fuzz.campaign.folder import Directory
from vmgexit_fuzz.campaign.run import Settings
from vmgexit_fuzz.targets import find

pytestmark = pytest.mark.slow

SCRIPTS = Path(sys.executable).parent
SECONDS = "12"
PATIENCE = 60  # seconds, on a loaded machine

needs_distributed = pytest.mark.needs("distributed")
needs_atheris = pytest.mark.needs("atheris")


@contextlib.contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(exist_ok=True)
    with (folder / "output").open("ab") as output:
        running = subprocess.Popen(
            [SCRIPTS / words[0], *words[1:]], cwd=folder, stdout=output, stderr=output
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        finally:
            running.kill()


def node(folder: Path, address: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", ".")
    return started(folder, "dask", "worker", address, *options)


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


@needs_atheris
@needs_distributed
def test_a_killed_node_costs_its_last_inputs_only(tmp_path: Path) -> None:
    places = Directory.at(tmp_path / "center" / "campaign")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    address = f"127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        options = ("--host", "127.0.0.1", "--port", port, "--no-dashboard")
        stack.enter_context(started(tmp_path / "scheduler", "dask", "scheduler", *options))
        lost = stack.enter_context(node(tmp_path / "one", address))
        stack.enter_context(node(tmp_path / "other", address))
        assert soon(lambda: "Registered to" in (tmp_path / "other" / "output").read_text())
        words = ("run", "scenario", "--profile", "coconut", "--time", SECONDS, "--dir", "campaign")
        center = stack.enter_context(
            started(tmp_path / "center", "vmgexit", "fuzz", *words, "--cluster", address)
        )
        assert soon(lambda: places.corpus.is_dir() and any(records(places.findings)))
        assert soon(lambda: len(processes_in(tmp_path / "one")) == 2)  # in the middle of a round
        inputs = {path.name for path in places.corpus.glob("[0-9a-f]*")}
        causes = {record.cause for record in records(places.findings)}
        lost.send_signal(signal.SIGKILL)
        killed = time.time()

        assert center.wait(PATIENCE) == 1
        assert soon(lambda: not processes_in(tmp_path / "one"))
        assert soon(lambda: len(processes_in(tmp_path / "other")) == 1)
    assert processes_in(tmp_path) == []

    assert any(line.at > killed and line.inputs for line in statistics.read(places.statistics))
    after = {path.name: path.read_bytes() for path in places.corpus.iterdir()}
    assert all(name == hashlib.sha1(data).hexdigest() for name, data in after.items())
    assert inputs
    assert inputs <= set(after)
    assert causes <= {record.cause for record in records(places.findings)}
    output = (tmp_path / "center" / "output").read_text()
    assert "Traceback" not in output
    assert "distributed" not in output
    assert f"new: {min(causes)}: campaign/findings/" in output


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
