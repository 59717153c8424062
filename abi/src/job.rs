//! Work that logic hands over.

use abi_stable::StableAbi;

/// Work for a background thread: an allocation whose meaning only logic knows.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Job {
    /// What is to be done; an id that stays the same over releases.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Meaning depends on `kind`; usually the address of what was detached.
    pub arguments: [u64; 6],
}
