//! A table made large at once, for items that are about to come.

use abi::container::{RawTable, SEGMENT_BUCKETS};
use core::sync::atomic::Ordering::Relaxed;

use super::Table;
use super::resize::DENSE;
use super::segment::{DIRECTORY_BITS_MAX, Directory, Root, SEGMENT_BUCKETS_MAX, STEPS, Segment};

/// A table with less than this share of the items to come is made anew: there are few to be moved.
const FEW: usize = 16;

/// Segments for some items: log2 of their number, and the buckets of each.
fn geometry(items: usize) -> (u32, usize) {
    let full = SEGMENT_BUCKETS_MAX * DENSE;
    let bits = items.div_ceil(full).next_power_of_two().ilog2();
    // Rather a few too few: some grow once more, and memory is as if all had.
    let steps = ((items >> bits) / DENSE).saturating_sub(SEGMENT_BUCKETS) / STEPS;
    (bits, SEGMENT_BUCKETS + steps * STEPS)
}

impl Table<'_> {
    /// Makes room for so many items in all, if there are few yet and memory suffices. `hash_of` gives
    /// the hash of an item.
    pub fn reserve(&mut self, items: usize, hash_of: impl Fn(u64) -> u64) {
        let (bits, buckets) = geometry(items);
        if bits == 0 || bits > DIRECTORY_BITS_MAX || self.len() * FEW > items {
            return;
        }
        let Some(directory) = self.directory_of(bits, buckets) else { return };
        let mut overflows = 0;
        self.for_each(&mut |address| {
            let hash = hash_of(address);
            let segment = directory.segment_of(hash);
            overflows += segment.put_anyhow(segment.tag(hash) | address, &self.heap);
        });
        // Whole before it takes the place of what there was.
        let (mut larger, heap) = (RawTable::new(), self.heap);
        larger.count.store(self.len() as u64, Relaxed);
        larger.buckets.store((buckets << bits) as u32, Relaxed);
        larger.overflows.store(overflows, Relaxed);
        let mut larger = Table::new(&mut larger, heap);
        larger.set_root(Root::Directory(directory));
        self.exchange(&mut larger);
        larger.release();
    }

    /// A directory of empty segments. None: there is no memory for it.
    fn directory_of(&self, bits: u32, buckets: usize) -> Option<Directory<'static>> {
        let directory = Directory::try_alloc(&self.heap, bits)?;
        for index in 0..directory.words() {
            let Some(segment) = Segment::try_alloc(&self.heap, bits, buckets) else {
                // SAFETY: made here, and nobody else has seen them.
                unsafe {
                    (0..index).for_each(|made| _ = directory.segment(made).free(&self.heap));
                    directory.free(&self.heap);
                }
                return None;
            };
            directory.word(index).store(segment.encode(), Relaxed);
        }
        Some(directory)
    }
}
