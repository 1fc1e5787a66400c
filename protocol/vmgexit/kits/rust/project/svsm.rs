//! A small SVSM, to be replaced by yours: it counts registrations, and no vector is ever allowed.
//!
//! What the host posts is therefore dropped, level-triggered interrupts with a specific EOI. An NMI reaches
//! the guest. A vCPU is handed over to the host once the count is 0.

use crate::kit::adapter::{Registers, Stop, Svsm};
use crate::kit::commands::{Command, Request};
use crate::kit::layouts::{
    ApicCallCode, CoreCallCode, DisableInjection, DoorbellFlags, EventInj, EventTypeCode,
    ExtIntStatus, ProtocolCode, ResultCode, SvsmProtocolQuery, SvsmVersionRange, VmplEvents,
};
use crate::kit::vm::{Vcpu, Vm, GUEST_VMPL, ISR_WORD, MOST_VCPUS, STATUS_WORD};

pub struct Small {
    registrations: u64,
    nmi_pending: [bool; MOST_VCPUS],
}

impl Default for Small {
    fn default() -> Self {
        Small { registrations: 0, nmi_pending: [false; MOST_VCPUS] }
    }
}

impl Svsm for Small {
    fn name(&self) -> &'static str {
        "a small SVSM" // your SVSM and its version
    }

    fn profile(&self) -> &'static str {
        "reference"
    }

    fn stays(&self) -> bool {
        true // `init` makes all of it anew
    }

    fn init(&mut self, vm: &mut Vm) {
        *self = Small { registrations: vm.reg_count, ..Small::default() };
    }

    /// It has too few calls to be right about the codes of others.
    fn supports(&self, command: &Command) -> bool {
        match command {
            Command::Call { protocol, request, .. } => match ProtocolCode(*protocol) {
                ProtocolCode::APIC => *request <= ApicCallCode::CONFIGURE_EMULATION.0,
                ProtocolCode::CORE => *request == CoreCallCode::QUERY_PROTOCOL.0,
                _ => false,
            },
            _ => true,
        }
    }

    fn call(&mut self, vm: &mut Vm, cpu: usize, registers: &mut Registers) -> Result<(), Stop> {
        handle_hv(&mut vm.vcpus[cpu])?;
        if registers.protocol == ProtocolCode::CORE.0 as u32 {
            registers.rcx = versions(&vm.vcpus[cpu], SvsmProtocolQuery(registers.rcx));
        } else if !vm.vcpus[cpu].guest.alternate_injection {
            registers.rax = ResultCode::UNSUPPORTED_PROTOCOL.0 as u32;
        } else if registers.request == ApicCallCode::QUERY_FEATURES.0 as u32 {
            registers.rcx = 0;
        } else {
            registers.rax = self.configure(vm, cpu, registers.rcx)?.0 as u32;
        }
        Ok(())
    }

    /// `vm.window` is the moment between the last look at NoFurtherSignal and VMGEXIT.
    fn enter(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        loop {
            let events = vm.vcpus[cpu].doorbell.events();
            handle_hv(&mut vm.vcpus[cpu])?;
            vm.vcpus[cpu].doorbell.set_events(VmplEvents(0));
            let is_ours = vm.vcpus[cpu].guest.alternate_injection; // else its interrupts are the host's
            if is_ours && events.vmpl2() {
                self.take_from_host(vm, cpu);
            }
            if is_ours && self.nmi_pending[cpu] {
                let Vcpu { guest, calling, .. } = &mut vm.vcpus[cpu];
                calling.no_eoi_required = 0;
                if !guest.event_inj.valid() {
                    guest.event_inj = EventInj(0).with_valid(true).with_type(EventTypeCode::NMI.0);
                    self.nmi_pending[cpu] = false;
                }
            }
            if !vm.window(cpu) {
                return Ok(());
            }
            self.left(vm, cpu)?;
        }
    }

    /// An event whose delivery was cut short is delivered again.
    fn left(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        handle_hv(&mut vm.vcpus[cpu])?;
        let guest = &mut vm.vcpus[cpu].guest;
        guest.vintr = guest.vintr.with_busy(false);
        if guest.alternate_injection && guest.exit_int_info.valid() {
            guest.event_inj = guest.exit_int_info;
            guest.exit_int_info = EventInj(0);
        }
        Ok(())
    }

    /// What was pending is gone.
    fn new_vmsa(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        let guest = &mut vm.vcpus[cpu].guest;
        guest.event_inj = EventInj(0);
        guest.vintr = guest.vintr.with_v_irq(false);
        self.nmi_pending[cpu] = false;
        Ok(())
    }

    fn reg_count(&self) -> Option<u64> {
        Some(self.registrations)
    }
}

impl Small {
    /// Take what the host posted. A level-triggered vector that is not allowed is acknowledged at once.
    fn take_from_host(&mut self, vm: &mut Vm, cpu: usize) {
        let doorbell = &mut vm.vcpus[cpu].doorbell;
        let status = doorbell.status();
        let mut left = status.with_pending_vector(0).with_nmi_pending(false);
        left = left.with_level_sensitive(false).with_multiple_vectors(false);
        if status.multiple_vectors() {
            left = left.with_vector_31(false);
            (1..8).for_each(|word| doorbell.set_word(STATUS_WORD + word, 0));
        }
        doorbell.set_status(left);
        self.nmi_pending[cpu] |= status.nmi_pending();
        if status.level_sensitive() && status.pending_vector() != 0 {
            let info1 = GUEST_VMPL << 16 | u64::from(status.pending_vector());
            vm.request(cpu, Request::SpecificEoi, info1);
        }
    }

    fn configure(&mut self, vm: &mut Vm, cpu: usize, request: u64) -> Result<ResultCode, Stop> {
        match request {
            2 if self.registrations == 0 || self.registrations == u32::MAX.into() => {
                return Ok(ResultCode::CANNOT_REGISTER);
            }
            2 => self.registrations += 1,
            1 => self.registrations = self.registrations.saturating_sub(1),
            0 => {}
            _ => return Ok(ResultCode::INVALID_PARAMETER),
        }
        if self.registrations == 0 {
            self.disable(vm, cpu)?;
        }
        Ok(ResultCode::SUCCESS)
    }

    /// Hand the vCPU over to the host: what is pending stands in the descriptor from here on.
    fn disable(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        let Vcpu { doorbell, guest, calling, .. } = &mut vm.vcpus[cpu];
        let status: ExtIntStatus = doorbell.status();
        if guest.event_inj.valid() && guest.event_inj.r#type() == EventTypeCode::NMI.0 {
            guest.event_inj = EventInj(0);
            self.nmi_pending[cpu] = true;
        }
        if status.pending_vector() >= 31 && !status.level_sensitive() {
            doorbell.set_irr(status.pending_vector() as u8);
        }
        let is_nmi = status.nmi_pending() || self.nmi_pending[cpu];
        doorbell.set_status(doorbell.status().with_multiple_vectors(true).with_nmi_pending(is_nmi));
        self.nmi_pending[cpu] = false;
        (0..8).for_each(|word| doorbell.set_word(ISR_WORD + word, 0));
        calling.no_eoi_required = 0;
        guest.alternate_injection = false;
        let state = DisableInjection(0)
            .with_vmpl(GUEST_VMPL)
            .with_tpr(guest.vintr.v_tpr() << 4)
            .with_interrupt_shadow(guest.vintr.int_shadow())
            .with_interrupts_enabled(guest.interrupts_enabled);
        if !vm.request(cpu, Request::DisableAlternateInjection, state.0) {
            return Err(Stop::Terminated("the host refused to disable Alternate Injection"));
        }
        Ok(())
    }
}

/// What runs first whenever the guest has left for the SVSM.
fn handle_hv(cpu: &mut Vcpu) -> Result<(), Stop> {
    let flags: DoorbellFlags = cpu.doorbell.flags();
    if flags.no_further_signal() {
        cpu.doorbell.set_flags(flags.with_no_further_signal(false).with_nmi_pending(false));
        cpu.doorbell.0[0] = 0; // its own vector
        if flags.mc_pending() {
            return Err(Stop::Terminated("the host signalled a machine check"));
        }
    }
    Ok(())
}

/// QUERY_PROTOCOL: the highest and the lowest version, or 0. Every protocol has version 1 only.
fn versions(cpu: &Vcpu, query: SvsmProtocolQuery) -> u64 {
    let is_there = match ProtocolCode(query.protocol()) {
        ProtocolCode::CORE | ProtocolCode::ATTESTATION => true,
        ProtocolCode::APIC => cpu.guest.alternate_injection,
        _ => false,
    };
    match is_there && query.version() == 1 {
        true => SvsmVersionRange(0).with_lowest(1).with_highest(1).0,
        false => 0,
    }
}
