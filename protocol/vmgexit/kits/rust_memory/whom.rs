//! Who acts on memory, as commands say it.

use crate::kit::json::Json;
use crate::kit::reading::{number, Wrong};

/// Who acts on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Host,
    Vmpl(u64),
}

impl Whom {
    pub fn of(value: Json, least: u64, most: u64) -> Result<Self, Wrong> {
        match value.text() {
            Some(b"host") => Ok(Whom::Host),
            _ => number(value, least, most).map(Whom::Vmpl),
        }
    }
}
