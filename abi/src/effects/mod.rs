//! The effects stream: what every write did, as one ordered stream of bytes with several readers.
//!
//! An effect is a deterministic command as a RESP array of bulk strings. Between effects there may
//! be line feeds, which mean nothing: what a lane reserved and did not fill before it died. `MULTI` and `EXEC` stand
//! around the effects of a transaction, `SELECT` before an effect whose database differs from that
//! of the one before. A position counts the bytes before it, from 0 in a new arena; nothing but
//! effects is counted. Both shell and logic append and read, so the algorithm is part of the
//! contract, like that of [`crate::lock`].
//!
//! - [`layout`]: what is stored
//! - [`Stream`]: its root and the functions it needs
//! - [`tail`]: the end of the stream and the room in the ring, under the lock
//! - [`writer`]: credit, and appending
//! - [`deferred`]: effects put by, and appended together
//! - [`debt`]: what a shard says of them
//! - [`consumers`]: who reads: joining, reading, advancing, leaving
//! - [`recovery`]: what a process that died left undone
//! - [`memory`]: the ring and the extents as bytes; all that is `unsafe` is there
//!
//! # Invariants
//!
//! Order. A writer appends while it holds the locks of the shards it has changed. So two effects
//! on one key, and the effects of two transactions that share a key, stand in the order in which
//! they were executed.
//!
//! Deferral. A lane may put effects by and append them later, when it says so in the shards
//! ([`Debt`]) before it gives them back: whoever takes such a shard first appends what that lane has
//! put by, all of it. So effects of one lane that are put by and effects of another never concern
//! the same shard, and the order above holds. Their room is promised when they are put by.
//!
//! Publication. Under the lock a writer first says from where it is going to copy
//! (`LaneEffects::copying`), then moves the end (`position`, release). It copies without the lock,
//! then clears `copying` (release). A reader loads the end first (acquire), then every lane's
//! `copying` (acquire): the smallest of them all is the *frontier*. If the end it saw includes a
//! reservation, it also sees that lane's `copying` from then, and stays before it, or a later
//! value, and then the bytes have been copied. So everything before the frontier is whole.
//!
//! Room. *Place* is the position less all bytes before it that went to extents; the ring holds the
//! byte of a place at `place % capacity`. `promised` is the place of the end plus the credit of all
//! lanes. It never exceeds the smallest place of a consumer by more than the capacity. So a lane
//! that appends within its credit overwrites nothing that is to be read, and need not look.
//!
//! Waiting. Credit is asked for before any shard is locked, by an upper bound. Whoever holds a
//! shard waits for nobody: an effect larger than its credit takes what room is free, else goes to
//! an extent, an allocation of its own that readers come by in its turn. Extents are bounded
//! (`spill_max`) by credit too; only an effect that nobody could foresee may go beyond, as it has
//! happened already.
//!
//! Progress. A lane that is not between asking and appending keeps at most its share of credit,
//! and all shares together are a quarter of the ring; no lane is granted more than half of it. So
//! once consumers have caught up, any one lane can be granted anything.
//!
//! Lifetime. The ring may be freed once the stream is closed, which takes that nobody reads, and
//! then every lane has been seen not to copy since. An extent is freed once no consumer is before
//! its end and it is wholly before the frontier.

pub mod consumers;
mod debt;
mod deferred;
pub mod layout;
mod memory;
mod recovery;
mod stream;
mod sync;
mod tail;
pub mod writer;

#[cfg(test)]
mod interleavings;

use tail::Tail;

pub use consumers::{Consumer, ConsumerInfo, JoinError, Lost};
pub use debt::Debt;
pub use deferred::deferred_at_most;
pub use layout::{ConsumerSlot, EffectsStream, Extent, LaneEffects, Policy};
pub use stream::{Calls, Ring, SELECT_MAX, Stream};
pub use sync::Ordering;
pub use writer::{Credit, Dbs, NoRoom, Writer};

impl<'a> Stream<'a> {
    /// How far effects are complete: nothing before this is still being copied.
    pub fn frontier(&self) -> u64 {
        // The end first: see "Publication" in the module's documentation.
        let end = self.position();
        let lanes = self.raw.lanes_used.load(Ordering::Acquire) as usize;
        self.raw.lanes[..lanes]
            .iter()
            .map(|lane| lane.copying.load(Ordering::Acquire))
            .filter(|copying| *copying != 0)
            .fold(end, |frontier, copying| frontier.min(copying - 1))
    }

    /// Gives the stream its ring. `spill_max` bounds what goes to extents. `false`: it has one.
    ///
    /// # Safety
    /// The ring's memory is readable and writable, nobody else's, and stays so until
    /// [`Stream::close`] has returned it.
    pub unsafe fn open(&self, ring: Ring, spill_max: u64) -> bool {
        assert!(ring.capacity.is_power_of_two() && ring.address != 0);
        let tail = self.tail();
        let is_closed = !tail.is_open();
        if is_closed {
            tail.open(ring, spill_max);
        }
        is_closed
    }

    /// Takes the ring away, and returns it to be freed. Nothing, if it is closed, or somebody
    /// reads. `wait` is called while a lane still copies into it: that takes no longer than the
    /// copying, but the lane's thread may have been put aside.
    pub fn close(&self, wait: impl Fn()) -> Option<Ring> {
        let (ring, end) = {
            let tail = self.tail();
            (tail.close()?, tail.position())
        };
        for lane in &self.raw.lanes[..self.raw.lanes_used.load(Ordering::Acquire) as usize] {
            let copying = lane.copying.load(Ordering::Acquire);
            // Another value later means another copy: positions do not come again.
            while copying != 0 && lane.copying.load(Ordering::Acquire) == copying {
                wait();
            }
        }
        let passed = self.tail().drop_extents(end);
        self.free_extents(passed);
        Some(ring)
    }

    /// The most bytes of one transaction that a writer can be granted: [`Writer::ask`] for more is
    /// refused. `u64::MAX` while nobody reads.
    pub fn largest(&self) -> u64 {
        let tail = self.tail();
        if tail.is_open() { tail.largest() } else { u64::MAX }
    }

    /// Bytes that the stream takes beside its root: the ring and the extents.
    pub fn bytes(&self) -> u64 {
        let raw = self.raw;
        let capacity = raw.capacity.load(Ordering::Relaxed);
        let ring = if self.is_open() { capacity } else { 0 };
        ring + raw.spilled.load(Ordering::Relaxed)
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        Counts {
            cut_offs: self.raw.cut_offs.load(Ordering::Relaxed),
            spills: self.raw.spills.load(Ordering::Relaxed),
            waits: self.raw.waits.load(Ordering::Relaxed),
        }
    }

    fn tail(&self) -> Tail<'a> {
        Tail::lock(*self)
    }
}

/// What has happened in the life of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Consumers that were cut off.
    pub cut_offs: u64,
    /// Extents that were made.
    pub spills: u64,
    /// Times a writer was told to wait.
    pub waits: u64,
}
