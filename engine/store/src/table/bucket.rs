//! One cache line of the table, and the chain of overflow buckets behind it.

use abi::container::{BUCKET_SLOTS, Bucket};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use base::heap::Heap;

/// Bits of a slot that hold the item's address.
pub const ADDRESS: u64 = (1 << 48) - 1;
/// Marks the last slot as the address of an overflow bucket.
pub const LINK: u64 = 1;
/// Size of a bucket in bytes.
pub const BUCKET_BYTES: usize = size_of::<Bucket>();

const TAG_BIT: u32 = 6;
const LAST: usize = BUCKET_SLOTS - 1;

/// The tag of `hash`, as it stands in bits 48..64 of a slot. Never zero there.
#[inline(always)]
pub const fn tag(hash: u64) -> u64 {
    (hash >> TAG_BIT | 1) << 48
}

/// The bucket at `address`.
///
/// # Safety
/// A bucket is there, it stays allocated for `'a`, and its slots are only accessed as atomics or
/// under the lock of the table.
#[inline(always)]
pub unsafe fn at<'a>(address: u64) -> &'a Bucket {
    debug_assert!(address.is_multiple_of(64) && address != 0);
    // SAFETY: the caller vouches for the address.
    unsafe { &*(address as *const Bucket) }
}

/// The address of a bucket.
#[inline(always)]
pub fn address_of(bucket: &Bucket) -> u64 {
    bucket as *const Bucket as u64
}

/// Bit `i` of the result tells whether slot `i` has `tag` (as from [`tag`]) in its top bits. A tag
/// of zero finds the slots that hold no item: empty ones and a link.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub fn matching(bucket: &Bucket, tag: u64) -> u32 {
    use core::arch::x86_64::*;
    let line = (bucket as *const Bucket).cast::<f32>();
    // SAFETY: every x86-64 has SSE2. The line is 64 aligned bytes, and as the caller holds the
    // table's lock nobody stores to it meanwhile.
    unsafe {
        let quarter = |i: usize| _mm_load_ps(line.add(4 * i));
        // The high halves of two slots each, then the high 16 bits of those.
        let upper = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(quarter(0), quarter(1)));
        let lower = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(quarter(2), quarter(3)));
        let tags = _mm_packs_epi32(_mm_srai_epi32::<16>(upper), _mm_srai_epi32::<16>(lower));
        let equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((tag >> 48) as i16));
        _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) as u32
    }
}

/// As the vector form above, a slot at a time.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub fn matching(bucket: &Bucket, tag: u64) -> u32 {
    matching_words(|i| bucket.slots[i].load(Relaxed), tag)
}

/// As [`matching`], of slots that `word` reads.
#[inline(always)]
pub fn matching_words(word: impl Fn(usize) -> u64, tag: u64) -> u32 {
    (0..BUCKET_SLOTS).fold(0, |mask, i| mask | u32::from(word(i) >> 48 == tag >> 48) << i)
}

/// Slots without an item, as a mask; a link counts as one.
#[inline(always)]
fn vacant(bucket: &Bucket) -> u32 {
    matching(bucket, 0)
}

/// Items in this bucket, without those in the buckets that continue it.
#[inline(always)]
pub fn occupied(bucket: &Bucket) -> usize {
    BUCKET_SLOTS - vacant(bucket).count_ones() as usize
}

/// The bucket that continues this one.
#[inline(always)]
pub fn next(bucket: &Bucket) -> Option<&Bucket> {
    let last = bucket.slots[LAST].load(Relaxed);
    // SAFETY: a link is the address of a bucket that the chain owns.
    (last & LINK != 0).then(|| unsafe { at(last & ADDRESS & !LINK) })
}

/// Makes another bucket the one that continues this one, as one does already.
pub fn set_next(bucket: &Bucket, address: u64) {
    bucket.slots[LAST].store(address | LINK, Relaxed);
}

/// The slots of this bucket that hold an item.
pub fn items(bucket: &Bucket) -> impl Iterator<Item = &AtomicU64> {
    bucket.slots.iter().filter(|slot| {
        let word = slot.load(Relaxed);
        word != 0 && word & LINK == 0
    })
}

/// The slot of the mask's lowest bit.
#[inline(always)]
pub fn slot(bucket: &Bucket, mask: u32) -> &AtomicU64 {
    &bucket.slots[mask.trailing_zeros() as usize & LAST]
}

/// Calls `visit` with each item's slot word in the chain that starts at `head`.
#[inline]
pub fn for_each(head: &Bucket, mut visit: impl FnMut(u64)) {
    let mut bucket = head;
    loop {
        for slot in &bucket.slots {
            let word = slot.load(Relaxed);
            if word != 0 && word & LINK == 0 {
                visit(word);
            }
        }
        match next(bucket) {
            Some(more) => bucket = more,
            None => return,
        }
    }
}

/// Stores an item if the chain has an empty slot.
#[inline]
pub fn put(head: &Bucket, word: u64) -> bool {
    let last = tail(head).1;
    let vacant = vacant(last);
    if vacant != 0 {
        slot(last, vacant).store(word, Relaxed);
    }
    vacant != 0
}

/// Stores an item behind a full chain, in a bucket allocated for it and the item it displaces.
pub fn put_behind(head: &Bucket, word: u64, heap: &Heap) {
    let last = tail(head).1;
    let address = heap.alloc(BUCKET_BYTES);
    // SAFETY: the allocation is fresh, of a bucket's size and alignment; zero is an empty bucket.
    let fresh = unsafe {
        (address as *mut u8).write_bytes(0, BUCKET_BYTES);
        at(address)
    };
    fresh.slots[0].store(last.slots[LAST].load(Relaxed), Relaxed);
    fresh.slots[1].store(word, Relaxed);
    last.slots[LAST].store(address | LINK, Relaxed);
}

/// Takes the item out of `place`, a slot of the chain, and keeps the chain dense. Returns whether
/// an overflow bucket was freed.
///
/// # Safety
/// The caller holds the lock of the table, and no other slot or bucket behind `head` that was found
/// before is used after this.
#[inline]
pub unsafe fn unlink(head: &Bucket, place: &AtomicU64, heap: &Heap) -> bool {
    let (parent, last) = tail(head);
    let Some(parent) = parent else {
        place.store(0, Relaxed);
        return false;
    };
    let mut left = occupied(last);
    left -= 1;
    let moved = last.slots[left].load(Relaxed);
    place.store(moved, Relaxed);
    last.slots[left].store(0, Relaxed);
    if left > 1 {
        return false;
    }
    parent.slots[LAST].store(last.slots[0].load(Relaxed), Relaxed);
    let freed = address_of(last);
    // SAFETY: the chain owned the bucket, and the link to it has just been overwritten; nobody uses
    // what was found in it, this included.
    unsafe { heap.free(freed, BUCKET_BYTES) };
    true
}

/// Frees the overflow buckets behind `head` and tells how many they were.
///
/// # Safety
/// The caller gives the whole chain up: no slot of it is used again.
pub unsafe fn free_overflows(head: &Bucket, heap: &Heap) -> u32 {
    let mut freed = 0;
    let mut following = next(head);
    while let Some(bucket) = following {
        following = next(bucket);
        // SAFETY: the chain owned the bucket, and the caller drops the whole chain.
        unsafe { heap.free(address_of(bucket), BUCKET_BYTES) };
        freed += 1;
    }
    freed
}

/// The last bucket of the chain, and the one before it.
#[inline(always)]
fn tail(head: &Bucket) -> (Option<&Bucket>, &Bucket) {
    let (mut parent, mut last) = (None, head);
    while let Some(more) = next(last) {
        (parent, last) = (Some(last), more);
    }
    (parent, last)
}
