//! Entries one after the other.
#![forbid(unsafe_code)]

use super::entry::StreamEntry;
use super::node::Node;
use super::{EntriesRef, StreamId};
use crate::ids::{Backward, Forward};

/// See [`EntriesRef::range`].
#[derive(Clone)]
pub struct Range<'a> {
    entries: EntriesRef<'a>,
    /// The node at hand, and where in it to go on.
    node: Option<(Node<'a>, usize)>,
    /// The nodes behind it.
    nodes: Forward<'a>,
    end: StreamId,
}

impl<'a> Range<'a> {
    pub(super) fn new(entries: EntriesRef<'a>, start: StreamId, end: StreamId) -> Self {
        let ids = entries.ids();
        let slot = ids.at_or_before(start);
        let node = slot.map(|slot| entries.node(slot.word)).map(|node| (node, node.seek(start)));
        Self { entries, node, nodes: ids.iter_behind(start), end }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = StreamEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            if let Some((node, offset)) = &mut self.node
                && *offset < node.end()
            {
                let (entry, next) = node.entry(*offset);
                *offset = next;
                return (entry.id <= self.end).then_some(entry);
            }
            let node = self.entries.node(self.nodes.next()?.word);
            self.node = Some((node, node.start()));
        }
    }
}

/// See [`EntriesRef::rev_range`].
#[derive(Clone)]
pub struct RevRange<'a> {
    entries: EntriesRef<'a>,
    node: Option<Node<'a>>,
    /// Where in the node those entries begin that are still to come, the next one last.
    offsets: Vec<u32>,
    /// The nodes before it.
    nodes: Backward<'a>,
    start: StreamId,
    end: StreamId,
}

impl<'a> RevRange<'a> {
    pub(super) fn new(entries: EntriesRef<'a>, start: StreamId, end: StreamId) -> Self {
        let nodes = entries.ids().iter_back_from(end);
        Self { entries, node: None, offsets: Vec::new(), nodes, start, end }
    }

    /// Notes where the entries of a node begin that are not behind the end.
    fn enter(&mut self, node: Node<'a>) {
        self.node = Some(node);
        let mut offset = node.start();
        while offset < node.end() {
            let (id, next) = node.id(offset);
            if id > self.end {
                break;
            }
            self.offsets.push(offset as u32);
            offset = next;
        }
    }
}

impl<'a> Iterator for RevRange<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            if let (Some(node), Some(offset)) = (self.node, self.offsets.pop()) {
                let (entry, _) = node.entry(offset as usize);
                return (entry.id >= self.start).then_some(entry);
            }
            let word = self.nodes.next()?.word;
            self.enter(self.entries.node(word));
        }
    }
}
