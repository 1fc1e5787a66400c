"""The commands of a scenario as the rules of a hypothesis state machine.

One rule for each operation and each call of interest, with the values that our own mutator takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from vmgexit.machine.commands import REFUSABLE, Command
from vmgexit.watch.invariants import Violation
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.svsm import CoreCall, Protocol
from vmgexit_fuzz.inputs.programs import EXITS, NUMBERS, PAGES, VECTORS
from vmgexit_fuzz.targets.scenarios import ProgramTarget, finding

Commands = st.SearchStrategy[Command]

_FLAGS = st.booleans()
_VECTORS = st.sampled_from(VECTORS) | st.integers(0, 255)
_REGISTERS = st.sampled_from(ApicRegister).map(int)
_NUMBERS = st.sampled_from(NUMBERS) | st.integers(0, (1 << 64) - 1)
_EVENTS = st.sampled_from(EXITS) | _VECTORS.map(lambda vector: 0x80000000 | vector)
_POSTS = st.lists(st.fixed_dictionaries({"vector": _VECTORS, "level": _FLAGS}), max_size=2)


def _command(operation: str, *, optional: dict[str, Any] | None = None, **given: Any) -> Commands:
    fixed = {"op": st.just(operation), "cpu": st.integers(0, 3), **given}
    return st.fixed_dictionaries(fixed, optional=optional or {})


def _call(request: Any, rcx: Any, rdx: Any = 0, protocol: Any = Protocol.APIC) -> Commands:
    numbers = {"protocol": protocol, "request": request, "rcx": rcx, "rdx": rdx, "r8": 0}
    return _command("call", **{name: _chosen(value) for name, value in numbers.items()})


def _chosen(value: Any) -> Any:
    return value if isinstance(value, st.SearchStrategy) else st.just(int(value))


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
    "host_irq": _command("host_irq", vector=_VECTORS, level=_FLAGS),
    "host_begin": _command("host_begin", vector=_VECTORS, level=_FLAGS),
    "host_step": _command("host_step"),
    "host_refuse": _command("host_refuse", call=st.sampled_from(REFUSABLE)),
    "svsm_step": _command("svsm_step"),
    "enter": _command("enter", optional={"late": _POSTS}),
    "guest_take": _command("guest_take", optional={"gate": _FLAGS}),
    "guest": _command(
        "guest", **{"if": _FLAGS, "shadow": _FLAGS}, optional={"cr8": st.integers(0, 15)}
    ),
    "guest_lazy_eoi": _command("guest_lazy_eoi"),
    "intercept": _command("intercept", exitintinfo=_EVENTS, busy=_FLAGS),
    "set_vmsa": _command("set_vmsa", optional={"event_inj": _EVENTS}),
    "set_doorbell": _command("set_doorbell", hex=_page()),
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
    "call": _call(st.integers(0, 8), _NUMBERS, _NUMBERS, st.integers(0, 4)),
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

        def carry_out(self, command: Command) -> None:
            step(self.execute, {**command, "cpu": command["cpu"] % self.cpus})

        def execute(self, command: Command) -> None:
            try:
                self.execution.execute(command)
            except Violation as violation:
                raise finding(violation) from None

        def teardown(self) -> None:
            count()

    for name, commands in RULES.items():
        # Each rule needs a function of its own.
        def carry_out(self: Scenario, command: Command) -> None:
            self.carry_out(command)

        setattr(Scenario, name, rule(command=commands)(carry_out))
    return Scenario
