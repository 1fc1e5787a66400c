//! The adapter of your SVSM.
//!
//! Replace svsm.rs, calls.rs and attestation.rs by your SVSM, or by calls into it: `impl OnMemory` in calls.rs
//! says which of its functions answer which commands on memory, and `impl Svsm` the others. What your SVSM does
//! not have, it does not support; that never counts as wrong.

mod attestation;
mod calls;
mod kit;
mod svsm;

fn main() -> std::io::Result<()> {
    kit::memory_process::answer_on_memory(&mut calls::Whole::default())
}
