//! The adapter of an SVSM with memory as a process.

use crate::kit::adapter::Svsm;
use crate::kit::memory::{Done, Memory, MOST_DONE};
use crate::kit::on_memory::{answer_line, OnMemory};
use crate::kit::pages::{Page, Pages, MOST_PAGES, PAGE, SLOTS};
use crate::kit::process::answer_lines;
use crate::kit::psp::{Prepared, Psp, MOST_PREPARED};
use std::io;

/// Say hello, and answer every line until standard input ends, or an SVSM that does not stay stops.
pub fn answer_on_memory<S: Svsm + OnMemory>(svsm: &mut S) -> io::Result<()> {
    let mut slots = vec![Page::default(); SLOTS];
    let mut contents = vec![[0; PAGE as usize]; MOST_PAGES]; // which takes no memory before it is written
    let mut done = vec![Done::default(); MOST_DONE];
    let mut prepared = vec![Prepared::Ok; MOST_PREPARED];
    let mut memory = Memory::new(Pages::new(&mut slots, &mut contents), &mut done, Psp::new(&mut prepared));
    answer_lines(svsm, |svsm, vm, line, answer| answer_line(svsm, &mut memory, vm, line, answer))
}
