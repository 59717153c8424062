//! Zipmaps, which Redis has written before 2.6: fields and values in one byte string.
//!
//! ```text
//! fields u8 (254: count them), { field's length, field, value's length, unused u8, value,
//! unused bytes } …, ff
//!
//! length    one byte, or fe and u32
//! ```

use super::fault::Fault;
use super::visit::EachPair;

const END: u8 = 0xff;
const LONG: u8 = 0xfe;
/// In the place of a number of fields: they are to be counted.
const UNCOUNTED: u8 = 0xfe;

/// Calls `visit` with each field and its value of a zipmap that is well-formed throughout. It may
/// have been called with some when a fault is found.
pub fn for_each(bytes: &[u8], visit: EachPair<'_>) -> Result<(), Fault> {
    const DAMAGE: Fault = Fault::damage(0, "a zipmap that is damaged");
    let [told, pairs @ .., END] = bytes else { return Err(DAMAGE) };
    let (mut rest, mut count) = (pairs, 0);
    while !rest.is_empty() {
        let (field, value, behind) = first(rest).ok_or(DAMAGE)?;
        visit(field, value)?;
        (rest, count) = (behind, count + 1);
    }
    if *told == UNCOUNTED || usize::from(*told) == count { Ok(()) } else { Err(DAMAGE) }
}

/// The field and the value at the start of `bytes`, and what is behind them, if they are whole.
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = length(bytes)?;
    let (field, rest) = rest.split_at_checked(len)?;
    let (len, rest) = length(rest)?;
    let (&unused, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(len)?;
    Some((field, value, rest.get(usize::from(unused)..)?))
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.split_first()? {
        (&END, _) => None,
        (&LONG, rest) => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u32::from_le_bytes(*len) as usize, rest))
        }
        (&short, rest) => Some((short.into(), rest)),
    }
}
