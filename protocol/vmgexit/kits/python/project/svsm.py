"""A small SVSM, to be replaced by yours: it counts registrations, and no vector is ever allowed.

What the host posts is therefore dropped, level-triggered interrupts with a specific EOI. An NMI reaches the
guest. A vCPU is handed over to the host once the count is 0.
"""

from __future__ import annotations

from kit.adapter import Registers, Svsm
from kit.layouts import (
    ApicCallCode,
    CoreCallCode,
    DisableInjection,
    DoorbellFlags,
    EventInj,
    EventTypeCode,
    ExtIntStatus,
    ProtocolCode,
    ResultCode,
    SvsmProtocolQuery,
    SvsmVersionRange,
    VintrCtrl,
    VmplEvents,
    get,
    put,
)
from kit.lines import Command
from kit.vm import GUEST_VMPL, ISR_WORD, STATUS_WORD, Stop, Vcpu, Vm

MOST_REGISTRATIONS = (1 << 32) - 1
NMI_EVENT = put(EventInj.VALID.mask, EventInj.TYPE, EventTypeCode.NMI)
IS_NMI = EventInj.VALID.mask | EventInj.TYPE.mask


class SmallSvsm(Svsm):
    name = "a small SVSM"  # your SVSM and its version
    stays = True  # after a stop: `init` makes all of it anew

    def init(self, vm: Vm) -> None:
        self.vm = vm
        self.registrations = vm.reg_count
        self.nmi_pending = [False] * len(vm.vcpus)

    def reg_count(self) -> int:
        return self.registrations

    def supports(self, command: Command) -> bool:
        """It has too few calls to be right about the codes of others."""
        if command["op"] != "call":
            return True
        if command["protocol"] == ProtocolCode.APIC:
            return bool(command["request"] <= ApicCallCode.CONFIGURE_EMULATION)
        asked = (command["protocol"], command["request"])
        return asked == (ProtocolCode.CORE, CoreCallCode.QUERY_PROTOCOL)

    def call(self, cpu: Vcpu, registers: Registers) -> None:
        handle_hv(cpu)
        if registers.protocol == ProtocolCode.CORE:
            registers.rcx = versions(cpu, registers.rcx)
        elif not cpu.guest.alternate_injection:
            registers.rax = ResultCode.UNSUPPORTED_PROTOCOL
        elif registers.request == ApicCallCode.QUERY_FEATURES:
            registers.rcx = 0
        else:
            registers.rax = self.configure(cpu, registers.rcx)

    def enter(self, cpu: Vcpu) -> None:
        """`vm.window` is the moment between the last look at NoFurtherSignal and VMGEXIT."""
        guest, is_cancelled = cpu.guest, True
        while is_cancelled:
            events, cpu.doorbell.events = cpu.doorbell.events, 0
            handle_hv(cpu)
            is_ours = guest.alternate_injection  # else its interrupts are the host's
            if is_ours and get(events, VmplEvents.VMPL2):
                self.take_from_host(cpu)
            if is_ours and self.nmi_pending[cpu.index]:
                cpu.no_eoi_required = 0
                if not get(guest.event_inj, EventInj.VALID):
                    guest.event_inj = NMI_EVENT
                    self.nmi_pending[cpu.index] = False
            is_cancelled = self.vm.window(cpu)
            if is_cancelled:
                self.left(cpu)

    def left(self, cpu: Vcpu) -> None:
        """An event whose delivery was cut short is delivered again."""
        handle_hv(cpu)
        guest = cpu.guest
        guest.vintr = put(guest.vintr, VintrCtrl.BUSY, 0)
        if guest.alternate_injection and get(guest.exit_int_info, EventInj.VALID):
            guest.event_inj, guest.exit_int_info = guest.exit_int_info, 0

    def new_vmsa(self, cpu: Vcpu) -> None:
        """What was pending is gone."""
        cpu.guest.event_inj = 0
        cpu.guest.vintr = put(cpu.guest.vintr, VintrCtrl.V_IRQ, 0)
        self.nmi_pending[cpu.index] = False

    def take_from_host(self, cpu: Vcpu) -> None:
        """Take what the host posted. A level-triggered vector that is not allowed is acknowledged."""
        status = cpu.doorbell.status
        vector = get(status, ExtIntStatus.PENDING_VECTOR)
        if get(status, ExtIntStatus.NMI_PENDING):
            self.nmi_pending[cpu.index] = True
        if get(status, ExtIntStatus.LEVEL_SENSITIVE) and vector:
            self.vm.request(cpu, "specific_eoi", GUEST_VMPL << 16 | vector)
        taken = [ExtIntStatus.PENDING_VECTOR, ExtIntStatus.NMI_PENDING]
        taken += [ExtIntStatus.LEVEL_SENSITIVE, ExtIntStatus.MULTIPLE_VECTORS]
        if get(status, ExtIntStatus.MULTIPLE_VECTORS):
            taken.append(ExtIntStatus.VECTOR_31)
            for word in range(1, 8):
                cpu.doorbell.set_word(STATUS_WORD + word, 0)
        for one in taken:
            status = put(status, one, 0)
        cpu.doorbell.status = status

    def configure(self, cpu: Vcpu, request: int) -> int:
        if request > 2:
            return ResultCode.INVALID_PARAMETER
        if request == 2:
            if self.registrations in (0, MOST_REGISTRATIONS):
                return ResultCode.CANNOT_REGISTER
            self.registrations += 1
            return ResultCode.SUCCESS
        if request == 1 and self.registrations:
            self.registrations -= 1
        if not self.registrations:
            self.disable(cpu)
        return ResultCode.SUCCESS

    def disable(self, cpu: Vcpu) -> None:
        """Hand the vCPU over to the host: what is pending stands in the descriptor from here on."""
        guest, doorbell = cpu.guest, cpu.doorbell
        vector = get(doorbell.status, ExtIntStatus.PENDING_VECTOR)
        if guest.event_inj & IS_NMI == NMI_EVENT:
            guest.event_inj = 0
            self.nmi_pending[cpu.index] = True
        if vector >= 31 and not get(doorbell.status, ExtIntStatus.LEVEL_SENSITIVE):
            doorbell.set_irr(vector)
        doorbell.status |= ExtIntStatus.MULTIPLE_VECTORS.mask
        if self.nmi_pending[cpu.index]:
            doorbell.status |= ExtIntStatus.NMI_PENDING.mask
        self.nmi_pending[cpu.index] = False
        for word in range(8):
            doorbell.set_word(ISR_WORD + word, 0)
        cpu.no_eoi_required = 0
        guest.alternate_injection = False
        state = put(0, DisableInjection.VMPL, GUEST_VMPL)
        state = put(state, DisableInjection.TPR, get(guest.vintr, VintrCtrl.V_TPR) << 4)
        shadow = get(guest.vintr, VintrCtrl.INT_SHADOW)
        state = put(state, DisableInjection.INTERRUPT_SHADOW, shadow)
        state = put(state, DisableInjection.INTERRUPTS_ENABLED, guest.interrupts_enabled)
        if not self.vm.request(cpu, "disable_alternate_injection", state):
            raise Stop("terminated", "the host refused to disable Alternate Injection")


def handle_hv(cpu: Vcpu) -> None:
    """What runs first whenever the guest has left for the SVSM."""
    flags = cpu.doorbell.flags
    if not get(flags, DoorbellFlags.NO_FURTHER_SIGNAL):
        return
    flags = put(flags, DoorbellFlags.NMI_PENDING, 0)
    cpu.doorbell.flags = put(flags, DoorbellFlags.NO_FURTHER_SIGNAL, 0)
    cpu.doorbell[0] = 0  # its own vector
    if get(flags, DoorbellFlags.MC_PENDING):
        raise Stop("terminated", "the host signalled a machine check")


def versions(cpu: Vcpu, query: int) -> int:
    """QUERY_PROTOCOL: the highest and the lowest version, or 0. Every protocol has version 1 only."""
    there = [ProtocolCode.CORE, ProtocolCode.ATTESTATION]
    if cpu.guest.alternate_injection:
        there.append(ProtocolCode.APIC)
    is_there = get(query, SvsmProtocolQuery.PROTOCOL) in there
    if not is_there or get(query, SvsmProtocolQuery.VERSION) != 1:
        return 0
    return put(put(0, SvsmVersionRange.LOWEST, 1), SvsmVersionRange.HIGHEST, 1)
