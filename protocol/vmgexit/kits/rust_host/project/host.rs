//! A small GHCB host, to be replaced by yours.
//!
//! It carries out some exits as the reference does; the others it does not have, which never counts as wrong.

use crate::events;
use crate::kit::adapter::Host;
use crate::kit::events::Events;
use crate::kit::layouts::{ExitCode, Ghcb, IoioInfo, MalformedInputCode, SegmentCode};
use crate::kit::vm::{done, exit_of, has_needs, is_valid, mark, refused, Run, Vm, PAGE};
use crate::words;
use core::mem::offset_of;

const FEATURES: u64 = 3; // SEV-SNP and AP creation
const MOST_MMIO: u64 = 8; // bytes

pub struct Small;

impl Host for Small {
    fn name(&self) -> &'static str {
        "a small host" // your host and its version
    }

    fn profile(&self) -> &'static str {
        "reference"
    }

    fn stays(&self) -> bool {
        true // after a panic: there is nothing that the kit does not make anew
    }

    fn tells(&self) -> bool {
        true
    }

    /// MMIO and messages it has for SNP guests of version 2 only, and of IOIO not the string forms.
    fn knows(&self, vm: &Vm) -> bool {
        match ExitCode(vm.page.sw_exit_code) {
            ExitCode::CPUID | ExitCode::INVD | ExitCode::WBINVD => true,
            ExitCode::AP_RESET_HOLD | ExitCode::HYPERVISOR_FEATURES => true,
            ExitCode::IOIO => !IoioInfo(vm.page.sw_exit_info_1).string(),
            ExitCode::MMIO_READ | ExitCode::MMIO_WRITE | ExitCode::SNP_GUEST_REQUEST | ExitCode::HV_DOORBELL_PAGE => {
                vm.setup.snp && vm.setup.ghcb_version == 2
            }
            _ => exit_of(&vm.page).is_none(), // what is no exit, it refuses
        }
    }

    fn vmgexit(&mut self, vm: &mut Vm, cpu: usize, gpa: u64) -> Run {
        if gpa == 0 || !vm.is_memory(gpa, PAGE) {
            return Run::Untouched;
        }
        match carry_out(vm, cpu, gpa) {
            Ok(run) => run,
            Err(why) => refused(&mut vm.page, why),
        }
    }

    fn knows_word(&self, vm: &Vm, word: u64) -> bool {
        words::knows(vm, word)
    }

    fn msr(&mut self, vm: &mut Vm, cpu: usize, word: &mut u64) -> Run {
        words::answer(vm, cpu, word)
    }

    /// The page by which the vCPU waits says 1 from here on.
    fn sipi(&mut self, vm: &mut Vm, cpu: usize) {
        let at = vm.vcpus[cpu].held_by + offset_of!(Ghcb, sw_exit_info_2) as u64;
        vm.store(at, &1u64.to_le_bytes());
    }

    fn has_events(&self) -> bool {
        true
    }

    fn enter(&mut self, vm: &mut Vm, cpu: usize) {
        events::enter(vm, cpu);
    }

    fn cancel(&mut self, vm: &mut Vm, cpu: usize) -> Events {
        events::cancel(vm, cpu)
    }
}

type Done = Result<Run, MalformedInputCode>;

fn carry_out(vm: &mut Vm, cpu: usize, gpa: u64) -> Done {
    if vm.setup.snp && vm.vcpus[cpu].registered != gpa {
        return Err(MalformedInputCode::NOT_REGISTERED);
    }
    if vm.page.ghcb_usage != 0 {
        return Err(MalformedInputCode::INVALID_USAGE);
    }
    if !has_needs(&vm.page, exit_of(&vm.page)) {
        return Err(MalformedInputCode::MISSING_INPUT);
    }
    let exit = exit_of(&vm.page).ok_or(MalformedInputCode::INVALID_EVENT)?;
    if vm.setup.ghcb_version < exit.since {
        return Err(MalformedInputCode::INVALID_INPUT);
    }
    let detail = match ExitCode(exit.code) {
        ExitCode::CPUID => return cpuid(vm),
        ExitCode::IOIO => return ioio(vm),
        ExitCode::MMIO_READ | ExitCode::MMIO_WRITE => return mmio(vm, gpa),
        ExitCode::SNP_GUEST_REQUEST => guest_request(vm)?,
        ExitCode::HV_DOORBELL_PAGE => events::doorbell(vm, cpu)?,
        ExitCode::AP_RESET_HOLD => vm.ask_hold().into(),
        ExitCode::HYPERVISOR_FEATURES => vm.setup.features.unwrap_or(FEATURES),
        _ => 0, // caches are the host's own
    };
    Ok(done(&mut vm.page, detail))
}

fn cpuid(vm: &mut Vm) -> Done {
    let (leaf, sub_leaf) = (vm.page.rax as u32, vm.page.rcx as u32);
    if leaf == 0xd {
        if !is_valid(&vm.page, offset_of!(Ghcb, xcr0)) {
            return Err(MalformedInputCode::MISSING_INPUT);
        }
        vm.asked.xcr0(vm.page.xcr0); // is in force from here on
    }
    let registers = vm.ask_cpuid(leaf, sub_leaf).map(u64::from);
    let page = &mut vm.page;
    let run = done(page, 0);
    [page.rax, page.rbx, page.rcx, page.rdx] = registers;
    mark(page, offset_of!(Ghcb, rax));
    mark(page, offset_of!(Ghcb, rbx));
    mark(page, offset_of!(Ghcb, rcx));
    mark(page, offset_of!(Ghcb, rdx));
    Ok(run)
}

/// SW_EXITINFO1 has port and size. A shorter IN leaves the rest of RAX as it was.
fn ioio(vm: &mut Vm) -> Done {
    let info = IoioInfo(vm.page.sw_exit_info_1);
    let has_rax = is_valid(&vm.page, offset_of!(Ghcb, rax));
    let size = match (info.size_8(), info.size_16(), info.size_32()) {
        (true, false, false) => 1,
        (false, true, false) => 2,
        (false, false, true) => 4,
        _ => 0,
    };
    let widths = [info.address_16(), info.address_32(), info.address_64()];
    if !info.is_in() && !has_rax {
        return Err(MalformedInputCode::MISSING_INPUT);
    }
    let is_strange = info.0 & IoioInfo::MUST_BE_ZERO != 0 || info.segment() > SegmentCode::GS.0;
    if is_strange || size == 0 || widths.into_iter().filter(|width| *width).count() > 1 {
        return Err(MalformedInputCode::INVALID_INPUT);
    }
    let mut rax = if has_rax { vm.page.rax } else { 0 }.to_le_bytes();
    if !info.is_in() {
        vm.asked.out(info.port(), size as u64, &rax[..size]);
        return Ok(done(&mut vm.page, 0));
    }
    if size == 4 {
        rax = [0; 8];
    }
    vm.ask_in(info.port() as u16, &mut rax[..size]);
    let run = done(&mut vm.page, 0);
    vm.page.rax = u64::from_le_bytes(rax);
    mark(&mut vm.page, offset_of!(Ghcb, rax));
    Ok(run)
}

/// SW_EXITINFO1 is an address, SW_EXITINFO2 a length; the bytes are in the shared buffer, where SW_SCRATCH says.
fn mmio(vm: &mut Vm, gpa: u64) -> Done {
    let (address, size) = (vm.page.sw_exit_info_1, vm.page.sw_exit_info_2);
    if size > MOST_MMIO {
        return Err(MalformedInputCode::INVALID_INPUT);
    }
    if size != 0 {
        let start = gpa + offset_of!(Ghcb, shared_buffer) as u64;
        let room = vm.page.shared_buffer.len() as u64 - size;
        let at = vm.page.sw_scratch.checked_sub(start).filter(|at| *at <= room);
        let at = at.ok_or(MalformedInputCode::INVALID_SCRATCH_AREA)? as usize;
        if ExitCode(vm.page.sw_exit_code) == ExitCode::MMIO_READ {
            vm.ask_mmio_read(address, at, size as usize);
        } else {
            vm.asked.mmio_write(address, &vm.page.shared_buffer[at..at + size as usize]);
        }
    }
    Ok(done(&mut vm.page, 0))
}

/// SW_EXITINFO1 and SW_EXITINFO2 are the pages of the request and of the response. The firmware's error.
fn guest_request(vm: &mut Vm) -> Result<u64, MalformedInputCode> {
    let (request, response) = (vm.page.sw_exit_info_1, vm.page.sw_exit_info_2);
    let is_page = |gpa: u64| gpa % PAGE as u64 == 0 && vm.is_memory(gpa, PAGE);
    if !is_page(request) || !is_page(response) || request == response {
        return Err(MalformedInputCode::INVALID_INPUT);
    }
    vm.read_memory(request, &mut [0; PAGE]);
    let error = vm.ask_firmware();
    if error == 0 {
        vm.write_memory(response, &[0; PAGE]);
    }
    Ok(error)
}
