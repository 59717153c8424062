//! What lanes held when their server ended, and whether all else may be believed as it is.
//!
//! It may because of what is true at every instruction:
//! - what is in a shard, and what its keys are made of, is changed by who holds the shard, and is whole
//!   when it is unlocked; what belongs to no shard is small enough to be walked over always
//! - the allocator is believed or not by itself (`arena/check/trust.rs`)
//! - memory that is nobody's is what a lane has taken and not put anywhere, or taken out and not freed:
//!   each lane tells what it has taken and freed since it began its batch, and that it takes out much
//!   (`discarding`); threads tell what is on its way between them (`lazy_bytes`, messages)
//!
//! So what little may be lost is bounded, counted, and found again by the next walk over everything.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use abi::shared::attention;
use abi::snapshot::phase;

use crate::arena::check::trust;
use crate::arena::layout;
use crate::arena::roots::Roots;

/// Bytes that may be nobody's after a recovery which trusts the allocator.
const IN_HAND_MAX: u64 = 1 << 20;
/// Bytes that may be nobody's after several: then everything is walked over again.
const LOST_MAX: u64 = 64 << 20;

/// Why all of the arena has to be walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A recovery had begun, and not come to its end.
    Recovery,
    /// A lane was inside the allocator.
    Allocator,
    /// Much memory may be nobody's.
    Memory,
    /// What was to be freed in the background is nobody's.
    Garbage,
    /// A snapshot was under way, or a file was being loaded.
    UnderWay,
    /// Every shard was held.
    AllHeld,
    /// What lanes held is damaged.
    Damage,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recovery => "a server ended while it recovered",
            Self::Allocator => "a lane was inside the allocator",
            Self::Memory => "much memory may be nobody's",
            Self::Garbage => "there was something to free in the background",
            Self::UnderWay => "a snapshot or a loading was under way",
            Self::AllHeld => "every shard was held",
            Self::Damage => "what lanes held is damaged",
        })
    }
}

/// What lanes held.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Shards that somebody held, a bit each.
    pub shards: u64,
    /// Why that is not all there is to look at.
    pub doubt: Option<Doubt>,
    /// Bytes at most that are nobody's.
    pub in_hand: u64,
}

impl Held {
    /// Of an arena that was left whole.
    pub const NOTHING: Self = Self { shards: 0, doubt: None, in_hand: 0 };
}

/// Looks at what lanes held, before any lock is opened. From here to [`complete`] nothing of that may be
/// believed once more.
///
/// # Safety
/// The roots are there, and no thread uses the arena.
pub unsafe fn look(roots: &Roots) -> Held {
    // SAFETY: the header is mapped, and the keyspace a root of it.
    let keyspace = unsafe { &*(*layout::header()).keyspace.as_ptr() };
    let held = (0..).zip(&keyspace.shards).filter(|(_, shard)| shard.lock.is_locked());
    let shards = held.fold(0, |set, (number, _)| set | 1u64 << number);
    // SAFETY: the caller's promise.
    let was_recovering = unsafe { trust::note_recovering(true) };
    // SAFETY: as above.
    let (is_quiet, in_hand, lost) =
        unsafe { (trust::is_quiet(), trust::bytes_in_hand(), trust::lost_bytes()) };
    let (shared, lanes) = (roots.shared(), roots.lanes());
    let upkeep = &shared.upkeep;
    let has_garbage = [&upkeep.lazy_pending, &upkeep.lazy_bytes].map(|word| word.load(Relaxed))
        != [0; 2]
        || (0..lanes).any(|lane| roots.lane(lane).running.discarding.load(Relaxed) != 0);
    let is_under_way = shared.snapshot.phase.load(Relaxed) != phase::NONE
        || shared.attention.load(Relaxed) & attention::LOADING != 0;
    let doubts = [
        (was_recovering, Doubt::Recovery),
        (!is_quiet, Doubt::Allocator),
        (has_garbage, Doubt::Garbage),
        (is_under_way, Doubt::UnderWay),
        (in_hand > IN_HAND_MAX || lost > LOST_MAX, Doubt::Memory),
        (shards == !0, Doubt::AllHeld),
    ];
    let doubt = doubts.into_iter().find_map(|(is_so, doubt)| is_so.then_some(doubt));
    Held { shards, doubt, in_hand }
}

/// The arena is whole, and clients are about to be served.
///
/// # Safety
/// As for [`look`].
pub unsafe fn complete() {
    // SAFETY: the caller's promise.
    unsafe { trust::note_recovering(false) };
}
