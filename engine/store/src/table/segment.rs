//! Where an item belongs: root word, directory and segments.

use abi::container::{Bucket, SEGMENT_BUCKETS};
use core::marker::PhantomData;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::bucket::{self, BUCKET_BYTES};
use base::heap::{Heap, give_up};

/// log2 of the buckets of a full segment.
pub const SEGMENT_BITS: u32 = SEGMENT_BUCKETS.trailing_zeros();
/// Largest directory: log2 of its words.
pub const DIRECTORY_BITS_MAX: u32 = 31;

const DIRECTORY: u64 = 1 << 5;
const BITS: u64 = DIRECTORY - 1;
const LOW: u64 = 63;

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
        let (address, bits) = (word & !LOW, (word & BITS) as u32);
        if word == 0 {
            Self::Empty
        } else if word & DIRECTORY == 0 {
            Self::Single(Segment { address, depth: 0, bits, borrowed: PhantomData })
        } else {
            Self::Directory(Directory { address, bits, borrowed: PhantomData })
        }
    }

    /// The root word of this.
    pub const fn encode(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Single(segment) => segment.address | segment.bits as u64,
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
    /// log2 of its buckets.
    pub bits: u32,
    borrowed: PhantomData<&'a Bucket>,
}

impl Segment<'static> {
    /// Allocates a segment of empty buckets: it is its maker's until it frees it or a table has it.
    pub fn alloc(heap: &Heap, depth: u32, bits: u32) -> Self {
        Self::at(heap.alloc(BUCKET_BYTES << bits), depth, bits)
    }

    /// As [`Segment::alloc`], or nothing if there is no memory.
    pub fn try_alloc(heap: &Heap, depth: u32, bits: u32) -> Option<Self> {
        Some(Self::at(heap.try_alloc(BUCKET_BYTES << bits)?, depth, bits))
    }

    fn at(address: u64, depth: u32, bits: u32) -> Self {
        // SAFETY: the caller has just allocated the bytes; zero is an empty bucket.
        unsafe { (address as *mut u8).write_bytes(0, BUCKET_BYTES << bits) };
        Self { address, depth, bits, borrowed: PhantomData }
    }
}

impl<'a> Segment<'a> {
    /// The segment that a directory's word names.
    ///
    /// # Safety
    /// As for [`Root::decode`], of a directory's word.
    #[inline(always)]
    pub const unsafe fn decode(word: u64) -> Self {
        let (address, depth) = (word & !LOW, (word & LOW) as u32);
        Self { address, depth, bits: SEGMENT_BITS, borrowed: PhantomData }
    }

    /// The directory's word for this.
    pub const fn encode(self) -> u64 {
        self.address | self.depth as u64
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
        unsafe { heap.free(self.address, BUCKET_BYTES << self.bits) };
        overflows
    }

    /// The same segment at another address.
    pub const fn moved_to(self, address: u64) -> Self {
        Self { address, ..self }
    }

    /// Bytes of its allocation.
    pub const fn bytes(self) -> usize {
        BUCKET_BYTES << self.bits
    }

    /// Number of buckets.
    pub const fn buckets(self) -> usize {
        1 << self.bits
    }

    /// Bits of a hash that say which bucket of which segment.
    pub const fn prefix_bits(self) -> u32 {
        self.depth + self.bits
    }

    /// Which bucket a hash belongs to.
    #[inline(always)]
    pub const fn index(self, hash: u64) -> usize {
        prefix(hash << self.depth, self.bits)
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
