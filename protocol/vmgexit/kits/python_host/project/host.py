"""A small GHCB host, to be replaced by yours.

It carries out some exits as the reference does; the others it does not have, which never counts as wrong.
"""

from __future__ import annotations

import events
import words
from kit.adapter import Host, Run
from kit.layouts import (
    ExitCode,
    Ghcb,
    IoioInfo,
    MalformedInputCode,
    SegmentCode,
    StatusCode,
    get,
)
from kit.vm import PAGE, UNTOUCHED, Page, Vm
from kit.vms import Vcpu

FEATURES = 3  # SEV-SNP and AP creation
MOST_MMIO = 8  # bytes

ALWAYS = (
    ExitCode.CPUID,
    ExitCode.INVD,
    ExitCode.WBINVD,
    ExitCode.AP_RESET_HOLD,
    ExitCode.HYPERVISOR_FEATURES,
)
FOR_SNP = (
    ExitCode.MMIO_READ,
    ExitCode.MMIO_WRITE,
    ExitCode.SNP_GUEST_REQUEST,
    ExitCode.HV_DOORBELL_PAGE,
)


class Refused(Exception):
    """The exit is refused: `why` is one of MalformedInputCode."""

    def __init__(self, why: int) -> None:
        super().__init__(why)
        self.why = why


class SmallHost(Host):
    name = "a small host"  # your host and its version
    stays = True  # after a panic: there is nothing that the kit does not make anew
    tells = True
    has_events = True

    def init(self, vm: Vm) -> None:
        self.vm = vm

    def knows(self, page: Page) -> bool:
        """MMIO and messages it has for SNP guests of version 2 only, and of IOIO not the string forms."""
        code, setup = page.get(Ghcb.SW_EXIT_CODE), self.vm.setup
        if code == ExitCode.IOIO:
            return not get(page.get(Ghcb.SW_EXIT_INFO_1), IoioInfo.STRING)
        if code in FOR_SNP:
            return setup.snp and setup.ghcb_version == 2
        return code in ALWAYS or page.exit is None  # what is no exit, it refuses

    def vmgexit(self, cpu: int, gpa: int) -> Run:
        if not gpa or not self.vm.is_memory(gpa, PAGE):
            return UNTOUCHED
        try:
            return self.carry_out(cpu, gpa, self.vm.page)
        except Refused as refused:
            return self.vm.page.answer(StatusCode.MALFORMED_INPUT, refused.why)

    def carry_out(self, cpu: int, gpa: int, page: Page) -> Run:
        setup = self.vm.setup
        if setup.snp and self.vm.vcpus[cpu].registered != gpa:
            raise Refused(MalformedInputCode.NOT_REGISTERED)
        if page.get(Ghcb.GHCB_USAGE):
            raise Refused(MalformedInputCode.INVALID_USAGE)
        if not page.has_needs:
            raise Refused(MalformedInputCode.MISSING_INPUT)
        if page.exit is None:
            raise Refused(MalformedInputCode.INVALID_EVENT)
        if setup.ghcb_version < page.exit.since:
            raise Refused(MalformedInputCode.INVALID_INPUT)
        code, detail = page.exit.code, 0
        if code == ExitCode.CPUID:
            return self.cpuid(page)
        if code == ExitCode.IOIO:
            return self.ioio(page)
        if code in (ExitCode.MMIO_READ, ExitCode.MMIO_WRITE):
            self.mmio(gpa, page)
        elif code == ExitCode.SNP_GUEST_REQUEST:
            detail = self.guest_request(page)
        elif code == ExitCode.HV_DOORBELL_PAGE:
            told = events.doorbell(self.vm, self.vm.vcpus[cpu])
            if told is None:
                raise Refused(MalformedInputCode.INVALID_INPUT)
            detail = told
        elif code == ExitCode.AP_RESET_HOLD:
            detail = int(self.vm.ask_hold())
        elif code == ExitCode.HYPERVISOR_FEATURES:
            detail = FEATURES if setup.features is None else setup.features
        return page.answer(StatusCode.DONE, detail)  # caches are the host's own

    def cpuid(self, page: Page) -> Run:
        leaf, sub_leaf = (page.get(field) & 0xFFFF_FFFF for field in (Ghcb.RAX, Ghcb.RCX))
        if leaf == 0xD:
            if not page.is_valid(Ghcb.XCR0):
                raise Refused(MalformedInputCode.MISSING_INPUT)
            self.vm.asked.xcr0(page.get(Ghcb.XCR0))  # is in force from here on
        registers = self.vm.ask_cpuid(leaf, sub_leaf)
        run = page.answer(StatusCode.DONE)
        for at, field in enumerate((Ghcb.RAX, Ghcb.RBX, Ghcb.RCX, Ghcb.RDX)):
            page.put(field, registers[at])
            page.mark(field)
        return run

    def ioio(self, page: Page) -> Run:
        """SW_EXITINFO1 has port and size. A shorter IN leaves the rest of RAX as it was."""
        info = page.get(Ghcb.SW_EXIT_INFO_1)
        has_rax, port = page.is_valid(Ghcb.RAX), get(info, IoioInfo.PORT)
        sizes = {IoioInfo.SIZE_8: 1, IoioInfo.SIZE_16: 2, IoioInfo.SIZE_32: 4}
        size = [value for field, value in sizes.items() if get(info, field)]
        widths = (IoioInfo.ADDRESS_16, IoioInfo.ADDRESS_32, IoioInfo.ADDRESS_64)
        reserved = (IoioInfo.RESERVED_1, IoioInfo.RESERVED_15_13, IoioInfo.RESERVED_63_32)
        if not get(info, IoioInfo.IS_IN) and not has_rax:
            raise Refused(MalformedInputCode.MISSING_INPUT)
        is_strange = any(get(info, field) for field in reserved)
        is_strange |= get(info, IoioInfo.SEGMENT) > SegmentCode.GS
        if is_strange or len(size) != 1 or sum(get(info, field) for field in widths) > 1:
            raise Refused(MalformedInputCode.INVALID_INPUT)
        rax = (page.get(Ghcb.RAX) if has_rax else 0).to_bytes(8, "little")
        if not get(info, IoioInfo.IS_IN):
            self.vm.asked.out(port, size[0], rax[: size[0]])
            return page.answer(StatusCode.DONE)
        rest = b"" if size[0] == 4 else rax[size[0] :]
        read = self.vm.ask_in(port, size[0]) + rest
        run = page.answer(StatusCode.DONE)
        page.put(Ghcb.RAX, int.from_bytes(read, "little"))
        page.mark(Ghcb.RAX)
        return run

    def mmio(self, gpa: int, page: Page) -> None:
        """SW_EXITINFO1 is an address, SW_EXITINFO2 a length; the bytes are in the shared buffer, where
        SW_SCRATCH says."""
        address, size = page.get(Ghcb.SW_EXIT_INFO_1), page.get(Ghcb.SW_EXIT_INFO_2)
        at, buffer = page.get(Ghcb.SW_SCRATCH) - gpa, Ghcb.SHARED_BUFFER
        if size > MOST_MMIO:
            raise Refused(MalformedInputCode.INVALID_INPUT)
        if not size:
            return
        if not buffer.offset <= at <= buffer.offset + buffer.size - size:
            raise Refused(MalformedInputCode.INVALID_SCRATCH_AREA)
        if page.get(Ghcb.SW_EXIT_CODE) == ExitCode.MMIO_READ:
            page[at : at + size] = self.vm.ask_mmio_read(address, size)
        else:
            self.vm.asked.mmio_write(address, bytes(page[at : at + size]))

    def guest_request(self, page: Page) -> int:
        """SW_EXITINFO1 and SW_EXITINFO2 are the pages of the request and of the response. The firmware's
        error."""
        pages = page.get(Ghcb.SW_EXIT_INFO_1), page.get(Ghcb.SW_EXIT_INFO_2)
        are_pages = all(not one % PAGE and self.vm.is_memory(one, PAGE) for one in pages)
        if not are_pages or pages[0] == pages[1]:
            raise Refused(MalformedInputCode.INVALID_INPUT)
        self.vm.read_memory(pages[0], PAGE)
        error = self.vm.ask_firmware()
        if not error:
            self.vm.write_memory(pages[1], bytes(PAGE))
        return error

    def knows_word(self, word: int) -> bool:
        return words.knows(self.vm, word)

    def msr(self, cpu: int, word: int) -> tuple[Run, int]:
        return words.answer(self.vm, cpu, word)

    def sipi(self, cpu: int) -> None:
        """The page by which the vCPU waits says 1 from here on."""
        at = self.vm.vcpus[cpu].held_by + Ghcb.SW_EXIT_INFO_2.offset
        self.vm.store(at, (1).to_bytes(8, "little"))

    def enter(self, vcpu: Vcpu) -> None:
        events.enter(self.vm, vcpu)

    def cancel(self, vcpu: Vcpu) -> list[int]:
        return events.cancel(self.vm, vcpu)
