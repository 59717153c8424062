//! A lane: what runs logic, on one thread at a time.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::stats::LaneStats;

/// Hashes of keys that [`Running`] has room for.
pub const RUNNING_KEYS: usize = 8;

/// What is kept for a lane.
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct Lane {
    /// What it runs.
    pub running: Running,
    /// Its counters.
    pub stats: LaneStats,
}

/// What a lane is about to run, written before it begins, so that whoever finds the arena after
/// the end of the process knows what may be half done, and whoever looks at a lane that does not
/// come back knows what holds it up.
///
/// Only the lane stores. `command` is stored last when a command begins, and first when it ends.
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct Running {
    /// Command slot (see [`crate::shared::CommandNames`]) plus one; 0: no command runs.
    pub command: AtomicU32,
    /// Database of the keys.
    pub db: AtomicU32,
    /// The [`crate::client_ref::ClientRef`] of the client it runs for.
    pub client: AtomicU64,
    /// The generation whose code runs, as the shell knows it; 0: not told.
    pub generation: AtomicU64,
    /// When it began, in ticks of the processor's time stamp counter.
    pub since_ticks: AtomicU64,
    /// Shards it locks, a bit each.
    pub shards: AtomicU64,
    /// Address of a record of how to undo what has been done; 0: there is none.
    pub undo: AtomicU64,
    /// Keys it names; more than [`RUNNING_KEYS`]: all that `shards` holds may be concerned.
    pub key_count: AtomicU64,
    /// Hashes of the keys.
    pub hashes: [AtomicU64; RUNNING_KEYS],
    /// Bytes that the lane's Lua machine for scripts uses, in memory of logic's own.
    pub script_machine_bytes: AtomicU64,
    /// As the one before, of the machine for functions.
    pub function_machine_bytes: AtomicU64,
    /// Addresses of what a worker lends to its clients, for input, for a round of reads, for output;
    /// 0 for a lane that is no worker. Stored by the shell.
    pub lent: [AtomicU64; 3],
    /// Address of an entry that is being changed where it is, in more than one step: found after the
    /// end of the process, it may be half changed; 0: none is.
    pub changing: AtomicU64,
    /// Address of a list of the keys that the transaction or script which runs has changed or is about
    /// to: a word that says how many the list has, then for each key its hash and its database. 0: there
    /// is none.
    pub touched: AtomicU64,
    /// Words in it that are in use, behind its first.
    pub touched_words: AtomicU64,
    /// 1 from when something of many allocations goes out of the tables until the shards are unlocked:
    /// found after the end of the process, some of it may be nobody's.
    pub discarding: AtomicU64,
}
