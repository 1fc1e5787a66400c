"""Merging: a campaign takes in other corpora, and keeps the inputs that it needs."""

from __future__ import annotations

from pathlib import Path

from vmgexit.errors import VmgexitError

from ..process.prune import prune
from .folder import Directory


def merge(directory: Directory, others: list[Path]) -> tuple[int, int]:
    """Merge other corpora into a campaign's: how many inputs there were, and are. Raises
    VmgexitError."""
    about = directory.read()
    names = ("target", "profile", "plant", "peer")
    if not about.keys() >= set(names):
        raise VmgexitError(f"{directory.path / 'campaign.json'}: {', '.join(names)} expected")
    identity = {name: about[name] for name in names} | {"guest": about.get("guest", "")}
    for other in others:
        if not other.is_dir():
            raise VmgexitError(f"{other}: no folder")
    with directory.used(**identity):
        return prune(directory.corpus, identity, others)
