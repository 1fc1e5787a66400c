"""Targets that drive a peer, opened for one test."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import TypeVar

from vmgexit_fuzz.targets import Conditions, Target, find

T = TypeVar("T", bound=Target)


def opener(name: str, cls: type[T]) -> Iterator[Callable[..., T]]:
    """What a fixture gives: opens and starts the target with a peer, whose process ends with the test."""
    targets: list[T] = []

    def opened(*words: str, profile: str = "reference", started: bool = True) -> T:
        conditions = Conditions(profile=profile, peer=shlex.join(words), hang_seconds=40)
        target = find(name).open(conditions)
        assert isinstance(target, cls)
        targets.append(target)
        if started:
            target.start()
        return target

    yield opened
    for target in targets:
        target.close()
