//! Moving the nodes of a list.

use abi::ptr::Ptr;

use super::node::{Node, NodeId};
use super::{End, List, neighbours};
use base::mover::Mover;

impl List<'_> {
    /// Moves nodes, from a place on, until `mover` is spent. Returns the place to go on at; 0 is both
    /// the start and the end, and also what comes of a place whose node is gone: the list remembers
    /// which place it gave last, as long as that is one.
    pub fn relocate(&mut self, from: u64, mover: &mut Mover) -> u64 {
        let mut next = match NodeId::of(Ptr::new(from)) {
            None => self.end(End::Front),
            // The bookmark was set when the place was given, and goes with the node.
            Some(id) => Some(id).filter(|id| self.raw.bookmark == id.bookmark()),
        };
        self.raw.bookmark = 0;
        while let Some(id) = next {
            if mover.is_spent() {
                self.raw.bookmark = id.bookmark();
                return id.address();
            }
            let id = self.relocate_node(id, mover);
            next = self.node(id).next().map(Node::id);
        }
        0
    }

    /// Moves a node of the list, if it is to move. Returns where it is then.
    fn relocate_node(&mut self, id: NodeId, mover: &mut Mover) -> NodeId {
        let node = self.node(id);
        let (bytes, (prev, next)) = (node.bytes(), neighbours(node));
        let mut place = id;
        // SAFETY: a node of the list, to which its neighbours or the list refer, and nobody else:
        // `&mut self` keeps views of it away.
        unsafe {
            mover.relocate(id.address(), bytes, |address| {
                place = NodeId::at(address);
                self.set_next(prev, Some(place));
                self.set_prev(next, Some(place));
            });
        }
        place
    }
}
