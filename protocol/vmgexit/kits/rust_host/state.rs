//! What `state` tells beside numbers: which pages are private or shared, vectors, and the VMSAs of a vCPU.

use crate::kit::json::Answer;
use crate::kit::vm::PAGE;

/// A run of frames that the guest made private or shared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    pub first: u64,
    pub end: u64,
    pub is_private: bool,
}

/// All runs: in order, apart, and none beside its like.
pub struct PageStates<'a> {
    pub runs: &'a mut [Frames],
    pub count: usize,
    /// What there was before a change.
    pub before: &'a mut [Frames],
    /// There were too many: no more can be told.
    pub is_full: bool,
}

impl PageStates<'_> {
    /// Make so many frames private or shared.
    pub fn change(&mut self, first: u64, count: u64, is_private: bool) {
        let (runs, end) = (self.count, first + count);
        self.before[..runs].copy_from_slice(&self.runs[..runs]);
        self.count = 0;
        for at in 0..runs {
            let run = self.before[at];
            self.add(Frames { end: run.end.min(first), ..run });
        }
        self.add(Frames { first, end, is_private });
        for at in 0..runs {
            let run = self.before[at];
            self.add(Frames { first: run.first.max(end), ..run });
        }
    }

    fn add(&mut self, run: Frames) {
        if run.first >= run.end {
            return;
        }
        if let Some(last) = self.count.checked_sub(1).map(|at| &mut self.runs[at]) {
            if last.end == run.first && last.is_private == run.is_private {
                last.end = run.end;
                return;
            }
        }
        match self.runs.get_mut(self.count) {
            Some(room) => {
                *room = run;
                self.count += 1;
            }
            None => self.is_full = true,
        }
    }

    pub fn put(&self, answer: &mut Answer) {
        answer.open(b'[');
        for run in &self.runs[..self.count] {
            answer.open(b'[');
            answer.put_number(run.first * PAGE as u64);
            answer.put_number(run.end - run.first);
            answer.put_text(if run.is_private { "private" } else { "shared" });
            answer.close(b']');
        }
        answer.close(b']');
    }
}

/// A set of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors(pub [u64; 4]);

impl Vectors {
    /// Those that there are, in ascending order.
    pub fn all(self) -> impl DoubleEndedIterator<Item = u8> {
        (0..=255u8).filter(move |vector| self.has(*vector))
    }

    pub fn has(self, vector: u8) -> bool {
        self.0[usize::from(vector / 64)] >> (vector % 64) & 1 != 0
    }

    pub fn highest(self) -> Option<u8> {
        self.all().next_back()
    }

    pub fn add(&mut self, vector: u8) {
        self.0[usize::from(vector / 64)] |= 1 << (vector % 64);
    }

    pub fn remove(&mut self, vector: u8) {
        self.0[usize::from(vector / 64)] &= !(1 << (vector % 64));
    }

    pub fn put(self, answer: &mut Answer) {
        answer.open(b'[');
        self.all().for_each(|vector| answer.put_number(vector.into()));
        answer.close(b']');
    }
}

/// A VMSA that a guest gave for one VMPL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vmsa {
    pub gpa: u64,
    /// SEV_FEATURES, as RAX said.
    pub features: u64,
    /// At once; else at the next INIT.
    pub starts: bool,
}

pub type Vmsas = [Option<Vmsa>; 4];

pub fn put_vmsas(vmsas: &Vmsas, answer: &mut Answer) {
    answer.open(b'{');
    for (vmpl, vmsa) in vmsas.iter().enumerate() {
        let Some(vmsa) = vmsa else { continue };
        number_as_key(vmpl, answer);
        answer.open(b'{');
        answer.number("gpa", vmsa.gpa);
        answer.number("features", vmsa.features);
        answer.flag("starts", vmsa.starts);
        answer.close(b'}');
    }
    answer.close(b'}');
}

/// A number below 10,000 as the key of an object.
pub fn number_as_key(number: usize, answer: &mut Answer) {
    let digit = |of: usize| b'0' + (number / of % 10) as u8;
    let digits = [digit(1000), digit(100), digit(10), digit(1)];
    let zeros = digits[..3].iter().take_while(|one| **one == b'0').count();
    answer.key(core::str::from_utf8(&digits[zeros..]).unwrap_or_default());
}
