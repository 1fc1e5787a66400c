//! Lines of standard input, answers on standard output, and what a Rust panic says.

use crate::kit::json::Answer;
use std::io::{self, BufRead, BufReader, BufWriter, Read, StdinLock, StdoutLock, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};

pub const LONGEST_LINE: usize = 1 << 20;

/// What a longer line is answered by.
pub const TOO_LONG: &str = "a line of more than 1 MiB";

/// What `run` gives, or what a Rust panic in it said.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|thrown| {
        let text = thrown.downcast_ref::<&str>().map(|text| text.to_string());
        text.or_else(|| thrown.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}

/// The adapter's two pipes. Answers are sent before there is a wait for more commands.
pub struct Lines {
    input: BufReader<StdinLock<'static>>,
    output: BufWriter<StdoutLock<'static>>,
}

impl Lines {
    pub fn new() -> Self {
        Lines { input: BufReader::new(io::stdin().lock()), output: BufWriter::new(io::stdout().lock()) }
    }

    pub fn say(&mut self, answer: &mut Answer) -> io::Result<()> {
        self.output.write_all(answer.finished())?;
        if answer.is_full {
            self.output.flush()?;
            return Err(io::Error::new(io::ErrorKind::Other, "an answer of more than 1 MiB"));
        }
        Ok(())
    }

    /// Read a line without its end, of which no more is kept than shows that it is too long. False at the end.
    pub fn read(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        if !self.input.buffer().contains(&b'\n') {
            self.output.flush()?;
        }
        read_line(&mut self.input, line)
    }
}

fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(true);
    }
    if line.len() <= LONGEST_LINE {
        return Ok(false); // the input has ended
    }
    loop {
        let held = input.fill_buf()?;
        let end = held.iter().position(|letter| *letter == b'\n');
        let used = end.map_or(held.len(), |at| at + 1);
        let is_over = used == 0;
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
        if is_over {
            return Ok(false);
        }
    }
}
