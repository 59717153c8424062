//! Walking a list in both directions.

use super::{Element, Node, packed};

/// Elements from one on, towards the back.
#[derive(Clone)]
pub struct Forward<'a> {
    /// What is left of the node.
    rest: &'a [u8],
    /// The node after it.
    next: Option<Node<'a>>,
}

impl<'a> Forward<'a> {
    pub(super) const END: Self = Self { rest: &[], next: None };

    pub(super) fn from(node: Node<'a>, offset: usize) -> Self {
        Self { rest: node.after(offset), next: node.next() }
    }

    /// All of a node.
    pub(super) fn within(node: Node<'a>) -> Self {
        Self { rest: node.elements(), next: None }
    }
}

impl<'a> Iterator for Forward<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.rest.is_empty() {
            let node = self.next?;
            *self = Self::from(node, node.start());
        }
        let (element, len) = packed::first(self.rest);
        self.rest = &self.rest[len..];
        Some(element)
    }
}

/// Elements from one on, towards the front.
#[derive(Clone)]
pub struct Backward<'a> {
    /// What is left of the node.
    rest: &'a [u8],
    /// The node before it.
    prev: Option<Node<'a>>,
}

impl<'a> Backward<'a> {
    pub(super) const END: Self = Self { rest: &[], prev: None };

    /// From the element at `offset` on.
    pub(super) fn from(node: Node<'a>, offset: usize) -> Self {
        let len = packed::first(node.after(offset)).1;
        Self { rest: node.before(offset + len), prev: node.prev() }
    }
}

impl<'a> Iterator for Backward<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.rest.is_empty() {
            let node = self.prev?;
            *self = Self { rest: node.elements(), prev: node.prev() };
        }
        let (rest, last) = self.rest.split_at(self.rest.len() - packed::last_len(self.rest));
        self.rest = rest;
        Some(packed::first(last).0)
    }
}
