"""What one command did to a GHCB host and its VM, as the invariants of `invariants` look at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ...descriptions import Answer, Command
from ...hosts.asked import PRIVATE_ATTRIBUTE, Asked
from ...hosts.request import Request
from ...hosts.restricted import MACHINE_CHECK, NMI, Doorbell, interrupt, is_restricted
from ...hosts.vm import Vcpu, Vm
from ...wire.exit_codes import MalformedInput, Status
from ...wire.exits import find_exit
from ...wire.ghcb import GhcbPage
from ...wire.ghcb_msr import GhcbInfo, PageOperation
from ...wire.page_size import PAGE
from .documented import Run, error_of


@dataclass(slots=True)
class Waiting:
    """The events for VMPL 0 of a vCPU: what waits with the host, what its doorbell page holds, and what
    was injected itself; each as EVENTINJ would hold it."""

    with_host: Counter[int]
    in_page: Counter[int]
    injected: Counter[int]
    no_further_signal: bool

    @property
    def all(self) -> set[int]:
        return {*self.with_host, *self.in_page, *self.injected}


OF_EVENTS = frozenset({"irq", "nmi", "machine_check", "enter", "cancel", "take"})
"""The commands that are about events for VMPL 0."""


def waiting(vm: Vm, cpu: Vcpu) -> Waiting:
    """The events for VMPL 0 of a vCPU, now."""
    pending = Doorbell(vm, cpu).read()
    with_host = [interrupt(vector) for vector in cpu.waiting_irqs]
    with_host += [NMI] * cpu.waiting_nmi
    with_host += [MACHINE_CHECK] * cpu.waiting_machine_check
    injected = [cpu.event_inj] if cpu.event_inj and not is_restricted(vm) else []
    return Waiting(
        Counter(with_host),
        Counter(pending.events if pending else []),
        Counter(injected),
        bool(pending and pending.flags.no_further_signal),
    )


@dataclass(slots=True)
class Kept:
    """What a host keeps of its VM, as it was before a command."""

    registered: list[int]  # GHCB of each vCPU
    vcpus: str
    jump_table: int
    runs: list[Run]
    mappings: int

    @classmethod
    def of(cls, vm: Vm) -> Kept:
        registered = [cpu.registered for cpu in vm.vcpus]
        return cls(registered, repr(vm.vcpus), vm.jump_table, list(vm.pages.runs), vm.mappings)

    def differs(self, vm: Vm) -> str:
        """What is not as it was; "" where all is."""
        if self.vcpus != repr(vm.vcpus):
            return "a vCPU's state"
        if self.jump_table != vm.jump_table:
            return "the jump table"
        return "the state of pages" if self.runs != vm.pages.runs else ""


@dataclass
class Step:
    """One command, what the host kept before it, its answer, and the VM after it."""

    index: int
    command: Command
    vm: Vm
    before: Kept
    waiting: Waiting | None  # before a command of `OF_EVENTS`
    answer: Answer = field(default_factory=dict)
    request: Request | None = None

    @property
    def cpu(self) -> int:
        number: int = self.command.get("cpu", 0)
        return number

    @property
    def asked(self) -> list[Asked]:
        found: list[Asked] = self.answer["asked"]
        return found

    @property
    def raced(self) -> bool:
        return bool(self.command.get("meanwhile"))

    @cached_property
    def page(self) -> GhcbPage:
        """The request, as the host saw it."""
        assert self.request is not None
        return GhcbPage.decode(self.request.page.as_fetched())

    @cached_property
    def error(self) -> MalformedInput | None:
        """The error that the page deserves, None where it breaks no rule."""
        assert self.request is not None
        registered = self.before.registered[self.cpu]
        return error_of(self.page, self.request.gpa, self.vm.setup, registered)

    @cached_property
    def after(self) -> GhcbPage:
        """The page with the host's answer."""
        assert self.request is not None
        return GhcbPage.decode(bytes(self.request.page.memory))

    @property
    def is_answered(self) -> bool:
        """Whether this was a page that the host answered, and that no other vCPU wrote meanwhile."""
        is_told = "status" in self.answer  # not where the page's address stood in the MSR
        return is_told and self.answer["run"] == "guest" and not self.raced

    @property
    def is_done(self) -> bool:
        return self.is_answered and self.answer["status"] == Status.DONE

    def place(self) -> str:
        """Where a rule broke: the exit, the MSR word or the command."""
        if self.request is not None:
            row = find_exit(self.page.sw_exit_code)
            return f"the exit {row.name}" if row else "an exit that does not exist"
        if self.command["op"] == "msr":
            info = self.command["request"] & 0xFFF
            names = {int(one): one.name for one in GhcbInfo}
            return f"the MSR word {names.get(info, 'unknown')}"
        return f"{self.command['op']}"


# --- page states ---


def mapped(step: Step) -> Iterator[Run]:
    """The pages that user space was asked to change, and did: first frame, pages, state."""
    if "asked" not in step.answer:
        return
    number = step.before.mappings
    for what in step.asked:
        if what[0] == "map":
            _, gpa, pages, attributes = what
            assert isinstance(gpa, int)
            assert isinstance(pages, int)
            assert isinstance(attributes, int)
            private = attributes & PRIVATE_ATTRIBUTE
            if number != step.vm.setup.map_fails_at:
                state = PageOperation.PRIVATE if private else PageOperation.SHARED
                yield gpa // PAGE, pages, state
            number += 1


SinglePage = tuple[int, PageOperation]


def single_pages(runs: Iterable[Run]) -> list[SinglePage]:
    """Each frame of the runs, with its state, in order."""
    return [(frame + page, state) for frame, pages, state in runs for page in range(pages)]
