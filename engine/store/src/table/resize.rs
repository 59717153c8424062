//! Growth and shrinkage, a segment at a time.

use abi::container::{BUCKET_SLOTS, Bucket, SEGMENT_BUCKETS};
use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

use super::Table;
use super::bucket::{self, ADDRESS};
use super::prefetch::prefetch_line;
use super::segment::{DIRECTORY_BITS_MAX, Directory, Root, SEGMENT_BUCKETS_MAX, Segment};
use base::heap::Heap;

/// Most items that one operation moves. A segment with more, which only colliding hashes can
/// bring about, is left to its chains.
pub const MOVED_MAX: usize = 2 * SEGMENT_BUCKETS * BUCKET_SLOTS;

/// A directory may double while it has at most a word for this many items. Unless hashes collide
/// there are several times as many when it has to.
const ITEMS_PER_WORD_MIN: usize = 32;

/// How often, while the number of buckets halves, it is looked whether the directory can.
const HALVE_CHECKS: u32 = 16;

/// Segments looked at, one after another, for one that should grow in its turn.
const TURNS: usize = 4;

/// Items a bucket from which on the table should grow.
pub const DENSE: usize = 6;

/// Whether `items` in `buckets` are so many that the table should grow.
const fn is_dense(items: usize, buckets: usize) -> bool {
    items >= buckets * DENSE
}

/// Whether a segment with `items` in `buckets` should grow out of its turn: more items than slots.
const fn is_overfull(items: usize, buckets: usize) -> bool {
    items > buckets * BUCKET_SLOTS
}

/// Whether a segment with `items` in `buckets` should grow when its turn comes. Only one that has been
/// merged or got few of the hashes is left: others go, so that no page is left with a few.
const fn has_its_share(items: usize, buckets: usize) -> bool {
    items >= buckets * 3
}

/// Whether `items` in `buckets` are so few that there should be fewer: a load below 0.2.
const fn is_thin(items: usize, buckets: usize) -> bool {
    items * 5 < buckets * BUCKET_SLOTS
}

impl Table<'_> {
    /// Stores an item where there is no room for it: grows the table or chains a bucket. All memory
    /// is allocated before anything that is reachable changes.
    #[cold]
    #[inline(never)]
    pub(super) fn insert_growing(&mut self, hash: u64, address: u64, hash_of: &dyn Fn(u64) -> u64) {
        match self.root() {
            Root::Empty => {
                let segment = Segment::alloc(&self.heap, 0, 1);
                self.raw.buckets.store(1, Relaxed);
                self.set_root(Root::Single(segment));
            }
            Root::Single(segment) => {
                self.grow_if(is_dense, segment, hash, hash_of);
            }
            Root::Directory(directory) => {
                self.grow_if(is_overfull, directory.segment_of(hash), hash, hash_of);
            }
        }
        let Some(segment) = self.segment(hash) else { return };
        let added = segment.put_anyhow(segment.tag(hash) | address, &self.heap);
        self.raw.overflows.store(self.raw.overflows.load(Relaxed) + added, Relaxed);
    }

    /// Whether a table that has outgrown a small segment should grow before it takes another item.
    #[inline(always)]
    pub(super) fn is_crowded(&self) -> bool {
        let buckets = self.raw.buckets.load(Relaxed) as usize;
        is_dense(self.len(), buckets) && buckets >= SEGMENT_BUCKETS
    }

    /// Lets the segment grow whose turn it is.
    #[cold]
    #[inline(never)]
    pub(super) fn sweep(&mut self, hash_of: &dyn Fn(u64) -> u64) {
        for _ in 0..TURNS {
            let hash = self.raw.swept.load(Relaxed);
            let Some(segment) = self.segment(hash) else { return };
            let has_grown = self.grow_if(has_its_share, segment, hash, hash_of);
            self.raw.swept.store(segment.first_behind(hash).unwrap_or(0), Relaxed);
            if has_grown || segment.depth == 0 {
                return;
            }
        }
    }

    /// Makes the segment that `hash` belongs to larger, or two of it, if its items and buckets are
    /// as `should` says and it is not so full of collisions that it is left alone. Returns whether
    /// it did.
    fn grow_if(
        &mut self,
        should: fn(usize, usize) -> bool,
        segment: Segment<'_>,
        hash: u64,
        hash_of: &dyn Fn(u64) -> u64,
    ) -> bool {
        let items = segment.count(MOVED_MAX);
        if items > MOVED_MAX || !should(items, segment.buckets()) {
            return false;
        }
        if segment.buckets_grown() > SEGMENT_BUCKETS_MAX {
            return self.split(segment, hash, hash_of);
        }
        let (larger, added) = self.remade(segment, segment.buckets_grown());
        self.set_segment(hash, larger.keep());
        self.replaced(&[segment], &[larger.segment], added);
        true
    }

    /// A copy of a segment with another number of buckets, and the overflow buckets it has. The
    /// items are not looked at.
    fn remade(&self, segment: Segment<'_>, buckets: usize) -> (Fresh, u32) {
        let fresh = Fresh::alloc(self.heap, segment.depth, buckets);
        let mut filling = Filling::of(fresh.segment);
        let mut added = 0;
        segment.for_each(|word| added += filling.put_anyhow(word, &self.heap));
        (fresh, added)
    }

    /// Makes two segments of one, unless that needs a larger directory than there may be. Returns
    /// whether it did.
    fn split(&mut self, segment: Segment<'_>, hash: u64, hash_of: &dyn Fn(u64) -> u64) -> bool {
        let directory = match self.root() {
            Root::Directory(directory) => directory,
            _ => self.begin_directory(segment),
        };
        let deep = segment.depth == directory.bits;
        if deep && !self.may_double(directory) {
            return false;
        }
        let old = Items::of(segment);
        let depth = segment.depth + 1;
        let left = Fresh::alloc(self.heap, depth, SEGMENT_BUCKETS);
        let right = Fresh::alloc(self.heap, depth, SEGMENT_BUCKETS);
        let bit = 1 << (64 - depth);
        let mut halves = [Filling::of(left.segment), Filling::of(right.segment)];
        let added = old.move_to(hash_of, &self.heap, &mut halves, bit);
        let directory = if deep { self.double(directory) } else { directory };
        directory.set(hash & !bit, left.keep());
        directory.set(hash | bit, right.keep());
        self.replaced(&[segment], &[left.segment, right.segment], added);
        true
    }

    /// Makes a directory that leads to the only segment.
    fn begin_directory(&mut self, segment: Segment<'_>) -> Directory<'static> {
        let directory = Directory::alloc(&self.heap, 1);
        directory.set(0, segment);
        self.set_root(Root::Directory(directory));
        directory
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

    /// Frees segments whose items have been moved to others, `added` being the overflow buckets that
    /// those have.
    fn replaced(&mut self, old: &[Segment<'_>], new: &[Segment<'_>], added: u32) {
        let buckets =
            |segments: &[Segment<'_>]| segments.iter().map(|s| s.buckets() as u32).sum::<u32>();
        let total = self.raw.buckets.load(Relaxed) + buckets(new) - buckets(old);
        self.raw.buckets.store(total, Relaxed);
        // SAFETY: the table owned them; neither root nor directory refers to them any more.
        let freed = old.iter().map(|segment| unsafe { segment.free(&self.heap) }).sum::<u32>();
        let total = self.raw.overflows.load(Relaxed) + added - freed;
        self.raw.overflows.store(total, Relaxed);
    }

    /// Whether the table, from whose bucket `head` an item has been removed, should shrink. Said
    /// only now and then, as looking for what can be merged is not free.
    #[inline(always)]
    pub(super) fn is_sparse(&self, head: &Bucket) -> bool {
        is_thin(self.len(), self.raw.buckets.load(Relaxed) as usize) && bucket::occupied(head) == 0
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
        let Some(buckets) = segment.buckets_shrunk() else { return };
        if !is_thin(self.len(), segment.buckets()) {
            return;
        }
        let Some(smaller) = Fresh::try_alloc(self.heap, 0, buckets) else { return };
        if pour(segment, &mut Filling::of(smaller.segment), |word| word) {
            self.set_segment(0, smaller.keep());
            self.replaced(&[segment], &[smaller.segment], 0);
        }
    }

    /// Merges the segment of `hash`, or one beside it, with its buddy. Returns whether it did.
    fn merge(&mut self, directory: Directory<'_>, hash: u64) -> bool {
        let Some((hash, left, right)) = buddies(directory, hash) else { return false };
        let Some(merged) = Fresh::try_alloc(self.heap, left.depth - 1, SEGMENT_BUCKETS) else {
            return false;
        };
        let mut into = Filling::of(merged.segment);
        let fits = pour(left, &mut into, |word| bucket::in_parent(word, false))
            && pour(right, &mut into, |word| bucket::in_parent(word, true));
        if fits {
            self.set_segment(hash, merged.keep());
            self.replaced(&[left, right], &[merged.segment], 0);
        }
        fits
    }

    /// Halves the directory while no segment needs its last bit, down to a single segment.
    fn halve(&mut self, mut directory: Directory<'_>) {
        // At least as many as there are, and just as many once all have shrunk.
        let segments = self.raw.buckets.load(Relaxed) / SEGMENT_BUCKETS as u32;
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

    /// Has `hash`, and all others that a segment is for, lead to it.
    pub(super) fn set_segment(&mut self, hash: u64, segment: Segment<'_>) {
        match self.root() {
            Root::Directory(directory) => directory.set(hash, segment),
            _ => self.set_root(Root::Single(segment)),
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
    kept: Cell<bool>,
}

impl Fresh {
    fn alloc(heap: Heap, depth: u32, buckets: usize) -> Self {
        let segment = Segment::alloc(&heap, depth, buckets);
        Self { segment, heap, kept: Cell::new(false) }
    }

    fn try_alloc(heap: Heap, depth: u32, buckets: usize) -> Option<Self> {
        let segment = Segment::try_alloc(&heap, depth, buckets)?;
        Some(Self { segment, heap, kept: Cell::new(false) })
    }

    /// The segment, for the table to own.
    fn keep(&self) -> Segment<'static> {
        self.kept.set(true);
        self.segment
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept.get() {
            // SAFETY: allocated by this; no table refers to it.
            unsafe { self.segment.free(&self.heap) };
        }
    }
}

/// Copies the items of `from` to where the words that `renamed` makes of theirs belong. Returns
/// false, having copied some of them, if a bucket has no room.
fn pour(from: Segment<'_>, to: &mut Filling<'_>, renamed: impl Fn(u64) -> u64) -> bool {
    let mut fits = true;
    from.for_each(|word| fits = fits && to.put(renamed(word)));
    fits
}

/// A segment that was empty, while it is filled: how many items are in each of its buckets is known
/// without a look at them. Chains begin only with [`Filling::put_anyhow`].
struct Filling<'a> {
    segment: Segment<'a>,
    /// At most [`BUCKET_SLOTS`]: what a chain has is not counted.
    items: [u8; SEGMENT_BUCKETS_MAX],
}

impl<'a> Filling<'a> {
    fn of(segment: Segment<'a>) -> Self {
        Self { segment, items: [0; SEGMENT_BUCKETS_MAX] }
    }

    /// As [`Segment::put`].
    #[inline(always)]
    fn put(&mut self, word: u64) -> bool {
        let index = self.segment.index(word);
        let items = self.items[index] as usize;
        let Some(slot) = self.segment.bucket(index).slots.get(items) else {
            return self.put_elsewhere(index, word);
        };
        slot.store(word, Relaxed);
        self.items[index] += 1;
        true
    }

    /// As [`Filling::put`], where the bucket that the item belongs to is full: in its chain or the other
    /// of the pair.
    #[inline(never)]
    fn put_elsewhere(&mut self, index: usize, word: u64) -> bool {
        let home = self.segment.bucket(index);
        if bucket::put(home, word) {
            return true;
        }
        let other = self.segment.other(index);
        let is_put = self.segment.buckets() > 1 && bucket::spill(home, other, word);
        self.items[index ^ 1] += u8::from(is_put);
        is_put
    }

    /// As [`Segment::put_anyhow`].
    #[inline(always)]
    fn put_anyhow(&mut self, word: u64, heap: &Heap) -> u32 {
        if self.put(word) { 0 } else { self.segment.put_anyhow(word, heap) }
    }
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
        segment.for_each(|word| {
            prefetch_line(word & ADDRESS);
            items.words[items.len] = word;
            items.len += 1;
        });
        items
    }

    /// Stores each item in one of two halves, as `bit` of its hash says. Returns the overflow buckets
    /// they took.
    fn move_to(
        &self,
        hash_of: &dyn Fn(u64) -> u64,
        heap: &Heap,
        halves: &mut [Filling<'_>; 2],
        bit: u64,
    ) -> u32 {
        let words = self.words[..self.len].iter();
        let moved = words.map(|&word| {
            let address = word & ADDRESS;
            let hash = hash_of(address);
            let half = &mut halves[usize::from(hash & bit != 0)];
            half.put_anyhow(half.segment.tag(hash) | address, heap)
        });
        moved.sum()
    }
}
