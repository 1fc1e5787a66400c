"""A campaign ends when its time is over, whatever a peer does, and keeps what was found."""

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checkout import VMGEXIT
from vmgexit_fuzz.campaign.findings import records

pytestmark = [pytest.mark.slow, pytest.mark.needs("atheris")]

LATE = 3  # seconds after its time that a campaign may take

PEER = """\
import json, os, signal, sys, time
machine, misdeed = sys.argv[1:]
hello = {"vmgexit": 2, "name": "a test"}
print(json.dumps(hello | {"machine": "host"} if machine == "host" else hello), flush=True)
for signum in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, signal.SIG_IGN)
while line := sys.stdin.readline():
    command = json.loads(line)
    if command["op"] not in ("init", "state"):
        if misdeed == "dies":
            os._exit(3)
        while True:
            time.sleep(100)
    said = {"ok": True, "cpus": command.get("cpus"), "reg_count": command.get("reg_count")}
    print(json.dumps({key: value for key, value in said.items() if value is not None}), flush=True)
while True:  # it does not end with its input
    time.sleep(100)
"""


def campaign(folder: Path, target: str, misdeed: str, *more: str) -> subprocess.Popen[str]:
    (folder / "peer.py").write_text(PEER)
    machine = "host" if target == "host-peer" else "svsm"
    peer = shlex.join([sys.executable, "-S", "-E", str(folder / "peer.py"), machine, misdeed])
    words = [VMGEXIT, "fuzz", "run", target, "--peer", peer, "--dir", "night", "--seed", "1", *more]
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True)


def left_behind(folder: Path) -> bytes:
    """Processes of a peer."""
    return subprocess.run(["pgrep", "-f", str(folder)], capture_output=True).stdout


def elapsed(output: str) -> float:
    """What the closing line says."""
    told = re.search(r"^[\w-]+: ([\d.]+) s: ", output, re.MULTILINE)
    assert told is not None, output
    return float(told[1])


@pytest.mark.long
@pytest.mark.parametrize("misdeed", ["hangs", "dies"])
@pytest.mark.parametrize("target", ["peer", "host-peer", "svsm-peer"])
def test_a_campaign_ends_in_time(target: str, misdeed: str, tmp_path: Path) -> None:
    with campaign(tmp_path, target, misdeed, "--time", "4", "--workers", "2") as running:
        output = running.communicate()[0]
    assert 4 <= elapsed(output) < 4 + LATE
    assert left_behind(tmp_path) == b""
    if misdeed == "dies":
        found = [record.cause for record in records(tmp_path / "night" / "findings")]
        assert found
        assert all(f"new: {cause}: " in output for cause in found)


def test_a_campaign_ends_though_no_input_does(tmp_path: Path) -> None:
    """A peer that hangs at the first command of the first input is not told as one that does no wrong."""
    with campaign(tmp_path, "peer", "hangs", "--time", "1", "--kinds", "random") as running:
        output = running.communicate()[0]
    assert 1 <= elapsed(output) < 1 + LATE
    assert left_behind(tmp_path) == b""
    assert "\nno input came to its end; --hang says how long that may take (20 s)\n" in output


def test_a_finding_is_on_disk_before_it_is_shortened(tmp_path: Path) -> None:
    """What a peer takes long for is not lost with Ctrl-C."""
    with campaign(tmp_path, "peer", "hangs", "--hang", "4") as running:
        deadline = time.monotonic() + 60
        while not list(records(tmp_path / "night" / "findings")) and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        began = time.monotonic()
        output = running.communicate()[0]
        assert time.monotonic() - began < LATE + 3  # the closing lines too, on a loaded machine
    assert running.returncode == 130
    [found] = records(tmp_path / "night" / "findings")
    assert output.count(f"new: {found.cause}: ") == 1
