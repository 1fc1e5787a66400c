//! A small SVSM: registration by count, an emulated local APIC for each vCPU, IPIs, and the switch to the guest.
//!
//! It is written by hand, knows nothing of vmgexit, and has ten bugs to switch on. Its platform gives it the pages
//! that it shares with host and guest, and the ways down.

use crate::local_apic::{LocalApic, Set};

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
const VECTOR_31: usize = 1; // the host does not get vector 31 when it takes over
const LEVEL_EOI: usize = 2; // a level-triggered interrupt that is not allowed is never acknowledged
const REGISTER: usize = 3; // a vCPU registers while the count is 0
const LAZY: usize = 4; // a lazy EOI is offered for a level-triggered interrupt
const OLDEST: usize = 5; // an EOI ends the oldest interrupt in service
const LAST_WORD: usize = 6; // vectors from 224 on are not taken from the descriptor
const LDR: usize = 7; // LDR has the bit of the next APIC id
const WINDOW: usize = 8; // a #HV in the switch window does not cancel the switch
const REFUSED: usize = 9; // a host that refuses an IPI stops the SVSM

const GUEST_VMPL: u64 = 2;

// EVENTINJ, EXITINTINFO and VINTR_CTRL of a VMSA.
const VALID: u64 = 1 << 31;
const NMI_EVENT: u64 = VALID | 0x200;
const V_IRQ: u64 = 1 << 8;
const SHADOW: u64 = 1 << 10;
const V_INTR: u64 = 0xff << 32 | 0x1f << 16; // its vector, priority, and whether it ignores the TPR
const BUSY: u64 = 1 << 63;

// The doorbell page: the SVSM's own word, and the descriptor of the guest VMPL.
const OWN: usize = 0;
const STATUS: usize = 32; // and the IRR's words 1 to 7 behind it
const ISR: usize = 40;
const NO_FURTHER_SIGNAL: u32 = 1 << 15;
const OWN_MC: u32 = 1 << 9;
const OWN_NMI: u32 = 1 << 8;
const GUEST_EVENT: u32 = 1 << 25;
const EVENTS: u32 = 0xff << 24;
const NMI: u32 = 1 << 8;
const LEVEL: u32 = 1 << 10;
const SEVERAL: u32 = 1 << 14;
const THE_31ST: u32 = 1 << 31;

const CORE: u64 = 0;
const APIC: u64 = 3;
const SUCCESS: u64 = 0;
const UNSUPPORTED_PROTOCOL: u64 = 0x8000_0001;
const UNSUPPORTED_CALL: u64 = 0x8000_0002;
const INVALID_ADDRESS: u64 = 0x8000_0003;
const INVALID_PARAMETER: u64 = 0x8000_0005;
const CANNOT_REGISTER: u64 = 0x8000_1000;

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
    fn task_priority(&self) -> u64 {
        let class = self.vmsa.vintr_ctrl & 0xff;
        class << 4 & 0xff | if self.apic.tpr >> 4 == class { self.apic.tpr & 15 } else { 0 }
    }

    fn processor_priority(&self, bugs: &[bool; 10]) -> u64 {
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

    fn end_of_interrupt(&mut self, platform: &mut dyn Platform, cpu: usize) {
        let apic = &mut self.cpus[cpu].apic;
        let Some(last) = apic.in_service.len().checked_sub(1) else { return };
        let (vector, level) = apic.in_service.remove(if self.bugs[OLDEST] { 0 } else { last });
        apic.update_required = true;
        apic.lazy_eoi_pending = false;
        if level {
            acknowledge(platform, cpu, vector);
        }
    }

    fn rewind(&mut self, platform: &mut dyn Platform, cpu: usize) {
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

    // --- calls --------------------------------------------------------------------------------------

    fn apic_call(
        &mut self,
        platform: &mut dyn Platform,
        cpu: usize,
        number: u64,
        call: &mut Call,
    ) -> Result<u64, Termination> {
        Ok(match number {
            0 => {
                call.rcx = 0; // no features
                SUCCESS
            }
            1 => self.configure(platform, cpu, call.rcx)?,
            2 => {
                self.rewind(platform, cpu);
                self.read(cpu, call.rcx).map_or_else(|code| code, |value| {
                    call.rdx = value;
                    SUCCESS
                })
            }
            3 => {
                self.rewind(platform, cpu);
                self.write(platform, cpu, call.rcx, call.rdx)
            }
            4 => self.configure_vector(cpu, call.rcx),
            _ => UNSUPPORTED_CALL,
        })
    }

    /// The host has this vCPU's interrupts from here on.
    fn disable(&mut self, platform: &mut dyn Platform, cpu: usize) -> Result<(), Termination> {
        self.rewind(platform, cpu);
        self.cpus[cpu].apic.take_mail();
        let mut apic = std::mem::take(&mut self.cpus[cpu].apic);
        let vmsa = &mut self.cpus[cpu].vmsa;
        if vmsa.event_inj & (VALID | 0x700) == NMI_EVENT {
            vmsa.event_inj = 0;
            apic.nmi_pending = true;
        }
        let mut status = platform.doorbell(cpu, STATUS) | SEVERAL | if apic.nmi_pending { NMI } else { 0 };
        if status & LEVEL == 0 && status & 0xff >= 31 {
            apic.irr.add(status as u8);
        }
        if apic.irr.has(31) && !self.bugs[VECTOR_31] {
            status |= THE_31ST;
        }
        platform.set_doorbell(cpu, STATUS, status);
        let mut in_service = Set::default();
        apic.in_service.iter().for_each(|(vector, _)| in_service.add(*vector));
        for at in 0..8 {
            let pending = if at > 0 { apic.irr.0[at] } else { 0 };
            platform.set_doorbell(cpu, STATUS + at, platform.doorbell(cpu, STATUS + at) | pending);
            platform.set_doorbell(cpu, ISR + at, in_service.0[at]);
        }
        *platform.no_eoi_required(cpu) = 0;
        vmsa.alternate_injection = false;
        let (tpr, shadow) = (vmsa.vintr_ctrl << 4 & 0xff, vmsa.vintr_ctrl >> 10 & 1);
        let state = GUEST_VMPL << 16 | tpr << 8 | shadow << 1 | u64::from(vmsa.interrupts_enabled);
        let done = platform.vmgexit(cpu, Exit::DisableAlternateInjection, state);
        done.then_some(()).ok_or(Termination("the host refused to disable Alternate Injection"))
    }

    fn configure(&mut self, platform: &mut dyn Platform, cpu: usize, request: u64) -> Result<u64, Termination> {
        let count = self.registrations;
        match request {
            2 if (count == 0 && !self.bugs[REGISTER]) || count == u32::MAX.into() => return Ok(CANNOT_REGISTER),
            2 => self.registrations += 1,
            1 => self.registrations = count.saturating_sub(1),
            0 => {}
            _ => return Ok(INVALID_PARAMETER),
        }
        if self.registrations == 0 {
            self.disable(platform, cpu)?;
        }
        Ok(SUCCESS)
    }

    /// What is presented is taken back, and a lazy EOI that is offered is no longer.
    fn remap(&mut self, platform: &mut dyn Platform, cpu: usize, address: u64) -> u64 {
        if address % 4096 != 0 {
            return INVALID_PARAMETER;
        }
        if self.cpus.iter().any(|other| other.calling_area == address) {
            return INVALID_ADDRESS;
        }
        let is_offered = self.cpus[cpu].apic.lazy_eoi_pending;
        self.rewind(platform, cpu);
        if is_offered {
            self.cpus[cpu].apic.lazy_eoi_pending = false;
            *platform.no_eoi_required(cpu) = 0;
        }
        self.cpus[cpu].calling_area = address;
        SUCCESS
    }

    fn configure_vector(&mut self, cpu: usize, wanted: u64) -> u64 {
        let enable = wanted >> 8 & 1 != 0;
        let (first, last) = match wanted >> 9 & 1 != 0 {
            true => (if enable { 31 } else { 0 }, 255),
            false => (wanted as u8, wanted as u8),
        };
        if wanted >> 10 != 0 || (enable && first < 31) {
            return INVALID_PARAMETER;
        }
        let allowed = &mut self.cpus[cpu].apic.allowed;
        (first..=last).for_each(|vector| if enable { allowed.add(vector) } else { _ = allowed.drop(vector) });
        SUCCESS
    }

    fn read(&self, cpu: usize, number: u64) -> Result<u64, u64> {
        let Cpu { apic, apic_id, .. } = &self.cpus[cpu];
        let (id, word) = (u64::from(*apic_id), (number & 7) as usize);
        let (mut in_service, mut tmr) = (Set::default(), apic.tmr);
        for (vector, level) in &apic.in_service {
            in_service.add(*vector);
            if *level {
                tmr.add(*vector);
            }
        }
        Ok(match number {
            0x802 => id,
            0x808 => self.cpus[cpu].task_priority(),
            0x80a => self.cpus[cpu].processor_priority(&self.bugs),
            0x80d => (id & !15) << 12 & 0xffff_ffff | 1 << ((id + u64::from(self.bugs[LDR])) & 15),
            0x830 => apic.icr,
            0x80b | 0x83f => return Err(INVALID_PARAMETER), // EOI and SELF_IPI are only written
            0x810..=0x817 => in_service.0[word].into(),
            0x818..=0x81f => tmr.0[word].into(),
            0x820..=0x827 => apic.irr.0[word].into(),
            _ => return Err(INVALID_ADDRESS),
        })
    }

    fn write(&mut self, platform: &mut dyn Platform, cpu: usize, number: u64, value: u64) -> u64 {
        let Cpu { apic, vmsa, .. } = &mut self.cpus[cpu];
        match number {
            0x808 if value <= 0xff => {
                apic.tpr = value;
                vmsa.vintr_ctrl = vmsa.vintr_ctrl & !0xff | value >> 4;
            }
            0x80b if value == 0 => self.end_of_interrupt(platform, cpu),
            0x83f if (16..=0xff).contains(&value) => apic.accept(value as u8, false),
            0x830 => return self.send(platform, cpu, value),
            _ => return self.read(cpu, number).map_or_else(|code| code, |_| INVALID_PARAMETER),
        }
        SUCCESS
    }

    fn send(&mut self, platform: &mut dyn Platform, cpu: usize, icr: u64) -> u64 {
        let (vector, kind, shorthand) = (icr as u8, icr >> 8 & 7, icr >> 18 & 3);
        let (logical, is_nmi) = (icr >> 11 & 1 != 0, kind == 4);
        if icr & 0xfff3_3000 != 0 || !(is_nmi || (kind == 0 && vector >= 16)) {
            return INVALID_PARAMETER;
        }
        self.cpus[cpu].apic.icr = icr;
        let to = (icr >> 32) as u32;
        let everyone = shorthand >= 2 || (shorthand == 0 && to == u32::MAX);
        let mut asks = everyone;
        for other in 0..self.cpus.len() {
            let id = self.cpus[other].apic_id;
            let is_meant = match shorthand {
                1 => other == cpu,
                _ if everyone => other != cpu || shorthand != 3,
                _ if logical => to >> 16 == id >> 4 && to >> (id & 15) & 1 != 0,
                _ => to == id,
            };
            if is_meant {
                asks |= other != cpu;
                self.deliver(platform, other, other == cpu, vector, is_nmi);
            }
        }
        if asks {
            let shorthand = if shorthand == 2 { 3 } else { shorthand };
            let notice = u64::from(to) << 32 | shorthand << 18 | u64::from(logical) << 11 | 0x50;
            let is_refused = !platform.vmgexit(cpu, Exit::HvIpi, notice);
            assert!(!(is_refused && self.bugs[REFUSED]), "the host refused an IPI");
        }
        SUCCESS
    }

    /// At once on the sender, by mail on another, in the descriptor where the host has the interrupts.
    fn deliver(&mut self, platform: &mut dyn Platform, to: usize, is_own: bool, vector: u8, is_nmi: bool) {
        let Cpu { apic, vmsa, .. } = &mut self.cpus[to];
        if is_own && is_nmi {
            apic.nmi_pending = true;
            apic.update_required = true;
        } else if is_own {
            apic.accept(vector, false);
        } else if vmsa.alternate_injection {
            apic.has_mail = true;
            apic.nmi_sent |= is_nmi;
            if !is_nmi {
                apic.sent.add(vector);
            }
        } else if is_nmi {
            platform.set_doorbell(to, STATUS, platform.doorbell(to, STATUS) | NMI);
        } else if vector >= 31 {
            let at = STATUS + usize::from(vector) / 32;
            platform.set_doorbell(to, at, platform.doorbell(to, at) | 1 << (vector % 32));
            platform.set_doorbell(to, STATUS, platform.doorbell(to, STATUS) | SEVERAL);
        }
    }
}
