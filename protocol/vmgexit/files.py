"""Writing files by rename: a file is there whole or not at all, whatever stops us."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes) -> Path:
    """Write `data` to `path`, making its folder if need be. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
