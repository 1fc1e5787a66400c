"""A campaign: starts the fuzzing process, follows it, and starts it again when it died.

The corpus is an ordinary libFuzzer directory; seeds are only read. Nothing is kept in memory that a
killed campaign would lose.

What ends the process is a finding like any other, once for each kind: libFuzzer leaves the input of
a hang, of memory used up and of a crash. A process that ends in another way (`os._exit`, a signal)
leaves none, so the next one writes down each input before it runs it. An input that is known to end
the process is not run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from ..targets import Finding, Target
from .findings import save
from .screen import Progress, Screen, replay_command

HANG_SECONDS = 20  # for one input
MEGABYTES = 2048
CLOSING_SECONDS = 2  # for a process that is to end
# So many processes in a row that died young end the campaign: the target is too broken to go on.
MOST_DEATHS = 10
YOUNG = 100  # inputs

# libFuzzer's exit codes for what Python cannot catch.
DEATHS = {70: "hang", 71: "out of memory", 77: "crash"}
INTERRUPTED = (72, -signal.SIGINT, -signal.SIGTERM)

_STATUS = re.compile(r"#(\d+)\s.*?(?:cov: (\d+))?(?: ft: (\d+))?(?: corp: (\d+))")
_ARTIFACT = re.compile(r"Test unit written to (.+)")
_FRAME = re.compile(r'  File "(?:.*/)?([^"/]+)\.py", line \d+ in (\S+)')  # of a hang
_NO_ERROR = re.compile(r"INFO|WARNING|\s|==")


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
    peer: str = ""  # the other implementation's command, as a shell would read it
    hang_seconds: int = HANG_SECONDS
    stop_on_finding: bool = False


def run(settings: Settings) -> int:
    """Run a campaign to its end and print what came of it: 0, or 1 with findings, 130 interrupted."""
    for directory in (settings.corpus, settings.findings):
        _usable(directory)
    progress = Progress(unit=settings.target.steps)
    campaign = _Campaign(settings, progress)
    interrupted = False
    with _terminated_as_interrupted():
        try:
            campaign.go()
        except KeyboardInterrupt:
            interrupted = True
    campaign.screen.say(f"{settings.target.name}: {progress}{', interrupted' * interrupted}")
    for cause, path in progress.causes.items():
        print(f"{'known' if cause in progress.known else 'new'}: {cause}: {path or 'no input'}")
    if interrupted:
        return 130
    return 1 if progress.causes else 0


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a campaign as Ctrl-C does, so that no process is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
        self.screen = Screen()
        self.started = time.monotonic()
        self.deadly: list[str] = []  # SHA-1 of each input that ended a process
        self.recording: IO[bytes] | None = None
        self.young_deaths = 0
        self._forget()

    def _forget(self) -> None:
        """What is known of the process at hand."""
        self.ready = False
        self.stopping = False
        self.error = ""
        self.last = ""
        self.artifact = ""
        self.hangs_in = ""

    def go(self) -> None:
        """One process after the other, until time or runs are used up."""
        while not self._used_up():
            self._forget()
            code = self._process()
            inputs = self.progress.inputs - self.progress.earlier_inputs
            self.progress.earlier_inputs = self.progress.inputs
            self.progress.earlier_steps = self.progress.steps
            if self.error:
                raise VmgexitError(self.error)
            if self.stopping or not code:
                return
            if code in INTERRUPTED:
                raise KeyboardInterrupt
            if not self.ready:
                raise VmgexitError(
                    f"the fuzzing process did not start (exit code {code}): {self.last}"
                )
            self._death(code)
            if self.settings.stop_on_finding and self.progress.causes:
                return
            self.progress.restarts += 1
            self.young_deaths = self.young_deaths + 1 if inputs < YOUNG else 0
            if self.young_deaths == MOST_DEATHS:
                self.screen.say(
                    f"stopped: {MOST_DEATHS} processes in a row died within {YOUNG} inputs"
                )
                return

    def _used_up(self) -> bool:
        seconds, runs = self._seconds_left(), self.settings.runs
        no_time = seconds is not None and seconds < 0.5 and self.progress.restarts > 0
        return no_time or (runs is not None and self.progress.inputs >= runs)

    def _seconds_left(self) -> float | None:
        if self.settings.seconds is None:
            return None
        return self.settings.seconds - (time.monotonic() - self.started)

    def _command(self) -> list[str]:
        settings = self.settings
        child = [sys.executable, "-P", "-m", "vmgexit_fuzz.campaign.child"]
        child += [settings.target.name, str(settings.findings)]
        child += ["--feedback", settings.feedback, "--profile", settings.profile]
        child += [f"--plant={settings.plant}", f"--hang={settings.hang_seconds}"]
        child.append(f"--peer={settings.peer}")
        if (seconds := self._seconds_left()) is not None:
            child.append(f"--seconds={max(seconds, 0.1):.1f}")
        if settings.runs is not None:
            child.append(f"--runs={settings.runs - self.progress.inputs}")
        if self.recording is not None:
            child.append(f"--record={self.recording.fileno()}")
        child += [f"--without={digest}" for digest in self.deadly]
        engine = [
            f"-timeout={settings.hang_seconds}",
            f"-rss_limit_mb={MEGABYTES}",
            f"-max_len={settings.target.longest}",
            f"-artifact_prefix={settings.findings}{os.sep}",
            "-print_final_stats=0",
            "-reload=1",
            "-use_value_profile=0",
        ]
        if settings.seed is not None:
            engine.append(f"-seed={settings.seed + self.progress.restarts}")
        engine.append(str(settings.corpus))
        if settings.target.seeds.is_dir():
            engine.append(str(settings.target.seeds))
        return [*child, "--", *engine]

    def _process(self) -> int:
        """One fuzzing process to its end; its exit code."""
        kept_open = () if self.recording is None else (self.recording.fileno(),)
        with subprocess.Popen(
            self._command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=kept_open
        ) as child:
            try:
                self._follow(child)
                return 0 if self.stopping else child.wait()
            finally:
                _end(child)

    def _follow(self, child: subprocess.Popen[bytes]) -> None:
        """Read both streams until they close, or there is no more time."""
        assert child.stdout is not None
        assert child.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ, _Lines(child.stdout, self._ours))
            selector.register(
                child.stderr, selectors.EVENT_READ, _Lines(child.stderr, self._engine)
            )
            while selector.get_map():
                for key, _ in selector.select(timeout=0.5):
                    if not key.data.read():
                        selector.unregister(key.fileobj)
                self.progress.seconds = time.monotonic() - self.started
                self.screen.show(str(self.progress))
                left = self._seconds_left()
                # It ends by itself, unless one input takes long.
                if self.stopping or (left is not None and left < -1):
                    self.stopping = True
                    return

    def _ours(self, line: str) -> None:
        """A line of the child's own."""
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # cut short by the child's end
        if "inputs" in told:
            self.progress.inputs = self.progress.earlier_inputs + told["inputs"]
            self.progress.steps = self.progress.earlier_steps + told["steps"]
        if "error" in told:
            self.error = told["error"]
        elif "ready" in told:
            self.ready = True
        elif "cause" in told and told["cause"] not in self.progress.causes:
            self._finding(told["cause"], told["message"], Path(told["path"]), told["new"])
            self.stopping = self.settings.stop_on_finding

    def _engine(self, line: str) -> None:
        """A line of libFuzzer's, or a traceback's."""
        if line and not _NO_ERROR.match(line):
            self.last = line
        if match := _STATUS.search(line):
            # The child tells its counts twice a second: of one that died, this may be all there is.
            told = self.progress.earlier_inputs + int(match[1])
            self.progress.inputs = max(self.progress.inputs, told)
            self.progress.coverage = int(match[2] or self.progress.coverage)
            self.progress.corpus = int(match[4] or self.progress.corpus)
        elif match := _ARTIFACT.search(line):
            self.artifact = match[1]
        elif (match := _FRAME.match(line)) and not self.hangs_in:
            self.hangs_in = f"{match[1]}.{match[2]}"

    def _finding(self, cause: str, message: str, path: Path, is_new: bool, **limits: int) -> None:
        self.progress.causes[cause] = str(path)
        again = replay_command(
            path,
            self.settings.profile,
            self.settings.plant,
            limits.get("seconds"),
            self.settings.peer,
        )
        if not is_new:
            self.progress.known.add(cause)
            self.screen.say(f"known: {message}\nagain: {again}")
            return
        try:
            shown = path.with_suffix(".txt").read_text().partition("\n")[2].rstrip("\n")
        except OSError:  # whoever took it away has seen it
            shown = ""
        self.screen.say("\n".join(filter(None, (f"finding: {message}", shown, f"again: {again}"))))

    def _death(self, code: int) -> None:
        """What ended the process is a finding too; its input is in an artifact or recorded."""
        if code in DEATHS:
            cause = DEATHS[code]
        elif code < 0:
            cause = f"ended by {signal.Signals(-code).name}"
        else:
            cause = f"ended with code {code}"
        where = f" in {self.hangs_in}" if code == 70 and self.hangs_in else ""
        message = f"{cause}{where}: the input ended the fuzzing process"
        data = self._last_input()
        if data is None:
            if self.recording is None:
                self.recording = tempfile.TemporaryFile()  # noqa: SIM115 - as long as we are
                self.recording.truncate(4 + (1 << 20))
                self.screen.say(f"{cause}: the fuzzing process left no input; recording them now")
            if cause not in self.progress.causes:
                self.progress.causes[cause] = ""
            return
        self.deadly.append(hashlib.sha1(data).hexdigest())
        if self.progress.causes.get(cause):
            return
        try:
            saved = save(
                self.settings.target,
                Finding(cause, message),
                data,
                self.settings.findings,
                deadly=True,
            )
        except OSError as error:
            raise VmgexitError(
                f"{self.settings.findings}: a finding could not be kept: {error.strerror}"
            ) from None
        limits = {"seconds": self.settings.hang_seconds} if code == 70 else {}
        self._finding(cause, message, saved.path, saved.is_new, **limits)

    def _last_input(self) -> bytes | None:
        """What the process ran when it ended, as far as that is known."""
        if self.artifact:
            with contextlib.suppress(OSError):
                data = Path(self.artifact).read_bytes()
                os.unlink(self.artifact)  # `save` keeps it under our own name
                return data
        if self.recording is None:
            return None
        self.recording.seek(0)
        size = int.from_bytes(self.recording.read(4), "little")
        return self.recording.read(size)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process that may still run: politely, then for certain."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(CLOSING_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            child.kill()


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
