//! Walking over a stream that is not believed.

use std::collections::HashSet;

use abi::stream::{
    IdSlot, PendingEntry, RawEntries, RawGroups, StreamConsumer, StreamGroup, StreamId, StreamNode,
};

use super::entry::form_end;
use super::node::{HEAD_BYTES, Node};
use crate::ids;
use crate::named::{self, address_of};
use base::walk::{Walker, readable};

/// Walks over the entries of a stream. What is wrong is told.
pub fn check_entries(raw: &RawEntries, walker: &mut Walker<'_>) {
    let (mut entries, mut last) = (0, None);
    ids::check(&raw.nodes, walker, &mut |walker, slot| {
        let Some(end) = claim_node(slot, last, walker) else {
            return walker.wrong("a node of the stream does not have the entries that it should");
        };
        entries += end.entries;
        last = Some(end.last);
    });
    if entries != raw.len || last.is_some_and(|last| last > raw.last) {
        walker.wrong("the stream has other entries than it should");
    }
}

/// What a node has.
struct End {
    entries: u64,
    last: StreamId,
}

/// Claims the node of a slot, whose ids are to be greater than `before`. None: it is not whole.
fn claim_node(slot: IdSlot, before: Option<StreamId>, walker: &mut Walker<'_>) -> Option<End> {
    let head = walker.at::<StreamNode>(slot.word)?;
    let bytes = HEAD_BYTES + head.capacity_bytes as usize;
    let is_possible = head.start <= head.last && head.last < head.end;
    if !is_possible
        || head.end > head.capacity_bytes
        || head.base != slot.id
        || !walker.claim("node of a stream", slot.word, bytes)
    {
        return None;
    }
    let read = || {
        // SAFETY: the allocation was claimed with a size that has room for the data that its head
        // tells of, and nobody changes it during a walk.
        let node = unsafe { Node::at(slot.word) };
        let (mut offset, mut entries, mut last, mut at) = (node.start(), 0, before, 0);
        if form_end(node.data()) > offset {
            return None;
        }
        while offset < node.end() {
            let (entry, next) = node.entry(offset);
            let is_behind = last.is_none_or(|last| last < entry.id);
            if !is_behind || entry.fields().count() == 0 {
                return None;
            }
            (at, offset, entries, last) = (offset, next, entries + 1, Some(entry.id));
        }
        let last = last.filter(|last| *last <= node.top() && at == node.last())?;
        (offset == node.end() && entries == node.count() as u64).then_some(End { entries, last })
    };
    readable(read).flatten()
}

/// Walks over the consumer groups of a stream, whose names are hashed with `seed`. What is wrong is
/// told.
pub fn check_groups(raw: &RawGroups, walker: &mut Walker<'_>, seed: [u64; 2]) {
    named::check::<StreamGroup>(&raw.table, walker, seed, &mut |walker, group| {
        let mut pending = HashSet::new();
        let mut owners = Vec::new();
        ids::check(&group.pending, walker, &mut |walker, slot| {
            let entry = walker.at::<PendingEntry>(slot.word);
            if let Some(entry) = entry
                && walker.claim("pending entry", slot.word, size_of::<PendingEntry>())
            {
                pending.insert((slot.id, slot.word));
                owners.push((slot.word, entry.consumer.address()));
            } else {
                walker.wrong("a pending entry of a group is none");
            }
        });
        let mut owned = HashSet::new();
        named::check::<StreamConsumer>(
            &group.consumers.table,
            walker,
            seed,
            &mut |walker, consumer| {
                ids::check(&consumer.pending, walker, &mut |walker, slot| {
                    owned.insert((slot.word, address_of(consumer)));
                    if !pending.remove(&(slot.id, slot.word)) {
                        walker.wrong("a pending entry of a consumer is not the group's");
                    }
                });
            },
        );
        if !pending.is_empty() || owners.iter().any(|owner| !owned.contains(owner)) {
            walker.wrong("a pending entry of a group is not that of the consumer it says");
        }
    });
}
