//! The adapter of an SVSM with memory: its commands, and what they answer.

use crate::kit::adapter::{self, begin_vm, Registers, Stop, Svsm};
use crate::kit::commands as plain;
use crate::kit::guest::VINTR;
use crate::kit::host_pages::{Outcome, READ, WRITE};
use crate::kit::json::{Answer, Json};
use crate::kit::memory::{Home, Memory, Place, EFER, EFER_SVME, EXIT_CODE, R8, RAX, RCX, RDX, SEV_FEATURES, VMPL};
use crate::kit::memory_commands::{read_command, Command, Npf, PageRange, PageState, Range, Unvalidated};
use crate::kit::pages::{is_huge, LARGE_PAGE, LAST_ADDRESS, MOST_RANGES, PAGE, SVSM_FILL};
use crate::kit::reading::Rows;
use crate::kit::psp::MOST_PREPARED;
use crate::kit::sha2::sha256_start;
use crate::kit::switch::Switch;
use crate::kit::vm::{Guest, Vm, GUEST_VMPL, MOST_VCPUS};

pub const MOST_REGISTERED: usize = 1024;

/// A VMSA that the SVSM knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registration {
    pub vmsa: u64,
    pub area: u64,
    pub cpu: usize,
    /// A guest named it.
    pub is_guests: bool,
    pub in_use: bool,
}

/// The calls into an SVSM with memory.
pub trait OnMemory {
    /// It emulates APICs on such a machine too, by `enter`, `left` and `new_vmsa`. `left` is called whenever the
    /// guest left.
    fn has_apic(&self) -> bool {
        false
    }
    /// A fresh SVSM: vCPU 0 is at home in the first VMSA. Memory is as it is to be.
    fn init_on_memory(&mut self, memory: &mut Memory, vm: &mut Vm);
    /// Whether it has such a call; it may answer all of them itself, by codes where it does not.
    fn knows(&self, _protocol: u64, _request: u64) -> bool {
        true
    }
    /// The guest called, from the VMSA `memory.places[cpu].mapped`; the registers go back there.
    fn call_on_memory(
        &mut self, memory: &mut Memory, vm: &mut Vm, cpu: usize, registers: &mut Registers,
    ) -> Result<(), Stop>;
    /// The VMSAs that it knows, if it can tell, sorted by their addresses.
    fn registry(&mut self) -> Option<&[Registration]> {
        None
    }
}

/// Answer one line. False where the SVSM stopped before: that stop answers. An error is a stop.
pub fn answer_line<S: Svsm + OnMemory>(
    svsm: &mut S, memory: &mut Memory, vm: &mut Vm, line: &[u8], answer: &mut Answer,
) -> Result<bool, Stop> {
    if !is_on_memory(memory, line) {
        if let Ok(command @ plain::Command::Init { .. }) = plain::read_command(line) {
            memory.is_there &= !adapter::supports(svsm, vm, &command);
        }
        return adapter::answer_line(svsm, vm, line, answer);
    }
    if let (true, Ok(command)) = (memory.is_there && memory.has_apic, plain::read_command(line)) {
        let is_of_interrupts = !matches!(command, plain::Command::Init { .. } | plain::Command::Call { .. });
        if is_of_interrupts {
            return interrupts(svsm, memory, vm, &command, answer);
        }
    }
    let command = match read_command(line) {
        Ok(command) => command,
        Err(wrong) => {
            answer.text("unsupported", wrong);
            return Ok(true);
        }
    };
    if !is_possible(svsm, vm, &command) {
        answer.text("unsupported", command.name());
        return Ok(true);
    }
    memory.forget_done();
    let begins = matches!(command, Command::Init { .. });
    adapter::answer_by(vm, begins, answer, |vm, answer| carry_out(svsm, memory, vm, &command, answer))
}

/// A command about interrupts, on what VMSA and calling area hold, where there is a guest that could run.
fn interrupts<S: Svsm + OnMemory>(
    svsm: &mut S, memory: &mut Memory, vm: &mut Vm, command: &plain::Command, answer: &mut Answer,
) -> Result<bool, Stop> {
    use plain::Command as Of;
    if matches!(command, Of::SetVmsa { .. }) || !adapter::supports(svsm, vm, command) {
        answer.text("unsupported", command.name());
        return Ok(true);
    }
    let cpu = command.cpu() as usize;
    let is_guest = memory.has_guest(cpu);
    let needs_guest = matches!(
        command,
        Of::Enter { .. } | Of::GuestTake { .. } | Of::Guest { .. } | Of::GuestLazyEoi { .. } | Of::Intercept { .. }
    );
    adapter::answer_by(vm, false, answer, |vm, answer| {
        if needs_guest && !is_guest {
            answer.flag("ran", false);
            return Ok(());
        }
        if is_guest {
            memory.load_guest(cpu, &mut vm.vcpus[cpu]);
        }
        adapter::carry_out(svsm, vm, command, answer)?;
        if is_guest {
            memory.store_guest(cpu, &vm.vcpus[cpu]);
        }
        Ok(())
    })
}

/// Whether a line is for a machine with memory.
fn is_on_memory(memory: &Memory, line: &[u8]) -> bool {
    let Some(object) = Json::read(line) else { return memory.is_there };
    match object.member(b"op").and_then(Json::text) {
        Some(b"init") => object.member(b"memory").is_some(),
        _ => memory.is_there,
    }
}

fn is_whole(start: u64, length: u64, unit: u64) -> bool {
    length != 0 && start % unit == 0 && length % unit == 0 && start + length - 1 <= LAST_ADDRESS
}

fn is_layout(memory: Rows<Range>, svsm: Range, pages: Option<Rows<PageRange>>, caa: u64) -> bool {
    let overlaps = |one: Range, other: Range| {
        one.start < other.start + other.length && other.start < one.start + one.length
    };
    let is_range = |range: Range| is_whole(range.start, range.length, PAGE);
    let is_row = |row: PageRange| {
        is_whole(row.start, row.length, if is_huge(row.state) { LARGE_PAGE } else { PAGE })
    };
    memory.all().count() <= MOST_RANGES
        && memory.all().all(is_range)
        && memory.all().enumerate().all(|(at, one)| !memory.all().take(at).any(|other| overlaps(one, other)))
        && pages.map_or(true, |rows| rows.all().count() <= MOST_RANGES && rows.all().all(is_row))
        && is_range(svsm)
        && svsm.length >= 2 * PAGE
        && caa % PAGE == 0
}

fn is_possible<S: OnMemory>(svsm: &mut S, vm: &Vm, command: &Command) -> bool {
    match *command {
        Command::Init { cpus, reg_count, apic_ids, memory, svsm: range, pages, caa, .. } => {
            let can_emulate = reg_count.is_none() || svsm.has_apic();
            can_emulate && adapter::has_ids(cpus, apic_ids) && is_layout(memory, range, pages, caa)
        }
        Command::Call { cpu, protocol, request, .. } => cpu < vm.cpus as u64 && svsm.knows(protocol, request),
        Command::CallingArea { cpu } | Command::Run { cpu, .. } => cpu < vm.cpus as u64,
        Command::HostPage { to, spa, .. } => spa.is_some() == (to.name() == "remap"),
        Command::Read { gpa, len, .. } => gpa + len <= LAST_ADDRESS + 1,
        Command::Write { gpa, hex, .. } => gpa + hex.count() as u64 <= LAST_ADDRESS + 1,
        Command::Registry {} => svsm.registry().is_some(),
        Command::Psp { answers, .. } => answers.all().count() <= MOST_PREPARED,
        Command::Vmsa { .. } | Command::Page { .. } | Command::Adjust { .. } => true,
    }
}

fn carry_out<S: Svsm + OnMemory>(
    svsm: &mut S, memory: &mut Memory, vm: &mut Vm, command: &Command, answer: &mut Answer,
) -> Result<(), Stop> {
    match *command {
        Command::Init { cpus, reg_count, apic_ids, .. } => {
            begin_vm(vm, cpus as usize, apic_ids);
            vm.reg_count = reg_count.unwrap_or(0);
            begin_memory(memory, command);
            memory.psp.restart();
            svsm.init_on_memory(memory, vm);
            for cpu in 0..vm.cpus {
                vm.vcpus[cpu].guest.alternate_injection = memory.has_apic;
                Switch { svsm, memory, vm, cpu }.enter(None)?;
            }
            answer.flag("ok", true);
            answer.number("cpus", cpus);
            if let Some(reg_count) = reg_count {
                answer.number("reg_count", reg_count);
            }
        }
        Command::Call { cpu, protocol, request, rcx, rdx, r8, pending } => {
            let cpu = cpu as usize;
            let registers = Registers { rcx, rdx, r8, ..Registers::default() };
            let mut switch = Switch { svsm, memory, vm, cpu };
            let ran = switch.call(protocol << 32 | request, &registers, pending != Some(false))?;
            called(memory, cpu, ran, answer);
        }
        Command::CallingArea { cpu } => calling_area(memory, cpu as usize, answer),
        Command::Registry {} => registry(svsm.registry().unwrap_or(&[]), answer),
        Command::Run { cpu, on, .. } => {
            let can = !on || memory.has_guest(cpu as usize);
            if can {
                memory.places[cpu as usize].executes = on;
            }
            answer.flag("ok", can);
        }
        Command::HostPage { gpa, to, fill, spa } => {
            let fill = fill.map(|byte| byte as u8);
            outcome(memory.host_page(gpa, to, fill, spa.unwrap_or(0)), answer);
        }
        Command::Read { gpa, len, by } => {
            let told = memory.access(by, gpa, len, READ);
            outcome(told, answer);
            if told.is_ok() {
                let mut bytes = [0; PAGE as usize];
                let read = &mut bytes[..len as usize];
                memory.load(gpa, read);
                answer.hex("hex", read);
            }
        }
        Command::Write { gpa, hex, by } => {
            let told = memory.access(by, gpa, hex.count() as u64, WRITE);
            if told.is_ok() {
                for (at, byte) in hex.bytes().enumerate() {
                    memory.store(gpa + at as u64, &[byte]);
                }
            }
            outcome(told, answer);
        }
        Command::Vmsa { gpa, by, vmpl, rax, rcx, rdx, r8, efer, sev_features, exit_code } => {
            let page = gpa & PAGE.wrapping_neg();
            let told = memory.access(Some(by), page, PAGE, WRITE);
            if told.is_ok() {
                let words = [
                    (RAX, rax), (RCX, rcx), (RDX, rdx), (R8, r8), (EFER, efer), (SEV_FEATURES, sev_features),
                    (EXIT_CODE, exit_code),
                ];
                let slot = memory.pages.behind(page);
                memory.pages.fill(slot, 0);
                memory.store(page + VMPL, &[vmpl as u8]);
                words.iter().for_each(|(at, word)| memory.put_word(page + at, word.unwrap_or(0)));
            }
            outcome(told, answer);
        }
        Command::Psp { answers, certs } => {
            memory.psp.prepare(answers.all(), certs);
            answer.flag("ok", true);
        }
        Command::Page { gpa } => page(memory, gpa, answer),
        Command::Adjust { gpa, vmpl, perms } => match memory.guest_rmpadjust(gpa, vmpl, perms as u8) {
            Ok(status) => answer.number("result", status.into()),
            Err(why) => outcome(Err(why), answer),
        },
    }
    Ok(())
}

fn begin_memory(memory: &mut Memory, command: &Command) {
    let Command::Init { memory: map, svsm, pages, caa, sev_features, npf, unvalidated, reg_count, .. } = *command else {
        return;
    };
    let Range { start, length } = svsm;
    let own = PageRange { start, length, state: PageState::Valid, fill: SVSM_FILL.into() };
    let boot = start + PAGE;
    memory.pages.begin(pages.iter().flat_map(|rows| rows.all()), own);
    memory.is_there = true;
    memory.has_apic = reg_count.is_some();
    memory.assigns = npf == Npf::Assign;
    memory.faults_on_unvalidated = unvalidated == Unvalidated::Vc;
    memory.places = [Place::default(); MOST_VCPUS];
    memory.places[0].home = Home { vmsa: Some(boot), area: Some(caa) };
    memory.map_count = 0;
    for range in map.all() {
        // Without the SVSM's range, of which a part before it and one behind it may be left.
        let (end, last) = (start + length, range.start + range.length);
        let before = (range.start, last.min(start));
        let behind = (range.start.max(end), last);
        let is_apart = last <= start || end <= range.start;
        for (first, last) in if is_apart { [(range.start, last), (0, 0)] } else { [before, behind] } {
            if first < last {
                memory.map[memory.map_count] = Range { start: first, length: last - first };
                memory.map_count += 1;
            }
        }
    }
    let slot = memory.pages.at(boot);
    memory.pages.page_mut(slot).rmp.vmsa = true;
    memory.pages.fill(slot, 0);
    memory.store(boot + VMPL, &[GUEST_VMPL as u8]);
    memory.put_word(boot + EFER, EFER_SVME);
    memory.put_word(boot + SEV_FEATURES, sev_features);
    if memory.has_apic {
        memory.put_word(boot + VINTR, Guest::fresh().vintr.0);
    }
}

// --- answers

fn outcome(told: Outcome, answer: &mut Answer) {
    answer.flag("ok", told.is_ok());
    if let Err(why) = told {
        answer.text("why", why);
    }
}

fn address(key: &str, address: Option<u64>, answer: &mut Answer) {
    answer.key(key);
    match address {
        Some(address) => answer.put_number(address),
        None => answer.put_null(),
    }
}

fn called(memory: &mut Memory, cpu: usize, ran: bool, answer: &mut Answer) {
    answer.flag("ran", ran);
    answer.key("did");
    answer.open(b'[');
    for done in memory.done() {
        answer.open(b'[');
        answer.put_text(done.name);
        for (at, value) in done.values[..done.count].iter().enumerate() {
            answer.put_number(*value);
            if let (0, Some(word)) = (at, done.word) {
                answer.put_text(word);
            }
        }
        answer.close(b']');
    }
    answer.close(b']');
    let place = memory.places[cpu];
    let (Some(vmsa), true) = (place.mapped.vmsa, place.in_guest) else {
        answer.flag("idle", true);
        return;
    };
    answer.number("vmsa", vmsa);
    address("caa", place.mapped.area, answer);
    if ran {
        for (key, at) in [("rax", RAX), ("rcx", RCX), ("rdx", RDX), ("r8", R8)] {
            answer.number(key, memory.word(vmsa + at));
        }
    }
}

fn calling_area(memory: &mut Memory, cpu: usize, answer: &mut Answer) {
    let place = memory.places[cpu];
    let mut head = [0; 8];
    address("vmsa", place.home.vmsa, answer);
    address("caa", place.home.area, answer);
    match place.home.area {
        Some(area) => {
            memory.load(area, &mut head);
            answer.hex("hex", &head);
        }
        None => answer.text("hex", ""),
    }
    answer.text("state", if place.in_guest { "guest" } else { "idle" });
}

fn registry(entries: &[Registration], answer: &mut Answer) {
    answer.key("entries");
    answer.open(b'[');
    for entry in entries {
        answer.open(b'[');
        answer.put_number(entry.vmsa);
        answer.put_number(entry.area);
        answer.put_number(entry.cpu as u64);
        answer.put_flag(entry.is_guests);
        answer.put_flag(entry.in_use);
        answer.close(b']');
    }
    answer.close(b']');
}

fn page(memory: &mut Memory, gpa: u64, answer: &mut Answer) {
    let slot = memory.pages.behind(gpa);
    let hash = sha256_start(memory.pages.content(slot));
    let held = memory.pages.page(slot);
    answer.number("spa", held.address);
    answer.flag("assigned", held.rmp.assigned);
    answer.number("gpa", held.rmp.gpa);
    answer.flag("validated", held.rmp.validated);
    answer.flag("huge", held.rmp.huge);
    answer.flag("vmsa", held.rmp.vmsa);
    answer.key("perms");
    answer.open(b'[');
    held.rmp.perms[1..].iter().for_each(|perms| answer.put_number((*perms).into()));
    answer.close(b']');
    answer.hex("hash", &hash);
}
