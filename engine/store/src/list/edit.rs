//! Changes anywhere but at the ends.

use super::node::{HEADER_BYTES, Node};
use super::{Element, End, List, NODE_BYTES_MIN, is_loose, packed};

impl List<'_> {
    /// Replaces the element with this index. Returns whether there was one.
    pub fn set<'e>(&mut self, index: usize, element: impl Into<Element<'e>>) -> bool {
        let Some((node, offset)) = self.view().place(index) else { return false };
        let element = element.into();
        let (old, len) = (packed::first(node.after(offset)).1, element.encoded_len());
        let used = node.used() - old + len;
        if self.limit.allows(used, node.count()) || node.count() == 1 {
            let (node, offset) = self.with_capacity(node, offset, used);
            node.overwrite(offset, old, element);
            let node = self.fitted(node);
            self.tidy(node, None);
        } else {
            self.insert_at(node, offset, element);
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
        self.insert_at(node, offset, element.into());
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
        let mut next = self.end(End::Front);
        while let Some(node) = next {
            if let Some((offset, len)) = find(node, node.start(), pivot) {
                let offset = if side == End::Front { offset } else { offset + len };
                self.insert_at(node, offset, element.into());
                return true;
            }
            next = node.next();
        }
        false
    }

    /// Removes the element with this index. Returns whether there was one.
    pub fn remove_index(&mut self, index: usize) -> bool {
        let Some((node, offset)) = self.view().place(index) else { return false };
        node.remove(offset, packed::first(node.after(offset)).1);
        self.raw.len -= 1;
        self.tidy(node, None);
        true
    }

    /// Removes the first `most` elements, counted from an end, that equal `element`. Returns how
    /// many there were.
    pub fn remove<'e>(&mut self, from: End, most: usize, element: impl Into<Element<'e>>) -> usize {
        let element = element.into();
        let mut removed = 0;
        let mut next = self.end(from);
        while let Some(node) = next.filter(|_| removed < most) {
            let here = match from {
                End::Front => remove_forward(node, most - removed, element),
                End::Back => remove_backward(node, most - removed, element),
            };
            next = if from == End::Front { node.next() } else { node.prev() };
            if here > 0 {
                removed += here;
                self.raw.len -= here as u64;
                self.tidy(node, Some(from));
            }
        }
        removed
    }

    /// Drops `count` elements from an end, or all that there are.
    pub fn drop(&mut self, end: End, count: usize) {
        let mut left = count.min(self.len());
        self.raw.len -= left as u64;
        while let Some(node) = self.end(end).filter(|_| left > 0) {
            if node.count() <= left {
                left -= node.count();
                self.unlink(node);
                continue;
            }
            match end {
                End::Front => node.drop_front(node.offset(left) - node.start(), left),
                End::Back => node.drop_back(node.end() - node.offset(node.count() - left), left),
            }
            left = 0;
            self.tidy(node, None);
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
    fn insert_at(&mut self, node: Node, offset: usize, element: Element<'_>) {
        let len = element.encoded_len();
        let (target, offset) = self.target(node, offset, len);
        let (target, offset) = self.with_capacity(target, offset, target.used() + len);
        target.insert(offset, element);
        self.raw.len += 1;
    }

    /// Where an element of `len` bytes can go that belongs at `offset` of `node`: there, or at the
    /// end of a neighbour, or in a node of its own, for which `node` may have to be split.
    fn target(&mut self, node: Node, offset: usize, len: usize) -> (Node, usize) {
        if self.may_take(node, len) {
            return (node, offset);
        }
        let (left, right) = if offset == node.start() {
            (node.prev(), Some(node))
        } else if offset == node.end() {
            (Some(node), node.next())
        } else {
            let (left, right) = self.split(node, offset);
            (Some(left), Some(right))
        };
        if let Some(left) = left.filter(|&left| self.may_take(left, len)) {
            return (left, left.end());
        }
        if let Some(right) = right.filter(|&right| self.may_take(right, len)) {
            return (right, right.start());
        }
        let fresh = Node::alloc(&self.heap, (HEADER_BYTES + len).max(NODE_BYTES_MIN), |_| 0);
        self.link(left, fresh, right);
        (fresh, 0)
    }

    fn may_take(&self, node: Node, len: usize) -> bool {
        self.limit.allows(node.used() + len, node.count() + 1)
    }

    /// Makes a node large enough for `used` bytes of elements, and tells where it and the offset
    /// are then.
    fn with_capacity(&mut self, node: Node, offset: usize, used: usize) -> (Node, usize) {
        if used <= node.capacity() {
            return (node, offset);
        }
        let start = node.start();
        let grown = self.grow(node, used - node.used(), |free| free / 2);
        (grown, offset - start + grown.start())
    }

    /// A node that was made for a single element larger than nodes are, made to fit what it holds:
    /// nothing is to be pushed into the room that is left.
    fn fitted(&mut self, node: Node) -> Node {
        if node.bytes() <= self.limit.bytes {
            return node;
        }
        self.resize(node, (HEADER_BYTES + node.used()).max(NODE_BYTES_MIN), |_| 0)
    }

    /// Splits a node before the element at `offset`, which is neither the first nor the end.
    fn split(&mut self, node: Node, offset: usize) -> (Node, Node) {
        let moved = node.after(offset);
        let right = Node::alloc(&self.heap, HEADER_BYTES + moved.len(), |_| 0);
        let count = Elements(moved).count();
        right.extend(moved, count);
        node.drop_back(moved.len(), count);
        self.link(Some(node), right, node.next());
        if !is_loose(node) {
            return (node, right);
        }
        let bytes = (HEADER_BYTES + node.used()).max(NODE_BYTES_MIN);
        (self.resize(node, bytes, |_| 0), right)
    }

    /// After a change inside a node: frees it if it is empty, joins it with a neighbour if both
    /// are small, halves it if it is loose. With `from`, only the neighbour on that side is
    /// touched.
    fn tidy(&mut self, node: Node, from: Option<End>) {
        if node.count() > 0 {
            let prev = node.prev().filter(|_| from != Some(End::Back));
            if let Some(prev) = prev.filter(|&prev| self.should_join(prev, node)) {
                return self.join(prev, node);
            }
            let next = node.next().filter(|_| from != Some(End::Front));
            if let Some(next) = next.filter(|&next| self.should_join(node, next)) {
                return self.join(node, next);
            }
        }
        if is_loose(node) {
            self.tighten(node);
        }
    }

    /// Whether two neighbours together fill at most half a node.
    fn should_join(&self, left: Node, right: Node) -> bool {
        let used = 2 * (left.used() + right.used());
        self.limit.allows(used, 2 * (left.count() + right.count()))
    }

    /// Makes one node of two neighbours.
    fn join(&mut self, left: Node, right: Node) {
        let bytes = (HEADER_BYTES + left.used() + right.used()).max(NODE_BYTES_MIN);
        let joined = Node::alloc(&self.heap, bytes, |_| 0);
        joined.extend(left.elements(), left.count());
        joined.extend(right.elements(), right.count());
        let (prev, next) = (left.prev(), right.next());
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
fn find(node: Node, mut offset: usize, wanted: Element<'_>) -> Option<(usize, usize)> {
    while offset < node.end() {
        let (element, len) = packed::first(node.after(offset));
        if element == wanted {
            return Some((offset, len));
        }
        offset += len;
    }
    None
}

fn remove_forward(node: Node, most: usize, wanted: Element<'_>) -> usize {
    let mut removed = 0;
    let mut offset = node.start();
    while let Some((found, len)) = find(node, offset, wanted).filter(|_| removed < most) {
        offset = node.remove(found, len);
        removed += 1;
    }
    removed
}

fn remove_backward(node: Node, most: usize, wanted: Element<'_>) -> usize {
    let mut removed = 0;
    let mut offset = node.end();
    while offset > node.start() && removed < most {
        let len = packed::last_len(node.before(offset));
        offset -= len;
        if packed::first(node.after(offset)).0 == wanted {
            offset = node.remove(offset, len);
            removed += 1;
        }
    }
    removed
}
