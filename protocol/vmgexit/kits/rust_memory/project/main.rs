//! The adapter of your SVSM.
//!
//! Replace svsm.rs by your SVSM, or by calls into it: `impl OnMemory` there says which of its functions answer
//! which commands on memory, and `impl Svsm` those without. What your SVSM does not have, it does not support;
//! that never counts as wrong.

mod attestation;
mod kit;
mod svsm;

fn main() -> std::io::Result<()> {
    kit::memory_process::answer_on_memory(&mut svsm::Small::default())
}
