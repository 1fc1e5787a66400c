//! A small SVSM: registration by count, an emulated local APIC for each vCPU, IPIs, and the switch to the guest.
//!
//! It is written by hand, knows nothing of vmgexit, and has ten bugs to switch on. Its platform gives it the pages
//! that it shares with host and guest, and the ways down.

use crate::calls::{SUCCESS, UNSUPPORTED_PROTOCOL, UNSUPPORTED_CALL};
use crate::local_apic::LocalApic;

/// What the SVSM runs on.
pub trait Platform {
    /// A word of the #HV doorbell page, shared with the host.
    fn doorbell(&self, cpu: usize, at: usize) -> u32;
    fn set_doorbell(&mut self, cpu: usize, at: usize, word: u32);
    /// In the calling area, shared with the guest.
    fn no_eoi_required(&mut self, cpu: usize) -> &mut u8;
    /// VMGEXIT with SW_EXITINFO1: false if the host refuses.
    fn vmgexit(&mut self, cpu: usize, code: Exit, info1: u64) -> bool;
    /// VMRUN: false if a #HV came first.
    fn vmrun(&mut self, cpu: usize) -> bool;
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    HvIpi,
    DisableAlternateInjection,
    SpecificEoi,
}

/// A termination request to the host, and why.
#[derive(Clone, Copy, Debug)]
pub struct Termination(pub &'static str);

pub const BUGS: [&str; 10] = [
    "ppr", "vector-31", "level-eoi", "register", "lazy", "oldest", "last-word", "ldr", "window", "refused",
];
const PPR: usize = 0; // PPR keeps the low bits of the vector in service
pub const VECTOR_31: usize = 1; // the host does not get vector 31 when it takes over
const LEVEL_EOI: usize = 2; // a level-triggered interrupt that is not allowed is never acknowledged
pub const REGISTER: usize = 3; // a vCPU registers while the count is 0
const LAZY: usize = 4; // a lazy EOI is offered for a level-triggered interrupt
const OLDEST: usize = 5; // an EOI ends the oldest interrupt in service
const LAST_WORD: usize = 6; // vectors from 224 on are not taken from the descriptor
pub const LDR: usize = 7; // LDR has the bit of the next APIC id
const WINDOW: usize = 8; // a #HV in the switch window does not cancel the switch
pub const REFUSED: usize = 9; // a host that refuses an IPI stops the SVSM

pub const GUEST_VMPL: u64 = 2;

// EVENTINJ, EXITINTINFO and VINTR_CTRL of a VMSA.
pub const VALID: u64 = 1 << 31;
pub const NMI_EVENT: u64 = VALID | 0x200;
const V_IRQ: u64 = 1 << 8;
const SHADOW: u64 = 1 << 10;
const V_INTR: u64 = 0xff << 32 | 0x1f << 16; // its vector, priority, and whether it ignores the TPR
const BUSY: u64 = 1 << 63;

// The doorbell page: the SVSM's own word, and the descriptor of the guest VMPL.
const OWN: usize = 0;
pub const STATUS: usize = 32; // and the IRR's words 1 to 7 behind it
pub const ISR: usize = 40;
const NO_FURTHER_SIGNAL: u32 = 1 << 15;
const OWN_MC: u32 = 1 << 9;
const OWN_NMI: u32 = 1 << 8;
const GUEST_EVENT: u32 = 1 << 25;
const EVENTS: u32 = 0xff << 24;
pub const NMI: u32 = 1 << 8;
pub const LEVEL: u32 = 1 << 10;
pub const SEVERAL: u32 = 1 << 14;
pub const THE_31ST: u32 = 1 << 31;

const CORE: u64 = 0;
const APIC: u64 = 3;

#[derive(Clone, Copy, Debug, Default)]
pub struct Vmsa {
    pub vintr_ctrl: u64,
    pub event_inj: u64,
    pub exit_int_info: u64,
    pub interrupts_enabled: bool,
    pub alternate_injection: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Cpu {
    pub apic_id: u32,
    pub calling_area: u64,
    pub vmsa: Vmsa,
    pub apic: LocalApic,
}

/// RAX holds the protocol and the call, and then the result.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
}

#[derive(Default)]
pub struct Svsm {
    pub bugs: [bool; 10],
    pub cpus: Vec<Cpu>,
    pub registrations: u64,
}

fn acknowledge(platform: &mut dyn Platform, cpu: usize, vector: u8) {
    platform.vmgexit(cpu, Exit::SpecificEoi, GUEST_VMPL << 16 | u64::from(vector));
}

fn is_external(event: u64) -> bool {
    event & (VALID | 0x700) == VALID
}

fn handle_hv(platform: &mut dyn Platform, cpu: usize) -> Result<(), Termination> {
    let own = platform.doorbell(cpu, OWN);
    if own & NO_FURTHER_SIGNAL != 0 {
        platform.set_doorbell(cpu, OWN, own & !(NO_FURTHER_SIGNAL | OWN_NMI | 0xff));
        if own & OWN_MC != 0 {
            return Err(Termination("the host signalled a machine check"));
        }
    }
    Ok(())
}

impl Cpu {
    /// The class is what the guest's CR8 says; the low bits are those last written, if they go with it.
    pub fn task_priority(&self) -> u64 {
        let class = self.vmsa.vintr_ctrl & 0xff;
        class << 4 & 0xff | if self.apic.tpr >> 4 == class { self.apic.tpr & 15 } else { 0 }
    }

    pub fn processor_priority(&self, bugs: &[bool; 10]) -> u64 {
        let (vector, tpr) = (u64::from(self.apic.newest()), self.task_priority());
        match vector >> 4 > tpr >> 4 {
            true if bugs[PPR] => vector,
            true => vector & 0xf0,
            false => tpr,
        }
    }
}

impl Svsm {
    // --- what the platform calls --------------------------------------------------------------------

    pub fn handle_call(&mut self, platform: &mut dyn Platform, cpu: usize, call: &mut Call) -> Result<(), Termination> {
        handle_hv(platform, cpu)?;
        let is_emulated = self.cpus[cpu].vmsa.alternate_injection;
        call.rax = match (call.rax >> 32, call.rax & 0xffff_ffff) {
            (CORE, 6) => {
                let is_there = call.rcx >> 32 < 2 || (call.rcx >> 32 == APIC && is_emulated);
                call.rcx = if is_there && call.rcx as u32 == 1 { 1 << 32 | 1 } else { 0 }; // from version 1 to 1
                SUCCESS
            }
            (CORE, 0) => self.remap(platform, cpu, call.rcx),
            (CORE, _) => UNSUPPORTED_CALL,
            (APIC, number) if is_emulated => self.apic_call(platform, cpu, number, call)?,
            _ => UNSUPPORTED_PROTOCOL,
        };
        Ok(())
    }

    pub fn enter_guest(&mut self, platform: &mut dyn Platform, cpu: usize) -> Result<(), Termination> {
        loop {
            let has_event = platform.doorbell(cpu, OWN) & GUEST_EVENT != 0;
            handle_hv(platform, cpu)?;
            platform.set_doorbell(cpu, OWN, platform.doorbell(cpu, OWN) & !EVENTS);
            if self.cpus[cpu].vmsa.alternate_injection {
                if has_event {
                    self.take_from_host(platform, cpu);
                }
                self.cpus[cpu].apic.take_mail();
                self.present(platform, cpu);
            }
            if platform.vmrun(cpu) || self.bugs[WINDOW] {
                return Ok(());
            }
            self.reinject(cpu);
        }
    }

    pub fn guest_left(&mut self, platform: &mut dyn Platform, cpu: usize) -> Result<(), Termination> {
        handle_hv(platform, cpu)?;
        self.reinject(cpu);
        Ok(())
    }

    /// A new VMSA is not to have events, and gets a fresh local APIC.
    pub fn new_vcpu(&mut self, platform: &mut dyn Platform, cpu: usize) {
        let vmsa = &mut self.cpus[cpu].vmsa;
        vmsa.event_inj = 0;
        vmsa.vintr_ctrl &= !V_IRQ;
        let old = std::mem::take(&mut self.cpus[cpu].apic);
        let in_service = old.in_service.iter().filter(|(_, level)| *level).map(|(vector, _)| *vector);
        let pending = (0..=255).filter(|vector| old.host_tmr.has(*vector));
        in_service.chain(pending).for_each(|vector| acknowledge(platform, cpu, vector));
    }

    // --- interrupts ---------------------------------------------------------------------------------

    pub fn end_of_interrupt(&mut self, platform: &mut dyn Platform, cpu: usize) {
        let apic = &mut self.cpus[cpu].apic;
        let Some(last) = apic.in_service.len().checked_sub(1) else { return };
        let (vector, level) = apic.in_service.remove(if self.bugs[OLDEST] { 0 } else { last });
        apic.update_required = true;
        apic.lazy_eoi_pending = false;
        if level {
            acknowledge(platform, cpu, vector);
        }
    }

    pub fn rewind(&mut self, platform: &mut dyn Platform, cpu: usize) {
        let Cpu { apic, vmsa, .. } = &mut self.cpus[cpu];
        let queued = (vmsa.vintr_ctrl >> 32) as u8;
        if apic.interrupt_delivered && is_external(vmsa.event_inj) && apic.take_back(vmsa.event_inj as u8) {
            vmsa.event_inj = 0;
        }
        if apic.interrupt_queued && vmsa.vintr_ctrl & V_IRQ != 0 && apic.take_back(queued) {
            vmsa.vintr_ctrl &= !V_IRQ;
        }
        apic.interrupt_delivered = false;
        apic.interrupt_queued = false;
        if apic.lazy_eoi_pending && *platform.no_eoi_required(cpu) == 0 {
            self.end_of_interrupt(platform, cpu);
        }
    }

    fn take_from_host(&mut self, platform: &mut dyn Platform, cpu: usize) {
        let apic = &mut self.cpus[cpu].apic;
        let status = platform.doorbell(cpu, STATUS);
        let (vector, several) = (status as u8, status & SEVERAL != 0);
        let taken = NMI | LEVEL | SEVERAL | 0xff | if several { THE_31ST } else { 0 };
        platform.set_doorbell(cpu, STATUS, status & !taken);
        if status & NMI != 0 {
            apic.nmi_pending = true;
            apic.update_required = true;
        }
        if status & LEVEL == 0 {
            apic.take_edge(vector);
        } else if vector != 0 && apic.allowed.has(vector) {
            apic.accept(vector, true);
        } else if vector != 0 && !self.bugs[LEVEL_EOI] {
            acknowledge(platform, cpu, vector);
        }
        if several && status & THE_31ST != 0 {
            apic.take_edge(31);
        }
        for at in (1..if self.bugs[LAST_WORD] { 7 } else { 8 }).filter(|_| several) {
            let pending = platform.doorbell(cpu, STATUS + at);
            platform.set_doorbell(cpu, STATUS + at, 0);
            (0..32).filter(|bit| pending >> bit & 1 != 0).for_each(|bit| apic.take_edge(32 * at as u8 + bit));
        }
    }

    fn present(&mut self, platform: &mut dyn Platform, cpu: usize) {
        if !self.cpus[cpu].apic.update_required {
            return;
        }
        self.rewind(platform, cpu);
        let priority = self.cpus[cpu].processor_priority(&self.bugs);
        let Cpu { apic, vmsa, .. } = &mut self.cpus[cpu];
        if vmsa.event_inj & VALID == 0 && std::mem::take(&mut apic.nmi_pending) {
            vmsa.event_inj = NMI_EVENT;
        }
        apic.update_required = apic.nmi_pending;
        apic.lazy_eoi_pending = false;
        *platform.no_eoi_required(cpu) = 0;
        let vector = apic.irr.top();
        let (class, was_idle) = (u64::from(vector >> 4), apic.in_service.is_empty());
        if vector >> 4 <= apic.newest() >> 4 {
            return;
        }
        let is_open = vmsa.interrupts_enabled && vmsa.vintr_ctrl & SHADOW == 0;
        let at_once = is_open && vmsa.event_inj & VALID == 0 && class > priority >> 4;
        if at_once {
            vmsa.event_inj = VALID | u64::from(vector);
            apic.interrupt_delivered = true;
        } else {
            vmsa.vintr_ctrl = vmsa.vintr_ctrl & !V_INTR | u64::from(vector) << 32 | class << 16 | V_IRQ;
            apic.interrupt_queued = true;
        }
        apic.irr.drop(vector);
        apic.host_tmr.drop(vector);
        let level = apic.tmr.drop(vector);
        apic.in_service.push((vector, level));
        if (at_once || was_idle) && (self.bugs[LAZY] || !level) && apic.irr.top() == 0 {
            *platform.no_eoi_required(cpu) = 1;
            apic.lazy_eoi_pending = true;
        }
    }

    /// An event whose delivery was cut short is delivered again.
    fn reinject(&mut self, cpu: usize) {
        let Cpu { apic, vmsa, .. } = &mut self.cpus[cpu];
        vmsa.vintr_ctrl &= !BUSY;
        if vmsa.alternate_injection && vmsa.exit_int_info & VALID != 0 {
            vmsa.event_inj = std::mem::take(&mut vmsa.exit_int_info);
            let is_newest = !apic.in_service.is_empty() && apic.newest() == vmsa.event_inj as u8;
            apic.interrupt_delivered |= is_external(vmsa.event_inj) && is_newest;
        }
    }
}
