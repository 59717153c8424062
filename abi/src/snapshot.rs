//! A snapshot under way: a walk over all keys, which keeps what they were when it began.
//!
//! How far the walk has come is beside the keys, in [`crate::keyspace::ShardDb`]; what it passes over
//! ahead of it is marked, see [`crate::keyspace::mark`]. Here is all else that whoever goes on with
//! it needs to know: that may be another release.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::container::{RawBytes, RawTable};
use crate::lock::Locked;
use crate::ptr::Ptr;

/// Values of [`Snapshot::phase`].
pub mod phase {
    /// There is none.
    pub const NONE: u32 = 0;
    /// One is about to begin: whoever has set this is making the file.
    pub const BEGINNING: u32 = 1;
    /// The walk is under way: who changes a key ahead of it keeps it as it is.
    pub const WALKING: u32 = 2;
    /// It has been given up: the walk goes on to take marks away, and nothing is written.
    pub const GIVEN_UP: u32 = 3;
    /// All has been handed to the shell, which has yet to say that the file is safe.
    pub const ENDING: u32 = 4;
}

/// Values of [`Snapshot::purpose`].
pub mod purpose {
    /// The file of data.
    pub const DATA: u32 = 0;
    /// A base of the append-only log.
    pub const AOF: u32 = 1;
    /// A backup, which lies where the shell was asked to put it.
    pub const BACKUP: u32 = 2;
    /// A base of the append-only log that is made of commands.
    pub const AOF_COMMANDS: u32 = 3;
}

/// [`crate::keyspace::ShardDb::walked`] of a part that the walk is done with. It is no position.
pub const WALKED: u64 = u64::MAX;

/// The state of snapshots, and of the last.
#[repr(C)]
#[derive(StableAbi)]
pub struct Snapshot {
    /// One of [`phase`]. It becomes [`phase::WALKING`] while all shards are locked.
    pub phase: AtomicU32,
    /// 1: another is to follow, which `BGSAVE SCHEDULE` has asked for.
    pub scheduled: AtomicU32,
    /// When a background thread was asked to go on, Unix ms; 0: none is at it.
    pub job_ms: AtomicU64,
    /// When it began, in monotonic nanoseconds.
    pub began_ns: AtomicU64,
    /// Changes to keys that had been counted when it began.
    pub changes: AtomicU64,
    /// Keys it is to write.
    pub keys: AtomicU64,
    /// Keys it has written.
    pub keys_written: AtomicU64,
    /// The database at which the walk stands, as it was called at the beginning.
    pub db: AtomicU64,
    /// The shard at which it stands.
    pub shard: AtomicU64,
    /// The shards that it is not done with in this database, a bit each.
    pub left: AtomicU64,
    /// 1 more than the database that the file has selected last; 0: none.
    pub selected: AtomicU64,
    /// Checksum of what has been handed to the shell.
    pub checksum: AtomicU64,
    /// Bytes of arena that are kept for it: values handed over, and those written ahead of the walk.
    pub held_bytes: AtomicU64,
    /// Bytes of tables handed over whole, with what is in them; not counted above.
    pub flushed_bytes: AtomicU64,
    /// The most there have been of them in it.
    pub held_peak: AtomicU64,
    /// How often a command has waited because there were too many of them.
    pub waits: AtomicU64,
    /// What is kept for it.
    pub kept: Locked<Kept>,
    /// When the last one was safe, Unix seconds; when the server started, if none has been.
    pub saved_s: AtomicU64,
    /// Changes to keys that it has.
    pub saved_changes: AtomicU64,
    /// When one last began, Unix seconds.
    pub tried_s: AtomicU64,
    /// What the file is: one of [`purpose`].
    pub purpose: AtomicU32,
    /// 1 more than the lane that goes on with it at the moment; 0: none does.
    pub in_step: AtomicU32,
    /// How long the last took, in seconds, and 1 more; 0: there was none.
    pub took_s: AtomicU64,
    /// Snapshots begun.
    pub begun: AtomicU64,
    /// The hash of a key with a large value that somebody waits for: it is written next.
    pub wanted: AtomicU64,
    /// 1 more than the key's database, as it is called now; 0: nobody waits.
    pub wanted_db: AtomicU64,
    /// 1: a backup is to be made as soon as no snapshot is under way. Set by the shell, cleared by
    /// logic when it begins.
    pub backup_wanted: AtomicU64,
    /// Zero.
    pub reserved: [u64; 7],
}

/// What is kept for the walk, in the order in which it came. Its lock is the last to be taken.
#[repr(C)]
#[derive(StableAbi)]
pub struct Kept {
    /// What is to be written and freed, the oldest first.
    pub first: Ptr<Handed>,
    /// The newest of them.
    pub last: Ptr<Handed>,
    /// Records of keys that were written ahead of the walk, the newest; more are handed over.
    pub records: RawBytes,
    /// 1 more than the database that these records have selected last; 0: none.
    pub selected: u64,
    /// The value that is being written in steps.
    pub large: Large,
}

/// What a snapshot is to write and then to free: an entry that is in no table any more, a table of
/// entries, or records.
#[repr(C)]
#[derive(StableAbi)]
pub struct Handed {
    /// The next.
    pub next: Ptr<Handed>,
    /// The database, as it was called when the snapshot began.
    pub db: u64,
    /// The entry, or 0.
    pub entry: u64,
    /// Records, which begin by selecting a database; or none.
    pub records: RawBytes,
    /// If it is neither of the two: its items are entries, of which those that are marked, or before
    /// [`Handed::walked`], are not written.
    pub table: RawTable,
    /// As [`crate::keyspace::ShardDb::walked`].
    pub walked: u64,
    /// Bytes that it is counted with.
    pub bytes: u64,
}

impl Handed {
    /// Whether it is a table of entries.
    pub fn is_table(&self) -> bool {
        self.entry == 0 && self.records.capacity == 0
    }
}

/// Values of [`Large::state`].
pub mod large {
    /// There is none.
    pub const NONE: u64 = 0;
    /// It is where its key leads, and marked: who wants to change it waits.
    pub const IN_PLACE: u64 = 1;
    /// It is in no table any more, and nobody else's.
    pub const DETACHED: u64 = 2;
    /// What was left of it is in [`super::Large::rest`].
    pub const WRITTEN: u64 = 3;
}

/// A value that is being written in steps: its record has begun, and nothing else can be written to
/// the file before its end.
#[repr(C)]
#[derive(StableAbi)]
pub struct Large {
    /// One of [`large`].
    pub state: u64,
    /// The database, as it was called when the snapshot began.
    pub db: u64,
    /// The hash of its key.
    pub hash: u64,
    /// Its key.
    pub key: RawBytes,
    /// Where in the value its encoding goes on.
    pub place: u64,
    /// The entry; only of one that is detached.
    pub entry: u64,
    /// Bytes that it is counted with since it was detached.
    pub bytes: u64,
    /// What was left of it, written at once by somebody who could not wait.
    pub rest: RawBytes,
}
