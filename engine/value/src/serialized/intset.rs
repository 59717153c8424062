//! Sets of integers: `width u32, count u32, integer …`, ascending, all in little-endian order.

use super::fault::Fault;
use super::listpack::integer;
use store::ints::Ints;

/// The byte string of some integers.
pub fn write(ints: Ints<'_>) -> Vec<u8> {
    let width = ints.width();
    let mut bytes = Vec::with_capacity(8 + ints.len() * width);
    bytes.extend((width as u32).to_le_bytes());
    bytes.extend((ints.len() as u32).to_le_bytes());
    ints.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()[..width]));
    bytes
}

/// The bytes that each integer of a byte string has, and the integers, which ascend.
pub fn read(bytes: &[u8]) -> Result<(usize, impl Iterator<Item = i64>), Fault> {
    const DAMAGE: Fault = Fault::damage(0, "a set of integers that is damaged");
    let (width, rest) = bytes.split_first_chunk().ok_or(DAMAGE)?;
    let (count, rest) = rest.split_first_chunk().ok_or(DAMAGE)?;
    let [width, count] = [*width, *count].map(|number| u32::from_le_bytes(number) as usize);
    if !matches!(width, 2 | 4 | 8) || width.checked_mul(count) != Some(rest.len()) {
        return Err(DAMAGE);
    }
    let integers = rest.chunks_exact(width).map(integer);
    let do_ascend = integers.clone().is_sorted_by(|one, next| one < next);
    if do_ascend { Ok((width, integers)) } else { Err(DAMAGE) }
}
