//! The adapter of your GHCB host.
//!
//! Replace host.rs, events.rs and words.rs by your host, or by calls into it: `impl Host` says which of its
//! functions answer which commands. What your host does not have, it does not support; that never counts as
//! wrong.

mod events;
mod host;
mod kit;
mod words;

fn main() -> std::io::Result<()> {
    kit::process::answer_commands(&mut host::Small)
}
