//! System pages, their RMP entries, and which of them backs a page of the guest.
//!
//! A page is kept from the first time that something looks at it: before, it is as `init` says. Its bytes
//! are kept from the first time that something may write to them. A page is named by its slot.

use crate::kit::memory_commands::{PageRange, PageState};

pub const PAGE: u64 = 4096;
pub const LARGE_PAGE: u64 = 512 * PAGE;
pub const LAST_ADDRESS: u64 = (1 << 51) - 1;
pub const MOST_RANGES: usize = 64;
/// A power of 2.
pub const SLOTS: usize = 1 << 16;
/// Pages that are kept after one `init`.
pub const MOST_PAGES: usize = 48 << 10;
/// Read, write, execute in user and in supervisor mode.
pub const ALL_PERMISSIONS: u8 = 15;
pub const SVSM_FILL: u8 = 0xc5;

pub type Content = [u8; PAGE as usize];

/// An RMP entry. `perms` are those of VMPL 1 to 3, by their number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    pub assigned: bool,
    pub validated: bool,
    pub huge: bool,
    pub vmsa: bool,
    pub perms: [u8; 4],
    pub gpa: u64,
}

impl Entry {
    /// An entry as RMPUPDATE makes it.
    pub fn assigned(gpa: u64) -> Self {
        Entry { assigned: true, gpa: gpa & PAGE.wrapping_neg(), ..Entry::default() }
    }

    /// Whether it is assigned to this guest page.
    pub fn is_of(&self, gpa: u64) -> bool {
        self.assigned && self.gpa == gpa & PAGE.wrapping_neg()
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    pub address: u64,
    /// The system page behind the guest page at this address.
    pub backed_by: u64,
    since: u32, // the `init` after which it is kept
    pub rmp: Entry,
    content: Option<usize>, // none: every byte is `fill`
    fill: u8,
}

/// All pages. `rows` says what they are at first; the last row is the SVSM's own range.
pub struct Pages<'a> {
    slots: &'a mut [Page],
    contents: &'a mut [Content],
    since: u32,
    kept: usize,
    used: usize,
    rows: [PageRange; MOST_RANGES + 1],
    row_count: usize,
}

impl<'a> Pages<'a> {
    /// `slots` has SLOTS pages, `contents` MOST_PAGES.
    pub fn new(slots: &'a mut [Page], contents: &'a mut [Content]) -> Self {
        let none = PageRange { start: 0, length: 0, state: PageState::Shared, fill: 0 };
        Pages { slots, contents, since: 0, kept: 0, used: 0, rows: [none; MOST_RANGES + 1], row_count: 0 }
    }

    /// Forget all pages: they are as rows, at most MOST_RANGES, and the SVSM's say.
    pub fn begin(&mut self, rows: impl Iterator<Item = PageRange>, svsm: PageRange) {
        self.since += 1;
        (self.kept, self.used, self.row_count) = (0, 0, 0);
        for row in rows.take(MOST_RANGES).chain([svsm]) {
            self.rows[self.row_count] = row;
            self.row_count += 1;
        }
    }

    /// The slot of the system page at an address.
    pub fn at(&mut self, address: u64) -> usize {
        let start = address & PAGE.wrapping_neg();
        let mut slot = ((start >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % SLOTS;
        while self.slots[slot].since == self.since && self.slots[slot].address != start {
            slot = (slot + 1) % SLOTS;
        }
        if self.slots[slot].since != self.since {
            assert!(self.kept < MOST_PAGES, "vmgexit kit: too many pages since init");
            self.kept += 1;
            self.slots[slot] = self.first(start);
        }
        slot
    }

    /// A page as `init` says.
    fn first(&self, start: u64) -> Page {
        let mut page = Page { address: start, backed_by: start, since: self.since, ..Page::default() };
        let rows = &self.rows[..self.row_count];
        let is_in = |row: &PageRange| start.wrapping_sub(row.start) < row.length;
        let Some(at) = rows.iter().rposition(is_in) else { return page };
        let is_huge = is_huge(rows[at].state);
        page.fill = rows[at].fill as u8;
        if rows[at].state == PageState::Shared {
            return page;
        }
        page.rmp = Entry::assigned(start);
        page.rmp.validated = matches!(rows[at].state, PageState::Valid | PageState::HugeValid);
        if page.rmp.validated && at + 1 < self.row_count {
            page.rmp.perms[2] = ALL_PERMISSIONS; // but for the SVSM's
        }
        // Of 2 MiB a later row may name a part: all of it is pages of 4 KiB then.
        let chunk = start & LARGE_PAGE.wrapping_neg();
        let cuts = |row: &PageRange| row.start < chunk + LARGE_PAGE && chunk < row.start + row.length;
        page.rmp.huge = is_huge && !rows[at + 1..].iter().any(cuts);
        page
    }

    /// The slot of the system page behind the guest's page at an address.
    pub fn behind(&mut self, gpa: u64) -> usize {
        let slot = self.at(gpa);
        let page = self.slots[slot];
        if page.backed_by == page.address { slot } else { self.at(page.backed_by) }
    }

    pub fn page(&self, slot: usize) -> &Page {
        &self.slots[slot]
    }

    pub fn page_mut(&mut self, slot: usize) -> &mut Page {
        &mut self.slots[slot]
    }

    /// The RMP entry of the system page behind a guest page.
    pub fn entry(&mut self, gpa: u64) -> Entry {
        let slot = self.behind(gpa);
        self.slots[slot].rmp
    }

    /// The bytes of a system page, which may be written.
    pub fn content(&mut self, slot: usize) -> &mut Content {
        let page = &mut self.slots[slot];
        let at = *page.content.get_or_insert_with(|| {
            assert!(self.used < MOST_PAGES, "vmgexit kit: too many pages since init");
            self.contents[self.used] = [page.fill; PAGE as usize];
            self.used += 1;
            self.used - 1
        });
        &mut self.contents[at]
    }

    pub fn fill(&mut self, slot: usize, byte: u8) {
        self.slots[slot].fill = byte;
        if let Some(at) = self.slots[slot].content {
            self.contents[at] = [byte; PAGE as usize];
        }
    }

    /// Change an entry; those of 2 MiB are kept alike.
    pub fn put(&mut self, slot: usize, entry: Entry) {
        self.slots[slot].rmp = entry;
        if entry.huge {
            self.of_chunk(slot, |page| page.rmp = Entry { gpa: page.address, ..entry });
        }
    }

    /// PSMASH: 512 entries of 4 KiB, in all else as they were.
    pub fn smash(&mut self, slot: usize) {
        self.of_chunk(slot, |page| page.rmp.huge = false);
    }

    fn of_chunk(&mut self, slot: usize, change: impl Fn(&mut Page)) {
        let chunk = self.slots[slot].address & LARGE_PAGE.wrapping_neg();
        for index in 0..512 {
            let other = self.at(chunk + index * PAGE);
            change(&mut self.slots[other]);
        }
    }
}

pub fn is_huge(state: PageState) -> bool {
    matches!(state, PageState::HugePrivate | PageState::HugeValid)
}
