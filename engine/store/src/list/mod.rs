//! The list value: a doubly linked list of nodes of packed elements.
//!
//! Both ends push and pop in constant time. A node doubles while it is below its size limit, so
//! that a short list is small and a long one has few nodes, and halves when it is three quarters
//! empty.

mod edit;
mod iter;
mod node;
#[cfg(test)]
mod tests;

pub use super::packed::Element;
pub use iter::{Backward, Forward};

use abi::container::RawList;

use super::packed;
use base::heap::Heap;
use node::{HEADER_BYTES, Node};

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
        let mut node = Node::at(self.raw.head);
        while let Some(this) = node {
            bytes += this.bytes();
            node = this.next();
        }
        bytes
    }

    /// Bytes of all nodes, from those of the first few.
    pub fn estimated_bytes(&self) -> usize {
        const NODES_MAX: usize = 16;
        let first = core::iter::successors(Node::at(self.raw.head), |node| node.next());
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

    /// The element with this index, then those behind it.
    pub fn iter_from(&self, index: usize) -> Forward<'a> {
        self.place(index).map_or(Forward::END, |(node, offset)| Forward::from(node, offset))
    }

    /// The element with this index, then those before it, backwards.
    pub fn iter_back_from(&self, index: usize) -> Backward<'a> {
        self.place(index).map_or(Backward::END, |(node, offset)| Backward::from(node, offset))
    }

    /// Adds its elements at the back of another list, in nodes like its own.
    pub fn copy_to(&self, list: &mut List<'_>) {
        let mut next = Node::at(self.raw.head);
        while let Some(node) = next {
            let bytes = (HEADER_BYTES + node.used()).max(NODE_BYTES_MIN);
            let fresh = Node::alloc(&list.heap, bytes, |_| 0);
            fresh.extend(node.elements(), node.count());
            list.link(list.end(End::Back), fresh, None);
            list.raw.len += node.count() as u64;
            next = node.next();
        }
    }

    /// The node and the offset in it of an element; found from the nearer end.
    fn place(&self, index: usize) -> Option<(Node, usize)> {
        let len = self.len();
        if index >= len {
            return None;
        }
        let (node, index) = if index <= len / 2 {
            let (mut node, mut index) = (Node::at(self.raw.head)?, index);
            while index >= node.count() {
                index -= node.count();
                node = node.next()?;
            }
            (node, index)
        } else {
            let (mut node, mut first) = (Node::at(self.raw.tail)?, len);
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
        let node = match self.end(end) {
            Some(node) if self.has_room(node, end, len) => node,
            _ => self.make_room(end, len),
        };
        match end {
            End::Front => node.push_front(element, len),
            End::Back => node.push_back(element, len),
        }
        self.raw.len += 1;
    }

    /// Takes an element from an end, after `visit` has seen it. Returns whether there was one.
    #[inline]
    pub fn pop(&mut self, end: End, visit: impl FnOnce(Element<'_>)) -> bool {
        let Some(node) = self.end(end) else { return false };
        match end {
            End::Front => {
                let (element, len) = packed::first(node.elements());
                visit(element);
                node.drop_front(len, 1);
            }
            End::Back => {
                let len = packed::last_len(node.elements());
                visit(packed::first(node.after(node.end() - len)).0);
                node.drop_back(len, 1);
            }
        }
        self.raw.len -= 1;
        if is_loose(node) {
            self.tighten(node);
        }
        true
    }

    /// Frees all nodes, leaving an empty list.
    pub fn free(&mut self) {
        let old = core::mem::replace(self.raw, RawList::EMPTY);
        let mut node = Node::at(old.head);
        while let Some(this) = node {
            node = this.next();
            // SAFETY: the list owned the node and no longer refers to it.
            unsafe { this.free(&self.heap) };
        }
    }

    /// The node at an end.
    #[inline(always)]
    fn end(&self, end: End) -> Option<Node> {
        Node::at(match end {
            End::Front => self.raw.head,
            End::Back => self.raw.tail,
        })
    }

    #[inline(always)]
    fn has_room(&self, node: Node, end: End, len: usize) -> bool {
        let room = match end {
            End::Front => node.start(),
            End::Back => node.capacity() - node.end(),
        };
        room >= len && node.count() < self.limit.count
    }

    /// Makes the node at an end have room for `len` more bytes there, or adds one.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, end: End, len: usize) -> Node {
        let Some(node) = self.end(end) else { return self.add_node(end, len) };
        let used = node.used() + len;
        if !self.limit.allows(used, node.count() + 1) {
            return self.add_node(end, len);
        }
        if used > node.capacity() / 2 {
            return self.grow(node, len, |free| if end == End::Front { free } else { 0 });
        }
        // Half of the node is free, but at the other end. A single node may be used from both.
        let free = node.capacity() - node.used();
        node.slide(match (end, self.raw.nodes) {
            (_, 1) => free / 2,
            (End::Front, _) => free,
            (End::Back, _) => 0,
        });
        if self.has_room(node, end, len) { node } else { self.grow(node, len, |free| free / 2) }
    }

    /// Adds a node at an end, with room for `len` bytes there.
    fn add_node(&mut self, end: End, len: usize) -> Node {
        let neighbour = self.end(end);
        let least =
            if neighbour.is_none() { NODE_BYTES_MIN } else { self.limit.bytes / START_SHARE };
        let bytes = (HEADER_BYTES + len).max(least);
        match end {
            End::Front => {
                let node = Node::alloc(&self.heap, bytes, |capacity| capacity);
                self.link(None, node, neighbour);
                node
            }
            End::Back => {
                let node = Node::alloc(&self.heap, bytes, |_| 0);
                self.link(neighbour, node, None);
                node
            }
        }
    }

    /// Doubles a node within the limit, or makes it large enough for `len` more bytes. `front`
    /// says how many of the bytes that are then free come before the elements.
    fn grow(&mut self, node: Node, len: usize, front: impl FnOnce(usize) -> usize) -> Node {
        let needed = HEADER_BYTES + node.used() + len;
        let bytes = needed.max((2 * node.bytes()).min(self.limit.bytes));
        self.resize(node, bytes, front)
    }

    /// Moves a node's elements to a node of `bytes` bytes, as for [`List::grow`].
    fn resize(&mut self, old: Node, bytes: usize, front: impl FnOnce(usize) -> usize) -> Node {
        let used = old.used();
        let new = Node::alloc(&self.heap, bytes, |capacity| front(capacity - used));
        new.extend(old.elements(), old.count());
        let (prev, next) = (old.prev(), old.next());
        self.unlink(old);
        self.link(prev, new, next);
        new
    }

    /// After elements have been removed: frees a node without any, halves one that is loose.
    #[cold]
    #[inline(never)]
    fn tighten(&mut self, node: Node) {
        if node.count() == 0 {
            return self.unlink(node);
        }
        let bytes = (HEADER_BYTES + node.capacity() / 2).max(NODE_BYTES_MIN);
        let only = self.raw.nodes == 1;
        let first = self.end(End::Front) == Some(node);
        self.resize(node, bytes, |free| match (only, first) {
            (true, _) => free / 2,
            (false, true) => free,
            (false, false) => 0,
        });
    }

    /// Puts a node between two that are neighbours, or at an end.
    fn link(&mut self, prev: Option<Node>, node: Node, next: Option<Node>) {
        node.set_prev(prev);
        node.set_next(next);
        self.set_next(prev, Some(node));
        self.set_prev(next, Some(node));
        self.raw.nodes += 1;
    }

    /// Takes a node out and frees it. The caller accounts for its elements.
    fn unlink(&mut self, node: Node) {
        self.set_next(node.prev(), node.next());
        self.set_prev(node.next(), node.prev());
        self.raw.nodes -= 1;
        // SAFETY: neither its neighbours nor the list refer to it any more.
        unsafe { node.free(&self.heap) };
    }

    fn set_next(&mut self, node: Option<Node>, next: Option<Node>) {
        match node {
            Some(node) => node.set_next(next),
            None => self.raw.head = Node::link(next),
        }
    }

    fn set_prev(&mut self, node: Option<Node>, prev: Option<Node>) {
        match node {
            Some(node) => node.set_prev(prev),
            None => self.raw.tail = Node::link(prev),
        }
    }
}

/// Whether a node holds so little that it should be made smaller or freed.
#[inline(always)]
fn is_loose(node: Node) -> bool {
    node.used() * 4 < node.capacity() && node.bytes() > NODE_BYTES_MIN || node.count() == 0
}
