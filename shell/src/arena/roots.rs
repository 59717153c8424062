//! The root structs of a new arena.

use std::sync::atomic::Ordering;

use abi::aof::Aof;
use abi::client::ClientTable;
use abi::effects::EffectsStream;
use abi::keyspace::{Keyspace, SHARDS, Schema, ShardDb, placement};
use abi::lane::Lane;
use abi::ptr::Ptr;
use abi::root::{RootHead, kind};
use abi::schema::LEVEL_1;
use abi::shared::{CommandName, Shared};
use abi::stats::LaneStats;

use super::futex::ThisThread;
use super::{Arena, NoMemory, alloc_zeroed};
use crate::random;

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
    /// Shards have no databases yet, as their number is a setting. `now_ms` is Unix time.
    pub fn create(arena: &Arena, lanes: usize, now_ms: u64) -> Result<Self, NoMemory> {
        let roots = Self {
            keyspace: alloc_zeroed().ok_or(NoMemory)?,
            clients: alloc_zeroed().ok_or(NoMemory)?,
            shared: alloc_zeroed().ok_or(NoMemory)?,
            effects: alloc_zeroed().ok_or(NoMemory)?,
        };
        roots.fill(lanes, now_ms)?;
        // SAFETY: the header is mapped, and no other thread looks at it yet.
        let header = unsafe { &mut *arena.header() };
        header.keyspace = roots.keyspace;
        header.clients = roots.clients;
        header.shared = roots.shared;
        header.effects = roots.effects;
        Ok(roots)
    }

    /// The roots of an arena that another server has left, which a walk has found to be there.
    pub fn of(arena: &Arena) -> Self {
        // SAFETY: the header is mapped, and its roots were set when the arena was made.
        let header = unsafe { &*arena.header() };
        Self {
            keyspace: header.keyspace,
            clients: header.clients,
            shared: header.shared,
            effects: header.effects,
        }
    }

    fn fill(&self, lanes: usize, now_ms: u64) -> Result<(), NoMemory> {
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
        keyspace.placement = placement::SEEDED;
        *keyspace.schema.level.get_mut() = LEVEL_1.into();
        clients.head = RootHead::of::<ClientTable>(kind::CLIENT_TABLE, VERSION);
        clients.next_id.store(1, Ordering::Relaxed);
        shared.head = RootHead::of::<Shared>(kind::SHARED, VERSION);
        shared.started_ms = now_ms;
        shared.stats_reset_ms.store(shared.started_ms, Ordering::Relaxed);
        shared.run_id = run_id();
        shared.aof = alloc_zeroed().ok_or(NoMemory)?;
        for lane in &mut shared.lanes[..lanes] {
            *lane = alloc_zeroed::<Lane>().ok_or(NoMemory)?;
            let second = alloc_zeroed::<LaneStats>().ok_or(NoMemory)?;
            // SAFETY: a new record, all atomics, for which zeros are valid.
            unsafe { &*lane.as_ptr() }.stats.second.store(second.address(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// The schema level in force, and a pass that concerns it.
    pub fn schema(&self) -> &'static Schema {
        // SAFETY: the root is never freed, and all of this is atomics.
        unsafe { &(*self.keyspace.as_ptr()).schema }
    }

    /// Gives every shard its databases.
    pub fn create_databases(&self, databases: u64) -> Result<(), NoMemory> {
        // SAFETY: no thread but this one looks at the keyspace before the workers run.
        let keyspace = unsafe { &mut *self.keyspace.as_ptr() };
        let bytes = databases * size_of::<ShardDb>() as u64;
        let all = super::alloc(bytes * SHARDS as u64);
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

    /// What is told of the append-only log.
    pub fn aof(&self) -> &'static Aof {
        // SAFETY: made with the other roots, never freed, and all atomics.
        unsafe { &*self.shared().aof.as_ptr() }
    }

    /// The effects stream.
    pub fn effects(&self) -> &'static EffectsStream {
        // SAFETY: initialised, never freed, and changed only as `abi` allows it.
        unsafe { &*self.effects.as_ptr() }
    }

    /// How many lanes there are.
    pub fn lanes(&self) -> u32 {
        self.shared().lanes.iter().take_while(|lane| !lane.is_null()).count() as u32
    }

    /// What is kept for a lane.
    pub fn lane(&self, lane: u32) -> &'static Lane {
        let record = self.shared().lanes[lane as usize];
        assert!(!record.is_null(), "lane {lane} has no record");
        // SAFETY: allocated for the life of the process; all its fields are atomic.
        unsafe { &*record.as_ptr() }
    }

    /// The name of the command that has this slot. None if there is none, or while names are
    /// being added.
    pub fn command_name(&self, slot: u32) -> Option<String> {
        let names = self.shared().names.try_lock(ThisThread)?;
        let slots = &names.slots;
        if slot >= slots.len {
            return None;
        }
        // SAFETY: so many words are there, and nobody adds to them while they are locked. Each is
        // the address of a name, which stays as it is for the life of the process.
        let bytes = unsafe {
            let name = *slots.data.as_ptr().add(slot as usize) as *const CommandName;
            std::slice::from_raw_parts(name.add(1).cast::<u8>(), (*name).name_len as usize)
        };
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The table of clients: initialised, and never freed.
    pub fn clients(&self) -> Ptr<ClientTable> {
        self.clients
    }
}

/// 40 random hexadecimal digits.
fn run_id() -> [u8; 40] {
    let mut bytes = [0; 40];
    random::fill(&mut bytes);
    bytes.map(|byte| b"0123456789abcdef"[usize::from(byte & 15)])
}
