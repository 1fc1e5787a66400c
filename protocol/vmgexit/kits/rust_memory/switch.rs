//! From the guest to the SVSM and back, where the state of a guest is a page: its VMSA.

use crate::kit::adapter::{take_up, Registers, Stop, Svsm};
use crate::kit::host_pages::WRITE;
use crate::kit::layouts::EventInj;
use crate::kit::memory::{Home, Memory, EFER, EFER_SVME, EXIT_CODE, R8, RAX, RCX, RDX};
use crate::kit::on_memory::OnMemory;
use crate::kit::vm::{Vm, GUEST_VMPL};
use crate::kit::whom::Whom;

const VMGEXIT: u64 = 0x403;

/// The calls into an SVSM with memory, and the VM that it is in.
pub struct Switch<'s, 'm, 'a, 'v, S> {
    pub svsm: &'s mut S,
    pub memory: &'m mut Memory<'a>,
    pub vm: &'m mut Vm<'v>,
    pub cpu: usize,
}

impl<S: Svsm + OnMemory> Switch<'_, '_, '_, '_, S> {
    /// The guest calls: whether it ran. Without `pending` it does not set call_pending.
    pub fn call(&mut self, rax: u64, registers: &Registers, pending: bool) -> Result<bool, Stop> {
        let place = self.memory.places[self.cpu];
        if !place.in_guest || place.has_lost_vmsa {
            self.enter(None)?;
        }
        let place = self.memory.places[self.cpu];
        let (Some(vmsa), true) = (place.mapped.vmsa, place.in_guest) else { return Ok(false) };
        let ran = self.memory.can_run(vmsa);
        if ran {
            self.put(vmsa, rax, registers);
            self.memory.put_word(vmsa + EXIT_CODE, VMGEXIT);
            if let (true, Some(area)) = (pending, place.mapped.area) {
                if self.memory.access(Some(Whom::Vmpl(GUEST_VMPL)), area, 1, WRITE).is_ok() {
                    self.memory.store(area, &[1]);
                }
            }
        }
        self.leave(vmsa)?;
        Ok(ran)
    }

    /// The SVSM enters the guest where the vCPU is at home, with the answer to a call if there is one.
    pub fn enter(&mut self, answer: Option<&Registers>) -> Result<(), Stop> {
        let place = &mut self.memory.places[self.cpu];
        let left = if place.has_lost_vmsa { Home::default() } else { place.mapped };
        place.mapped = place.home;
        place.in_guest = place.home.vmsa.is_some();
        place.has_lost_vmsa = false;
        let Home { vmsa: Some(vmsa), area } = place.home else { return Ok(()) };
        self.own(vmsa)?;
        if self.memory.has_apic {
            if left.vmsa != Some(vmsa) {
                self.take_up(vmsa)?;
            } else if left.area != area {
                self.memory.load_calling_area(self.cpu, &mut self.vm.vcpus[self.cpu]);
            }
            self.memory.store_guest(self.cpu, &self.vm.vcpus[self.cpu]);
        }
        if let Some(registers) = answer {
            self.put(vmsa, registers.rax.into(), registers);
        }
        let efer = self.memory.word(vmsa + EFER);
        self.memory.put_word(vmsa + EFER, efer | EFER_SVME);
        self.memory.flush_all();
        self.memory.note("enter", [vmsa]);
        Ok(())
    }

    /// The vCPU has another VMSA than before.
    fn take_up(&mut self, vmsa: u64) -> Result<(), Stop> {
        let guest = self.memory.guest_in(vmsa);
        self.vm.vcpus[self.cpu].new_guest = Some(guest);
        take_up(self.svsm, self.vm, self.cpu)?;
        let vcpu = &mut self.vm.vcpus[self.cpu];
        // One that was handed over to the host stays so, whatever its next VMSA says.
        vcpu.guest.alternate_injection &= guest.alternate_injection;
        self.memory.load_calling_area(self.cpu, vcpu);
        Ok(())
    }

    /// The guest left: the SVSM serves what it called, and enters it again.
    fn leave(&mut self, vmsa: u64) -> Result<(), Stop> {
        self.memory.places[self.cpu].executes = false;
        if self.memory.places[self.cpu].has_lost_vmsa {
            return self.enter(None);
        }
        self.own(vmsa)?;
        let efer = self.memory.word(vmsa + EFER);
        self.memory.put_word(vmsa + EFER, efer & !EFER_SVME);
        if self.memory.has_apic {
            let vcpu = &mut self.vm.vcpus[self.cpu];
            self.memory.load_guest(self.cpu, vcpu);
            vcpu.guest.exit_int_info = EventInj(0);
            vcpu.guest.vintr = vcpu.guest.vintr.with_busy(false);
            self.svsm.left(self.vm, self.cpu)?;
        }
        if !self.takes_call(vmsa)? {
            return self.enter(None);
        }
        let [rax, rcx, rdx, r8] = [RAX, RCX, RDX, R8].map(|at| self.memory.word(vmsa + at));
        let (protocol, request) = ((rax >> 32) as u32, rax as u32);
        let mut registers = Registers { protocol, request, rcx, rdx, r8, rax: 0 };
        self.memory.note("request", [protocol.into(), request.into()]);
        self.svsm.call_on_memory(self.memory, self.vm, self.cpu, &mut registers)?;
        let place = self.memory.places[self.cpu];
        if self.memory.has_apic && !place.has_lost_vmsa {
            self.memory.store_guest(self.cpu, &self.vm.vcpus[self.cpu]);
        }
        if place.home.vmsa == Some(vmsa) {
            return self.enter(Some(&registers));
        }
        if !place.has_lost_vmsa {
            // It is at home elsewhere now: the answer goes where the call came from.
            self.own(vmsa)?;
            self.put(vmsa, registers.rax.into(), &registers);
        }
        self.enter(None)
    }

    /// Whether the guest left for a call that waits; it waits no longer.
    fn takes_call(&mut self, vmsa: u64) -> Result<bool, Stop> {
        let area = self.memory.places[self.cpu].mapped.area;
        let (VMGEXIT, Some(area)) = (self.memory.word(vmsa + EXIT_CODE), area) else { return Ok(false) };
        let mut pending = [0];
        self.own(area)?;
        self.memory.load(area, &mut pending);
        self.memory.store(area, &[0]);
        Ok(pending != [0])
    }

    /// A VMSA, or a calling area: only the host, or the SVSM itself, can have taken it.
    fn own(&mut self, gpa: u64) -> Result<(), Stop> {
        match self.memory.touch(gpa, 1)? {
            true => Ok(()),
            false => Err(Stop::Terminated("a VMSA or a calling area was taken")),
        }
    }

    fn put(&mut self, vmsa: u64, rax: u64, from: &Registers) {
        for (at, word) in [(RAX, rax), (RCX, from.rcx), (RDX, from.rdx), (R8, from.r8)] {
            self.memory.put_word(vmsa + at, word);
        }
    }
}
