//! The calls of a small SVSM, to be replaced by yours: the core and the vTPM protocol, on the guest's memory.
//! Attestation is in attestation.rs, and what has to do with interrupts in svsm.rs.
//!
//! It keeps no record of the pages that it validated, and never frees the first VMSA.

use crate::attestation::Attestation;
use crate::kit::adapter::{Registers, Stop, Svsm};
use crate::kit::commands::Command;
use crate::kit::layouts::{
    ApicCallCode, CoreCallCode, ProtocolCode, PvalidateEntry, ResultCode, SvsmProtocolQuery, SvsmVersionRange,
};
use crate::kit::memory::{Home, Memory, EFER, EFER_SVME, FAIL_INPUT, SEV_FEATURES, VMPL};
use crate::kit::on_memory::{OnMemory, Registration, MOST_REGISTERED};
use crate::kit::pages::{ALL_PERMISSIONS, LARGE_PAGE, PAGE};
use crate::kit::tpm::MOST_RESPONSE;
use crate::kit::vm::{Vcpu, Vm, GUEST_VMPL};
use crate::svsm::Small;

/// Bytes of a calling area that are not for the guest's own use.
const HEAD: u64 = 8;
/// A page that is no guest's.
const HOLE: u64 = 0xffff_ffff_f000;
/// A failed instruction answers its status above this code.
const CALLS_OWN: u64 = 0x8000_1000;

/// A refusal, or a stop.
pub enum Ends {
    Refused(u64),
    Stops(Stop),
}

use Ends::Refused;

pub const PARAMETER: Ends = Refused(ResultCode::INVALID_PARAMETER.0);
pub const ADDRESS: Ends = Refused(ResultCode::INVALID_ADDRESS.0);
const NO_CHANGE: Ends = Refused(ResultCode::FAIL_NOCHANGE.0);

impl From<Stop> for Ends {
    fn from(stop: Stop) -> Self {
        Ends::Stops(stop)
    }
}

pub type Done = Result<(), Ends>;

#[derive(Default)]
pub struct Whole {
    svsm: Small,
    entries: Vec<Registration>,
    pub attestation: Attestation,
    emulates: bool,
}

impl Svsm for Whole {
    fn name(&self) -> &'static str {
        "a small SVSM with memory" // your SVSM and its version
    }

    /// What it does otherwise than the reference, by the names of our quirks.
    fn profile(&self) -> &'static str {
        "validated-twice,boot-calling-area-stuck"
    }

    fn stays(&self) -> bool {
        true // `init` makes all of it anew
    }

    fn init(&mut self, vm: &mut Vm) {
        self.svsm.init(vm)
    }

    fn supports(&self, command: &Command) -> bool {
        self.svsm.supports(command)
    }

    fn call(&mut self, vm: &mut Vm, cpu: usize, registers: &mut Registers) -> Result<(), Stop> {
        self.svsm.call(vm, cpu, registers)
    }

    fn enter(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        self.svsm.enter(vm, cpu)
    }

    fn left(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        self.svsm.left(vm, cpu)
    }

    fn new_vmsa(&mut self, vm: &mut Vm, cpu: usize) -> Result<(), Stop> {
        self.svsm.new_vmsa(vm, cpu)
    }

    fn reg_count(&self) -> Option<u64> {
        self.svsm.reg_count()
    }
}

impl OnMemory for Whole {
    fn has_apic(&self) -> bool {
        true
    }

    fn init_on_memory(&mut self, memory: &mut Memory, vm: &mut Vm) {
        let home = memory.places[0].home;
        let first = Registration { vmsa: home.vmsa.unwrap_or(0), area: home.area.unwrap_or(0), ..Registration::default() };
        *self = Whole { entries: vec![first], emulates: memory.has_apic, ..Whole::default() };
        self.svsm.init(vm);
    }

    /// Of the APIC protocol it has as much as svsm.rs.
    fn knows(&self, protocol: u64, request: u64) -> bool {
        let of_apic = protocol == ProtocolCode::APIC.0 && self.emulates;
        !of_apic || request <= ApicCallCode::CONFIGURE_EMULATION.0
    }

    fn call_on_memory(
        &mut self, memory: &mut Memory, vm: &mut Vm, cpu: usize, registers: &mut Registers,
    ) -> Result<(), Stop> {
        let answered = match ProtocolCode(registers.protocol.into()) {
            ProtocolCode::CORE => self.core(memory, vm, cpu, registers),
            ProtocolCode::ATTESTATION => self.attest(memory, registers),
            ProtocolCode::VTPM => self.vtpm(memory, registers),
            ProtocolCode::APIC => return self.svsm.call(vm, cpu, registers),
            _ => Err(Refused(ResultCode::UNSUPPORTED_PROTOCOL.0)),
        };
        match answered {
            Ok(()) => registers.rax = ResultCode::SUCCESS.0 as u32,
            Err(Refused(code)) => registers.rax = code as u32,
            Err(Ends::Stops(stop)) => return Err(stop),
        }
        Ok(())
    }

    fn registry(&mut self) -> Option<&[Registration]> {
        self.entries.sort_by_key(|entry| entry.vmsa);
        Some(&self.entries)
    }
}

pub fn overlap(start: u64, length: u64, other: u64, other_length: u64) -> bool {
    start < other.saturating_add(other_length) && other < start.saturating_add(length)
}

/// The status of an instruction: a refusal where it failed.
fn done(status: u32) -> Done {
    if status == 0 { Ok(()) } else { Err(Refused(CALLS_OWN + u64::from(status))) }
}

/// Take a page from the guest: VMPL 2 and 3 may do nothing with it. The status of what failed.
fn revoke(memory: &mut Memory, page: u64, is_large: bool) -> Result<u32, Stop> {
    match memory.rmpadjust(page, is_large, 2, 0, false)? {
        0 => memory.rmpadjust(page, is_large, 3, 0, false),
        status => Ok(status),
    }
}

fn grant(memory: &mut Memory, page: u64, is_large: bool) -> Done {
    done(memory.rmpadjust(page, is_large, 2, ALL_PERMISSIONS, false)?)
}

pub fn require(holds: bool, otherwise: Ends) -> Done {
    if holds { Ok(()) } else { Err(otherwise) }
}

impl Whole {
    fn core(&mut self, memory: &mut Memory, vm: &mut Vm, cpu: usize, registers: &mut Registers) -> Done {
        match CoreCallCode(registers.request.into()) {
            CoreCallCode::REMAP_CA => self.remap(memory, vm, cpu, registers.rcx),
            CoreCallCode::PVALIDATE => self.pvalidate(memory, registers.rcx),
            CoreCallCode::CREATE_VCPU => {
                self.create_vcpu(memory, vm, cpu, (registers.rcx, registers.rdx), registers.r8 as u32)
            }
            CoreCallCode::DELETE_VCPU => self.delete_vcpu(memory, registers.rcx),
            CoreCallCode::QUERY_PROTOCOL => {
                registers.rcx = versions(&vm.vcpus[cpu], SvsmProtocolQuery(registers.rcx));
                Ok(())
            }
            CoreCallCode::CONFIGURE_VTOM => {
                require(registers.rcx & 1 != 0, Refused(ResultCode::INVALID_REQUEST.0))?;
                registers.rcx = 0;
                Ok(())
            }
            _ => Err(Refused(ResultCode::UNSUPPORTED_CALL.0)),
        }
    }

    fn vtpm(&self, memory: &mut Memory, registers: &mut Registers) -> Done {
        match registers.request {
            0 => {
                registers.rcx = 1 << 8; // platform command 8: send a command
                registers.rdx = 0;
                Ok(())
            }
            1 => self.tpm_command(memory, registers.rcx),
            _ => Err(Refused(ResultCode::UNSUPPORTED_CALL.0)),
        }
    }

    /// A command of the TPM: platform command, locality, size, input; afterwards size and response.
    fn tpm_command(&self, memory: &mut Memory, buffer: u64) -> Done {
        let (mut held, mut response) = ([0; PAGE as usize], [0; MOST_RESPONSE]);
        require(buffer != 0, PARAMETER)?;
        for length in [4, PAGE] {
            self.require_free(memory, buffer, length)?;
            require(memory.touch(buffer, length)?, ADDRESS)?;
            memory.load(buffer, &mut held[..length as usize]);
            require(held[..4] == [8, 0, 0, 0], PARAMETER)?;
        }
        let size = u32::from_le_bytes([held[5], held[6], held[7], held[8]]) as usize;
        require(held[4] == 0 && size <= held.len() - 9, PARAMETER)?;
        let length = memory.tpm(&held[9..9 + size], &mut response);
        require((1..=held.len() - 4).contains(&length), Refused(ResultCode::INVALID_REQUEST.0))?;
        held = [0; PAGE as usize];
        held[..4].copy_from_slice(&(length as u32).to_le_bytes());
        held[4..4 + length].copy_from_slice(&response[..length]);
        memory.store(buffer, &held);
        Ok(())
    }

    /// Refuse bytes that are not the guest's memory, or are in use.
    pub fn require_free(&self, memory: &Memory, start: u64, length: u64) -> Done {
        let is_in_use = |entry: &Registration| {
            overlap(start, length, entry.vmsa, PAGE) || overlap(start, length, entry.area, HEAD)
        };
        let is_free = start.checked_add(length).is_some()
            && !overlap(start, length, HOLE, PAGE)
            && memory.in_map(start, length)
            && !self.entries.iter().any(is_in_use);
        require(is_free, ADDRESS)
    }

    fn remap(&mut self, memory: &mut Memory, vm: &mut Vm, cpu: usize, area: u64) -> Done {
        let before = memory.places[cpu].home.area;
        require(area % PAGE == 0, PARAMETER)?;
        if before != Some(area) {
            self.require_free(memory, area, HEAD)?;
        }
        require(memory.touch(area, HEAD)?, ADDRESS)?;
        memory.store(area, &[0; HEAD as usize]);
        if memory.places[cpu].mapped.area == Some(area) {
            vm.vcpus[cpu].calling.no_eoi_required = 0;
        }
        for entry in self.entries.iter_mut().filter(|entry| Some(entry.area) == before) {
            entry.area = area;
        }
        memory.places[cpu].home.area = Some(area);
        Ok(())
    }

    /// Do the entries of a list from the next one on, until one is refused.
    fn pvalidate(&mut self, memory: &mut Memory, list: u64) -> Done {
        require(list % 8 == 0, PARAMETER)?;
        self.require_free(memory, list, 8)?;
        require(memory.touch(list, 8)?, ADDRESS)?;
        let header = memory.word(list);
        let (entries, mut next) = (header & 0xffff, header >> 16 & 0xffff);
        require(next < entries && entries < (PAGE - list % PAGE) / 8, PARAMETER)?;
        self.require_free(memory, list + 8, 8 * entries)?;
        let mut ended = Ok(());
        while next < entries && ended.is_ok() {
            let entry = PvalidateEntry(memory.word(list + 8 + 8 * next));
            ended = self.do_entry(memory, entry, list);
            next += u64::from(ended.is_ok());
        }
        if !matches!(ended, Err(Ends::Stops(_))) {
            memory.put_word(list, header & !0xffff_0000 | next << 16);
        }
        ended
    }

    fn do_entry(&mut self, memory: &mut Memory, entry: PvalidateEntry, list: u64) -> Done {
        let (page, is_large) = (entry.frame() * PAGE, entry.page_size() == 1);
        let length = if is_large { LARGE_PAGE } else { PAGE };
        let is_entry = entry.0 & PvalidateEntry::MUST_BE_ZERO == 0 && entry.page_size() < 2;
        require(is_entry && page % length == 0, PARAMETER)?;
        self.require_free(memory, page, length)?;
        require(!overlap(page, length, list, 1), ADDRESS)?;
        if entry.validate() {
            let (status, unchanged) = memory.pvalidate(page, is_large, true)?;
            done(status)?;
            require(!unchanged || entry.ignore_cf(), NO_CHANGE)?;
            if !unchanged {
                memory.clear(page, length); // what it held is not the guest's
            }
            return grant(memory, page, is_large);
        }
        let status = revoke(memory, page, is_large)?;
        if status != FAIL_INPUT {
            done(status)?; // else it is invalid already
        }
        let (status, unchanged) = memory.pvalidate(page, is_large, false)?;
        done(status)?;
        require(!unchanged || entry.ignore_cf(), NO_CHANGE)?;
        memory.flush(page, is_large);
        Ok(())
    }

    fn create_vcpu(
        &mut self, memory: &mut Memory, vm: &Vm, cpu: usize, (page, area): (u64, u64), apic_id: u32,
    ) -> Done {
        require(page % PAGE == 0 && area % PAGE == 0, PARAMETER)?;
        require(page != area && page % LARGE_PAGE != 0, ADDRESS)?;
        self.require_free(memory, page, PAGE)?;
        self.require_free(memory, area, PAGE)?;
        let target = vm.vcpus[..vm.cpus].iter().position(|other| other.apic_id == apic_id).ok_or(PARAMETER)?;
        require(memory.touch(area, HEAD)?, ADDRESS)?;
        require(self.entries.len() < MOST_REGISTERED, Refused(ResultCode::INVALID_REQUEST.0))?;
        if let Err(ends) = take_as_vmsa(memory, cpu, page) {
            memory.flush_all();
            return Err(ends);
        }
        self.entries.push(Registration { vmsa: page, area, cpu: target, is_guests: true, in_use: true });
        memory.places[target].home = Home { vmsa: Some(page), area: Some(area) };
        Ok(())
    }

    fn delete_vcpu(&mut self, memory: &mut Memory, page: u64) -> Done {
        let found = self.entries.iter().position(|entry| entry.vmsa == page && entry.in_use).ok_or(PARAMETER)?;
        require(memory.touch(page, PAGE)?, ADDRESS)?;
        let efer = memory.word(page + EFER);
        memory.put_word(page + EFER, efer & !EFER_SVME); // nothing enters it any more
        let status = revoke(memory, page, false)?;
        if status != 0 {
            memory.put_word(page + EFER, efer);
            return done(status);
        }
        grant(memory, page, false)?;
        memory.flush(page, false);
        let home = &mut memory.places[self.entries[found].cpu].home;
        if home.vmsa == Some(page) {
            *home = Home::default();
        }
        self.entries.remove(found);
        memory.lose_vmsa(page);
        Ok(())
    }
}

/// Take the page from the guest, look at what it holds, and make it a VMSA.
fn take_as_vmsa(memory: &mut Memory, cpu: usize, page: u64) -> Done {
    let before = memory.pages.entry(page);
    done(revoke(memory, page, false)?)?;
    memory.flush(page, false);
    let own = memory.places[cpu].mapped.vmsa.unwrap_or(0);
    let mut vmpl = [0];
    memory.load(page + VMPL, &mut vmpl);
    let is_startable = u64::from(vmpl[0]) == GUEST_VMPL
        && memory.word(page + EFER) & EFER_SVME != 0
        && memory.word(page + SEV_FEATURES) == memory.word(own + SEV_FEATURES);
    if !is_startable {
        done(memory.rmpadjust(page, false, 2, before.perms[2], false)?)?;
        done(memory.rmpadjust(page, false, 3, before.perms[3], false)?)?;
        return Err(PARAMETER);
    }
    done(revoke(memory, page, false)?)?;
    done(memory.rmpadjust(page, false, 2, 0, true)?)
}

/// QUERY_PROTOCOL: the highest and the lowest version, or 0. Every protocol has version 1 only.
fn versions(cpu: &Vcpu, query: SvsmProtocolQuery) -> u64 {
    let is_emulated = query.protocol() == ProtocolCode::APIC.0 && cpu.guest.alternate_injection;
    let is_there = query.protocol() <= ProtocolCode::VTPM.0 || is_emulated;
    match is_there && query.version() == 1 {
        true => SvsmVersionRange(0).with_lowest(1).with_highest(1).0,
        false => 0,
    }
}
