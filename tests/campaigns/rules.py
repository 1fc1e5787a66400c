"""The commands of a scenario as the rules of a hypothesis state machine.

One rule for each operation and each call of interest, with the values that our own mutator takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from vmgexit.descriptions import U64, Actor, Command, Number
from vmgexit.machine.commands import VECTOR, WITHOUT_MEMORY
from vmgexit.watch.judged import Violation
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.svsm import CoreCall, Protocol
from vmgexit_fuzz.inputs.bursts import PAGES
from vmgexit_fuzz.strategies.scenarios import Commands, argument, command
from vmgexit_fuzz.targets.scenarios import ProgramTarget, finding

_REGISTERS = st.sampled_from(ApicRegister).map(int)
_VECTORS, _NUMBERS = argument(VECTOR), argument(Number(U64))


def _call(request: Any, rcx: Any, rdx: Any = 0, protocol: int = Protocol.APIC) -> Commands:
    return command("call", protocol=int(protocol), request=request, rcx=rcx, rdx=rdx, r8=0)


def _write(register: Any, value: Any) -> Commands:
    return _call(ApicCall.WRITE_REGISTER, register, value)


@st.composite
def _icr(draw: st.DrawFn) -> int:
    number: int = (
        draw(_VECTORS) | draw(st.sampled_from((0, 4))) << 8 | draw(st.integers(0, 1)) << 11
    )
    number |= draw(st.integers(0, 3)) << 18
    return number | draw(st.sampled_from((0, 1, 2, 3, 0x10001, 0xFFFFFFFF))) << 32


@st.composite
def _page(draw: st.DrawFn) -> str:
    page = bytearray(256)
    page[1], page[3] = draw(st.integers(0, 255)), draw(st.integers(0, 255))
    page[0x80:0xC0] = draw(st.binary(min_size=64, max_size=64))
    return page.hex()


RULES: dict[str, Commands] = {
    name: command(name)
    for name, described in WITHOUT_MEMORY.items()
    if described.by is not Actor.NOBODY
} | {
    "set_doorbell": command("set_doorbell", hex=_page()),
    "read": _call(ApicCall.READ_REGISTER, _REGISTERS | _NUMBERS),
    "write_tpr": _write(ApicRegister.TPR, st.integers(0, 255)),
    "write_eoi": _write(ApicRegister.EOI, st.sampled_from((0, 0, 0, 1))),
    "self_ipi": _write(ApicRegister.SELF_IPI, _VECTORS),
    "ipi": _write(ApicRegister.ICR, _icr()),
    "write": _write(_REGISTERS | _NUMBERS, _NUMBERS),
    "register": _call(ApicCall.CONFIGURE_EMULATION, st.integers(0, 3)),
    "allow_all": _call(ApicCall.CONFIGURE_VECTOR, 0x300),
    "allow": _call(ApicCall.CONFIGURE_VECTOR, st.integers(0, 0x3FF)),
    "remap": _call(CoreCall.REMAP_CA, st.sampled_from(PAGES), protocol=Protocol.CORE),
    "query": _call(CoreCall.QUERY_PROTOCOL, 3 << 32 | 1, protocol=Protocol.CORE),
    "call": command("call", protocol=st.integers(0, 4), request=st.integers(0, 8)),
}

Step = Callable[[Callable[[Any], object], Any], None]


def scenarios(
    target: ProgramTarget, step: Step, count: Callable[[], None]
) -> type[RuleBasedStateMachine]:
    """A state machine whose every run is a scenario under watch. `step` carries a command out, `count`
    is told of each run that is over."""

    class Scenario(RuleBasedStateMachine):
        @initialize(cpus=st.integers(1, 3), registrations=st.sampled_from((0, 1, 2, 0xFFFFFFFF)))
        def start(self, cpus: int, registrations: int) -> None:
            self.cpus = cpus
            self.execution = target.begin()
            step(self.execute, {"op": "init", "cpus": cpus, "reg_count": registrations})

        def carry_out(self, made: Command) -> None:
            step(self.execute, {**made, "cpu": made["cpu"] % self.cpus})

        def execute(self, made: Command) -> None:
            try:
                self.execution.execute(made)
            except Violation as violation:
                raise finding(violation) from None

        def teardown(self) -> None:
            count()

    for name, commands in RULES.items():
        # Each rule needs a function of its own.
        def carry_out(self: Scenario, made: Command) -> None:
            self.carry_out(made)

        setattr(Scenario, name, rule(made=commands)(carry_out))
    return Scenario
