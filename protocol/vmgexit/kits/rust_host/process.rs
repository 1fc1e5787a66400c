//! The adapter as a process: lines from standard input, answers to standard output.

use crate::kit::adapter::{answer_line, hello, Host};
use crate::kit::asked::Asked;
use crate::kit::commands::Setup;
use crate::kit::json::Answer;
use crate::kit::layouts::Ghcb;
use crate::kit::lines::{caught, Lines, LONGEST_LINE, TOO_LONG};
use crate::kit::rows::Leaf;
use crate::kit::state::{Frames, PageStates};
use crate::kit::vcpus::Vcpu;
use crate::kit::vm::{Frame, Vm, MOST_LEAVES, MOST_PAGES, MOST_RUNS, MOST_VCPUS, PAGE};
use std::io;

/// Say hello, and answer every line until standard input ends, or a host that does not stay panics.
pub fn answer_commands<H: Host>(host: &mut H) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST_LINE + 2];
    let mut vm = Vm {
        setup: Setup::default(),
        leaves: [Leaf::default(); MOST_LEAVES],
        leaf_count: 0,
        certificates: &mut vec![0; LONGEST_LINE / 2],
        certificates_size: 0,
        asked: Asked(Answer::new(&mut buffer)),
        page: Ghcb::from_bytes([0; PAGE]),
        page_at: None,
        cpu: 0,
        meanwhile: &mut vec![None; PAGE],
        changes_meanwhile: false,
        vcpus: &mut vec![Vcpu::default(); MOST_VCPUS],
        has_ended: false,
        has_panicked: false,
        mappings: 0,
        jump_table: 0,
        states: PageStates {
            runs: &mut vec![Frames::default(); MOST_RUNS],
            count: 0,
            before: &mut vec![Frames::default(); MOST_RUNS],
            is_full: false,
        },
        frames: &mut vec![Frame { gpa: 0, data: [0; PAGE] }; MOST_PAGES],
        frame_count: 0,
    };
    let mut lines = Lines::new();
    let (mut line, mut stop) = (Vec::new(), String::new());
    hello(host, &mut vm.asked.0);
    lines.say(&mut vm.asked.0)?;
    while lines.read(&mut line)? {
        vm.asked.0.restart();
        let mut runs = true;
        if line.len() > LONGEST_LINE {
            vm.asked.0.text("unsupported", TOO_LONG);
        } else {
            runs = caught(|| answer_line(host, &mut vm, &line)).unwrap_or_else(|text| {
                stop = text;
                false
            });
        }
        if !runs {
            vm.asked.0.restart();
            vm.asked.0.text("panic", &stop);
        }
        lines.say(&mut vm.asked.0)?;
        if !runs && !host.stays() {
            return Ok(());
        }
    }
    Ok(())
}
