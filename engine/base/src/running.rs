//! What a lane runs, as it stands in the arena for whoever looks at the lane from outside, or finds
//! the arena after the end of the process.

use abi::client_ref::ClientRef;
use abi::lane::{RUNNING_KEYS, Running};
use core::sync::atomic::Ordering::{Relaxed, Release};

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

    /// The client whose command runs, if one does.
    #[inline]
    pub fn client(self) -> Option<ClientRef> {
        let runs = self.0.command.load(Relaxed) != 0;
        runs.then(|| ClientRef(self.0.client.load(Relaxed)))
    }
}
