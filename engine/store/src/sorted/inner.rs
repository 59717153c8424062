//! A node of the tree above the leaves.

use abi::container::{INNER_CHILDREN, TreeInner};

use super::member::{Cut, Scored, order};
use base::heap::Heap;

/// Most children. Few in unit tests, so that trees grow high.
pub const CHILDREN_MAX: usize = if cfg!(test) { 8 } else { INNER_CHILDREN };
/// Children that a merged node has at most.
pub const MERGED_MAX: usize = CHILDREN_MAX / 4 * 3;
/// Children below which a node is merged with a neighbour.
pub const SPARSE: usize = CHILDREN_MAX / 4;
/// Bytes of a node.
pub const BYTES: usize = size_of::<TreeInner>();

/// What a node knows of one of its children.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Child {
    /// Its address.
    pub node: u64,
    /// The address of its first member's record.
    pub first: u64,
    /// Members below it.
    pub members: u64,
}

/// The node at an address, to look at it.
///
/// # Safety
/// One is there, and nobody changes it for `'a`.
#[inline(always)]
pub unsafe fn at<'a>(address: u64) -> &'a TreeInner {
    // SAFETY: as the caller promises.
    unsafe { &*(address as *const TreeInner) }
}

/// The node at an address, to change it.
///
/// # Safety
/// As for [`at`], and nobody else uses a view of it for `'a`.
#[inline(always)]
pub unsafe fn at_mut<'a>(address: u64) -> &'a mut TreeInner {
    // SAFETY: as the caller promises.
    unsafe { &mut *(address as *mut TreeInner) }
}

/// A node without children.
pub fn allocate(heap: Heap) -> u64 {
    let address = heap.alloc(BYTES);
    // SAFETY: a new allocation, for which zeros are valid.
    unsafe { (address as *mut TreeInner).write_bytes(0, 1) };
    address
}

/// What is done with a node whose firsts are records that live.
pub trait Inner {
    /// Children.
    fn len(&self) -> usize;

    /// Whether there is room for no more.
    fn is_full(&self) -> bool {
        self.len() >= CHILDREN_MAX
    }

    /// A child.
    fn child(&self, index: usize) -> Child;

    /// Members below all children.
    fn total(&self) -> u64;

    /// Whether the first member below a child is before a place.
    fn is_before(&self, index: usize, cut: &Cut<'_>) -> bool;

    /// The last child whose first member is before a place, or the first if none is.
    fn index(&self, cut: &Cut<'_>) -> usize;

    /// Puts a child at an index. There is room.
    fn insert(&mut self, index: usize, child: Child);

    /// Takes the child at an index out.
    fn remove(&mut self, index: usize);

    /// Says which record is the first below a child.
    fn set_first(&mut self, index: usize, first: u64);
}

impl Inner for TreeInner {
    #[inline(always)]
    fn len(&self) -> usize {
        self.count as usize
    }

    fn child(&self, index: usize) -> Child {
        Child {
            node: self.children[index],
            first: self.firsts[index],
            members: self.members[index],
        }
    }

    fn total(&self) -> u64 {
        self.members[..self.len()].iter().sum()
    }

    #[inline(always)]
    fn is_before(&self, index: usize, cut: &Cut<'_>) -> bool {
        // SAFETY: the record of a member of the tree, which nobody changes meanwhile.
        cut.is_past(self.scores[index], || unsafe { Scored::at(self.firsts[index]) }.name)
    }

    #[inline]
    fn index(&self, cut: &Cut<'_>) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.is_before(middle, cut) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.saturating_sub(1)
    }

    fn insert(&mut self, index: usize, child: Child) {
        let count = self.len();
        for array in [&mut self.scores, &mut self.firsts, &mut self.children, &mut self.members] {
            array.copy_within(index..count, index + 1);
        }
        self.children[index] = child.node;
        self.members[index] = child.members;
        self.set_first(index, child.first);
        self.count += 1;
    }

    fn remove(&mut self, index: usize) {
        let count = self.len();
        for array in [&mut self.scores, &mut self.firsts, &mut self.children, &mut self.members] {
            array.copy_within(index + 1..count, index);
        }
        self.count -= 1;
    }

    fn set_first(&mut self, index: usize, first: u64) {
        self.firsts[index] = first;
        // SAFETY: the record of a member of the tree, which nobody changes meanwhile.
        self.scores[index] = order(unsafe { Scored::at(first) }.score);
    }
}
