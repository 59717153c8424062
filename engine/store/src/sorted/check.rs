//! Walking over a sorted set that is not believed.

use std::collections::HashMap;

use abi::container::{INNER_CHILDREN, LEAF_MEMBERS, RawSortedSet, TreeInner, TreeLeaf};

use super::member::{self, Scored};
use super::{inner, leaf, tree};
use crate::records::text;
use crate::table;
use base::hash::hash;
use base::walk::Walker;

/// Walks over a sorted set, whose names are hashed with `seed`. What is wrong is told.
pub fn check(raw: &RawSortedSet, walker: &mut Walker<'_>, seed: [u64; 2]) {
    let mut members = HashMap::new();
    table::check(&raw.members, walker, "members", &mut |walker, address| {
        let member = walker.block(address).and_then(|block| {
            let (score, rest) = block.split_first_chunk()?;
            let (name, rest) = text::split(rest)?;
            let score = f64::from_bits(u64::from_le_bytes(*score));
            (!score.is_nan()).then_some((Scored { score, name }, block.len() - rest.len()))
        });
        let Some((member, size)) = member else {
            walker.wrong(format_args!("member at {address:#x}: there is none"));
            return None;
        };
        members.insert(address, member);
        walker.claim("member", address, size).then(|| hash(member.name, seed))
    });
    let mut check = Check { walker, members, last: None };
    let count = check.members.len() as u64;
    let in_tree = match raw.root {
        0 => Some(0),
        root if raw.height as usize <= tree::HEIGHT_MAX => {
            check.node(root, raw.height).map(|below| below.members)
        }
        _ => None,
    };
    if in_tree != Some(count) {
        check.walker.wrong("the tree of the sorted set does not have the members of its table");
    }
}

/// What is below a node.
struct Below {
    members: u64,
    first: u64,
}

struct Check<'c, 'w> {
    walker: &'c mut Walker<'w>,
    /// Members that the tree has not led to.
    members: HashMap<u64, Scored<'w>>,
    last: Option<Scored<'w>>,
}

impl Check<'_, '_> {
    /// Walks over a node with so many levels below it; none if it cannot be gone on.
    fn node(&mut self, address: u64, height: u32) -> Option<Below> {
        if height == 0 {
            return self.leaf(address);
        }
        let node = self.walker.at::<TreeInner>(address)?;
        let is_possible = (1..=INNER_CHILDREN as u64).contains(&node.count);
        if !is_possible || !self.walker.claim("node of a tree", address, inner::BYTES) {
            return None;
        }
        let (mut members, mut first) = (0, 0);
        for index in 0..node.count as usize {
            // Its score, before the walk below takes the member out of those that are left.
            let score = self.members.get(&node.firsts[index]).map(|first| first.order());
            let below = self.node(node.children[index], height - 1)?;
            let told = (node.members[index], node.firsts[index], Some(node.scores[index]));
            if told != (below.members, below.first, score) {
                self.walker.wrong("a node of the tree is wrong about what is below it");
            }
            first = if index == 0 { below.first } else { first };
            members += below.members;
        }
        Some(Below { members, first })
    }

    fn leaf(&mut self, address: u64) -> Option<Below> {
        let head = self.walker.at::<TreeLeaf>(address)?;
        let (count, capacity) = (usize::from(head.count), usize::from(head.capacity));
        let is_possible = 0 < count && count <= capacity && capacity <= LEAF_MEMBERS;
        let bytes = leaf::bytes(capacity);
        if !is_possible || head.shift >= u128::BITS || !self.walker.claim("leaf", address, bytes) {
            return None;
        }
        let words = self.walker.block(address)?[size_of::<TreeLeaf>()..].as_chunks::<8>().0;
        let words = words.iter().take(count).map(|word| u64::from_le_bytes(*word));
        let mut first = 0;
        for (index, word) in words.enumerate() {
            let member = word & leaf::ADDRESS;
            first = if index == 0 { member } else { first };
            self.member(head, word)?;
        }
        Some(Below { members: count as u64, first })
    }

    fn member(&mut self, head: &TreeLeaf, word: u64) -> Option<()> {
        let member = self.members.remove(&(word & leaf::ADDRESS))?;
        let is_behind = self.last.is_none_or(|last| last.compare(member).is_lt());
        let key = member::key(member.order(), member.name);
        if !is_behind || leaf::prefix(head, key) != word >> leaf::ADDRESS_BITS {
            self.walker.wrong("members of the tree are not in order");
        }
        self.last = Some(member);
        Some(())
    }
}
