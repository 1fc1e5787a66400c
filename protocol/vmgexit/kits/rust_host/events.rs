//! Events for VMPL 0: interrupts, NMIs and machine checks.
//!
//! They wait in a vCPU until the host enters it. It then tells them: by EVENTINJ, one at a time, or under
//! restricted injection by PendingEvent in the doorbell page of the vCPU, and #HV. The guest takes them.

use crate::kit::json::Answer;
use crate::kit::layouts::{DoorbellFlags, SevFeatures};
use crate::kit::vcpus::{Vcpu, HV, INTERRUPT, MACHINE_CHECK, NMI};
use crate::kit::vm::Vm;

/// Events, each as EVENTINJ holds it: no more than one of each kind can be pending.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events {
    all: [u64; 3],
    count: usize,
}

impl Events {
    /// What EVENTINJ holds: an event, or 0.
    pub fn of(event_inj: u64) -> Self {
        Events { all: [event_inj, 0, 0], count: usize::from(event_inj != 0) }
    }

    pub fn push(&mut self, event: u64) {
        self.all[self.count] = event;
        self.count += 1;
    }

    pub fn all(&self) -> &[u64] {
        &self.all[..self.count]
    }

    pub fn put(&self, answer: &mut Answer) {
        answer.open(b'[');
        self.all().iter().for_each(|event| answer.put_number(*event));
        answer.close(b']');
    }
}

impl Vcpu {
    /// Whether something waits for VMPL 0.
    pub fn has_event(&self) -> bool {
        self.waiting_machine_check || self.waiting_nmi || self.waiting_irqs.highest().is_some()
    }

    /// Let an event wait that was not delivered. One that is none of the host's is dropped.
    pub fn wait_for(&mut self, event: u64) {
        match event {
            NMI => self.waiting_nmi = true,
            MACHINE_CHECK => self.waiting_machine_check = true,
            HV => {}
            interrupt => self.waiting_irqs.add(interrupt as u8),
        }
    }

    /// What the host still has to tell VMPL 0.
    pub fn put_waiting(&self, answer: &mut Answer) {
        answer.open(b'[');
        if self.waiting_machine_check {
            answer.put_text("machine check");
        }
        if self.waiting_nmi {
            answer.put_text("NMI");
        }
        self.waiting_irqs.all().for_each(|vector| answer.put_number(vector.into()));
        answer.close(b']');
    }
}

/// PendingEvent: the first two bytes of the doorbell page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pending {
    /// 0: none.
    pub vector: u8,
    pub flags: DoorbellFlags,
}

impl Pending {
    pub fn events(self) -> Events {
        let mut events = Events::default();
        if self.vector != 0 {
            events.push(INTERRUPT | u64::from(self.vector));
        }
        if self.flags.nmi_pending() {
            events.push(NMI);
        }
        if self.flags.mc_pending() {
            events.push(MACHINE_CHECK);
        }
        events
    }
}

impl Vm<'_> {
    pub fn is_restricted(&self) -> bool {
        SevFeatures(self.setup.vmsa_features).restricted_injection()
    }

    /// None where the vCPU has no doorbell page in guest memory.
    pub fn load_pending(&self, cpu: usize) -> Option<Pending> {
        let mut bytes = [0; 2];
        let is_there = self.load(self.vcpus[cpu].doorbell?, &mut bytes);
        is_there.then_some(Pending { vector: bytes[0], flags: DoorbellFlags(bytes[1]) })
    }

    pub fn store_pending(&mut self, cpu: usize, pending: Pending) {
        if let Some(doorbell) = self.vcpus[cpu].doorbell {
            self.store(doorbell, &[pending.vector, pending.flags.0]);
        }
    }

    /// What VMPL 0 takes. Linux's #HV handler handles all of PendingEvent and clears it; with `tpr`, a class of
    /// task priority, COCONUT-SVSM's leaves a vector that is not above it, and a machine check, which is fatal.
    pub(crate) fn take(&mut self, cpu: usize, tpr: Option<u64>) -> Events {
        let held = core::mem::take(&mut self.vcpus[cpu].event_inj);
        if !self.is_restricted() {
            return Events::of(held);
        }
        let Some(mut pending) = self.load_pending(cpu) else { return Events::default() };
        let mut stays = Pending::default();
        if let Some(tpr) = tpr {
            stays.flags = stays.flags.with_mc_pending(pending.flags.mc_pending());
            if u64::from(pending.vector >> 4) <= tpr {
                stays.vector = core::mem::take(&mut pending.vector);
            }
        }
        self.store_pending(cpu, stays);
        pending.events()
    }
}
