"""How fast a campaign drives an adapter, beside Python that only writes commands and reads JSON.

The adapter is the kit's in C around the SVSM of tests/peers, whose process stays after a stop. Both get
scenarios of the same making.
What we do beside: our own machine runs each command, its invariants' state is compared with every answer,
inputs are made, counted and, by the kind `probes`, guided.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.campaigns.speed import rate
from tests.peers.made import built, project
from vmgexit.descriptions import Command
from vmgexit_fuzz.process.child import Order
from vmgexit_fuzz.targets import Conditions, find

from .timing import Timing

AT_ONCE = 40  # commands in a write
SCENARIOS = 400
SEED = 1
BASE = "JSON alone"
_COMMANDS = re.compile(r"([\d,]+) commands")
USUAL = "usual mix"
WAYS = (
    (USUAL, "", ""),
    ("random", "random", ""),
    ("in binary", "random", " --binary"),
    ("probes", "probes", ""),
)
"""Of each row its name, the kind of worker (none: a whole campaign), and what is added to the adapter's
command."""


def measured(rounds: int, seconds: float) -> Iterator[tuple[str, dict[str, Timing]]]:
    """For each way: its nanoseconds a command, and those of JSON alone, in turns. Nothing where there is no
    C compiler."""
    if shutil.which("cc") is None:
        print("no cc: the adapter in C is not measured", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(io.StringIO()):  # the files that were made
            adapter = str(built(project("c", Path(folder) / "adapter")))
        scenarios = _scenarios()
        for name, kind, option in WAYS:
            ours, theirs = [], []
            for _ in range(rounds):
                theirs.append(1e9 / _json_alone(adapter, scenarios, seconds))
                peer = adapter + option
                if kind:
                    order = Order("peer", kind, Conditions(peer=peer), seconds=seconds + 2)
                    ours.append(1e9 / rate(order, "steps"))
                else:
                    ours.append(1e9 / _campaign(peer, 10 * seconds))
            yield name, {"vmgexit": _timing(ours), BASE: _timing(theirs)}


def _timing(took: list[float]) -> Timing:
    return Timing(min(took), statistics.median(took))


def _scenarios() -> list[list[Command]]:
    """Scenarios as the target makes them."""
    target, pick = find("peer").open(), random.Random(SEED)
    return [target.commands(target.make(pick)) for _ in range(SCENARIOS)]  # type: ignore[attr-defined]


def _campaign(peer: str, seconds: float) -> float:
    """Commands a second of `vmgexit fuzz run peer`, its start included."""
    words = [sys.executable, "-m", "vmgexit", "fuzz", "run", "peer", "--peer", peer]
    with tempfile.TemporaryDirectory() as folder:
        words += ["--dir", folder, "--time", f"{seconds:g}"]
        started = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        took = time.perf_counter() - started
    return int(_COMMANDS.findall(done.stdout)[-1].replace(",", "")) / took


def _json_alone(adapter: str, scenarios: list[list[Command]], seconds: float) -> float:
    """Commands a second."""
    with subprocess.Popen([adapter], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        sent, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            for commands in scenarios:
                for at in range(0, len(commands), AT_ONCE):
                    some = commands[at : at + AT_ONCE]
                    lines = [json.dumps(command).encode() + b"\n" for command in some]
                    child.stdin.write(b"".join(lines))
                    child.stdin.flush()
                    for _ in some:
                        json.loads(child.stdout.readline())
                sent += len(commands)
        return sent / (time.perf_counter() - started)
