"""The calls of a small SVSM, to be replaced by yours: the core and the vTPM protocol, on guest memory.
Attestation is in attestation.py, and what has to do with interrupts in svsm.py.

It keeps no record of the pages that it validated, and never frees the first VMSA.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestation import Attestation
from kit import tpm
from kit.adapter import Registers
from kit.layouts import (
    ApicCallCode,
    CoreCallCode,
    ProtocolCode,
    PvalidateEntry,
    ResultCode,
    SvsmProtocolQuery,
    SvsmVersionRange,
    Vmsa,
    get,
    put,
)
from kit.memory import EFER_SVME, FAIL_INPUT, Home, Memory
from kit.on_memory import Registration, SvsmOnMemory
from kit.pages import ALL_PERMISSIONS, LARGE_PAGE, PAGE
from kit.vm import GUEST_VMPL, Vcpu, Vm
from refusals import Refused, overlap, require
from svsm import SmallSvsm

HEAD = 8  # bytes of a calling area that are not for the guest's own use
HOLE = 0xFFFF_FFFF_F000  # a page that is no guest's
CALLS_OWN = 0x8000_1000  # a failed instruction answers its status above this code
END = 1 << 64


@dataclass
class Registered:
    """A VMSA that this SVSM knows."""

    vmsa: int
    area: int
    cpu: int
    is_guests: bool  # a guest named it


def require_success(status: int) -> None:
    require(not status, CALLS_OWN + status)


class WholeSvsm(SmallSvsm, SvsmOnMemory):
    name = "a small SVSM with memory"  # your SVSM and its version
    # What it does otherwise than the reference, by the names of our quirks.
    profile = "validated-twice,boot-calling-area-stuck"
    has_apic = True

    def init_on_memory(self, memory: Memory, vm: Vm) -> None:
        home = memory.places[0].home
        self.init(vm)
        self.memory = memory
        self.attestation = Attestation(memory, self.require_operand)
        self.entries = [Registered(home.vmsa or 0, home.area or 0, 0, is_guests=False)]

    def knows(self, protocol: int, request: int) -> bool:
        """Of the APIC protocol it has as much as svsm.py."""
        of_apic = protocol == ProtocolCode.APIC and self.memory.has_apic
        return not of_apic or request <= ApicCallCode.CONFIGURE_EMULATION

    def registry(self) -> list[Registration]:
        return [(one.vmsa, one.area, one.cpu, one.is_guests, one.is_guests) for one in self.entries]

    def call_on_memory(self, cpu: Vcpu, registers: Registers) -> None:
        registers.rax = ResultCode.SUCCESS
        try:
            match registers.protocol:
                case ProtocolCode.CORE:
                    self.core(cpu, registers)
                case ProtocolCode.ATTESTATION:
                    self.attestation.call(registers)
                case ProtocolCode.VTPM:
                    self.vtpm(registers)
                case ProtocolCode.APIC:
                    self.call(cpu, registers)
                case _:
                    raise Refused(ResultCode.UNSUPPORTED_PROTOCOL)
        except Refused as refused:
            registers.rax = refused.code

    def core(self, cpu: Vcpu, registers: Registers) -> None:
        match registers.request:
            case CoreCallCode.REMAP_CA:
                self.remap(cpu, registers.rcx)
            case CoreCallCode.PVALIDATE:
                self.pvalidate(registers.rcx)
            case CoreCallCode.CREATE_VCPU:
                apic_id = registers.r8 & 0xFFFF_FFFF
                self.create_vcpu(cpu, registers.rcx, registers.rdx, apic_id)
            case CoreCallCode.DELETE_VCPU:
                self.delete_vcpu(registers.rcx)
            case CoreCallCode.QUERY_PROTOCOL:
                registers.rcx = versions(cpu, registers.rcx)
            case CoreCallCode.CONFIGURE_VTOM:
                require(bool(registers.rcx & 1), ResultCode.INVALID_REQUEST)
                registers.rcx = 0
            case _:
                raise Refused(ResultCode.UNSUPPORTED_CALL)

    def vtpm(self, registers: Registers) -> None:
        if registers.request == 1:
            self.tpm_command(registers.rcx)
            return
        require(not registers.request, ResultCode.UNSUPPORTED_CALL)
        registers.rcx, registers.rdx = 1 << 8, 0  # platform command 8: send a command

    def tpm_command(self, buffer: int) -> None:
        """A command of the TPM: platform command, locality, size, input; afterwards size and response."""
        require(buffer != 0, ResultCode.INVALID_PARAMETER)
        held = b""
        for length in (4, PAGE):
            self.require_operand(buffer, length)
            held = self.memory.load(buffer, length)
            require(held[:4] == b"\x08\0\0\0", ResultCode.INVALID_PARAMETER)
        size = int.from_bytes(held[5:9], "little")
        require(not held[4] and size <= PAGE - 9, ResultCode.INVALID_PARAMETER)
        response = tpm.execute(self.memory, held[9 : 9 + size])
        require(0 < len(response) <= PAGE - 4, ResultCode.INVALID_REQUEST)
        self.memory.store(
            buffer, (len(response).to_bytes(4, "little") + response).ljust(PAGE, b"\0")
        )

    def require_free(self, start: int, length: int) -> None:
        """Refuse bytes that are not the guest's memory, or are in use."""
        is_in_use = any(
            overlap(start, length, one.vmsa, PAGE) or overlap(start, length, one.area, HEAD)
            for one in self.entries
        )
        is_free = start + length < END and not overlap(start, length, HOLE, PAGE) and not is_in_use
        require(is_free and self.memory.in_map(start, length), ResultCode.INVALID_ADDRESS)

    def reach(self, start: int, length: int) -> None:
        require(self.memory.touch(start, length), ResultCode.INVALID_ADDRESS)

    def require_operand(self, start: int, length: int) -> None:
        self.require_free(start, length)
        self.reach(start, length)

    def revoke(self, page: int, is_large: bool = False) -> int:
        """Take a page from the guest: VMPL 2 and 3 may do nothing with it. The status of what failed."""
        status = self.memory.rmpadjust(page, is_large, 2, 0)
        return status or self.memory.rmpadjust(page, is_large, 3, 0)

    def grant(self, page: int, is_large: bool = False) -> None:
        require_success(self.memory.rmpadjust(page, is_large, GUEST_VMPL, ALL_PERMISSIONS))

    def remap(self, cpu: Vcpu, area: int) -> None:
        place = self.memory.places[cpu.index]
        before = place.home.area
        require(not area % PAGE, ResultCode.INVALID_PARAMETER)
        if area != before:
            self.require_free(area, HEAD)
        self.reach(area, HEAD)
        self.memory.store(area, bytes(HEAD))
        if area == place.mapped.area:
            cpu.no_eoi_required = 0
        for one in self.entries:
            if one.area == before:
                one.area = area
        place.home = Home(place.home.vmsa, area)

    def pvalidate(self, address: int) -> None:
        """Do the entries of a list from the next one on, until one is refused."""
        memory = self.memory
        require(not address % 8, ResultCode.INVALID_PARAMETER)
        self.require_operand(address, 8)
        entries, following = (
            int.from_bytes(memory.load(address + at, 2), "little") for at in (0, 2)
        )
        room = (PAGE - address % PAGE) // 8 - 1
        require(following < entries <= room, ResultCode.INVALID_PARAMETER)
        self.require_free(address + 8, 8 * entries)
        try:
            while following < entries:
                word = memory.load(address + 8 + 8 * following, 8)
                self.do_entry(int.from_bytes(word, "little"), address)
                following += 1
        finally:
            memory.store(address + 2, following.to_bytes(2, "little"))

    def do_entry(self, entry: int, address: int) -> None:
        size, page = get(entry, PvalidateEntry.PAGE_SIZE), entry & PvalidateEntry.FRAME.mask
        length, is_large = (LARGE_PAGE, True) if size else (PAGE, False)
        ignores_cf = bool(get(entry, PvalidateEntry.IGNORE_CF))
        is_entry = not get(entry, PvalidateEntry.RESERVED_11_4) and size < 2 and not page % length
        require(is_entry, ResultCode.INVALID_PARAMETER)
        self.require_free(page, length)
        require(not overlap(page, length, address, 1), ResultCode.INVALID_ADDRESS)
        valid = bool(get(entry, PvalidateEntry.VALIDATE))
        if not valid:
            status = self.revoke(page, is_large)
            require_success(0 if status == FAIL_INPUT else status)  # it may be invalid already
        status, unchanged = self.memory.pvalidate(page, is_large, valid)
        require_success(status)
        require(not unchanged or ignores_cf, ResultCode.FAIL_NOCHANGE)
        if not valid:
            self.memory.flush(page, is_large)
            return
        if not unchanged:
            self.memory.clear(page, length)  # what it held is not the guest's
        self.grant(page, is_large)

    def create_vcpu(self, cpu: Vcpu, page: int, area: int, apic_id: int) -> None:
        require(not page % PAGE and not area % PAGE, ResultCode.INVALID_PARAMETER)
        require(page != area and page % LARGE_PAGE != 0, ResultCode.INVALID_ADDRESS)
        self.require_free(page, PAGE)
        self.require_free(area, PAGE)
        found = [other.index for other in self.vm.vcpus if other.apic_id == apic_id]
        require(bool(found), ResultCode.INVALID_PARAMETER)
        self.reach(area, HEAD)
        try:
            self.take_as_vmsa(cpu, page)
        except Refused:
            self.memory.flush_all()
            raise
        self.entries.append(Registered(page, area, found[0], is_guests=True))
        self.memory.places[found[0]].home = Home(page, area)

    def take_as_vmsa(self, cpu: Vcpu, page: int) -> None:
        """Take the page from the guest, look at what it holds, and make it a VMSA."""
        memory = self.memory
        before = memory.pages.behind(page).rmp
        require_success(self.revoke(page))
        memory.flush(page, False)
        own = memory.places[cpu.index].mapped.vmsa or 0
        is_startable = (
            memory.get(page, Vmsa.VMPL) == GUEST_VMPL
            and memory.get(page, Vmsa.EFER) & EFER_SVME
            and memory.get(page, Vmsa.SEV_FEATURES) == memory.get(own, Vmsa.SEV_FEATURES)
        )
        if not is_startable:
            for vmpl in (2, 3):
                require_success(memory.rmpadjust(page, False, vmpl, before.perms[vmpl]))
            raise Refused(ResultCode.INVALID_PARAMETER)
        require_success(self.revoke(page))
        require_success(memory.rmpadjust(page, False, GUEST_VMPL, 0, vmsa=True))

    def delete_vcpu(self, page: int) -> None:
        memory = self.memory
        found = [one for one in self.entries if one.vmsa == page and one.is_guests]
        require(bool(found), ResultCode.INVALID_PARAMETER)
        self.reach(page, PAGE)
        efer = memory.get(page, Vmsa.EFER)
        memory.put(page, Vmsa.EFER, efer & ~EFER_SVME)  # nothing enters it any more
        status = self.revoke(page)
        if status:
            memory.put(page, Vmsa.EFER, efer)
        require_success(status)
        self.grant(page)
        memory.flush(page, False)
        place = memory.places[found[0].cpu]
        if place.home.vmsa == page:
            place.home = Home()
        self.entries.remove(found[0])
        memory.lose_vmsa(page)


def versions(cpu: Vcpu, query: int) -> int:
    """QUERY_PROTOCOL: the highest and the lowest version, or 0. Every protocol has version 1 only."""
    protocol = get(query, SvsmProtocolQuery.PROTOCOL)
    is_emulated = protocol == ProtocolCode.APIC and cpu.guest.alternate_injection
    is_there = protocol <= ProtocolCode.VTPM or is_emulated
    if not is_there or get(query, SvsmProtocolQuery.VERSION) != 1:
        return 0
    return put(put(0, SvsmVersionRange.LOWEST, 1), SvsmVersionRange.HIGHEST, 1)
