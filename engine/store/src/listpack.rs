//! How long things are in Redis's listpacks: what is in them decides where Redis divides a value.
#![forbid(unsafe_code)]

use crate::packed::Element;

/// Bytes of a listpack without elements.
pub const EMPTY_BYTES: usize = 7;

/// Bytes that an element takes.
#[inline]
pub fn element_len(element: Element<'_>) -> usize {
    let body = match element {
        Element::Int(value) => integer_body_len(value),
        Element::Bytes(text) if text.len() < 64 => 1 + text.len(),
        Element::Bytes(text) if text.len() < 4096 => 2 + text.len(),
        Element::Bytes(text) => 5 + text.len(),
    };
    body + tail_len(body)
}

/// Bytes that tell, behind an element of so many bytes, how long it is: a group of 7 bits each.
#[inline]
pub fn tail_len(body: usize) -> usize {
    match body {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Bytes that an integer takes.
#[inline]
pub fn integer_len(value: i64) -> usize {
    integer_body_len(value) + 1
}

#[inline]
fn integer_body_len(value: i64) -> usize {
    match value {
        0..=127 => 1,
        -0x1000..=0x0fff => 2,
        -0x8000..=0x7fff => 3,
        -0x80_0000..=0x7f_ffff => 4,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => 9,
    }
}
