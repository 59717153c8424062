//! Changes anywhere but at the ends.

use super::node::{HEADER_BYTES, Node, NodeId, NodeMut};
use super::{Element, End, List, NODE_BYTES_MIN, is_loose, neighbours, packed};

impl List<'_> {
    /// Replaces the element with this index. Returns whether there was one.
    pub fn set<'e>(&mut self, index: usize, element: impl Into<Element<'e>>) -> bool {
        let Some((node, offset)) = self.view().place(index) else { return false };
        let element = element.into();
        let (old, len) = (packed::first(node.after(offset)).1, element.encoded_len());
        let (id, used) = (node.id(), node.used() - old + len);
        if self.limit.allows(used, node.count()) || node.count() == 1 {
            let (id, offset) = self.with_capacity(id, offset, used);
            self.node_mut(id).overwrite(offset, old, element);
            self.tidy(id, None);
        } else {
            self.insert_at(id, offset, element);
            self.remove_index(index + 1);
        }
        true
    }

    /// Inserts an element so that it has this index, at most the length. Returns whether it is.
    pub fn insert<'e>(&mut self, index: usize, element: impl Into<Element<'e>>) -> bool {
        if index >= self.len() {
            if index == self.len() {
                self.push(End::Back, element);
                return true;
            }
            return false;
        }
        let Some((node, offset)) = self.view().place(index) else { return false };
        let id = node.id();
        self.insert_at(id, offset, element.into());
        true
    }

    /// Inserts an element beside the first that equals `pivot`: on the side of it that is towards
    /// `side`. Returns whether there was one.
    pub fn insert_beside<'e>(
        &mut self,
        pivot: impl Into<Element<'e>>,
        side: End,
        element: impl Into<Element<'e>>,
    ) -> bool {
        let pivot = pivot.into();
        let mut next = self.end(End::Front).map(|id| self.node(id));
        while let Some(node) = next {
            if let Some((offset, len)) = find(node, node.start(), pivot) {
                let offset = if side == End::Front { offset } else { offset + len };
                let id = node.id();
                self.insert_at(id, offset, element.into());
                return true;
            }
            next = node.next();
        }
        false
    }

    /// Removes the element with this index. Returns whether there was one.
    pub fn remove_index(&mut self, index: usize) -> bool {
        let Some((node, offset)) = self.view().place(index) else { return false };
        let (id, len) = (node.id(), packed::first(node.after(offset)).1);
        self.node_mut(id).remove(offset, len);
        self.raw.len -= 1;
        self.tidy(id, None);
        true
    }

    /// Removes the first `most` elements, counted from an end, that equal `element`. Returns how
    /// many there were.
    pub fn remove<'e>(&mut self, from: End, most: usize, element: impl Into<Element<'e>>) -> usize {
        let element = element.into();
        let mut removed = 0;
        let mut next = self.end(from);
        while let Some(id) = next.filter(|_| removed < most) {
            let here = match from {
                End::Front => remove_forward(self.node_mut(id), most - removed, element),
                End::Back => remove_backward(self.node_mut(id), most - removed, element),
            };
            let (before, after) = neighbours(self.node(id));
            next = if from == End::Front { after } else { before };
            if here > 0 {
                removed += here;
                self.raw.len -= here as u64;
                self.tidy(id, Some(from));
            }
        }
        removed
    }

    /// Drops `count` elements from an end, or all that there are.
    pub fn drop(&mut self, end: End, count: usize) {
        let mut left = count.min(self.len());
        self.raw.len -= left as u64;
        while let Some(id) = self.end(end).filter(|_| left > 0) {
            let node = self.node(id);
            if node.count() <= left {
                left -= node.count();
                self.unlink(id);
                continue;
            }
            match end {
                End::Front => {
                    let len = node.offset(left) - node.start();
                    self.node_mut(id).drop_front(len, left);
                }
                End::Back => {
                    let len = node.end() - node.offset(node.count() - left);
                    self.node_mut(id).drop_back(len, left);
                }
            }
            left = 0;
            self.tidy(id, None);
        }
    }

    /// Keeps the elements from index `first` to index `last`, both included.
    pub fn trim(&mut self, first: usize, last: usize) {
        let len = self.len();
        if first > last || first >= len {
            return self.free();
        }
        self.drop(End::Back, len - 1 - last.min(len - 1));
        self.drop(End::Front, first);
    }

    /// Inserts an element before the one at `offset` of a node, or at its end.
    fn insert_at(&mut self, id: NodeId, offset: usize, element: Element<'_>) {
        let len = element.encoded_len();
        let (id, offset) = self.target(id, offset, len);
        let used = self.node(id).used() + len;
        let (id, offset) = self.with_capacity(id, offset, used);
        self.node_mut(id).insert(offset, element);
        self.raw.len += 1;
    }

    /// Where an element of `len` bytes can go that belongs at `offset` of a node: there, or at the
    /// end of a neighbour, or in a node of its own, for which the node may have to be split.
    fn target(&mut self, id: NodeId, offset: usize, len: usize) -> (NodeId, usize) {
        let node = self.node(id);
        if self.may_take(node, len) {
            return (id, offset);
        }
        let (before, after) = neighbours(node);
        let (left, right) = if offset == node.start() {
            (before, Some(id))
        } else if offset == node.end() {
            (Some(id), after)
        } else {
            let (left, right) = self.split(id, offset);
            (Some(left), Some(right))
        };
        let may_take = |id: &NodeId| self.may_take(self.node(*id), len);
        if let Some(left) = left.filter(may_take) {
            return (left, self.node(left).end());
        }
        if let Some(right) = right.filter(may_take) {
            return (right, self.node(right).start());
        }
        let bytes = (HEADER_BYTES + len).max(NODE_BYTES_MIN);
        let fresh = NodeMut::alloc(&self.heap, bytes, |_| 0);
        (self.link(left, fresh, right), 0)
    }

    fn may_take(&self, node: Node<'_>, len: usize) -> bool {
        self.limit.allows(node.used() + len, node.count() + 1)
    }

    /// Makes a node large enough for `used` bytes of elements, and tells where it and the offset
    /// are then.
    fn with_capacity(&mut self, id: NodeId, offset: usize, used: usize) -> (NodeId, usize) {
        let node = self.node(id);
        if used <= node.capacity() {
            return (id, offset);
        }
        let (start, more) = (node.start(), used - node.used());
        let grown = self.grow(id, more, |free| free / 2);
        (grown, offset - start + self.node(grown).start())
    }

    /// Splits a node before the element at `offset`, which is neither the first nor the end.
    fn split(&mut self, id: NodeId, offset: usize) -> (NodeId, NodeId) {
        let node = self.node(id);
        let moved = node.after(offset);
        let (count, len) = (Elements(moved).count(), moved.len());
        let mut right = NodeMut::alloc(&self.heap, HEADER_BYTES + len, |_| 0);
        right.extend(moved, count);
        let after = neighbours(node).1;
        self.node_mut(id).drop_back(len, count);
        let right = self.link(Some(id), right, after);
        let node = self.node(id);
        if !is_loose(node) {
            return (id, right);
        }
        let bytes = (HEADER_BYTES + node.used()).max(NODE_BYTES_MIN);
        (self.resize(id, bytes, |_| 0).unwrap_or(id), right)
    }

    /// After a change inside a node: frees it if it is empty, joins it with a neighbour if both
    /// are small, halves it if it is loose. With `from`, only the neighbour on that side is
    /// touched. What takes memory is left out if there is none.
    fn tidy(&mut self, id: NodeId, from: Option<End>) {
        let node = self.node(id);
        if node.count() > 0 {
            let prev = node.prev().filter(|_| from != Some(End::Back));
            if let Some(prev) = prev.filter(|&prev| self.should_join(prev, node)) {
                let prev = prev.id();
                return self.join(prev, id);
            }
            let next = node.next().filter(|_| from != Some(End::Front));
            if let Some(next) = next.filter(|&next| self.should_join(node, next)) {
                let next = next.id();
                return self.join(id, next);
            }
        }
        // One that was made for a large element, which it no longer has, is not to be shared.
        let is_oversized =
            node.bytes() > self.limit.bytes && HEADER_BYTES + node.used() <= self.limit.bytes;
        if is_loose(node) || is_oversized {
            self.tighten(id);
        }
    }

    /// Whether two neighbours together fill at most half a node.
    fn should_join(&self, left: Node<'_>, right: Node<'_>) -> bool {
        let used = 2 * (left.used() + right.used());
        self.limit.allows(used, 2 * (left.count() + right.count()))
    }

    /// Makes one node of two neighbours.
    fn join(&mut self, left: NodeId, right: NodeId) {
        let (first, second) = (self.node(left), self.node(right));
        let bytes = (HEADER_BYTES + first.used() + second.used()).max(NODE_BYTES_MIN);
        let Some(mut joined) = NodeMut::try_alloc(&self.heap, bytes, |_| 0) else { return };
        joined.extend(first.elements(), first.count());
        joined.extend(second.elements(), second.count());
        let (prev, next) = (neighbours(first).0, neighbours(second).1);
        self.unlink(left);
        self.unlink(right);
        self.link(prev, joined, next);
    }
}

/// The lengths of encoded elements in a row.
struct Elements<'a>(&'a [u8]);

impl Iterator for Elements<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let len = packed::first(self.0).1;
        self.0 = &self.0[len..];
        Some(len)
    }
}

/// Offset and length of the first element at or behind `offset` that equals `wanted`.
fn find(node: Node<'_>, mut offset: usize, wanted: Element<'_>) -> Option<(usize, usize)> {
    while offset < node.end() {
        let (element, len) = packed::first(node.after(offset));
        if element == wanted {
            return Some((offset, len));
        }
        offset += len;
    }
    None
}

fn remove_forward(mut node: NodeMut<'_>, most: usize, wanted: Element<'_>) -> usize {
    let mut removed = 0;
    let mut offset = node.view().start();
    while removed < most
        && let Some((found, len)) = find(node.view(), offset, wanted)
    {
        offset = node.remove(found, len);
        removed += 1;
    }
    removed
}

fn remove_backward(mut node: NodeMut<'_>, most: usize, wanted: Element<'_>) -> usize {
    let mut removed = 0;
    let mut offset = node.view().end();
    while offset > node.view().start() && removed < most {
        let len = packed::last_len(node.view().before(offset));
        offset -= len;
        if packed::first(node.view().after(offset)).0 == wanted {
            offset = node.remove(offset, len);
            removed += 1;
        }
    }
    removed
}
