//! How the small host tells VMPL 0 of events, and where the doorbell pages are.

use crate::kit::events::{Events, Pending};
use crate::kit::layouts::{DoorbellFlags, DoorbellOperationCode, MalformedInputCode};
use crate::kit::vcpus::{Vcpu, HV, INTERRUPT, MACHINE_CHECK, NMI};
use crate::kit::vm::{Vm, PAGE};
use core::mem::take;

const NO_PAGE: u64 = u64::MAX;

/// The exit by which a vCPU says where its doorbell page is. SW_EXITINFO1 says what to do, SW_EXITINFO2 where
/// it is. The answer is the detail.
pub fn doorbell(vm: &mut Vm, cpu: usize) -> Result<u64, MalformedInputCode> {
    let address = vm.page.sw_exit_info_2;
    let is_page = address % PAGE as u64 == 0 && vm.is_memory(address, PAGE);
    let vcpu = &mut vm.vcpus[cpu];
    match DoorbellOperationCode(vm.page.sw_exit_info_1) {
        DoorbellOperationCode::GET_PREFERRED => Ok(NO_PAGE),
        DoorbellOperationCode::SET if is_page => {
            vcpu.doorbell = Some(address);
            Ok(address)
        }
        DoorbellOperationCode::QUERY => Ok(vcpu.doorbell.unwrap_or(NO_PAGE)),
        DoorbellOperationCode::CLEAR => {
            vcpu.doorbell = None;
            Ok(0)
        }
        _ => Err(MalformedInputCode::INVALID_INPUT),
    }
}

/// VMPL 0 runs where something waits for it. #HV is injected unless the guest has one to handle.
pub fn enter(vm: &mut Vm, cpu: usize) {
    let (is_restricted, pending) = (vm.is_restricted(), vm.load_pending(cpu));
    let vcpu = &mut vm.vcpus[cpu];
    vcpu.event_inj = 0;
    if vcpu.has_event() {
        vcpu.vmpl = 0;
    }
    if vcpu.vmpl != 0 {
        return;
    }
    if !is_restricted {
        vcpu.event_inj = next_event(vcpu);
        return;
    }
    if let Some(mut pending) = pending {
        if present(vcpu, &mut pending) && !pending.flags.no_further_signal() {
            vcpu.event_inj = HV;
            pending.flags = pending.flags.with_no_further_signal(true);
        }
        vm.store_pending(cpu, pending);
    }
}

/// Without restricted injection: the event that is most urgent, which no longer waits.
fn next_event(vcpu: &mut Vcpu) -> u64 {
    if take(&mut vcpu.waiting_machine_check) {
        return MACHINE_CHECK;
    }
    if take(&mut vcpu.waiting_nmi) {
        return NMI;
    }
    let Some(vector) = vcpu.waiting_irqs.highest() else { return 0 };
    vcpu.waiting_irqs.remove(vector);
    INTERRUPT | u64::from(vector)
}

/// Write down what waits, unless the guest has not taken the one before of its kind. Whether it is news: a
/// vector in the place of a lower one, which waits again, is none.
fn present(vcpu: &mut Vcpu, pending: &mut Pending) -> bool {
    let flags: &mut DoorbellFlags = &mut pending.flags;
    let mut is_news = false;
    if !flags.mc_pending() && take(&mut vcpu.waiting_machine_check) {
        *flags = flags.with_mc_pending(true);
        is_news = true;
    }
    if !flags.nmi_pending() && take(&mut vcpu.waiting_nmi) {
        *flags = flags.with_nmi_pending(true);
        is_news = true;
    }
    match (pending.vector, vcpu.waiting_irqs.highest()) {
        (before, Some(vector)) if vector > before => {
            vcpu.waiting_irqs.remove(vector);
            pending.vector = vector;
            if before != 0 {
                vcpu.waiting_irqs.add(before);
            }
            is_news || before == 0
        }
        _ => is_news,
    }
}

/// The last entry did not come to VMRUN. What it told waits again: where that was #HV, all of the page.
pub fn cancel(vm: &mut Vm, cpu: usize) -> Events {
    let mut events = Events::of(take(&mut vm.vcpus[cpu].event_inj));
    if !events.all().is_empty() && vm.is_restricted() {
        events = vm.load_pending(cpu).unwrap_or_default().events();
        vm.store_pending(cpu, Pending::default());
    }
    events.all().iter().for_each(|event| vm.vcpus[cpu].wait_for(*event));
    events
}
