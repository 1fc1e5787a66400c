//! Lines of standard input, and what a Rust panic says.

use std::any::Any;
use std::io::{self, BufRead, Read};

pub const LONGEST_LINE: usize = 1 << 20;

/// What a Rust panic said.
pub fn text_of(thrown: &(dyn Any + Send)) -> String {
    let text = thrown.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| thrown.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Read a line without its end, of which no more is kept than shows that it is too long. False at the end.
pub fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
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
