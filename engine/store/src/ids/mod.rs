//! An ordered map from stream ids to words: a B+ tree.
//!
//! Growing takes memory before it changes anything; a tree in which that failed halfway has the ids it
//! had, in another shape. Ids that are added in order leave full nodes behind.

mod check;
mod node;
mod relocate;
#[cfg(test)]
mod tests;

pub use check::check;

use abi::stream::{IdSlot, RawIds, StreamId};

use base::heap::{Heap, give_up};
use node::{NodeMut, child_index, slots};

/// Most levels above the leaves: a level more takes at least ten times the ids.
const HEIGHT_MAX: usize = 24;

/// A map to look at.
#[derive(Clone, Copy)]
pub struct IdsRef<'a> {
    raw: &'a RawIds,
}

/// Where an id belongs: its leaf, and what is next to that.
struct Place<'a> {
    leaf: &'a [IdSlot],
    /// A node with the leaf before as its last, and the levels below it.
    before: Option<(u64, u32)>,
    /// A node with the leaf behind as its first, and the levels below it.
    behind: Option<(u64, u32)>,
}

impl<'a> IdsRef<'a> {
    /// A view of a map that has only ever been changed through [`Ids`].
    pub const fn new(raw: &'a RawIds) -> Self {
        Self { raw }
    }

    /// Ids.
    pub const fn len(self) -> usize {
        self.raw.count as usize
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.raw.count == 0
    }

    /// The word of an id.
    pub fn get(self, id: StreamId) -> Option<u64> {
        self.at_or_before(id).filter(|slot| slot.id == id).map(|slot| slot.word)
    }

    /// The least id, with its word.
    pub fn first(self) -> Option<IdSlot> {
        self.iter_from(StreamId::MIN).next()
    }

    /// The greatest id, with its word.
    pub fn last(self) -> Option<IdSlot> {
        self.at_or_before(StreamId::MAX)
    }

    /// The greatest id that is not above one.
    #[inline]
    pub fn at_or_before(self, id: StreamId) -> Option<IdSlot> {
        self.iter_back_from(id).next()
    }

    /// The slots from the least id on that is not below one.
    pub fn iter_from(self, id: StreamId) -> Forward<'a> {
        Forward { ids: self, slots: &[], from: Some(id) }
    }

    /// The slots of all ids above one.
    pub fn iter_behind(self, id: StreamId) -> Forward<'a> {
        Forward { ids: self, slots: &[], from: id.next() }
    }

    /// The slots from the greatest id on that is not above one, backwards.
    pub fn iter_back_from(self, id: StreamId) -> Backward<'a> {
        Backward { ids: self, slots: &[], from: Some(id) }
    }

    /// Bytes of the nodes, as asked from the heap, each as `usable` has it.
    pub fn bytes(self, usable: &impl Fn(usize) -> usize) -> usize {
        match self.raw.root {
            0 => 0,
            // SAFETY: the topmost node of a tree that is borrowed.
            root => unsafe { bytes(root, self.raw.height, usable) },
        }
    }

    /// Where an id belongs.
    #[inline]
    fn place(self, id: StreamId) -> Option<Place<'a>> {
        let (mut node, mut height) = (self.raw.root, self.raw.height);
        let (mut before, mut behind) = (None, None);
        if node == 0 {
            return None;
        }
        while height > 0 {
            height -= 1;
            // SAFETY: a node of the tree, which nobody changes for 'a.
            let children = unsafe { slots(node) };
            let index = child_index(children, id);
            if index > 0 {
                before = Some((children[index - 1].word, height));
            }
            if let Some(next) = children.get(index + 1) {
                behind = Some((next.word, height));
            }
            node = children[index].word;
        }
        // SAFETY: as above.
        Some(Place { leaf: unsafe { slots(node) }, before, behind })
    }

    /// Slots of a leaf from an id on; none if there are none behind it.
    fn slots_from(self, id: StreamId) -> &'a [IdSlot] {
        let Some(place) = self.place(id) else { return &[] };
        match place.leaf.partition_point(|slot| slot.id < id) {
            index if index < place.leaf.len() => &place.leaf[index..],
            _ => place.behind.map_or(&[], |(node, height)| self.edge(node, height, |_| 0)),
        }
    }

    /// Slots of a leaf up to an id; none if there are none before it.
    fn slots_to(self, id: StreamId) -> &'a [IdSlot] {
        let Some(place) = self.place(id) else { return &[] };
        match place.leaf.partition_point(|slot| slot.id <= id) {
            0 => place.before.map_or(&[], |(node, height)| self.edge(node, height, |len| len - 1)),
            count => &place.leaf[..count],
        }
    }

    /// The leaf at an edge below a node.
    fn edge(self, mut node: u64, height: u32, index: fn(usize) -> usize) -> &'a [IdSlot] {
        for _ in 0..height {
            // SAFETY: a node of the tree, which nobody changes for 'a.
            let children = unsafe { slots(node) };
            node = children[index(children.len())].word;
        }
        // SAFETY: as above.
        unsafe { slots(node) }
    }
}

/// # Safety
/// A node of a tree is there with so many levels below it, and it is not changed meanwhile.
unsafe fn bytes(node: u64, height: u32, usable: &impl Fn(usize) -> usize) -> usize {
    // SAFETY: as the caller promises.
    let (own, slots) = unsafe { (usable(node::bytes(node)), slots(node)) };
    if height == 0 {
        return own;
    }
    // SAFETY: children of the node.
    own + slots.iter().map(|slot| unsafe { bytes(slot.word, height - 1, usable) }).sum::<usize>()
}

/// See [`IdsRef::iter_from`].
#[derive(Clone)]
pub struct Forward<'a> {
    ids: IdsRef<'a>,
    slots: &'a [IdSlot],
    /// Where to go on when there are no more slots at hand.
    from: Option<StreamId>,
}

impl Iterator for Forward<'_> {
    type Item = IdSlot;

    #[inline]
    fn next(&mut self) -> Option<IdSlot> {
        if self.slots.is_empty() {
            self.slots = self.ids.slots_from(self.from.take()?);
        }
        let (first, rest) = self.slots.split_first()?;
        if rest.is_empty() {
            self.from = first.id.next();
        }
        self.slots = rest;
        Some(*first)
    }
}

/// See [`IdsRef::iter_back_from`].
#[derive(Clone)]
pub struct Backward<'a> {
    ids: IdsRef<'a>,
    slots: &'a [IdSlot],
    /// Where to go on when there are no more slots at hand.
    from: Option<StreamId>,
}

impl Iterator for Backward<'_> {
    type Item = IdSlot;

    #[inline]
    fn next(&mut self) -> Option<IdSlot> {
        if self.slots.is_empty() {
            self.slots = self.ids.slots_to(self.from.take()?);
        }
        let (last, rest) = self.slots.split_last()?;
        if rest.is_empty() {
            self.from = last.id.previous();
        }
        self.slots = rest;
        Some(*last)
    }
}

/// The way from the topmost node to a leaf: nodes, each with the index of the child that follows.
struct Path {
    steps: [(u64, usize); HEIGHT_MAX],
    len: usize,
    leaf: u64,
}

/// A map to change.
pub struct Ids<'a> {
    raw: &'a mut RawIds,
    heap: Heap,
}

impl<'a> Ids<'a> {
    /// A view of a map that is all zeros or has only ever been changed through such views with the same
    /// heap.
    pub const fn new(raw: &'a mut RawIds, heap: Heap) -> Self {
        Self { raw, heap }
    }

    /// To look at it.
    pub const fn view(&self) -> IdsRef<'_> {
        IdsRef { raw: self.raw }
    }

    /// Adds an id that is not there. Where memory runs out nothing has been added.
    pub fn insert(&mut self, id: StreamId, word: u64) {
        let leaf = self.make_room(id);
        // SAFETY: a leaf of the tree, of which there is no other view.
        unsafe {
            let index = slots(leaf).partition_point(|slot| slot.id < id);
            debug_assert!(slots(leaf).get(index).is_none_or(|slot| slot.id != id));
            NodeMut::at(leaf).insert(index, IdSlot { id, word });
        }
        self.raw.count += 1;
    }

    /// The word of an id, to change it.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut u64> {
        let leaf = self.path(id)?.leaf;
        // SAFETY: a leaf of the tree; `&mut self` makes this its only view.
        let slots = unsafe { NodeMut::at(leaf) }.slots();
        let index = slots.binary_search_by(|slot| slot.id.cmp(&id)).ok()?;
        Some(&mut slots[index].word)
    }

    /// Takes an id out; returns its word. Does not fail.
    pub fn remove(&mut self, id: StreamId) -> Option<u64> {
        let path = self.path(id)?;
        // SAFETY: the leaf at the end of the way, of which there is no other view.
        let word = unsafe {
            let index = slots(path.leaf).binary_search_by(|slot| slot.id.cmp(&id)).ok()?;
            let word = slots(path.leaf)[index].word;
            NodeMut::at(path.leaf).remove(index);
            word
        };
        self.raw.count -= 1;
        self.tidy(&path);
        Some(word)
    }

    /// Takes all ids out, after `visit` has had their words.
    pub fn clear(&mut self, visit: &mut dyn FnMut(u64)) {
        let old = core::mem::replace(self.raw, RawIds::EMPTY);
        if old.root != 0 {
            // SAFETY: the map owned the tree and no longer refers to it.
            unsafe { free_all(old.root, old.height, self.heap, visit) };
        }
    }

    fn path(&self, id: StreamId) -> Option<Path> {
        let mut path = Path { steps: [(0, 0); HEIGHT_MAX], len: 0, leaf: self.raw.root };
        if path.leaf == 0 {
            return None;
        }
        for _ in 0..self.raw.height {
            // SAFETY: a node of the tree, which is not changed meanwhile.
            let children = unsafe { slots(path.leaf) };
            let index = child_index(children, id);
            path.steps[path.len] = (path.leaf, index);
            path.len += 1;
            path.leaf = children[index].word;
        }
        Some(path)
    }

    /// The leaf that an id belongs to, in which there is room for it.
    fn make_room(&mut self, id: StreamId) -> u64 {
        let heap = self.heap;
        if self.raw.root == 0 {
            self.raw.root = node::allocate(heap, &[]).unwrap_or_else(|| give_up());
        }
        // SAFETY: the topmost node, of which there is no other view.
        if unsafe { node::is_full(self.raw.root) } {
            let below = IdSlot { id: StreamId::MIN, word: self.raw.root };
            self.raw.root = node::allocate(heap, &[below]).unwrap_or_else(|| give_up());
            self.raw.height += 1;
        }
        let mut link = &raw mut self.raw.root;
        for _ in 0..self.raw.height {
            // SAFETY: `link` is what leads to a node above the leaves, of which there is no other view;
            // it is followed again after whatever may have moved the node.
            unsafe {
                let index = child_index(slots(*link), id);
                if node::is_full(slots(*link)[index].word) {
                    with_room(link, heap);
                    split(*link, index, id, heap);
                }
                let children = NodeMut::at(*link).slots();
                link = &raw mut children[child_index(children, id)].word;
            }
        }
        // SAFETY: as above, to a leaf.
        unsafe {
            with_room(link, heap);
            *link
        }
    }

    /// After a slot was taken out at the end of a way: frees nodes that are empty, merges those that
    /// have become sparse.
    fn tidy(&mut self, path: &Path) {
        for &(parent, index) in path.steps[..path.len].iter().rev() {
            // SAFETY: nodes of the tree, of which there is no other view.
            unsafe {
                let child = slots(parent)[index].word;
                match slots(child).len() {
                    0 => {
                        NodeMut::at(parent).remove(index);
                        node::free(self.heap, child);
                    }
                    node::SPARSE.. => break,
                    _ if !self.merge(parent, index, child == path.leaf) => break,
                    _ => {}
                }
            }
        }
        self.lower();
    }

    /// Merges a child of a node with one beside it. Tells whether that was done: if they do not have
    /// too many slots, and there is memory for it.
    ///
    /// # Safety
    /// A node of the tree is there and has such a child, and there is no other view of them.
    unsafe fn merge(&self, parent: u64, index: usize, is_leaf: bool) -> bool {
        // SAFETY: as the caller promises; the two are children of the node.
        unsafe {
            let left = index.saturating_sub(1);
            let Some(&[one, other]) = slots(parent).get(left..left + 2) else { return false };
            let count = slots(one.word).len() + slots(other.word).len();
            if count > node::MERGED_MAX {
                return false;
            }
            if !is_leaf {
                // What is the first child no longer needs a bound.
                NodeMut::at(other.word).slots()[0].id = other.id;
            }
            if node::capacity(one.word) < count {
                let all = [slots(one.word), slots(other.word)].concat();
                let Some(new) = node::allocate(self.heap, &all) else { return false };
                NodeMut::at(parent).slots()[left].word = new;
                node::free(self.heap, one.word);
            } else {
                NodeMut::at(one.word).extend(slots(other.word));
            }
            NodeMut::at(parent).remove(left + 1);
            node::free(self.heap, other.word);
        }
        true
    }

    /// Removes topmost nodes that are of no use.
    fn lower(&mut self) {
        while self.raw.root != 0 {
            let root = self.raw.root;
            // SAFETY: the topmost node, of which there is no other view.
            let slots = unsafe { slots(root) };
            match slots {
                [] => (self.raw.root, self.raw.height) = (0, 0),
                [only] if self.raw.height > 0 => {
                    (self.raw.root, self.raw.height) = (only.word, self.raw.height - 1);
                }
                _ => return,
            }
            // SAFETY: nothing refers to it any more.
            unsafe { node::free(self.heap, root) };
        }
    }
}

/// Makes the node that a word leads to have room for one more slot; it may move.
///
/// # Safety
/// A node of a tree is there that is not full, and there is no other view of it.
unsafe fn with_room(link: *mut u64, heap: Heap) {
    // SAFETY: as the caller promises.
    unsafe {
        let old = *link;
        if slots(old).len() == node::capacity(old) {
            *link = node::allocate(heap, slots(old)).unwrap_or_else(|| give_up());
            node::free(heap, old);
        }
    }
}

/// Splits a child of a node, which has room for another: at its end if the id to be added comes behind
/// all there are.
///
/// # Safety
/// A node of a tree is there with such a child, which is full, and there is no other view of them.
unsafe fn split(parent: u64, index: usize, id: StreamId, heap: Heap) {
    // SAFETY: as the caller promises.
    unsafe {
        let child = slots(parent)[index].word;
        let all = slots(child);
        let last = all.len() - 1;
        let at = if id > all[last].id { last } else { all.len() / 2 };
        let right = node::allocate(heap, &all[at..]).unwrap_or_else(|| give_up());
        let first = all[at].id;
        NodeMut::at(child).truncate(at);
        NodeMut::at(parent).insert(index + 1, IdSlot { id: first, word: right });
    }
}

/// Frees a tree, after `visit` has had its words.
///
/// # Safety
/// A node is there with so many levels below it, and nothing else refers to it.
unsafe fn free_all(node: u64, height: u32, heap: Heap, visit: &mut dyn FnMut(u64)) {
    // SAFETY: as the caller promises; so are its children.
    unsafe {
        for slot in slots(node) {
            match height {
                0 => visit(slot.word),
                _ => free_all(slot.word, height - 1, heap, visit),
            }
        }
        node::free(heap, node);
    }
}
