"""A campaign's folder: what is in it, and that one campaign at a time uses it.

    campaign.json       what it fuzzes, and the format of all this
    corpus/             inputs that reached something new: an ordinary libFuzzer folder
    findings/           what was found (`findings`)
    statistics/N.jsonl  how worker N is doing, a line every few seconds (`statistics`)
    runs.jsonl          when it ran (`runs`)
    states.json         how often inputs from nothing reached each state
    logs/N.log          what worker N's processes said
    lock                held while a campaign runs

Everything is on disk at once: files are written by rename, lines appended whole. A process that is
killed while libFuzzer writes an input leaves a torn one, which its name, a SHA-1, gives away.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vmgexit.errors import VmgexitError
from vmgexit.files import write

FORMAT = 1
LEAST_FREE = 16 << 20  # bytes; a campaign stops before a disk is full
_SHA1 = re.compile(r"[0-9a-f]{40}")
_BEING_WRITTEN = re.compile(r"\.[0-9a-f]{40}\.\d+")  # by `files.write`


@dataclass(frozen=True, slots=True)
class Directory:
    """The places in a campaign's folder."""

    path: Path
    corpus: Path
    findings: Path

    @classmethod
    def at(cls, path: Path, corpus: Path | None = None, findings: Path | None = None) -> Directory:
        """The places in `path`; corpus and findings may be kept elsewhere."""
        return cls(path, corpus or path / "corpus", findings or path / "findings")

    @property
    def statistics(self) -> Path:
        """A file for each worker."""
        return self.path / "statistics"

    @property
    def logs(self) -> Path:
        """A file for each worker."""
        return self.path / "logs"

    @property
    def runs(self) -> Path:
        """When it ran."""
        return self.path / "runs.jsonl"

    @property
    def began(self) -> float:
        """When a campaign last began here, as `time.time` has it; 0 where none did."""
        with contextlib.suppress(OSError):
            return (self.path / "lock").stat().st_mtime
        return 0.0

    def read(self) -> dict[str, Any]:
        """What `campaign.json` says. Raises VmgexitError when this is no campaign's folder, or one of
        a newer version."""
        path = self.path / "campaign.json"
        try:
            about = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise VmgexitError(f"{self.path}: no campaign: a campaign.json expected") from None
        except OSError as error:
            raise VmgexitError(f"{path}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise VmgexitError(f"{path}: unreadable, a JSON object expected") from None
        if not isinstance(about, dict) or not isinstance(about.get("format"), int):
            raise VmgexitError(f"{path}: no format found, {FORMAT} expected")
        if about["format"] > FORMAT:
            raise VmgexitError(
                f"{path}: format {about['format']} found, written by a newer version;"
                f" this one reads up to {FORMAT}"
            )
        return about

    @contextlib.contextmanager
    def used(self, **about: Any) -> Iterator[int]:
        """Use the folder for a campaign on `about`, made if need be; how many torn inputs were
        dropped. Raises VmgexitError when it is another's, in use, or cannot be written. What was made
        for it is gone again after a VmgexitError, raised here or where it is used."""
        made: list[Path] = []
        try:
            for folder in (self.path, self.corpus, self.findings, self.statistics, self.logs):
                made += _usable(folder)
            if not self._is_there and self.free() < LEAST_FREE:
                raise VmgexitError(f"{self.path}: {self.full()}")
        except VmgexitError:
            _remove_empty(made)
            raise
        with _locked(self.path / "lock"):
            is_new = not self._is_there
            try:
                self._claim(about)
                yield self._drop_torn()
            except VmgexitError:
                if is_new:
                    self._unmake(made)
                raise

    @property
    def _is_there(self) -> bool:
        return (self.path / "campaign.json").exists()

    def _unmake(self, made: list[Path]) -> None:
        """Take away a campaign that did not begin, and the folders that were made for it."""
        for name in ("campaign.json", "runs.jsonl", "states.json", "lock"):
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.corpus, self.findings, self.statistics, self.logs):
            if folder in made:
                shutil.rmtree(folder, ignore_errors=True)
        _remove_empty(made)

    def _claim(self, about: dict[str, Any]) -> None:
        if not self._is_there:
            text = json.dumps({"format": FORMAT, **about, "created": time.time()}, indent=1)
            write(self.path / "campaign.json", f"{text}\n".encode())
            return
        there = self.read()
        for name, value in about.items():
            if (there.get(name) or "") != value:
                raise VmgexitError(
                    f"{self.path}: a campaign with {name} {there.get(name) or 'none'} found,"
                    f" {value or 'none'} expected; --dir names another folder"
                )

    def _drop_torn(self) -> int:
        torn = 0
        for path in self.corpus.iterdir():
            if _SHA1.fullmatch(path.name) and path.name != _digest(path):
                path.unlink(missing_ok=True)
                torn += 1
            elif _BEING_WRITTEN.fullmatch(path.name):
                path.unlink(missing_ok=True)
        return torn

    def free(self) -> int:
        """Bytes that can still be written here."""
        room = os.statvfs(self.path)
        return room.f_bavail * room.f_frsize

    def full(self) -> str:
        """What is said where too little can be written."""
        return f"the disk is full: {self.free() >> 20} MiB free, {LEAST_FREE >> 20} expected"


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _usable(folder: Path) -> list[Path]:
    """Have a folder to write in; which folders were made for it, the outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f".probe.{os.getpid()}", b"x").unlink()
    except OSError as error:
        _remove_empty(missing[::-1])
        raise VmgexitError(f"{folder}: {error.strerror}, a folder to write in expected") from None
    return missing[::-1]


def _remove_empty(made: list[Path]) -> None:
    """Take away folders that were made, the outermost first in the list, where nothing is in them."""
    for folder in reversed(made):
        with contextlib.suppress(OSError):  # somebody put something in it
            folder.rmdir()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """Hold a lock that ends with our process, however it ends."""
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise VmgexitError(
                f"{path.parent}: in use by another campaign (process {stream.read().strip()})"
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield stream
