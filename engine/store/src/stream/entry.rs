//! An entry to the byte, as `abi::stream::StreamNode` lays it down.
#![forbid(unsafe_code)]

use abi::stream::StreamId;
use abi::stream::entry_head::{SAME_FIELDS, SAME_MS, SEQ_FOLLOWS, SEQ_SHIFT};

use crate::listpack;
use crate::packed::{self, Element};

/// Fields of a new entry: names and values by turns.
pub trait Fields<'e>: Copy {
    /// How many they are, at least one.
    fn count(&self) -> usize;

    /// Name and value of a field.
    fn get(&self, index: usize) -> [&'e [u8]; 2];
}

impl<'e> Fields<'e> for &[[&'e [u8]; 2]] {
    fn count(&self) -> usize {
        self.len()
    }

    fn get(&self, index: usize) -> [&'e [u8]; 2] {
        self[index]
    }
}

/// Reads a number, and moves on behind it.
#[inline(always)]
pub fn read_number(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a number is complete");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 {
            return value;
        }
    }
}

/// Bytes of a number.
#[inline]
pub const fn number_len(value: u64) -> usize {
    if value < 1 << 7 { 1 } else { value.ilog2() as usize / 7 + 1 }
}

/// Writes bytes one after the other.
struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn byte(&mut self, byte: u8) {
        self.out[self.at] = byte;
        self.at += 1;
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    #[inline]
    fn element(&mut self, element: Element<'_>) {
        let len = element.body_len();
        element.encode_body(&mut self.out[self.at..self.at + len]);
        self.at += len;
    }
}

/// The names that a node begins with.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    bytes: &'a [u8],
}

impl<'a> Names<'a> {
    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Element<'a>> + Clone {
        let (count, mut rest) = self.split();
        let mut left = count;
        core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            Some(take(&mut rest))
        })
    }

    /// Those in these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// How many, and their elements.
    fn split(self) -> (usize, &'a [u8]) {
        let mut rest = self.bytes;
        (read_number(&mut rest) as usize, rest)
    }

    /// Whether these are the names of fields, in the same order.
    pub fn are_those_of<'e>(self, fields: impl Fields<'e>) -> bool {
        let (count, mut rest) = self.split();
        count == fields.count()
            && (0..count).all(|index| {
                let (name, len) = packed::first_body(rest);
                rest = &rest[len..];
                let [given, _] = fields.get(index);
                match name {
                    Element::Bytes(name) => name == given,
                    name => name == given.into(),
                }
            })
    }
}

/// Bytes that the names of fields take at the head of a node.
pub fn names_len<'e>(fields: impl Fields<'e>) -> usize {
    let names = (0..fields.count()).map(|index| Element::from(fields.get(index)[0]).body_len());
    number_len(fields.count() as u64) + names.sum::<usize>()
}

/// Writes the names of fields as they are at the head of a node, which has room for just them.
pub fn write_names<'e>(out: &mut [u8], fields: impl Fields<'e>) {
    let mut writer = Writer { out, at: 0 };
    writer.number(fields.count() as u64);
    (0..fields.count()).for_each(|index| writer.element(fields.get(index)[0].into()));
    debug_assert_eq!(writer.at, out.len());
}

/// Bytes of the listpack of a node without entries, whose names are those of fields.
pub fn listpack_head_len<'e>(fields: impl Fields<'e>) -> usize {
    let names = (0..fields.count()).map(|index| listpack::element_len(fields.get(index)[0].into()));
    // Entries, entries removed, number of fields, and a 0 behind the names.
    listpack::EMPTY_BYTES
        + 3 * listpack::integer_len(0)
        + listpack::integer_len(fields.count() as i64)
        + names.sum::<usize>()
}

/// How a new entry of a node is written.
pub struct Draft {
    id: StreamId,
    /// The base of its node.
    base: StreamId,
    is_same: bool,
    /// Bytes behind its length.
    body_len: usize,
    /// Bytes that it takes in the listpack.
    pub listpack_len: usize,
}

impl Draft {
    /// Of an entry with these fields in a node of that base, whose names they have or not.
    #[inline]
    pub fn new<'e>(id: StreamId, base: StreamId, fields: impl Fields<'e>, is_same: bool) -> Self {
        let count = fields.count();
        let ms = id.ms - base.ms;
        let seq = id.seq.wrapping_sub(base.seq);
        // Flags, the two parts of the id, and in the end how many elements all of them are.
        let mut elements = 3 + count as i64;
        let mut listpack_len = listpack::integer_len(0)
            + listpack::integer_len(ms as i64)
            + listpack::integer_len(seq as i64);
        let head = Head::of(id, base);
        let mut body_len =
            1 + head.ms.map_or(0, number_len) + head.following_seq().map_or(0, number_len);
        if !is_same {
            body_len += number_len(count as u64);
            listpack_len += listpack::integer_len(count as i64);
            elements += 1 + count as i64;
        }
        for index in 0..count {
            let [name, value] = fields.get(index);
            if !is_same {
                let name = Element::from(name);
                body_len += name.body_len();
                listpack_len += listpack::element_len(name);
            }
            let value = Element::from(value);
            body_len += value.body_len();
            listpack_len += listpack::element_len(value);
        }
        listpack_len += listpack::integer_len(elements);
        Self { id, base, is_same, body_len, listpack_len }
    }

    /// The id.
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Bytes that the entry takes.
    pub fn len(&self) -> usize {
        number_len(self.body_len as u64) + self.body_len
    }

    /// Writes the entry with its fields into bytes of its length.
    #[inline]
    pub fn write<'e>(&self, out: &mut [u8], fields: impl Fields<'e>) {
        let head = Head::of(self.id, self.base);
        let mut writer = Writer { out, at: 0 };
        writer.number(self.body_len as u64);
        writer.byte(head.byte | if self.is_same { SAME_FIELDS } else { 0 });
        if let Some(ms) = head.ms {
            writer.number(ms);
        }
        if let Some(seq) = head.following_seq() {
            writer.number(seq);
        }
        if !self.is_same {
            writer.number(fields.count() as u64);
        }
        for index in 0..fields.count() {
            let [name, value] = fields.get(index);
            if !self.is_same {
                writer.element(name.into());
            }
            writer.element(value.into());
        }
        debug_assert_eq!(writer.at, writer.out.len());
    }
}

/// The id of an entry as it is written.
struct Head {
    /// The first byte, with nothing said of fields.
    byte: u8,
    /// Milliseconds since the base, unless there are none.
    ms: Option<u64>,
    seq: u64,
}

impl Head {
    #[inline(always)]
    fn of(id: StreamId, base: StreamId) -> Self {
        let (ms, seq, flags) = if id.ms == base.ms {
            (None, id.seq - base.seq, SAME_MS)
        } else {
            (Some(id.ms - base.ms), id.seq, 0)
        };
        let inline = seq.min(u64::from(SEQ_FOLLOWS)) as u8;
        Self { byte: flags | inline << SEQ_SHIFT, ms, seq }
    }

    /// The seq, if it has no room in the first byte.
    #[inline(always)]
    fn following_seq(&self) -> Option<u64> {
        (self.seq >= u64::from(SEQ_FOLLOWS)).then_some(self.seq)
    }
}

/// An entry of a stream.
#[derive(Clone, Copy)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    names: Names<'a>,
    is_same: bool,
    /// What is behind the id.
    rest: &'a [u8],
}

impl<'a> StreamEntry<'a> {
    /// The entry at the beginning of bytes, and how many of them it takes.
    #[inline]
    pub fn read(bytes: &'a [u8], base: StreamId, names: Names<'a>) -> (Self, usize) {
        let (len, mut rest) = split(bytes);
        let (id, is_same) = read_id(&mut rest, base);
        (Self { id, names, is_same, rest }, len)
    }

    /// Its fields.
    #[inline]
    pub fn fields(self) -> FieldsOf<'a> {
        let (count, names) = self.names.split();
        if self.is_same {
            return FieldsOf { left: count, names: Some(names), rest: self.rest };
        }
        let mut rest = self.rest;
        FieldsOf { left: read_number(&mut rest) as usize, names: None, rest }
    }
}

/// The length of the entry at the beginning of bytes, and what of it is behind its length.
#[inline(always)]
fn split(bytes: &[u8]) -> (usize, &[u8]) {
    let mut rest = bytes;
    let body = read_number(&mut rest) as usize;
    (bytes.len() - rest.len() + body, &rest[..body])
}

/// The id of the entry at the beginning of bytes, and how many of them it takes.
#[inline(always)]
pub fn id_at(bytes: &[u8], base: StreamId) -> (StreamId, usize) {
    let (len, mut rest) = split(bytes);
    (read_id(&mut rest, base).0, len)
}

/// Reads the id, and whether the fields have the names of the node's.
#[inline(always)]
fn read_id(rest: &mut &[u8], base: StreamId) -> (StreamId, bool) {
    let (head, behind) = rest.split_first().expect("an entry is complete");
    *rest = behind;
    let ms = if head & SAME_MS == 0 { read_number(rest) } else { 0 };
    let seq = match head >> SEQ_SHIFT {
        SEQ_FOLLOWS => read_number(rest),
        seq => u64::from(seq),
    };
    let first = if head & SAME_MS == 0 { 0 } else { base.seq };
    (StreamId { ms: base.ms + ms, seq: first + seq }, head & SAME_FIELDS != 0)
}

/// Names and values of an entry.
#[derive(Clone)]
pub struct FieldsOf<'a> {
    left: usize,
    /// Those of the node, if they are its.
    names: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl<'a> Iterator for FieldsOf<'a> {
    type Item = [Element<'a>; 2];

    #[inline]
    fn next(&mut self) -> Option<[Element<'a>; 2]> {
        self.left = self.left.checked_sub(1)?;
        let name = take(self.names.as_mut().unwrap_or(&mut self.rest));
        Some([name, take(&mut self.rest)])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for FieldsOf<'_> {}

#[inline(always)]
fn take<'a>(bytes: &mut &'a [u8]) -> Element<'a> {
    let (element, len) = packed::first_body(bytes);
    *bytes = &bytes[len..];
    element
}

/// Where the names at the head of a node's data end.
pub fn names_end(data: &[u8]) -> usize {
    let mut rest = data;
    let count = read_number(&mut rest);
    let mut at = data.len() - rest.len();
    (0..count).for_each(|_| at += packed::first_body_len(&data[at..]));
    at
}
