//! What is told of streams, but for what depends on the clock or on the release.

use crate::harness::connection::{Reply, parts, reply_end};

/// What is told with a time, which only the second release tells of some.
const TIMES: &[&[u8]] = &[b"seen-time", b"active-time", b"idle", b"inactive"];
/// How entries are packed, which is as a server likes it.
const PACKING: &[&[u8]] = &[b"radix-tree-keys", b"radix-tree-nodes"];
/// Digits of a Unix time in milliseconds; no other number has as many, or it is an odd one.
const TIME_DIGITS: usize = 12;

/// How much a group has not read, which the second release knows better than Redis 7.0.
const LAG: &[&[u8]] = &[b"lag"];

/// What counts of what is told.
#[derive(Clone, Copy, PartialEq)]
pub enum Counts {
    /// All, when entries were delivered being about the same.
    All,
    /// As that, without what the second release knows better.
    AllButLag,
    /// Not how entries are packed either; but they were delivered at the same time.
    Data,
}

/// What `XINFO` has told, part by part, without [`TIMES`].
pub fn told(reply: &Reply) -> Vec<u8> {
    let mut leaves = Vec::new();
    add_leaves(reply.0.clone(), &mut leaves);
    without(TIMES, leaves).concat()
}

/// Whether what two servers have told is the same.
pub fn same(ours: &[u8], theirs: &[u8], counts: Counts) -> bool {
    leaves_of(ours, counts) == leaves_of(theirs, counts)
}

/// Entries of `XPENDING`, without for how long they have been pending.
pub fn pending(reply: &Reply) -> Vec<Vec<u8>> {
    let entries = parts(reply).into_iter().map(|entry| match parts(&Reply(entry.clone())) {
        fields if fields.len() == 4 => [&fields[..2], &fields[3..]].concat().concat(),
        _ => entry,
    });
    entries.collect()
}

/// The parts that have no parts. One without any is one itself.
fn add_leaves(reply: Vec<u8>, leaves: &mut Vec<Vec<u8>>) {
    let reply = Reply(reply);
    let is_aggregate = matches!(reply.0[0], b'*' | b'%' | b'~' | b'>') && !reply.is_null();
    match parts(&reply) {
        parts if is_aggregate && !parts.is_empty() => {
            parts.into_iter().for_each(|part| add_leaves(part, leaves));
        }
        _ => leaves.push(reply.0),
    }
}

/// Parts without some names and what follows them.
fn without(names: &[&[u8]], leaves: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    let mut leaves = leaves.into_iter();
    while let Some(leaf) = leaves.next() {
        match text(&leaf) {
            Some(name) if names.contains(&name) => _ = leaves.next(),
            _ => kept.push(leaf),
        }
    }
    kept
}

fn leaves_of(mut all: &[u8], counts: Counts) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    while let Some(end) = reply_end(all, 0) {
        let (leaf, rest) = all.split_at(end);
        let is_time = leaf.starts_with(b":") && leaf.len() > TIME_DIGITS;
        let is_near = is_time && counts != Counts::Data;
        leaves.push(if is_near { b":time\r\n".to_vec() } else { leaf.to_vec() });
        all = rest;
    }
    match counts {
        Counts::All => leaves,
        Counts::AllButLag => without(LAG, leaves),
        Counts::Data => without(PACKING, without(LAG, leaves)),
    }
}

/// What a bulk string says.
fn text(leaf: &[u8]) -> Option<&[u8]> {
    let begin = leaf.starts_with(b"$").then(|| leaf.iter().position(|byte| *byte == b'\n'))??;
    leaf.get(begin + 1..leaf.len() - 2)
}
