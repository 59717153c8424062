//! Moving what a sorted set is made of: first its table, then tree and records in order of ranks.

use abi::container::RawSortedSet;

use super::Sorted;
use super::inner::{self, Inner};
use super::leaf::{self, Leaf, LeafMut};
use super::member::Scored;
use super::tree::{Path, set_first};
use crate::table::Table;
use base::hash::hash;
use base::heap::Heap;
use base::mover::Mover;

/// Where it goes on: in the table at a cursor, or in the tree at a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A cursor of the table.
    Table(u64),
    /// A rank.
    Rank(u64),
}

impl Sorted<'_> {
    /// Moves nodes, records and what the table is made of, from a place on, until `mover` is spent.
    /// Returns the place to go on at, unless it has come to the end. What has changed meanwhile may
    /// be left out.
    pub fn relocate(&mut self, from: Place, mover: &mut Mover) -> Option<Place> {
        let rank = match from {
            Place::Rank(rank) => rank,
            Place::Table(cursor) => match self.table().relocate_some(cursor, mover, &mut |_, _| ())
            {
                0 => 0,
                next => return Some(Place::Table(next)),
            },
        };
        let (heap, seed) = (self.heap, self.seed);
        let mut parts = Parts { raw: self.raw, heap, seed };
        let mut next = rank as usize;
        while !mover.is_spent() {
            next = parts.relocate_leaf(next, mover)?;
        }
        Some(Place::Rank(next as u64))
    }
}

/// A sorted set whose tree and table are changed together. It is had exclusively, and nothing looks
/// at a record of it but what is here.
struct Parts<'a> {
    raw: &'a mut RawSortedSet,
    heap: Heap,
    seed: [u64; 2],
}

impl Parts<'_> {
    /// Moves the leaf with a rank, the nodes above it, and its records from there on. Returns the
    /// rank to go on at, if there is one.
    fn relocate_leaf(&mut self, rank: usize, mover: &mut Mover) -> Option<usize> {
        let (mut path, mut left) = (Path::new(), rank);
        let RawSortedSet { members, root, height, .. } = &mut *self.raw;
        if *root == 0 {
            return None;
        }
        let mut table = Table::new(members, self.heap);
        let mut link = root;
        for _ in 0..*height {
            relocate_node(link, inner::BYTES, mover);
            // SAFETY: a node of the tree at this level, of which there is no other view.
            let node = unsafe { inner::at_mut(*link) };
            let mut index = 0;
            while index + 1 < node.len() && left >= node.members[index] as usize {
                left -= node.members[index] as usize;
                index += 1;
            }
            path.push(*link, index);
            link = &mut node.children[index];
        }
        // SAFETY: as above, a leaf.
        relocate_node(link, unsafe { leaf::size(*link) }, mover);
        let (leaf, first) = (*link, left);
        // SAFETY: as above.
        let len = unsafe { leaf::len(leaf) };
        while left < len && !mover.is_spent() {
            // SAFETY: as above; the record is in tree and table, both of which are had exclusively.
            unsafe {
                let old = Leaf::at(leaf).address(left);
                let member = Scored::at(old);
                let hash = hash(member.name, self.seed);
                mover.relocate(old, member.size(), |new| {
                    LeafMut::at(leaf).set_address(left, new);
                    if left == 0 {
                        set_first(path.upwards(), new);
                    }
                    if let Some(slot) = table.find_address(hash, old) {
                        table.replace(slot, new);
                    }
                });
            }
            left += 1;
        }
        let next = rank - first.min(rank) + left;
        (next < table.len()).then_some(next)
    }
}

/// Moves the node that a word leads to.
fn relocate_node(link: &mut u64, bytes: usize, mover: &mut Mover) {
    let node = *link;
    if mover.is_to_move(node) {
        // SAFETY: a node of a tree that is had exclusively, to which the word alone refers.
        unsafe {
            mover.relocate(node, bytes, |address| *link = address);
        }
    }
}
