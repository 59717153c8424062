//! What an upgrade carries over, counted where it lies.

use std::sync::atomic::Ordering;

use abi::arena::ArenaHeader;
use abi::client::ClientTable;
use abi::host::HostRef;
use abi::keyspace::Keyspace;

use super::board::Effects;

/// What is in the arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections.
    pub clients: u64,
    /// Keys of all databases.
    pub keys: u64,
    /// The effects stream.
    pub effects: Effects,
}

/// Counts connections and keys. Takes no lock of theirs, so the counts are of slightly different moments
/// while clients write.
pub fn count(host: HostRef) -> Carried {
    let header: *const ArenaHeader = host.arena()().as_ptr();
    // SAFETY: the arena and its roots are never unmapped, and what is read below is either atomic
    // or fixed before the first client.
    let (clients, keyspace) = unsafe {
        let Some(header) = header.as_ref() else { return Carried::default() };
        (header.clients.as_ptr().as_ref(), header.keyspace.as_ptr().as_ref())
    };
    let clients =
        clients.map_or(0, |table: &ClientTable| table.count.load(Ordering::Relaxed).into());
    Carried { clients, keys: keyspace.map_or(0, keys), effects: effects(host) }
}

fn effects(host: HostRef) -> Effects {
    let stream = crate::effects::stream(host);
    Effects {
        position: stream.position(),
        readers: stream.consumers().len() as u64,
        bytes: stream.bytes(),
    }
}

fn keys(keyspace: &Keyspace) -> u64 {
    let databases = keyspace.databases as usize;
    let shards = keyspace.shards.iter().filter(|shard| !shard.dbs.is_null());
    // SAFETY: every shard has one struct a database, made before the first client.
    let dbs = shards.map(|s| unsafe { std::slice::from_raw_parts(s.dbs.as_ptr(), databases) });
    dbs.flatten().map(|db| db.keys.count.load(Ordering::Relaxed)).sum()
}
