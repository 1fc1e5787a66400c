//! The adapter as a process: lines from standard input, answers to standard output.

use crate::kit::adapter::{answer_line, hello, Stop, Svsm};
use crate::kit::commands::Request;
use crate::kit::json::Answer;
use crate::kit::lines::{caught, Lines, LONGEST_LINE, TOO_LONG};
use crate::kit::reading::Interrupt;
use crate::kit::vm::{HostRequest, Vcpu, Vm, MOST_VCPUS};
use std::io;

const MOST_REQUESTS: usize = 1 << 13;

/// Say hello, and answer every line until standard input ends, or an SVSM that does not stay stops.
pub fn answer_commands<S: Svsm>(svsm: &mut S) -> io::Result<()> {
    answer_lines(svsm, answer_line)
}

/// The same, where `answer_one` answers a line.
pub fn answer_lines<S: Svsm>(
    svsm: &mut S,
    mut answer_one: impl FnMut(&mut S, &mut Vm, &[u8], &mut Answer) -> Result<bool, Stop>,
) -> io::Result<()> {
    let mut vcpus = vec![Vcpu::fresh(0, 0); MOST_VCPUS];
    let no_request = HostRequest { cpu: 0, request: Request::SpecificEoi, info1: 0 };
    let mut vm = Vm {
        vcpus: &mut vcpus,
        cpus: 0,
        reg_count: 0,
        requests: &mut vec![no_request; MOST_REQUESTS],
        request_count: 0,
        late: &mut vec![Interrupt::default(); LONGEST_LINE / 24],
        late_count: 0,
        cancelled: 0,
        has_stopped: false,
    };
    let mut buffer = vec![0; LONGEST_LINE + 2];
    let mut answer = Answer::new(&mut buffer);
    let mut lines = Lines::new();
    let (mut line, mut stop) = (Vec::new(), ("", String::new()));
    hello(svsm, &mut answer);
    lines.say(&mut answer)?;
    while lines.read(&mut line)? {
        answer.restart();
        let has_stopped = if line.len() > LONGEST_LINE {
            answer.text("unsupported", TOO_LONG);
            false
        } else {
            let outcome = caught(|| answer_one(svsm, &mut vm, &line, &mut answer));
            let runs = matches!(outcome, Ok(Ok(true)));
            match outcome {
                Ok(Ok(_)) => {}
                Ok(Err(Stop::Panic(text))) => stop = ("panic", text.to_string()),
                Ok(Err(Stop::Terminated(text))) => stop = ("terminated", text.to_string()),
                Err(text) => stop = ("panic", text),
            }
            !runs
        };
        if has_stopped {
            answer.restart();
            answer.text(stop.0, &stop.1);
        }
        lines.say(&mut answer)?;
        if has_stopped && !svsm.stays() {
            return Ok(());
        }
    }
    Ok(())
}
