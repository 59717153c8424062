//! What all commands have to look at before they run, in one word: mostly there is nothing.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub use abi::shared::attention::{
    AOF_FAILED, BUSY, CAPTURE, FAILED, LOADING, PAUSED, SNAPSHOT, WARMING,
};

use crate::roots::Roots;

/// Whether there is anything.
#[inline(always)]
pub fn is_any(roots: Roots) -> bool {
    roots.shared().attention.load(Relaxed) != 0
}

/// Whether there is one of these.
#[inline]
pub fn has(roots: Roots, bits: u64) -> bool {
    roots.shared().attention.load(Acquire) & bits != 0
}

/// Says that there is, or no longer.
pub fn set(roots: Roots, bit: u64, is_set: bool) {
    let word = &roots.shared().attention;
    match is_set {
        true => word.fetch_or(bit, Release),
        false => word.fetch_and(!bit, Release),
    };
}
