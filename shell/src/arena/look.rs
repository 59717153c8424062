//! The roots of this process's arena, for those who only look: all that is handed out here is
//! atomic, or fixed before there is anybody to ask.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use abi::arena::ArenaHeader;
use abi::client::ClientTable;
use abi::effects::EffectsStream;
use abi::host::HostRef;
use abi::keyspace::ShardDb;
use abi::ptr::Ptr;
use abi::shared::Shared;
use abi::stats::LaneStats;
use abi::warming::CLASSES;

/// The table of clients.
pub fn clients(host: HostRef) -> &'static ClientTable {
    // SAFETY: a root.
    unsafe { root(header(host).clients) }
}

/// The effects stream.
pub fn effects(host: HostRef) -> &'static EffectsStream {
    // SAFETY: a root.
    unsafe { root(header(host).effects) }
}

/// The databases of all shards.
pub fn databases(host: HostRef) -> impl Iterator<Item = &'static ShardDb> {
    // SAFETY: a root.
    let keyspace = unsafe { root(header(host).keyspace) };
    let databases = keyspace.databases as usize;
    let shards = keyspace.shards.iter().filter(|shard| !shard.dbs.is_null());
    // SAFETY: every shard has one struct a database, made before the workers ran and never freed.
    shards.flat_map(move |s| unsafe { std::slice::from_raw_parts(s.dbs.as_ptr(), databases) })
}

/// What is neither a key nor a connection.
pub fn shared(host: HostRef) -> &'static Shared {
    // SAFETY: a root.
    unsafe { root(header(host).shared) }
}

/// Which keys may have been changed since they are being filled from elsewhere, if they ever were.
pub fn warming_bits(host: HostRef) -> Option<&'static [AtomicU64]> {
    let address = shared(host).warming.bits.load(Acquire);
    if address == 0 {
        return None;
    }
    // SAFETY: an allocation of this size that is never freed. Whatever is in it is valid for atomics,
    // as which alone it is looked at.
    Some(unsafe { std::slice::from_raw_parts(address as *const _, (CLASSES / 64) as usize) })
}

/// The counters of all lanes, both sets of each.
pub fn counters(host: HostRef) -> impl Iterator<Item = &'static LaneStats> {
    let first = first_counters(host);
    first.chain(second_counters(host))
}

/// The first set of the counters of each lane.
pub fn first_counters(host: HostRef) -> impl Iterator<Item = &'static LaneStats> {
    let lanes = shared(host).lanes.iter().filter(|lane| !lane.is_null());
    // SAFETY: a lane's record is made and kept like a root.
    lanes.map(|lane| unsafe { &root(*lane).stats })
}

/// The second set, see [`LaneStats::second`].
pub fn second_counters(host: HostRef) -> impl Iterator<Item = &'static LaneStats> {
    // SAFETY: made and kept like the first.
    first_counters(host).map(|first| unsafe { root(Ptr::new(first.second.load(Relaxed))) })
}

fn header(host: HostRef) -> &'static ArenaHeader {
    // SAFETY: what roots hang from is mapped as long as they are.
    unsafe { root(host.arena()()) }
}

/// What a root's pointer leads to.
///
/// # Safety
/// It is a root of the arena of a server that runs: complete before the first worker, never freed
/// or unmapped, and nobody refers to it exclusively since.
unsafe fn root<T>(pointer: Ptr<T>) -> &'static T {
    // SAFETY: as the caller promises.
    unsafe { &*pointer.as_ptr() }
}
