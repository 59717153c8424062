//! Filling the keys from elsewhere while clients go on: what they have changed meanwhile is not to be
//! put back.
//!
//! A bit for each of many classes of hashes says that a key of the class may have been changed or
//! removed since it began. It is set under the lock of the key's shard, before the change; whoever
//! fills looks at it under the same lock. Two keys of a class are taken for one: then one that could
//! have been filled is not.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// How many classes there are. A power of two.
pub const CLASSES: u64 = 1 << 26;

/// Filling under way.
#[repr(C)]
#[derive(StableAbi)]
pub struct Warming {
    /// The id of the client that fills; 0: none does. Set by the shell, which looks that it was 0;
    /// cleared by both.
    pub client: AtomicU64,
    /// Address of the bits, [`CLASSES`] of them in words of 64; 0 before the first time. Set by the
    /// shell before [`crate::shared::attention::WARMING`], and never freed.
    pub bits: AtomicU64,
    /// 1: all keys of a database were removed or moved since it began: nothing is filled any more.
    pub is_over: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// When it was last seen that the client is there, Unix ms.
    pub seen_ms: AtomicU64,
}
