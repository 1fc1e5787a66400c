//! The adapter of a GHCB host: it carries commands out, keeps guest memory, and writes answers.
//!
//! It uses `core` alone. `process` reads standard input and writes standard output.

use crate::kit::commands::{read_command, Command, Setup, FIELDS, LEAVES, RETURNED};
use crate::kit::events::Events;
use crate::kit::hello::begin_hello;
use crate::kit::json::Answer;
use crate::kit::layouts::Ghcb;
use crate::kit::reading::{Hex, Wrong};
use crate::kit::rows::{Leaf, Pieces};
use crate::kit::state::number_as_key;
use crate::kit::vcpus::{Vcpu, INTERRUPT, MACHINE_CHECK, NMI};
use crate::kit::vm::{is_valid, Run, Vm, MOST_LEAVES, PAGE, TAKEN_OVER};

const NEAR: usize = 7; // changed bytes that lie no further apart are told as one run

/// The calls into a host. `cpu` is below `vm.setup.vcpus`.
pub trait Host {
    /// For the hello.
    fn name(&self) -> &'static str;
    fn profile(&self) -> &'static str;
    /// The process goes on after a panic: `init` leaves nothing of what was before.
    fn stays(&self) -> bool {
        false
    }
    /// It writes what it keeps to `vm.vcpus` and `vm.jump_table`: `state` tells these too.
    fn tells(&self) -> bool {
        false
    }
    /// A fresh VM.
    fn init(&mut self, _vm: &mut Vm) {}
    /// Whether it carries out an exit with `vm.page`; what it does not have is not supported.
    fn knows(&self, vm: &Vm) -> bool;
    /// The guest exits with `vm.page` at `gpa`. The host changes the page, and asks by `vm`.
    fn vmgexit(&mut self, vm: &mut Vm, cpu: usize, gpa: u64) -> Run;
    /// Whether it answers such a word in the GHCB MSR.
    fn knows_word(&self, vm: &Vm, word: u64) -> bool;
    fn msr(&mut self, vm: &mut Vm, cpu: usize, word: &mut u64) -> Run;
    /// A start-up IPI for a vCPU that waits for one.
    fn sipi(&mut self, vm: &mut Vm, cpu: usize);
    /// Whether it carries out the events for VMPL 0 (`events`), by `enter` and `cancel`. Else they never wait.
    fn has_events(&self) -> bool {
        false
    }
    fn enter(&mut self, _vm: &mut Vm, _cpu: usize) {}
    fn cancel(&mut self, _vm: &mut Vm, _cpu: usize) -> Events {
        Events::default()
    }
}

/// Write the hello.
pub fn hello<H: Host>(host: &H, answer: &mut Answer) {
    begin_hello(host.name(), host.profile(), answer);
    answer.text("machine", "host");
    if host.stays() {
        answer.flag("stays", true);
    }
}

/// Answer one line into `vm.asked`. False where the host panicked before: that answers.
pub fn answer_line<H: Host>(host: &mut H, vm: &mut Vm, line: &[u8]) -> bool {
    let outcome = read_command(line).and_then(|command| {
        if vm.has_panicked && !matches!(command, Command::Init { .. }) {
            return Ok(false);
        }
        vm.has_panicked = true; // until it comes back
        let outcome = carry_out(host, vm, &command);
        vm.has_panicked = false;
        outcome.map(|()| true)
    });
    outcome.unwrap_or_else(|wrong| {
        vm.asked.0.restart();
        vm.asked.0.text("unsupported", wrong);
        true
    })
}

fn carry_out<H: Host>(host: &mut H, vm: &mut Vm, command: &Command) -> Result<(), Wrong> {
    if let Some(setup) = Setup::of(command) {
        return init(host, vm, command, setup);
    }
    if vm.setup.vcpus == 0 {
        return Err("a command before init");
    }
    if command.cpu() >= vm.setup.vcpus {
        return Err("a vCPU that does not exist");
    }
    let cpu = command.cpu() as usize;
    match *command {
        Command::Init { .. } => {} // done above
        Command::Vmgexit { page, gpa, meanwhile, .. } => {
            if gpa % PAGE as u64 != 0 {
                return Err("a page that is not aligned");
            }
            vm.change_meanwhile(meanwhile);
            vmgexit(host, vm, page, gpa, cpu)?;
        }
        Command::Msr { request, .. } => msr(host, vm, request, cpu)?,
        Command::Write { gpa, hex } => {
            if !Vm::has_room(vm.frame_count, 1, hex.count()) {
                return Err("write to so many pages of guest memory");
            }
            let is_there = vm.is_memory(gpa, hex.count());
            if is_there {
                write(vm, gpa, hex);
            }
            vm.asked.0.flag("ok", is_there);
        }
        Command::Read { gpa, size } => read(vm, gpa, size)?,
        Command::State { .. } => state(vm, host.tells()),
        Command::Sipi { .. } => {
            let was_held = core::mem::replace(&mut vm.vcpus[cpu].held, false);
            if was_held {
                host.sipi(vm, cpu);
            }
            vm.asked.0.flag("released", was_held);
        }
        _ if !host.has_events() => return Err("events for VMPL 0"),
        Command::Irq { vector, .. } => event(vm, cpu, INTERRUPT | vector),
        Command::Nmi { .. } => event(vm, cpu, NMI),
        Command::MachineCheck { .. } => event(vm, cpu, MACHINE_CHECK),
        Command::Enter { .. } => {
            if !Vm::has_room(vm.frame_count, 1, 0) {
                return Err("so many pages of guest memory");
            }
            host.enter(vm, cpu);
            vm.asked.0.number("vmpl", vm.vcpus[cpu].vmpl);
            vm.asked.0.number("event_inj", vm.vcpus[cpu].event_inj);
            put_doorbell(vm, cpu);
            put_waiting(vm, cpu);
        }
        Command::Cancel { .. } => {
            let events = host.cancel(vm, cpu);
            put_events(vm, cpu, events);
            put_waiting(vm, cpu);
        }
        Command::Take { tpr, .. } => {
            let events = vm.take(cpu, tpr);
            put_events(vm, cpu, events);
        }
    }
    Ok(())
}

/// An event for VMPL 0 waits.
fn event(vm: &mut Vm, cpu: usize, event: u64) {
    vm.vcpus[cpu].wait_for(event);
    put_waiting(vm, cpu);
}

fn put_waiting(vm: &mut Vm, cpu: usize) {
    vm.asked.0.key("waiting");
    vm.vcpus[cpu].put_waiting(&mut vm.asked.0);
}

fn put_events(vm: &mut Vm, cpu: usize, events: Events) {
    vm.asked.0.key("events");
    events.put(&mut vm.asked.0);
    put_doorbell(vm, cpu);
}

fn put_doorbell(vm: &mut Vm, cpu: usize) {
    let pending = vm.load_pending(cpu);
    vm.asked.0.key("doorbell");
    match pending {
        Some(pending) => vm.asked.0.put_number(u64::from(pending.flags.0) << 8 | u64::from(pending.vector)),
        None => vm.asked.0.put_null(),
    }
}

fn init<H: Host>(host: &mut H, vm: &mut Vm, command: &Command, setup: Setup) -> Result<(), Wrong> {
    let Command::Init { memory, cpuid, certificates, .. } = *command else { return Ok(()) };
    let (count, bytes) = memory.map_or((0, 0), Pieces::size);
    let leaf_count = cpuid.map_or(LEAVES.len(), |leaves| leaves.all().count());
    if leaf_count > MOST_LEAVES || !Vm::has_room(0, count, bytes) {
        return Err("a set-up with so much memory, or so many CPUID leaves");
    }
    vm.setup = setup;
    vm.frame_count = 0;
    vm.has_ended = false;
    vm.mappings = 0;
    vm.jump_table = setup.jump_table;
    (vm.states.count, vm.states.is_full) = (0, false);
    let fresh = fresh(vm);
    vm.vcpus[..setup.vcpus as usize].fill(fresh);
    vm.leaf_count = leaf_count;
    vm.leaves = [Leaf::default(); MOST_LEAVES];
    match cpuid {
        Some(leaves) => vm.leaves.iter_mut().zip(leaves.all()).for_each(|(held, leaf)| *held = leaf),
        None => vm.leaves[..leaf_count].copy_from_slice(&LEAVES),
    }
    for (gpa, hex) in memory.into_iter().flat_map(Pieces::all) {
        write(vm, gpa, hex);
    }
    vm.certificates_size = certificates.map_or(0, Hex::count);
    for (held, byte) in vm.certificates.iter_mut().zip(certificates.into_iter().flat_map(Hex::bytes)) {
        *held = byte;
    }
    host.init(vm);
    vm.asked.0.flag("ok", true);
    Ok(())
}

/// A vCPU as it is set up.
fn fresh(vm: &Vm) -> Vcpu {
    Vcpu { registered: vm.setup.registered, ..Vcpu::default() }
}

/// Write bytes as far as guest memory goes.
fn write(vm: &mut Vm, mut gpa: u64, hex: Hex) {
    let mut bytes = hex.bytes();
    let mut piece = [0; 64];
    loop {
        let size = piece.iter_mut().zip(&mut bytes).map(|(held, byte)| *held = byte).count();
        if size == 0 {
            return;
        }
        let there = vm.setup.memory_top.saturating_sub(gpa).min(size as u64) as usize;
        vm.store(gpa, &piece[..there]);
        gpa = gpa.saturating_add(size as u64);
    }
}

fn read(vm: &mut Vm, gpa: u64, size: u64) -> Result<(), Wrong> {
    let mut bytes = [0; 1 << 16];
    let into = bytes.get_mut(..size as usize).ok_or("read of so many bytes")?;
    vm.asked.0.key("hex");
    if vm.load(gpa, into) {
        vm.asked.0.put_hex(into);
    } else {
        vm.asked.0.put_null();
    }
    Ok(())
}

fn state(vm: &mut Vm, tells: bool) {
    let fresh = fresh(vm);
    let answer = &mut vm.asked.0;
    if !tells || vm.states.is_full {
        answer.text("unsupported", "what the host keeps, or so many runs of pages");
    }
    answer.flag("ended", vm.has_ended);
    answer.number("mappings", vm.mappings);
    if !vm.states.is_full {
        answer.key("pages");
        vm.states.put(answer);
    }
    if !tells {
        return;
    }
    answer.number("jump_table", vm.jump_table);
    answer.key("vcpus");
    answer.open(b'{');
    for (cpu, vcpu) in vm.vcpus[..vm.setup.vcpus as usize].iter().enumerate() {
        if *vcpu != fresh {
            number_as_key(cpu, answer);
            answer.open(b'{');
            vcpu.tell(&fresh, answer);
            answer.close(b'}');
        }
    }
    answer.close(b'}');
}

/// How a vCPU stands that does not run.
fn stands(vm: &Vm, cpu: usize) -> Option<&'static str> {
    vm.has_ended.then_some("ended").or(vm.vcpus[cpu].held.then_some("held"))
}

fn vmgexit<H: Host>(host: &mut H, vm: &mut Vm, page: Option<Pieces>, gpa: u64, cpu: usize) -> Result<(), Wrong> {
    let mut bytes = [0; PAGE];
    match page {
        Some(pieces) => {
            for (at, hex) in pieces.all() {
                bytes[at as usize..].iter_mut().zip(hex.bytes()).for_each(|(held, byte)| *held = byte);
            }
        }
        None => {
            vm.load(gpa, &mut bytes);
        }
    }
    vm.page = Ghcb::from_bytes(bytes);
    if !host.knows(vm) {
        return Err("an exit that the host does not have");
    }
    if !Vm::has_room(vm.frame_count, 1, PAGE) {
        return Err("so many pages of guest memory");
    }
    let stands = stands(vm, cpu);
    let before = vm.page;
    vm.asked.0.key("asked");
    vm.asked.0.open(b'[');
    let mut run = Run::Untouched;
    if stands.is_none() {
        vm.cpu = cpu;
        vm.page_at = vm.is_memory(gpa, PAGE).then_some(gpa);
        take_over(vm);
        run = host.vmgexit(vm, cpu, gpa);
        vm.go_on_meanwhile();
        vm.page_at = None;
    }
    vm.asked.0.close(b']');
    go_on(vm, run, stands);
    if run == Run::Untouched {
        vm.asked.0.text("page", "untouched");
    } else {
        let after = vm.page;
        vm.store(gpa, &after.into_bytes());
        put_page(&before, &after, &mut vm.asked.0);
    }
    Ok(())
}

/// The host has the first bytes of the page before another vCPU writes to it.
fn take_over(vm: &mut Vm) {
    let before = vm.page.into_bytes();
    vm.go_on_meanwhile();
    let mut bytes = vm.page.into_bytes();
    bytes[..TAKEN_OVER].copy_from_slice(&before[..TAKEN_OVER]);
    vm.page = Ghcb::from_bytes(bytes);
}

fn msr<H: Host>(host: &mut H, vm: &mut Vm, mut word: u64, cpu: usize) -> Result<(), Wrong> {
    if !host.knows_word(vm, word) {
        return Err("a word that the host does not have");
    }
    let stands = stands(vm, cpu);
    vm.asked.0.key("asked");
    vm.asked.0.open(b'[');
    vm.cpu = cpu;
    let run = if stands.is_none() { host.msr(vm, cpu, &mut word) } else { Run::Guest };
    vm.asked.0.close(b']');
    go_on(vm, run, stands);
    vm.asked.0.number("word", word);
    Ok(())
}

/// Tell how the guest goes on; `stands` says it of a vCPU that does not run.
fn go_on(vm: &mut Vm, run: Run, stands: Option<&str>) {
    let answer = &mut vm.asked.0;
    answer.key("run");
    let (why, number) = match run {
        Run::Guest | Run::Untouched => return answer.put_text(stands.unwrap_or("guest")),
        Run::Error(number) => ("error", number),
        Run::Terminate(word) => ("terminate", word),
        Run::Internal(code) => ("internal-error", code),
    };
    vm.has_ended = true;
    answer.open(b'[');
    answer.put_text(why);
    answer.put_number(number);
    answer.close(b']');
}

fn put_page(before: &Ghcb, after: &Ghcb, answer: &mut Answer) {
    answer.number("status", after.sw_exit_info_1);
    answer.number("detail", after.sw_exit_info_2);
    answer.key("valid");
    answer.open(b'[');
    for (name, at) in FIELDS {
        if is_valid(after, at) {
            answer.put_text(name);
        }
    }
    answer.close(b']');
    answer.key("registers");
    answer.open(b'{');
    let bytes = after.into_bytes();
    for (name, at) in RETURNED {
        if is_valid(after, at) {
            let mut value = [0; 8];
            value.copy_from_slice(&bytes[at..at + 8]);
            answer.number(name, u64::from_le_bytes(value));
        }
    }
    answer.close(b'}');
    put_buffer(&before.shared_buffer, &after.shared_buffer, answer);
}

/// What changed in the shared buffer.
fn put_buffer(before: &[u8], after: &[u8], answer: &mut Answer) {
    let base = core::mem::offset_of!(Ghcb, shared_buffer);
    let changed = |at: &usize| before[*at] != after[*at];
    answer.key("buffer");
    answer.open(b'[');
    let mut places = (0..after.len()).filter(changed).peekable();
    while let Some(first) = places.next() {
        let mut last = first;
        while let Some(next) = places.next_if(|next| next - last <= NEAR) {
            last = next;
        }
        answer.open(b'[');
        answer.put_number((base + first) as u64);
        answer.put_hex(&after[first..=last]);
        answer.close(b']');
    }
    answer.close(b']');
}
