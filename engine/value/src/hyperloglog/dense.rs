//! Registers of 6 bits each, four in three bytes, from the lowest bit up:
//!
//! ```text
//! byte 0    byte 1    byte 2
//! bbaaaaaa  ccccbbbb  ddddddcc
//! ```

use super::{Histogram, REGISTERS, Registers};

const BITS: usize = 6;
const MASK: u8 = (1 << BITS) - 1;
/// Bytes of all registers.
pub const BYTES: usize = REGISTERS * BITS / 8;

fn unpack([a, b, c]: [u8; 3]) -> [u8; 4] {
    [a & MASK, (a >> 6 | b << 2) & MASK, (b >> 4 | c << 4) & MASK, c >> 2]
}

fn pack_four([a, b, c, d]: [u8; 4]) -> [u8; 3] {
    [a | b << 6, b >> 2 | c << 4, c >> 4 | d << 2]
}

/// The values of registers.
pub fn values(packed: &[u8; BYTES]) -> impl Iterator<Item = [u8; 4]> {
    packed.as_chunks::<3>().0.iter().map(|three| unpack(*three))
}

/// Packs registers, whose values have 6 bits.
pub fn pack(registers: &Registers, into: &mut [u8; BYTES]) {
    let fours = registers.as_chunks::<4>().0;
    for (three, four) in into.as_chunks_mut::<3>().0.iter_mut().zip(fours) {
        *three = pack_four(*four);
    }
}

/// Raises a register if it is smaller than a value. Tells whether it was.
pub fn raise_one(packed: &mut [u8; BYTES], index: usize, value: u8) -> bool {
    let three = &mut packed.as_chunks_mut::<3>().0[index / 4];
    let mut four = unpack(*three);
    let register = &mut four[index % 4];
    let is_smaller = *register < value;
    if is_smaller {
        *register = value;
        *three = pack_four(four);
    }
    is_smaller
}

/// Raises each of `registers` that is smaller.
pub fn raise(packed: &[u8; BYTES], registers: &mut Registers) {
    for (four, own) in registers.as_chunks_mut::<4>().0.iter_mut().zip(values(packed)) {
        *four = core::array::from_fn(|at| four[at].max(own[at]));
    }
}

/// How often each value occurs.
pub fn histogram(packed: &[u8; BYTES]) -> Histogram {
    // One for each place, as neighbours are often equal and would wait for one another.
    let mut places = [[0u32; MASK as usize + 1]; 4];
    for four in values(packed) {
        for (counts, value) in places.iter_mut().zip(four) {
            counts[value as usize] += 1;
        }
    }
    Histogram(core::array::from_fn(|value| places.iter().map(|counts| counts[value]).sum()))
}
