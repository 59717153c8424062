//! Listpacks: elements in one byte string, each with its length behind it.
//!
//! ```text
//! bytes u32, elements u16 (65535: count them), element …, ff
//!
//! element   0xxxxxxx                    an integer from 0 to 127
//!           10llllll …                  a string
//!           110xxxxx xxxxxxxx           an integer of 13 bits
//!           1110llll llllllll …         a string
//!           f0, u32, …                  a string
//!           f1, f2, f3, f4              an integer of 16, 24, 32, 64 bits
//! then      how long all that is, in groups of seven bits, the highest first; all but the first
//!           have their highest bit set
//! ```
//!
//! Numbers are in little-endian order but for those in the first byte.

use super::fault::Fault;
use super::visit::EachElement;
use store::listpack::tail_len;
use store::packed::Element;

const HEAD_BYTES: usize = 6;
const END: u8 = 0xff;
/// In the place of a number of elements: they are to be counted.
const UNCOUNTED: u16 = u16::MAX;

const STRING_6: u8 = 0x80;
const INTEGER_13: u8 = 0xc0;
const STRING_12: u8 = 0xe0;
const STRING_32: u8 = 0xf0;
const INTEGER_16: u8 = 0xf1;
const INTEGER_24: u8 = 0xf2;
const INTEGER_32: u8 = 0xf3;
const INTEGER_64: u8 = 0xf4;

/// A listpack that is being made.
pub struct ListpackBuf {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for ListpackBuf {
    fn default() -> Self {
        Self { bytes: vec![0; HEAD_BYTES], count: 0 }
    }
}

impl ListpackBuf {
    /// Adds an element.
    pub fn push(&mut self, element: Element<'_>) {
        let start = self.bytes.len();
        match element {
            Element::Int(value) => self.push_integer(value),
            Element::Bytes(text) => self.push_string(text),
        }
        let (tail, len) = tail(self.bytes.len() - start);
        self.bytes.extend_from_slice(&tail[..len]);
        self.count += 1;
    }

    fn push_integer(&mut self, value: i64) {
        let bytes = value.to_le_bytes();
        let (head, len) = match value {
            0..=0x7f => return self.bytes.push(bytes[0]),
            -0x1000..=0x0fff => {
                return self.bytes.extend([INTEGER_13 | (value >> 8 & 0x1f) as u8, bytes[0]]);
            }
            -0x8000..=0x7fff => (INTEGER_16, 2),
            -0x80_0000..=0x7f_ffff => (INTEGER_24, 3),
            -0x8000_0000..=0x7fff_ffff => (INTEGER_32, 4),
            _ => (INTEGER_64, 8),
        };
        self.bytes.push(head);
        self.bytes.extend_from_slice(&bytes[..len]);
    }

    fn push_string(&mut self, text: &[u8]) {
        let len = text.len();
        match len {
            0..=0x3f => self.bytes.push(STRING_6 | len as u8),
            0x40..=0x0fff => self.bytes.extend([STRING_12 | (len >> 8) as u8, len as u8]),
            _ => {
                self.bytes.push(STRING_32);
                self.bytes.extend((len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
    }

    /// Adds an integer.
    pub fn push_int(&mut self, value: i64) {
        self.push(Element::Int(value));
    }

    /// The byte string.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let bytes = self.bytes.len() as u32;
        let count = u16::try_from(self.count).unwrap_or(UNCOUNTED);
        self.bytes[..4].copy_from_slice(&bytes.to_le_bytes());
        self.bytes[4..HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

/// How the length of an element of `len` bytes is told behind it, and in how many bytes.
fn tail(len: usize) -> ([u8; 5], usize) {
    let groups = tail_len(len);
    let mut tail = [0; 5];
    for (at, byte) in tail[..groups].iter_mut().enumerate() {
        let mark = if at == 0 { 0 } else { 0x80 };
        *byte = (len >> (7 * (groups - 1 - at))) as u8 & 0x7f | mark;
    }
    (tail, groups)
}

/// Calls `visit` with each element of a listpack that is well-formed throughout. It may have been
/// called with some when a fault is found.
pub fn for_each(bytes: &[u8], visit: EachElement<'_>) -> Result<(), Fault> {
    let damage = |at: usize| Fault::damage(at, "a listpack that is damaged");
    let [a, b, c, d, low, high, elements @ .., END] = bytes else { return Err(damage(0)) };
    if u32::from_le_bytes([*a, *b, *c, *d]) as usize != bytes.len() {
        return Err(damage(0));
    }
    let (mut at, mut count) = (0, 0);
    while at < elements.len() {
        let (element, len) = first(&elements[at..]).ok_or(damage(HEAD_BYTES + at))?;
        visit(element)?;
        at += len;
        count += 1;
    }
    match u16::from_le_bytes([*low, *high]) {
        UNCOUNTED => Ok(()),
        counted if usize::from(counted) == count => Ok(()),
        _ => Err(damage(4)),
    }
}

/// The elements of a listpack that is well-formed throughout.
pub fn elements(bytes: &[u8]) -> Result<Elements<'_>, Fault> {
    for_each(bytes, &mut |_| Ok(()))?;
    Ok(Elements { rest: &bytes[HEAD_BYTES..bytes.len() - 1] })
}

/// See [`elements`].
#[derive(Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (element, len) = first(self.rest)?;
        self.rest = &self.rest[len..];
        Some(element)
    }
}

/// The element at the start of `bytes`, and how many bytes it takes with its length, if it is whole.
fn first(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let (&head, rest) = bytes.split_first()?;
    let (element, body) = match head {
        ..STRING_6 => (Element::Int(head.into()), 1),
        STRING_6..INTEGER_13 => string(bytes, 1, usize::from(head & 0x3f))?,
        INTEGER_13..STRING_12 => {
            let value = i64::from(head & 0x1f) << 8 | i64::from(*rest.first()?);
            (Element::Int(if value < 0x1000 { value } else { value - 0x2000 }), 2)
        }
        STRING_12..STRING_32 => {
            string(bytes, 2, usize::from(head & 0x0f) << 8 | usize::from(*rest.first()?))?
        }
        STRING_32 => string(bytes, 5, u32::from_le_bytes(*rest.first_chunk()?) as usize)?,
        INTEGER_16 => (Element::Int(integer(rest.get(..2)?)), 3),
        INTEGER_24 => (Element::Int(integer(rest.get(..3)?)), 4),
        INTEGER_32 => (Element::Int(integer(rest.get(..4)?)), 5),
        INTEGER_64 => (Element::Int(integer(rest.get(..8)?)), 9),
        _ => return None,
    };
    let (tail, len) = tail(body);
    (bytes.get(body..body + len)? == &tail[..len]).then_some((element, body + len))
}

/// A string of `len` bytes behind a head, and how many both are.
fn string(bytes: &[u8], head: usize, len: usize) -> Option<(Element<'_>, usize)> {
    Some((bytes.get(head..head + len)?.into(), head + len))
}

/// An integer of at most eight bytes.
pub(super) fn integer(bytes: &[u8]) -> i64 {
    let is_negative = bytes.last().is_some_and(|high| high & 0x80 != 0);
    let mut wide = [if is_negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(wide)
}
