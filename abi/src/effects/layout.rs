//! What is stored of the stream. All bytes zero is a valid stream: closed, at position 0.

use abi_stable::StableAbi;

use super::sync::{AtomicU32, AtomicU64, Lock};
use crate::root::{RootHead, kind};
use crate::stats::LANES_MAX;

/// Most consumers at a time.
pub const CONSUMERS_MAX: usize = 8;

/// Bytes of a consumer's name.
pub const NAME_MAX: usize = 24;

/// Lanes that may write. The tests that explore interleavings have fewer: each atomic costs there.
pub(super) const LANES: usize = if cfg!(test) { 3 } else { LANES_MAX };

/// Bytes of effects that a lane may have put by, a power of two.
pub(super) const DEFERRED_MAX: u64 = if cfg!(test) { 64 } else { 4096 };

/// Root of the effects stream.
///
/// The first line is what every writer looks at, and hardly ever changes. The second is what
/// the holder of `lock` changes; fields there that others read without the lock say so.
#[repr(C, align(64))]
#[derive(StableAbi)]
#[cfg_attr(test, sabi(unsafe_opaque_fields))]
pub struct EffectsStream {
    /// [`crate::root::kind::EFFECTS`]
    pub head: RootHead,
    /// Consumers that have their place. All that a write without consumers looks at.
    pub(super) active: AtomicU32,
    /// One more than the highest lane that has written. Never falls. Changed under `lock`.
    pub(super) lanes_used: AtomicU32,
    /// Address of the ring; 0: the stream is closed. Changed under `lock`.
    pub(super) ring: AtomicU64,
    /// Bytes of the ring, a power of two. Changed under `lock`.
    pub(super) capacity: AtomicU64,
    /// Rises when the stream is opened or closed, which voids all credit. Changed under `lock`.
    pub(super) epoch: AtomicU64,
    /// Zero.
    pub(super) reserved0: [u64; 2],

    /// Guards the end of the stream, the table of consumers and the list of extents.
    pub(super) lock: Lock,
    /// One more than the database of the last effect; 0: the next effect names its own.
    pub(super) db: AtomicU32,
    /// Where the next effect begins. Also read without the lock.
    pub(super) position: AtomicU64,
    /// Bytes of the stream that lie, or lay, in extents and not in the ring: a position's place
    /// in the ring is the position less those before it.
    pub(super) skew: AtomicU64,
    /// The place in the ring up to which room has been promised: the end of the stream's part in
    /// the ring, and all lanes' credit.
    pub(super) promised: AtomicU64,
    /// Address of the first [`Extent`]; 0: none.
    pub(super) first_extent: AtomicU64,
    /// Address of the last.
    pub(super) last_extent: AtomicU64,
    /// Bytes of the stream in extents.
    pub(super) spilled: AtomicU64,
    /// Bytes that lanes may put into extents, promised to them.
    pub(super) spill_promised: AtomicU64,

    /// Most bytes in extents, given and promised.
    pub(super) spill_max: AtomicU64,
    /// Where the stream was when it was opened.
    pub(super) opened_at: AtomicU64,
    /// End of the last extent that was given back.
    pub(super) dropped_to: AtomicU64,
    /// The id the last consumer got.
    pub(super) last_id: AtomicU64,
    /// Consumers that were cut off, ever.
    pub(super) cut_offs: AtomicU64,
    /// Extents made, ever.
    pub(super) spills: AtomicU64,
    /// Times a writer was told to wait, ever.
    pub(super) waits: AtomicU64,
    /// Zero.
    pub(super) reserved1: [u64; 9],

    /// Who reads. Changed under `lock`.
    pub(super) consumers: [ConsumerSlot; CONSUMERS_MAX],
    /// Who writes.
    pub(super) lanes: [LaneEffects; LANES],
}

/// What happens when a consumer is as far behind as the ring is large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Policy {
    /// Writers wait for it, before they lock anything.
    Hold = 0,
    /// It loses its place, and writers go on.
    CutOff = 1,
}

/// A place in the table of consumers. Under [`EffectsStream`]'s lock.
#[repr(C, align(64))]
#[derive(StableAbi, Default)]
#[cfg_attr(test, sabi(unsafe_opaque_fields))]
pub struct ConsumerSlot {
    /// Never used again; 0 while the place is free.
    pub(super) id: AtomicU64,
    /// How far it has read.
    pub(super) position: AtomicU64,
    /// Bytes before `position` that lay in extents.
    pub(super) skew: AtomicU64,
    /// A value of [`state`].
    pub(super) state: AtomicU32,
    /// A [`Policy`].
    pub(super) policy: AtomicU32,
    /// UTF-8, padded with zeros.
    pub(super) name: [AtomicU64; NAME_MAX / 8],
    /// Zero.
    pub(super) reserved: [u64; 9],
}

/// Values of [`ConsumerSlot::state`].
pub(super) mod state {
    /// Nobody's.
    pub const FREE: u32 = 0;
    /// Has its place.
    pub const PRESENT: u32 = 1;
    /// Has its place, and copies bytes out right now.
    pub const READING: u32 = 2;
    /// Has lost its place while it copied: its room is not free yet.
    pub const CUT_READING: u32 = 3;
    /// Has lost its place.
    pub const CUT: u32 = 4;
}

/// What one lane has of the stream.
///
/// Only its writer stores in the first line. In the second so does who pays for the lane, which
/// others may at any time.
#[repr(C, align(64))]
#[derive(StableAbi, Default)]
#[cfg_attr(test, sabi(unsafe_opaque_fields))]
pub struct LaneEffects {
    /// The epoch of the credit.
    pub(super) epoch: AtomicU64,
    /// Bytes of room in the ring that are this lane's.
    pub(super) credit: AtomicU64,
    /// Bytes of extents that are this lane's.
    pub(super) spill_credit: AtomicU64,
    /// Where effects are put by: a ring of [`DEFERRED_MAX`] bytes; 0: the lane never has.
    pub(super) deferred_place: AtomicU64,
    /// Bytes that were ever put by. The room for those that are not yet paid is no more in `credit`.
    pub(super) put: AtomicU64,
    /// The database of those that are not yet paid.
    pub(super) deferred_db: AtomicU32,
    /// Zero.
    pub(super) reserved0: u32,
    /// Zero.
    pub(super) reserved1: [u64; 2],

    /// One more than the position from which this lane is still copying; 0: from none.
    pub(super) copying: AtomicU64,
    /// Where what it copies ends. With `copying` it tells what a lane that died left undone.
    pub(super) copying_to: AtomicU64,
    /// Of the bytes put by, how many have been appended. Stored by who pays only.
    pub(super) paid: AtomicU64,
    /// How many will have been, once who pays is done. Likewise.
    pub(super) paying_to: AtomicU64,
    /// Held by who pays.
    pub(super) deferred_lock: Lock,
    /// How far who pays has come. Stored by who pays only.
    pub(super) paying: AtomicU32,
    /// Zero.
    pub(super) reserved2: [u64; 3],
}

/// Bytes of the stream that are not in the ring. Followed by them.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Extent {
    /// Where they begin in the stream.
    pub position: u64,
    /// How many they are.
    pub len: u64,
    /// Bytes of the stream before them that went to extents.
    pub skew: u64,
    /// Address of the next extent, which begins further on; 0: none.
    pub next: u64,
    /// Bytes of this allocation.
    pub allocated: u64,
}

impl Extent {
    /// One that is not yet in the list.
    pub(super) const fn new(position: u64, len: u64, skew: u64) -> Self {
        Self { position, len, skew, next: 0, allocated: 0 }
    }
}

impl EffectsStream {
    /// The head of every stream.
    pub const HEAD: RootHead = RootHead::of::<Self>(kind::EFFECTS, 1);
}

impl Default for EffectsStream {
    /// A closed stream at position 0.
    fn default() -> Self {
        Self {
            head: Self::HEAD,
            active: Default::default(),
            lanes_used: Default::default(),
            ring: Default::default(),
            capacity: Default::default(),
            epoch: Default::default(),
            reserved0: Default::default(),
            lock: Default::default(),
            db: Default::default(),
            position: Default::default(),
            skew: Default::default(),
            promised: Default::default(),
            first_extent: Default::default(),
            last_extent: Default::default(),
            spilled: Default::default(),
            spill_promised: Default::default(),
            spill_max: Default::default(),
            opened_at: Default::default(),
            dropped_to: Default::default(),
            last_id: Default::default(),
            cut_offs: Default::default(),
            spills: Default::default(),
            waits: Default::default(),
            reserved1: Default::default(),
            consumers: core::array::from_fn(|_| Default::default()),
            lanes: core::array::from_fn(|_| Default::default()),
        }
    }
}
