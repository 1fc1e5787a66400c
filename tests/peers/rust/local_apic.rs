//! A local APIC of the SVSM: what is pending, in service, allowed and sent.

/// A set of vectors: vector 0 is bit 0 of the first word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set(pub [u32; 8]);

impl Set {
    pub fn has(&self, vector: u8) -> bool {
        self.0[usize::from(vector) / 32] >> (vector % 32) & 1 != 0
    }

    pub fn add(&mut self, vector: u8) {
        self.0[usize::from(vector) / 32] |= 1 << (vector % 32);
    }

    pub fn drop(&mut self, vector: u8) -> bool {
        let was_in = self.has(vector);
        self.0[usize::from(vector) / 32] &= !(1 << (vector % 32));
        was_in
    }

    pub fn top(&self) -> u8 {
        (0..=255).rev().find(|vector| self.has(*vector)).unwrap_or(0)
    }
}

/// A local APIC. In service: each vector, and whether it is level-triggered, the newest last.
#[derive(Clone, Debug, Default)]
pub struct LocalApic {
    pub icr: u64,
    pub tpr: u64,
    pub irr: Set,
    pub allowed: Set,
    pub tmr: Set,
    pub host_tmr: Set,
    pub in_service: Vec<(u8, bool)>,
    pub update_required: bool,
    pub interrupt_delivered: bool,
    pub interrupt_queued: bool,
    pub lazy_eoi_pending: bool,
    pub nmi_pending: bool,
    /// By other vCPUs.
    pub sent: Set,
    pub has_mail: bool,
    pub nmi_sent: bool,
}

impl LocalApic {
    pub fn newest(&self) -> u8 {
        self.in_service.last().map_or(0, |(vector, _)| *vector)
    }

    pub fn accept(&mut self, vector: u8, level: bool) {
        self.irr.add(vector);
        if level {
            self.tmr.add(vector);
            self.host_tmr.add(vector);
        }
        self.update_required = true;
    }

    pub fn take_edge(&mut self, vector: u8) {
        if vector != 0 && self.allowed.has(vector) {
            self.accept(vector, false);
        }
    }

    /// What was presented, and the guest has not taken, is pending again.
    pub fn take_back(&mut self, vector: u8) -> bool {
        if self.in_service.is_empty() || self.newest() != vector {
            return false;
        }
        let level = self.in_service.pop().map_or(false, |(_, level)| level);
        self.accept(vector, level);
        self.lazy_eoi_pending = false;
        true
    }

    pub fn take_mail(&mut self) {
        if std::mem::take(&mut self.has_mail) {
            self.irr.0.iter_mut().zip(self.sent.0).for_each(|(word, sent)| *word |= sent);
            self.sent = Set::default();
            self.nmi_pending |= std::mem::take(&mut self.nmi_sent);
            self.update_required = true;
        }
    }
}
