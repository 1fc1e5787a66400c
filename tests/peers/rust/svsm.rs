//! An APIC SVSM of its own, written by hand for a project of `vmgexit peer new --lang rust`, with bugs to find.

use crate::kit::adapter::{self, Apic, Registers, Stop};
use crate::kit::commands::{Command, Request};
use crate::kit::layouts::{
    ApicCallCode as Call, ApicConfigureVector, ApicIcr, ApicRegisterCode as Register, CoreCallCode,
    DisableInjection, EventInj, EventTypeCode, ExtIntStatus, MessageTypeCode, ProtocolCode,
    ResultCode, ShorthandCode, VmplEvents,
};
use crate::kit::vm::{Vcpu, Vm, GUEST_VMPL, ISR_WORD, STATUS_WORD};

pub const BUGS: [&str; 10] = [
    "ppr", "vector-31", "level-eoi", "register", "lazy", "oldest", "last-word", "ldr", "window", "refused",
];
const PPR: usize = 0; // PPR keeps the low bits of the vector in service
const VECTOR_31: usize = 1; // the host does not get vector 31 when it takes over
const LEVEL_EOI: usize = 2; // a level-triggered interrupt that is not allowed is never acknowledged
const REGISTER: usize = 3; // a vCPU registers while the count is 0
const LAZY: usize = 4; // a lazy EOI is offered for a level-triggered interrupt
const OLDEST: usize = 5; // an EOI ends the oldest interrupt in service
const LAST_WORD: usize = 6; // vectors from 224 on are not taken from the descriptor
const LDR: usize = 7; // LDR has the bit of the next APIC id
const WINDOW: usize = 8; // a #HV in the switch window does not cancel the switch
const REFUSED: usize = 9; // a host that refuses an IPI stops the SVSM

/// A local APIC. `level` says of each interrupt in service what it is, `tpr` what was last written there.
#[derive(Clone, Copy, Default)]
pub struct Local {
    apic: Apic,
    level: [bool; 16],
    tpr: u64,
}

#[derive(Default)]
pub struct Svsm {
    pub bugs: [bool; 10],
    pub locals: Vec<Local>,
    registrations: u64,
}

impl Local {
    fn newest(&self) -> u8 {
        self.apic.isr_count.checked_sub(1).map_or(0, |at| self.apic.isr_stack[at])
    }

    fn accept(&mut self, vector: u8, level: bool) {
        self.apic.irr.add(vector);
        if level {
            self.apic.tmr.add(vector);
            self.apic.host_tmr.add(vector);
        }
        self.apic.update_required = true;
    }

    fn take_edge(&mut self, vector: u8) {
        if vector != 0 && self.apic.allowed.has(vector) {
            self.accept(vector, false);
        }
    }

    fn take_back(&mut self, vector: u8) -> bool {
        if self.apic.isr_count == 0 || self.newest() != vector {
            return false;
        }
        self.apic.isr_count -= 1;
        self.accept(vector, self.level[self.apic.isr_count]);
        self.apic.lazy_eoi_pending = false;
        true
    }

    fn take_mailbox(&mut self) {
        let apic = &mut self.apic;
        if std::mem::take(&mut apic.ipi_pending) {
            apic.irr.0.iter_mut().zip(apic.ipi_irr.0).for_each(|(word, sent)| *word |= sent);
            apic.ipi_irr = Default::default();
            apic.nmi_pending |= std::mem::take(&mut apic.ipi_nmi);
            apic.update_required = true;
        }
    }

    fn task_priority(&self, cpu: &Vcpu) -> u64 {
        let class = cpu.guest.vintr.v_tpr();
        class << 4 & 0xff | if self.tpr >> 4 == class { self.tpr & 15 } else { 0 }
    }

    /// With the level-triggered vectors that are in service.
    fn shown(&self) -> Apic {
        let mut shown = self.apic;
        for at in (0..shown.isr_count).filter(|at| self.level[*at]) {
            shown.tmr.add(shown.isr_stack[at]);
            shown.host_tmr.add(shown.isr_stack[at]);
        }
        shown
    }
}

fn specific_eoi(vm: &mut Vm, cpu: usize, vector: u8) {
    vm.request(cpu, Request::SpecificEoi, GUEST_VMPL << 16 | u64::from(vector));
}

fn is_external(event: EventInj) -> bool {
    event.valid() && event.r#type() == EventTypeCode::EXTERNAL_INTERRUPT.0
}

fn handle_hv(cpu: &mut Vcpu) -> Result<(), Stop> {
    let flags = cpu.doorbell.flags();
    if !flags.no_further_signal() {
        return Ok(());
    }
    cpu.doorbell.set_flags(flags.with_no_further_signal(false).with_nmi_pending(false));
    cpu.doorbell.0[0] = 0;
    let is_well = !flags.mc_pending();
    is_well.then_some(()).ok_or(Stop::Terminated("the host signalled a machine check"))
}

impl Svsm {
    fn end_of_interrupt(&mut self, vm: &mut Vm, cpu: usize) {
        let local = &mut self.locals[cpu];
        let Some(last) = local.apic.isr_count.checked_sub(1) else { return };
        let at = if self.bugs[OLDEST] { 0 } else { last };
        if local.level[at] {
            specific_eoi(vm, cpu, local.apic.isr_stack[at]);
        }
        local.apic.isr_stack.copy_within(at + 1.., at);
        local.level.copy_within(at + 1.., at);
        local.apic.isr_count = last;
        local.apic.update_required = true;
        local.apic.lazy_eoi_pending = false;
    }

    fn rewind(&mut self, vm: &mut Vm, cpu: usize) {
        let (local, guest) = (&mut self.locals[cpu], &mut vm.vcpus[cpu].guest);
        let (event, vintr) = (guest.event_inj, guest.vintr);
        if local.apic.interrupt_delivered && is_external(event) && local.take_back(event.vector() as u8) {
            guest.event_inj = EventInj(0);
        }
        if local.apic.interrupt_queued && vintr.v_irq() && local.take_back(vintr.v_intr_vector() as u8) {
            guest.vintr = vintr.with_v_irq(false);
        }
        local.apic.interrupt_delivered = false;
        local.apic.interrupt_queued = false;
        if local.apic.lazy_eoi_pending && vm.vcpus[cpu].calling.no_eoi_required == 0 {
            self.end_of_interrupt(vm, cpu);
        }
    }

    fn processor_priority(&self, cpu: &Vcpu, local: &Local) -> u64 {
        let (newest, tpr) = (u64::from(local.newest()), local.task_priority(cpu));
        match newest >> 4 > tpr >> 4 {
            true if self.bugs[PPR] => newest,
            true => newest & 0xf0,
            false => tpr,
        }
    }

    fn take_from_host(&mut self, vm: &mut Vm, cpu: usize) {
        let (local, doorbell) = (&mut self.locals[cpu], &mut vm.vcpus[cpu].doorbell);
        let status = doorbell.status();
        let (vector, several) = (status.pending_vector() as u8, status.multiple_vectors());
        let left = status.with_pending_vector(0).with_level_sensitive(false).with_nmi_pending(false);
        doorbell.set_status(left.with_multiple_vectors(false).with_vector_31(status.vector_31() && !several));
        local.apic.nmi_pending |= status.nmi_pending();
        local.apic.update_required |= status.nmi_pending();
        if !status.level_sensitive() {
            local.take_edge(vector);
        } else if local.apic.allowed.has(vector) && vector != 0 {
            local.accept(vector, true);
        }
        if several && status.vector_31() {
            local.take_edge(31);
        }
        for at in (1..if self.bugs[LAST_WORD] { 7 } else { 8 }).filter(|_| several) {
            let pending = doorbell.word(STATUS_WORD + at);
            doorbell.set_word(STATUS_WORD + at, 0);
            (0..32).filter(|bit| pending >> bit & 1 != 0).for_each(|bit| local.take_edge(32 * at as u8 + bit));
        }
        if status.level_sensitive() && vector != 0 && !local.apic.allowed.has(vector) && !self.bugs[LEVEL_EOI] {
            specific_eoi(vm, cpu, vector);
        }
    }

    fn present(&mut self, vm: &mut Vm, cpu: usize) {
        if !self.locals[cpu].apic.update_required {
            return;
        }
        self.rewind(vm, cpu);
        let (mut local, vcpu) = (self.locals[cpu], &mut vm.vcpus[cpu]);
        let (apic, guest) = (&mut local.apic, &mut vcpu.guest);
        let was_free = !guest.event_inj.valid();
        apic.update_required = apic.nmi_pending && !was_free;
        if apic.nmi_pending && was_free {
            guest.event_inj = EventInj(0).with_valid(true).with_type(EventTypeCode::NMI.0);
        }
        apic.nmi_pending &= !was_free;
        apic.lazy_eoi_pending = false;
        vcpu.calling.no_eoi_required = 0;
        let vector = apic.irr.top();
        let (class, was_idle) = (u64::from(vector >> 4), apic.isr_count == 0);
        if vector >> 4 <= local.newest() >> 4 {
            self.locals[cpu] = local;
            return;
        }
        let is_open = vcpu.guest.interrupts_enabled && !vcpu.guest.vintr.int_shadow();
        let is_above = class > self.processor_priority(vcpu, &local) >> 4;
        let (apic, guest) = (&mut local.apic, &mut vcpu.guest);
        let at_once = is_open && is_above && !guest.event_inj.valid();
        if at_once {
            guest.event_inj = EventInj(0).with_valid(true).with_vector(vector.into());
            apic.interrupt_delivered = true;
        } else {
            let vintr = guest.vintr.with_v_intr_vector(vector.into()).with_v_intr_prio(class);
            guest.vintr = vintr.with_v_ign_tpr(false).with_v_irq(true);
            apic.interrupt_queued = true;
        }
        apic.irr.drop(vector);
        apic.host_tmr.drop(vector);
        let level = apic.tmr.drop(vector);
        local.level[apic.isr_count] = level;
        apic.isr_stack[apic.isr_count] = vector;
        apic.isr_count += 1;
        if (at_once || was_idle) && (self.bugs[LAZY] || !level) && apic.irr.top() == 0 {
            vcpu.calling.no_eoi_required = 1;
            apic.lazy_eoi_pending = true;
        }
        self.locals[cpu] = local;
    }

    fn reinject(&mut self, vm: &mut Vm, cpu: usize) {
        let (local, guest) = (&mut self.locals[cpu], &mut vm.vcpus[cpu].guest);
        let event = guest.exit_int_info;
        guest.vintr = guest.vintr.with_busy(false);
        if guest.alternate_injection && event.valid() {
            guest.event_inj = event;
            guest.exit_int_info = EventInj(0);
            let is_newest = local.apic.isr_count > 0 && u64::from(local.newest()) == event.vector();
            local.apic.interrupt_delivered |= is_external(event) && is_newest;
        }
    }

    // --- calls --------------------------------------------------------------------------------------

    fn disable(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        self.rewind(vm, cpu);
        self.locals[cpu].take_mailbox();
        let mut apic = std::mem::take(&mut self.locals[cpu]).apic;
        let Vcpu { doorbell, guest, calling, .. } = &mut vm.vcpus[cpu];
        if guest.event_inj.valid() && guest.event_inj.r#type() == EventTypeCode::NMI.0 {
            guest.event_inj = EventInj(0);
            apic.nmi_pending = true;
        }
        let status: ExtIntStatus = doorbell.status().with_multiple_vectors(true);
        if !status.level_sensitive() && status.pending_vector() >= 31 {
            apic.irr.add(status.pending_vector() as u8);
        }
        let is_31 = status.vector_31() || (apic.irr.has(31) && !self.bugs[VECTOR_31]);
        let is_nmi = status.nmi_pending() || apic.nmi_pending;
        doorbell.set_status(status.with_vector_31(is_31).with_nmi_pending(is_nmi));
        let mut in_service = adapter::Set::default();
        apic.isr_stack[..apic.isr_count].iter().for_each(|vector| in_service.add(*vector));
        for at in 0..8 {
            let pending = doorbell.word(STATUS_WORD + at) | if at > 0 { apic.irr.0[at] } else { 0 };
            doorbell.set_word(STATUS_WORD + at, pending);
            doorbell.set_word(ISR_WORD + at, in_service.0[at]);
        }
        calling.no_eoi_required = 0;
        guest.alternate_injection = false;
        let state = DisableInjection(0)
            .with_vmpl(GUEST_VMPL)
            .with_tpr(guest.vintr.v_tpr() << 4)
            .with_interrupt_shadow(guest.vintr.int_shadow())
            .with_interrupts_enabled(guest.interrupts_enabled);
        let done = vm.request(cpu, Request::DisableAlternateInjection, state.0);
        done.then_some(()).ok_or(Stop::Terminated("the host refused to disable Alternate Injection"))
    }

    fn configure(&mut self, vm: &mut Vm, cpu: usize, request: u64) -> Result<ResultCode, Stop> {
        let count = self.registrations;
        match request {
            2 if (count == 0 && !self.bugs[REGISTER]) || count == u32::MAX.into() => {
                return Ok(ResultCode::CANNOT_REGISTER);
            }
            2 => {
                self.registrations += 1;
                return Ok(ResultCode::SUCCESS);
            }
            1 => self.registrations = count.saturating_sub(1),
            0 => {}
            _ => return Ok(ResultCode::INVALID_PARAMETER),
        }
        if self.registrations == 0 {
            self.disable(vm, cpu)?;
        }
        Ok(ResultCode::SUCCESS)
    }

    fn configure_vector(&mut self, cpu: usize, wanted: ApicConfigureVector) -> ResultCode {
        let enable = wanted.enable();
        let (first, last) = match wanted.all_vectors() {
            true => (if enable { 31 } else { 0 }, 255),
            false => (wanted.vector() as u8, wanted.vector() as u8),
        };
        if wanted.0 & ApicConfigureVector::MUST_BE_ZERO != 0 || (enable && first < 31) {
            return ResultCode::INVALID_PARAMETER;
        }
        let allowed = &mut self.locals[cpu].apic.allowed;
        (first..=last).for_each(|vector| if enable { allowed.add(vector) } else { _ = allowed.drop(vector) });
        ResultCode::SUCCESS
    }

    fn read(&mut self, vm: &mut Vm, cpu: usize, number: u64) -> Result<u64, ResultCode> {
        let (local, vcpu) = (&self.locals[cpu], &vm.vcpus[cpu]);
        let (id, word) = (u64::from(vcpu.apic_id), (number & 7) as usize);
        Ok(match Register(number) {
            Register::ID => id,
            Register::TPR => local.task_priority(vcpu),
            Register::PPR => self.processor_priority(vcpu, local),
            Register::LDR => ((id & !15) << 12 & 0xffff_ffff) | 1 << ((id + u64::from(self.bugs[LDR])) & 15),
            Register::ICR => local.apic.icr,
            Register::EOI | Register::SELF_IPI => return Err(ResultCode::INVALID_PARAMETER),
            Register(0x810..=0x817) => {
                let in_service = local.apic.isr_stack[..local.apic.isr_count].iter();
                in_service.filter(|v| usize::from(**v / 32) == word).map(|v| 1 << (v % 32)).sum()
            }
            Register(0x818..=0x81f) => local.shown().tmr.0[word].into(),
            Register(0x820..=0x827) => local.apic.irr.0[word].into(),
            _ => return Err(ResultCode::INVALID_ADDRESS),
        })
    }

    fn write(&mut self, vm: &mut Vm, cpu: usize, number: u64, value: u64) -> Result<ResultCode, Stop> {
        let local = &mut self.locals[cpu];
        match Register(number) {
            Register::TPR if value <= 0xff => {
                local.tpr = value;
                vm.vcpus[cpu].guest.vintr = vm.vcpus[cpu].guest.vintr.with_v_tpr(value >> 4);
            }
            Register::EOI if value == 0 => self.end_of_interrupt(vm, cpu),
            Register::SELF_IPI if (16..=0xff).contains(&value) => local.accept(value as u8, false),
            Register::ICR => return self.send(vm, cpu, ApicIcr(value)),
            _ => {
                let is_known = matches!(self.read(vm, cpu, number), Ok(_) | Err(ResultCode::INVALID_PARAMETER));
                return Ok(if is_known { ResultCode::INVALID_PARAMETER } else { ResultCode::INVALID_ADDRESS });
            }
        }
        Ok(ResultCode::SUCCESS)
    }

    fn send(&mut self, vm: &mut Vm, cpu: usize, icr: ApicIcr) -> Result<ResultCode, Stop> {
        let (kind, shorthand) = (MessageTypeCode(icr.message_type()), ShorthandCode(icr.shorthand()));
        let is_nmi = kind == MessageTypeCode::NMI;
        let is_fixed = kind == MessageTypeCode::FIXED && icr.vector() >= 16;
        let refused = icr.0 & ApicIcr::MUST_BE_ZERO != 0 || icr.delivery_status() != false || icr.remote_read_status() != 0;
        if refused || !(is_nmi || is_fixed) {
            return Ok(ResultCode::INVALID_PARAMETER);
        }
        self.locals[cpu].apic.icr = icr.0;
        let to = icr.destination() as u32;
        let everyone = shorthand.0 >= 2 || (shorthand == ShorthandCode::NONE && to == u32::MAX);
        let mut asks = everyone;
        for other in 0..vm.cpus {
            let id = vm.vcpus[other].apic_id;
            let is_meant = match shorthand {
                ShorthandCode::SELF => other == cpu,
                _ if everyone => other != cpu || shorthand != ShorthandCode::ALL_BUT_SELF,
                _ if icr.logical() => to >> 16 == id >> 4 && to >> (id & 15) & 1 != 0,
                _ => to == id,
            };
            if is_meant {
                asks |= other != cpu;
                self.deliver(&mut vm.vcpus[other], other, other == cpu, icr.vector() as u8, is_nmi);
            }
        }
        if asks {
            let shorthand = if shorthand.0 == 2 { 3 } else { shorthand.0 };
            let notice = ApicIcr(0x50).with_logical(icr.logical()).with_shorthand(shorthand).with_destination(to.into());
            if !vm.request(cpu, Request::HvIpi, notice.0) && self.bugs[REFUSED] {
                panic!("the host refused an IPI");
            }
        }
        Ok(ResultCode::SUCCESS)
    }

    fn deliver(&mut self, to: &mut Vcpu, index: usize, is_own: bool, vector: u8, is_nmi: bool) {
        let local = &mut self.locals[index];
        if is_own && is_nmi {
            local.apic.nmi_pending = true;
            local.apic.update_required = true;
        } else if is_own {
            local.accept(vector, false);
        } else if to.guest.alternate_injection {
            local.apic.ipi_pending = true;
            local.apic.ipi_nmi |= is_nmi;
            if !is_nmi {
                local.apic.ipi_irr.add(vector);
            }
        } else if is_nmi {
            to.doorbell.set_status(to.doorbell.status().with_nmi_pending(true));
        } else if vector >= 31 {
            to.doorbell.set_irr(vector);
            to.doorbell.set_status(to.doorbell.status().with_multiple_vectors(true));
        }
    }

    fn apic_call(&mut self, vm: &mut Vm, cpu: usize, registers: &mut Registers) -> Result<ResultCode, Stop> {
        let (number, value) = (registers.rcx, registers.rdx);
        Ok(match Call(registers.request.into()) {
            Call::QUERY_FEATURES => {
                registers.rcx = 0;
                ResultCode::SUCCESS
            }
            Call::CONFIGURE_EMULATION => self.configure(vm, cpu, number)?,
            Call::CONFIGURE_VECTOR => self.configure_vector(cpu, ApicConfigureVector(number)),
            Call::WRITE_REGISTER => {
                self.rewind(vm, cpu);
                self.write(vm, cpu, number, value)?
            }
            Call::READ_REGISTER => {
                self.rewind(vm, cpu);
                match self.read(vm, cpu, number) {
                    Ok(value) => {
                        registers.rdx = value;
                        ResultCode::SUCCESS
                    }
                    Err(code) => code,
                }
            }
            _ => ResultCode::UNSUPPORTED_CALL,
        })
    }
}

impl adapter::Svsm for Svsm {
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
        self.registrations = vm.reg_count;
        self.locals[..vm.cpus].fill(Local::default());
    }

    /// Core and attestation calls are not its business.
    fn supports(&self, command: &Command) -> bool {
        match command {
            Command::Call { protocol, request, .. } if *protocol == ProtocolCode::CORE.0 => {
                *request == CoreCallCode::QUERY_PROTOCOL.0
            }
            Command::Call { protocol, .. } => *protocol != ProtocolCode::ATTESTATION.0,
            _ => true,
        }
    }

    fn call(&mut self, vm: &mut Vm, cpu: usize, registers: &mut Registers) -> Result<(), Stop> {
        handle_hv(&mut vm.vcpus[cpu])?;
        let is_emulated = vm.vcpus[cpu].guest.alternate_injection;
        let code = match ProtocolCode(registers.protocol.into()) {
            ProtocolCode::CORE => {
                let is_there = registers.rcx >> 32 < 2 || (registers.rcx >> 32 == 3 && is_emulated);
                registers.rcx = if is_there && registers.rcx as u32 == 1 { 1 << 32 | 1 } else { 0 };
                ResultCode::SUCCESS
            }
            ProtocolCode::APIC if is_emulated => self.apic_call(vm, cpu, registers)?,
            _ => ResultCode::UNSUPPORTED_PROTOCOL,
        };
        registers.rax = code.0 as u32;
        Ok(())
    }

    fn enter(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        loop {
            let events = vm.vcpus[cpu].doorbell.events();
            handle_hv(&mut vm.vcpus[cpu])?;
            vm.vcpus[cpu].doorbell.set_events(VmplEvents(0));
            if vm.vcpus[cpu].guest.alternate_injection {
                if events.vmpl2() {
                    self.take_from_host(vm, cpu);
                }
                self.locals[cpu].take_mailbox();
                self.present(vm, cpu);
            }
            if !vm.window(cpu) || self.bugs[WINDOW] {
                return Ok(());
            }
            self.reinject(vm, cpu);
        }
    }

    fn left(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        handle_hv(&mut vm.vcpus[cpu])?;
        self.reinject(vm, cpu);
        Ok(())
    }

    fn new_vmsa(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        let guest = &mut vm.vcpus[cpu].guest;
        guest.event_inj = EventInj(0);
        guest.vintr = guest.vintr.with_v_irq(false);
        let old = std::mem::take(&mut self.locals[cpu]);
        for at in (0..old.apic.isr_count).filter(|at| old.level[*at]) {
            specific_eoi(vm, cpu, old.apic.isr_stack[at]);
        }
        for vector in (0..=255).filter(|vector| old.apic.host_tmr.has(*vector)) {
            specific_eoi(vm, cpu, vector);
        }
        Ok(())
    }

    fn apic(&self, cpu: usize) -> Option<Apic> {
        Some(self.locals[cpu].shown())
    }

    fn reg_count(&self) -> Option<u64> {
        Some(self.registrations)
    }
}
