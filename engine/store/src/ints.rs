//! A set of integers in one byte string, as `abi::container::ints` lays down: the least bytes a set
//! can take.
#![forbid(unsafe_code)]

use abi::container::ints::HEAD_BYTES;

/// Integers to read.
#[derive(Clone, Copy)]
pub struct Ints<'a> {
    bytes: &'a [u8],
}

impl<'a> Ints<'a> {
    /// Bytes before the first integer.
    pub const HEAD_BYTES: usize = HEAD_BYTES;

    /// The integers in a byte string that [`IntsBuf`] or [`Ints::addition`] and [`Ints::removal`]
    /// have made.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The integers in a byte string that is not believed; none if it is no such string.
    pub fn checked(bytes: &'a [u8]) -> Option<Self> {
        let ints = Self::new(bytes);
        let (width, rest) = bytes.split_first()?;
        let is_whole = matches!(width, 2 | 4 | 8) && rest.len().is_multiple_of(usize::from(*width));
        (is_whole && ints.iter().is_sorted_by(|a, b| a < b)).then_some(ints)
    }

    /// Bytes of each.
    #[inline]
    pub fn width(self) -> usize {
        self.bytes.first().map_or(Width::LEAST, |width| usize::from(*width))
    }

    /// How many there are.
    #[inline]
    pub fn len(self) -> usize {
        self.bytes.len().saturating_sub(HEAD_BYTES) / self.width()
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.bytes.len() <= HEAD_BYTES
    }

    /// Bytes of all, the head included.
    pub const fn bytes(self) -> usize {
        self.bytes.len()
    }

    /// The integer with this index, in ascending order.
    #[inline]
    pub fn get(self, index: usize) -> Option<i64> {
        let at = self.offset(index);
        self.bytes.get(at..at + self.width()).map(read)
    }

    /// Where the integer with this index begins.
    #[inline]
    fn offset(self, index: usize) -> usize {
        HEAD_BYTES + index * self.width()
    }

    /// The index of an integer; or the one that it would have.
    #[inline]
    pub fn find(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).map(|found| found.cmp(&value)) {
                Some(core::cmp::Ordering::Equal) => return Ok(middle),
                Some(core::cmp::Ordering::Less) => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// Whether an integer is among them.
    #[inline]
    pub fn contains(self, value: i64) -> bool {
        self.find(value).is_ok()
    }

    /// All, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = i64> + use<'a> {
        self.bytes.get(HEAD_BYTES..).unwrap_or_default().chunks_exact(self.width()).map(read)
    }

    /// What adding an integer that is not there takes.
    pub fn addition(self, value: i64) -> Addition {
        let at = self.offset(self.find(value).unwrap_or_else(|at| at));
        if self.is_empty() || Width::of(value) > self.width() {
            let mut wider = IntsBuf::with_width(Width::of(value).max(self.width()));
            wider.extend(self.iter());
            let at = wider.view().offset(wider.view().find(value).unwrap_or_else(|at| at));
            wider.insert(at, &Encoded::of(value, wider.view().width()));
            return Addition::Anew(wider);
        }
        Addition::At(at, Encoded::of(value, self.width()))
    }

    /// The bytes of the integer with this index.
    pub fn removal(self, index: usize) -> core::ops::Range<usize> {
        self.offset(index)..self.offset(index + 1)
    }
}

/// How an integer is added.
pub enum Addition {
    /// These bytes come in at an offset.
    At(usize, Encoded),
    /// It does not fit the width of the others: all are made anew.
    Anew(IntsBuf),
}

/// Bytes that an integer needs.
struct Width;

impl Width {
    const LEAST: usize = 2;

    fn of(value: i64) -> usize {
        match () {
            () if i16::try_from(value).is_ok() => 2,
            () if i32::try_from(value).is_ok() => 4,
            () => 8,
        }
    }
}

/// An integer as its bytes.
pub struct Encoded {
    bytes: [u8; 8],
    width: usize,
}

impl Encoded {
    fn of(value: i64, width: usize) -> Self {
        Self { bytes: value.to_le_bytes(), width }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.width]
    }
}

#[inline(always)]
fn read(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(*bytes.first_chunk().expect("an integer has 2, 4 or 8 bytes")),
    }
}

/// Integers that are being collected, in memory of logic's own.
#[derive(Clone)]
pub struct IntsBuf {
    bytes: Vec<u8>,
}

impl Default for IntsBuf {
    fn default() -> Self {
        Self::with_width(Width::LEAST)
    }
}

impl IntsBuf {
    /// None, each of which is to have at least so many bytes: 2, 4 or 8.
    pub fn with_width(width: usize) -> Self {
        Self { bytes: vec![width as u8] }
    }

    /// To read them.
    pub fn view(&self) -> Ints<'_> {
        Ints::new(&self.bytes)
    }

    /// The byte string.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds an integer. Tells whether it was not there.
    pub fn add(&mut self, value: i64) -> bool {
        if self.view().contains(value) {
            return false;
        }
        match self.view().addition(value) {
            Addition::Anew(wider) => *self = wider,
            Addition::At(at, encoded) => self.insert(at, &encoded),
        }
        true
    }

    fn insert(&mut self, at: usize, encoded: &Encoded) {
        self.bytes.splice(at..at, encoded.as_bytes().iter().copied());
    }

    /// Removes an integer. Tells whether it was there.
    pub fn remove(&mut self, value: i64) -> bool {
        let found = self.view().find(value);
        if let Ok(index) = found {
            let removal = self.view().removal(index);
            self.bytes.drain(removal);
        }
        found.is_ok()
    }

    /// Appends integers, each greater than all before it, that fit the width.
    fn extend(&mut self, values: impl Iterator<Item = i64>) {
        let width = self.view().width();
        values.for_each(|value| self.bytes.extend_from_slice(Encoded::of(value, width).as_bytes()));
    }
}

impl From<Ints<'_>> for IntsBuf {
    fn from(ints: Ints<'_>) -> Self {
        if ints.bytes.is_empty() { Self::default() } else { Self { bytes: ints.bytes.to_vec() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn same(buf: &IntsBuf, model: &BTreeSet<i64>) {
        assert!(buf.view().iter().eq(model.iter().copied()));
        assert_eq!((buf.view().len(), buf.view().is_empty()), (model.len(), model.is_empty()));
        for (index, value) in model.iter().enumerate() {
            assert_eq!((buf.view().get(index), buf.view().find(*value)), (Some(*value), Ok(index)));
        }
        assert_eq!(buf.view().get(model.len()), None);
    }

    proptest! {
        #[test]
        fn agree_with_a_model(
            steps in prop::collection::vec(
                (
                    prop_oneof![-4..4i64, any::<i16>().prop_map(i64::from), any::<i32>().prop_map(i64::from), any::<i64>()],
                    any::<bool>(),
                ),
                0..60,
            )
        ) {
            let (mut buf, mut model) = (IntsBuf::default(), BTreeSet::new());
            for (value, adds) in steps {
                assert_eq!(buf.view().contains(value), model.contains(&value));
                if adds {
                    assert_eq!(buf.add(value), model.insert(value));
                } else {
                    assert_eq!(buf.remove(value), model.remove(&value));
                }
                same(&buf, &model);
            }
        }
    }

    #[test]
    fn integers_are_as_wide_as_the_widest_needs() {
        let mut buf = IntsBuf::default();
        for (value, bytes) in [(1, 3), (32_767, 5), (-32_769, 13), (7, 17), (1 << 31, 41)] {
            buf.add(value);
            assert_eq!(buf.as_bytes().len(), bytes, "{value}");
        }
        assert!(buf.view().iter().eq([-32_769, 1, 7, 32_767, 1 << 31]));
        assert!(buf.remove(1 << 31));
        assert_eq!(buf.as_bytes().len(), 33);
    }
}
