//! Where memory goes: what `INFO memory` and `MEMORY` tell.

use core::sync::atomic::Ordering::Relaxed;

use abi::host::ProcessInfo;

use crate::session::census;
use crate::session::scripts::Totals;
use base::core::Core;
use keyspace::{Keys, totals};

/// Bytes in use, and for what.
pub struct Usage {
    /// What the process uses.
    pub process: ProcessInfo,
    /// In use in the arena.
    pub used: u64,
    /// Between what is in use in the arena, so that it cannot go back to the system.
    pub scattered: u64,
    /// The most that was ever seen in use.
    pub peak: u64,
    /// In use before the first key.
    pub startup: u64,
    /// Of connections: what is there for each, and unsent or unread data.
    pub clients: u64,
    /// Of the effects stream: its ring and what lies beside it.
    pub effects: u64,
    /// What is kept for a snapshot under way.
    pub snapshot: u64,
    /// Bytes on their way to the append-only log, which are not in the arena.
    pub aof: u64,
    /// Of scripts and functions.
    pub scripts: Totals,
    /// Of the tables of each database that has keys.
    pub tables: Vec<DbTables>,
}

/// The tables of a database, without the entries.
pub struct DbTables {
    /// Its number.
    pub db: u32,
    /// Keys.
    pub keys: u64,
    /// Bytes of the tables of all keys.
    pub keys_bytes: u64,
    /// Bytes of the tables of keys with a time to live.
    pub expires_bytes: u64,
}

impl Usage {
    /// As it is now.
    pub fn now(core: &mut Core) -> Self {
        let process = core.host.process_info()();
        let used = process.used_bytes;
        let shared = core.roots.shared();
        let peak = shared.peak_used_bytes.fetch_max(used, Relaxed).max(used);
        let startup = shared.startup_bytes.load(Relaxed);
        let tables = (0..core.roots.databases())
            .map(|db| (db, totals::of(&mut Keys::new(core, db))))
            .filter(|(_, totals)| totals.keys > 0)
            .map(|(db, totals)| DbTables {
                db,
                keys: totals.keys,
                keys_bytes: totals.keys_bytes,
                expires_bytes: totals.expires_bytes,
            })
            .collect();
        let effects = core.effects.stream_bytes();
        let snapshot = keyspace::snapshot::held_bytes(core.roots);
        let aof = core.roots.aof().map_or(0, |aof| aof.buffered.load(Relaxed));
        let clients = census::summary(core).bytes;
        let scripts = Totals::now(core);
        let scattered = core.host.scattered_bytes()();
        Self {
            process,
            used,
            scattered,
            peak,
            startup,
            clients,
            effects,
            snapshot,
            aof,
            scripts,
            tables,
        }
    }

    /// Of the arena what is in use or lies between that: all that can not simply go back.
    pub fn active(&self) -> u64 {
        self.used + self.scattered
    }

    /// All that is not a key or a value.
    pub fn overhead(&self) -> u64 {
        let bytes = |table: &DbTables| table.keys_bytes + table.expires_bytes;
        let tables = self.tables.iter().map(bytes).sum::<u64>();
        let kept = self.effects + self.snapshot;
        self.startup + self.clients + kept + self.scripts.source_bytes() + tables
    }

    /// Keys and values.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// All that came after the start.
    pub fn net(&self) -> u64 {
        self.used.saturating_sub(self.startup)
    }

    /// What a server of Redis tells of its allocator: three quotients by name, each of two numbers
    /// of bytes.
    pub fn quotients(&self) -> [(&'static str, u64, u64); 3] {
        let resident = self.process.resident_arena_bytes;
        [
            ("allocator_frag", self.active(), self.used),
            ("allocator_rss", resident, self.active()),
            ("rss_overhead", self.process.rss_bytes, resident),
        ]
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.tables.iter().map(|table| table.keys).sum()
    }
}
