//! The arena's root structs, as every part of the engine reaches them.

use abi::arena::ArenaHeader;
use abi::client::ClientTable;
use abi::config::{CONFIG_SLOTS, ConfigSlot, ConfigStore};
use abi::container::{RawBytes, RawTable};
use abi::host::HostRef;
use abi::keyspace::{Keyspace, SHARDS, Shard};
use abi::shared::Shared;
use abi::stats::LaneStats;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Addresses of the roots. Valid for the life of the process: the arena is never unmapped.
#[derive(Clone, Copy)]
pub struct Roots {
    keyspace: *mut Keyspace,
    clients: *mut ClientTable,
    shared: *mut Shared,
    /// Seed of the key hash.
    pub seed: [u64; 2],
}

impl Roots {
    /// The roots of the host's arena.
    pub fn of(host: HostRef) -> Self {
        let header: *mut ArenaHeader = host.arena()().as_ptr();
        // SAFETY: the host's arena has a complete header before it loads any logic.
        let header = unsafe { &*header };
        Self {
            keyspace: header.keyspace.as_ptr(),
            clients: header.clients.as_ptr(),
            shared: header.shared.as_ptr(),
            seed: header.hash_seed,
        }
    }

    /// Databases.
    pub fn databases(&self) -> u32 {
        // SAFETY: never changed after the arena was made.
        unsafe { (*self.keyspace).databases }
    }

    /// A shard. Everything in it but the lock is only to be touched under that lock.
    #[inline]
    pub fn shard(&self, index: usize) -> *mut Shard {
        assert!(index < SHARDS);
        // SAFETY: the index is within the array.
        unsafe { (&raw mut (*self.keyspace).shards).cast::<Shard>().add(index) }
    }

    /// A database's tables in a shard: its keys, and those of them with a time to live. Without
    /// the shard's lock only what is atomic in them may be looked at.
    #[inline]
    pub fn tables(&self, shard: usize, db: u32) -> (&'static RawTable, &'static RawTable) {
        debug_assert!(db < self.databases());
        // SAFETY: shards and their databases live as long as the process; `db` is below their
        // number; tables are atomics but for what is reserved.
        unsafe {
            let part = (*self.shard(shard)).dbs.as_ptr().add(db as usize);
            (&(*part).keys, &(*part).expires)
        }
    }

    /// The settings.
    #[inline]
    pub fn config(&self) -> &'static ConfigStore {
        // SAFETY: the root lives as long as the process; texts are only touched under its lock.
        unsafe { &(*self.shared).config }
    }

    /// The text of a setting, only to be touched under the lock of the settings.
    pub fn config_text(&self, slot: usize) -> *mut RawBytes {
        assert!(slot < CONFIG_SLOTS);
        // SAFETY: the root lives as long as the process; the index is within the array.
        unsafe {
            let slots = (&raw mut (*self.shared).config.slots).cast::<ConfigSlot>();
            &raw mut (*slots.add(slot)).text
        }
    }

    /// Everything that is neither key nor connection. Fields under a lock are only to be touched
    /// with it; the others are atomics.
    pub fn shared(&self) -> *mut Shared {
        self.shared
    }

    /// When the server started, Unix ms.
    pub fn started_ms(&self) -> u64 {
        // SAFETY: the root lives as long as the process; the field is set before logic is loaded.
        unsafe { (*self.shared).started_ms }
    }

    /// 40 hexadecimal digits that name this run of the server.
    pub fn run_id(&self) -> String {
        // SAFETY: as in `started_ms`.
        let digits = unsafe { (*self.shared).run_id };
        String::from_utf8_lossy(&digits).into_owned()
    }

    /// Clients that wait for a key.
    pub fn blocked_clients(&self) -> &'static AtomicU32 {
        // SAFETY: the root lives as long as the process.
        unsafe { &(*self.shared).blocked_clients }
    }

    /// 1 while keys are not removed before somebody asks for them.
    pub fn active_expire_off(&self) -> &'static AtomicU32 {
        // SAFETY: the root lives as long as the process.
        unsafe { &(*self.shared).active_expire_off }
    }

    /// How often the replication id was changed.
    pub fn replication_id_changes(&self) -> &'static AtomicU64 {
        // SAFETY: the root lives as long as the process.
        unsafe { &(*self.shared).replication_id_changes }
    }

    /// The connections, under [`ClientTable::lock`].
    pub fn clients(&self) -> *mut ClientTable {
        self.clients
    }

    /// The counters of a lane, if that lane exists.
    pub fn lane_stats(&self, lane: usize) -> Option<&'static LaneStats> {
        // SAFETY: the array is filled before logic is loaded and never changed; all counters are
        // atomics.
        unsafe { (&(*self.shared).lanes)[lane].as_ptr().as_ref() }
    }

    /// The counters of all lanes.
    pub fn all_stats(&self) -> impl Iterator<Item = &'static LaneStats> + use<> {
        let roots = *self;
        (0..abi::stats::LANES_MAX).filter_map(move |lane| roots.lane_stats(lane))
    }
}
