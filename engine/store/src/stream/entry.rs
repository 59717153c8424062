//! An entry to the byte, as `abi::stream::StreamNode` lays it down.
#![forbid(unsafe_code)]

use abi::stream::StreamId;
use abi::stream::entry_head::{SAME_FIELDS, SAME_FORM, SAME_MS, SEQ_FOLLOWS, SEQ_SHIFT};

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

    #[inline]
    fn rest_of(&mut self, element: Element<'_>) {
        let len = packed::sized_len(element.head());
        element.encode_rest(&mut self.out[self.at..self.at + len]);
        self.at += len;
    }
}

/// What the fields of an entry are like, beside those of the first of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They have other names, or as many.
    Other,
    /// They have the same names.
    Names,
    /// And their values the same first bytes, which tell how long they are.
    Form,
}

impl Likeness {
    /// Of the first entry of a node with these fields.
    pub fn of_first<'e>(fields: impl Fields<'e>) -> Self {
        let mut heads = (0..fields.count()).map(|index| Element::from(fields.get(index)[1]).head());
        if heads.all(packed::is_sized) { Self::Form } else { Self::Names }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Names => SAME_FIELDS,
            Self::Form => SAME_FIELDS | SAME_FORM,
        }
    }
}

/// The form that a node begins with.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    bytes: &'a [u8],
    /// Bytes that values of this form take.
    len: u32,
}

impl<'a> Form<'a> {
    /// The one in these bytes.
    pub const fn new(bytes: &'a [u8], len: u32) -> Self {
        Self { bytes, len }
    }

    /// The first bytes of values, as many as there are fields, and the elements of their names.
    #[inline(always)]
    fn split(self) -> (&'a [u8], &'a [u8]) {
        let mut rest = self.bytes;
        let count = read_number(&mut rest) as usize;
        rest.split_at(count)
    }

    /// The names, one after the other.
    pub fn names(self) -> NamesOf<'a> {
        let (heads, rest) = self.split();
        NamesOf { left: heads.len(), rest }
    }

    /// What fields are like beside it.
    #[inline]
    pub fn likeness<'e>(self, fields: impl Fields<'e>) -> Likeness {
        let (heads, mut rest) = self.split();
        if heads.len() != fields.count() {
            return Likeness::Other;
        }
        let mut likeness = Likeness::Form;
        for (index, head) in heads.iter().enumerate() {
            let (name, len) = packed::first_body(rest);
            rest = &rest[len..];
            let [given, value] = fields.get(index);
            let is_same = match name {
                Element::Bytes(name) => name == given,
                name => name == given.into(),
            };
            if !is_same {
                return Likeness::Other;
            }
            if !packed::is_sized(*head) || Element::from(value).head() != *head {
                likeness = Likeness::Names;
            }
        }
        likeness
    }
}

/// Bytes that the form of fields takes at the head of a node.
pub fn form_len<'e>(fields: impl Fields<'e>) -> usize {
    let count = fields.count();
    let names = (0..count).map(|index| Element::from(fields.get(index)[0]).body_len());
    number_len(count as u64) + count + names.sum::<usize>()
}

/// Bytes that values take which have the form of these fields, if any can have it.
pub fn values_len<'e>(fields: impl Fields<'e>) -> usize {
    let heads = (0..fields.count()).map(|index| Element::from(fields.get(index)[1]).head());
    heads.map(packed::sized_len).sum()
}

/// Writes the form of fields as it is at the head of a node, which has room for just it.
pub fn write_form<'e>(out: &mut [u8], fields: impl Fields<'e>) {
    let count = fields.count();
    let mut writer = Writer { out, at: 0 };
    writer.number(count as u64);
    (0..count).for_each(|index| writer.byte(Element::from(fields.get(index)[1]).head()));
    (0..count).for_each(|index| writer.element(fields.get(index)[0].into()));
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
    likeness: Likeness,
    /// Bytes behind its head and, if it has one, its length.
    body_len: usize,
    /// Bytes that it takes in the listpack.
    pub listpack_len: usize,
}

impl Draft {
    /// Of an entry with these fields in a node of that base, beside whose first they are like this.
    #[inline]
    pub fn new<'e>(
        id: StreamId,
        base: StreamId,
        fields: impl Fields<'e>,
        likeness: Likeness,
    ) -> Self {
        let (count, is_same) = (fields.count(), likeness != Likeness::Other);
        let ms = id.ms - base.ms;
        let seq = id.seq.wrapping_sub(base.seq);
        // Flags, the two parts of the id, and in the end how many elements all of them are.
        let mut elements = 3 + count as i64;
        let mut listpack_len = listpack::integer_len(0)
            + listpack::integer_len(ms as i64)
            + listpack::integer_len(seq as i64);
        let head = Head::of(id, base);
        let mut body_len =
            head.ms.map_or(0, number_len) + head.following_seq().map_or(0, number_len);
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
            body_len += match likeness {
                Likeness::Form => packed::sized_len(value.head()),
                _ => value.body_len(),
            };
            listpack_len += listpack::element_len(value);
        }
        listpack_len += listpack::integer_len(elements);
        Self { id, base, likeness, body_len, listpack_len }
    }

    /// The id.
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Bytes that the entry takes.
    pub fn len(&self) -> usize {
        let has_length = self.likeness != Likeness::Form;
        1 + if has_length { number_len(self.body_len as u64) } else { 0 } + self.body_len
    }

    /// Writes the entry with its fields into bytes of its length.
    #[inline]
    pub fn write<'e>(&self, out: &mut [u8], fields: impl Fields<'e>) {
        let head = Head::of(self.id, self.base);
        let mut writer = Writer { out, at: 0 };
        writer.byte(head.byte | self.likeness.bits());
        if self.likeness != Likeness::Form {
            writer.number(self.body_len as u64);
        }
        if let Some(ms) = head.ms {
            writer.number(ms);
        }
        if let Some(seq) = head.following_seq() {
            writer.number(seq);
        }
        if self.likeness == Likeness::Other {
            writer.number(fields.count() as u64);
        }
        for index in 0..fields.count() {
            let [name, value] = fields.get(index);
            match self.likeness {
                Likeness::Other => {
                    writer.element(name.into());
                    writer.element(value.into());
                }
                Likeness::Names => writer.element(value.into()),
                Likeness::Form => writer.rest_of(value.into()),
            }
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
    form: Form<'a>,
    head: u8,
    /// What is behind the id.
    rest: &'a [u8],
}

impl<'a> StreamEntry<'a> {
    /// The entry at the beginning of bytes, and how many of them it takes.
    #[inline]
    pub fn read(bytes: &'a [u8], base: StreamId, form: Form<'a>) -> (Self, usize) {
        let (id, rest, len) = split(bytes, base, form.len);
        (Self { id, form, head: bytes[0], rest }, len)
    }

    /// Whether its fields are named as the node's.
    pub const fn has_names_of_node(self) -> bool {
        self.head & SAME_FIELDS != 0
    }

    /// Its fields.
    #[inline]
    pub fn fields(self) -> FieldsOf<'a> {
        let mut rest = self.rest;
        if !self.has_names_of_node() {
            return FieldsOf {
                left: read_number(&mut rest) as usize,
                names: None,
                heads: &[],
                rest,
            };
        }
        let (heads, names) = self.form.split();
        let left = heads.len();
        let heads = if self.head & SAME_FORM == 0 { &[] } else { heads };
        FieldsOf { left, names: Some(names), heads, rest }
    }
}

/// The id of the entry at the beginning of bytes, what of it is behind that, and how many bytes it takes.
#[inline(always)]
fn split(bytes: &[u8], base: StreamId, form_len: u32) -> (StreamId, &[u8], usize) {
    let (&head, mut rest) = bytes.split_first().expect("an entry is complete");
    if head & SAME_FORM != 0 {
        let id = read_id(head, &mut rest, base);
        let len = bytes.len() - rest.len() + form_len as usize;
        return (id, &rest[..form_len as usize], len);
    }
    let body = read_number(&mut rest) as usize;
    let len = bytes.len() - rest.len() + body;
    rest = &rest[..body];
    (read_id(head, &mut rest, base), rest, len)
}

/// The id of the entry at the beginning of bytes, and how many of them it takes.
#[inline(always)]
pub fn id_at(bytes: &[u8], base: StreamId, form_len: u32) -> (StreamId, usize) {
    let (id, _, len) = split(bytes, base, form_len);
    (id, len)
}

/// Reads the id.
#[inline(always)]
fn read_id(head: u8, rest: &mut &[u8], base: StreamId) -> StreamId {
    let ms = if head & SAME_MS == 0 { read_number(rest) } else { 0 };
    let seq = match head >> SEQ_SHIFT {
        SEQ_FOLLOWS => read_number(rest),
        seq => u64::from(seq),
    };
    let first = if head & SAME_MS == 0 { 0 } else { base.seq };
    StreamId { ms: base.ms + ms, seq: first + seq }
}

/// Names at the head of a node.
pub struct NamesOf<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for NamesOf<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(take(&mut self.rest))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for NamesOf<'_> {}

/// Names and values of an entry.
#[derive(Clone)]
pub struct FieldsOf<'a> {
    left: usize,
    /// Those of the node, if they are its.
    names: Option<&'a [u8]>,
    /// First bytes of the values, if they have them of the node's.
    heads: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Iterator for FieldsOf<'a> {
    type Item = [Element<'a>; 2];

    #[inline]
    fn next(&mut self) -> Option<[Element<'a>; 2]> {
        self.left = self.left.checked_sub(1)?;
        let name = take(self.names.as_mut().unwrap_or(&mut self.rest));
        let Some((&head, heads)) = self.heads.split_first() else {
            return Some([name, take(&mut self.rest)]);
        };
        let (value, len) = packed::sized(head, self.rest);
        (self.heads, self.rest) = (heads, &self.rest[len..]);
        Some([name, value])
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

/// Where the form at the head of a node's data ends.
pub fn form_end(data: &[u8]) -> usize {
    let mut rest = data;
    let count = read_number(&mut rest) as usize;
    let mut at = data.len() - rest.len() + count;
    (0..count).for_each(|_| at += packed::first_body_len(&data[at..]));
    at
}
