//! Snapshots: all keys as they were at one moment, written while they go on changing.
//!
//! A *walk* goes over the keys of every shard in order of their hashes, a step at a time under the
//! shard's lock. What it has yet to come by is *ahead* of it. Invariants:
//!
//! - What is in the file for a key is what it was when all shards were locked at the beginning.
//!   Whoever changes a key that is ahead of the walk and not marked writes it out first and marks it;
//!   whoever removes it, or puts another entry in its place, hands the old entry over instead. There
//!   is no other way to an entry to change than through [`Found`](crate::Found), which sees to it.
//! - A key that comes to be ahead of the walk (new, renamed, moved, restored, in the place of another)
//!   is marked: it is no part. One that comes to be behind it is not: the walk does not come there
//!   any more. So when the walk is over, no entry has a mark.
//! - What was handed over is the walk's alone: nobody changes it, and it is freed once it is written.
//! - How far the walk has come lies with the tables themselves and moves with them when databases
//!   are swapped, and so does the number that the database had at the beginning.
//! - No entry's address is kept while its shard is not locked, but of those handed over.
//! - One that has been given up goes on as a walk that takes marks away, and writes nothing.
//!
//! Locks: a part's `walked` and `walk_db` belong to the shard's lock; [`Kept`] has its own, the last
//! to be taken.

pub mod begin;
mod keep;
mod records;
mod waits;
pub mod walk;

pub use keep::{give_up, hand_over_table, keep, mark, retire};
pub use records::{Form, Records};

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::aof::state as aof_state;
use abi::container::RawBytes;
use abi::host::level;
use abi::keyspace::mark as marks;
use abi::ptr::Ptr;
use abi::snapshot::{Handed, Kept, Large, Snapshot, WALKED, phase, purpose};
use abi::tracking::interest;

use base::attention;
use base::bytes::Bytes;
use base::core::Core;
use base::heap::Heap;
use base::lock::shard_of;
use base::roots::Roots;

/// How long after a rewriting of the log that has failed another begins by itself, and how often
/// that time is doubled at most when others fail.
const RETRY_MS: u64 = 1000;
const RETRY_DOUBLED_MAX: u32 = 6;

/// Bytes from which on a value is written in steps.
pub const LARGE_BYTES: usize = 64 << 10;

/// The state of snapshots.
pub fn state(roots: Roots) -> &'static Snapshot {
    &roots.shared().snapshot
}

/// What the file is for that a snapshot is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is the file of data.
    Data,
    /// It is to be a base of the append-only log.
    Aof,
    /// It is a backup, of which the shell keeps account.
    Backup,
}

/// That of the one under way, or of the last.
pub fn purpose(roots: Roots) -> Purpose {
    match state(roots).purpose.load(Relaxed) {
        purpose::AOF | purpose::AOF_COMMANDS => Purpose::Aof,
        purpose::BACKUP => Purpose::Backup,
        _ => Purpose::Data,
    }
}

/// What the file of the one under way is made of.
pub fn form(roots: Roots) -> Form {
    match state(roots).purpose.load(Relaxed) {
        purpose::AOF_COMMANDS => Form::Commands,
        _ => Form::Dumps,
    }
}

/// Says what the one is for that begins, and what its file is made of.
pub fn set_purpose(roots: Roots, purpose: Purpose, form: Form) {
    let number = match (purpose, form) {
        (Purpose::Data, _) => purpose::DATA,
        (Purpose::Aof, Form::Dumps) => purpose::AOF,
        (Purpose::Aof, Form::Commands) => purpose::AOF_COMMANDS,
        (Purpose::Backup, _) => purpose::BACKUP,
    };
    state(roots).purpose.store(number, Relaxed);
}

/// Notes that the one under way has failed, and says why.
pub fn note_failure(core: &Core, why: &str) {
    // Who has given it up need not be told.
    let why = if why.is_empty() { "it was given up" } else { why };
    let text = match (purpose(core.roots), core.roots.aof()) {
        (Purpose::Aof, Some(aof)) => {
            let failures = aof.failures.fetch_add(1, Relaxed);
            let pause_ms = RETRY_MS << failures.min(RETRY_DOUBLED_MAX);
            aof.not_before_ms.store(core.clock.now_ms as u64 + pause_ms, Relaxed);
            // Until the first is there, there is no log.
            if aof.state.load(Relaxed) == aof_state::WAITING {
                aof.wanted.store(1, Relaxed);
            }
            format!("the append-only log could not be rewritten: {why}")
        }
        (Purpose::Backup, _) => format!("a backup has failed: {why}"),
        _ => {
            attention::set(core.roots, attention::FAILED, true);
            format!("a snapshot has failed: {why}")
        }
    };
    core.host.log()(level::WARN, text.as_str().into());
}

/// Whether a snapshot is under way that may concern the key with this hash, whose shard is locked.
#[inline(always)]
pub fn concerns(roots: Roots, hash: u64) -> bool {
    roots.shard(shard_of(hash)).interest.load(Relaxed) & interest::SNAPSHOT != 0
}

/// Bytes that are kept for the one under way.
pub fn held_bytes(roots: Roots) -> u64 {
    let state = state(roots);
    state.held_bytes.load(Relaxed) + state.flushed_bytes.load(Relaxed)
}

/// Whether the last has failed.
pub fn has_failed(roots: Roots) -> bool {
    attention::has(roots, attention::FAILED)
}

/// Whether keys are being kept as they are.
pub fn is_walking(roots: Roots) -> bool {
    state(roots).phase.load(Relaxed) == phase::WALKING
}

/// What of an entry has yet to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Nothing.
    Nothing,
    /// All of it, as a key of this database.
    Whole(u64),
    /// What the walk has not come to: it is writing it in steps.
    Rest,
}

/// What has yet to be written of an entry with this mark, of the table of a hash and database.
fn due(core: &Core, (db, hash): (u32, u64), mark: u8) -> Due {
    if !is_walking(core.roots) {
        return Due::Nothing;
    }
    let part = core.roots.part(shard_of(hash), db);
    match mark {
        marks::NONE if is_ahead(part.walked.load(Relaxed), hash) => {
            Due::Whole(part.walk_db.load(Relaxed))
        }
        marks::BEING_WRITTEN => Due::Rest,
        _ => Due::Nothing,
    }
}

/// Whether a walk that has come so far has yet to come by a hash.
fn is_ahead(walked: u64, hash: u64) -> bool {
    walked != WALKED && hash >= walked
}

/// What is kept, to be changed.
struct Keeping<'a> {
    kept: &'a mut Kept,
    heap: Heap,
    state: &'static Snapshot,
}

/// Calls `f` with what is kept, locked.
fn with_kept<R>(core: &Core, f: impl FnOnce(&mut Keeping<'_>) -> R) -> R {
    let state = state(core.roots);
    let mut kept = state.kept.lock(core.locker());
    f(&mut Keeping { kept: &mut kept, heap: core.heap, state })
}

impl Keeping<'_> {
    /// What counts the bytes of something that is handed over.
    fn counter(&self, handed: &Handed) -> &'static AtomicU64 {
        match handed.is_table() {
            true => &self.state.flushed_bytes,
            false => &self.state.held_bytes,
        }
    }

    /// Counts bytes that are kept from now on.
    fn count(&self, bytes: u64) {
        let held = self.state.held_bytes.fetch_add(bytes, Relaxed) + bytes;
        self.state.held_peak.fetch_max(held, Relaxed);
    }

    fn uncount(&self, bytes: u64) {
        self.state.held_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Adds something to the end of what is handed over. Gives it back if there is no memory.
    fn push(&mut self, handed: Handed) -> Result<(), Handed> {
        let Some(address) = self.heap.try_alloc(size_of::<Handed>()) else { return Err(handed) };
        self.counter(&handed).fetch_add(handed.bytes, Relaxed);
        let new = Ptr::<Handed>::new(address);
        // SAFETY: a new allocation of the struct's size, the list's from here on; its last element is
        // live. `next` is only touched with the lock held, as it is, and by no reference.
        unsafe {
            new.as_ptr().write(handed);
            match self.kept.last.is_null() {
                true => self.kept.first = new,
                false => (*self.kept.last.as_ptr()).next = new,
            }
        }
        self.kept.last = new;
        self.count(0);
        Ok(())
    }

    /// Takes the oldest of what is handed over.
    fn pop(&mut self) -> Option<Handed> {
        let address = self.kept.first;
        if address.is_null() {
            return None;
        }
        // SAFETY: an element of the list, which was allocated with this size; it is read and freed
        // once, as the list goes on behind it.
        let handed = unsafe {
            let handed = address.as_ptr().read();
            self.heap.free(address.address(), size_of::<Handed>());
            handed
        };
        self.kept.first = handed.next;
        if self.kept.first.is_null() {
            self.kept.last = Ptr::NULL;
        }
        self.counter(&handed).fetch_sub(handed.bytes, Relaxed);
        Some(handed)
    }

    /// Forgets the value that was written in steps.
    fn forget_large(&mut self) {
        let mut old = core::mem::replace(&mut self.kept.large, NO_LARGE);
        Bytes::new(&mut old.key, self.heap).free();
        self.uncount(old.rest.len + old.bytes);
        Bytes::new(&mut old.rest, self.heap).free();
    }
}

const NO_LARGE: Large = Large {
    state: abi::snapshot::large::NONE,
    db: 0,
    hash: 0,
    key: RawBytes::EMPTY,
    place: 0,
    entry: 0,
    bytes: 0,
    rest: RawBytes::EMPTY,
};

/// The database's part of a shard that had this number when the snapshot began.
fn part_of(core: &Core, shard: usize, walk_db: u64) -> Option<u32> {
    let has_it = |db: u32| core.roots.part(shard, db).walk_db.load(Relaxed) == walk_db;
    let same = u32::try_from(walk_db).ok().filter(|db| *db < core.roots.databases());
    same.filter(|db| has_it(*db)).or_else(|| (0..core.roots.databases()).find(|db| has_it(*db)))
}
