//! What stands around an SVSM: the host, the guest, and the pages that they share with it.
//!
//! The SVSM under test gets these pages and registers, and calls `Vm::request` and `Vm::window`. Everything
//! else here is done by commands, without the SVSM.

use crate::kit::commands::Request;
use crate::kit::layouts::{
    CallingArea, DoorbellFlags, EventInj, EventTypeCode, ExtIntStatus, VintrCtrl, VmplEvents,
};
use crate::kit::reading::Interrupt;

pub const MOST_VCPUS: usize = 255;
pub const GUEST_VMPL: u64 = 2;
const FIRST_CALLING_AREA: u64 = 0x2000_2000; // of vCPU 0
const OTHER_CALLING_AREAS: u64 = 0xffff_0000_0000; // of vCPU n: n pages above

/// What the hardware runs: the VMSA of the guest, as far as interrupts go.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// RFLAGS.IF
    pub interrupts_enabled: bool,
    /// Its bit of SEV_FEATURES; the SVSM clears it when it disables.
    pub alternate_injection: bool,
    pub vintr: VintrCtrl,
    pub event_inj: EventInj,
    pub exit_int_info: EventInj,
}

impl Guest {
    pub fn fresh() -> Self {
        Guest {
            interrupts_enabled: false,
            alternate_injection: true,
            vintr: VintrCtrl(VintrCtrl::VGIF_MASK),
            event_inj: EventInj(0),
            exit_int_info: EventInj(0),
        }
    }

    /// What the CPU takes now, and its vector: EVENTINJ whatever IF is, else V_IRQ if nothing is in its way.
    pub fn take(&mut self) -> (&'static str, u64) {
        let (event, vintr) = (self.event_inj, self.vintr);
        if event.valid() {
            self.event_inj = EventInj(0);
            return match EventTypeCode(event.r#type()) {
                EventTypeCode::NMI => ("nmi", 2),
                EventTypeCode::EXTERNAL_INTERRUPT => ("event", event.vector()),
                _ => ("other", event.vector()),
            };
        }
        let is_open = vintr.vgif() && self.interrupts_enabled && !vintr.int_shadow();
        let is_above = vintr.v_ign_tpr() || vintr.v_intr_prio() > vintr.v_tpr() & 15;
        if !(vintr.v_irq() && is_open && is_above) {
            return ("none", 0);
        }
        self.vintr = vintr.with_v_irq(false);
        ("virq", vintr.v_intr_vector())
    }
}

/// The first 256 bytes of the doorbell page.
#[derive(Clone, Copy)]
pub struct Doorbell(pub [u8; 256]);

/// Where the guest VMPL's descriptor starts among the doorbell's words: status, then IRR 1 to 7.
pub const STATUS_WORD: usize = 0x80 / 4;
/// Where the ISR of that descriptor starts: words 0 to 7.
pub const ISR_WORD: usize = 0xa0 / 4;
const FLAGS_AT: usize = 1;
const EVENTS_AT: usize = 3;

impl Doorbell {
    pub fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes([0, 1, 2, 3].map(|byte| self.0[4 * at + byte]))
    }

    pub fn set_word(&mut self, at: usize, word: u32) {
        self.0[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
    }

    pub fn status(&self) -> ExtIntStatus {
        ExtIntStatus(self.word(STATUS_WORD))
    }

    pub fn set_status(&mut self, status: ExtIntStatus) {
        self.set_word(STATUS_WORD, status.0);
    }

    /// The flags of the executing VMPL, the SVSM's own.
    pub fn flags(&self) -> DoorbellFlags {
        DoorbellFlags(self.0[FLAGS_AT])
    }

    pub fn set_flags(&mut self, flags: DoorbellFlags) {
        self.0[FLAGS_AT] = flags.0;
    }

    /// Which lower VMPL has interrupt work.
    pub fn events(&self) -> VmplEvents {
        VmplEvents(self.0[EVENTS_AT])
    }

    pub fn set_events(&mut self, events: VmplEvents) {
        self.0[EVENTS_AT] = events.0;
    }

    /// Set a vector's bit in the descriptor: in the status word for 31, in the IRR above.
    pub fn set_irr(&mut self, vector: u8) {
        let at = STATUS_WORD + usize::from(vector) / 32;
        if vector == 31 {
            self.set_status(self.status().with_vector_31(true));
        } else {
            self.set_word(at, self.word(at) | 1 << (vector % 32));
        }
    }

    /// Put a vector into the descriptor; false, with nothing changed, where it cannot be presented.
    fn present(&mut self, vector: u8, level: bool) -> bool {
        let status = self.status();
        let field = status.pending_vector() as u8;
        let (is_level, several) = (status.level_sensitive(), status.multiple_vectors());
        let moves = field != 0 && !is_level && (level || !several);
        if vector == 0 || (level && is_level && field != 0 && field != vector) {
            return false;
        }
        if if level { is_level && field != 0 } else { field == vector && !is_level && !several } {
            return true; // it is there already
        }
        if !level && field == 0 && !several {
            self.set_status(status.with_pending_vector(vector.into()));
            return true;
        }
        if (!level && vector < 31) || (moves && field < 31) {
            return false;
        }
        if moves {
            self.set_status(status.with_pending_vector(0));
            self.set_irr(field);
        }
        if !level {
            self.set_irr(vector);
        }
        let mut status = self.status().with_multiple_vectors(several || moves || !level);
        if level {
            status = status.with_pending_vector(vector.into()).with_level_sensitive(true);
        }
        self.set_status(status);
        true
    }
}

/// A vCPU: what guest, host and SVSM share of it. What stands last is the kit's own.
#[derive(Clone, Copy)]
pub struct Vcpu {
    pub apic_id: u32,
    pub doorbell: Doorbell,
    pub calling: CallingArea,
    pub calling_address: u64,
    pub guest: Guest,
    pub(crate) new_guest: Option<Guest>,
    pub(crate) new_calling_address: Option<u64>,
    refusing: [u32; Request::COUNT],
}

impl Vcpu {
    pub fn fresh(index: usize, apic_id: u32) -> Self {
        let pages = 4096 * index as u64;
        Vcpu {
            apic_id,
            doorbell: Doorbell([0; 256]),
            calling: CallingArea::from_bytes([0; 4096]),
            calling_address: if index == 0 { FIRST_CALLING_AREA } else { OTHER_CALLING_AREAS + pages },
            guest: Guest::fresh(),
            new_guest: None,
            new_calling_address: None,
            refusing: [0; Request::COUNT],
        }
    }

    /// The host posts an interrupt to the guest VMPL: whether it was accepted, and whether a #HV is raised.
    pub fn post(&mut self, vector: u8, level: bool) -> (bool, bool) {
        if !self.doorbell.present(vector, level) {
            return (false, false);
        }
        let flags = self.doorbell.flags();
        self.doorbell.set_events(self.doorbell.events().with_vmpl2(true));
        self.doorbell.set_flags(flags.with_no_further_signal(true));
        (true, !flags.no_further_signal())
    }

    /// The calling area is this page, which is zero, from this vCPU's next `call`, `enter` or `intercept` on.
    pub fn move_calling_area(&mut self, address: u64) {
        self.new_calling_address = Some(address);
    }

    pub(crate) fn refuse(&mut self, request: Request) {
        self.refusing[request as usize] += 1;
    }
}

/// A GHCB request that a vCPU's SVSM made; `info1` is SW_EXITINFO1.
#[derive(Clone, Copy)]
pub struct HostRequest {
    pub cpu: usize,
    pub request: Request,
    pub info1: u64,
}

/// The VM. `vcpus` has room for more than there are; `cpus` of them exist.
pub struct Vm<'a> {
    pub vcpus: &'a mut [Vcpu],
    pub cpus: usize,
    /// As `init` gave it; the SVSM has its own from then on.
    pub reg_count: u64,
    pub(crate) requests: &'a mut [HostRequest],
    pub(crate) request_count: usize,
    pub(crate) late: &'a mut [Interrupt],
    pub(crate) late_count: usize,
    pub(crate) cancelled: u64,
    pub(crate) has_stopped: bool,
}

impl Vm<'_> {
    /// Make a GHCB request to the host; false if the host refuses it.
    pub fn request(&mut self, cpu: usize, request: Request, info1: u64) -> bool {
        self.requests[self.request_count] = HostRequest { cpu, request, info1 };
        self.request_count += 1;
        let refusing = &mut self.vcpus[cpu].refusing[request as usize];
        let is_refused = *refusing > 0;
        *refusing -= u32::from(is_refused);
        !is_refused
    }

    /// Whether a page is, or is about to be, the calling area of a vCPU.
    pub fn is_calling_area(&self, address: u64) -> bool {
        let mut cpus = self.vcpus[..self.cpus].iter();
        cpus.any(|cpu| cpu.new_calling_address.unwrap_or(cpu.calling_address) == address)
    }

    /// The switch window, which an SVSM opens between its last test of NoFurtherSignal and VMGEXIT.
    /// Interrupts that come late come here. True if one raised a #HV: the switch is cancelled, as if the
    /// guest had run and left, and the SVSM starts over.
    pub fn window(&mut self, cpu: usize) -> bool {
        let mut cancels = false;
        for late in &self.late[..self.late_count] {
            cancels |= self.vcpus[cpu].post(late.vector, late.level).1;
        }
        self.late_count = 0;
        self.cancelled += u64::from(cancels);
        cancels
    }
}
