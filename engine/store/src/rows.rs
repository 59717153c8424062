//! Rows of packed elements in one byte string, as `abi::container::rows` lays down: what a small
//! hash or set is. They are searched from the first on.
#![forbid(unsafe_code)]

use abi::container::rows::{HEAD_BYTES, UNCOUNTED};

use super::packed::{Element, first_body, first_body_len};
use base::walk::readable;

/// Rows to read, each of `WIDTH` elements.
#[derive(Clone, Copy)]
pub struct Rows<'a, const WIDTH: usize> {
    bytes: &'a [u8],
}

/// Where a row is: offsets of its first element, of what follows that, and of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of the first element.
    pub start: usize,
    /// Of the elements behind the first.
    pub rest: usize,
    /// One past the last byte.
    pub end: usize,
}

impl<'a, const WIDTH: usize> Rows<'a, WIDTH> {
    /// The rows in a byte string that [`RowsBuf`] or [`Change`]s have made.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Rows. Takes no time unless there are very many.
    #[inline]
    pub fn len(self) -> usize {
        let [low, high, ..] = *self.bytes else { return 0 };
        match u16::from_le_bytes([low, high]) {
            UNCOUNTED => self.iter().count(),
            counted => usize::from(counted),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.bytes.len() <= HEAD_BYTES
    }

    /// Bytes of all, the head included.
    pub const fn bytes(self) -> usize {
        self.bytes.len()
    }

    /// The row whose first element is this.
    #[inline]
    pub fn find(self, first: Element<'_>) -> Option<Place> {
        let (prefix, len, text) = first.pieces();
        let prefix = &prefix[..len];
        let mut start = HEAD_BYTES;
        while start < self.bytes.len() {
            let rest = start + first_body_len(&self.bytes[start..]);
            let element = &self.bytes[start..rest];
            if element.strip_prefix(prefix).is_some_and(|behind| behind == text) {
                return Some(Place { start, rest, end: self.end_of(rest) });
            }
            start = self.end_of(rest);
        }
        None
    }

    /// The end of a row whose elements behind the first begin at `rest`.
    #[inline(always)]
    fn end_of(self, rest: usize) -> usize {
        (1..WIDTH).fold(rest, |at, _| at + first_body_len(&self.bytes[at..]))
    }

    /// The elements of the row at a place.
    #[inline]
    pub fn at(self, place: Place) -> [Element<'a>; WIDTH] {
        elements(&self.bytes[place.start..]).0
    }

    /// The offset of the first row that is not one of the first rows for which `is_before` holds, and
    /// how many those are.
    pub fn partition(
        self,
        mut is_before: impl FnMut([Element<'a>; WIDTH]) -> bool,
    ) -> (usize, usize) {
        let (mut offset, mut before) = (HEAD_BYTES, 0);
        while offset < self.bytes.len() {
            let (row, len) = elements(&self.bytes[offset..]);
            if !is_before(row) {
                break;
            }
            offset += len;
            before += 1;
        }
        (offset, before)
    }

    /// The row with this index.
    pub fn nth(self, index: usize) -> Option<[Element<'a>; WIDTH]> {
        self.iter().nth(index)
    }

    /// All rows, in the order in which they came.
    #[inline]
    pub fn iter(self) -> Iter<'a, WIDTH> {
        Iter { left: self.bytes.get(HEAD_BYTES..).unwrap_or_default() }
    }
}

/// The rows in a byte string that is not believed; none if it is no such string.
pub fn checked<const WIDTH: usize>(bytes: &[u8]) -> Option<Rows<'_, WIDTH>> {
    let rows = Rows::<WIDTH>::new(bytes);
    let counted = u16::from_le_bytes(*bytes.first_chunk::<HEAD_BYTES>()?);
    let found = readable(|| rows.iter().count())?;
    (head(found) == counted.to_le_bytes()).then_some(rows)
}

/// The elements of the row at the start of `bytes`, and how many bytes they take.
#[inline]
fn elements<const WIDTH: usize>(bytes: &[u8]) -> ([Element<'_>; WIDTH], usize) {
    let mut at = 0;
    let row = core::array::from_fn(|_| {
        let (element, len) = first_body(&bytes[at..]);
        at += len;
        element
    });
    (row, at)
}

/// The rows of a byte string.
#[derive(Clone)]
pub struct Iter<'a, const WIDTH: usize> {
    left: &'a [u8],
}

impl<'a, const WIDTH: usize> Iterator for Iter<'a, WIDTH> {
    type Item = [Element<'a>; WIDTH];

    #[inline]
    fn next(&mut self) -> Option<[Element<'a>; WIDTH]> {
        if self.left.is_empty() {
            return None;
        }
        let (row, len) = elements(self.left);
        self.left = &self.left[len..];
        Some(row)
    }
}

/// How a byte string is to change: `head` in the place of its first bytes, `added` in the place of
/// the bytes in `removed`.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The first bytes, anew.
    pub head: &'a [u8],
    /// What goes.
    pub removed: core::ops::Range<usize>,
    /// What comes there.
    pub added: &'a [u8],
}

impl Change<'_> {
    /// How long a byte string of this length is afterwards.
    pub const fn len_after(&self, len: usize) -> usize {
        len - (self.removed.end - self.removed.start) + self.added.len()
    }
}

/// The head for so many rows.
pub fn head(len: usize) -> [u8; HEAD_BYTES] {
    u16::try_from(len).unwrap_or(UNCOUNTED).to_le_bytes()
}

/// Appends the encodings of elements.
pub fn encode(out: &mut Vec<u8>, elements: &[Element<'_>]) {
    for element in elements {
        let at = out.len();
        out.resize(at + element.body_len(), 0);
        element.encode_body(&mut out[at..]);
    }
}

/// Rows that are being made, in memory of logic's own.
#[derive(Clone)]
pub struct RowsBuf<const WIDTH: usize> {
    bytes: Vec<u8>,
    len: usize,
}

impl<const WIDTH: usize> Default for RowsBuf<WIDTH> {
    fn default() -> Self {
        Self { bytes: head(0).to_vec(), len: 0 }
    }
}

impl<const WIDTH: usize> From<Rows<'_, WIDTH>> for RowsBuf<WIDTH> {
    fn from(rows: Rows<'_, WIDTH>) -> Self {
        Self { bytes: rows.bytes.to_vec(), len: rows.len() }
    }
}

impl<const WIDTH: usize> RowsBuf<WIDTH> {
    /// Rows.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// To read them.
    pub fn view(&self) -> Rows<'_, WIDTH> {
        Rows::new(&self.bytes)
    }

    /// The byte string.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a row, or gives the row with the same first element the other elements of this one.
    /// Tells whether it was added.
    pub fn set(&mut self, row: [Element<'_>; WIDTH]) -> bool {
        match self.view().find(row[0]) {
            Some(place) => {
                let mut rest = Vec::new();
                encode(&mut rest, &row[1..]);
                self.bytes.splice(place.rest..place.end, rest);
                false
            }
            None => {
                self.push(row);
                true
            }
        }
    }

    /// Adds a row whose first element no other has.
    pub fn push(&mut self, row: [Element<'_>; WIDTH]) {
        encode(&mut self.bytes, &row);
        self.set_len(self.len + 1);
    }

    /// Puts a row whose first element no other has at the offset of another, or behind all.
    pub fn insert(&mut self, offset: usize, row: [Element<'_>; WIDTH]) {
        let mut added = Vec::new();
        encode(&mut added, &row);
        self.bytes.splice(offset..offset, added);
        self.set_len(self.len + 1);
    }

    /// Removes the rows of a range of indices, which are there.
    pub fn remove_range(&mut self, range: core::ops::Range<usize>) {
        let offset = |index: usize| {
            let mut left = index;
            let is_before = |_| {
                let is_before = left > 0;
                left = left.saturating_sub(1);
                is_before
            };
            self.view().partition(is_before).0
        };
        let (start, end) = (offset(range.start), offset(range.end));
        self.bytes.drain(start..end);
        self.set_len(self.len - range.len());
    }

    /// Removes the row with this first element. Tells whether there was one.
    pub fn remove(&mut self, first: Element<'_>) -> bool {
        let found = self.view().find(first);
        if let Some(place) = found {
            self.bytes.drain(place.start..place.end);
            self.set_len(self.len - 1);
        }
        found.is_some()
    }

    fn set_len(&mut self, len: usize) {
        self.len = len;
        self.bytes[..HEAD_BYTES].copy_from_slice(&head(len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Model = Vec<(Vec<u8>, Vec<u8>)>;

    /// Short texts of few letters, so that they are often the same, and all forms of elements.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[ab]{0,2}".prop_map(String::into_bytes),
            "-?[0-9]{1,2}".prop_map(String::into_bytes),
            any::<i64>().prop_map(|value| value.to_string().into_bytes()),
            any::<i16>().prop_map(|value| value.to_le_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 62..66),
            (0..3usize).prop_map(|more| vec![b'x'; 65_534 + more]),
        ]
    }

    fn same(buf: &RowsBuf<2>, model: &Model) {
        let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
        let rows: Model = buf
            .view()
            .iter()
            .map(|[field, value]| {
                let [one, other] = &mut digits;
                (field.bytes(one).to_vec(), value.bytes(other).to_vec())
            })
            .collect();
        assert_eq!(&rows, model);
        assert_eq!((buf.len(), buf.view().len()), (model.len(), model.len()));
        for (field, value) in model {
            let place = buf.view().find(field.as_slice().into()).expect("it is there");
            assert_eq!(buf.view().at(place)[1], value.as_slice().into());
        }
    }

    proptest! {
        #[test]
        fn agree_with_a_model(steps in prop::collection::vec((text(), text(), 0..3), 0..if cfg!(miri) { 8 } else { 40 })) {
            let (mut buf, mut model) = (RowsBuf::<2>::default(), Model::new());
            for (field, value, kind) in steps {
                let at = model.iter().position(|(known, _)| *known == field);
                let first = Element::from(field.as_slice());
                assert_eq!(buf.view().find(first).is_some(), at.is_some());
                if kind == 0 {
                    assert_eq!(buf.remove(first), at.is_some());
                    at.map(|at| model.remove(at));
                } else {
                    assert_eq!(buf.set([first, value.as_slice().into()]), at.is_none());
                    match at {
                        Some(at) => model[at].1 = value,
                        None => model.push((field, value)),
                    }
                }
                same(&buf, &model);
            }
        }
    }

    #[test]
    fn more_rows_than_the_head_counts_are_counted() {
        let mut buf = RowsBuf::<1>::default();
        for number in 0..i64::from(UNCOUNTED) + 3 {
            buf.push([Element::Int(number)]);
        }
        assert_eq!(buf.view().len(), usize::from(UNCOUNTED) + 3);
        assert!(buf.remove(Element::Int(7)));
        assert_eq!(buf.view().len(), usize::from(UNCOUNTED) + 2);
        assert!((0..3).all(|number| buf.remove(Element::Int(number))));
        assert_eq!(buf.view().len(), usize::from(UNCOUNTED) - 1);
    }

    #[test]
    fn ten_small_fields_take_sixteen_bytes_each() {
        let mut buf = RowsBuf::<2>::default();
        for number in 0..10 {
            let field = format!("field{number}");
            buf.set([field.as_bytes().into(), b"abcdefgh"[..].into()]);
        }
        assert_eq!(buf.as_bytes().len(), 162);
    }
}
