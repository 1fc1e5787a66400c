//! The calls of a guest: of the core protocol, and of the APIC protocol.

use crate::local_apic::Set;
use crate::svsm::{Call, Cpu, Exit, Platform, Svsm, Termination};
use crate::svsm::{
    GUEST_VMPL, ISR, LDR, LEVEL, NMI, NMI_EVENT, REFUSED, REGISTER, SEVERAL, STATUS, THE_31ST, VALID, VECTOR_31,
};

pub const SUCCESS: u64 = 0;
pub const UNSUPPORTED_PROTOCOL: u64 = 0x8000_0001;
pub const UNSUPPORTED_CALL: u64 = 0x8000_0002;
pub const INVALID_ADDRESS: u64 = 0x8000_0003;
pub const INVALID_PARAMETER: u64 = 0x8000_0005;
pub const CANNOT_REGISTER: u64 = 0x8000_1000;

impl Svsm {
    pub fn apic_call(
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
                match self.read(cpu, call.rcx) {
                    Ok(value) => {
                        call.rdx = value;
                        SUCCESS
                    }
                    Err(code) => code,
                }
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
    pub fn remap(&mut self, platform: &mut dyn Platform, cpu: usize, address: u64) -> u64 {
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
