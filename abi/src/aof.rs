//! The append-only log, as the shell tells of it: which it writes, and logic does not look into.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Values of [`Aof::state`].
pub mod state {
    /// There is none.
    pub const OFF: u32 = 0;
    /// There is one as soon as its first base is written: until then nothing relies on it.
    pub const WAITING: u32 = 1;
    /// Every effect goes to it.
    pub const ON: u32 = 2;
}

/// What is known of the log.
#[repr(C)]
#[derive(StableAbi, Default)]
pub struct Aof {
    /// One of [`state`]. Stored by the shell.
    pub state: AtomicU32,
    /// Why the log cannot be written, as the system's number; 0: it can. Stored by the shell, as is
    /// all that follows but what says otherwise.
    pub errno: AtomicU32,
    /// 1: it is to be rewritten as soon as no snapshot is under way. Set by both, cleared by logic.
    pub wanted: AtomicU32,
    /// Rewritings that have failed since the last that has not. Stored by logic.
    pub failures: AtomicU32,
    /// Bytes of its files.
    pub bytes: AtomicU64,
    /// Bytes of its files when it was rewritten last, or loaded.
    pub base_bytes: AtomicU64,
    /// The position in the effects stream up to which effects have been written.
    pub written: AtomicU64,
    /// The position up to which they are known to be safe.
    pub safe: AtomicU64,
    /// Bytes that are on their way from the stream to the file.
    pub buffered: AtomicU64,
    /// How often a sync was due while the one before was not done.
    pub delayed_syncs: AtomicU64,
    /// 1 while a sync is under way beside the writing.
    pub syncing: AtomicU32,
    /// How long the last rewriting took, in seconds, and 1 more; 0: there was none. Stored by logic.
    pub took_s: AtomicU32,
    /// Rewritings begun. Stored by logic.
    pub rewrites: AtomicU64,
    /// Bytes that were kept for the last, at most. Stored by logic.
    pub held_peak: AtomicU64,
    /// No rewriting begins by itself before this time, in Unix ms. Stored by logic.
    pub not_before_ms: AtomicU64,
    /// Zero.
    pub reserved: [u64; 8],
}
