//! Growth and shrinkage, a segment at a time.

use abi::container::{BUCKET_SLOTS, Bucket, SEGMENT_BUCKETS};
use core::sync::atomic::Ordering::Relaxed;

use super::Table;
use super::bucket::{self, ADDRESS};
use super::prefetch::prefetch_line;
use super::segment::{DIRECTORY_BITS_MAX, Directory, Root, SEGMENT_BITS, Segment};
use base::heap::Heap;

/// Most items that one operation moves. A segment with more, which only colliding hashes can
/// bring about, is left to its chains.
pub const MOVED_MAX: usize = 2 * SEGMENT_BUCKETS * BUCKET_SLOTS;

/// A directory may double while it has at most a word for this many items. Unless hashes collide
/// there are several times as many when it has to.
const ITEMS_PER_WORD_MIN: usize = 32;

/// How often, while the number of segments halves, it is looked whether the directory can.
const HALVE_CHECKS: u32 = 16;

/// Whether `items` in `slots` are enough to split rather than chain: a load of 0.85.
const fn is_dense(items: usize, slots: usize) -> bool {
    items * 20 >= slots * 17
}

/// Whether `items` in `slots` are so few that buckets should be merged: a load below 0.2.
const fn is_thin(items: usize, slots: usize) -> bool {
    items * 5 < slots
}

impl Table<'_> {
    /// Stores `word` where there is no room for it: grows the table or chains a bucket. All memory
    /// is allocated before anything that is reachable changes.
    #[cold]
    #[inline(never)]
    pub(super) fn insert_growing(&mut self, hash: u64, word: u64, hash_of: &dyn Fn(u64) -> u64) {
        match self.root() {
            Root::Empty => {
                let segment = Segment::alloc(&self.heap, 0, 0);
                self.raw.segments.store(1, Relaxed);
                self.set_root(Root::Single(segment));
            }
            Root::Single(segment) => self.grow_single(segment, hash_of),
            Root::Directory(directory) => self.split(directory, hash, hash_of),
        }
        let Some(head) = self.bucket(hash) else { return };
        if !bucket::put(head, word) {
            bucket::put_behind(head, word, &self.heap);
            self.raw.overflows.store(self.raw.overflows.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Doubles the only segment, or makes a directory of it, if it is dense.
    fn grow_single(&mut self, segment: Segment<'_>, hash_of: &dyn Fn(u64) -> u64) {
        if !is_dense(self.len(), segment.buckets() * BUCKET_SLOTS) {
            return;
        }
        if segment.bits == SEGMENT_BITS {
            let directory = Directory::alloc(&self.heap, 1);
            directory.set(0, segment);
            self.set_root(Root::Directory(directory));
            return self.split(directory, 0, hash_of);
        }
        let old = Items::of(segment);
        let larger = Fresh::alloc(self.heap, 0, segment.bits + 1);
        let added = old.move_to(hash_of, &self.heap, |_| larger.segment);
        self.set_root(Root::Single(larger.keep()));
        self.discard(segment, added);
    }

    /// Splits the segment that `hash` belongs to, if it is dense and not oversized.
    fn split(&mut self, directory: Directory<'_>, hash: u64, hash_of: &dyn Fn(u64) -> u64) {
        let segment = directory.segment_of(hash);
        let items = segment.count(MOVED_MAX);
        if !is_dense(items, SEGMENT_BUCKETS * BUCKET_SLOTS) || items > MOVED_MAX {
            return;
        }
        let deep = segment.depth == directory.bits;
        if deep && !self.may_double(directory) {
            return;
        }
        let old = Items::of(segment);
        let depth = segment.depth + 1;
        let left = Fresh::alloc(self.heap, depth, SEGMENT_BITS);
        let right = Fresh::alloc(self.heap, depth, SEGMENT_BITS);
        let bit = 1 << (64 - depth);
        let half_of = |hash| if hash & bit == 0 { left.segment } else { right.segment };
        let added = old.move_to(hash_of, &self.heap, half_of);
        let directory = if deep { self.double(directory) } else { directory };
        directory.set(hash & !bit, left.keep());
        directory.set(hash | bit, right.keep());
        self.raw.segments.store(self.raw.segments.load(Relaxed) + 1, Relaxed);
        self.discard(segment, added);
    }

    fn may_double(&self, directory: Directory<'_>) -> bool {
        directory.bits < DIRECTORY_BITS_MAX && self.len() >= ITEMS_PER_WORD_MIN * directory.words()
    }

    /// Replaces the directory by one with each word twice.
    fn double(&mut self, old: Directory<'_>) -> Directory<'static> {
        let new = Directory::alloc(&self.heap, old.bits + 1);
        for i in 0..new.words() {
            new.word(i).store(old.word(i / 2).load(Relaxed), Relaxed);
        }
        self.set_root(Root::Directory(new));
        // SAFETY: the table owned it and its root has just been overwritten.
        unsafe { old.free(&self.heap) };
        new
    }

    /// Frees a segment whose items have been moved, `added` being the overflow buckets they have
    /// now.
    fn discard(&mut self, segment: Segment<'_>, added: u32) {
        // SAFETY: the table owned it; neither root nor directory refers to it any more.
        let freed = unsafe { segment.free(&self.heap) };
        let total = self.raw.overflows.load(Relaxed) + added - freed;
        self.raw.overflows.store(total, Relaxed);
    }

    /// Whether the table, from whose bucket `head` an item has been removed, should shrink. Said
    /// only now and then, as looking for what can be merged is not free.
    #[inline(always)]
    pub(super) fn is_sparse(&self, head: &Bucket) -> bool {
        let segments = self.raw.segments.load(Relaxed) as usize;
        let slots = segments * SEGMENT_BUCKETS * BUCKET_SLOTS;
        is_thin(self.len(), slots) && bucket::occupied(head) == 0
    }

    /// Merges buckets or segments near `hash`, where an item has been removed.
    #[cold]
    #[inline(never)]
    pub(super) fn shrink(&mut self, hash: u64) {
        if self.is_empty() {
            return self.release();
        }
        match self.root() {
            Root::Empty => {}
            Root::Single(segment) => self.shrink_single(segment),
            Root::Directory(directory) => {
                if self.merge(directory, hash) {
                    self.halve(directory);
                }
            }
        }
    }

    /// Halves the only segment if it is thin and no overflow bucket would be needed.
    fn shrink_single(&mut self, segment: Segment<'_>) {
        if segment.bits == 0 || !is_thin(self.len(), segment.buckets() * BUCKET_SLOTS) {
            return;
        }
        let Some(smaller) = Segment::try_alloc(&self.heap, 0, segment.bits - 1) else { return };
        if !pour(segment, smaller, |index| index / 2) {
            // SAFETY: allocated above; nothing refers to it.
            unsafe { smaller.free(&self.heap) };
            return;
        }
        self.set_root(Root::Single(smaller));
        self.discard(segment, 0);
    }

    /// Merges the segment of `hash`, or one beside it, with its buddy. Returns whether it did.
    fn merge(&mut self, directory: Directory<'_>, hash: u64) -> bool {
        let Some((hash, left, right)) = buddies(directory, hash) else { return false };
        let Some(merged) = Segment::try_alloc(&self.heap, left.depth - 1, SEGMENT_BITS) else {
            return false;
        };
        let half = SEGMENT_BUCKETS / 2;
        if !(pour(left, merged, |index| index / 2) && pour(right, merged, |index| half + index / 2))
        {
            // SAFETY: allocated above; nothing refers to it.
            unsafe { merged.free(&self.heap) };
            return false;
        }
        directory.set(hash, merged);
        self.raw.segments.store(self.raw.segments.load(Relaxed) - 1, Relaxed);
        self.discard(left, 0);
        self.discard(right, 0);
        true
    }

    /// Halves the directory while no segment needs its last bit, down to a single segment.
    fn halve(&mut self, mut directory: Directory<'_>) {
        let segments = self.raw.segments.load(Relaxed);
        let period = (segments / HALVE_CHECKS).next_power_of_two();
        while segments as usize * 2 <= directory.words()
            && segments.is_multiple_of(period)
            && directory.segments().all(|segment| segment.depth < directory.bits)
        {
            let old = directory;
            if old.bits == 1 {
                self.set_root(Root::Single(old.segment(0)));
            } else {
                let Some(new) = Directory::try_alloc(&self.heap, old.bits - 1) else { return };
                for i in 0..new.words() {
                    new.word(i).store(old.word(2 * i).load(Relaxed), Relaxed);
                }
                self.set_root(Root::Directory(new));
                directory = new;
            }
            // SAFETY: the table owned it and its root has just been overwritten.
            unsafe { old.free(&self.heap) };
            if old.bits == 1 {
                return;
            }
        }
    }

    /// Frees all structure, leaving an empty table.
    pub(super) fn release(&mut self) {
        let owned = self.take();
        // SAFETY: what was the table's and is nobody else's now.
        match unsafe { Root::decode(owned.root.load(Relaxed)) } {
            Root::Empty => {}
            Root::Single(segment) => {
                // SAFETY: the table owned it and has just been emptied.
                unsafe { segment.free(&self.heap) };
            }
            Root::Directory(directory) => {
                for segment in directory.segments() {
                    // SAFETY: as above; each segment comes once.
                    unsafe { segment.free(&self.heap) };
                }
                // SAFETY: as above.
                unsafe { directory.free(&self.heap) };
            }
        }
    }

    pub(super) fn set_root(&self, root: Root<'_>) {
        self.raw.root.store(root.encode(), Relaxed);
    }
}

/// The segment of `hash` and its buddy, which differs from it in the last bit of its prefix, in
/// order, and a hash that leads to one of them. If the buddy has been split further, two of its
/// parts instead, so that a merge is always found unless there is only one segment.
fn buddies<'a>(directory: Directory<'a>, mut hash: u64) -> Option<(u64, Segment<'a>, Segment<'a>)> {
    loop {
        let segment = directory.segment_of(hash);
        if segment.depth == 0 {
            return None;
        }
        let bit = 1 << (64 - segment.depth);
        let buddy = directory.segment_of(hash ^ bit);
        if buddy.depth == segment.depth {
            let upper = hash & bit != 0;
            let (left, right) = if upper { (buddy, segment) } else { (segment, buddy) };
            return Some((hash, left, right));
        }
        hash ^= bit;
    }
}

/// A segment that the table does not own yet. Dropped, as where memory runs out, it is freed; its
/// items stay where they are as well.
struct Fresh {
    segment: Segment<'static>,
    heap: Heap,
}

impl Fresh {
    fn alloc(heap: Heap, depth: u32, bits: u32) -> Self {
        Self { segment: Segment::alloc(&heap, depth, bits), heap }
    }

    /// The segment, for the table to own.
    fn keep(self) -> Segment<'static> {
        core::mem::ManuallyDrop::new(self).segment
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // SAFETY: allocated by this; no table refers to it.
        unsafe { self.segment.free(&self.heap) };
    }
}

/// Copies the items of `from` to the buckets of `to` that `index` says. Returns false, having
/// copied some of them, if a bucket has no room.
fn pour(from: Segment<'_>, to: Segment<'_>, index: impl Fn(usize) -> usize) -> bool {
    let mut fits = true;
    for i in 0..from.buckets() {
        let target = to.bucket(index(i));
        bucket::for_each(from.bucket(i), |word| fits = fits && bucket::put(target, word));
        if !fits {
            return false;
        }
    }
    true
}

/// The items of a segment, while they move.
struct Items {
    words: [u64; MOVED_MAX],
    len: usize,
}

impl Items {
    /// Collects the items of a segment, at most [`MOVED_MAX`], and prefetches them.
    fn of(segment: Segment<'_>) -> Self {
        let mut items = Self { words: [0; MOVED_MAX], len: 0 };
        for i in 0..segment.buckets() {
            bucket::for_each(segment.bucket(i), |word| {
                prefetch_line(word & ADDRESS);
                items.words[items.len] = word;
                items.len += 1;
            });
        }
        items
    }

    /// Stores each item where `target` says its hash belongs. Returns the overflow buckets it took.
    fn move_to<'a>(
        &self,
        hash_of: &dyn Fn(u64) -> u64,
        heap: &Heap,
        target: impl Fn(u64) -> Segment<'a>,
    ) -> u32 {
        let mut overflows = 0;
        for &word in &self.words[..self.len] {
            let hash = hash_of(word & ADDRESS);
            debug_assert_eq!(bucket::tag(hash), word & !ADDRESS);
            let segment = target(hash);
            let head = segment.bucket(segment.index(hash));
            if !bucket::put(head, word) {
                bucket::put_behind(head, word, heap);
                overflows += 1;
            }
        }
        overflows
    }
}
