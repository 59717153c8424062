//! Which register an element is for, and what value it gives it.

use super::{INDEX_BITS, REGISTERS, VALUE_MAX};

/// The seed with which elements are hashed. Another would make all stored registers worthless.
const SEED: u64 = 0xadc8_3b19;

/// The register of an element, and how many bits of the rest of its hash, counted from the lowest,
/// it takes to see one that is set; [`VALUE_MAX`] if none is.
pub fn register(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element, SEED);
    let index = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << (VALUE_MAX - 1);
    (index, rest.trailing_zeros() as u8 + 1)
}

/// The 64-bit version of MurmurHash2, `MurmurHash64A`, of bytes as a little-endian machine sees them.
fn murmur(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}
