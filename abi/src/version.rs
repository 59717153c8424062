//! Versions of the contract and the rule of compatibility.
//!
//! - A function table only grows at its end; a field, once published, keeps its type and meaning.
//! - A stored struct takes new fields out of its reserved space and raises its own layout version;
//!   it never changes size, order or meaning of what is there.
//! - What two releases must agree on while they share memory (hash, probe order, lock order,
//!   meaning of a counter) counts as layout.
//! - Anything else is a new [`ABI_VERSION`], and a library built for another one is refused.

/// The version of the whole contract. A library with another one is refused at load.
pub const ABI_VERSION: u32 = 3;

/// First word of an arena: `HOTSHELL` in ASCII, little-endian.
pub const ARENA_MAGIC: u64 = u64::from_le_bytes(*b"HOTSHELL");

/// Fingerprint of every stored layout: sizes, alignments and versions folded together.
///
/// A cheap equality that both sides compute at compile time. The field-by-field comparison, which
/// can name what differs, is done by `abi_stable` when a library is verified.
pub const LAYOUT_FINGERPRINT: u64 = fingerprint();

const fn fold(seed: u64, value: usize) -> u64 {
    // FNV-1a over the eight bytes of `value`; const fn rules out anything with traits.
    let mut hash = seed;
    let bytes = (value as u64).to_le_bytes();
    let mut i = 0;
    while i < 8 {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

const fn fingerprint() -> u64 {
    use core::mem::{align_of, size_of};
    macro_rules! layouts {
        ($($t:ty),* $(,)?) => { [$((size_of::<$t>(), align_of::<$t>())),*] };
    }
    let layouts = layouts![
        crate::arena::ArenaHeader,
        crate::client::Client,
        crate::client::ClientBlock,
        crate::client::ClientGuarded,
        crate::client::ClientShared,
        crate::client::ClientState,
        crate::client::ClientTable,
        crate::client::MultiState,
        crate::client::Subscriptions,
        crate::container::RawBuffer,
        crate::container::RawBytes,
        crate::container::RawHash,
        crate::container::RawTimedHash,
        crate::container::RawList,
        crate::container::RawSet,
        crate::container::RawSortedSet,
        crate::container::RawTable,
        crate::container::RawVec,
        crate::container::ListNode,
        crate::container::TreeInner,
        crate::container::TreeLeaf,
        crate::container::Bucket,
        crate::stream::RawStream,
        crate::stream::IdNode,
        crate::stream::IdSlot,
        crate::stream::StreamNode,
        crate::stream::StreamGroup,
        crate::stream::StreamConsumer,
        crate::stream::PendingEntry,
        crate::effects::EffectsStream,
        crate::effects::ConsumerSlot,
        crate::effects::LaneEffects,
        crate::effects::Extent,
        crate::keyspace::Keyspace,
        crate::keyspace::Shard,
        crate::keyspace::ShardDb,
        crate::keyspace::WatchedKey,
        crate::message::Message,
        crate::script::CachedScript,
        crate::script::FunctionLibrary,
        crate::shared::Shared,
        crate::snapshot::Handed,
        crate::stats::LaneStats,
        crate::lane::Lane,
        crate::tracking::TrackedKey,
        crate::tracking::TrackingClient,
        crate::stats::CommandSegment,
        crate::stats::CommandStat,
        crate::stats::Histogram,
        crate::wait::BlockedKey,
        crate::wait::Wait,
        crate::wait::Waiter,
    ];
    let mut hash = fold(0xcbf2_9ce4_8422_2325, ABI_VERSION as usize);
    let mut i = 0;
    while i < layouts.len() {
        hash = fold(fold(hash, layouts[i].0), layouts[i].1);
        i += 1;
    }
    hash
}
