//! The guest of an SVSM that emulates APICs: it works on a copy of what VMSA and calling area hold.

use crate::kit::layouts::{CallingArea, EventInj, SevFeatures, VintrCtrl, Vmsa};
use crate::kit::memory::{Memory, SEV_FEATURES};
use crate::kit::vm::{Guest, Vcpu};
use core::mem::offset_of;

pub const VINTR: u64 = offset_of!(Vmsa, vintr_ctrl) as u64;
const RFLAGS: u64 = offset_of!(Vmsa, rflags) as u64;
const EVENT_INJ: u64 = offset_of!(Vmsa, event_inj) as u64;
const EXIT_INT_INFO: u64 = offset_of!(Vmsa, guest_exitintinfo) as u64;
const NO_EOI_REQUIRED: u64 = offset_of!(CallingArea, no_eoi_required) as u64;
const RFLAGS_IF: u64 = 0x200;

impl Memory<'_> {
    /// The state that a VMSA holds.
    pub fn guest_in(&mut self, vmsa: u64) -> Guest {
        Guest {
            interrupts_enabled: self.word(vmsa + RFLAGS) & RFLAGS_IF != 0,
            alternate_injection: SevFeatures(self.word(vmsa + SEV_FEATURES)).alternate_injection(),
            vintr: VintrCtrl(self.word(vmsa + VINTR)),
            event_inj: EventInj(self.word(vmsa + EVENT_INJ)),
            exit_int_info: EventInj(self.word(vmsa + EXIT_INT_INFO)),
        }
    }

    pub fn load_calling_area(&mut self, cpu: usize, vcpu: &mut Vcpu) {
        let Some(area) = self.places[cpu].mapped.area else { return };
        let mut held = [0];
        self.load(area + NO_EOI_REQUIRED, &mut held);
        vcpu.calling_address = area;
        vcpu.calling.no_eoi_required = held[0];
    }

    pub fn load_guest(&mut self, cpu: usize, vcpu: &mut Vcpu) {
        if let Some(vmsa) = self.places[cpu].mapped.vmsa {
            vcpu.guest = self.guest_in(vmsa);
            self.load_calling_area(cpu, vcpu);
        }
    }

    pub fn store_guest(&mut self, cpu: usize, vcpu: &Vcpu) {
        let mapped = self.places[cpu].mapped;
        let Some(vmsa) = mapped.vmsa else { return };
        let guest = &vcpu.guest;
        let flags = self.word(vmsa + RFLAGS) & !RFLAGS_IF | u64::from(guest.interrupts_enabled) * RFLAGS_IF;
        let features = SevFeatures(self.word(vmsa + SEV_FEATURES));
        self.put_word(vmsa + RFLAGS, flags);
        self.put_word(vmsa + SEV_FEATURES, features.with_alternate_injection(guest.alternate_injection).0);
        self.put_word(vmsa + VINTR, guest.vintr.0);
        self.put_word(vmsa + EVENT_INJ, guest.event_inj.0);
        self.put_word(vmsa + EXIT_INT_INFO, guest.exit_int_info.0);
        if let Some(area) = mapped.area {
            let entry = self.pages.entry(area);
            if entry.is_of(area) && entry.validated {
                self.store(area + NO_EOI_REQUIRED, &[vcpu.calling.no_eoi_required]);
            }
        }
    }
}
