//! Adding, removing and trimming entries.

use abi::stream::{IdSlot, RawEntries, StreamId};

use super::EntriesRef;
use super::entry::{Draft, Fields};
use super::node::{self, Node, NodeMut};
use crate::ids::Ids;
use base::heap::{Heap, give_up, or_undo};

/// Bytes of a listpack above which a node is full whatever the settings, so that whatever is done to a
/// node takes little time.
const NODE_BYTES_MAX: u64 = 64 << 10;
/// A node with at most so much room is not made smaller.
const SHRUNK_BYTES_MIN: usize = 256;

/// When a node is full: as the settings `stream-node-max-bytes` and `stream-node-max-entries` have it.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    bytes: u64,
    entries: u64,
}

impl Limit {
    /// Of the bytes and entries of a node; 0 for no limit.
    pub const fn new(bytes: u64, entries: u64) -> Self {
        let bytes = if bytes == 0 || bytes > NODE_BYTES_MAX { NODE_BYTES_MAX } else { bytes };
        Self { bytes, entries: if entries == 0 { u64::MAX } else { entries } }
    }

    /// Whether a node may have more bytes of entries than these, of names.
    pub const fn is_roomy_for(self, names: usize) -> bool {
        names as u64 * 4 <= self.bytes
    }

    /// Whether a node is to get no entry of so many bytes.
    fn is_reached(self, node: Node<'_>, bytes: usize) -> bool {
        (node.listpack_bytes() + bytes) as u64 >= self.bytes || node.count_ever() >= self.entries
    }
}

/// What is to be left when a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many entries.
    Last(u64),
    /// Those whose id is not below one.
    From(StreamId),
}

/// How a stream is to be trimmed.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    /// What is to be left.
    pub keep: Keep,
    /// Only whole nodes are removed.
    pub approximate: bool,
    /// How many entries are removed at most; 0 for no limit.
    pub limit: u64,
}

/// The entries of a stream, to change them.
pub struct Entries<'a> {
    raw: &'a mut RawEntries,
    heap: Heap,
}

impl<'a> Entries<'a> {
    /// A view of `raw`, which is empty or has only ever been changed through such views with the same
    /// heap.
    #[inline]
    pub const fn new(raw: &'a mut RawEntries, heap: Heap) -> Self {
        Self { raw, heap }
    }

    /// To look at them.
    #[inline]
    pub const fn view(&self) -> EntriesRef<'_> {
        EntriesRef::new(self.raw)
    }

    /// Says which id is the greatest that there ever was: not below any there is.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.raw.last = id;
    }

    /// Says which id is the greatest that was removed.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.raw.max_deleted = id;
    }

    /// Says how many entries were ever added.
    pub fn set_added(&mut self, added: u64) {
        self.raw.added = added;
    }

    /// Adds an entry. Where memory runs out nothing has changed.
    ///
    /// # Panics
    /// If its id is not above the greatest that there ever was.
    #[inline]
    pub fn append<'e>(&mut self, id: StreamId, fields: impl Fields<'e>, limit: Limit) {
        assert!(id > self.raw.last, "ids only rise");
        let tail = self.view().ids().last();
        match tail.map(|slot| self.view().node(slot.word)) {
            Some(node) if !limit.is_reached(node, bytes_of(fields)) => {
                let is_same = node.names().are_those_of(fields);
                let draft = Draft::new(id, node.base(), fields, is_same);
                let address = self.tail_with_room(draft.len());
                // SAFETY: a node of this stream, of which there is no other view.
                unsafe { NodeMut::at(address) }.push(&draft, fields);
            }
            _ => self.add_node(id, fields),
        }
        self.raw.len += 1;
        self.raw.added += 1;
        self.raw.last = id;
    }

    /// The last node, with room for so many bytes.
    #[inline]
    fn tail_with_room(&mut self, len: usize) -> u64 {
        let Some(slot) = self.view().ids().last() else { unreachable!("there is a last node") };
        let node = self.view().node(slot.word);
        if node.room() >= len {
            return slot.word;
        }
        let more = len.max((node.end() - node.start()) / 2);
        // SAFETY: a node of this stream, of which there is no other view.
        let new = unsafe { node::copy(self.heap, slot.word, more) }.unwrap_or_else(|| give_up());
        self.replace(slot, new);
        new
    }

    /// Adds a node with an entry behind the others.
    #[cold]
    fn add_node<'e>(&mut self, id: StreamId, fields: impl Fields<'e>) {
        let heap = self.heap;
        let tail = self.view().ids().last();
        let draft = Draft::new(id, id, fields, true);
        // It will probably become as long as the last one.
        let before = tail.map(|slot| self.view().node(slot.word));
        let expected = before.map_or(0, |node| node.end() - node.start());
        let room = draft.len().max(expected.min(NODE_BYTES_MAX as usize));
        let new = node::allocate(heap, id, fields, room).unwrap_or_else(|| give_up());
        // SAFETY: a new node, which nobody else knows.
        unsafe { NodeMut::at(new) }.push(&draft, fields);
        or_undo(
            &mut self.ids(),
            |ids| ids.insert(id, new),
            // SAFETY: the tree did not take it.
            |_| unsafe { node::free(heap, new) },
        );
        if let Some(slot) = tail {
            self.tighten(slot, 8);
        }
    }

    /// Makes a node as small as it can be, if one part of so many of it is free, and there is memory
    /// for that.
    fn tighten(&mut self, slot: IdSlot, share: usize) {
        let node = self.view().node(slot.word);
        let free = node.room() + node.waste();
        if node.bytes() > SHRUNK_BYTES_MIN && free > node.bytes() / share {
            // SAFETY: as in `tail_with_room`.
            if let Some(new) = unsafe { node::copy(self.heap, slot.word, 0) } {
                self.replace(slot, new);
            }
        }
    }

    /// Puts a node in the place of another, which is freed.
    fn replace(&mut self, slot: IdSlot, new: u64) {
        let heap = self.heap;
        let mut ids = self.ids();
        let word = ids.get_mut(slot.id).expect("it has just been found");
        debug_assert_eq!(*word, slot.word);
        *word = new;
        // SAFETY: nothing refers to it any more.
        unsafe { node::free(heap, slot.word) };
    }

    /// Removes the entry of an id. Tells whether there was one. Does not fail.
    pub fn remove(&mut self, id: StreamId) -> bool {
        let view = self.view();
        let Some(slot) = view.ids().at_or_before(id) else { return false };
        let node = view.node(slot.word);
        let offset = node.seek(id);
        if offset == node.end() || node.id(offset).0 != id {
            return false;
        }
        if node.count() == 1 {
            self.remove_node(slot);
            return true;
        }
        // SAFETY: a node of this stream, of which there is no other view.
        unsafe { NodeMut::at(slot.word) }.remove(offset);
        self.raw.len -= 1;
        self.tighten(slot, 2);
        true
    }

    /// Removes a node with its entries.
    fn remove_node(&mut self, slot: IdSlot) {
        self.raw.len -= self.view().node(slot.word).count() as u64;
        self.ids().remove(slot.id);
        // SAFETY: nothing refers to it any more.
        unsafe { node::free(self.heap, slot.word) };
    }

    /// Removes entries from the front. Returns how many. Does not fail.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let before = self.raw.len;
        while let Some(slot) = self.view().ids().first() {
            let node = self.view().node(slot.word);
            let (count, len) = (node.count() as u64, self.raw.len);
            let excess = match trim.keep {
                Keep::Last(left) if len <= left => break,
                Keep::Last(left) => count.min(len - left),
                Keep::From(id) if node.top() < id => count,
                // A node whose last entry was removed by its id is left where only whole ones go, as
                // in Redis.
                Keep::From(_) if trim.approximate => break,
                Keep::From(id) => node.count_before(id),
            };
            if trim.limit > 0 && before - len + count > trim.limit {
                break;
            }
            if excess == count {
                self.remove_node(slot);
                continue;
            }
            if !trim.approximate && excess > 0 {
                // SAFETY: a node of this stream, of which there is no other view.
                unsafe { NodeMut::at(slot.word) }.remove_first(excess as u32);
                self.raw.len -= excess;
                self.tighten(slot, 2);
            }
            break;
        }
        before - self.raw.len
    }

    /// Makes these entries copies of others, with all that is remembered of them. They are empty.
    pub fn copy_from(&mut self, other: EntriesRef<'_>) {
        debug_assert!(self.view().is_empty());
        let heap = self.heap;
        for slot in other.ids().iter_from(StreamId::MIN) {
            // SAFETY: a node of the other stream, which is borrowed.
            let new = unsafe { node::copy(heap, slot.word, 0) }.unwrap_or_else(|| give_up());
            or_undo(
                &mut self.ids(),
                |ids| ids.insert(slot.id, new),
                // SAFETY: the tree did not take it.
                |_| unsafe { node::free(heap, new) },
            );
            self.raw.len += other.node(slot.word).count() as u64;
        }
        let RawEntries { last, max_deleted, added, .. } = *other.raw;
        (self.raw.last, self.raw.max_deleted, self.raw.added) = (last, max_deleted, added);
    }

    /// Frees all entries, leaving a stream that has never had any.
    pub fn clear(&mut self) {
        let (mut old, heap) = (core::mem::replace(self.raw, RawEntries::EMPTY), self.heap);
        // SAFETY: the words are nodes, and nothing refers to them any more.
        Ids::new(&mut old.nodes, heap).clear(&mut |word| unsafe { node::free(heap, word) });
    }

    pub(super) const fn ids(&mut self) -> Ids<'_> {
        Ids::new(&mut self.raw.nodes, self.heap)
    }
}

/// Bytes of names and values.
fn bytes_of<'e>(fields: impl Fields<'e>) -> usize {
    (0..fields.count())
        .map(|index| fields.get(index))
        .map(|[name, value]| name.len() + value.len())
        .sum()
}
