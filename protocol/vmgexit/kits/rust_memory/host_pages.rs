//! What the host and the guest do to memory by commands, without the SVSM: an error is why it cannot.

use crate::kit::memory::{Memory, EFER, EFER_SVME, FAIL_INPUT, FAIL_INUSE, FAIL_PERMISSION, pages_of};
use crate::kit::memory_commands::PageChange;
use crate::kit::pages::{Entry, LARGE_PAGE, PAGE};
use crate::kit::whom::Whom;

pub type Outcome = Result<(), &'static str>;

pub const READ: u8 = 1;
pub const WRITE: u8 = 2;

impl Memory<'_> {
    /// What the host does to a page.
    pub fn host_page(&mut self, gpa: u64, to: PageChange, fill: Option<u8>, spa: u64) -> Outcome {
        match to {
            PageChange::Split => self.split(gpa),
            PageChange::Join => self.join(gpa),
            PageChange::Remap => {
                self.remap(gpa, spa, fill);
                Ok(())
            }
            PageChange::Shared | PageChange::Private => {
                let entry = if to == PageChange::Private { Entry::assigned(gpa) } else { Entry::default() };
                self.change(gpa, entry)?;
                let slot = self.pages.behind(gpa);
                fill.into_iter().for_each(|byte| self.pages.fill(slot, byte));
                Ok(())
            }
        }
    }

    /// RMPUPDATE of one page, which was the guest's or nobody's.
    fn change(&mut self, gpa: u64, entry: Entry) -> Outcome {
        let slot = self.pages.behind(gpa);
        let before = self.pages.page(slot).rmp;
        if before.assigned {
            if !before.is_of(gpa) {
                return Err("other");
            }
            if self.executes(gpa) {
                return Err("in_use");
            }
            if before.huge {
                self.pages.smash(slot);
            }
        }
        self.pages.page_mut(slot).rmp = entry;
        Ok(())
    }

    /// PSMASH.
    fn split(&mut self, gpa: u64) -> Outcome {
        let slot = self.pages.behind(gpa);
        if !self.pages.page(slot).rmp.huge {
            return Err("size");
        }
        self.pages.smash(slot);
        Ok(())
    }

    /// The 512 pages of a chunk become one of 2 MiB, assigned and not validated.
    fn join(&mut self, gpa: u64) -> Outcome {
        let chunk = gpa & LARGE_PAGE.wrapping_neg();
        for at in pages_of(chunk, LARGE_PAGE) {
            let slot = self.pages.at(at);
            let page = *self.pages.page(slot);
            if page.backed_by != at {
                return Err("mapping");
            }
            if page.rmp.assigned && page.rmp.gpa != at {
                return Err("other");
            }
            if page.rmp.assigned && self.executes(at) {
                return Err("in_use");
            }
        }
        let slot = self.pages.at(chunk);
        self.pages.put(slot, Entry { huge: true, ..Entry::assigned(chunk) });
        Ok(())
    }

    /// Another system page backs the guest's page. The entry of the one before stays as it is.
    fn remap(&mut self, gpa: u64, spa: u64, fill: Option<u8>) {
        let (before, after, guests) = (self.pages.behind(gpa), self.pages.at(spa), self.pages.at(gpa));
        let left = self.pages.page(before).rmp;
        if left.is_of(gpa) && left.huge {
            self.pages.smash(before);
        }
        let entry = self.pages.page(after).rmp;
        if let (false, Some(byte)) = (entry.assigned, fill) {
            self.pages.fill(after, byte);
        }
        self.pages.page_mut(guests).backed_by = spa & PAGE.wrapping_neg();
        if entry.is_of(gpa) {
            return; // it was put back as it was
        }
        if self.pages.page(after).rmp.huge {
            self.pages.smash(after);
        }
        self.pages.page_mut(after).rmp = Entry::assigned(gpa);
    }

    /// Whether a VMPL, or the host, may reach these bytes.
    pub fn access(&mut self, by: Option<Whom>, start: u64, length: u64, right: u8) -> Outcome {
        let Some(by) = by else { return Ok(()) };
        for gpa in pages_of(start, length) {
            let entry = self.pages.entry(gpa);
            match by {
                Whom::Host if entry.assigned => return Err("rmp"),
                Whom::Host => {}
                Whom::Vmpl(_) if !entry.is_of(gpa) => return Err("npf"),
                Whom::Vmpl(_) if !entry.validated => return Err("not_validated"),
                Whom::Vmpl(vmpl) if entry.perms[vmpl as usize % 4] & right == 0 => return Err("vmpl"),
                Whom::Vmpl(_) => {}
            }
        }
        Ok(())
    }

    /// RMPADJUST of 4 KiB by the guest at VMPL 2: its status, or why it faults.
    pub fn guest_rmpadjust(&mut self, gpa: u64, vmpl: u64, perms: u8) -> Result<u32, &'static str> {
        let slot = self.pages.behind(gpa);
        let entry = self.pages.page(slot).rmp;
        if !entry.is_of(gpa) {
            return Err("npf");
        }
        if !entry.validated {
            return Err("not_validated");
        }
        if entry.huge {
            return Err("size");
        }
        if self.executes(gpa) {
            return Ok(FAIL_INUSE);
        }
        match vmpl {
            0..=2 => return Ok(FAIL_PERMISSION),
            3 if perms & !entry.perms[2] != 0 => return Ok(FAIL_PERMISSION),
            3 => self.pages.page_mut(slot).rmp.perms[3] = perms,
            _ => return Ok(FAIL_INPUT),
        }
        Ok(0)
    }

    /// VMRUN is possible: the VMSA is a page of this guest, validated, marked as one, of 4 KiB, with
    /// EFER.SVME.
    pub fn can_run(&mut self, vmsa: u64) -> bool {
        let entry = self.pages.entry(vmsa);
        entry.is_of(vmsa)
            && entry.validated
            && entry.vmsa
            && !entry.huge
            && self.word(vmsa + EFER) & EFER_SVME != 0
    }

    /// A vCPU is in a guest that VMRUN can run.
    pub fn has_guest(&mut self, cpu: usize) -> bool {
        let place = self.places[cpu];
        let vmsa = place.mapped.vmsa.filter(|_| place.in_guest && !place.has_lost_vmsa);
        vmsa.is_some_and(|vmsa| self.can_run(vmsa))
    }
}
