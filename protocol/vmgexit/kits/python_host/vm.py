"""What a GHCB host is given and may ask for: the VM as it was set up, guest memory, devices, the firmware.

All that is asked is a part of the answer, in order. `vm.asked` has a function for each thing that a host
may ask for; the functions of `Vm` also give what the VM was set up to answer.
"""

from __future__ import annotations

from .layouts import Ghcb, Place
from .state import PAGE as PAGE
from .state import PageStates
from .vms import EXITS, NO_EXIT, Asked, Exit, Setup, Vcpu

PRIVATE, LARGE = 16, 1
"""Attributes of a mapping; the second is 2 MiB."""

GUEST, UNTOUCHED = "guest", "untouched"
"""How the guest goes on: after an answer, or where nothing was written to its page. Otherwise the VM ends:
["error", number] where KVM_RUN fails, ["terminate", word], ["internal-error", code]."""


class Page(bytearray):
    """A GHCB page, by the places of its fields."""

    def get(self, field: Place) -> int:
        """The number in a field."""
        return int.from_bytes(self[field.offset : field.offset + field.size], "little")

    def put(self, field: Place, value: int) -> None:
        self[field.offset : field.offset + field.size] = value.to_bytes(field.size, "little")

    @property
    def marked(self) -> int:
        """The valid bits: that of the field at offset n is bit n // 8."""
        return self.get(Ghcb.VALID_BITMAP)

    def is_valid(self, field: Place) -> bool:
        return bool(self.marked >> field.offset // 8 & 1)

    def mark(self, field: Place) -> None:
        self.put(Ghcb.VALID_BITMAP, self.marked | 1 << field.offset // 8)

    @property
    def exit(self) -> Exit | None:
        """The row of the exit that it asks for; None of a code that is no exit."""
        return EXITS.get(self.get(Ghcb.SW_EXIT_CODE))

    @property
    def has_needs(self) -> bool:
        """Whether the guest marked what every page of its exit needs."""
        return not (self.exit or NO_EXIT).needs & ~self.marked

    def answer(self, status: int, detail: int = 0) -> str:
        """End an exit: the words of the answer, which are all that is valid. A host marks registers after
        it."""
        self.put(Ghcb.VALID_BITMAP, 0)
        for field, value in ((Ghcb.SW_EXIT_INFO_1, status), (Ghcb.SW_EXIT_INFO_2, detail)):
            self.put(field, value)
            self.mark(field)
        return GUEST


class Vm:
    """The VM of one `init`, what a host keeps of it, and the exit at hand. The host writes `jump_table`,
    and `vcpus` but for `held` and `held_by`."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.asked = Asked()
        self.page = Page(PAGE)  # that a guest exits with; it is a part of guest memory
        self.page_at = 0  # 0: an exit without a page
        self.meanwhile: list[tuple[int, bytes]] = []  # places and bytes that another vCPU writes
        self.cpu = 0
        self.vcpus = [Vcpu(setup.registered) for _ in range(setup.vcpus)]
        self.has_ended = False
        self.mappings = 0  # that user space was asked for
        self.jump_table = setup.jump_table
        self.states = PageStates()
        self.pages: dict[int, bytearray] = {}  # of guest memory, that are not zero
        for gpa, data in setup.memory:
            self.store(gpa, bytes.fromhex(data)[: max(0, setup.memory_top - gpa)])

    # --- guest memory ---

    def is_memory(self, gpa: int, size: int) -> bool:
        """Whether there are `size` bytes of guest memory from `gpa` on."""
        return gpa + size <= self.setup.memory_top

    def load(self, gpa: int, size: int) -> bytes | None:
        """Bytes of guest memory; None where it ends before."""
        if not self.is_memory(gpa, size):
            return None
        data = bytearray()
        while len(data) < size:
            frame, start = divmod(gpa + len(data), PAGE)
            held = self.pages.get(frame) or bytes(PAGE)
            data += held[start : min(PAGE, start + size - len(data))]
        return bytes(data)

    def store(self, gpa: int, data: bytes) -> bool:
        """Write guest memory; False where it ends before."""
        if not self.is_memory(gpa, len(data)):
            return False
        done = 0
        while done < len(data):
            frame, start = divmod(gpa + done, PAGE)
            piece = data[done : done + PAGE - start]
            if frame in self.pages or any(piece):
                page = self.pages.setdefault(frame, bytearray(PAGE))
                page[start : start + len(piece)] = piece
            done += len(piece)
        return True

    # --- another vCPU ---

    def go_on_meanwhile(self) -> None:
        """Another vCPU writes to the page. It does so once the host has the page's first 0x400 bytes, after
        all that the host asks by the functions below, and after its answer. A host may call this after
        each access of its own, too."""
        for at, data in self.meanwhile:
            self.page[at : at + len(data)] = data

    # --- what a host asks ---

    def ask_cpuid(self, leaf: int, sub_leaf: int) -> tuple[int, int, int, int]:
        """EAX, EBX, ECX and EDX."""
        self.asked.cpuid(leaf, sub_leaf)
        self.go_on_meanwhile()
        for known, sub, *registers in self.setup.cpuid:
            if known == leaf and sub in (None, sub_leaf):
                eax, ebx, ecx, edx = registers
                return eax, ebx, ecx, edx
        return 0, 0, 0, 0

    def ask_in(self, port: int, size: int) -> bytes:
        self.asked.in_(port, size)
        self.go_on_meanwhile()
        return bytes([self.setup.device_byte]) * size

    def ask_mmio_read(self, gpa: int, size: int) -> bytes:
        self.asked.mmio_read(gpa, size)
        self.go_on_meanwhile()
        return bytes([self.setup.device_byte]) * size

    def read_memory(self, gpa: int, size: int) -> bytes | None:
        """None where guest memory ends before."""
        self.asked.read_memory(gpa, size)
        self.go_on_meanwhile()
        return self.load(gpa, size)

    def write_memory(self, gpa: int, data: bytes) -> bool:
        is_done = self.store(gpa, data)
        self.asked.write_memory(gpa, len(data), data.rstrip(b"\0") if is_done else b"")
        self.go_on_meanwhile()
        return is_done

    def ask_map(self, gpa: int, pages: int, attributes: int) -> bool:
        """Whether user space made pages private or shared."""
        number, self.mappings = self.mappings, self.mappings + 1
        self.asked.map(gpa, pages, attributes)
        self.go_on_meanwhile()
        if number == self.setup.map_fails_at:
            return False
        self.states.change(gpa // PAGE, pages, bool(attributes & PRIVATE))
        return True

    def ask_rdmsr(self, number: int) -> int | None:
        """The value of an MSR; None where the access faults."""
        self.asked.rdmsr(number)
        self.go_on_meanwhile()
        return None if self.setup.msr_fault else self.setup.msr_value

    def ask_wrmsr(self, number: int, value: int) -> bool:
        """False where the access faults."""
        self.asked.wrmsr(number, value)
        self.go_on_meanwhile()
        return not self.setup.msr_fault

    def ask_firmware(self) -> int:
        """What the firmware answers to a guest message: an error, or 0; the response is a page of zeros."""
        self.asked.firmware()
        self.go_on_meanwhile()
        return self.setup.firmware_error

    def ask_hold(self) -> bool:
        """The vCPU waits for a start-up IPI; whether one follows at once. Until then it does not run."""
        self.asked.hold()
        self.go_on_meanwhile()
        vcpu = self.vcpus[self.cpu]
        vcpu.held, vcpu.held_by = not self.setup.sipi, self.page_at
        return self.setup.sipi
