//! How long things are in a dump.
#![forbid(unsafe_code)]

use base::args::parse_integer;
pub use store::listpack::{EMPTY_BYTES as LISTPACK_BYTES, element_len as listpack_len};

/// Bytes of a string: short integers are kept as such.
pub fn string_len(bytes: &[u8]) -> usize {
    match parse_integer(bytes) {
        Some(-0x80..=0x7f) => 2,
        Some(-0x8000..=0x7fff) => 3,
        Some(-0x8000_0000..=0x7fff_ffff) => 5,
        _ => length_len(bytes.len()) + bytes.len(),
    }
}

/// Bytes of a length.
pub fn length_len(len: usize) -> usize {
    match len {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Bytes of a string of so many bytes, none of which can be told shorter.
pub fn blob_len(len: usize) -> usize {
    length_len(len) + len
}

/// Bytes of a set of integers without any.
pub const INTSET_BYTES: usize = 8;
