"""What a peer does wrong has one name, whichever command of whichever scenario brings it to light."""

import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from vmgexit.descriptions import Answer, Command
from vmgexit.errors import PeerError
from vmgexit.machine import program
from vmgexit.machine.machine import Machine
from vmgexit_fuzz.inputs.programs import stock
from vmgexit_fuzz.targets import Conditions, Finding, find
from vmgexit_fuzz.targets.peer import PeerTarget

Does = Callable[["Misbehaves", Command], bool]


class Misbehaves:
    """Our machine as a peer, which fails on a condition. A failure is of the process: the next has a new
    count. With `late` it shows after the answer, when the next command is written."""

    def __init__(self, does: Does, kind: str, *, late: bool = False) -> None:
        self.does, self.kind, self.late = does, kind, late
        self.machine, self.count, self.is_due = Machine(), 0, False
        self.pick = random.Random(7)

    def execute(self, command: Command) -> Answer:
        self.settle(0, is_earlier=self.kind == "number")
        self.count += 1
        if self.does(self, command):
            self.is_due = True
            if not self.late:
                self.settle(0)
        return self.machine.execute(command)

    def answers(self, commands: Sequence[Command]) -> Iterator[Answer]:
        return map(self.execute, commands)

    def settle(self, seconds: float, *, is_earlier: bool = False) -> None:
        if self.is_due:
            self.is_due, self.count = False, 0
            raise PeerError("a test", kind=self.kind, is_earlier=is_earlier)


class OtherAnswers(Misbehaves):
    """A peer that does not fail, but answers something else."""

    other: Answer

    def execute(self, command: Command) -> Answer:
        self.count += 1
        answer = self.machine.execute(command)
        return self.other if self.does(self, command) else answer


def at_take(peer: Misbehaves, command: Command) -> bool:
    return bool(command["op"] == "guest_take")


def at_init(peer: Misbehaves, command: Command) -> bool:
    return bool(command["op"] == "init")


def each_50(peer: Misbehaves, command: Command) -> bool:
    return peer.count % 50 == 0


def now_and_then(peer: Misbehaves, command: Command) -> bool:
    return peer.pick.random() < 0.01


def causes(peer: Misbehaves) -> set[str]:
    """What forty inputs find."""
    target = find("peer").open(Conditions())
    assert isinstance(target, PeerTarget)
    target.answering = lambda: peer  # type: ignore[assignment, return-value]
    made, pick, found = stock(), random.Random(15), set[str]()
    for _ in range(40):
        try:
            target.run(made.program(pick))
        except Finding as finding:
            found.add(finding.cause)
    return found


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", ["death", "garbage", "number"])
@pytest.mark.parametrize(
    ("does", "place"),
    [
        (at_take, "at guest_take"),
        (at_init, "at init"),
        (each_50, "at no certain command"),
        (now_and_then, "at no certain command"),
    ],
)
def test_a_failure_has_one_name(does: Does, place: str, kind: str, late: bool) -> None:
    assert causes(Misbehaves(does, kind, late=late)) == {f"{kind} {place}"}


@pytest.mark.parametrize(
    ("does", "place"), [(at_take, "at guest_take"), (each_50, "at no certain command")]
)
def test_a_hang_has_one_name(does: Does, place: str) -> None:
    assert causes(Misbehaves(does, "hang")) == {f"hang {place}"}


@pytest.mark.parametrize(
    ("does", "cause"),
    [
        (lambda _, command: command["op"] == "call", "call: an answer to something else"),
        (at_take, "guest_take: an answer to something else"),
        (now_and_then, "another answer at no certain command"),
    ],
)
def test_an_answer_of_another_form_has_one_name(does: Does, cause: str) -> None:
    peer = OtherAnswers(does, "")
    peer.other = {"yes": 1e308}
    assert causes(peer) == {cause}


def test_a_number_that_is_none_has_one_name() -> None:
    peer = OtherAnswers(lambda _, command: command["op"] == "call", "")
    peer.other = {"rax": {"a": "b"}, "rcx": 0, "rdx": 0, "r8": 0}
    assert causes(peer) == {"call: rax is no number"}


def test_what_the_input_before_has_left_behind() -> None:
    """A peer that answers its last command twice is heard with the next input."""
    target = find("peer").open(Conditions())
    assert isinstance(target, PeerTarget)
    peer = Misbehaves(at_take, "number", late=True)
    target.answering = lambda: peer  # type: ignore[assignment, return-value]
    init: Command = {"op": "init", "cpus": 1, "reg_count": 0}
    data = program.write([init, {"op": "guest_take", "cpu": 0}])
    assert target.run(data) == 2
    with pytest.raises(Finding) as caught:
        target.run(program.write([init]))
    assert caught.value.cause == "number at guest_take"
    assert caught.value.data == data
