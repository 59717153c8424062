//! Moving the nodes of a map, and what its words lead to.

use abi::stream::StreamId;

use super::Ids;
use super::node::{self, NodeMut, child_index};
use base::mover::Mover;

impl Ids<'_> {
    /// Moves nodes, from an id on, until `mover` is spent, and shows `visit` each id with its word,
    /// which it may change. Returns the id to go on at, unless it has come to the end.
    pub fn relocate(
        &mut self,
        from: StreamId,
        mover: &mut Mover,
        visit: &mut dyn FnMut(&mut Mover, StreamId, &mut u64),
    ) -> Option<StreamId> {
        let mut next = Some(from);
        while let Some(id) = next
            && !mover.is_spent()
        {
            // There may be none in the leaf that the id itself belongs to.
            let first = self.view().iter_from(id).next()?.id;
            next = self.relocate_leaf(first, mover, visit);
        }
        next
    }

    /// Moves the leaf of an id, which is there, and the nodes above it.
    fn relocate_leaf(
        &mut self,
        from: StreamId,
        mover: &mut Mover,
        visit: &mut dyn FnMut(&mut Mover, StreamId, &mut u64),
    ) -> Option<StreamId> {
        let mut link = &mut self.raw.root;
        for _ in 0..self.raw.height {
            if mover.is_to_move(*link) {
                relocate_node(link, mover);
            }
            // SAFETY: a node of the tree, of which there is no other view.
            let children = unsafe { NodeMut::at(*link) }.slots();
            let index = child_index(children, from);
            link = &mut children[index].word;
        }
        // It is looked at, and counted, whatever is done with its words.
        relocate_node(link, mover);
        // SAFETY: as above, a leaf.
        let slots = unsafe { NodeMut::at(*link) }.slots();
        let begin = slots.partition_point(|slot| slot.id < from);
        let mut last = from;
        for slot in &mut slots[begin..] {
            visit(mover, slot.id, &mut slot.word);
            last = slot.id;
            if mover.is_spent() {
                break;
            }
        }
        last.next()
    }
}

/// Moves the node that a word leads to.
fn relocate_node(link: &mut u64, mover: &mut Mover) {
    let address = *link;
    // SAFETY: a node of a tree that is had exclusively, to which the word alone refers.
    unsafe {
        mover.relocate(address, node::bytes(address), |moved| *link = moved);
    }
}
