"""Bugs of SVSMs and hosts in delivering interrupts, each mended in the field, in the reference machine.

Most wrap what they break, so that the coverage of the original still guides a campaign. Those that
are quirks (`vmgexit.machine.quirks`) are not repeated.
"""

from __future__ import annotations

from collections.abc import Callable

from vmgexit.machine.rules import apic, apic_registers, entry, ipis, registration
from vmgexit.machine.rules import calls as svsm
from vmgexit.machine.vcpu import EVENT_VALID, EVENTS_AT, GUEST_EVENT, Entry
from vmgexit.machine.vm import Assertion, Vcpu, Vm
from vmgexit.wire.apic import ApicIcr, ApicRegister, ConfigureRequest, MessageType, Shorthand
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.svsm import ResultCode

from . import Undo, all_of, bug, replace

_Read = tuple[ResultCode, int]

# --- entering the guest ----------------------------------------------------------------------------


@bug("COCONUT-SVSM e7d3fb9f (pull request 393)")
def signal_answered_after_events() -> Undo:
    """A #HV that comes after the events were looked at is answered on the way in, not looked at."""

    def test_signal(cpu: Vcpu, under_way: Entry) -> str:
        entry.answer_signal(cpu)
        return "vmgexit"

    return replace(entry.STEPS, "test_signal", test_signal)


@bug("msft-jlange/svsm f42f8f0c")
def events_copied_before_signal() -> Undo:
    """Events are read before the signal is answered: one that comes between is not looked at."""

    def handle_hv(cpu: Vcpu, under_way: Entry) -> str:
        under_way.word = cpu.page[EVENTS_AT]
        return "swap_events"

    def swap_events(cpu: Vcpu, under_way: Entry) -> str:
        entry.answer_signal(cpu)
        cpu.page[EVENTS_AT] &= ~under_way.word & 0xFF
        seen = under_way.word & GUEST_EVENT and cpu.vm.emulated(cpu)
        return "load_status" if seen else "take_mailbox"

    return all_of(
        replace(entry.STEPS, "handle_hv", handle_hv),
        replace(entry.STEPS, "swap_events", swap_events),
    )


@bug("COCONUT-SVSM 6557794b (pull request 881)")
def exitintinfo_not_reinjected() -> Undo:
    """An interrupt whose delivery was cut short is not put into EVENTINJ again, and BUSY stays set."""
    return replace(entry, "left_guest", lambda cpu: None)


@bug("OpenVMM issue 1058")
def pending_event_overwritten() -> Undo:
    """A new interrupt takes EVENTINJ from one that the guest has not taken, which is lost."""
    original = apic.present

    def present(cpu: Vcpu) -> None:
        if cpu.apic.update_required and cpu.apic.irr and cpu.guest.event_inj & EVENT_VALID:
            cpu.guest.event_inj = 0
        original(cpu)

    return replace(apic, "present", present)


@bug("OpenVMM d45ac87b0 (pull request 908)")
def nmi_never_cleared() -> Undo:
    """An NMI stays pending after it was presented, and comes again and again."""
    original = apic.present

    def present(cpu: Vcpu) -> None:
        pending = cpu.apic.nmi_pending
        original(cpu)
        cpu.apic.nmi_pending |= pending
        cpu.apic.update_required |= pending

    return replace(apic, "present", present)


@bug("COCONUT-SVSM d03c5c42")
def lazy_eoi_for_level() -> Undo:
    """A lazy EOI is offered for level-triggered interrupts instead of edge-triggered ones."""
    original = apic.present

    def present(cpu: Vcpu) -> None:
        is_due = cpu.apic.update_required
        original(cpu)
        local = cpu.apic
        if not is_due or not (local.interrupt_delivered or local.interrupt_queued):
            return
        alone = local.interrupt_delivered or len(local.isr) == 1
        offered = alone and local.isr_tmr[-1][0] and not local.irr
        cpu.calling.no_eoi_required = int(offered)
        local.lazy_eoi_pending = offered

    return replace(apic, "present", present)


# --- calls ----------------------------------------------------------------------------------


@bug("COCONUT-SVSM 978aef5a (pull request 398)")
def registering_holds_nothing() -> Undo:
    """A vCPU's deregistration disables it although other registrations are left."""
    original = registration.configure

    def configure(cpu: Vcpu, request: int) -> tuple[ResultCode, bool]:
        result, off = original(cpu, request)
        return result, off or request == ConfigureRequest.DEREGISTER

    return replace(registration, "configure", configure)


@bug("COCONUT-SVSM 3c9e6525 (pull request 1075)")
def all_vectors_refused() -> Undo:
    """Allowing all vectors at once is refused."""
    original = svsm._configure_vector

    def configure(cpu: Vcpu, value: int) -> ResultCode:
        if value & 1 << 9:
            return ResultCode.INVALID_PARAMETER
        return original(cpu, value)

    return replace(svsm, "_configure_vector", configure)


@bug("COCONUT-SVSM 63e9f174 (pull request 1186)")
def calling_area_within_a_page() -> Undo:
    """A calling area is taken at any multiple of 8, and may end in the next page."""
    return replace(svsm, "PAGE", 8)


# --- registers -------------------------------------------------------------------------------------


@bug("COCONUT-SVSM fd702653 (pull request 1126)")
def ppr_from_next_free_slot() -> Undo:
    """PPR takes its class from the slot after the newest interrupt in service, which is empty."""
    return replace(apic, "processor_priority", apic.task_priority)


@bug("COCONUT-SVSM 9d6d4cca (pull request 1126)")
def ldr_not_readable() -> Undo:
    """LDR is answered as a register that there is not."""
    return _unreadable(lambda number: number == ApicRegister.LDR, ResultCode.INVALID_ADDRESS)


@bug("COCONUT-SVSM f2ceed26 (pull request 850)")
def icr_not_readable() -> Undo:
    """ICR is answered as a register that can only be written."""
    return _unreadable(lambda number: number == ApicRegister.ICR, ResultCode.INVALID_PARAMETER)


def _unreadable(meant: Callable[[int], bool], answer: ResultCode) -> Undo:
    original = apic_registers.read_register

    def read(cpu: Vcpu, number: int) -> _Read:
        return (answer, 0) if meant(number) else original(cpu, number)

    return replace(apic_registers, "read_register", read)


@bug("msft-jlange/svsm 626394e4")
def isr_index_from_irr_base() -> Undo:
    """The ISR's words are counted from the IRR's first register, and reading one stops the SVSM."""
    original = apic_registers.read_register

    def read(cpu: Vcpu, number: int) -> _Read:
        if ApicRegister.ISR0 <= number < ApicRegister.ISR0 + 8:
            raise Assertion("the number of the ISR word is negative")
        return original(cpu, number)

    return replace(apic_registers, "read_register", read)


@bug("COCONUT-SVSM 39ea1147 (pull request 1126)")
def invalid_register_is_a_parameter() -> Undo:
    """Reading a register that there is not answers INVALID_PARAMETER."""
    original = apic_registers.read_register

    def read(cpu: Vcpu, number: int) -> _Read:
        result, value = original(cpu, number)
        if result is ResultCode.INVALID_ADDRESS:
            result = ResultCode.INVALID_PARAMETER
        return result, value

    return replace(apic_registers, "read_register", read)


@bug("COCONUT-SVSM 4482ac12 (pull request 911)")
def tpr_written_to_a_copy() -> Undo:
    """A write of the TPR succeeds and changes nothing."""
    original = apic_registers.write_register

    def write(cpu: Vcpu, number: int, value: int) -> ResultCode:
        before = cpu.guest.vintr.v_tpr, cpu.apic.tpr_low
        result = original(cpu, number, value)
        cpu.guest.vintr.v_tpr, cpu.apic.tpr_low = before
        return result

    return replace(apic_registers, "write_register", write)


@bug("COCONUT-SVSM 229c0283 (pull request 1126)")
def eoi_of_any_value() -> Undo:
    """A write of anything but 0 to the EOI register ends an interrupt as well."""
    original = apic_registers.write_register

    def write(cpu: Vcpu, number: int, value: int) -> ResultCode:
        return original(cpu, number, 0 if number == ApicRegister.EOI else value)

    return replace(apic_registers, "write_register", write)


@bug("COCONUT-SVSM fa79daca (pull request 1126)")
def refused_eoi_crashes() -> Undo:
    """A host that refuses a specific EOI stops the SVSM."""
    original = Vm.request

    def request(self: Vm, cpu: Vcpu, code: ExitCode, word: int) -> bool:
        accepted = original(self, cpu, code, word)
        if code is ExitCode.SPECIFIC_EOI and not accepted:
            raise Assertion("the host refused a specific EOI")
        return accepted

    return replace(Vm, "request", request)


# --- IPIs ------------------------------------------------------------------------------------------


@bug("COCONUT-SVSM 42726717 (pull request 1126)")
def nmi_to_itself_becomes_fixed() -> Undo:
    """An NMI that a vCPU sends to its own physical id arrives as a fixed interrupt."""
    original = ipis._deliver

    def deliver(sender: Vcpu, target: Vcpu, icr: ApicIcr) -> None:
        is_nmi = icr.message_type is MessageType.NMI
        own_id = target is sender and not icr.logical and icr.shorthand == Shorthand.NONE
        if not (is_nmi and own_id):
            return original(sender, target, icr)
        target.vm.note_sent(target, icr.vector, nmi=True)
        apic.accept(target.apic, icr.vector)

    return replace(ipis, "_deliver", deliver)


@bug("COCONUT-SVSM b88fbe1f, 43dfe30a (pull request 1126)")
def icr_reserved_bits_accepted() -> Undo:
    """ICR writes with bits set that must be zero are carried out."""
    return replace(ipis, "_ICR_REFUSED", 0)


@bug("COCONUT-SVSM 2bfc0665 (pull request 786)")
def icr_assert_refused() -> Undo:
    """ICR writes with the level or the trigger mode bit set, as Linux makes them, are refused."""
    return replace(ipis, "_ICR_REFUSED", ipis._ICR_REFUSED | 1 << 14 | 1 << 15)
