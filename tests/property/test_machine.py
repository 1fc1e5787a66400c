"""hypothesis drives the machine: any scenario keeps the invariants of the reference, both spellings
of a scenario say the same, and no doorbell page or VMSA stops the SVSM."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit.machine.commands import call, checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.scenario import sequences, show, to_lines
from vmgexit.watch.watch import Watch, run
from vmgexit_fuzz.strategies import scenarios

VECTORS = st.sampled_from([0, 5, 15, 16, 30, 31, 32, 0x47, 0x50, 0x55, 0x61, 0x80, 0xF1, 0xFF])
CPUS = st.integers(0, 2)
REGISTERS = st.sampled_from([0x802, 0x803, 0x808, 0x80A, 0x80B, 0x80D, 0x812, 0x81A, 0x822, 0x830])
WORDS = st.integers(0, (1 << 64) - 1)


class Guests(RuleBasedStateMachine):
    """Three vCPUs, a host that follows the rules, guests that do not."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch(Machine())

    @initialize(count=st.integers(0, 3), allowed=st.booleans())
    def begin(self, count: int, allowed: bool) -> None:
        self.do("init", cpus=3, reg_count=count)
        for cpu in range(3 * allowed):
            self.call(cpu, 3, 4, 0x300, 0)

    def do(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self.watch.execute({"op": operation, **arguments})

    @rule(
        cpu=CPUS,
        protocol=st.sampled_from([0, 1, 3, 5]),
        request=st.integers(0, 7),
        rcx=WORDS | REGISTERS,
        rdx=WORDS,
    )
    def call(self, cpu: int, protocol: int, request: int, rcx: int, rdx: int) -> None:
        self.watch.execute(call(cpu, request, rcx, rdx, protocol=protocol))

    @rule(cpu=CPUS, vector=VECTORS)
    def send_to_self(self, cpu: int, vector: int) -> None:
        self.call(cpu, 3, 3, 0x83F, vector)

    @rule(cpu=CPUS, vector=VECTORS, nmi=st.booleans(), shorthand=st.integers(0, 3))
    def send(self, cpu: int, vector: int, nmi: bool, shorthand: int) -> None:
        self.call(cpu, 3, 3, 0x830, vector | nmi << 10 | shorthand << 18 | 1 << 32)

    @rule(cpu=CPUS, request=st.integers(0, 3))
    def configure(self, cpu: int, request: int) -> None:
        self.call(cpu, 3, 1, request, 0)

    @rule(cpu=CPUS, vector=VECTORS, level=st.booleans())
    def post(self, cpu: int, vector: int, level: bool) -> None:
        self.do("host_irq", cpu=cpu, vector=vector, level=level)

    @rule(cpu=CPUS, vector=VECTORS, level=st.booleans(), steps=st.integers(0, 6))
    def post_step_by_step(self, cpu: int, vector: int, level: bool, steps: int) -> None:
        self.do("host_begin", cpu=cpu, vector=vector, level=level)
        for _ in range(steps):
            self.do("host_step", cpu=cpu)

    @rule(cpu=CPUS, steps=st.integers(1, 9))
    def walk(self, cpu: int, steps: int) -> None:
        for _ in range(steps):
            self.do("svsm_step", cpu=cpu)

    @rule(cpu=CPUS, late=st.lists(st.tuples(VECTORS, st.booleans()), max_size=2))
    def enter(self, cpu: int, late: list[tuple[int, bool]]) -> None:
        posts = [{"vector": vector, "level": level} for vector, level in late]
        self.do("enter", cpu=cpu, late=posts)

    @rule(cpu=CPUS)
    def take(self, cpu: int) -> None:
        self.do("guest_take", cpu=cpu)

    @rule(cpu=CPUS, on=st.booleans(), shadow=st.booleans())
    def change(self, cpu: int, on: bool, shadow: bool) -> None:
        self.do("guest", cpu=cpu, **{"if": on, "shadow": shadow})

    @rule(cpu=CPUS, lazy=st.booleans())
    def end(self, cpu: int, lazy: bool) -> None:
        if lazy:
            self.do("guest_lazy_eoi", cpu=cpu)
        else:
            self.call(cpu, 3, 3, 0x80B, 0)

    @rule(cpu=CPUS, address=st.sampled_from([0x20002000, 0x30000000, 0x30000800]))
    def remap(self, cpu: int, address: int) -> None:
        self.call(cpu, 0, 0, address, 0)

    @rule(cpu=CPUS)
    def recreate(self, cpu: int) -> None:
        self.do("set_vmsa", cpu=cpu)


TestGuests = Guests.TestCase
TestGuests.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(data=st.binary(max_size=36 * 60))
@settings(max_examples=150)
def test_every_program_is_a_scenario_that_keeps_the_invariants(data: bytes) -> None:
    commands = program.read(data)
    for command in commands:
        checked(command)
    if commands:
        assert commands[0]["op"] == "init"
    run(commands)


@given(data=st.binary(max_size=36 * 40))
@settings(max_examples=150)
def test_both_spellings_of_a_program_say_the_same(data: bytes) -> None:
    commands = program.read(data)
    assert program.read(program.write(commands)) == commands
    spelled = [s.commands for s in sequences(to_lines(commands).splitlines())]
    assert [command for part in spelled for command in part] == commands


@given(commands=scenarios())
@settings(max_examples=150)
def test_both_spellings_of_a_scenario_say_the_same(commands: list[Command]) -> None:
    for command in commands:
        checked(command)
        if command.get("late") == []:
            del command["late"]  # none is the same as no list
    assert program.read(program.write(commands)) == commands
    assert [part.commands for part in sequences(to_lines(commands).splitlines())] == [commands]
    assert len(show(commands).splitlines()) == len(commands)


@given(page=st.binary(min_size=256, max_size=256), event=WORDS, vintr=WORDS, exit_info=WORDS)
@settings(max_examples=300)
def test_no_page_and_no_vmsa_stops_the_svsm(
    page: bytes, event: int, vintr: int, exit_info: int
) -> None:
    scenario = [
        {"op": "init", "cpus": 1, "reg_count": 1},
        call(0, 4, 0x300),
        {"op": "set_doorbell", "cpu": 0, "hex": page.hex()},
        {"op": "enter", "cpu": 0},
        {"op": "guest_take", "cpu": 0},
        {"op": "set_vmsa", "cpu": 0, "event_inj": event, "vintr": vintr},
        {"op": "enter", "cpu": 0},
        {"op": "intercept", "cpu": 0, "exitintinfo": exit_info, "busy": True},
        {"op": "set_doorbell", "cpu": 0, "hex": page.hex()},
        {"op": "enter", "cpu": 0},
        call(0, 2, 0x80A),
        call(0, 1, 1),
    ]
    run(scenario)
