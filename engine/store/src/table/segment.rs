//! Where an item belongs: root word, directory and segments.

use abi::container::{Bucket, SEGMENT_BUCKETS};
use core::marker::PhantomData;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::bucket::{self, BUCKET_BYTES, PLACE_BITS};
use base::heap::{Heap, give_up};

/// Most buckets of a segment: one that should have more is split in two of [`SEGMENT_BUCKETS`].
pub const SEGMENT_BUCKETS_MAX: usize = 2 * SEGMENT_BUCKETS - STEPS;

/// A segment of eight buckets or more gains a quarter of the power of two below each time it grows,
/// so that memory follows the number of items closely.
pub const STEPS: usize = SEGMENT_BUCKETS / 4;

/// Where in a segment's word the number of its buckets begins.
const BUCKETS_SHIFT: u32 = 48;

/// Largest directory: log2 of its words.
pub const DIRECTORY_BITS_MAX: u32 = 31;

const DIRECTORY: u64 = 1 << 5;
const BITS: u64 = DIRECTORY - 1;
const LOW: u64 = 63;
const ADDRESS: u64 = ((1 << BUCKETS_SHIFT) - 1) & !LOW;

/// The first `bits` bits of `hash` as a number; zero for none.
#[inline(always)]
pub const fn prefix(hash: u64, bits: u32) -> usize {
    (hash >> 1 >> (63 - bits)) as usize
}

/// What a table owns, decoded from its root word: to be used for `'a`, while nobody frees it.
#[derive(Clone, Copy)]
pub enum Root<'a> {
    /// Nothing.
    Empty,
    /// One segment, for all hashes.
    Single(Segment<'a>),
    /// Segments of full size.
    Directory(Directory<'a>),
}

impl Root<'_> {
    /// Decodes a root word.
    ///
    /// # Safety
    /// Whenever a bucket or a word is asked of what this gives, the word is that of a table whose
    /// segments and directory are there for as long as the answer is used. Addresses may be asked
    /// of any word.
    #[inline(always)]
    pub const unsafe fn decode(word: u64) -> Self {
        if word == 0 {
            Self::Empty
        } else if word & DIRECTORY == 0 {
            // SAFETY: as the caller promises.
            Self::Single(unsafe { Segment::decode(word) })
        } else {
            let (address, bits) = (word & ADDRESS, (word & BITS) as u32);
            Self::Directory(Directory { address, bits, borrowed: PhantomData })
        }
    }

    /// The root word of this.
    pub const fn encode(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Single(segment) => segment.encode(),
            Self::Directory(directory) => directory.address | DIRECTORY | directory.bits as u64,
        }
    }
}

/// Consecutive buckets for all hashes with one prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Address of the first bucket.
    pub address: u64,
    /// Leading bits that all hashes in it share.
    pub depth: u32,
    buckets: u32,
    borrowed: PhantomData<&'a Bucket>,
}

impl Segment<'static> {
    /// Allocates a segment of empty buckets: it is its maker's until it frees it or a table has it.
    pub fn alloc(heap: &Heap, depth: u32, buckets: usize) -> Self {
        Self::at(heap.alloc(buckets * BUCKET_BYTES), depth, buckets)
    }

    /// As [`Segment::alloc`], or nothing if there is no memory.
    pub fn try_alloc(heap: &Heap, depth: u32, buckets: usize) -> Option<Self> {
        Some(Self::at(heap.try_alloc(buckets * BUCKET_BYTES)?, depth, buckets))
    }

    fn at(address: u64, depth: u32, buckets: usize) -> Self {
        debug_assert!(buckets == 1 || buckets.is_multiple_of(2));
        // SAFETY: the caller has just allocated the bytes; zero is an empty bucket.
        unsafe { (address as *mut u8).write_bytes(0, buckets * BUCKET_BYTES) };
        Self { address, depth, buckets: buckets as u32, borrowed: PhantomData }
    }
}

impl<'a> Segment<'a> {
    /// The segment that a word names.
    ///
    /// # Safety
    /// As for [`Root::decode`], of the word of a directory or of the root.
    #[inline(always)]
    pub const unsafe fn decode(word: u64) -> Self {
        Self {
            address: word & ADDRESS,
            depth: (word & BITS) as u32,
            buckets: (word >> BUCKETS_SHIFT) as u32,
            borrowed: PhantomData,
        }
    }

    /// The word for this.
    pub const fn encode(self) -> u64 {
        self.address | self.depth as u64 | (self.buckets as u64) << BUCKETS_SHIFT
    }

    /// Frees the segment and its overflow buckets, and tells how many those were.
    ///
    /// # Safety
    /// The caller owns it and nothing refers to it any more, copies of this included.
    pub unsafe fn free(self, heap: &Heap) -> u32 {
        let overflows = (0..self.buckets())
            // SAFETY: the buckets are the caller's, who gives them up.
            .map(|i| unsafe { bucket::free_overflows(self.bucket(i), heap) })
            .sum();
        // SAFETY: allocated with this size by `alloc`; the caller gives it up.
        unsafe { heap.free(self.address, self.buckets() * BUCKET_BYTES) };
        overflows
    }

    /// The same segment at another address.
    pub const fn moved_to(self, address: u64) -> Self {
        Self { address, ..self }
    }

    /// Bytes of its allocation.
    pub const fn bytes(self) -> usize {
        BUCKET_BYTES * self.buckets()
    }

    /// Number of buckets: 1, or an even number.
    #[inline(always)]
    pub const fn buckets(self) -> usize {
        self.buckets as usize
    }

    /// How many buckets it has when it has grown; more than [`SEGMENT_BUCKETS_MAX`] is for two.
    pub fn buckets_grown(self) -> usize {
        match self.buckets() {
            small @ ..4 => 2 * small,
            more => more + (1 << more.ilog2() >> 2).max(2),
        }
    }

    /// How many buckets it has when it has shrunk, if it can.
    pub const fn buckets_shrunk(self) -> Option<usize> {
        match self.buckets() {
            1 => None,
            2 => Some(1),
            more => Some((more / 2).next_multiple_of(2)),
        }
    }

    /// The tag in this segment of an item with a hash that belongs to it.
    #[inline(always)]
    pub const fn tag(self, hash: u64) -> u64 {
        bucket::tag(hash << self.depth)
    }

    /// Which bucket an item with this tag belongs to.
    #[inline(always)]
    pub const fn index(self, tag: u64) -> usize {
        (bucket::place(tag) * self.buckets()) >> PLACE_BITS
    }

    /// The other bucket of a pair; of a segment of a single bucket that one.
    #[inline(always)]
    pub fn other(self, index: usize) -> &'a Bucket {
        self.bucket(if self.buckets == 1 { index } else { index ^ 1 })
    }

    /// The first position whose hashes belong to a later pair than those of `position`, which has
    /// the segment's prefix; none at the end of all hashes.
    pub const fn position_after(self, position: u64) -> Option<u64> {
        let pair = self.index(self.tag(position)) / 2 * 2 + 2;
        if pair >= self.buckets() {
            return self.first_behind(position);
        }
        let place = (pair << PLACE_BITS).div_ceil(self.buckets()) as u64;
        Some(position & !self.rest() | place << (64 - PLACE_BITS) >> self.depth)
    }

    /// The first hash behind those of the segment, of which `hash` is one; none at the end of all.
    pub const fn first_behind(self, hash: u64) -> Option<u64> {
        (hash | self.rest()).checked_add(1)
    }

    /// The bits of a hash that its items do not share.
    const fn rest(self) -> u64 {
        u64::MAX >> self.depth
    }

    /// Stores the word of an item in the bucket it belongs to or the other of the pair, if there is
    /// room.
    #[inline]
    pub fn put(self, word: u64) -> bool {
        let index = self.index(word);
        let home = self.bucket(index);
        bucket::put(home, word) || self.buckets > 1 && bucket::spill(home, self.other(index), word)
    }

    /// As [`Segment::put`], in a new overflow bucket if there is no room. Returns how many it took.
    pub fn put_anyhow(self, word: u64, heap: &Heap) -> u32 {
        if self.put(word) {
            return 0;
        }
        bucket::put_behind(self.bucket(self.index(word)), word, heap);
        1
    }

    /// Calls `visit` with each item's slot word.
    pub fn for_each(self, mut visit: impl FnMut(u64)) {
        (0..self.buckets()).for_each(|i| bucket::for_each(self.bucket(i), &mut visit));
    }

    /// The buckets of the pair that `hash` belongs to: one in a segment of one.
    pub fn pair(self, hash: u64) -> impl Iterator<Item = &'a Bucket> {
        let first = self.index(self.tag(hash)) & !1;
        (first..self.buckets().min(first + 2)).map(move |i| self.bucket(i))
    }

    /// Calls `visit` with the words of the items of the pair that `hash` belongs to.
    pub fn for_each_in_pair(self, hash: u64, mut visit: impl FnMut(u64)) {
        self.pair(hash).for_each(|head| bucket::for_each(head, &mut visit));
    }

    /// The bucket at `index`, which is below [`Segment::buckets`].
    #[inline(always)]
    pub fn bucket(self, index: usize) -> &'a Bucket {
        debug_assert!(index < self.buckets());
        // SAFETY: it has that many buckets, which are there as was promised to `decode`, or as its
        // maker has them. They are all atomics.
        unsafe { bucket::at(self.address + (index * BUCKET_BYTES) as u64) }
    }

    /// Items, counting no further than a little over `limit`.
    pub fn count(self, limit: usize) -> usize {
        let mut items = 0;
        for i in 0..self.buckets() {
            let mut part = Some(self.bucket(i));
            while let Some(bucket) = part.filter(|_| items <= limit) {
                items += bucket::occupied(bucket);
                part = bucket::next(bucket);
            }
        }
        items
    }
}

/// The words that lead to the segments.
#[derive(Clone, Copy)]
pub struct Directory<'a> {
    /// Address of the first word.
    pub address: u64,
    /// log2 of the number of words.
    pub bits: u32,
    borrowed: PhantomData<&'a AtomicU64>,
}

impl Directory<'static> {
    /// Allocates a directory, whose maker sets each word before it reads any.
    pub fn alloc(heap: &Heap, bits: u32) -> Self {
        Self::try_alloc(heap, bits).unwrap_or_else(|| give_up())
    }

    /// As [`Directory::alloc`], or nothing if there is no memory.
    pub fn try_alloc(heap: &Heap, bits: u32) -> Option<Self> {
        Some(Self { address: heap.try_alloc(Self::bytes(bits))?, bits, borrowed: PhantomData })
    }
}

impl<'a> Directory<'a> {
    /// Frees the words, not what they refer to.
    ///
    /// # Safety
    /// The caller owns it and nothing refers to it any more, copies of this included.
    pub unsafe fn free(self, heap: &Heap) {
        // SAFETY: allocated with this size by `alloc`; the caller gives it up.
        unsafe { heap.free(self.address, Self::bytes(self.bits)) };
    }

    /// Bytes of a directory's allocation; a whole line so that its address has room for the bits.
    pub const fn bytes(bits: u32) -> usize {
        if bits < 3 { 64 } else { 8 << bits }
    }

    /// The same directory at another address.
    pub const fn moved_to(self, address: u64) -> Self {
        Self { address, ..self }
    }

    /// Number of words.
    pub const fn words(self) -> usize {
        1 << self.bits
    }

    /// The word at `index`, which is below [`Directory::words`].
    #[inline(always)]
    pub fn word(self, index: usize) -> &'a AtomicU64 {
        debug_assert!(index < self.words());
        // SAFETY: it has that many words, which are there as for `Segment::bucket`.
        unsafe { &*((self.address as *const AtomicU64).add(index)) }
    }

    /// The segment of all hashes that begin as the word's index does.
    #[inline(always)]
    pub fn segment(self, index: usize) -> Segment<'a> {
        // SAFETY: a directory's word; what was promised of the directory holds for its segments.
        unsafe { Segment::decode(self.word(index).load(Relaxed)) }
    }

    /// The segment that `hash` belongs to.
    #[inline(always)]
    pub fn segment_of(self, hash: u64) -> Segment<'a> {
        self.segment(prefix(hash, self.bits))
    }

    /// Makes every word that `hash` at the segment's depth can lead to name `segment`.
    pub fn set(self, hash: u64, segment: Segment<'_>) {
        let span = 1 << (self.bits - segment.depth);
        let first = prefix(hash, self.bits) & !(span - 1);
        for i in first..first + span {
            self.word(i).store(segment.encode(), Relaxed);
        }
    }

    /// Each segment once, in order of hashes.
    pub fn segments(self) -> impl Iterator<Item = Segment<'a>> {
        let mut index = 0;
        core::iter::from_fn(move || {
            let segment = (index < self.words()).then(|| self.segment(index))?;
            index += 1 << (self.bits - segment.depth);
            Some(segment)
        })
    }
}
