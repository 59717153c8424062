//! The list value: a doubly linked list of nodes of packed elements.
//!
//! Both ends push and pop in constant time. A node doubles while it is below its size limit, so
//! that a short list is small and a long one has few nodes, and halves when it is three quarters
//! empty.

mod check;
mod edit;
mod iter;
mod node;
mod relocate;
#[cfg(test)]
mod tests;

pub use super::packed::Element;
pub use check::check;
pub use iter::{Backward, Forward};

use abi::container::{ListNode, RawList};
use abi::ptr::Ptr;

use super::packed;
use base::heap::{Heap, give_up};
use node::{HEADER_BYTES, Node, NodeId, NodeMut};

/// Bytes of the smallest node, header included.
const NODE_BYTES_MIN: usize = 64;
/// A node that is not the only one starts with this share of the limit.
const START_SHARE: usize = 8;
/// Bytes of a node whose limit is a number of elements.
const COUNTED_NODE_BYTES: usize = 8 << 10;

/// How large nodes may become.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Bytes, header included. A larger element gets a node of its own.
    bytes: usize,
    /// Elements.
    count: usize,
}

impl Limit {
    /// The meaning of the setting `list-max-listpack-size`: -1 to -5 are 4 to 64 KiB, a positive
    /// number is a number of elements.
    pub const fn from_setting(setting: i64) -> Self {
        if setting < 0 {
            let step = if setting < -5 { 4 } else { -1 - setting };
            Self { bytes: 4096 << step, count: u32::MAX as usize }
        } else {
            let count = if setting == 0 { 1 } else { setting as usize };
            Self { bytes: COUNTED_NODE_BYTES, count }
        }
    }

    /// Whether a node may hold this much.
    const fn allows(self, used: usize, count: usize) -> bool {
        used + HEADER_BYTES <= self.bytes && count <= self.count
    }
}

/// One of the two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where `LPUSH` pushes.
    Front,
    /// Where `RPUSH` pushes.
    Back,
}

/// A list to read.
#[derive(Clone, Copy)]
pub struct ListRef<'a> {
    raw: &'a RawList,
}

impl<'a> ListRef<'a> {
    /// A view of `raw`, which has only ever been changed through [`List`].
    #[inline(always)]
    pub const fn new(raw: &'a RawList) -> Self {
        Self { raw }
    }

    /// Elements.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether there are no elements.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// Nodes.
    pub const fn nodes(&self) -> usize {
        self.raw.nodes as usize
    }

    /// Bytes of all nodes.
    pub fn bytes(&self) -> usize {
        let mut bytes = 0;
        let mut node = self.node(self.raw.head);
        while let Some(this) = node {
            bytes += this.bytes();
            node = this.next();
        }
        bytes
    }

    /// Bytes of all nodes, from those of the first few.
    pub fn estimated_bytes(&self) -> usize {
        const NODES_MAX: usize = 16;
        let first = core::iter::successors(self.node(self.raw.head), |node| node.next());
        let (count, bytes) =
            first.take(NODES_MAX).fold((0, 0), |(n, bytes), node| (n + 1, bytes + node.bytes()));
        bytes * self.nodes() / count.max(1)
    }

    /// The element with this index from the front.
    pub fn get(&self, index: usize) -> Option<Element<'a>> {
        self.iter_from(index).next()
    }

    /// All elements, from the front.
    pub fn iter(&self) -> Forward<'a> {
        self.iter_from(0)
    }

    /// The elements of one node after the other.
    pub fn by_node(&self) -> impl Iterator<Item = Forward<'a>> + use<'a> {
        let first = self.node(self.raw.head);
        core::iter::successors(first, |node| node.next()).map(Forward::within)
    }

    /// The element with this index, then those behind it.
    pub fn iter_from(&self, index: usize) -> Forward<'a> {
        self.place(index).map_or(Forward::END, |(node, offset)| Forward::from(node, offset))
    }

    /// The element with this index, then those before it, backwards.
    pub fn iter_back_from(&self, index: usize) -> Backward<'a> {
        self.place(index).map_or(Backward::END, |(node, offset)| Backward::from(node, offset))
    }

    /// Calls `visit` with the first `count` elements, counted from an end, as far as there are.
    pub fn visit_from(&self, end: End, count: usize, visit: impl FnMut(Element<'a>)) {
        match end {
            End::Front => self.iter().take(count).for_each(visit),
            End::Back => {
                self.iter_back_from(self.len().wrapping_sub(1)).take(count).for_each(visit);
            }
        }
    }

    /// Adds its elements at the back of another list, in nodes as small as they can be.
    pub fn copy_to(&self, list: &mut List<'_>) {
        let mut next = self.node(self.raw.head);
        while let Some(node) = next {
            let bytes = (HEADER_BYTES + node.used()).max(NODE_BYTES_MIN);
            let mut fresh = NodeMut::alloc(&list.heap, bytes, |_| 0);
            fresh.extend(node.elements(), node.count());
            list.link(list.end(End::Back), fresh, None);
            list.raw.len += node.count() as u64;
            next = node.next();
        }
    }

    /// The node that a link of the list names, if any.
    #[inline(always)]
    fn node(&self, link: Ptr<ListNode>) -> Option<Node<'a>> {
        // SAFETY: the links of a list lead to its nodes, which live and are not changed while it is
        // borrowed: both take a `List`, which has it exclusively.
        NodeId::of(link).map(|id| unsafe { Node::at(id) })
    }

    /// The node and the offset in it of an element; found from the nearer end.
    fn place(&self, index: usize) -> Option<(Node<'a>, usize)> {
        let len = self.len();
        if index >= len {
            return None;
        }
        let (node, index) = if index <= len / 2 {
            let (mut node, mut index) = (self.node(self.raw.head)?, index);
            while index >= node.count() {
                index -= node.count();
                node = node.next()?;
            }
            (node, index)
        } else {
            let (mut node, mut first) = (self.node(self.raw.tail)?, len);
            first -= node.count();
            while index < first {
                node = node.prev()?;
                first -= node.count();
            }
            (node, index - first)
        };
        Some((node, node.offset(index)))
    }
}

/// A list to change.
pub struct List<'a> {
    raw: &'a mut RawList,
    heap: Heap,
    limit: Limit,
}

impl List<'_> {
    /// The list, to read.
    #[inline(always)]
    pub const fn view(&self) -> ListRef<'_> {
        ListRef::new(self.raw)
    }
}

impl<'a> List<'a> {
    /// A view of `raw`, which is empty or has only ever been changed through such views with the
    /// same heap.
    #[inline(always)]
    pub const fn new(raw: &'a mut RawList, heap: Heap, limit: Limit) -> Self {
        Self { raw, heap, limit }
    }

    /// Elements.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether there are no elements.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push<'e>(&mut self, end: End, element: impl Into<Element<'e>>) {
        let element = element.into();
        let len = element.encoded_len();
        let id = match self.end(end) {
            Some(id) if self.has_room(id, end, len) => id,
            _ => self.make_room(end, len),
        };
        let mut node = self.node_mut(id);
        match end {
            End::Front => node.push_front(element, len),
            End::Back => node.push_back(element, len),
        }
        self.raw.len += 1;
    }

    /// Takes an element from an end, after `visit` has seen it. Returns whether there was one.
    #[inline]
    pub fn pop(&mut self, end: End, visit: impl FnOnce(Element<'_>)) -> bool {
        let Some(id) = self.end(end) else { return false };
        let mut node = self.node_mut(id);
        match end {
            End::Front => {
                let (element, len) = packed::first(node.view().elements());
                visit(element);
                node.drop_front(len, 1);
            }
            End::Back => {
                let view = node.view();
                let len = packed::last_len(view.elements());
                visit(packed::first(view.after(view.end() - len)).0);
                node.drop_back(len, 1);
            }
        }
        let is_loose = is_loose(node.view());
        self.raw.len -= 1;
        if is_loose {
            self.tighten(id);
        }
        true
    }

    /// Frees all nodes, leaving an empty list.
    pub fn free(&mut self) {
        let old = core::mem::replace(self.raw, RawList::EMPTY);
        let mut next = NodeId::of(old.head);
        while let Some(id) = next {
            next = self.node(id).next().map(Node::id);
            // SAFETY: the list owned the node and no longer refers to it.
            unsafe { id.free(&self.heap) };
        }
    }

    /// A node of this list, to look at it and others.
    ///
    /// Who has a [`NodeId`] in these files has it from this list, and forgets it with its node.
    #[inline(always)]
    fn node(&self, id: NodeId) -> Node<'_> {
        // SAFETY: a node of this list lives, as do those it is linked with; `&self` keeps them from
        // being changed or freed.
        unsafe { Node::at(id) }
    }

    /// A node of this list, to change it. See [`List::node`].
    #[inline(always)]
    fn node_mut(&mut self, id: NodeId) -> NodeMut<'_> {
        // SAFETY: a node of this list lives, and `&mut self`, which has the list exclusively, keeps
        // other views of its nodes away.
        unsafe { NodeMut::at(id) }
    }

    /// The node at an end.
    #[inline(always)]
    fn end(&self, end: End) -> Option<NodeId> {
        NodeId::of(match end {
            End::Front => self.raw.head,
            End::Back => self.raw.tail,
        })
    }

    #[inline(always)]
    fn has_room(&self, id: NodeId, end: End, len: usize) -> bool {
        let node = self.node(id);
        let room = match end {
            End::Front => node.start(),
            End::Back => node.capacity() - node.end(),
        };
        // A node that an element has made too large is that element's alone, whatever room it has.
        room >= len && node.count() < self.limit.count && node.bytes() <= self.limit.bytes
    }

    /// Makes the node at an end have room for `len` more bytes there, or adds one.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, end: End, len: usize) -> NodeId {
        let Some(id) = self.end(end) else { return self.add_node(end, len) };
        let node = self.node(id);
        let used = node.used() + len;
        if !self.limit.allows(used, node.count() + 1) {
            return self.add_node(end, len);
        }
        if used > node.capacity() / 2 {
            return self.grow(id, len, |free| if end == End::Front { free } else { 0 });
        }
        // Half of the node is free, but at the other end. A single node may be used from both.
        let free = node.capacity() - node.used();
        let start = match (end, self.raw.nodes) {
            (_, 1) => free / 2,
            (End::Front, _) => free,
            (End::Back, _) => 0,
        };
        self.node_mut(id).slide(start);
        if self.has_room(id, end, len) { id } else { self.grow(id, len, |free| free / 2) }
    }

    /// Adds a node at an end, with room for `len` bytes there.
    fn add_node(&mut self, end: End, len: usize) -> NodeId {
        let neighbour = self.end(end);
        let least =
            if neighbour.is_none() { NODE_BYTES_MIN } else { self.limit.bytes / START_SHARE };
        let bytes = (HEADER_BYTES + len).max(least);
        match end {
            End::Front => {
                let node = NodeMut::alloc(&self.heap, bytes, |capacity| capacity);
                self.link(None, node, neighbour)
            }
            End::Back => {
                let node = NodeMut::alloc(&self.heap, bytes, |_| 0);
                self.link(neighbour, node, None)
            }
        }
    }

    /// Doubles a node within the limit, or makes it large enough for `len` more bytes. `front`
    /// says how many of the bytes that are then free come before the elements.
    fn grow(&mut self, id: NodeId, len: usize, front: impl FnOnce(usize) -> usize) -> NodeId {
        let node = self.node(id);
        let needed = HEADER_BYTES + node.used() + len;
        let bytes = needed.max((2 * node.bytes()).min(self.limit.bytes));
        self.resize(id, bytes, front).unwrap_or_else(|| give_up())
    }

    /// Moves a node's elements to a node of `bytes` bytes, as for [`List::grow`], if there is
    /// memory for one.
    fn resize(
        &mut self,
        old: NodeId,
        bytes: usize,
        front: impl FnOnce(usize) -> usize,
    ) -> Option<NodeId> {
        let node = self.node(old);
        let used = node.used();
        let mut new = NodeMut::try_alloc(&self.heap, bytes, |capacity| front(capacity - used))?;
        new.extend(node.elements(), node.count());
        let (prev, next) = neighbours(node);
        self.unlink(old);
        Some(self.link(prev, new, next))
    }

    /// After elements have been removed or have become shorter: frees a node without any, halves
    /// another, and brings it within the limit if its elements fit there. Done if there is memory
    /// for that.
    #[cold]
    #[inline(never)]
    fn tighten(&mut self, id: NodeId) {
        let node = self.node(id);
        if node.count() == 0 {
            return self.unlink(id);
        }
        let needed = HEADER_BYTES + node.used();
        let half = HEADER_BYTES + node.capacity() / 2;
        let bytes = half.min(self.limit.bytes).max(needed).max(NODE_BYTES_MIN);
        let only = self.raw.nodes == 1;
        let first = self.end(End::Front) == Some(id);
        self.resize(id, bytes, |free| match (only, first) {
            (true, _) => free / 2,
            (false, true) => free,
            (false, false) => 0,
        });
    }

    /// Puts a node that is in no list between two that are neighbours, or at an end.
    fn link(
        &mut self,
        prev: Option<NodeId>,
        mut node: NodeMut<'static>,
        next: Option<NodeId>,
    ) -> NodeId {
        node.set_prev(prev);
        node.set_next(next);
        let id = node.id();
        self.set_next(prev, Some(id));
        self.set_prev(next, Some(id));
        self.raw.nodes += 1;
        id
    }

    /// Takes a node out and frees it. The caller accounts for its elements.
    fn unlink(&mut self, id: NodeId) {
        let (prev, next) = neighbours(self.node(id));
        self.set_next(prev, next);
        self.set_prev(next, prev);
        self.raw.nodes -= 1;
        if self.raw.bookmark == id.bookmark() {
            self.raw.bookmark = 0;
        }
        // SAFETY: neither its neighbours nor the list refer to it any more.
        unsafe { id.free(&self.heap) };
    }

    fn set_next(&mut self, node: Option<NodeId>, next: Option<NodeId>) {
        match node {
            Some(node) => self.node_mut(node).set_next(next),
            None => self.raw.head = NodeId::link(next),
        }
    }

    fn set_prev(&mut self, node: Option<NodeId>, prev: Option<NodeId>) {
        match node {
            Some(node) => self.node_mut(node).set_prev(prev),
            None => self.raw.tail = NodeId::link(prev),
        }
    }
}

/// The nodes before and after one.
fn neighbours(node: Node<'_>) -> (Option<NodeId>, Option<NodeId>) {
    (node.prev().map(Node::id), node.next().map(Node::id))
}

/// Whether a node holds so little that it should be made smaller or freed.
#[inline(always)]
fn is_loose(node: Node<'_>) -> bool {
    node.used() * 4 < node.capacity() && node.bytes() > NODE_BYTES_MIN || node.count() == 0
}
