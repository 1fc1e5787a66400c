"""One VMGEXIT: what the host took from the page, what it asks of others, and what it will answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ..schema import Bits
from ..wire.exit_codes import MalformedInput, Status
from ..wire.features import HypervisorFeatures
from ..wire.ghcb import BITMAP_OFFSET, BUFFER_END, BUFFER_OFFSET, SCRATCH_LIMIT, GhcbPage
from ..wire.ghcb_msr import PageOperation
from ..wire.page_size import PAGE
from .asked import PRIVATE_ATTRIBUTE, Asked
from .page import OFFSETS, SharedPage
from .quirks import Quirks
from .vm import Vcpu, Vm

B = TypeVar("B", bound=Bits)

CarryOut = Callable[["Request"], None]
"""What a host does at an exit. Raises Refused or Stop."""

USAGE_OFFSET = GhcbPage.declaration["ghcb_usage"].byte_offset
BAD_ADDRESS, IO_ERROR, INVALID = 14, 5, 22  # EFAULT, EIO, EINVAL: what KVM_RUN fails with


class Refused(Exception):
    """The request is malformed: status 2, with the error as SW_EXITINFO2."""

    def __init__(self, error: MalformedInput) -> None:
        super().__init__(error.name)
        self.error = error


class Stop(Exception):
    """The guest does not go on. `run` is why: `["terminate", word]`, `["error", number]`."""

    def __init__(self, why: str, number: int | str) -> None:
        super().__init__(f"{why} {number}")
        self.run = [why, number]


FEATURES = int(HypervisorFeatures(snp=True, ap_creation=True))  # KVM GHCB_HV_FT_SUPPORTED
FEATURES_OF_PLANES = FEATURES | int(
    HypervisorFeatures(restricted_injection=True, apic_id_list=True, multi_vmpl=True)
)
"""What KVM announces, and what it announces with the planes series."""


@dataclass(slots=True)
class Services:
    """What a host asks of others, in order, and what they answer."""

    vm: Vm
    quirks: Quirks
    cpu: Vcpu
    asked: list[Asked] = field(default_factory=list)

    @property
    def features(self) -> int:
        """The hypervisor features that the host announces, unless the VM's set-up says others."""
        if self.vm.setup.features is not None:
            return self.vm.setup.features
        of_planes = self.quirks.events_beyond_planes_unknown
        return FEATURES_OF_PLANES if of_planes else FEATURES

    def ask(self, *what: int | str | None) -> None:
        self.asked.append(list(what))

    def read_memory(self, gpa: int, size: int) -> bytes | None:
        """Bytes of guest memory, None where it ends before."""
        self.ask("read-memory", gpa, size)
        return self.vm.memory.read(gpa, size)

    def write_memory(self, gpa: int, data: bytes) -> bool:
        """Whether guest memory could be written."""
        done = self.vm.memory.write(gpa, data)
        self.ask("write-memory", gpa, len(data), data.rstrip(b"\0").hex() if done else "")
        return done

    def map(self, gpa: int, pages: int, attributes: int) -> bool:
        """Whether user space made pages private or shared."""
        self.ask("map", gpa, pages, attributes)
        number, self.vm.mappings = self.vm.mappings, self.vm.mappings + 1
        if number == self.vm.setup.map_fails_at:
            return False
        private = attributes & PRIVATE_ATTRIBUTE
        state = PageOperation.PRIVATE if private else PageOperation.SHARED
        self.vm.pages.change(gpa // PAGE, pages, state)
        return True

    def hold(self, page: int = 0) -> int:
        """Wait for a start-up IPI: 1 if one follows. `page` is the GHCB by which the vCPU waits."""
        self.ask("hold")
        self.cpu.held_by = page
        self.cpu.held = not self.vm.setup.sipi
        return int(self.vm.setup.sipi)

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        """EAX, EBX, ECX, EDX."""
        self.ask("cpuid", leaf, subleaf)
        for known, sub, *registers in self.vm.setup.cpuid:
            if known == leaf and sub in (None, subleaf):
                eax, ebx, ecx, edx = registers
                return eax, ebx, ecx, edx
        return 0, 0, 0, 0


@dataclass(slots=True)
class Request(Services):
    """A page that a guest exited with."""

    page: SharedPage = field(kw_only=True)
    gpa: int = field(kw_only=True)
    fields: bytes = b""  # the page's first part, as it was taken over
    marked: int = 0  # its valid bits
    usage: int = 0
    assumed: set[str] = field(default_factory=set)  # fields not marked valid that were taken as 0
    status: int = Status.DONE
    detail: int = 0
    results: dict[str, int] = field(default_factory=dict)  # registers that the exit returns
    area: Scratch | None = None

    def take_over(self) -> None:
        """Fetch all of the page but the shared buffer, once."""
        self.fields = self.page.fetch(0, BITMAP_OFFSET + 16)
        self.marked = int.from_bytes(self.fields[BITMAP_OFFSET:], "little")
        self.usage = int.from_bytes(self.page.fetch(USAGE_OFFSET, 4), "little")

    def is_marked(self, name: str) -> bool:
        """Whether the guest marked a field valid."""
        return bool(self.marked >> OFFSETS[name] // 8 & 1)

    def field(self, name: str) -> int:
        """The value of a field, 0 where it is not marked valid."""
        if not self.is_marked(name):
            self.assumed.add(name)
            return 0
        return self.held(name)

    def held(self, name: str) -> int:
        """What stands in a field, valid or not."""
        at = OFFSETS[name]
        return int.from_bytes(self.fields[at : at + (1 if name == "cpl" else 8)], "little")

    # What the conditions of an exit's row look at; its checks come first.

    @property
    def sw_exit_info_1(self) -> int:
        return self.field("sw_exit_info_1")

    @property
    def sw_exit_info_2(self) -> int:
        return self.field("sw_exit_info_2")

    @property
    def rax(self) -> int:
        return self.field("rax")

    @property
    def version(self) -> int:
        """The GHCB version that guest and host speak. The page's is no more than a claim, and often 0."""
        return self.vm.setup.ghcb_version

    def sound(self, layout: type[B], value: int) -> B:
        """A word by its layout. Refuses one that breaks a rule."""
        word = layout.of(value)
        if word.problems():
            raise Refused(MalformedInput.INVALID_INPUT)
        return word

    def aligned(self, value: int) -> int:
        """An address of a page. Refuses one that is not."""
        if value % PAGE:
            raise Refused(MalformedInput.INVALID_INPUT)
        return value

    def raise_event(self, event: int) -> None:
        """Answer that the guest must raise an event."""
        self.status, self.detail = Status.RAISE_EVENT, event

    def scratch(self, size: int, *, brings: bool = False) -> Scratch:
        """The area of `size` bytes at SW_SCRATCH; `brings` says that its data are for the guest."""
        at = self.field("sw_scratch")
        refused = Refused(MalformedInput.INVALID_SCRATCH_AREA)
        if not size or not at or at + size >> 64:
            raise refused
        if at // PAGE == self.gpa // PAGE:
            start = at % PAGE
            if start < BUFFER_OFFSET or start + size > BUFFER_END:
                raise refused
            return Scratch(self, start)
        if self.version >= 2 or size > SCRATCH_LIMIT:
            raise refused
        data = self.read_memory(at, size)
        if data is None:
            if self.quirks.unreadable_scratch_ends_run:
                raise Stop("error", BAD_ADDRESS)
            raise refused
        self.area = Scratch(self, at, bytearray(data), brings)
        return self.area


@dataclass(slots=True)
class Scratch:
    """Data of an exit: in the page's own buffer, or before version 2 a copy of guest memory."""

    request: Request
    start: int  # offset in the page, or guest-physical address of the copy
    copy: bytearray | None = None
    brings: bool = False

    def load(self, at: int, size: int) -> bytes:
        if self.copy is not None:
            return bytes(self.copy[at : at + size])
        return self.request.page.fetch(self.start + at, size)

    def store(self, at: int, data: bytes) -> None:
        if self.copy is not None:
            self.copy[at : at + len(data)] = data
        else:
            self.request.page.store(self.start + at, data)

    @property
    def room(self) -> int:
        """Bytes from its start to the end of the buffer."""
        return 0 if self.copy is not None else BUFFER_END - self.start

    def give_back(self) -> None:
        """Write a copy back to guest memory, if it is for the guest."""
        if self.copy is not None and self.brings:
            self.request.write_memory(self.start, bytes(self.copy))
