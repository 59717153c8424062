//! A leaf of the tree: the addresses of members in order, each with a prefix of its sort key.

use abi::container::{LEAF_MEMBERS, TreeLeaf};

use super::member::{Cut, Scored};
use crate::table::prefetch_line;
use base::heap::Heap;

/// Most members of a leaf. Few in unit tests, so that trees grow high.
pub const MEMBERS_MAX: usize = if cfg!(test) { 9 } else { LEAF_MEMBERS };
/// Steps in which the capacity grows, in words.
const CAPACITY_STEP: usize = 8;
/// Members that a merged leaf has at most: some may join it before it is split again.
pub const MERGED_MAX: usize = MEMBERS_MAX / 4 * 3;
/// Members below which a leaf is merged with a neighbour.
pub const SPARSE: usize = MEMBERS_MAX / 4;

const HEAD_BYTES: usize = size_of::<TreeLeaf>();
/// Bits of a word that hold the address.
pub const ADDRESS_BITS: u32 = 48;
/// The address in a word.
pub const ADDRESS: u64 = (1 << ADDRESS_BITS) - 1;
const PREFIX_MAX: u64 = u64::MAX >> ADDRESS_BITS;
/// Bits that the members of a leaf have of a prefix when it is measured anew: one more is left for
/// such as come behind them.
const MEASURED_BITS: u32 = u64::BITS - ADDRESS_BITS - 1;
/// A leaf whose prefixes differ by less is measured anew when it is split or grows.
const SPREAD_MIN: u64 = 1 << 10;
/// Records that are fetched ahead of the one that is visited.
const FETCHED_AHEAD: usize = 8;

/// A leaf to look at.
#[derive(Clone, Copy)]
pub struct Leaf<'a> {
    head: &'a TreeLeaf,
    words: &'a [u64],
}

impl<'a> Leaf<'a> {
    /// The leaf at an address.
    ///
    /// # Safety
    /// One is there, and neither it nor a record of its members is changed for `'a`.
    #[inline(always)]
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises; the words follow the header.
        unsafe {
            let head = &*(address as *const TreeLeaf);
            let words = (address + HEAD_BYTES as u64) as *const u64;
            Self { head, words: core::slice::from_raw_parts(words, head.count.into()) }
        }
    }

    /// Members.
    pub const fn len(self) -> usize {
        self.words.len()
    }

    /// Whether there is room for no more members in a leaf.
    pub const fn is_full(self) -> bool {
        self.words.len() >= MEMBERS_MAX
    }

    /// Whether there is no room without a larger allocation.
    pub fn is_at_capacity(self) -> bool {
        self.words.len() == usize::from(self.head.capacity)
    }

    /// The address of a member's record.
    #[inline(always)]
    pub const fn address(self, index: usize) -> u64 {
        self.words[index] & ADDRESS
    }

    /// A member.
    #[inline(always)]
    pub fn member(self, index: usize) -> Scored<'a> {
        // SAFETY: words are addresses of records, unchanged for 'a.
        unsafe { Scored::at(self.address(index)) }
    }

    /// Members before a place.
    #[inline]
    pub fn index(self, cut: &Cut<'a>) -> usize {
        let (mut low, mut high) = (0, self.words.len());
        if let Some(key) = cut.key() {
            let prefix = self.prefix(key);
            low = self.words.partition_point(|word| word >> ADDRESS_BITS < prefix);
            high = low + self.words[low..].partition_point(|word| word >> ADDRESS_BITS <= prefix);
        }
        while low < high {
            let middle = low.midpoint(high);
            let member = self.member(middle);
            if cut.is_past(member.order(), || member.name) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Whether the member at an index would keep its place with another score, as far as that is seen
    /// here: nodes above know the first of a leaf, and the last is beside one of another.
    pub fn would_stay(self, index: usize, new: Scored<'a>) -> bool {
        let prefix = self.prefix(new.key());
        // Only if prefixes do not tell them apart, the records do.
        let is_behind = |index: usize| match self.words[index] >> ADDRESS_BITS {
            other if other == prefix => self.member(index).compare(new).is_lt(),
            other => other < prefix,
        };
        0 < index && index + 1 < self.len() && is_behind(index - 1) && !is_behind(index + 1)
    }

    /// The prefix of a sort key in this leaf.
    #[inline(always)]
    fn prefix(self, key: u128) -> u64 {
        prefix(self.head, key)
    }

    /// Whether prefixes tell members apart badly.
    fn is_skewed(self) -> bool {
        let prefix = |index: usize| self.words[index] >> ADDRESS_BITS;
        let middle = prefix(self.len() / 2);
        middle == 0 || middle == PREFIX_MAX || prefix(self.len() - 1) - prefix(0) < SPREAD_MIN
    }

    /// Calls `visit` with the members of a range, in reverse if so asked, until it returns false.
    /// Tells whether it never did.
    pub fn walk(
        self,
        range: core::ops::Range<usize>,
        reverse: bool,
        visit: &mut dyn FnMut(Scored<'a>) -> bool,
    ) -> bool {
        let (first, len) = (range.start, range.len());
        let at = |step: usize| if reverse { first + len - 1 - step } else { first + step };
        (0..FETCHED_AHEAD.min(len)).for_each(|step| prefetch_line(self.address(at(step))));
        (0..len).all(|step| {
            if step + FETCHED_AHEAD < len {
                prefetch_line(self.address(at(step + FETCHED_AHEAD)));
            }
            visit(self.member(at(step)))
        })
    }
}

/// The prefix of a sort key in a leaf.
#[inline(always)]
pub fn prefix(head: &TreeLeaf, key: u128) -> u64 {
    let above = key.saturating_sub(base(head)) >> head.shift;
    u64::try_from(above).unwrap_or(u64::MAX).min(PREFIX_MAX)
}

fn base(head: &TreeLeaf) -> u128 {
    u128::from(head.base_score) << u64::BITS | u128::from(head.base_name)
}

/// A leaf to change.
pub struct LeafMut<'a> {
    head: &'a mut TreeLeaf,
    room: &'a mut [u64],
}

impl LeafMut<'_> {
    /// The leaf at an address.
    ///
    /// # Safety
    /// As for [`Leaf::at`], and nobody else uses a view of it while this is used.
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises; header and words do not overlap.
        unsafe {
            let head = &mut *(address as *mut TreeLeaf);
            let words = (address + HEAD_BYTES as u64) as *mut u64;
            let room = core::slice::from_raw_parts_mut(words, head.capacity.into());
            Self { head, room }
        }
    }

    fn view(&self) -> Leaf<'_> {
        Leaf { head: self.head, words: &self.room[..self.head.count.into()] }
    }

    /// Says where the record of the member at an index is now.
    pub fn set_address(&mut self, index: usize, address: u64) {
        self.room[index] = self.room[index] & !ADDRESS | address;
    }

    /// Puts a member at an index. There is room.
    pub fn insert(&mut self, index: usize, member: Scored<'_>, address: u64) {
        let count = usize::from(self.head.count);
        let word = self.view().prefix(member.key()) << ADDRESS_BITS | address;
        self.room.copy_within(index..count, index + 1);
        self.room[index] = word;
        self.head.count += 1;
    }

    /// Gives the member at an index, which keeps its place, another score.
    ///
    /// # Safety
    /// No view of its record is used any more.
    pub unsafe fn rescore(&mut self, index: usize, member: Scored<'_>) {
        let view = self.view();
        let (address, prefix) = (view.address(index), view.prefix(member.key()));
        // SAFETY: words are addresses of records; as the caller promises for the rest.
        unsafe { Scored::rescore(address, member.score) };
        self.room[index] = prefix << ADDRESS_BITS | address;
    }

    /// Takes the member at an index out.
    pub fn remove(&mut self, index: usize) {
        let count = usize::from(self.head.count);
        self.room.copy_within(index + 1..count, index);
        self.head.count -= 1;
    }

    /// Leaves only so many members.
    pub fn truncate(&mut self, count: usize) {
        self.head.count = count as u16;
    }

    /// Adds the members of another leaf, which come behind these, of which there is at least one.
    /// There is room.
    pub fn append(&mut self, other: Leaf<'_>) {
        let count = usize::from(self.head.count);
        self.room[count..count + other.len()].copy_from_slice(other.words);
        self.head.count += other.len() as u16;
        self.measure();
    }

    /// Chooses anew what prefixes are made of, if they tell members apart badly.
    pub fn measure_if_skewed(&mut self) {
        if self.view().is_skewed() {
            self.measure();
        }
    }

    /// Chooses anew what prefixes are made of, by the members there are.
    fn measure(&mut self) {
        let view = self.view();
        let keys: Vec<u128> = (0..view.len()).map(|index| view.member(index).key()).collect();
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return };
        let bits = u128::BITS - (last - first).leading_zeros();
        self.head.base_score = (first >> u64::BITS) as u64;
        self.head.base_name = *first as u64;
        self.head.shift = bits.saturating_sub(MEASURED_BITS);
        for (index, key) in keys.into_iter().enumerate() {
            let prefix = self.view().prefix(key);
            self.room[index] = prefix << ADDRESS_BITS | self.room[index] & ADDRESS;
        }
    }
}

/// Bytes of a leaf with room for so many members.
pub const fn bytes(capacity: usize) -> usize {
    HEAD_BYTES + capacity * size_of::<u64>()
}

/// The room that a leaf of so many members is given.
pub const fn capacity_for(members: usize) -> usize {
    let wanted = (members + members / 8 + 1).next_multiple_of(CAPACITY_STEP);
    if wanted < LEAF_MEMBERS { wanted } else { LEAF_MEMBERS }
}

/// Bytes of the allocation of a leaf.
///
/// # Safety
/// As for [`Leaf::at`].
pub unsafe fn size(address: u64) -> usize {
    // SAFETY: as the caller promises.
    bytes(unsafe { Leaf::at(address) }.head.capacity.into())
}

/// A leaf without members with room for so many; none if there is no memory.
pub fn allocate(heap: Heap, capacity: usize) -> Option<u64> {
    let address = heap.try_alloc(bytes(capacity))?;
    let head =
        TreeLeaf { base_score: 0, base_name: 0, shift: 0, count: 0, capacity: capacity as u16 };
    // SAFETY: a new allocation; the words are zero before anything refers to them.
    unsafe {
        (address as *mut TreeLeaf).write(head);
        ((address + HEAD_BYTES as u64) as *mut u64).write_bytes(0, capacity);
    }
    Some(address)
}

/// A copy of some members of a leaf with room for so many; none if there is no memory.
///
/// # Safety
/// As for [`Leaf::at`].
pub unsafe fn copy(
    heap: Heap,
    address: u64,
    members: core::ops::Range<usize>,
    capacity: usize,
) -> Option<u64> {
    let copy = allocate(heap, capacity)?;
    // SAFETY: as the caller promises; the copy is new and nobody else's.
    let (from, to) = unsafe { (Leaf::at(address), LeafMut::at(copy)) };
    (to.head.base_score, to.head.base_name) = (from.head.base_score, from.head.base_name);
    (to.head.shift, to.head.count) = (from.head.shift, members.len() as u16);
    to.room[..members.len()].copy_from_slice(&from.words[members]);
    Some(copy)
}

/// Has a leaf fetched into the cache, whole: a search looks at one line after the other, and each would be
/// waited for.
#[inline(always)]
pub fn fetch(address: u64) {
    const LINE: usize = 64;
    (0..bytes(LEAF_MEMBERS)).step_by(LINE).for_each(|at| prefetch_line(address + at as u64));
}

/// Members of a leaf.
///
/// # Safety
/// As for [`Leaf::at`].
pub unsafe fn len(address: u64) -> usize {
    // SAFETY: as the caller promises.
    unsafe { Leaf::at(address) }.len()
}

/// Whether a leaf has room for more than so many members.
///
/// # Safety
/// As for [`Leaf::at`].
pub unsafe fn is_roomier(address: u64, members: usize) -> bool {
    // SAFETY: as the caller promises.
    usize::from(unsafe { Leaf::at(address) }.head.capacity) > members
}
