//! What a GHCB host is given and may ask for: the VM as it was set up, guest memory, devices, the firmware.
//!
//! All that is asked is a part of the answer, in order. `vm.asked` has a function for each thing that a host
//! may ask for; the functions here also give what the VM was set up to answer.

use crate::kit::asked::Asked;
use crate::kit::commands::{Exit, Setup, EXITS, NO_EXIT};
use crate::kit::layouts::{Ghcb, MalformedInputCode, StatusCode};
use crate::kit::rows::{Leaf, Pieces};
use crate::kit::state::PageStates;
use crate::kit::vcpus::Vcpu;

pub const PAGE: usize = 4096;
pub const MOST_PAGES: usize = 1024; // of guest memory that are not zero
pub const SPARE_PAGES: usize = 64; // of them, for what the host writes
pub const MOST_LEAVES: usize = 64;
pub const MOST_VCPUS: usize = 4096;
pub const MOST_RUNS: usize = 1024; // of pages that are private or shared
pub const TAKEN_OVER: usize = 0x400; // the page's bytes up to the end of its valid bitmap

/// Attributes of a mapping.
pub const PRIVATE: u64 = 16;
pub const LARGE: u64 = 1; // 2 MiB

/// How the guest goes on after an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Guest,
    /// The guest goes on, and nothing was written to its page.
    Untouched,
    /// KVM_RUN fails with this number.
    Error(u64),
    /// The VM ends; the word of the GHCB MSR.
    Terminate(u64),
    /// An internal error, with the exit code.
    Internal(u64),
}

/// A page of guest memory.
#[derive(Clone, Copy)]
pub struct Frame {
    pub gpa: u64,
    pub data: [u8; PAGE],
}

/// The VM as it was set up, and the exit at hand.
pub struct Vm<'a> {
    pub setup: Setup,
    pub leaves: [Leaf; MOST_LEAVES],
    pub leaf_count: usize,
    pub certificates: &'a mut [u8],
    pub certificates_size: usize,
    pub asked: Asked<'a>,
    /// The page that a guest exits with. It is a part of guest memory.
    pub page: Ghcb,
    /// Where it is; none of an exit without a page.
    pub page_at: Option<u64>,
    /// What another vCPU writes to it, by place.
    pub meanwhile: &'a mut [Option<u8>],
    pub changes_meanwhile: bool,
    pub cpu: usize,
    /// What a host keeps of its vCPUs: it writes them, but for `held` and `held_by`.
    pub vcpus: &'a mut [Vcpu],
    pub has_ended: bool,
    pub(crate) has_panicked: bool,
    /// Mappings that user space was asked for.
    pub mappings: u64,
    /// Which the host writes.
    pub jump_table: u64,
    pub states: PageStates<'a>,
    pub frames: &'a mut [Frame],
    pub frame_count: usize,
}

// --- guest memory -----------------------------------------------------------------------------------

impl Vm<'_> {
    /// Whether there are `size` bytes of guest memory from `gpa` on.
    pub fn is_memory(&self, gpa: u64, size: usize) -> bool {
        let (size, top) = (size as u64, self.setup.memory_top);
        size <= top && gpa <= top - size
    }

    /// Whether there is room for pieces of so many bytes, where so many pages are used.
    pub fn has_room(used: usize, count: usize, bytes: usize) -> bool {
        used + 2 * count + bytes / PAGE + SPARE_PAGES <= MOST_PAGES
    }

    /// Bytes of guest memory; false where it ends before.
    pub fn load(&self, gpa: u64, into: &mut [u8]) -> bool {
        if !self.is_memory(gpa, into.len()) {
            return false;
        }
        let mut done = 0;
        while done < into.len() {
            let (at, start) = place(gpa + done as u64);
            let size = (PAGE - start).min(into.len() - done);
            let piece = &mut into[done..done + size];
            if self.page_at == Some(at) {
                piece.copy_from_slice(&self.page.into_bytes()[start..start + size]);
            } else if let Some(frame) = self.frames[..self.frame_count].iter().find(|one| one.gpa == at) {
                piece.copy_from_slice(&frame.data[start..start + size]);
            } else {
                piece.fill(0);
            }
            done += size;
        }
        true
    }

    /// Write guest memory; false where it ends before.
    pub fn store(&mut self, gpa: u64, from: &[u8]) -> bool {
        if !self.is_memory(gpa, from.len()) {
            return false;
        }
        let mut done = 0;
        while done < from.len() {
            let (at, start) = place(gpa + done as u64);
            let size = (PAGE - start).min(from.len() - done);
            let piece = &from[done..done + size];
            if self.page_at == Some(at) {
                let mut bytes = self.page.into_bytes();
                bytes[start..start + size].copy_from_slice(piece);
                self.page = Ghcb::from_bytes(bytes);
            } else if let Some(data) = self.frame(at, piece.iter().any(|byte| *byte != 0)) {
                data[start..start + size].copy_from_slice(piece);
            }
            done += size;
        }
        true
    }

    /// A page of guest memory, which is made if that is asked; none where it is zero.
    fn frame(&mut self, gpa: u64, is_made: bool) -> Option<&mut [u8; PAGE]> {
        let known = self.frames[..self.frame_count].iter().position(|one| one.gpa == gpa);
        if known.is_none() && is_made {
            assert!(self.frame_count < self.frames.len(), "too many pages of guest memory are in use");
            self.frames[self.frame_count] = Frame { gpa, data: [0; PAGE] };
            self.frame_count += 1;
        }
        let at = known.or(is_made.then_some(self.frame_count.wrapping_sub(1)))?;
        Some(&mut self.frames[at].data)
    }
}

fn place(gpa: u64) -> (u64, usize) {
    let start = gpa % PAGE as u64;
    (gpa - start, start as usize)
}

// --- another vCPU -----------------------------------------------------------------------------------

impl Vm<'_> {
    /// Another vCPU writes to the page. It does so once the host has the page's first 0x400 bytes, after all
    /// that the host asks by the functions below, and after its answer. A host may call this after each access
    /// of its own, too.
    pub fn go_on_meanwhile(&mut self) {
        if self.changes_meanwhile && self.page_at.is_some() {
            let mut bytes = self.page.into_bytes();
            for (byte, written) in bytes.iter_mut().zip(self.meanwhile.iter()) {
                *byte = written.unwrap_or(*byte);
            }
            self.page = Ghcb::from_bytes(bytes);
        }
    }

    /// What it writes from here on.
    pub(crate) fn change_meanwhile(&mut self, pieces: Option<Pieces>) {
        self.changes_meanwhile = pieces.is_some();
        if let Some(pieces) = pieces {
            self.meanwhile.fill(None);
            for (at, hex) in pieces.all() {
                self.meanwhile[at as usize..].iter_mut().zip(hex.bytes()).for_each(|(held, byte)| *held = Some(byte));
            }
        }
    }
}

// --- what a host asks -------------------------------------------------------------------------------

impl Vm<'_> {
    /// EAX, EBX, ECX and EDX.
    pub fn ask_cpuid(&mut self, leaf: u32, sub_leaf: u32) -> [u32; 4] {
        self.asked.cpuid(leaf.into(), sub_leaf.into());
        self.go_on_meanwhile();
        let is_right = |one: &&Leaf| one.leaf == leaf && one.sub_leaf.map_or(true, |sub| sub == sub_leaf);
        let known = self.leaves[..self.leaf_count].iter().find(is_right);
        known.map_or([0; 4], |one| one.registers)
    }

    /// IN from a port.
    pub fn ask_in(&mut self, port: u16, into: &mut [u8]) {
        self.asked.r#in(port.into(), into.len() as u64);
        self.go_on_meanwhile();
        into.fill(self.setup.device_byte as u8);
    }

    /// A read of MMIO into the page's shared buffer.
    pub fn ask_mmio_read(&mut self, gpa: u64, at: usize, size: usize) {
        self.asked.mmio_read(gpa, size as u64);
        self.go_on_meanwhile();
        self.page.shared_buffer[at..at + size].fill(self.setup.device_byte as u8);
    }

    /// False where guest memory ends before.
    pub fn read_memory(&mut self, gpa: u64, into: &mut [u8]) -> bool {
        self.asked.read_memory(gpa, into.len() as u64);
        self.go_on_meanwhile();
        self.load(gpa, into)
    }

    pub fn write_memory(&mut self, gpa: u64, from: &[u8]) -> bool {
        let is_done = self.store(gpa, from);
        let told = from.iter().rposition(|byte| is_done && *byte != 0).map_or(0, |last| last + 1);
        self.asked.write_memory(gpa, from.len() as u64, &from[..told]);
        self.go_on_meanwhile();
        is_done
    }

    /// Whether user space made pages private or shared.
    pub fn ask_map(&mut self, gpa: u64, pages: u64, attributes: u64) -> bool {
        let number = self.mappings;
        self.mappings += 1;
        self.asked.map(gpa, pages, attributes);
        self.go_on_meanwhile();
        let is_done = self.setup.map_fails_at != Some(number);
        if is_done {
            self.states.change(gpa / PAGE as u64, pages, attributes & PRIVATE != 0);
        }
        is_done
    }

    /// The value of an MSR; none where the access faults.
    pub fn ask_rdmsr(&mut self, number: u32) -> Option<u64> {
        self.asked.rdmsr(number.into());
        self.go_on_meanwhile();
        (!self.setup.msr_fault).then_some(self.setup.msr_value)
    }

    /// False where the access faults.
    pub fn ask_wrmsr(&mut self, number: u32, value: u64) -> bool {
        self.asked.wrmsr(number.into(), value);
        self.go_on_meanwhile();
        !self.setup.msr_fault
    }

    /// What the firmware answers to a guest message: an error, or 0; the response is a page of zeros.
    pub fn ask_firmware(&mut self) -> u64 {
        self.asked.firmware();
        self.go_on_meanwhile();
        self.setup.firmware_error
    }

    /// The vCPU waits for a start-up IPI; whether one follows at once. Until then it does not run.
    pub fn ask_hold(&mut self) -> bool {
        self.asked.hold();
        self.go_on_meanwhile();
        let vcpu = &mut self.vcpus[self.cpu];
        vcpu.held = !self.setup.sipi;
        vcpu.held_by = self.page_at.unwrap_or(0);
        self.setup.sipi
    }
}

// --- the page ---------------------------------------------------------------------------------------

/// The valid bits of a page: that of the field at offset n is bit n / 8.
pub fn marked(page: &Ghcb) -> u128 {
    u128::from_le_bytes(page.valid_bitmap)
}

/// Whether the field at this offset of the page is marked valid.
pub fn is_valid(page: &Ghcb, offset: usize) -> bool {
    marked(page) >> (offset / 8) & 1 != 0
}

pub fn mark(page: &mut Ghcb, offset: usize) {
    page.valid_bitmap = (marked(page) | 1 << (offset / 8)).to_le_bytes();
}

/// The row of the exit that a page asks for; none of a code that is no exit.
pub fn exit_of(page: &Ghcb) -> Option<&'static Exit> {
    EXITS.iter().find(|one| one.code == page.sw_exit_code)
}

/// Whether the guest marked what every page of an exit needs.
pub fn has_needs(page: &Ghcb, exit: Option<&Exit>) -> bool {
    exit.unwrap_or(&NO_EXIT).needs & !marked(page) == 0
}

/// End an exit: the words of the answer, which are all that is valid. A host marks registers after it.
pub fn answered(page: &mut Ghcb, status: StatusCode, detail: u64) -> Run {
    page.valid_bitmap = [0; 16];
    page.sw_exit_info_1 = status.0;
    page.sw_exit_info_2 = detail;
    mark(page, core::mem::offset_of!(Ghcb, sw_exit_info_1));
    mark(page, core::mem::offset_of!(Ghcb, sw_exit_info_2));
    Run::Guest
}

/// End an exit that is done.
pub fn done(page: &mut Ghcb, detail: u64) -> Run {
    answered(page, StatusCode::DONE, detail)
}

/// Refuse an exit.
pub fn refused(page: &mut Ghcb, why: MalformedInputCode) -> Run {
    answered(page, StatusCode::MALFORMED_INPUT, why.0)
}
