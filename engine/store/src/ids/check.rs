//! Walking over a map of ids that is not believed.

use abi::stream::{ID_SLOTS, IdNode, IdSlot, RawIds, StreamId};

use super::{HEIGHT_MAX, node};
use base::walk::Walker;

/// Walks over a map, and calls `visit` with each of its slots, in order. What is wrong is told.
pub fn check<'w>(
    raw: &RawIds,
    walker: &mut Walker<'w>,
    visit: &mut dyn FnMut(&mut Walker<'w>, IdSlot),
) {
    let mut check = Check { walker, visit, count: 0, last: None };
    let is_whole = match raw.root {
        0 => true,
        root => raw.height as usize <= HEIGHT_MAX && check.node(root, raw.height, None).is_some(),
    };
    if !is_whole || check.count != raw.count {
        let count = check.count;
        walker.wrong(format_args!("a map of ids leads to {count} of its {}", raw.count));
    }
}

struct Check<'c, 'w> {
    walker: &'c mut Walker<'w>,
    visit: &'c mut dyn FnMut(&mut Walker<'w>, IdSlot),
    count: u64,
    last: Option<StreamId>,
}

impl Check<'_, '_> {
    /// Walks over a node with so many levels below it, all whose ids are to be at least `from`. None
    /// if it cannot be gone on.
    fn node(&mut self, address: u64, height: u32, from: Option<StreamId>) -> Option<()> {
        let head = self.walker.at::<IdNode>(address)?;
        let (count, capacity) = (head.count as usize, head.capacity as usize);
        let is_possible = 0 < count && count <= capacity && capacity <= ID_SLOTS;
        if !is_possible || !self.walker.claim("node of ids", address, node::bytes_of(capacity)) {
            return None;
        }
        // SAFETY: the allocation was claimed with a size that has room for them, and any bytes are
        // slots; nobody changes them during a walk.
        let slots = unsafe { node::slots(address) };
        for (index, slot) in slots.iter().enumerate() {
            if height > 0 {
                let from = if index == 0 { from } else { Some(slot.id) };
                self.node(slot.word, height - 1, from)?;
                continue;
            }
            let is_behind = self.last.is_none_or(|last| last < slot.id);
            if !is_behind || from.is_some_and(|from| slot.id < from) {
                self.walker.wrong("a map of ids is not in order");
            }
            (self.last, self.count) = (Some(slot.id), self.count + 1);
            (self.visit)(self.walker, *slot);
        }
        Some(())
    }
}
