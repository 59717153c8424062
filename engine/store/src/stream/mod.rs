//! Streams: entries in order of their ids, packed into nodes that a tree finds, and beside them
//! consumer groups.
//!
//! A node is full when the listpack that it would be in Redis is: so trimming that removes whole nodes
//! leaves what Redis leaves.

mod check;
mod edit;
mod entry;
mod group;
mod node;
mod radix;
mod range;
mod relocate;
#[cfg(test)]
mod tests;

pub use abi::stream::StreamId;
pub use check::{check_entries, check_groups};
pub use edit::{Entries, Keep, Limit, Trim};
pub use entry::{Fields, FieldsOf, StreamEntry};
pub use group::{Claims, ConsumerRef, Group, GroupRef, Groups, GroupsRef, Pending};
pub use range::{Range, RevRange};
pub use relocate::{GroupPart, Place};

use abi::stream::RawEntries;

use crate::ids::IdsRef;
use crate::packed::Element;
use base::heap::Heap;
use node::Node;

/// A node of a stream, as dumps have it.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    node: Node<'a>,
}

impl<'a> Packed<'a> {
    /// The id that deltas are counted from.
    pub const fn base(self) -> StreamId {
        self.node.base()
    }

    /// Entries.
    pub const fn len(self) -> usize {
        self.node.count()
    }

    /// Whether there are none, which is never so.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The names of the fields of its first entry.
    pub fn names(self) -> impl ExactSizeIterator<Item = Element<'a>> {
        self.node.form().names()
    }

    /// The entries, each with whether its fields have those names.
    pub fn entries(self) -> impl Iterator<Item = (StreamEntry<'a>, bool)> {
        let mut offset = self.node.start();
        core::iter::from_fn(move || {
            (offset < self.node.end()).then(|| {
                let (entry, next) = self.node.entry(offset);
                offset = next;
                (entry, entry.has_names_of_node())
            })
        })
    }
}

/// Entries of a stream to look at.
#[derive(Clone, Copy)]
pub struct EntriesRef<'a> {
    raw: &'a RawEntries,
}

impl<'a> EntriesRef<'a> {
    /// A view of `raw`, which has only ever been changed through [`Entries`].
    #[inline]
    pub const fn new(raw: &'a RawEntries) -> Self {
        Self { raw }
    }

    /// Entries.
    pub const fn len(self) -> usize {
        self.raw.len as usize
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.raw.len == 0
    }

    /// The greatest id that there ever was.
    pub const fn last_id(self) -> StreamId {
        self.raw.last
    }

    /// The greatest id that was ever removed by its id.
    pub const fn max_deleted_id(self) -> StreamId {
        self.raw.max_deleted
    }

    /// Entries ever added.
    pub const fn added(self) -> u64 {
        self.raw.added
    }

    /// The id of the first entry, or 0-0 if there are none.
    pub fn first_id(self) -> StreamId {
        self.nodes().next().map_or(StreamId::MIN, |node| node.id(node.start()).0)
    }

    /// The id of the last entry, or 0-0 if there are none.
    #[inline]
    pub fn top_id(self) -> StreamId {
        let last = self.ids().last().map(|slot| self.node(slot.word));
        last.map_or(StreamId::MIN, Node::last_id)
    }

    /// The entry of an id.
    pub fn get(self, id: StreamId) -> Option<StreamEntry<'a>> {
        self.range(id, id).next()
    }

    /// The entries from an id to another, both included.
    pub fn range(self, start: StreamId, end: StreamId) -> Range<'a> {
        Range::new(self, start, end)
    }

    /// As [`EntriesRef::range`], from the last backwards.
    pub fn rev_range(self, start: StreamId, end: StreamId) -> RevRange<'a> {
        RevRange::new(self, start, end)
    }

    /// How many nodes the entries are packed into.
    pub const fn node_count(self) -> usize {
        self.ids().len()
    }

    /// How many nodes a radix tree has that finds the nodes by their ids, as Redis does. It takes a look
    /// at all of them.
    pub fn radix_nodes(self) -> usize {
        radix::nodes(self.ids().iter_from(StreamId::MIN).map(|slot| slot.id))
    }

    /// The nodes that the entries are packed into, in order, whose base is not below an id.
    pub fn packed_from(self, id: StreamId) -> impl Iterator<Item = Packed<'a>> {
        self.nodes_from(id).map(|node| Packed { node })
    }

    /// Bytes that all of it takes.
    pub fn bytes(self, heap: Heap) -> usize {
        let usable = |bytes| heap.usable(bytes);
        self.ids().bytes(&usable) + self.nodes().map(Node::bytes).sum::<usize>()
    }

    /// As [`EntriesRef::bytes`], from a look at the first few nodes.
    pub fn estimated_bytes(self) -> usize {
        const NODES_MAX: usize = 16;
        let looked_at = self.nodes().take(NODES_MAX).map(Node::bytes);
        let (count, bytes) = looked_at.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
        bytes * self.node_count() / usize::max(count, 1)
    }

    const fn ids(self) -> IdsRef<'a> {
        IdsRef::new(&self.raw.nodes)
    }

    fn nodes(self) -> impl Iterator<Item = Node<'a>> {
        self.nodes_from(StreamId::MIN)
    }

    fn nodes_from(self, id: StreamId) -> impl Iterator<Item = Node<'a>> {
        self.ids().iter_from(id).map(move |slot| self.node(slot.word))
    }

    /// The node that a word of the tree leads to.
    #[inline(always)]
    fn node(self, word: u64) -> Node<'a> {
        // SAFETY: the words of the tree are addresses of nodes, which live and are not changed while
        // the entries are borrowed: that takes an `Entries`, which has them exclusively.
        unsafe { Node::at(word) }
    }
}
