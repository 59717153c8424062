//! What a lane runs, as it stands in the arena for whoever looks at the lane from outside, or finds
//! the arena after the end of the process.

use abi::client_ref::ClientRef;
use abi::lane::{RUNNING_KEYS, Running};
use core::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use core::sync::atomic::compiler_fence;

use crate::heap::Heap;
use crate::lock::ShardSet;

/// The record of the calling lane. Only this lane stores there.
#[derive(Clone, Copy)]
pub struct RunningCommand(&'static Running);

/// A client's command about to run.
pub struct About<'a> {
    /// The client.
    pub client: ClientRef,
    /// The command's slot in the counters.
    pub slot: u32,
    /// Database of its keys.
    pub db: u32,
    /// Shards it locks.
    pub shards: ShardSet,
    /// Hashes of its keys.
    pub hashes: &'a [u64],
}

/// Words of a list of changed keys with so many words in it: the first says how many it has.
fn room_for(words: usize) -> usize {
    const ROOM_MIN: usize = 16;
    (words + 1).next_power_of_two().max(ROOM_MIN)
}

/// Words that a list of changed keys has.
///
/// # Safety
/// One is there.
unsafe fn room_of(list: u64) -> usize {
    // SAFETY: its first word.
    unsafe { *(list as *const u64) as usize }
}

impl RunningCommand {
    /// The record of a lane.
    pub fn new(record: &'static Running) -> Self {
        Self(record)
    }

    /// A command is about to lock its shards and to run.
    #[inline]
    pub fn begin(self, about: &About<'_>) {
        let record = self.0;
        record.client.store(about.client.0, Relaxed);
        record.db.store(about.db, Relaxed);
        record.shards.store(about.shards, Relaxed);
        record.key_count.store(about.hashes.len() as u64, Relaxed);
        for (place, hash) in record.hashes.iter().zip(about.hashes).take(RUNNING_KEYS) {
            place.store(*hash, Relaxed);
        }
        // Last: who sees it sees the rest.
        record.command.store(about.slot.saturating_add(1), Release);
    }

    /// When its code began to run.
    #[inline]
    pub fn since(self, ticks: u64) {
        self.0.since_ticks.store(ticks, Relaxed);
    }

    /// No command runs any more.
    #[inline]
    pub fn end(self) {
        self.0.command.store(0, Relaxed);
    }

    /// An entry is about to be changed where it is, in more than one step.
    #[inline(always)]
    pub fn changes(self, address: u64) {
        self.0.changing.store(address, Relaxed);
        compiler_fence(SeqCst);
    }

    /// None is being changed any more.
    #[inline(always)]
    pub fn has_changed(self) {
        compiler_fence(SeqCst);
        self.0.changing.store(0, Relaxed);
    }

    /// A command of a transaction or a script is about to change a key of a database.
    pub fn touches(self, heap: Heap, hash: u64, db: u32) {
        let len = self.0.touched_words.load(Relaxed) as usize;
        let list = match self.0.touched.load(Relaxed) {
            0 => self.make_list(heap, 0, len),
            // SAFETY: this lane's own list.
            list if unsafe { room_of(list) } < len + 3 => self.make_list(heap, list, len),
            list => list,
        };
        // SAFETY: the list has room for two words more, behind its first and those there are, and is
        // this lane's own.
        unsafe {
            let end = (list as *mut u64).add(1 + len);
            end.write(hash);
            end.add(1).write(db.into());
        }
        compiler_fence(SeqCst);
        self.0.touched_words.store(len as u64 + 2, Relaxed);
        compiler_fence(SeqCst);
    }

    /// Moves the `len` words of a list, which has no room for more, to one that has.
    #[cold]
    fn make_list(self, heap: Heap, old: u64, len: usize) -> u64 {
        let room = room_for(len + 2);
        let list = heap.alloc(room * size_of::<u64>());
        // SAFETY: the new one has room for more than the words of the old one, its first among them.
        unsafe {
            if old != 0 {
                (list as *mut u64).copy_from_nonoverlapping(old as *const u64, 1 + len);
            }
            (list as *mut u64).write(room as u64);
        }
        compiler_fence(SeqCst);
        self.0.touched.store(list, Relaxed);
        compiler_fence(SeqCst);
        if old != 0 {
            // SAFETY: allocated with as many words as it says, and nothing refers to it any more.
            unsafe { heap.free(old, room_of(old) * size_of::<u64>()) };
        }
        list
    }

    /// Something of many allocations goes out of the tables.
    #[inline]
    pub fn discards(self) {
        self.0.discarding.store(1, Relaxed);
        compiler_fence(SeqCst);
    }

    /// What went out of the tables is freed, or somebody else's to free.
    #[inline(always)]
    pub fn has_discarded(self) {
        if self.0.discarding.load(Relaxed) != 0 {
            compiler_fence(SeqCst);
            self.0.discarding.store(0, Relaxed);
        }
    }

    /// What was changed is no longer to be taken back.
    #[inline(always)]
    pub fn forget_touched(self) {
        if self.0.touched_words.load(Relaxed) != 0 {
            self.0.touched_words.store(0, Relaxed);
        }
    }

    /// The client whose command runs, if one does.
    #[inline]
    pub fn client(self) -> Option<ClientRef> {
        let runs = self.0.command.load(Relaxed) != 0;
        runs.then(|| ClientRef(self.0.client.load(Relaxed)))
    }
}
