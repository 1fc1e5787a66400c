//! The attestation protocol of the small SVSM: a report of the secure processor on nonce and manifest.

use crate::calls::{overlap, require, Done, Ends, Whole, ADDRESS, PARAMETER};
use crate::kit::adapter::Registers;
use crate::kit::layouts::{AttestServices, AttestSingleService, AttestationCallCode, ResultCode};
use crate::kit::memory::Memory;
use crate::kit::pages::PAGE;
use crate::kit::psp::{Exit, BUSY, CERTIFICATE_HEADER, REPORT_SIZE, TOO_SHORT};
use crate::kit::sha2::sha512;

const NONCE_SIZE: usize = 64;
const MOST_CERTIFICATES: usize = 4 * PAGE as usize;
/// The size of the vTPM's public key, as it were: all that its manifest is.
const KEY_SIZE: usize = 314;
/// Header and entry of the manifest of all services.
const HEAD: usize = 48;
const MANIFEST: [u8; 16] = *b"\xbb\x9e\x84\x63\x92\x3d\x70\x46\xa1\xff\x58\xf9\xc9\x4b\x87\xbb";
const VTPM: [u8; 16] = *b"\xeb\xf1\x76\xc4\x23\x01\xa5\x45\x96\x41\xb4\xe7\xdd\xe5\xbf\xe3";

const REQUEST: Ends = Ends::Refused(ResultCode::INVALID_REQUEST.0);
const FORMAT: Ends = Ends::Refused(ResultCode::INVALID_FORMAT.0);

/// What the SVSM keeps for its messages.
pub struct Attestation {
    /// Not once a message was lost: its number would be used for another one.
    has_key: bool,
    /// Of the last response.
    number: u64,
    certificates: Vec<u8>,
}

impl Default for Attestation {
    fn default() -> Self {
        Attestation { has_key: true, number: 0, certificates: vec![0; MOST_CERTIFICATES] }
    }
}

/// What a guest request came to.
enum Got {
    /// A report, and so many bytes of certificates.
    Report([u8; REPORT_SIZE], usize),
    /// The host has so many pages of certificates, more than there is room for.
    TooShort(u64),
}

/// Where the guest wants a part of the answer, how many bytes it has there, and how many may come.
#[derive(Clone, Copy)]
struct Place {
    address: u64,
    size: u64,
    most: usize,
}

impl Place {
    fn room(&self) -> u64 {
        self.size.min(self.most as u64)
    }
}

impl Whole {
    pub fn attest(&mut self, memory: &mut Memory, registers: &mut Registers) -> Done {
        let is_single = match AttestationCallCode(registers.request.into()) {
            AttestationCallCode::ATTEST_SERVICES => false,
            AttestationCallCode::ATTEST_SINGLE_SERVICE => true,
            _ => return Err(Ends::Refused(ResultCode::UNSUPPORTED_CALL.0)),
        };
        let operation = self.operation(memory, registers.rcx, is_single)?;
        let manifest = &services_manifest()[if is_single { HEAD } else { 0 }..];
        let nonce = self.nonce(memory, &operation)?;
        let place = |address, size: u32, most| Place { address, size: size.into(), most };
        let places = [
            place(operation.report_gpa, operation.report_size, REPORT_SIZE),
            place(operation.manifest_gpa, operation.manifest_size, manifest.len()),
            place(operation.cert_gpa, operation.cert_size, MOST_CERTIFICATES),
        ];
        let has_room = operation.cert_size > 0;
        let places = &places[..if has_room { 3 } else { 2 }];
        self.check(memory, places)?;
        let data = sha512(&[&nonce, manifest].concat());
        let (report, written) = match self.attestation.report(memory, &data, has_room)? {
            Got::Report(report, written) => (report, written),
            Got::TooShort(pages) => {
                (registers.rcx, registers.rdx) = (manifest.len() as u64, pages * PAGE);
                return Err(PARAMETER);
            }
        };
        let parts = [&report[..], manifest, &self.attestation.certificates[..written]];
        [registers.r8, registers.rcx, registers.rdx] = parts.map(|part| part.len() as u64);
        let fits = parts.iter().zip(places).all(|(part, place)| part.len() as u64 <= place.size);
        require(fits, PARAMETER)?;
        parts.iter().zip(places).for_each(|(part, place)| memory.store(place.address, part));
        Ok(())
    }

    fn fetch<const N: usize>(&self, memory: &mut Memory, address: u64) -> Result<[u8; N], Ends> {
        let mut held = [0; N];
        self.require_operand(memory, address, N as u64)?;
        memory.load(address, &mut held);
        Ok(held)
    }

    fn operation(&self, memory: &mut Memory, address: u64, is_single: bool) -> Result<AttestServices, Ends> {
        let (operation, single) = if is_single {
            let single = AttestSingleService::from_bytes(self.fetch(memory, address)?);
            (single.operation, Some(single))
        } else {
            (AttestServices::from_bytes(self.fetch(memory, address)?), None)
        };
        let is_reserved = operation.reserved_0x00c == [0; 4]
            && operation.reserved_0x01a == [0; 6]
            && operation.reserved_0x02c == [0; 4]
            && operation.reserved_0x03c == [0; 4];
        require(is_reserved, PARAMETER)?;
        if let Some(single) = single {
            require(single.reserved_0x054 == [0; 4] && single.manifest_version == 0, PARAMETER)?;
            require(single.service_guid == VTPM, Ends::Refused(ResultCode::UNSUPPORTED_PROTOCOL.0))?;
        }
        Ok(operation)
    }

    fn nonce(&self, memory: &mut Memory, operation: &AttestServices) -> Result<[u8; NONCE_SIZE], Ends> {
        let is_in_one_page = operation.nonce_gpa % PAGE + NONCE_SIZE as u64 <= PAGE;
        require(usize::from(operation.nonce_size) == NONCE_SIZE && is_in_one_page, PARAMETER)?;
        self.fetch(memory, operation.nonce_gpa)
    }

    /// Refuse places that cannot be written, before anyone is asked for a report.
    fn check(&self, memory: &mut Memory, places: &[Place]) -> Done {
        for at in [1, 0, 2].into_iter().take(places.len()) {
            let Place { address, size, most } = places[at];
            require(address % PAGE == 0 && (at < 2 || size <= most as u64), PARAMETER)?;
            require(address.checked_add(size).is_some(), ADDRESS)?;
        }
        for (at, one) in places.iter().enumerate() {
            let meets = |other: &Place| overlap(one.address, one.room(), other.address, other.room());
            require(!places[..at].iter().any(meets), PARAMETER)?;
        }
        for place in places.iter().filter(|place| place.size > 0) {
            self.require_operand(memory, place.address, place.room())?;
        }
        Ok(())
    }

    /// Refuse bytes that the guest may not name, or that cannot be reached.
    fn require_operand(&self, memory: &mut Memory, address: u64, length: u64) -> Done {
        require(address.checked_add(length + PAGE - 1).is_some(), ADDRESS)?;
        self.require_free(memory, address, length)?;
        require(memory.touch(address, length)?, ADDRESS)
    }
}

impl Attestation {
    /// A report on `data`, or how many certificates there are.
    fn report(&mut self, memory: &mut Memory, data: &[u8; 64], has_room: bool) -> Result<Got, Ends> {
        require(self.has_key, REQUEST)?;
        let mut made = self.request(memory, data, has_room);
        if is_refused_by(made, BUSY) {
            made = self.request(memory, data, has_room);
        }
        if let (Exit::Refused { rbx, .. }, true, true) = (made, has_room, is_refused_by(made, TOO_SHORT)) {
            // The request that is out must be answered, or its number would be used for another one.
            let again = self.request(memory, data, false);
            if matches!(again, Exit::Answered { .. }) && rbx.checked_mul(PAGE).is_some() {
                return Ok(Got::TooShort(rbx));
            }
        }
        let Exit::Answered { written } = made else {
            self.has_key = false;
            return Err(REQUEST);
        };
        let response = &memory.psp.response;
        self.has_key = response.number == self.number && response.is_authentic;
        require(response.number == self.number, FORMAT)?;
        require(response.is_authentic && response.status == 0, REQUEST)?;
        require(response.fits, FORMAT)?;
        let has_header = self.certificates[..CERTIFICATE_HEADER].iter().any(|byte| *byte != 0);
        Ok(Got::Report(response.report, if has_header { written } else { 0 }))
    }

    /// One exit, with room for certificates or without.
    fn request(&mut self, memory: &mut Memory, data: &[u8; 64], has_room: bool) -> Exit {
        let room = if has_room { &mut self.certificates[..] } else { &mut [] };
        let made = memory.guest_request(self.number + 1, data, room);
        if matches!(made, Exit::Answered { .. }) {
            self.number += 2;
        }
        made
    }
}

/// By the host's part of an error; the low half is the firmware's.
fn is_refused_by(made: Exit, wanted: u64) -> bool {
    matches!(made, Exit::Refused { error, .. } if error >> 32 << 32 == wanted)
}

/// The manifest of all services, of which there is one: header, entry, and the vTPM's own manifest.
fn services_manifest() -> [u8; HEAD + KEY_SIZE] {
    let mut bytes = [0; HEAD + KEY_SIZE];
    let word = |number: usize| (number as u32).to_le_bytes();
    let head = [word(HEAD + KEY_SIZE), word(1)].concat();
    let entry = [word(HEAD), word(KEY_SIZE)].concat();
    bytes[..HEAD].copy_from_slice(&[&MANIFEST[..], &head, &VTPM, &entry].concat());
    (0..KEY_SIZE).for_each(|at| bytes[HEAD + at] = (7 * at + 3) as u8);
    bytes
}
