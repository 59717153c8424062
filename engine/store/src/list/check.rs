//! Walking over a list that is not believed.

use abi::container::{ListNode, RawList};

use super::node::{HEADER_BYTES, NodeId};
use super::packed;
use base::walk::{Walker, readable};

/// Walks over a list. What is wrong is told.
pub fn check(raw: &RawList, walker: &mut Walker<'_>) {
    let (mut nodes, mut elements) = (0u64, 0u64);
    let mut before = None;
    let mut link = NodeId::of(raw.head);
    while let Some(id) = link {
        let Some(node) = claim(id, walker) else { return };
        if NodeId::of(node.prev) != before {
            walker.wrong("a node of the list does not lead back to the one before");
        }
        nodes += 1;
        elements += u64::from(node.count);
        (before, link) = (Some(id), NodeId::of(node.next));
    }
    if NodeId::of(raw.tail) != before {
        walker.wrong("the list's last node is not its end");
    }
    if (u64::from(raw.nodes), raw.len) != (nodes, elements) {
        walker.wrong(format_args!(
            "the list has {nodes} nodes with {elements} elements, not {} with {}",
            raw.nodes, raw.len
        ));
    }
}

fn claim<'w>(id: NodeId, walker: &mut Walker<'w>) -> Option<&'w ListNode> {
    let Some(node) = walker.at::<ListNode>(id.address()) else {
        walker.wrong(format_args!("node of a list at {:#x}: there is none", id.address()));
        return None;
    };
    let bytes = HEADER_BYTES + node.capacity_bytes as usize;
    if !walker.claim("node of a list", id.address(), bytes) {
        return None;
    }
    let (start, end) = (HEADER_BYTES + node.start as usize, HEADER_BYTES + node.end as usize);
    let data = walker.block(id.address()).and_then(|block| block[..bytes].get(start..end));
    let is_whole = data.is_some_and(|data| has_elements(data, node.count));
    if !is_whole {
        walker.wrong("a node of the list does not have the elements that it should");
        return None;
    }
    Some(node)
}

/// Whether these are so many elements, that can be walked from either end.
fn has_elements(data: &[u8], count: u32) -> bool {
    let walk = || {
        let (mut rest, mut found) = (data, 0);
        while !rest.is_empty() {
            let len = packed::first(rest).1;
            let is_same_from_behind = packed::last_len(&rest[..len]) == len;
            if !is_same_from_behind {
                return false;
            }
            (rest, found) = (&rest[len..], found + 1);
        }
        found == count
    };
    readable(walk) == Some(true)
}
