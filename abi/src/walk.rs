//! A walk over the arena: how the logic, which knows what is stored, tells the shell, which knows what
//! was allocated, of each allocation that something refers to.
//!
//! Nothing of an arena is believed that a process has left in the middle of its work. So logic asks
//! before it follows an address: [`Walk::block`] says whether an allocation begins there, and how large
//! it is at most; [`Walk::claim`] makes it that of whoever refers to it, who is the only one. What was
//! granted may be read; there is nothing else in the arena that the walk looks at but the roots.
//!
//! Claims come in groups, one for each key or each record: [`Walk::settle`] ends a group, and says
//! whether what it was of stays. What a walk that mends takes out is given up with it.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

/// What [`Walk::claim`] says.
pub mod claim {
    /// It is the caller's.
    pub const GRANTED: u32 = 0;
    /// No allocation begins there.
    pub const NO_BLOCK: u32 = 1;
    /// An allocation begins there, but none of this size.
    pub const OTHER_SIZE: u32 = 2;
    /// It is free.
    pub const FREE: u32 = 3;
    /// Something else refers to it.
    pub const TAKEN: u32 = 4;
}

/// Something that is wrong.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// Where it is and what it is.
    pub text: RStr<'a>,
    /// The key that it is about, in a walk that mends no longer there; empty if it is about none.
    pub key: RSlice<'a, u8>,
    /// The key's hash.
    pub hash: u64,
    /// The key's database.
    pub db: u32,
    /// 1: the key is gone with its value. 0: nothing is lost, or it is about none.
    pub dropped: u32,
}

/// The shell's side of a walk. Nobody changes the arena meanwhile but the walk, if it mends.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Walk {
    /// Passed to the functions.
    pub context: u64,
    /// 1: what cannot be trusted is taken out, and what was left half done is completed, without a
    /// call of the allocator. 0: nothing is changed.
    pub mends: u32,
    /// Zero.
    pub reserved: u32,
    /// Bytes of the allocation that begins at an address; 0: none does. So many may be read.
    pub block: extern "C" fn(context: u64, address: u64) -> u64,
    /// An allocation is referred to, which was asked for with `size`. One of [`claim`].
    pub claim: extern "C" fn(context: u64, address: u64, size: u64) -> u32,
    /// Ends a group of claims. `keep` 0: they are given up, for what they were of is taken out.
    pub settle: extern "C" fn(context: u64, keep: u32),
    /// Tells of a fault.
    pub fault: extern "C" fn(context: u64, fault: &Fault<'_>),
    /// The shards to be walked over, a bit each: nobody was in any other, so what is there is whole. Of
    /// those only who waits for keys is looked at.
    pub shards: u64,
}
