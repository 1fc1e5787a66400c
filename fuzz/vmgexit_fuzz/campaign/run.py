"""A campaign: starts the fuzzing process, shows how it goes, and starts it again when it died.

On a terminal one live line, elsewhere a plain line now and then. The corpus is an ordinary libFuzzer
directory; seeds are only read. Nothing is kept in memory that a killed campaign would lose.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from ..targets import Target

PLAIN_SECONDS = 10  # between two lines where there is no terminal
SECONDS_FOR_ONE_INPUT = 20
MEGABYTES = 2048
CLOSING_SECONDS = 5

# libFuzzer's exit codes for what Python cannot catch.
DEATHS = {70: "hang", 71: "out of memory", 77: "crash"}
INTERRUPTED = (72, -signal.SIGINT, -signal.SIGTERM, 130)

_STATUS = re.compile(r"#(\d+)\s.*?(?:cov: (\d+))?(?: ft: (\d+))?(?: corp: (\d+))")
_DONE = re.compile(r"Done (\d+) runs")
_ARTIFACT = re.compile(r"Test unit written to (\S+)")


@dataclass(slots=True)
class Settings:
    """What a campaign is to do."""

    target: Target
    corpus: Path
    findings: Path
    seconds: float | None = None
    runs: int | None = None
    seed: int | None = None
    feedback: str = "probes"
    profile: str = "reference"
    plant: str = ""


@dataclass(slots=True)
class Progress:
    """How it goes, over all restarts."""

    inputs: int = 0
    commands: int = 0
    coverage: int = 0
    corpus: int = 0
    restarts: int = 0
    seconds: float = 0.0
    causes: dict[str, str] = field(default_factory=dict)
    earlier_inputs: int = 0  # of processes that ended
    earlier_commands: int = 0

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0
        commands = self.commands / self.seconds if self.seconds else 0
        return (
            f"{self.inputs:,} inputs ({rate:,.0f}/s), {self.commands:,} commands"
            f" ({commands:,.0f}/s), coverage {self.coverage}, corpus {self.corpus},"
            f" {self.seconds:.0f} s, findings {len(self.causes)}"
        )


def run(settings: Settings) -> int:
    """Run a campaign to its end and print what came of it: 0, or 1 with findings, 130 interrupted."""
    progress = Progress()
    campaign = _Campaign(settings, progress)
    for directory in (settings.corpus, settings.findings):
        _usable(directory)
    interrupted = False
    try:
        campaign.go()
    except KeyboardInterrupt:
        interrupted = True
    campaign.screen.close()
    print(f"{settings.target.name}: {progress}")
    for cause, path in progress.causes.items():
        print(f"finding: {cause}: {path}")
    if interrupted:
        return 130
    return 1 if progress.causes else 0


def _usable(directory: Path) -> None:
    """Raise one clear error when a directory cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = write(directory / f".probe.{os.getpid()}", b"")
        probe.unlink()
    except OSError as error:
        raise VmgexitError(
            f"{directory}: {error.strerror}, a folder to write in expected"
        ) from None


class _Campaign:
    def __init__(self, settings: Settings, progress: Progress) -> None:
        self.settings, self.progress = settings, progress
        self.screen = _Screen()
        self.started = time.monotonic()
        self.artifact = ""

    def go(self) -> None:
        """One process after the other, until time or runs are used up."""
        while True:
            left = self._left()
            if left is not None and left < 1:
                return
            code = self._process(left)
            self.progress.earlier_inputs = self.progress.inputs
            self.progress.earlier_commands = self.progress.commands
            if code in DEATHS:
                self._death(DEATHS[code])
                self.progress.restarts += 1
            elif code in INTERRUPTED:
                raise KeyboardInterrupt
            elif code:
                raise VmgexitError(
                    f"the fuzzing process ended with code {code}: {self.screen.last}"
                )
            else:
                return

    def _left(self) -> float | None:
        if self.settings.seconds is None:
            return None
        return self.settings.seconds - (time.monotonic() - self.started)

    def _command(self, left: float | None) -> list[str]:
        settings = self.settings
        engine = [
            f"-timeout={SECONDS_FOR_ONE_INPUT}",
            f"-rss_limit_mb={MEGABYTES}",
            f"-max_len={settings.target.longest}",
            f"-artifact_prefix={settings.findings}{os.sep}",
            "-print_final_stats=0",
            "-reload=1",
            "-use_value_profile=0",
        ]
        if left is not None:
            engine.append(f"-max_total_time={max(int(left), 1)}")
        if settings.runs is not None:
            engine.append(f"-runs={max(settings.runs - self.progress.earlier_inputs, 0)}")
        if settings.seed is not None:
            engine.append(f"-seed={settings.seed + self.progress.restarts}")
        engine.append(str(settings.corpus))
        if settings.target.seeds.is_dir():
            engine.append(str(settings.target.seeds))
        child = [sys.executable, "-m", "vmgexit_fuzz.campaign.child"]
        child += [settings.target.name, str(settings.findings)]
        child += ["--feedback", settings.feedback, "--profile", settings.profile]
        if settings.plant:
            child += ["--plant", settings.plant]
        return [*child, "--", *engine]

    def _process(self, left: float | None) -> int:
        """One fuzzing process to its end; its exit code."""
        with subprocess.Popen(
            self._command(left), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            try:
                self._follow(child)
                return child.wait()
            except KeyboardInterrupt:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(CLOSING_SECONDS)
                raise
            finally:
                if child.poll() is None:
                    child.kill()

    def _follow(self, child: subprocess.Popen[bytes]) -> None:
        """Read both streams until they close."""
        assert child.stdout is not None
        assert child.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ, _Lines(child.stdout, self._ours))
            selector.register(
                child.stderr, selectors.EVENT_READ, _Lines(child.stderr, self._engine)
            )
            while selector.get_map():
                for key, _ in selector.select(timeout=1):
                    if not key.data.read():
                        selector.unregister(key.fileobj)
                self.progress.seconds = time.monotonic() - self.started
                self.screen.show(str(self.progress))

    def _ours(self, line: str) -> None:
        """A line of the child's own."""
        with contextlib.suppress(ValueError):
            told: dict[str, Any] = json.loads(line)
            if "inputs" in told:
                self.progress.inputs = self.progress.earlier_inputs + told["inputs"]
                self.progress.commands = self.progress.earlier_commands + told["commands"]
            elif told["cause"] not in self.progress.causes:
                self._finding(told["cause"], told["message"], told["path"])

    def _engine(self, line: str) -> None:
        """A line of libFuzzer's."""
        self.screen.last = line or self.screen.last
        if match := _STATUS.search(line):
            self.progress.coverage = int(match[2] or self.progress.coverage)
            self.progress.corpus = int(match[4] or self.progress.corpus)
        elif match := _DONE.search(line):
            self.progress.inputs = self.progress.earlier_inputs + int(match[1])
        elif match := _ARTIFACT.search(line):
            self.artifact = match[1]

    def _finding(self, cause: str, message: str, path: str) -> None:
        self.progress.causes[cause] = path
        self.screen.clear()
        print(f"finding: {message}")
        text = Path(path).with_suffix(".txt")
        if text.exists():
            print(text.read_text().partition("\n")[2].rstrip("\n"))
        replay = f"vmgexit fuzz replay {path}"
        if self.settings.profile != "reference":
            replay += f" --profile {self.settings.profile}"
        if self.settings.plant:
            replay += f" --plant {self.settings.plant}"
        print(f"again: {replay}", flush=True)

    def _death(self, kind: str) -> None:
        """What ended the process is a finding too; libFuzzer has kept the input."""
        if self.artifact and kind not in self.progress.causes:
            kept = Path(self.artifact)
            path = self.settings.findings / f"{self.settings.target.name}-{kept.name}.bin"
            with contextlib.suppress(OSError):
                os.replace(kept, path)
            self._finding(kind, f"{kind}: the input ended the process", str(path))
        self.artifact = ""


class _Lines:
    """A pipe read without blocking, line by line."""

    def __init__(self, pipe: IO[bytes], take: Any) -> None:
        self.pipe, self.take, self.rest = pipe, take, b""
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> bool:
        """Take what is there; False at the end."""
        data: bytes | None = self.pipe.read(1 << 16)
        if not data:
            if data is None:  # nothing there yet
                return True
            if self.rest:
                self.take(self.rest.decode(errors="replace"))
            return False
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(line.decode(errors="replace"))
        return True


class _Screen:
    """One live line on a terminal; a plain line every few seconds elsewhere."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.shown = time.monotonic() if not self.live else 0.0
        self.last = ""

    def show(self, text: str) -> None:
        """Show the state, as often as makes sense."""
        now = time.monotonic()
        if now - self.shown < (0.2 if self.live else PLAIN_SECONDS):
            return
        self.shown = now
        if self.live:
            width = os.get_terminal_size().columns if sys.stdout.isatty() else 80
            print(f"\r\033[K{text[: width - 1]}", end="", flush=True)
        else:
            print(text, flush=True)

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self.live:
            print("\r\033[K", end="")

    def close(self) -> None:
        """End the live line."""
        self.clear()
