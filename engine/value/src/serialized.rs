//! How long things are in a dump.
#![forbid(unsafe_code)]

use base::args::parse_integer;
use store::packed::Element;

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

/// Bytes of a listpack without elements.
pub const LISTPACK_BYTES: usize = 7;

/// Bytes of a set of integers without any.
pub const INTSET_BYTES: usize = 8;

/// Bytes that an element takes in a listpack.
pub fn listpack_len(element: Element<'_>) -> usize {
    let body = match element {
        Element::Int(0..=127) => 1,
        Element::Int(-0x1000..=0x0fff) => 2,
        Element::Int(-0x8000..=0x7fff) => 3,
        Element::Int(-0x80_0000..=0x7f_ffff) => 4,
        Element::Int(-0x8000_0000..=0x7fff_ffff) => 5,
        Element::Int(_) => 9,
        Element::Bytes(text) if text.len() < 64 => 1 + text.len(),
        Element::Bytes(text) if text.len() < 4096 => 2 + text.len(),
        Element::Bytes(text) => 5 + text.len(),
    };
    // How long it is stands behind it, in groups of 7 bits.
    let tail = match body {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    body + tail
}
