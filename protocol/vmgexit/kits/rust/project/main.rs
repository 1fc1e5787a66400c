//! The adapter of your SVSM.
//!
//! Replace svsm.rs by your SVSM, or by calls into it: `impl Svsm` there says which of its functions answer
//! which commands. What your SVSM does not have, it does not support; that never counts as wrong.

mod kit;
mod svsm;

fn main() -> std::io::Result<()> {
    kit::process::answer_commands(&mut svsm::Small::default())
}
