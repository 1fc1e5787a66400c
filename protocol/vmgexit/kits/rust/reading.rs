//! How a line becomes a command: each argument is held against its description.

use crate::kit::json::{Items, Json, Members};
use core::marker::PhantomData;

/// Why a line is no command that the kit knows.
pub type Wrong = &'static str;

/// A command of another shape than its description.
pub const OTHER_ARGUMENTS: Wrong = "a command with other arguments";

/// The arguments of a command, as they are taken one by one.
pub struct Arguments<'a> {
    object: Json<'a>,
    taken: usize,
}

impl<'a> Arguments<'a> {
    pub fn of(object: Json<'a>) -> Self {
        Arguments { object, taken: 1 } // `op`
    }

    /// An argument that may be left out.
    pub fn given(&mut self, name: &str) -> Option<Json<'a>> {
        let found = self.object.member(name.as_bytes());
        self.taken += usize::from(found.is_some());
        found
    }

    pub fn take(&mut self, name: &str) -> Result<Json<'a>, Wrong> {
        self.given(name).ok_or(OTHER_ARGUMENTS)
    }

    /// Whether there are no others. An argument that is there twice is one too many.
    pub fn all_taken(&self) -> bool {
        self.object.members().map(Members::count) == Some(self.taken)
    }
}

pub fn number(value: Json, least: u64, most: u64) -> Result<u64, Wrong> {
    value.number().filter(|number| (least..=most).contains(number)).ok_or(OTHER_ARGUMENTS)
}

pub fn flag(value: Json) -> Result<bool, Wrong> {
    value.flag().ok_or(OTHER_ARGUMENTS)
}

/// Bytes in hexadecimal.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(&'a [u8]);

impl<'a> Hex<'a> {
    pub fn of(value: Json<'a>, least: usize, most: usize) -> Result<Self, Wrong> {
        let digits = value.text().ok_or(OTHER_ARGUMENTS)?;
        let is_right = digits.len() % 2 == 0
            && (least..=most).contains(&(digits.len() / 2))
            && digits.iter().all(u8::is_ascii_hexdigit);
        is_right.then_some(Hex(digits)).ok_or(OTHER_ARGUMENTS)
    }

    /// How many bytes there are.
    pub fn count(self) -> usize {
        self.0.len() / 2
    }

    pub fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let digit = |letter: u8| match letter {
            b'0'..=b'9' => letter - b'0',
            _ => (letter | 0x20) - b'a' + 10,
        };
        self.0.chunks_exact(2).map(move |pair| digit(pair[0]) << 4 | digit(pair[1]))
    }
}

/// A list of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a>(Items<'a>);

impl<'a> Numbers<'a> {
    pub fn of(value: Json<'a>, least: u64, most: u64) -> Result<Self, Wrong> {
        let items = value.items().ok_or(OTHER_ARGUMENTS)?;
        for item in items {
            number(item, least, most)?;
        }
        Ok(Numbers(items))
    }

    pub fn all(self) -> impl Iterator<Item = u64> + 'a {
        self.0.filter_map(Json::number)
    }
}

/// What an element of a list says.
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

/// An interrupt that the host posts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interrupt {
    pub vector: u8,
    pub level: bool,
}

/// A list of interrupts.
pub type Posts<'a> = Rows<'a, Interrupt>;

impl Row for Interrupt {
    fn of(value: Json) -> Result<Self, Wrong> {
        interrupt(value).ok_or(OTHER_ARGUMENTS)
    }
}

fn interrupt(value: Json) -> Option<Interrupt> {
    let vector = u8::try_from(value.member(b"vector")?.number()?).ok()?;
    let level = value.member(b"level")?.flag()?;
    (value.members()?.count() == 2).then_some(Interrupt { vector, level })
}
