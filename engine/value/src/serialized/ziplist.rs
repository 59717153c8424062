//! Ziplists, which Redis has written until 7.0: elements in one byte string, each with the length of
//! the one before it.
//!
//! ```text
//! bytes u32, last element u32, elements u16 (65535: count them), element …, ff
//!
//! element   bytes of the one before: one byte, or fe and u32
//! then      00llllll …                  a string
//!           01llllll llllllll …         a string, its length in big-endian order
//!           80, u32 (big-endian), …     a string
//!           c0, d0, e0, f0, fe          an integer of 16, 32, 64, 24, 8 bits
//!           f1 to fd                    an integer from 0 to 12
//! ```

use super::fault::Fault;
use super::listpack::integer;
use super::visit::EachElement;
use store::packed::Element;

const HEAD_BYTES: usize = 10;
const END: u8 = 0xff;
const UNCOUNTED: u16 = u16::MAX;
/// Stands before a length that does not fit a byte.
const LONG: u8 = 0xfe;

/// Calls `visit` with each element of a ziplist that is well-formed throughout. It may have been
/// called with some when a fault is found.
pub fn for_each(bytes: &[u8], visit: EachElement<'_>) -> Result<(), Fault> {
    let damage = |at: usize| Fault::damage(at, "a ziplist that is damaged");
    let (Some(head), Some((&END, _))) = (bytes.first_chunk::<HEAD_BYTES>(), bytes.split_last())
    else {
        return Err(damage(0));
    };
    let [a, b, c, d, e, f, g, h, low, high] = *head;
    let (len, tail) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if bytes.len() <= HEAD_BYTES || len as usize != bytes.len() {
        return Err(damage(0));
    }
    let end = bytes.len() - 1;
    let (mut at, mut before, mut count) = (HEAD_BYTES, 0, 0);
    while at < end {
        let (told, element, len) = first(&bytes[at..end]).ok_or(damage(at))?;
        if told != before {
            return Err(damage(at));
        }
        visit(element)?;
        (at, before, count) = (at + len, len, count + 1);
    }
    let counted = u16::from_le_bytes([low, high]);
    let is_counted = counted == UNCOUNTED || usize::from(counted) == count;
    let is_told = tail as usize == at - before || count == 0 && tail as usize <= end;
    if is_counted && is_told { Ok(()) } else { Err(damage(4)) }
}

/// The length of the element before, the element at the start of `bytes`, and how many bytes it
/// takes, if it is whole.
fn first(bytes: &[u8]) -> Option<(usize, Element<'_>, usize)> {
    let (before, head) = match *bytes.first()? {
        LONG => (u32::from_le_bytes(*bytes.get(1..)?.first_chunk()?) as usize, 5),
        END => return None,
        short => (usize::from(short), 1),
    };
    let bytes = bytes.get(head..)?;
    let (&kind, rest) = bytes.split_first()?;
    let fixed = |len: usize| Some((Element::Int(integer(rest.get(..len)?)), 1 + len));
    let (element, len) = match kind {
        ..0x40 => string(bytes, 1, usize::from(kind))?,
        0x40..0x80 => {
            string(bytes, 2, usize::from(kind & 0x3f) << 8 | usize::from(*rest.first()?))?
        }
        0x80 => string(bytes, 5, u32::from_be_bytes(*rest.first_chunk()?) as usize)?,
        0xc0 => fixed(2)?,
        0xd0 => fixed(4)?,
        0xe0 => fixed(8)?,
        0xf0 => fixed(3)?,
        0xfe => fixed(1)?,
        0xf1..=0xfd => (Element::Int(i64::from(kind - 0xf1)), 1),
        _ => return None,
    };
    Some((before, element, head + len))
}

/// A string of `len` bytes behind a head, and how many both are.
fn string(bytes: &[u8], head: usize, len: usize) -> Option<(Element<'_>, usize)> {
    Some((bytes.get(head..head + len)?.into(), head + len))
}
