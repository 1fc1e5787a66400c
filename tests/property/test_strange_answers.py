"""A peer's answers are a stranger's: whatever stands in them, a cause is named in one line."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.compare import causes, host_causes
from vmgexit.descriptions import Answer, Command
from vmgexit.hosts.quirks import REFERENCE as HOST_REFERENCE
from vmgexit.hosts.scenario import Session
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import REFERENCE
from vmgexit_fuzz.targets import Conditions, find
from vmgexit_fuzz.targets.ghcb import programs

NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.floats() | st.sampled_from([0, 1, 8, 1 << 64])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=9)
        | st.dictionaries(st.sampled_from(["call", "cpu", "", "\n"]) | st.text(max_size=3), inner)
    ),
    max_leaves=12,
)
"""What JSON holds."""


class Strange:
    """A machine, but that the last command, or a look after it, is answered with something else."""

    def __init__(self, machine: Any, at: int, change: Callable[[Answer], Answer]) -> None:
        self.machine, self.left, self.change = machine, at, change

    def execute(self, command: Command) -> Answer:
        self.left -= 1
        answer: Answer = self.machine.execute(command)
        return answer if self.left else self.change(answer)


@st.composite
def changes(draw: st.DrawFn) -> Callable[[Answer], Answer]:
    value, key = draw(VALUES), draw(st.text(max_size=3))
    pick = draw(st.randoms(use_true_random=False))

    def change(answer: Answer) -> Answer:
        """Another value anywhere in it, or a key that nobody knows."""
        places: list[tuple[Any, Any]] = [(answer, key)]
        seen: list[Any] = [answer]
        while seen:
            held = seen.pop()
            inner = held.items() if isinstance(held, dict) else enumerate(held)
            for name, one in list(inner):
                places.append((held, name))
                if isinstance(one, dict | list):
                    seen.append(one)
        held, name = pick.choice(places)
        held[name] = value
        return answer

    return change


def commands_of(target: str, seed: int) -> Sequence[Command]:
    opened: Any = find(target).open(Conditions())
    data = opened.make(random.Random(seed))
    made: Sequence[Command] = (
        programs.read(data) if target == "host-peer" else opened.commands(data)
    )
    return made


@pytest.mark.parametrize("target", ["peer", "svsm-peer", "host-peer"])
@given(seed=st.integers(0, 50), at=st.integers(1, 60), change=changes())
def test_any_answer_has_a_cause_in_one_line(
    target: str, seed: int, at: int, change: Callable[[Answer], Answer]
) -> None:
    commands = commands_of(target, seed)
    cause: Any
    if target == "host-peer":
        cause = host_causes.first(
            Strange(Session(HOST_REFERENCE), at, change), HOST_REFERENCE, commands
        )
    else:
        cause = causes.first(Strange(Machine(), at, change), REFERENCE, commands)
    if cause is not None:
        assert cause.name.isprintable()
        assert str(cause).isprintable()
        assert len(str(cause)) < 2000
