//! Walking over a table that is not believed, and making one anew that was left half changed.

use std::collections::HashSet;

use abi::container::{Bucket, RawTable, SEGMENT_BUCKETS};
use core::sync::atomic::Ordering::Relaxed;

use super::bucket::{self, ADDRESS, BUCKET_BYTES, LAST, LINK, SPILLED};
use super::segment::{DIRECTORY_BITS_MAX, Directory, Root, Segment, prefix};
use super::{Table, TableRef};
use base::walk::Walker;

/// What a walk has found of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Items that are in it.
    pub items: u64,
    /// Every item is where a lookup finds it. If not, [`Table::rebuild`] makes it so.
    pub is_sound: bool,
}

/// Walks over a table, which `what` names. `item` is called with the address of each item: it claims
/// what the item is made of, and gives its hash, or none if it is to be taken out.
///
/// What is wrong is told. A walk that mends then takes out what it must, and sets the counts right.
pub fn check<'w>(
    raw: &RawTable,
    walker: &mut Walker<'w>,
    what: &'static str,
    item: &mut dyn FnMut(&mut Walker<'w>, u64) -> Option<u64>,
) -> Checked {
    let mut check =
        Check { walker, what, item, items: 0, buckets: 0, overflows: 0, is_sound: true };
    // SAFETY: nothing but addresses is asked of what this gives before it is claimed.
    match unsafe { Root::decode(raw.root.load(Relaxed)) } {
        Root::Empty => {}
        Root::Single(segment) if segment.depth == 0 => check.segment(segment, 0),
        Root::Single(_) => check.wrong("its only segment is a part"),
        Root::Directory(directory) => check.directory(directory),
    }
    check.counts(raw);
    Checked { items: check.items, is_sound: check.is_sound }
}

struct Check<'c, 'w> {
    walker: &'c mut Walker<'w>,
    what: &'static str,
    item: &'c mut dyn FnMut(&mut Walker<'w>, u64) -> Option<u64>,
    items: u64,
    buckets: u32,
    overflows: u32,
    is_sound: bool,
}

impl Check<'_, '_> {
    fn wrong(&mut self, text: &str) {
        self.is_sound = false;
        self.walker.wrong(format_args!("table of {}: {text}", self.what));
    }

    fn directory(&mut self, directory: Directory<'_>) {
        if directory.bits > DIRECTORY_BITS_MAX {
            return self.wrong("its directory is too large");
        }
        if !self.walker.claim("directory", directory.address, Directory::bytes(directory.bits)) {
            return self.is_sound = false;
        }
        let (mut seen, mut index) = (HashSet::new(), 0);
        while index < directory.words() {
            let segment = directory.segment(index);
            let span = span(directory, segment, index);
            if span.is_none() {
                self.wrong("a segment is not where its depth says");
            }
            if seen.insert(segment.address) {
                // All hashes of the segment begin as the word's index does, as far as it is deep.
                let shared = directory.bits.saturating_sub(segment.depth);
                self.segment(segment, index >> shared);
            }
            index += span.unwrap_or(1);
        }
    }

    /// A segment whose hashes begin with `begin`.
    fn segment(&mut self, segment: Segment<'_>, begin: usize) {
        let buckets = segment.buckets();
        let is_possible =
            buckets == 1 || buckets.is_multiple_of(2) && buckets < 2 * SEGMENT_BUCKETS;
        if buckets == 0 || !is_possible {
            return self.wrong("a segment has a number of buckets that none has");
        }
        if !self.walker.claim("segment", segment.address, segment.bytes()) {
            return self.is_sound = false;
        }
        self.buckets += buckets as u32;
        for index in 0..buckets {
            self.chain(segment, begin, index);
        }
    }

    fn chain(&mut self, segment: Segment<'_>, begin: usize, index: usize) {
        let mut bucket = segment.bucket(index);
        let mut is_first = true;
        loop {
            let occupied = self.bucket(bucket, segment, begin, index);
            let next = self.link(bucket);
            if next.is_some() && occupied < LAST || !is_first && occupied < 2 {
                self.wrong("a chain has holes");
            }
            match next {
                Some(more) => bucket = more,
                None => return,
            }
            is_first = false;
        }
    }

    /// The bucket that continues one, once it is claimed. A link that leads nowhere is cut.
    fn link<'b>(&mut self, bucket: &'b Bucket) -> Option<&'b Bucket> {
        let slot = &bucket.slots[LAST];
        let word = slot.load(Relaxed);
        if word & LINK == 0 {
            return None;
        }
        let address = word & ADDRESS;
        if address.is_multiple_of(BUCKET_BYTES as u64)
            && self.walker.claim("overflow bucket", address, BUCKET_BYTES)
        {
            self.overflows += 1;
            // SAFETY: it was just claimed: an allocation of a bucket's size, which nobody frees.
            return Some(unsafe { bucket::at(address) });
        }
        self.wrong("a chain goes on where there is no bucket");
        if self.walker.mends() {
            slot.store(word & SPILLED, Relaxed);
        }
        None
    }

    /// Visits the items of a bucket of the chain at `index`; tells how many there are.
    fn bucket(&mut self, bucket: &Bucket, of: Segment<'_>, begin: usize, index: usize) -> usize {
        let mut occupied = 0;
        for (place, slot) in bucket.slots.iter().enumerate() {
            let word = slot.load(Relaxed);
            let marks = if place == LAST { LINK | SPILLED } else { 0 };
            if word >> 48 == 0 {
                if word & LINK == 0 && word & !marks != 0 {
                    self.wrong("an empty slot is not empty");
                }
                continue;
            }
            match (self.item)(self.walker, word & ADDRESS) {
                Some(hash) => {
                    (occupied, self.items) = (occupied + 1, self.items + 1);
                    if !is_at_home(hash, word, of, begin, index) {
                        self.wrong("an item is where no lookup finds it");
                    }
                }
                None => self.take_out(slot, word),
            }
        }
        occupied
    }

    fn take_out(&mut self, slot: &core::sync::atomic::AtomicU64, word: u64) {
        self.is_sound = false;
        if self.walker.mends() {
            slot.store(word & SPILLED, Relaxed);
        }
    }

    fn counts(&mut self, raw: &RawTable) {
        let told = [
            raw.count.load(Relaxed),
            raw.buckets.load(Relaxed).into(),
            raw.overflows.load(Relaxed).into(),
        ];
        let found = [self.items, self.buckets.into(), self.overflows.into()];
        if told == found {
            return;
        }
        let text =
            format!("its items, buckets and overflow buckets are {found:?} and not {told:?}");
        self.walker.wrong(format_args!("table of {}: {text}", self.what));
        if self.walker.mends() {
            raw.count.store(self.items, Relaxed);
            raw.buckets.store(self.buckets, Relaxed);
            raw.overflows.store(self.overflows, Relaxed);
        } else {
            self.is_sound = false;
        }
    }
}

/// How many words of a directory lead to the segment at `index`, if those do that its depth says.
fn span(directory: Directory<'_>, segment: Segment<'_>, index: usize) -> Option<usize> {
    let span = 1 << directory.bits.checked_sub(segment.depth)?;
    let all = || (index..index + span).all(|other| directory.segment(other) == segment);
    (index.is_multiple_of(span) && all()).then_some(span)
}

/// Whether a lookup finds an item by its hash in the chain at `index`.
fn is_at_home(hash: u64, word: u64, of: Segment<'_>, begin: usize, index: usize) -> bool {
    let tag = of.tag(hash);
    let home = of.index(tag);
    let is_spilled =
        || of.buckets() > 1 && home ^ 1 == index && bucket::has_spilled(of.bucket(home));
    word >> 48 == tag >> 48 && prefix(hash, of.depth) == begin && (home == index || is_spilled())
}

impl TableRef<'_> {
    /// The segments that the root leads to, each once, also of a table that was left half changed.
    fn all_segments(&self) -> Vec<Segment<'_>> {
        match self.root() {
            Root::Empty => Vec::new(),
            Root::Single(segment) => vec![segment],
            Root::Directory(directory) => {
                let mut seen = HashSet::new();
                let all = (0..directory.words()).map(|index| directory.segment(index));
                all.filter(|segment| seen.insert(segment.address)).collect()
            }
        }
    }
}

impl Table<'_> {
    /// Makes a table anew of the items of one that [`check`] has mended and found not to be sound.
    /// `hash_of` gives the hash of an item.
    pub fn rebuild(&mut self, hash_of: impl Fn(u64) -> u64) {
        let mut items = Vec::new();
        for segment in self.all_segments() {
            segment.for_each(|word| items.push(word & ADDRESS));
        }
        self.free_structure();
        for address in items {
            self.insert(hash_of(address), address, &hash_of);
        }
    }

    fn free_structure(&mut self) {
        let segments: Vec<(u64, u64)> =
            self.all_segments().iter().map(|segment| (segment.address, segment.encode())).collect();
        // SAFETY: what was the table's and is nobody else's now; it is not used but to be freed.
        let directory = unsafe { Root::decode(self.take().root.load(Relaxed)) };
        for (_, word) in segments {
            // SAFETY: the table owned it and has just been emptied; each comes once.
            unsafe { Segment::decode(word).free(&self.heap) };
        }
        if let Root::Directory(directory) = directory {
            // SAFETY: as above.
            unsafe { directory.free(&self.heap) };
        }
    }
}
