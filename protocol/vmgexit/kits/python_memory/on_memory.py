"""The adapter of an SVSM with memory: its commands, and calls from the guest to the SVSM and back."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from .adapter import Adapter, Registers, Svsm, has_ids, serve
from .commands import COMMANDS as PLAIN
from .guest import guest_in, load_calling_area, load_guest, store_guest
from .layouts import VintrCtrl, Vmsa, put
from .lines import Answer, Command
from .memory import EFER_SVME, READ, WRITE, Home, Memory, Place
from .memory_commands import COMMANDS
from .pages import LARGE_PAGE, LAST_ADDRESS, PAGE, SVSM_FILL, Pages
from .reading import checked, parsed
from .vm import GUEST_VMPL, Stop, Vcpu, Vm

MOST_RANGES = 64
_VMGEXIT = 0x403
_REGISTERS = {"rax": Vmsa.RAX, "rcx": Vmsa.RCX, "rdx": Vmsa.RDX, "r8": Vmsa.R8}
_FIELDS = _REGISTERS | {
    "vmpl": Vmsa.VMPL,
    "efer": Vmsa.EFER,
    "sev_features": Vmsa.SEV_FEATURES,
    "exit_code": Vmsa.GUEST_EXIT_CODE,
}

OF_INTERRUPTS = PLAIN.keys() - COMMANDS.keys() - {"set_vmsa"}
OF_A_GUEST = {"enter", "guest_take", "guest", "guest_lazy_eoi", "intercept"}
"""Commands that only a guest that can run makes, or is made for."""

Registration = tuple[int, int, int, bool, bool]
"""A VMSA that the SVSM knows: VMSA, calling area, vCPU, whether a guest named it, whether it is in use."""


class SvsmOnMemory(Svsm):
    """The calls into an SVSM with memory. Yours is a subclass."""

    has_apic = False
    """It emulates APICs on such a machine too, by `enter`, `left` and `new_vmsa`. `left` is called whenever
    the guest left."""

    def init_on_memory(self, memory: Memory, vm: Vm) -> None:
        """A fresh SVSM: vCPU 0 is at home in the first VMSA. Memory is as it is to be."""
        raise NotImplementedError

    def knows(self, protocol: int, request: int) -> bool:
        """Whether it has such a call; it may answer all itself, by codes where it does not."""
        return True

    def call_on_memory(self, cpu: Vcpu, registers: Registers) -> None:
        """The guest called, from the VMSA `memory.places[cpu.index].mapped`, where registers go back."""
        raise NotImplementedError

    def registry(self) -> list[Registration] | None:
        """The VMSAs that it knows, if it can tell."""
        return None


def answer_on_memory(svsm: SvsmOnMemory) -> None:
    """Say hello, and answer every line until standard input ends, or an SVSM that does not stay stops."""
    serve(_OnMemory(svsm))


class _OnMemory(Adapter):
    def __init__(self, svsm: SvsmOnMemory) -> None:
        super().__init__(svsm)
        self.on_memory = svsm
        self.memory: Memory | None = None

    def read(self, line: bytes) -> Command:
        """What is for a machine with memory is held against the descriptions of its commands."""
        command = parsed(line)
        operation = command.get("op")
        is_there = self.memory is not None
        is_on_memory = "memory" in command if operation == "init" else is_there
        is_of_interrupts = (
            self._has_apic and isinstance(operation, str) and operation in OF_INTERRUPTS
        )
        checked(command, COMMANDS if is_on_memory and not is_of_interrupts else PLAIN)
        return command

    @property
    def _has_apic(self) -> bool:
        return self.memory is not None and self.memory.has_apic

    def supports(self, command: Command) -> bool:
        if "memory" in command:
            can_emulate = command["reg_count"] is None or self.on_memory.has_apic
            return can_emulate and has_ids(command) and _is_layout(command)
        if command["op"] == "init" or self.memory is None:
            return super().supports(command)
        match command["op"]:
            case "call":
                is_known = self.on_memory.knows(command["protocol"], command["request"])
                return is_known and command["cpu"] < len(self.vm.vcpus)
            case "calling_area" | "run":
                return bool(command["cpu"] < len(self.vm.vcpus))
            case "host_page":
                return (command["to"] == "remap") is (command["spa"] is not None)
            case "read" | "write":
                length = command["len"] if "len" in command else len(command["hex"]) // 2
                return bool(command["gpa"] + length <= LAST_ADDRESS + 1)
            case "registry":
                return self.on_memory.registry() is not None
            case operation if operation in COMMANDS:
                return True
        return super().supports(command)

    def carry_out(self, command: Command) -> Answer:
        operation = command["op"]
        if "memory" in command:
            return self._begin_memory(command)
        if operation == "init":
            self.memory = None
        if self.memory is None:
            return super().carry_out(command)
        if operation in COMMANDS:
            self.memory.did.clear()
            answer: Answer = getattr(self, f"_do_{operation}")(self.memory, command)
            return answer
        cpu, place = self.vm.vcpus[command["cpu"]], self.memory.places[command["cpu"]]
        if not self.memory.has_guest(place):
            return {"ran": False} if operation in OF_A_GUEST else super().carry_out(command)
        load_guest(self.memory, cpu)
        answer = super().carry_out(command)
        store_guest(self.memory, cpu)
        return answer

    # --- from the guest to the SVSM and back

    def _begin_memory(self, command: Command) -> Answer:
        cpus, (start, length) = command["cpus"], command["svsm"]
        boot = start + PAGE
        rows = [tuple(row) for row in command["pages"] or []]
        pages = Pages([*rows, (start, length, "valid", SVSM_FILL)])
        self.vm = Vm(command["apic_ids"] or list(range(cpus)), command["reg_count"] or 0)
        memory = self.memory = Memory(pages, list(_map(command)), cpus)
        memory.has_apic = command["reg_count"] is not None
        memory.assigns = command["npf"] == "assign"
        memory.faults_on_unvalidated = command["unvalidated"] == "vc"
        memory.places[0].home = Home(boot, command["caa"])
        page = pages.at(boot)
        page.rmp = type(page.rmp)(True, boot, True, False, True)
        pages.fill(page, 0)
        memory.put(boot, Vmsa.VMPL, GUEST_VMPL)
        memory.put(boot, Vmsa.EFER, EFER_SVME)
        memory.put(boot, Vmsa.SEV_FEATURES, command["sev_features"])
        if memory.has_apic:
            memory.put(boot, Vmsa.VINTR_CTRL, VintrCtrl.VGIF.mask)
        self.on_memory.init_on_memory(memory, self.vm)
        for cpu in self.vm.vcpus:
            cpu.guest.alternate_injection = memory.has_apic
            self._enter_guest(memory, cpu)
        count = {"reg_count": command["reg_count"]} if memory.has_apic else {}
        return {"ok": True, "cpus": cpus, **count}

    def _enter_guest(self, memory: Memory, cpu: Vcpu, answer: Registers | None = None) -> None:
        """The SVSM enters the guest where the vCPU is at home, with the answer to a call if any."""
        place = memory.places[cpu.index]
        vmsa, left = place.home.vmsa, Home() if place.has_lost_vmsa else place.mapped
        place.mapped, place.in_guest, place.has_lost_vmsa = place.home, vmsa is not None, False
        if vmsa is None:
            return
        _own(memory, vmsa)
        if memory.has_apic:
            if left != place.home:
                self._move_guest(memory, cpu, left)
            store_guest(memory, cpu)
        if answer is not None:
            _put(memory, vmsa, answer.rax, answer)
        memory.put(vmsa, Vmsa.EFER, memory.get(vmsa, Vmsa.EFER) | EFER_SVME)
        memory.did += [["flush_all"], ["enter", vmsa]]

    def _move_guest(self, memory: Memory, cpu: Vcpu, left: Home) -> None:
        """The vCPU has another VMSA than before, or another calling area."""
        home = memory.places[cpu.index].home
        if home.vmsa is not None and left.vmsa != home.vmsa:
            cpu.new_guest = guest_in(memory, home.vmsa)
            says_emulated = cpu.new_guest.alternate_injection
            self.take_up(cpu)
            # One that was handed over to the host stays so, whatever its next VMSA says.
            cpu.guest.alternate_injection &= says_emulated
        load_calling_area(memory, cpu)

    def _leave_guest(self, memory: Memory, cpu: Vcpu, vmsa: int) -> None:
        """The guest left: the SVSM serves what it called, and enters it again."""
        place = memory.places[cpu.index]
        place.executes = False
        if place.has_lost_vmsa:
            self._enter_guest(memory, cpu)
            return
        _own(memory, vmsa)
        memory.put(vmsa, Vmsa.EFER, memory.get(vmsa, Vmsa.EFER) & ~EFER_SVME)
        if memory.has_apic:
            load_guest(memory, cpu)
            cpu.guest.exit_int_info = 0
            cpu.guest.vintr = put(cpu.guest.vintr, VintrCtrl.BUSY, 0)
            self.svsm.left(cpu)
        if not _takes_call(memory, place, vmsa):
            self._enter_guest(memory, cpu)
            return
        called = {name: memory.get(vmsa, at) for name, at in _REGISTERS.items()}
        protocol, request = called["rax"] >> 32, called["rax"] & 0xFFFF_FFFF
        registers = Registers(called | {"protocol": protocol, "request": request})
        memory.did.append(["request", protocol, request])
        self.on_memory.call_on_memory(cpu, registers)
        if memory.has_apic and not place.has_lost_vmsa:
            store_guest(memory, cpu)
        if place.home.vmsa == vmsa:
            self._enter_guest(memory, cpu, registers)
            return
        if not place.has_lost_vmsa:
            # It is at home elsewhere now: the answer goes where the call came from.
            _own(memory, vmsa)
            _put(memory, vmsa, registers.rax, registers)
        self._enter_guest(memory, cpu)

    # --- commands

    def _do_call(self, memory: Memory, command: Command) -> Answer:
        cpu, place = self.vm.vcpus[command["cpu"]], memory.places[command["cpu"]]
        if not place.in_guest or place.has_lost_vmsa:
            self._enter_guest(memory, cpu)
        vmsa, ran = place.mapped.vmsa, False
        if vmsa is not None and place.in_guest:
            ran = memory.can_run(vmsa)
            if ran:
                rax = command["protocol"] << 32 | command["request"]
                _put(memory, vmsa, rax, Registers(command))
                memory.put(vmsa, Vmsa.GUEST_EXIT_CODE, _VMGEXIT)
                area = place.mapped.area if command["pending"] is not False else None
                if area is not None and not memory.no_access(GUEST_VMPL, area, 1, WRITE):
                    memory.store(area, b"\1")
            self._leave_guest(memory, cpu, vmsa)
        answer: Answer = {"ran": ran, "did": list(memory.did)}
        vmsa = place.mapped.vmsa
        if vmsa is None or not place.in_guest:
            return {**answer, "idle": True}
        answer |= {"vmsa": vmsa, "caa": place.mapped.area}
        if ran:
            answer |= {name: memory.get(vmsa, at) for name, at in _REGISTERS.items()}
        return answer

    def _do_calling_area(self, memory: Memory, command: Command) -> Answer:
        place = memory.places[command["cpu"]]
        area = place.home.area
        return {
            "vmsa": place.home.vmsa,
            "caa": area,
            "hex": "" if area is None else memory.load(area, 8).hex(),
            "state": "guest" if place.in_guest else "idle",
        }

    def _do_registry(self, memory: Memory, command: Command) -> Answer:
        return {"entries": sorted(list(row) for row in self.on_memory.registry() or [])}

    def _do_run(self, memory: Memory, command: Command) -> Answer:
        place, on = memory.places[command["cpu"]], command["on"]
        can = not on or memory.has_guest(place)
        if can:
            place.executes = on
        return {"ok": can}

    def _do_host_page(self, memory: Memory, command: Command) -> Answer:
        arguments = (command[name] for name in ("gpa", "to", "fill", "spa"))
        return _outcome(memory.host_page(*arguments))

    def _do_read(self, memory: Memory, command: Command) -> Answer:
        gpa, length = command["gpa"], command["len"]
        answer = _outcome(memory.no_access(command["by"], gpa, length, READ))
        return answer | ({"hex": memory.load(gpa, length).hex()} if answer["ok"] else {})

    def _do_write(self, memory: Memory, command: Command) -> Answer:
        gpa, data = command["gpa"], bytes.fromhex(command["hex"])
        answer = _outcome(memory.no_access(command["by"], gpa, len(data), WRITE))
        if answer["ok"]:
            memory.store(gpa, data)
        return answer

    def _do_vmsa(self, memory: Memory, command: Command) -> Answer:
        page = command["gpa"] & -PAGE
        answer = _outcome(memory.no_access(command["by"], page, PAGE, WRITE))
        if answer["ok"]:
            memory.pages.fill(memory.pages.behind(page), 0)
            for name, at in _FIELDS.items():
                memory.put(page, at, command[name] or 0)
        return answer

    def _do_page(self, memory: Memory, command: Command) -> Answer:
        page = memory.pages.behind(command["gpa"])
        entry = page.rmp
        return {
            "spa": page.address,
            "assigned": entry.assigned,
            "gpa": entry.gpa,
            "validated": entry.validated,
            "huge": entry.huge,
            "vmsa": entry.vmsa,
            "perms": list(entry.perms[1:]),
            "hash": hashlib.sha256(page.data).hexdigest()[:16],
        }

    def _do_psp(self, memory: Memory, command: Command) -> Answer:
        memory.psp.prepare(command["answers"], command["certs"])
        return {"ok": True}

    def _do_adjust(self, memory: Memory, command: Command) -> Answer:
        status = memory.guest_rmpadjust(command["gpa"], command["vmpl"], command["perms"])
        return _outcome(status) if isinstance(status, str) else {"result": status}


def _outcome(why: str) -> Answer:
    return {"ok": False, "why": why} if why else {"ok": True}


def _own(memory: Memory, gpa: int) -> None:
    """A VMSA, or a calling area: only the host, or the SVSM itself, can have taken it."""
    if not memory.touch(gpa, 1):
        raise Stop("terminated", "a VMSA or a calling area was taken")


def _put(memory: Memory, vmsa: int, rax: int, registers: Registers) -> None:
    words = {"rax": rax, "rcx": registers.rcx, "rdx": registers.rdx, "r8": registers.r8}
    for name, word in words.items():
        memory.put(vmsa, _REGISTERS[name], word)


def _takes_call(memory: Memory, place: Place, vmsa: int) -> bool:
    """Whether the guest left for a call that waits; it waits no longer."""
    area = place.mapped.area
    if memory.get(vmsa, Vmsa.GUEST_EXIT_CODE) != _VMGEXIT or area is None:
        return False
    _own(memory, area)
    pending = memory.load(area, 1)
    memory.store(area, b"\0")
    return pending != b"\0"


def _is_layout(command: Command) -> bool:
    """Whether the memory that `init` asks for can be."""
    memory, (start, length), pages = command["memory"], command["svsm"], command["pages"] or []
    ends = sorted((first, first + size) for first, size in memory)
    return (
        max(len(memory), len(pages)) <= MOST_RANGES
        and all(_is_whole(first, size, PAGE) for first, size in memory)
        and all(one[1] <= other[0] for one, other in pairwise(ends))
        and all(
            _is_whole(first, size, LARGE_PAGE if state.startswith("huge-") else PAGE)
            for first, size, state, _ in pages
        )
        and _is_whole(start, length, PAGE)
        and length >= 2 * PAGE
        and command["caa"] % PAGE == 0
    )


def _is_whole(start: int, length: int, unit: int) -> bool:
    is_made_of = not start % unit and not length % unit and length > 0
    return is_made_of and start + length - 1 <= LAST_ADDRESS


def _map(command: Command) -> list[tuple[int, int]]:
    """The guest's memory without the SVSM's range."""
    first, pieces = command["svsm"][0], []
    end = first + command["svsm"][1]
    for start, length in command["memory"]:
        last = start + length
        if last <= first or end <= start:
            pieces.append((start, last))
        else:
            pieces += [(a, b) for a, b in ((start, first), (end, last)) if a < b]
    return pieces
