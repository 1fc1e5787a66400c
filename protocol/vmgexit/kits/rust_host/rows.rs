//! Lists of rows in commands: pieces of memory, and what CPUID gives.

use crate::kit::json::{Items, Json};
use crate::kit::reading::{Hex, Row, Rows, Wrong, OTHER_ARGUMENTS};

/// Pieces of memory: where each begins, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a>(Items<'a>);

impl<'a> Pieces<'a> {
    /// Pieces that end at `end` or below.
    pub fn of(value: Json<'a>, end: u128) -> Result<Self, Wrong> {
        let items = value.items().ok_or(OTHER_ARGUMENTS)?;
        let fits = |item| piece(item).is_some_and(|(at, hex)| u128::from(at) + hex.count() as u128 <= end);
        let mut all = items;
        all.all(fits).then_some(Pieces(items)).ok_or(OTHER_ARGUMENTS)
    }

    pub fn all(self) -> impl Iterator<Item = (u64, Hex<'a>)> {
        self.0.filter_map(piece)
    }

    /// How many pieces there are, and their bytes.
    pub fn size(self) -> (usize, usize) {
        self.all().fold((0, 0), |(count, bytes), (_, hex)| (count + 1, bytes + hex.count()))
    }
}

fn piece(value: Json) -> Option<(u64, Hex)> {
    let mut items = value.items()?;
    let at = items.next()?.number()?;
    let hex = Hex::of(items.next()?, 0, usize::MAX).ok()?;
    items.next().is_none().then_some((at, hex))
}

/// What CPUID gives for a leaf, and for a sub-leaf if that counts: EAX, EBX, ECX and EDX.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaf {
    pub leaf: u32,
    pub sub_leaf: Option<u32>,
    pub registers: [u32; 4],
}

/// A list of leaves.
pub type Leaves<'a> = Rows<'a, Leaf>;

impl Row for Leaf {
    fn of(value: Json) -> Result<Self, Wrong> {
        leaf(value).ok_or(OTHER_ARGUMENTS)
    }
}

fn leaf(value: Json) -> Option<Leaf> {
    let register = |value: Json| u32::try_from(value.number()?).ok();
    let mut items = value.items()?;
    let number = register(items.next()?)?;
    let sub_leaf = items.next()?;
    let mut read = Leaf { leaf: number, ..Leaf::default() };
    if !sub_leaf.is_null() {
        read.sub_leaf = Some(register(sub_leaf)?);
    }
    for held in &mut read.registers {
        *held = register(items.next()?)?;
    }
    items.next().is_none().then_some(read)
}
