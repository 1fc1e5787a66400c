//! Rows in commands: ranges of memory, and what pages are at first.

use crate::kit::json::{Items, Json};
use crate::kit::reading::{number, Wrong, OTHER_ARGUMENTS};
use core::marker::PhantomData;

/// A list with a value for each of its fields.
pub trait Row: Sized {
    fn of(value: Json) -> Result<Self, Wrong>;
}

/// A list of rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, R>(Items<'a>, PhantomData<R>);

impl<'a, R: Row> Rows<'a, R> {
    pub fn of(value: Json<'a>) -> Result<Self, Wrong> {
        let items = value.items().ok_or(OTHER_ARGUMENTS)?;
        for item in items {
            R::of(item)?;
        }
        Ok(Rows(items, PhantomData))
    }

    pub fn all(self) -> impl Iterator<Item = R> + 'a
    where
        R: 'a,
    {
        self.0.filter_map(|item| R::of(item).ok())
    }
}

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
