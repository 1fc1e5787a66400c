"""The adapter of a GHCB host: it reads commands, keeps guest memory, and writes answers."""

from __future__ import annotations

from typing import Any

from . import events
from .layouts import Ghcb, Place
from .lines import Answer, Command, panic_by, read_lines, say, say_hello
from .reading import Wrong, read_command
from .vm import GUEST, PAGE, UNTOUCHED, Page, Vm
from .vms import FIELDS, INTERRUPT, MACHINE_CHECK, NMI, RETURNED, Setup, Vcpu

TAKEN_OVER = 0x400  # the page's bytes up to the end of its valid bitmap
NEAR = 7  # changed bytes that lie no further apart are told as one run

_EVENTS = {"irq": INTERRUPT, "nmi": NMI, "machine_check": MACHINE_CHECK}

Run = Any  # GUEST, UNTOUCHED, or a list of why the VM ends and a number


class Host:
    """The calls into a host. Yours is a subclass. `cpu` is below `vm.setup.vcpus`."""

    name = "a GHCB host"
    profile = "reference"
    stays = False  # the process goes on after a panic: `init` leaves nothing of what was before
    tells = False  # it writes what it keeps to `vm.vcpus` and `vm.jump_table`: `state` says all
    has_events = False  # it carries out the events for VMPL 0 (`events`), by `enter` and `cancel`

    def init(self, vm: Vm) -> None:
        """A fresh host for this VM."""
        raise NotImplementedError

    def knows(self, page: Page) -> bool:
        """Whether it carries out an exit with such a page; what it does not have is not supported."""
        raise NotImplementedError

    def vmgexit(self, cpu: int, gpa: int) -> Run:
        """The guest exits with `vm.page` at `gpa`. The host changes the page, and asks by `vm`."""
        raise NotImplementedError

    def knows_word(self, word: int) -> bool:
        """Whether it answers such a word in the GHCB MSR."""
        raise NotImplementedError

    def msr(self, cpu: int, word: int) -> tuple[Run, int]:
        """How the guest goes on, and the word afterwards."""
        raise NotImplementedError

    def sipi(self, cpu: int) -> None:
        """A start-up IPI for a vCPU that waits for one."""
        raise NotImplementedError

    def enter(self, vcpu: Vcpu) -> None:
        """Tell VMPL 0 of the events that wait: what is injected is `vcpu.event_inj`."""
        raise NotImplementedError

    def cancel(self, vcpu: Vcpu) -> list[int]:
        """The last entry did not come to VMRUN: the events that wait again, as EVENTINJ holds them."""
        raise NotImplementedError


def answer_commands(host: Host) -> None:
    """Say hello, and answer every line until standard input ends, or a host that does not stay raises."""
    adapter = _Adapter(host)
    say_hello(
        host.name, host.profile, {"machine": "host"} | ({"stays": True} if host.stays else {})
    )
    for line in read_lines():
        try:
            say(adapter.answer(line))
        except Exception as error:
            adapter.stopped = panic_by(error)
            say(adapter.stopped)
            if not host.stays:
                return


class _Adapter:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.vm: Vm | None = None
        self.stopped: Answer | None = None  # what answers until the next `init`

    def answer(self, line: bytes) -> Answer:
        try:
            command = read_command(line)
            if command["op"] == "init":
                self.stopped = None
                return self.init(command)
            if self.stopped is not None:
                return self.stopped
            if self.vm is None:
                raise Wrong("a command before init")
            return self.carry_out(self.vm, command)
        except Wrong as wrong:
            return {"unsupported": str(wrong)}

    def init(self, command: Command) -> Answer:
        given = {key: value for key, value in command.items() if key != "op" and value is not None}
        for key in ("memory", "cpuid"):
            if key in given:
                given[key] = tuple(map(tuple, given[key]))
        self.vm = Vm(Setup(**given))
        self.host.init(self.vm)
        return {"ok": True}

    def carry_out(self, vm: Vm, command: Command) -> Answer:
        operation, cpu = command["op"], command.get("cpu") or 0
        if operation == "state":
            return self.state(vm)
        if cpu >= vm.setup.vcpus:
            raise Wrong("a vCPU that does not exist")
        if operation == "vmgexit":
            return self.vmgexit(vm, command, cpu)
        if operation == "msr":
            return self.msr(vm, command["request"], cpu)
        if operation == "write":
            return {"ok": vm.store(command["gpa"], bytes.fromhex(command["hex"]))}
        if operation == "read":
            data = vm.load(command["gpa"], command["size"])
            return {"hex": None if data is None else data.hex()}
        if operation == "sipi":
            was_held, vm.vcpus[cpu].held = vm.vcpus[cpu].held, False
            if was_held:
                self.host.sipi(cpu)
            return {"released": was_held}
        if not self.host.has_events:
            raise Wrong("events for VMPL 0")
        return self.events(vm, command, vm.vcpus[cpu])

    def events(self, vm: Vm, command: Command, vcpu: Vcpu) -> Answer:
        """What waits for VMPL 0, is told it, and is taken by it."""
        operation = command["op"]
        told: Answer = {}
        if operation in _EVENTS:
            events.wait_for(vcpu, _EVENTS[operation] | command.get("vector", 0))
            return {"waiting": events.waiting(vcpu)}
        if operation == "take":
            told["events"] = events.take(vm, vcpu, command["tpr"])
            return {**told, "doorbell": events.word(vm, vcpu)}
        if operation == "cancel":
            told["events"] = self.host.cancel(vcpu)
        else:
            self.host.enter(vcpu)
            told |= {"vmpl": vcpu.vmpl, "event_inj": vcpu.event_inj}
        return {**told, "doorbell": events.word(vm, vcpu), "waiting": events.waiting(vcpu)}

    def state(self, vm: Vm) -> Answer:
        known = {"ended": vm.has_ended, "mappings": vm.mappings, "pages": vm.states.told()}
        if not self.host.tells:
            return {"unsupported": "what the host keeps", **known}
        told = ((cpu, vcpu.told(vm.setup.registered)) for cpu, vcpu in enumerate(vm.vcpus))
        vcpus = {str(cpu): changed for cpu, changed in told if changed}
        return {**known, "jump_table": vm.jump_table, "vcpus": vcpus}

    def vmgexit(self, vm: Vm, command: Command, cpu: int) -> Answer:
        gpa, pieces = command["gpa"], command["page"]
        if gpa % PAGE:
            raise Wrong("a page that is not aligned")
        page = Page(PAGE)
        if pieces is None:
            page[:] = vm.load(gpa, PAGE) or bytes(PAGE)
        for at, text in pieces or ():
            page[at : at + len(text) // 2] = bytes.fromhex(text)
        if not self.host.knows(page):
            raise Wrong("an exit that the host does not have")
        if stands := _stands(vm, cpu):
            return {"run": stands, "page": "untouched", "asked": []}
        before = bytes(page)
        vm.asked.clear()
        vm.cpu, vm.page, vm.page_at = cpu, page, gpa
        vm.meanwhile = [(at, bytes.fromhex(text)) for at, text in command["meanwhile"] or ()]
        if vm.is_memory(gpa, PAGE):
            vm.pages[gpa // PAGE] = page
        vm.go_on_meanwhile()
        page[:TAKEN_OVER] = before[:TAKEN_OVER]  # which the host has by then
        run = self.host.vmgexit(cpu, gpa)
        vm.go_on_meanwhile()
        vm.meanwhile, vm.page_at = [], 0
        if run == UNTOUCHED:
            return {"run": GUEST, "page": "untouched", "asked": list(vm.asked)}
        vm.has_ended = run != GUEST
        return {"run": run, **_told(before, page), "asked": list(vm.asked)}

    def msr(self, vm: Vm, word: int, cpu: int) -> Answer:
        if not self.host.knows_word(word):
            raise Wrong("a word that the host does not have")
        if stands := _stands(vm, cpu):
            return {"run": stands, "word": word, "asked": []}
        vm.asked.clear()
        vm.cpu = cpu
        run, word = self.host.msr(cpu, word)
        vm.has_ended = run != GUEST
        return {"run": run, "word": word, "asked": list(vm.asked)}


def _stands(vm: Vm, cpu: int) -> str:
    """How a vCPU stands that does not run."""
    return "ended" if vm.has_ended else "held" if vm.vcpus[cpu].held else ""


def _told(before: bytes, page: Page) -> Answer:
    """The answer that a page holds."""
    registers = {name: Place(at, 8) for name, at in RETURNED.items()}
    return {
        "status": page.get(Ghcb.SW_EXIT_INFO_1),
        "detail": page.get(Ghcb.SW_EXIT_INFO_2),
        "valid": [name for name, at in FIELDS.items() if page.marked >> at // 8 & 1],
        "registers": {
            name: page.get(field) for name, field in registers.items() if page.is_valid(field)
        },
        "buffer": _changed(before, page),
    }


def _changed(before: bytes, after: bytearray) -> list[list[int | str]]:
    """What changed in the shared buffer: a place in the page and hex of each run."""
    start, size = Ghcb.SHARED_BUFFER
    runs: list[list[int]] = []
    for at in range(start, start + size):
        if before[at] == after[at]:
            continue
        if runs and at - runs[-1][1] <= NEAR:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    return [[first, after[first : last + 1].hex()] for first, last in runs]
