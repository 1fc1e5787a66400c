//! The secure processor behind an SVSM, which it reaches through the host: prepared answers, a report.
//!
//! A message is kept as what it says: nothing is sealed. An SVSM that seals its messages hands over what it
//! would seal, and reads `Psp::response` as what it would have opened.

use crate::kit::json::Json;
use crate::kit::layouts::AttestationReport;
use crate::kit::memory::Memory;
use crate::kit::memory_commands::Certificates;
use crate::kit::pages::PAGE;
use crate::kit::reading::{number, Row, Wrong, OTHER_ARGUMENTS};
use crate::kit::sha2::sha512;
use core::mem::{offset_of, size_of};

pub const MOST_PREPARED: usize = 4096;
pub const REPORT_SIZE: usize = size_of::<AttestationReport>();
/// Bytes of certificates, which may be zero.
pub const CERTIFICATE_HEADER: usize = 24;
/// Errors of the host: it has more certificates than fit; try again later.
pub const TOO_SHORT: u64 = 1 << 32;
pub const BUSY: u64 = 2 << 32;

/// The certificates that the host of a fresh VM has.
const CERTIFICATES: Certificates = Certificates { pages: 1, fill: 0xce, header: true };

/// What is prepared for a guest request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    Ok,
    Invalid,
    Stale,
    Tamper,
    Size,
    Error { error: u64, rbx: u64 },
    Status(u64),
}

impl Row for Prepared {
    fn of(value: Json) -> Result<Self, Wrong> {
        let member = |name: &[u8], most| value.member(name).map(|held| number(held, 0, most)).transpose();
        let count = value.members().map_or(0, |members| members.count());
        match (value.text(), count) {
            (Some(b"ok"), _) => Ok(Prepared::Ok),
            (Some(b"invalid"), _) => Ok(Prepared::Invalid),
            (Some(b"stale"), _) => Ok(Prepared::Stale),
            (Some(b"tamper"), _) => Ok(Prepared::Tamper),
            (Some(b"size"), _) => Ok(Prepared::Size),
            (None, 1) => member(b"status", u32::MAX.into())?.map(Prepared::Status).ok_or(OTHER_ARGUMENTS),
            (None, 2) => match (member(b"err", u64::MAX)?, member(b"rbx", u64::MAX)?) {
                (Some(error), Some(rbx)) => Ok(Prepared::Error { error, rbx }),
                _ => Err(OTHER_ARGUMENTS),
            },
            _ => Err(OTHER_ARGUMENTS),
        }
    }
}

impl Prepared {
    /// As `did` names it.
    const fn word(self) -> &'static str {
        match self {
            Prepared::Ok => "ok",
            Prepared::Invalid => "invalid",
            Prepared::Stale => "stale",
            Prepared::Tamper => "tamper",
            Prepared::Size => "size",
            Prepared::Error { .. } => "err",
            Prepared::Status(_) => "status",
        }
    }
}

/// What came of an exit to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// So many bytes of certificates were written, where there is room for them.
    Answered { written: usize },
    /// Not what the host may answer.
    Invalid,
    Refused { error: u64, rbx: u64 },
}

/// What the response page holds.
#[derive(Clone, Copy, Debug)]
pub struct Response {
    /// That of the request plus 1; 0: there was none.
    pub number: u64,
    pub status: u64,
    pub is_authentic: bool,
    /// The payload has the size of a report response.
    pub fits: bool,
    pub report: [u8; REPORT_SIZE],
}

/// What is prepared, and what host and SVSM share.
pub struct Psp<'a> {
    prepared: &'a mut [Prepared],
    count: usize,
    next: usize,
    /// Those that the host has.
    certificates: Certificates,
    pub response: Response,
}

impl<'a> Psp<'a> {
    /// `prepared` has MOST_PREPARED answers.
    pub fn new(prepared: &'a mut [Prepared]) -> Self {
        let response = Response { number: 0, status: 0, is_authentic: false, fits: false, report: [0; REPORT_SIZE] };
        Psp { prepared, count: 0, next: 0, certificates: CERTIFICATES, response }
    }

    /// As a fresh VM has it.
    pub fn restart(&mut self) {
        self.prepare(core::iter::empty(), Some(CERTIFICATES));
        self.response.number = 0;
    }

    /// What the host does by `psp`.
    pub fn prepare(&mut self, answers: impl Iterator<Item = Prepared>, certificates: Option<Certificates>) {
        (self.count, self.next) = (0, 0);
        for (held, answer) in self.prepared.iter_mut().zip(answers) {
            *held = answer;
            self.count += 1;
        }
        self.certificates = certificates.unwrap_or(self.certificates);
    }
}

impl Memory<'_> {
    /// Ask the secure processor for a report on `data`, by the message of this number, with room for
    /// certificates, which may be none. The answer is in `psp.response`.
    pub fn guest_request(&mut self, number: u64, data: &[u8; 64], room: &mut [u8]) -> Exit {
        let pages = room.len() as u64 / PAGE;
        let mut answer = Prepared::Ok;
        if self.psp.next < self.psp.count {
            answer = self.psp.prepared[self.psp.next];
            self.psp.next += 1;
        }
        let has = self.psp.certificates;
        let is_passed_on = !matches!(answer, Prepared::Invalid | Prepared::Error { .. });
        if is_passed_on && pages > 0 && has.pages > pages {
            answer = Prepared::Error { error: TOO_SHORT, rbx: has.pages };
        }
        match answer {
            Prepared::Error { error, rbx } => self.note("guest_request", [pages, error, rbx]),
            Prepared::Status(status) => self.note("guest_request", [pages, status]),
            _ => self.note("guest_request", [pages]),
        }
        self.note_word(answer.word());
        match answer {
            Prepared::Invalid => return Exit::Invalid,
            Prepared::Error { error, rbx } => return Exit::Refused { error, rbx },
            _ => {}
        }
        let written = if pages > 0 { (has.pages * PAGE) as usize } else { 0 };
        room[..written].fill(has.fill as u8);
        if !has.header {
            room[..written.min(CERTIFICATE_HEADER)].fill(0);
        }
        if answer != Prepared::Stale {
            self.psp.response = Response {
                number: number + 1,
                status: if let Prepared::Status(status) = answer { status } else { 0 },
                is_authentic: answer != Prepared::Tamper,
                fits: answer != Prepared::Size,
                report: report(data),
            };
        }
        Exit::Answered { written }
    }
}

/// A report; for a signature it has SHA-512 of what would be signed.
fn report(data: &[u8; 64]) -> [u8; REPORT_SIZE] {
    let mut bytes = [0; REPORT_SIZE];
    let mut put = |at: usize, held: &[u8]| bytes[at..at + held.len()].copy_from_slice(held);
    put(offset_of!(AttestationReport, version), &[2]);
    put(offset_of!(AttestationReport, signature_algo), &[1]);
    put(offset_of!(AttestationReport, report_data), data);
    put(offset_of!(AttestationReport, measurement), &[0xa1; 48]);
    let (signed, signature) = bytes.split_at_mut(offset_of!(AttestationReport, signature));
    signature[..64].copy_from_slice(&sha512(signed));
    bytes
}
