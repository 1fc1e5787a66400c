"""Writing files by rename: a file is there whole or not at all, whatever stops the program.

A path that is no regular file, such as /dev/stdout or a pipe, is written to directly: a rename
would put a file in its place.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write(path: Path, data: bytes) -> Path:
    """Write `data` to `path`, making its folder if need be. Raises OSError that names `path`."""
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                stream.write(data)
        else:
            # A link stays, and what it leads to is replaced.
            _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        # The temporary file is no name that a person gave, and a full disk names none at all.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    return path


def write_output(path: Path, data: bytes) -> Path:
    """As `write`, of what a command was asked for: a folder that is missing is an error, not made."""
    check_folder_of(path)
    return write(path, data)


def check_folder_of(path: Path) -> None:
    """Raise FileNotFoundError where the folder is missing in which `path` is to stand."""
    # The path itself may be wrong in another way, which `write` names.
    if not os.path.lexists(path.parent) and not any(part.is_file() for part in path.parents):
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(path.parent))


def _replace(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
