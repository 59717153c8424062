//! The root structs of a new arena.

use std::sync::atomic::Ordering;

use abi::arena::{Ptr, RootHead, kind};
use abi::client::ClientTable;
use abi::config::id;
use abi::effects::EffectsStream;
use abi::keyspace::{Keyspace, SHARDS, ShardDb};
use abi::shared::Shared;
use abi::stats::LaneStats;

use crate::arena::{self, Arena, alloc_zeroed};
use crate::client::input::NoMemory;
use crate::client::limits;
use crate::client::table::Table;
use crate::worker::clock;

/// Layout version of all roots.
const VERSION: u32 = 1;

/// The roots. They are never freed.
pub struct Roots {
    keyspace: Ptr<Keyspace>,
    clients: Ptr<ClientTable>,
    shared: Ptr<Shared>,
    effects: Ptr<EffectsStream>,
}

// SAFETY: what the roots point to is made for access from all threads, as `abi` documents it.
unsafe impl Send for Roots {}
// SAFETY: as above.
unsafe impl Sync for Roots {}

impl Roots {
    /// Makes the roots, with counters for `lanes` lanes, and enters them in the arena's header.
    /// Shards have no databases yet, as their number is a setting.
    pub fn create(arena: &Arena, lanes: usize) -> Result<Self, NoMemory> {
        let roots = Self {
            keyspace: alloc_zeroed().ok_or(NoMemory)?,
            clients: alloc_zeroed().ok_or(NoMemory)?,
            shared: alloc_zeroed().ok_or(NoMemory)?,
            effects: alloc_zeroed().ok_or(NoMemory)?,
        };
        roots.fill(lanes)?;
        // SAFETY: the header is mapped, and no other thread looks at it yet.
        let header = unsafe { &mut *arena.header() };
        header.keyspace = roots.keyspace;
        header.clients = roots.clients;
        header.shared = roots.shared;
        header.effects = roots.effects;
        Ok(roots)
    }

    fn fill(&self, lanes: usize) -> Result<(), NoMemory> {
        // SAFETY: allocated just now, zeroed, which is valid for them, and nobody else's.
        let (keyspace, clients, shared, effects) = unsafe {
            (
                &mut *self.keyspace.as_ptr(),
                &mut *self.clients.as_ptr(),
                &mut *self.shared.as_ptr(),
                &mut *self.effects.as_ptr(),
            )
        };
        effects.head = EffectsStream::HEAD;
        keyspace.head = RootHead::of::<Keyspace>(kind::KEYSPACE, VERSION);
        clients.head = RootHead::of::<ClientTable>(kind::CLIENT_TABLE, VERSION);
        clients.next_id.store(1, Ordering::Relaxed);
        shared.head = RootHead::of::<Shared>(kind::SHARED, VERSION);
        shared.started_ms = clock::unix_ms();
        shared.stats_reset_ms.store(shared.started_ms, Ordering::Relaxed);
        shared.run_id = run_id();
        for lane in &mut shared.lanes[..lanes] {
            *lane = alloc_zeroed::<LaneStats>().ok_or(NoMemory)?;
        }
        Ok(())
    }

    /// Gives every shard its databases, as many as the settings say.
    pub fn create_databases(&self) -> Result<(), NoMemory> {
        let databases = limits::number(&self.shared().config, id::DATABASES).max(1);
        // SAFETY: no thread but this one looks at the keyspace before the workers run.
        let keyspace = unsafe { &mut *self.keyspace.as_ptr() };
        let bytes = databases * size_of::<ShardDb>() as u64;
        let all = arena::alloc(bytes * SHARDS as u64);
        if all == 0 {
            return Err(NoMemory);
        }
        // SAFETY: just allocated.
        unsafe { std::ptr::write_bytes(all as *mut u8, 0, (bytes * SHARDS as u64) as usize) };
        for (index, shard) in keyspace.shards.iter_mut().enumerate() {
            shard.dbs = Ptr::new(all + index as u64 * bytes);
        }
        keyspace.databases = databases as u32;
        Ok(())
    }

    /// Shared state.
    pub fn shared(&self) -> &'static Shared {
        // SAFETY: initialised, never freed, and changed only as `abi` allows it.
        unsafe { &*self.shared.as_ptr() }
    }

    /// The effects stream.
    pub fn effects(&self) -> &'static EffectsStream {
        // SAFETY: initialised, never freed, and changed only as `abi` allows it.
        unsafe { &*self.effects.as_ptr() }
    }

    /// Counters of a lane.
    pub fn lane_stats(&self, lane: u32) -> &'static LaneStats {
        let stats = self.shared().lanes[lane as usize];
        assert!(!stats.is_null(), "lane {lane} has no counters");
        // SAFETY: allocated for the life of the process; all its fields are atomic.
        unsafe { &*stats.as_ptr() }
    }

    /// The handle on the table of clients.
    pub(super) fn table(&self) -> Table {
        // SAFETY: initialised, never freed; the hub makes one handle only.
        unsafe { Table::new(self.clients) }
    }
}

/// 40 random hexadecimal digits.
fn run_id() -> [u8; 40] {
    let mut bytes = [0; 40];
    arena::host::random(bytes.as_mut_ptr(), bytes.len() as u64);
    bytes.map(|byte| b"0123456789abcdef"[usize::from(byte & 15)])
}
