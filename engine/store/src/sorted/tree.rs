//! The B+ tree of members in order of score and name. Nodes above the leaves count the members below
//! each child, so that ranks are found as fast as members.
//!
//! The tree refers to records of members and owns none. Growing takes memory before it changes
//! anything; a tree in which that failed halfway has the members it had, in another shape.

use core::ops::Range;

use abi::container::RawSortedSet;

use super::inner::{self, Child, Inner};
use super::leaf::{self, Leaf, LeafMut};
use super::member::{Cut, Scored};
use base::heap::{Heap, give_up};

/// Most levels above the leaves. A node is split when it is full, and a level more takes at least
/// some fifteen times the members.
pub const HEIGHT_MAX: usize = 16;

/// A tree to look at.
#[derive(Clone, Copy)]
pub struct TreeRef<'a> {
    raw: &'a RawSortedSet,
}

impl<'a> TreeRef<'a> {
    /// A view of the tree of a sorted set.
    ///
    /// # Safety
    /// It has only ever been changed through [`Tree`], and neither it nor a record of its members is
    /// changed for `'a`.
    pub const unsafe fn new(raw: &'a RawSortedSet) -> Self {
        Self { raw }
    }

    /// Members before a place.
    pub fn rank(self, cut: &Cut<'a>) -> usize {
        let (mut node, mut rank) = (self.raw.root, 0);
        if node == 0 {
            return 0;
        }
        for _ in 0..self.raw.height {
            // SAFETY: a node of the tree at this level, which nobody changes for 'a.
            let inner = unsafe { inner::at(node) };
            let index = inner.index(cut);
            rank += inner.members[..index].iter().sum::<u64>();
            node = inner.children[index];
        }
        leaf::fetch(node);
        // SAFETY: as above, a leaf.
        rank as usize + unsafe { Leaf::at(node) }.index(cut)
    }

    /// Calls `visit` with the members of a range of ranks, in reverse if so asked, until it returns
    /// false.
    pub fn walk(
        self,
        range: Range<usize>,
        reverse: bool,
        visit: &mut dyn FnMut(Scored<'a>) -> bool,
    ) {
        if self.raw.root != 0 && !range.is_empty() {
            // SAFETY: the tree's topmost node at its level, which nobody changes for 'a.
            unsafe { walk(self.raw.root, self.raw.height, range, reverse, visit) };
        }
    }

    /// Bytes of the nodes, as asked from the heap, each as `usable` has it.
    pub fn bytes(self, usable: &impl Fn(usize) -> usize) -> usize {
        match self.raw.root {
            0 => 0,
            // SAFETY: as in `walk`.
            root => unsafe { bytes(root, self.raw.height, usable) },
        }
    }

    #[cfg(test)]
    pub const fn root(self) -> (u64, u32) {
        (self.raw.root, self.raw.height)
    }
}

/// See [`TreeRef::walk`]; tells whether `visit` never returned false.
///
/// # Safety
/// A node of a tree is there with so many levels below it, and it is not changed for `'a`.
unsafe fn walk<'a>(
    node: u64,
    height: u32,
    range: Range<usize>,
    reverse: bool,
    visit: &mut dyn FnMut(Scored<'a>) -> bool,
) -> bool {
    if height == 0 {
        // SAFETY: as the caller promises, it is a leaf.
        let leaf = unsafe { Leaf::at(node) };
        return leaf.walk(range.start..range.end.min(leaf.len()), reverse, visit);
    }
    // SAFETY: as the caller promises.
    let inner = unsafe { inner::at(node) };
    let mut part = |index: usize, before: usize| {
        let members = inner.members[index] as usize;
        let start = range.start.saturating_sub(before);
        let end = range.end.saturating_sub(before).min(members);
        // SAFETY: a child of the node.
        start >= end
            || unsafe { walk(inner.children[index], height - 1, start..end, reverse, visit) }
    };
    let counted = inner.members[..inner.len()].iter().enumerate();
    if reverse {
        let mut before = inner.total() as usize;
        counted.rev().all(|(index, members)| {
            before -= *members as usize;
            part(index, before)
        })
    } else {
        let mut next = 0;
        counted.into_iter().all(|(index, members)| {
            let before = next;
            next += *members as usize;
            part(index, before)
        })
    }
}

/// # Safety
/// As for [`walk`].
unsafe fn bytes(node: u64, height: u32, usable: &impl Fn(usize) -> usize) -> usize {
    if height == 0 {
        // SAFETY: as the caller promises, it is a leaf.
        return usable(unsafe { leaf::size(node) });
    }
    // SAFETY: as the caller promises.
    let inner = unsafe { inner::at(node) };
    let children = inner.children[..inner.len()].iter();
    // SAFETY: children of the node.
    let below: usize = children.map(|child| unsafe { bytes(*child, height - 1, usable) }).sum();
    usable(inner::BYTES) + below
}

/// The way from the topmost node to a leaf: nodes, each with the index of the child that follows.
pub(super) struct Path {
    steps: [(u64, usize); HEIGHT_MAX],
    len: usize,
    leaf: u64,
}

impl Path {
    pub const fn new() -> Self {
        Self { steps: [(0, 0); HEIGHT_MAX], len: 0, leaf: 0 }
    }

    pub fn push(&mut self, node: u64, index: usize) {
        self.steps[self.len] = (node, index);
        self.len += 1;
    }

    /// From the leaf upwards.
    pub fn upwards(&self) -> impl Iterator<Item = (u64, usize)> + use<'_> {
        self.steps[..self.len].iter().rev().copied()
    }
}

/// Which ends of the tree a way goes along.
#[derive(Clone, Copy)]
struct Edges {
    first: bool,
    last: bool,
}

/// A tree to change.
pub struct Tree<'a> {
    raw: &'a mut RawSortedSet,
    heap: Heap,
}

impl<'a> Tree<'a> {
    /// A view of the tree of a sorted set that is all zeros or has only ever been changed through
    /// such views with the same heap.
    ///
    /// # Safety
    /// No record of its members is changed while this is used.
    pub const unsafe fn new(raw: &'a mut RawSortedSet, heap: Heap) -> Self {
        Self { raw, heap }
    }

    /// Adds a member that is not there, whose record is at an address. Where memory runs out no
    /// member has changed.
    pub fn insert(&mut self, member: Scored<'_>, address: u64) {
        let cut = Cut::BeforeMember(member);
        let path = self.make_room(&cut);
        // SAFETY: the leaf at the end of the way, of which there is no other view.
        let index = unsafe {
            let index = Leaf::at(path.leaf).index(&cut);
            LeafMut::at(path.leaf).insert(index, member, address);
            index
        };
        for (node, child) in path.upwards() {
            // SAFETY: a node of the tree, of which there is no other view.
            unsafe { inner::at_mut(node) }.members[child] += 1;
        }
        if index == 0 {
            set_first(path.upwards(), address);
        }
    }

    /// Finds the way to the leaf that a member belongs to, in which there is room for it.
    fn make_room(&mut self, cut: &Cut<'_>) -> Path {
        let mut path = Path::new();
        if self.raw.root == 0 {
            let new = leaf::allocate(self.heap, leaf::capacity_for(1));
            self.raw.root = new.unwrap_or_else(|| give_up());
        }
        if is_full(self.raw.root, self.raw.height) {
            self.grow();
        }
        let mut edges = Edges { first: true, last: true };
        let mut node = self.raw.root;
        for height in (0..self.raw.height).rev() {
            // SAFETY: a node of the tree at this level, of which there is no other view.
            let inner = unsafe { inner::at_mut(node) };
            let mut index = inner.index(cut);
            edges.first &= index == 0;
            edges.last &= index + 1 == inner.len();
            if is_full(inner.children[index], height) {
                split(inner, index, height, cut, edges, self.heap);
                index += usize::from(inner.is_before(index + 1, cut));
            }
            path.push(node, index);
            node = inner.children[index];
        }
        leaf::fetch(node);
        path.leaf = self.with_room(&path, node);
        path
    }

    /// Puts a node above the topmost one.
    fn grow(&mut self) {
        let new = inner::allocate(self.heap);
        let below = summary(self.raw.root, self.raw.height);
        // SAFETY: a new node, which nobody else knows.
        unsafe { inner::at_mut(new) }.insert(0, below);
        self.raw.root = new;
        self.raw.height += 1;
    }

    /// A leaf at the end of a way, made larger if it has no room. It is not full.
    fn with_room(&mut self, path: &Path, old: u64) -> u64 {
        // SAFETY: a leaf of the tree, of which there is no other view.
        let len = match unsafe { Leaf::at(old) } {
            leaf if leaf.is_at_capacity() => leaf.len(),
            _ => return old,
        };
        // SAFETY: as above; the copy takes its place.
        unsafe {
            let new = leaf::copy(self.heap, old, 0..len, leaf::capacity_for(len));
            let new = new.unwrap_or_else(|| give_up());
            LeafMut::at(new).measure_if_skewed();
            self.heap.free(old, leaf::size(old));
            match path.upwards().next() {
                Some((parent, index)) => inner::at_mut(parent).children[index] = new,
                None => self.raw.root = new,
            }
            new
        }
    }

    /// Gives a member that is there another score, if it keeps its place, and that is seen in its leaf.
    /// Tells whether it did. Does not fail.
    ///
    /// # Panics
    /// If its record is not at this address.
    pub fn rescore(&mut self, member: Scored<'_>, address: u64, score: f64) -> bool {
        let mut node = self.raw.root;
        for _ in 0..self.raw.height {
            // SAFETY: a node of the tree at this level, of which there is no view to change it.
            let inner = unsafe { inner::at(node) };
            node = inner.children[inner.index(&Cut::BehindMember(member))];
        }
        leaf::fetch(node);
        let new = Scored { score, ..member };
        // SAFETY: a leaf of the tree, of which there is no other view.
        let leaf = unsafe { Leaf::at(node) };
        let index = leaf.index(&Cut::BeforeMember(member));
        assert_eq!(leaf.address(index), address, "a member is not where its score says");
        let keeps_place = leaf.would_stay(index, new);
        if keeps_place {
            // SAFETY: as above; no view of the record is used but `member`, which is not any more.
            unsafe { LeafMut::at(node).rescore(index, new) };
        }
        keeps_place
    }

    /// Takes a member out that is there. Does not fail.
    ///
    /// # Panics
    /// If its record is not at this address.
    pub fn remove(&mut self, member: Scored<'_>, address: u64) {
        let mut path = Path::new();
        path.leaf = self.raw.root;
        for _ in 0..self.raw.height {
            // SAFETY: a node of the tree at this level, of which there is no other view.
            let inner = unsafe { inner::at_mut(path.leaf) };
            let index = inner.index(&Cut::BehindMember(member));
            path.push(path.leaf, index);
            path.leaf = inner.children[index];
        }
        leaf::fetch(path.leaf);
        // SAFETY: the leaf at the end of the way, of which there is no other view.
        let (index, left) = unsafe {
            let leaf = Leaf::at(path.leaf);
            let index = leaf.index(&Cut::BeforeMember(member));
            assert_eq!(leaf.address(index), address, "a member is not where its score says");
            LeafMut::at(path.leaf).remove(index);
            (index, leaf::len(path.leaf))
        };
        for (node, child) in path.upwards() {
            // SAFETY: as above.
            unsafe { inner::at_mut(node) }.members[child] -= 1;
        }
        if index == 0 && left > 0 {
            // SAFETY: as above; the leaf has members.
            set_first(path.upwards(), unsafe { Leaf::at(path.leaf) }.address(0));
        }
        self.tidy(&path);
    }

    /// After a member was taken out at the end of a way: frees nodes that are empty, merges those
    /// that have become sparse.
    fn tidy(&mut self, path: &Path) {
        for (level, (node, index)) in path.upwards().enumerate() {
            let height = level as u32;
            // SAFETY: a node of the tree, of which there is no other view.
            let parent = unsafe { inner::at_mut(node) };
            let len = len(parent.children[index], height);
            if len == 0 {
                free_one(parent.children[index], height, self.heap);
                parent.remove(index);
                if index == 0 && parent.len() > 0 {
                    set_first(path.upwards().skip(level + 1), parent.firsts[0]);
                }
            } else if !is_sparse(len, height) || !merge(parent, index, height, self.heap) {
                break;
            }
        }
        self.lower();
    }

    /// Removes topmost nodes that are of no use.
    fn lower(&mut self) {
        while self.raw.root != 0 {
            let (root, height) = (self.raw.root, self.raw.height);
            let next = match len(root, height) {
                0 => 0,
                // SAFETY: the topmost node, of which there is no other view.
                1 if height > 0 => unsafe { inner::at(root) }.children[0],
                _ => return,
            };
            free_one(root, height, self.heap);
            self.raw.root = next;
            self.raw.height = if next == 0 { 0 } else { height - 1 };
        }
    }

    /// Frees all nodes.
    pub fn clear(&mut self) {
        let (root, height) = (self.raw.root, self.raw.height);
        (self.raw.root, self.raw.height) = (0, 0);
        if root != 0 {
            free_all(root, height, self.heap);
        }
    }
}

/// Members of a leaf or children of another node.
fn len(node: u64, height: u32) -> usize {
    // SAFETY: only called with nodes of a tree of which there is no view to change them.
    unsafe { if height == 0 { leaf::len(node) } else { inner::at(node).len() } }
}

fn is_full(node: u64, height: u32) -> bool {
    // SAFETY: as in `len`.
    unsafe { if height == 0 { Leaf::at(node).is_full() } else { inner::at(node).is_full() } }
}

const fn is_sparse(len: usize, height: u32) -> bool {
    len < if height == 0 { leaf::SPARSE } else { inner::SPARSE }
}

/// What the node above is to know of a node with members.
fn summary(node: u64, height: u32) -> Child {
    // SAFETY: as in `len`.
    unsafe {
        if height == 0 {
            let leaf = Leaf::at(node);
            return Child { node, first: leaf.address(0), members: leaf.len() as u64 };
        }
        let inner = inner::at(node);
        Child { node, first: inner.firsts[0], members: inner.total() }
    }
}

/// Says along a way upwards that a record is the first below.
pub(super) fn set_first(way: impl Iterator<Item = (u64, usize)>, first: u64) {
    for (node, index) in way {
        // SAFETY: only called with nodes of a tree of which there is no other view.
        unsafe { inner::at_mut(node) }.set_first(index, first);
        if index > 0 {
            break;
        }
    }
}

/// Splits a full child: in the middle, or at the end of the tree where members are added one after
/// the other, so that what they leave behind is full.
fn split(
    parent: &mut abi::container::TreeInner,
    index: usize,
    height: u32,
    cut: &Cut<'_>,
    edges: Edges,
    heap: Heap,
) {
    let node = parent.children[index];
    let len = len(node, height);
    // SAFETY: a child of the node, of which there is no other view.
    let place = unsafe {
        if height == 0 { Leaf::at(node).index(cut) } else { inner::at(node).index(cut) + 1 }
    };
    let at = match place {
        place if edges.last && place == len => len - 1,
        place if edges.first && place <= 1 => 1,
        _ => len / 2,
    };
    let upper = if height == 0 { split_leaf(node, at, heap) } else { split_inner(node, at, heap) };
    parent.members[index] -= summary(upper, height).members;
    parent.insert(index + 1, summary(upper, height));
    if height == 0 {
        parent.children[index] = cut_down(node, heap);
    }
}

/// Moves the members from one on to a new leaf.
fn split_leaf(node: u64, at: usize, heap: Heap) -> u64 {
    // SAFETY: only called by `split`; the new leaf is nobody else's.
    unsafe {
        let len = leaf::len(node);
        let upper = leaf::copy(heap, node, at..len, leaf::capacity_for(len - at));
        let upper = upper.unwrap_or_else(|| give_up());
        LeafMut::at(upper).measure_if_skewed();
        LeafMut::at(node).truncate(at);
        LeafMut::at(node).measure_if_skewed();
        upper
    }
}

/// A leaf in a smaller allocation, if that is to be had.
fn cut_down(node: u64, heap: Heap) -> u64 {
    // SAFETY: only called by `split`, which puts the copy in its place.
    unsafe {
        let len = leaf::len(node);
        let capacity = leaf::capacity_for(len);
        if leaf::is_roomier(node, capacity)
            && let Some(smaller) = leaf::copy(heap, node, 0..len, capacity)
        {
            heap.free(node, leaf::size(node));
            return smaller;
        }
        node
    }
}

/// Moves the children from one on to a new node.
fn split_inner(node: u64, at: usize, heap: Heap) -> u64 {
    let upper = inner::allocate(heap);
    // SAFETY: only called by `split`; the new node is nobody else's.
    let (from, to) = unsafe { (inner::at_mut(node), inner::at_mut(upper)) };
    (at..from.len()).for_each(|index| to.insert(index - at, from.child(index)));
    from.count = at as u64;
    upper
}

/// Merges a child with a neighbour, if there is one with room. Tells whether it did.
fn merge(parent: &mut abi::container::TreeInner, index: usize, height: u32, heap: Heap) -> bool {
    let most = if height == 0 { leaf::MERGED_MAX } else { inner::MERGED_MAX };
    let fits = |left: usize| {
        left + 1 < parent.len()
            && len(parent.children[left], height) + len(parent.children[left + 1], height) <= most
    };
    let left = match index.checked_sub(1).filter(|left| fits(*left)) {
        Some(left) => left,
        None if fits(index) => index,
        None => return false,
    };
    let (lower, upper) = (parent.children[left], parent.children[left + 1]);
    let merged = if height == 0 {
        merge_leaves(lower, upper, heap)
    } else {
        Some(merge_inner(lower, upper))
    };
    let Some(merged) = merged else { return false };
    if merged != lower {
        free_one(lower, height, heap);
    }
    free_one(upper, height, heap);
    parent.children[left] = merged;
    parent.members[left] += parent.members[left + 1];
    parent.remove(left + 1);
    true
}

/// A leaf with the members of two; it may be the first of them. None if there is no memory.
fn merge_leaves(lower: u64, upper: u64, heap: Heap) -> Option<u64> {
    // SAFETY: only called by `merge`; no view of them is used but these.
    unsafe {
        let (len, more) = (leaf::len(lower), leaf::len(upper));
        let to = match leaf::is_roomier(lower, len + more) {
            true => lower,
            false => leaf::copy(heap, lower, 0..len, leaf::capacity_for(len + more))?,
        };
        LeafMut::at(to).append(Leaf::at(upper));
        Some(to)
    }
}

fn merge_inner(lower: u64, upper: u64) -> u64 {
    // SAFETY: only called by `merge`; no view of them is used but these.
    let (to, from) = unsafe { (inner::at_mut(lower), inner::at(upper)) };
    (0..from.len()).for_each(|index| to.insert(to.len(), from.child(index)));
    lower
}

/// Frees a node alone.
fn free_one(node: u64, height: u32, heap: Heap) {
    // SAFETY: only called with nodes that are out of the tree, or are taken out at once.
    unsafe {
        let size = if height == 0 { leaf::size(node) } else { inner::BYTES };
        heap.free(node, size);
    }
}

fn free_all(node: u64, height: u32, heap: Heap) {
    if height > 0 {
        // SAFETY: a node of the tree that is freed whole.
        let inner = unsafe { inner::at(node) };
        let children = inner.children[..inner.len()].iter();
        children.for_each(|child| free_all(*child, height - 1, heap));
    }
    free_one(node, height, heap);
}
