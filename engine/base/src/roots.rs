//! The arena's root structs, as every part of the engine reaches them.
//!
//! All of them may be looked at by everybody at any time: what can change is atomic or behind a
//! lock, the rest is written before logic is loaded.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Acquire;

use abi::aof::Aof;
use abi::arena::ArenaHeader;
use abi::client::ClientTable;
use abi::config::ConfigStore;
use abi::host::HostRef;
use abi::keyspace::{Keyspace, Schema, Shard, ShardDb, placement};
use abi::lane::Lane;
use abi::schema::LEVEL_1;
use abi::shared::Shared;
use abi::stats::{LANES_MAX, LaneStats};
use abi::warming::CLASSES;
use core::sync::atomic::Ordering::Relaxed;

/// The roots. Valid for the life of the process: the arena is never unmapped.
#[derive(Clone, Copy)]
pub struct Roots {
    keyspace: &'static Keyspace,
    clients: &'static ClientTable,
    shared: &'static Shared,
    /// Seed of the key hash.
    pub seed: [u64; 2],
}

impl Roots {
    /// The roots of the host's arena.
    pub fn of(host: HostRef) -> Self {
        let header: *mut ArenaHeader = host.arena()().as_ptr();
        // SAFETY: the host's arena has a complete header before it loads any logic, and is never
        // unmapped. These fields do not change after that; of the others, the allocator's among
        // them, no reference is made. Nobody makes an exclusive reference to a root any more.
        unsafe {
            Self {
                keyspace: &*(*header).keyspace.as_ptr(),
                clients: &*(*header).clients.as_ptr(),
                shared: &*(*header).shared.as_ptr(),
                seed: (*header).hash_seed,
            }
        }
    }

    /// Whether encodings of a schema level may be written. To be asked with the shards locked that they
    /// are to be in.
    #[inline]
    pub fn writes(&self, level: u32) -> bool {
        self.schema_level() >= level
    }

    /// The schema level in force.
    pub fn schema_level(&self) -> u32 {
        (self.schema().level.load(Relaxed) as u32).max(LEVEL_1)
    }

    /// The schema level in force, and a pass that concerns it.
    pub fn schema(&self) -> &'static Schema {
        &self.keyspace.schema
    }

    /// Whether keys are placed as this engine places them.
    pub fn is_placement_known(&self) -> bool {
        self.keyspace.placement == placement::SEEDED
    }

    /// Databases.
    #[inline]
    pub fn databases(&self) -> u32 {
        self.keyspace.databases
    }

    /// A shard.
    #[inline]
    pub fn shard(&self, index: usize) -> &'static Shard {
        &self.keyspace.shards[index]
    }

    /// A database's part of a shard. Without the shard's lock its tables may only be looked at for
    /// hints.
    #[inline]
    pub fn part(&self, shard: usize, db: u32) -> &'static ShardDb {
        assert!(db < self.databases());
        // SAFETY: shards and their databases live as long as the process, `db` is below their
        // number, and all of a part is atomics.
        unsafe { &*self.shard(shard).dbs.as_ptr().add(db as usize) }
    }

    /// The settings.
    #[inline]
    pub fn config(&self) -> &'static ConfigStore {
        &self.shared.config
    }

    /// Everything that is neither key nor connection.
    #[inline]
    pub fn shared(&self) -> &'static Shared {
        self.shared
    }

    /// 40 hexadecimal digits that name this run of the server.
    pub fn run_id(&self) -> String {
        String::from_utf8_lossy(&self.shared.run_id).into_owned()
    }

    /// The connections.
    pub fn clients(&self) -> &'static ClientTable {
        self.clients
    }

    /// The append-only log, where there can be one.
    pub fn aof(&self) -> Option<&'static Aof> {
        // SAFETY: the pointer is set before logic is loaded and never changed; what it leads to lives
        // as long as the process and is all atomics.
        unsafe { self.shared.aof.as_ptr().as_ref() }
    }

    /// Which keys may have been changed since they are being filled from elsewhere.
    pub fn warming_bits(&self) -> Option<&'static [AtomicU64]> {
        let address = self.shared.warming.bits.load(Acquire);
        if address == 0 {
            return None;
        }
        // SAFETY: the shell has allocated so many words, filled them before it stored the address, and
        // never frees them; all are atomics.
        Some(unsafe { core::slice::from_raw_parts(address as *const _, (CLASSES / 64) as usize) })
    }

    /// What is kept for a lane, if that lane exists.
    pub fn lane(&self, number: usize) -> Option<&'static Lane> {
        // SAFETY: the array is filled before logic is loaded and never changed; a lane's record
        // lives as long as the process and is all atomics.
        unsafe { self.shared.lanes[number].as_ptr().as_ref() }
    }

    /// The counters of all lanes, both sets of each.
    pub fn counters(&self) -> impl Iterator<Item = &'static LaneStats> + use<> {
        self.lanes().flat_map(|lane| [Some(&lane.stats), second(&lane.stats)]).flatten()
    }

    /// What is kept for all lanes.
    pub fn lanes(&self) -> impl Iterator<Item = &'static Lane> + use<> {
        let roots = *self;
        (0..LANES_MAX).filter_map(move |number| roots.lane(number))
    }
}

/// The second set of counters of the lane whose first set this is.
pub fn second(stats: &LaneStats) -> Option<&'static LaneStats> {
    // SAFETY: 0, or the address of counters that the shell has made before it loaded any logic, and
    // never frees; they are all atomics.
    unsafe { (stats.second.load(Relaxed) as *const LaneStats).as_ref() }
}
