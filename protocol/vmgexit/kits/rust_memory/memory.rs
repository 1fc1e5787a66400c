//! Guest memory as an SVSM reaches it, its instructions on the RMP, and where vCPUs are.
//!
//! A `gpa` is guest-physical. What an instruction does is noted for the answer, in `did`. An error is a stop,
//! which an SVSM hands on.

use crate::kit::adapter::Stop;
use crate::kit::layouts::Vmsa;
use crate::kit::memory_commands::Range;
use crate::kit::pages::{Entry, Pages, LARGE_PAGE, MOST_RANGES, PAGE};
use crate::kit::psp::Psp;
use crate::kit::vm::MOST_VCPUS;
use core::mem::offset_of;

/// Lines of `did`; a list of 510 entries takes 3,100.
pub const MOST_DONE: usize = 4096;
pub const FAIL_INPUT: u32 = 1;
pub const FAIL_PERMISSION: u32 = 2;
pub const FAIL_INUSE: u32 = 3;
pub const FAIL_SIZEMISMATCH: u32 = 6;
pub const EFER_SVME: u64 = 0x1000;

/// Where fields of a VMSA stand.
pub const EFER: u64 = offset_of!(Vmsa, efer) as u64;
pub const RAX: u64 = offset_of!(Vmsa, rax) as u64;
pub const RCX: u64 = offset_of!(Vmsa, rcx) as u64;
pub const RDX: u64 = offset_of!(Vmsa, rdx) as u64;
pub const R8: u64 = offset_of!(Vmsa, r8) as u64;
pub const SEV_FEATURES: u64 = offset_of!(Vmsa, sev_features) as u64;
pub const EXIT_CODE: u64 = offset_of!(Vmsa, guest_exit_code) as u64;
pub const VMPL: u64 = offset_of!(Vmsa, vmpl) as u64;

/// A line of `did`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub name: &'static str,
    /// Behind the first value, if there is one.
    pub word: Option<&'static str>,
    pub values: [u64; 6],
    pub count: usize,
}

/// The VMSA and the calling area of a vCPU, where it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Home {
    pub vmsa: Option<u64>,
    pub area: Option<u64>,
}

/// Where a vCPU is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// What the SVSM wants it to use from the next time on that it enters its guest.
    pub home: Home,
    /// What it uses: `home` as it was when it last entered its guest.
    pub mapped: Home,
    pub in_guest: bool,
    pub executes: bool,
    /// The mapped VMSA is none any more.
    pub has_lost_vmsa: bool,
}

/// The memory of a VM, and where its vCPUs are.
pub struct Memory<'a> {
    pub pages: Pages<'a>,
    pub is_there: bool,
    /// The SVSM emulates APICs: `init` had `reg_count`.
    pub has_apic: bool,
    pub assigns: bool,
    pub faults_on_unvalidated: bool,
    /// The guest's memory, without the SVSM's range.
    pub map: [Range; 2 * MOST_RANGES],
    pub map_count: usize,
    pub places: [Place; MOST_VCPUS],
    pub psp: Psp<'a>,
    done: &'a mut [Done],
    done_count: usize,
}

impl<'a> Memory<'a> {
    /// `done` has MOST_DONE lines.
    pub fn new(pages: Pages<'a>, done: &'a mut [Done], psp: Psp<'a>) -> Self {
        Memory {
            pages,
            is_there: false,
            has_apic: false,
            assigns: false,
            faults_on_unvalidated: false,
            map: [Range { start: 0, length: 0 }; 2 * MOST_RANGES],
            map_count: 0,
            places: [Place::default(); MOST_VCPUS],
            psp,
            done,
            done_count: 0,
        }
    }

    /// What was done in this command.
    pub fn done(&self) -> &[Done] {
        &self.done[..self.done_count]
    }

    pub fn forget_done(&mut self) {
        self.done_count = 0;
    }

    pub fn note<const N: usize>(&mut self, name: &'static str, held: [u64; N]) {
        assert!(self.done_count < MOST_DONE, "vmgexit kit: an SVSM that does too much in one call");
        let mut values = [0; 6];
        values[..N].copy_from_slice(&held);
        self.done[self.done_count] = Done { name, word: None, values, count: N };
        self.done_count += 1;
    }

    /// Put a word behind the first value of the last line.
    pub fn note_word(&mut self, word: &'static str) {
        self.done[self.done_count - 1].word = Some(word);
    }

    /// Whether a vCPU executes in the VMSA that the page is.
    pub fn executes(&self, gpa: u64) -> bool {
        let vmsa = Some(gpa & PAGE.wrapping_neg());
        self.places.iter().any(|place| place.executes && place.mapped.vmsa == vmsa)
    }

    /// The SVSM reaches for a page that is not assigned to its address.
    fn fault(&mut self, gpa: u64) -> Result<(), Stop> {
        if !self.assigns {
            return Err(Stop::Terminated("a nested page fault"));
        }
        let slot = self.pages.behind(gpa);
        self.pages.page_mut(slot).rmp = Entry::assigned(gpa);
        Ok(())
    }

    /// The page that an instruction works on, when it need not start again.
    fn operand(&mut self, gpa: u64, is_large: bool) -> Result<(usize, Entry), Stop> {
        let slot = self.pages.behind(gpa);
        if !self.pages.page(slot).rmp.is_of(gpa) {
            self.fault(gpa)?;
            self.note("npf", [gpa]);
        }
        if self.pages.page(slot).rmp.huge && !is_large {
            self.pages.smash(slot);
            self.note("psmash", [gpa & LARGE_PAGE.wrapping_neg()]);
        }
        Ok((slot, self.pages.page(slot).rmp))
    }

    // --- what an SVSM calls

    /// Whether one range of the guest's memory holds all of this.
    pub fn in_map(&self, start: u64, length: u64) -> bool {
        self.map[..self.map_count].iter().any(|range| {
            start >= range.start && length <= range.length && start - range.start <= range.length - length
        })
    }

    /// A private access: false where it is #VC, as a page is not validated. To a page that is not the guest's
    /// it is a nested page fault.
    pub fn touch(&mut self, start: u64, length: u64) -> Result<bool, Stop> {
        for gpa in pages_of(start, length) {
            let entry = self.pages.entry(gpa);
            if !entry.is_of(gpa) {
                self.fault(gpa)?;
                return Ok(false);
            }
            if !entry.validated {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Read memory that was touched.
    pub fn load(&mut self, gpa: u64, into: &mut [u8]) {
        let mut at = 0;
        while at < into.len() {
            let (slot, from, part) = self.part(gpa + at as u64, into.len() - at);
            into[at..at + part].copy_from_slice(&self.pages.content(slot)[from..from + part]);
            at += part;
        }
    }

    /// Write memory that was touched.
    pub fn store(&mut self, gpa: u64, data: &[u8]) {
        let mut at = 0;
        while at < data.len() {
            let (slot, to, part) = self.part(gpa + at as u64, data.len() - at);
            self.pages.content(slot)[to..to + part].copy_from_slice(&data[at..at + part]);
            at += part;
        }
    }

    /// The page of some bytes, where they begin in it, and how many of them are there.
    fn part(&mut self, gpa: u64, most: usize) -> (usize, usize, usize) {
        let from = (gpa % PAGE) as usize;
        (self.pages.behind(gpa), from, most.min(PAGE as usize - from))
    }

    pub fn word(&mut self, gpa: u64) -> u64 {
        let mut bytes = [0; 8];
        self.load(gpa, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub fn put_word(&mut self, gpa: u64, word: u64) {
        self.store(gpa, &word.to_le_bytes());
    }

    /// Clear a page, or 2 MiB.
    pub fn clear(&mut self, page: u64, length: u64) {
        for gpa in pages_of(page, length) {
            let slot = self.pages.behind(gpa);
            self.pages.fill(slot, 0);
        }
        self.note("zero", [page, length]);
    }

    /// PVALIDATE: its status, and the carry flag, which says that nothing changed.
    pub fn pvalidate(&mut self, gpa: u64, is_large: bool, valid: bool) -> Result<(u32, bool), Stop> {
        let (slot, entry) = self.operand(gpa, is_large)?;
        let status = if is_large && !entry.huge { FAIL_SIZEMISMATCH } else { 0 };
        let unchanged = status == 0 && entry.validated == valid;
        if status == 0 {
            self.pages.put(slot, Entry { validated: valid, ..entry });
        }
        let told = [gpa, is_large.into(), valid.into(), status.into(), unchanged.into()];
        self.note("pvalidate", told);
        Ok((status, unchanged))
    }

    /// RMPADJUST: its status. Of a page that is not validated it is #VC on some processors: see `is_vc`.
    pub fn rmpadjust(&mut self, gpa: u64, is_large: bool, vmpl: usize, perms: u8, vmsa: bool) -> Result<u32, Stop> {
        let (slot, mut entry) = self.operand(gpa, is_large)?;
        let status = match entry {
            Entry { huge: false, .. } if is_large => FAIL_SIZEMISMATCH,
            Entry { validated: false, .. } => FAIL_INPUT,
            _ if self.executes(gpa) => FAIL_INUSE,
            _ => 0,
        };
        if status == 0 {
            entry.perms[vmpl % 4] = perms;
            entry.vmsa = vmsa;
            self.pages.put(slot, entry);
        }
        let told = [gpa, is_large.into(), vmpl as u64, perms.into(), vmsa.into(), status.into()];
        self.note("rmpadjust", told);
        Ok(status)
    }

    /// Whether that failure of RMPADJUST is #VC on this processor.
    pub fn is_vc(&self, status: u32) -> bool {
        status == FAIL_INPUT && self.faults_on_unvalidated
    }

    /// The SVSM drops what translations there are of a page.
    pub fn flush(&mut self, page: u64, is_large: bool) {
        self.note("flush", [page, is_large.into()]);
    }

    pub fn flush_all(&mut self) {
        self.note("flush_all", []);
    }

    /// A page is no VMSA any more: no vCPU goes on in it.
    pub fn lose_vmsa(&mut self, vmsa: u64) {
        for place in self.places.iter_mut().filter(|place| place.mapped.vmsa == Some(vmsa)) {
            place.has_lost_vmsa = true;
        }
    }
}

/// The pages that some bytes lie in. They may end at 2^64.
pub fn pages_of(start: u64, length: u64) -> impl Iterator<Item = u64> {
    let count = if length == 0 { 0 } else { (start % PAGE + length - 1) / PAGE + 1 };
    (0..count).map(move |index| (start & PAGE.wrapping_neg()).wrapping_add(index * PAGE))
}
