//! The adapter: it does what the host and the guest do, and asks the SVSM for the rest.
//!
//! It uses `core` alone. `process` reads standard input and writes standard output.

use crate::kit::commands::{read_command, Command};
use crate::kit::hello::begin_hello;
use crate::kit::json::Answer;
use crate::kit::layouts::{CallingArea, EventInj, EventTypeCode, VintrCtrl};
use crate::kit::reading::Numbers;
use crate::kit::vm::{Guest, Vcpu, Vm, STATUS_WORD};

/// The registers of a call: what the guest gives, and what it gets back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registers {
    pub protocol: u32,
    pub request: u32,
    pub rcx: u64,
    pub rdx: u64,
    pub r8: u64,
    pub rax: u32,
}

/// A set of vectors, as a local APIC has it: vector 0 is bit 0 of the first word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(pub [u32; 8]);

impl Set {
    pub fn has(&self, vector: u8) -> bool {
        self.0[usize::from(vector) / 32] >> (vector % 32) & 1 != 0
    }

    pub fn add(&mut self, vector: u8) {
        self.0[usize::from(vector) / 32] |= 1 << (vector % 32);
    }

    /// Take a vector out: whether it was in.
    pub fn drop(&mut self, vector: u8) -> bool {
        let was_in = self.has(vector);
        self.0[usize::from(vector) / 32] &= !(1 << (vector % 32));
        was_in
    }

    /// The highest vector, or 0.
    pub fn top(&self) -> u8 {
        (0..=255).rev().find(|vector| self.has(*vector)).unwrap_or(0)
    }
}

/// What an SVSM keeps of a vCPU's local APIC. An SVSM may use it as its own state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Apic {
    pub icr: u64,
    pub irr: Set,
    pub allowed: Set,
    pub tmr: Set,
    pub host_tmr: Set,
    /// In service, the newest last.
    pub isr_stack: [u8; 16],
    pub isr_count: usize,
    pub update_required: bool,
    pub interrupt_delivered: bool,
    pub interrupt_queued: bool,
    pub lazy_eoi_pending: bool,
    pub nmi_pending: bool,
    /// What other vCPUs sent, and this one has not taken.
    pub ipi_irr: Set,
    pub ipi_pending: bool,
    pub ipi_nmi: bool,
}

/// Why an SVSM stopped. An assertion that fails by a Rust panic need not be told.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// An assertion failed.
    Panic(&'static str),
    /// It asked the host to end the VM.
    Terminated(&'static str),
}

/// The calls into an SVSM. `cpu` is an index into `vm.vcpus`.
pub trait Svsm {
    /// For the hello.
    fn name(&self) -> &'static str;
    fn profile(&self) -> &'static str;
    /// The process goes on after a stop: `init` leaves nothing of what was before.
    fn stays(&self) -> bool {
        false
    }
    /// A fresh SVSM for this VM.
    fn init(&mut self, vm: &mut Vm);
    /// Whether it has what the command needs. If not, the command changes nothing and counts as no mistake.
    fn supports(&self, _command: &Command) -> bool {
        true
    }
    /// The guest calls. If NoFurtherSignal is set, the #HV handler runs first.
    fn call(&mut self, vm: &mut Vm, cpu: usize, registers: &mut Registers) -> Result<(), Stop>;
    /// From the #HV handler to VMGEXIT: take interrupts, present them, `vm.window`.
    fn enter(&mut self, _vm: &mut Vm, _cpu: usize) -> Result<(), Stop> {
        Ok(())
    }
    /// The guest left for the host's own reasons: the #HV handler, and what EXITINTINFO holds.
    fn left(&mut self, _vm: &mut Vm, _cpu: usize) -> Result<(), Stop> {
        Ok(())
    }
    /// The guest got a new VMSA, which is in place; its calling area is still the old one.
    fn new_vmsa(&mut self, _vm: &mut Vm, _cpu: usize) -> Result<(), Stop> {
        Ok(())
    }
    /// The state of a local APIC, if it can be told.
    fn apic(&self, _cpu: usize) -> Option<Apic> {
        None
    }
    /// Registrations for Alternate Injection that stand.
    fn reg_count(&self) -> Option<u64> {
        None
    }
}

/// Write the hello.
pub fn hello<S: Svsm>(svsm: &S, answer: &mut Answer) {
    begin_hello(svsm.name(), svsm.profile(), answer);
    if svsm.stays() {
        answer.flag("stays", true);
    }
}

/// Answer one line. False where the SVSM stopped before: that stop answers. An error is a stop.
pub fn answer_line<S: Svsm>(svsm: &mut S, vm: &mut Vm, line: &[u8], answer: &mut Answer) -> Result<bool, Stop> {
    let command = match read_command(line) {
        Ok(command) => command,
        Err(wrong) => {
            answer.text("unsupported", wrong);
            return Ok(true);
        }
    };
    if !supports(svsm, vm, &command) {
        answer.text("unsupported", command.name());
        return Ok(true);
    }
    let begins = matches!(command, Command::Init { .. });
    answer_by(vm, begins, answer, |vm, answer| carry_out(svsm, vm, &command, answer))
}

/// Answer by `carry_out`, unless the SVSM stopped before.
pub(crate) fn answer_by(
    vm: &mut Vm, begins: bool, answer: &mut Answer,
    carry_out: impl FnOnce(&mut Vm, &mut Answer) -> Result<(), Stop>,
) -> Result<bool, Stop> {
    let made = vm.request_count;
    if vm.has_stopped && !begins {
        return Ok(false);
    }
    vm.has_stopped = true; // until it comes back, by no stop and no panic
    carry_out(vm, answer)?;
    vm.has_stopped = false;
    if !begins && vm.request_count > made {
        requests("calls", vm, made, answer);
    }
    Ok(true)
}

/// Whether a command is possible, and the SVSM has what it needs.
pub(crate) fn supports<S: Svsm>(svsm: &S, vm: &Vm, command: &Command) -> bool {
    is_possible(vm, command) && svsm.supports(command)
}

/// Whether the APIC ids, if there are any, are one for each vCPU, and all different.
pub(crate) fn has_ids(cpus: u64, apic_ids: Option<Numbers>) -> bool {
    apic_ids.map_or(true, |ids| {
        let is_first = |(at, id)| ids.all().take(at).all(|other| other != id);
        let count = ids.all().count() as u64;
        count == 0 || (count == cpus && ids.all().enumerate().all(is_first))
    })
}

fn is_possible(vm: &Vm, command: &Command) -> bool {
    match command {
        Command::Init { cpus, apic_ids, .. } => has_ids(*cpus, *apic_ids),
        Command::Enter { cpu, late } => {
            let several = late.map_or(0, |late| late.all().count());
            *cpu < vm.cpus as u64 && several <= vm.late.len()
        }
        _ => command.cpu() < vm.cpus as u64,
    }
}

/// Before the SVSM runs for a vCPU: a new VMSA and a moved calling area are used from here on.
pub(crate) fn take_up<S: Svsm>(svsm: &mut S, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
    let vcpu = &mut vm.vcpus[cpu];
    if let Some(mut guest) = vcpu.new_guest.take() {
        guest.alternate_injection = vcpu.guest.alternate_injection;
        vcpu.guest = guest;
        vcpu.new_calling_address = Some(vcpu.calling_address);
        svsm.new_vmsa(vm, cpu)?;
    }
    let vcpu = &mut vm.vcpus[cpu];
    if let Some(address) = vcpu.new_calling_address.take() {
        vcpu.calling_address = address;
        vcpu.calling = CallingArea::from_bytes([0; 4096]);
    }
    Ok(())
}

/// A VM with fresh vCPUs, and no requests made.
pub(crate) fn begin_vm(vm: &mut Vm, cpus: usize, apic_ids: Option<Numbers>) {
    let mut ids = apic_ids.map(|ids| ids.all());
    vm.cpus = cpus;
    vm.request_count = 0;
    for index in 0..cpus {
        let id = ids.as_mut().and_then(|ids| ids.next()).unwrap_or(index as u64);
        vm.vcpus[index] = Vcpu::fresh(index, id as u32);
    }
}

pub(crate) fn carry_out<S: Svsm>(svsm: &mut S, vm: &mut Vm, command: &Command, answer: &mut Answer) -> Result<(), Stop> {
    if let Command::Init { cpus, reg_count, apic_ids } = *command {
        begin_vm(vm, cpus as usize, apic_ids);
        vm.reg_count = reg_count;
        svsm.init(vm);
        answer.flag("ok", true);
        answer.number("cpus", cpus);
        answer.number("reg_count", reg_count);
        return Ok(());
    }
    let cpu = command.cpu() as usize;
    let vcpu = &mut vm.vcpus[cpu];
    match *command {
        Command::Call { protocol, request, rcx, rdx, r8, .. } => {
            take_up(svsm, vm, cpu)?;
            let guest = &mut vm.vcpus[cpu].guest;
            guest.exit_int_info = EventInj(0);
            guest.vintr = guest.vintr.with_busy(false);
            let (protocol, request) = (protocol as u32, request as u32);
            let mut registers = Registers { protocol, request, rcx, rdx, r8, rax: 0 };
            svsm.call(vm, cpu, &mut registers)?;
            answer.number("rax", registers.rax.into());
            answer.number("rcx", registers.rcx);
            answer.number("rdx", registers.rdx);
            answer.number("r8", registers.r8);
        }
        Command::Enter { late, .. } => {
            take_up(svsm, vm, cpu)?;
            vm.late_count = 0;
            vm.cancelled = 0;
            for interrupt in late.iter().flat_map(|late| late.all()) {
                vm.late[vm.late_count] = interrupt;
                vm.late_count += 1;
            }
            svsm.enter(vm, cpu)?;
            vm.window(cpu); // where the SVSM opened none, it comes too late to cancel anything
            vm.vcpus[cpu].guest.exit_int_info = EventInj(0);
            let apic = svsm.apic(cpu);
            if apic.is_none() {
                answer.text("unsupported", "flags");
            }
            vmrun(&vm.vcpus[cpu], answer);
            if let Some(apic) = apic {
                flags(&apic, answer);
            }
            answer.number("cancelled", vm.cancelled);
        }
        Command::Intercept { exitintinfo, busy, .. } => {
            take_up(svsm, vm, cpu)?;
            let guest = &mut vm.vcpus[cpu].guest;
            guest.exit_int_info = EventInj(exitintinfo);
            guest.vintr = guest.vintr.with_busy(busy);
            svsm.left(vm, cpu)?;
            vmrun(&vm.vcpus[cpu], answer);
        }
        Command::HostIrq { vector, level, .. } => {
            let (posted, signals) = vcpu.post(vector as u8, level);
            answer.flag("posted", posted);
            answer.flag("hv", signals);
            answer.number("status", vcpu.doorbell.word(STATUS_WORD).into());
        }
        Command::GuestTake { gate, .. } => {
            let (taken, vector) = vcpu.guest.take();
            if taken != "none" && gate == Some(true) {
                vcpu.guest.interrupts_enabled = false;
            }
            answer.text("taken", taken);
            answer.number("vector", vector);
        }
        Command::Guest { r#if, shadow, cr8, .. } => {
            let tpr = cr8.unwrap_or(vcpu.guest.vintr.v_tpr());
            vcpu.guest.interrupts_enabled = r#if;
            vcpu.guest.vintr = vcpu.guest.vintr.with_int_shadow(shadow).with_v_tpr(tpr);
            answer.flag("ok", true);
        }
        Command::GuestLazyEoi { .. } => {
            answer.number("was", vcpu.calling.no_eoi_required.into());
            vcpu.calling.no_eoi_required = 0;
        }
        Command::SetVmsa { event_inj, vintr, .. } => {
            let mut guest = Guest::fresh();
            guest.event_inj = EventInj(event_inj.unwrap_or(0));
            guest.vintr = VintrCtrl(vintr.unwrap_or(guest.vintr.0));
            vcpu.new_guest = Some(guest);
            answer.flag("ok", true);
        }
        Command::Doorbell { .. } => answer.hex("hex", &vcpu.doorbell.0),
        Command::SetDoorbell { hex, .. } => {
            for (place, byte) in vcpu.doorbell.0.iter_mut().zip(hex.bytes()) {
                *place = byte;
            }
            answer.flag("ok", true);
        }
        Command::HostRefuse { call, .. } => {
            vcpu.refuse(call);
            answer.flag("ok", true);
        }
        Command::State { .. } => state(svsm, vm, cpu, answer),
        Command::Init { .. } => {} // done above
    }
    Ok(())
}

/// What VMRUN sees.
fn vmrun(cpu: &Vcpu, answer: &mut Answer) {
    let (event, vintr) = (cpu.guest.event_inj, cpu.guest.vintr);
    let is_nmi = EventTypeCode(event.r#type()) == EventTypeCode::NMI;
    answer.number("event_inj", event.0);
    answer.flag("event_valid", event.valid());
    answer.number("event_type", event.r#type());
    answer.number("event_vector", event.vector());
    answer.flag("nmi", event.valid() && is_nmi);
    answer.flag("v_irq", vintr.v_irq());
    answer.number("v_intr_vector", vintr.v_intr_vector());
    answer.number("v_intr_prio", vintr.v_intr_prio());
    answer.flag("v_ign_tpr", vintr.v_ign_tpr());
    answer.number("v_tpr", vintr.v_tpr());
    answer.number("no_eoi_required", cpu.calling.no_eoi_required.into());
}

fn flags(apic: &Apic, answer: &mut Answer) {
    answer.key("flags");
    answer.open(b'{');
    answer.flag("update_required", apic.update_required);
    answer.flag("interrupt_delivered", apic.interrupt_delivered);
    answer.flag("interrupt_queued", apic.interrupt_queued);
    answer.flag("lazy_eoi_pending", apic.lazy_eoi_pending);
    answer.flag("nmi_pending", apic.nmi_pending);
    answer.close(b'}');
}

fn numbers(key: &str, all: impl Iterator<Item = u64>, answer: &mut Answer) {
    answer.key(key);
    answer.open(b'[');
    all.for_each(|number| answer.put_number(number));
    answer.close(b']');
}

fn set(key: &str, set: &Set, answer: &mut Answer) {
    numbers(key, set.0.iter().copied().map(u64::from), answer);
}

fn apic_of(apic: &Apic, answer: &mut Answer) {
    answer.key("apic");
    answer.open(b'{');
    answer.number("icr", apic.icr);
    set("irr", &apic.irr, answer);
    set("allowed", &apic.allowed, answer);
    let in_service = apic.isr_stack.iter().take(apic.isr_count).copied();
    numbers("isr_stack", in_service.map(u64::from), answer);
    set("tmr", &apic.tmr, answer);
    set("host_tmr", &apic.host_tmr, answer);
    answer.close(b'}');
    flags(apic, answer);
    set("ipi_irr", &apic.ipi_irr, answer);
    answer.flag("ipi_pending", apic.ipi_pending);
    answer.flag("ipi_nmi", apic.ipi_nmi);
}

/// The GHCB requests from `first` on.
fn requests(key: &str, vm: &Vm, first: usize, answer: &mut Answer) {
    answer.key(key);
    answer.open(b'[');
    for made in &vm.requests[first..vm.request_count] {
        answer.open(b'{');
        answer.number("cpu", made.cpu as u64);
        answer.text("call", made.request.name());
        answer.number("info1", made.info1);
        answer.number("info2", 0);
        answer.close(b'}');
    }
    answer.close(b']');
}

fn state<S: Svsm>(svsm: &S, vm: &Vm, cpu: usize, answer: &mut Answer) {
    let (apic, count, guest) = (svsm.apic(cpu), svsm.reg_count(), &vm.vcpus[cpu].guest);
    if apic.is_none() || count.is_none() {
        answer.text("unsupported", "state");
    }
    if let Some(apic) = apic {
        apic_of(&apic, answer);
    }
    vmrun(&vm.vcpus[cpu], answer);
    answer.flag("if", guest.interrupts_enabled);
    answer.flag("shadow", guest.vintr.int_shadow());
    if let Some(count) = count {
        answer.number("reg_count", count);
    }
    answer.flag("alt_inj", guest.alternate_injection);
    requests("history", vm, 0, answer);
}
