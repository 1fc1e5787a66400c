//! An adapter around the SVSM of svsm.rs. ./adapter --bugs ppr,window: with these bugs; all: all ten; none: without.

mod calls;
mod kit;
mod local_apic;
mod svsm;

use kit::adapter::{self, Apic, Registers, Set, Stop};
use kit::commands::{Command, Request};
use kit::layouts::{CoreCallCode, EventInj, ProtocolCode, VintrCtrl};
use kit::vm::Vm;
use svsm::{Call, Cpu, Exit, Platform, Svsm, Termination, Vmsa, BUGS};

/// What the SVSM runs on: the kit.
struct Kit<'a, 'b>(&'a mut Vm<'b>);

impl Platform for Kit<'_, '_> {
    fn doorbell(&self, cpu: usize, at: usize) -> u32 {
        self.0.vcpus[cpu].doorbell.word(at)
    }

    fn set_doorbell(&mut self, cpu: usize, at: usize, word: u32) {
        self.0.vcpus[cpu].doorbell.set_word(at, word);
    }

    fn no_eoi_required(&mut self, cpu: usize) -> &mut u8 {
        &mut self.0.vcpus[cpu].calling.no_eoi_required
    }

    fn vmgexit(&mut self, cpu: usize, code: Exit, info1: u64) -> bool {
        let request = match code {
            Exit::HvIpi => Request::HvIpi,
            Exit::DisableAlternateInjection => Request::DisableAlternateInjection,
            Exit::SpecificEoi => Request::SpecificEoi,
        };
        self.0.request(cpu, request, info1)
    }

    fn vmrun(&mut self, cpu: usize) -> bool {
        !self.0.window(cpu)
    }
}

impl From<Termination> for Stop {
    fn from(termination: Termination) -> Self {
        Stop::Terminated(termination.0)
    }
}

struct Adapter(Svsm);

impl Adapter {
    /// Run the SVSM: the guest's VMSA is given to it and taken back.
    fn run<T>(&mut self, vm: &mut Vm, cpu: usize, run: impl FnOnce(&mut Svsm, &mut Kit) -> T) -> T {
        let (guest, address) = (vm.vcpus[cpu].guest, vm.vcpus[cpu].calling_address);
        self.0.cpus[cpu].calling_area = address;
        self.0.cpus[cpu].vmsa = Vmsa {
            vintr_ctrl: guest.vintr.0,
            event_inj: guest.event_inj.0,
            exit_int_info: guest.exit_int_info.0,
            interrupts_enabled: guest.interrupts_enabled,
            alternate_injection: guest.alternate_injection,
        };
        let outcome = run(&mut self.0, &mut Kit(vm));
        let (vmsa, guest) = (&self.0.cpus[cpu].vmsa, &mut vm.vcpus[cpu].guest);
        guest.vintr = VintrCtrl(vmsa.vintr_ctrl);
        guest.event_inj = EventInj(vmsa.event_inj);
        guest.exit_int_info = EventInj(vmsa.exit_int_info);
        guest.alternate_injection = vmsa.alternate_injection;
        if self.0.cpus[cpu].calling_area != address {
            vm.vcpus[cpu].move_calling_area(self.0.cpus[cpu].calling_area);
        }
        outcome
    }
}

impl adapter::Svsm for Adapter {
    fn name(&self) -> &'static str {
        "an APIC SVSM in Rust"
    }

    fn profile(&self) -> &'static str {
        "reference"
    }

    fn stays(&self) -> bool {
        true // `init` makes all of it anew
    }

    fn init(&mut self, vm: &mut Vm) {
        self.0.registrations = vm.reg_count;
        self.0.cpus = vec![Cpu::default(); vm.cpus];
        for (cpu, vcpu) in self.0.cpus.iter_mut().zip(vm.vcpus.iter()) {
            cpu.apic_id = vcpu.apic_id;
            cpu.calling_area = vcpu.calling_address;
            cpu.vmsa.alternate_injection = vcpu.guest.alternate_injection;
        }
    }

    /// Of the core calls it has two; attestation is not its business.
    fn supports(&self, command: &Command) -> bool {
        match command {
            Command::Call { protocol, request, .. } if *protocol == ProtocolCode::CORE.0 => {
                [CoreCallCode::REMAP_CA.0, CoreCallCode::QUERY_PROTOCOL.0].contains(request)
            }
            Command::Call { protocol, .. } => *protocol != ProtocolCode::ATTESTATION.0,
            _ => true,
        }
    }

    fn call(&mut self, vm: &mut Vm, cpu: usize, registers: &mut Registers) -> Result<(), Stop> {
        let rax = u64::from(registers.protocol) << 32 | u64::from(registers.request);
        let mut call = Call { rax, rcx: registers.rcx, rdx: registers.rdx };
        self.run(vm, cpu, |svsm, kit| svsm.handle_call(kit, cpu, &mut call))?;
        registers.rax = call.rax as u32;
        registers.rcx = call.rcx;
        registers.rdx = call.rdx;
        Ok(())
    }

    fn enter(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        Ok(self.run(vm, cpu, |svsm, kit| svsm.enter_guest(kit, cpu))?)
    }

    fn left(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        Ok(self.run(vm, cpu, |svsm, kit| svsm.guest_left(kit, cpu))?)
    }

    fn new_vmsa(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        self.run(vm, cpu, |svsm, kit| svsm.new_vcpu(kit, cpu));
        Ok(())
    }

    /// Of level-triggered vectors those in service are shown, too.
    fn apic(&self, cpu: usize) -> Option<Apic> {
        let apic = &self.0.cpus[cpu].apic;
        let mut shown = Apic {
            icr: apic.icr,
            irr: Set(apic.irr.0),
            allowed: Set(apic.allowed.0),
            tmr: Set(apic.tmr.0),
            host_tmr: Set(apic.host_tmr.0),
            isr_count: apic.in_service.len(),
            update_required: apic.update_required,
            interrupt_delivered: apic.interrupt_delivered,
            interrupt_queued: apic.interrupt_queued,
            lazy_eoi_pending: apic.lazy_eoi_pending,
            nmi_pending: apic.nmi_pending,
            ipi_irr: Set(apic.sent.0),
            ipi_pending: apic.has_mail,
            ipi_nmi: apic.nmi_sent,
            ..Apic::default()
        };
        for (place, (vector, level)) in shown.isr_stack.iter_mut().zip(&apic.in_service) {
            *place = *vector;
            if *level {
                shown.tmr.add(*vector);
                shown.host_tmr.add(*vector);
            }
        }
        Some(shown)
    }

    fn reg_count(&self) -> Option<u64> {
        Some(self.0.registrations)
    }
}

fn main() -> std::io::Result<()> {
    let mut svsm = Svsm::default();
    let mut arguments = std::env::args().skip(1);
    if let (Some("--bugs"), Some(list)) = (arguments.next().as_deref(), arguments.next()) {
        for (bug, name) in svsm.bugs.iter_mut().zip(BUGS) {
            *bug = list == "all" || list.split(',').any(|one| one == name);
        }
    }
    kit::process::answer_commands(&mut Adapter(svsm))
}
