//! Moving what a table is made of, a pair of buckets at a time.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::container::Bucket;

use super::Table;
use super::bucket::{self, ADDRESS, BUCKET_BYTES};
use super::segment::{Directory, Root};
use super::walk::CURSOR_SHIFT;
use base::mover::Mover;

/// Pairs of buckets that are looked at in one go, whatever is in them.
const PAIRS_MAX: u32 = 128;

/// An item in its slot, to be moved.
pub struct Item<'a>(&'a AtomicU64);

impl Item<'_> {
    /// The item's address.
    pub fn address(&self) -> u64 {
        self.0.load(Relaxed) & ADDRESS
    }

    /// Says where the item is now.
    pub fn set_address(&self, address: u64) {
        self.0.store(self.0.load(Relaxed) & !ADDRESS | address, Relaxed);
    }
}

impl Table<'_> {
    /// Moves what the pair of buckets at `position` is part of, shows `visit` the items in it, and
    /// returns the next position, if any. Positions are those of [`super::TableRef::scan`].
    pub fn relocate(
        &mut self,
        position: u64,
        mover: &mut Mover,
        visit: &mut dyn FnMut(&mut Mover, Item<'_>),
    ) -> Option<u64> {
        self.relocate_segment(position, mover);
        let segment = self.segment(position)?;
        for head in segment.pair(position) {
            let mut part = Some(head);
            while let Some(bucket) = part {
                relocate_next(bucket, mover);
                bucket::items(bucket).for_each(|slot| visit(mover, Item(slot)));
                part = bucket::next(bucket);
            }
        }
        segment.position_after(position)
    }

    /// As [`Table::relocate`], pair by pair from a cursor on until `mover` is spent. Returns the
    /// cursor to go on with; 0 is both the start and the end.
    pub fn relocate_some(
        &mut self,
        cursor: u64,
        mover: &mut Mover,
        visit: &mut dyn FnMut(&mut Mover, Item<'_>),
    ) -> u64 {
        let mut position = cursor << CURSOR_SHIFT;
        let mut pairs = 0;
        loop {
            match self.relocate(position, mover, visit) {
                None => return 0,
                Some(next) => position = next,
            }
            pairs += 1;
            if mover.is_spent() || pairs >= PAIRS_MAX {
                return position >> CURSOR_SHIFT;
            }
        }
    }

    /// Moves the directory and the segment of a position.
    fn relocate_segment(&mut self, position: u64, mover: &mut Mover) {
        if let Root::Directory(directory) = self.root()
            && mover.is_to_move(directory.address)
        {
            let bytes = Directory::bytes(directory.bits);
            // SAFETY: the table owns it, and its root alone refers to it. Who looks without the lock
            // follows nothing.
            unsafe {
                mover.relocate(directory.address, bytes, |address| {
                    self.set_root(Root::Directory(directory.moved_to(address)));
                });
            }
        }
        let Some(segment) = self.segment(position) else { return };
        if mover.is_to_move(segment.address) {
            // SAFETY: as above, of a segment: root or directory alone refer to it, and to nothing
            // in it.
            unsafe {
                mover.relocate(segment.address, segment.bytes(), |address| {
                    self.set_segment(position, segment.moved_to(address));
                });
            }
        }
    }
}

/// Moves the bucket that continues one.
fn relocate_next(bucket: &Bucket, mover: &mut Mover) {
    let Some(next) = bucket::next(bucket).map(bucket::address_of) else { return };
    if mover.is_to_move(next) {
        // SAFETY: the chain owns it, and the bucket before it alone refers to it.
        unsafe {
            mover.relocate(next, BUCKET_BYTES, |address| bucket::set_next(bucket, address));
        }
    }
}
