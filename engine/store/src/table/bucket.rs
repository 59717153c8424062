//! One cache line of the table, and the chain of overflow buckets behind it.

use abi::container::{BUCKET_SLOTS, Bucket};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use base::heap::Heap;

/// Bits of a slot that hold the item's address.
pub const ADDRESS: u64 = (1 << 48) - 8;
/// Marks the last slot as the address of an overflow bucket.
pub const LINK: u64 = 1;
/// In the last slot of a bucket of a segment: items that belong here may lie in the other bucket of
/// the pair. Stays until the segment is made anew.
pub const SPILLED: u64 = 2;
/// Size of a bucket in bytes.
pub const BUCKET_BYTES: usize = size_of::<Bucket>();

/// Index of the last slot of a bucket.
pub const LAST: usize = BUCKET_SLOTS - 1;

/// Bits of a tag that say where in its segment an item belongs.
pub const PLACE_BITS: u32 = 15;

/// The tag of an item in a segment, as it stands in bits 48..64 of a slot: `rest` is the item's hash
/// without the bits that all items of the segment share. Never zero there.
#[inline(always)]
pub const fn tag(rest: u64) -> u64 {
    (rest >> 48 | 1) << 48
}

/// Where in its segment an item with this tag belongs, of `1 << PLACE_BITS` places.
#[inline(always)]
pub const fn place(tag: u64) -> usize {
    (tag >> (64 - PLACE_BITS)) as usize
}

/// What the word of an item's slot is in a segment of which this one is the lower or the upper half.
pub const fn in_parent(word: u64, upper: bool) -> u64 {
    let tag = (upper as u64) << 15 | word >> 49 | 1;
    tag << 48 | word & ADDRESS
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
    (last & LINK != 0).then(|| unsafe { at(last & ADDRESS) })
}

/// Whether items that belong to this bucket of a segment may lie elsewhere: in the other bucket of
/// the pair, or in a chain.
#[inline(always)]
pub fn goes_on(head: &Bucket) -> bool {
    head.slots[LAST].load(Relaxed) & (LINK | SPILLED) != 0
}

/// Whether items that belong to this bucket of a segment may lie in the other one of the pair.
#[inline(always)]
pub fn has_spilled(head: &Bucket) -> bool {
    tells_spilled(head.slots[LAST].load(Relaxed))
}

/// As [`has_spilled`], of a bucket whose last slot `word` is.
#[inline(always)]
pub const fn tells_spilled(word: u64) -> bool {
    word & SPILLED != 0
}

/// Makes another bucket the one that continues this one, as one does already.
pub fn set_next(bucket: &Bucket, address: u64) {
    let link = &bucket.slots[LAST];
    link.store(address | LINK | link.load(Relaxed) & SPILLED, Relaxed);
}

/// The slots of this bucket that hold an item.
pub fn items(bucket: &Bucket) -> impl Iterator<Item = &AtomicU64> {
    bucket.slots.iter().filter(|slot| slot.load(Relaxed) >> 48 != 0)
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
            if word >> 48 != 0 {
                visit(word & !SPILLED);
            }
        }
        match next(bucket) {
            Some(more) => bucket = more,
            None => return,
        }
    }
}

/// Puts an item, or 0 for none, into a slot that is no link.
#[inline(always)]
fn set(slot: &AtomicU64, word: u64) {
    slot.store(word | slot.load(Relaxed) & SPILLED, Relaxed);
}

/// Stores an item if the chain has an empty slot.
#[inline]
pub fn put(head: &Bucket, word: u64) -> bool {
    let last = tail(head).1;
    let vacant = vacant(last);
    if vacant != 0 {
        set(slot(last, vacant), word);
    }
    vacant != 0
}

/// Stores an item that belongs to `home`, which is full, in `other`, the other bucket of the pair,
/// if neither has a chain and there is an empty slot.
#[inline]
pub fn spill(home: &Bucket, other: &Bucket, word: u64) -> bool {
    if next(home).is_some() || next(other).is_some() {
        return false;
    }
    let vacant = vacant(other);
    if vacant != 0 {
        set(slot(other, vacant), word);
        let last = &home.slots[LAST];
        last.store(last.load(Relaxed) | SPILLED, Relaxed);
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
    let displaced = last.slots[LAST].load(Relaxed);
    fresh.slots[0].store(displaced & !SPILLED, Relaxed);
    fresh.slots[1].store(word, Relaxed);
    last.slots[LAST].store(address | LINK | displaced & SPILLED, Relaxed);
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
        set(place, 0);
        return false;
    };
    let mut left = occupied(last);
    left -= 1;
    let moved = last.slots[left].load(Relaxed);
    set(place, moved);
    last.slots[left].store(0, Relaxed);
    if left > 1 {
        return false;
    }
    let link = &parent.slots[LAST];
    link.store(last.slots[0].load(Relaxed) | link.load(Relaxed) & SPILLED, Relaxed);
    let freed = address_of(last);
    // SAFETY: the chain owned the bucket, and the link to it has just been overwritten; nobody uses
    // what was found in it, this included.
    unsafe { heap.free(freed, BUCKET_BYTES) };
    true
}

/// Whether the slot at the address `place` is one of the chain's.
pub fn chain_has(head: &Bucket, place: u64) -> bool {
    let mut part = Some(head);
    while let Some(bucket) = part {
        let first = address_of(bucket);
        if (first..first + BUCKET_BYTES as u64).contains(&place) {
            return true;
        }
        part = next(bucket);
    }
    false
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
