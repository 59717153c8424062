//! Large sorted sets, as `abi::container::RawSortedSet` lays down: each member is one record, which a
//! table finds by its name and a tree by its place in the order of scores.

mod check;
mod inner;
mod leaf;
mod member;
mod relocate;
#[cfg(test)]
mod tests;
mod tree;

pub use check::check;
pub use member::{Cut, Scored, order};
pub use relocate::Place;

use core::ops::Range;

use abi::container::RawSortedSet;

use super::table::{self, Slot, Table, TableRef};
use base::hash::hash;
use base::heap::{Heap, or_undo};
use tree::{Tree, TreeRef};

/// Records looked at to tell how much memory many take.
const MEASURED_MAX: usize = 2048;

/// A sorted set to look at.
#[derive(Clone, Copy)]
pub struct SortedRef<'a> {
    raw: &'a RawSortedSet,
    seed: [u64; 2],
}

impl<'a> SortedRef<'a> {
    /// The sorted set, whose names are hashed with `seed`. It has only ever been changed through
    /// [`Sorted`].
    #[inline]
    pub const fn of(raw: &'a RawSortedSet, seed: [u64; 2]) -> Self {
        Self { raw, seed }
    }

    /// Members.
    #[inline]
    pub fn len(self) -> usize {
        table::len(&self.raw.members)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn table(self) -> TableRef<'a> {
        // SAFETY: it is borrowed for 'a, and only `Sorted`, which borrows it exclusively, changes it.
        unsafe { TableRef::new(&self.raw.members) }
    }

    fn tree(self) -> TreeRef<'a> {
        // SAFETY: as in `table`, and so are the records.
        unsafe { TreeRef::new(self.raw) }
    }

    /// The record at the address of an item.
    #[inline]
    fn record(self, address: u64) -> Scored<'a> {
        // SAFETY: items of the table are records, which are not changed for 'a.
        unsafe { Scored::at(address) }
    }

    #[inline]
    fn slot(self, name: &[u8], hash: u64) -> Option<Slot> {
        self.table().find(hash, |address| self.record(address).name == name)
    }

    /// The member of a name.
    #[inline]
    pub fn find(self, name: &[u8]) -> Option<Scored<'a>> {
        let slot = self.slot(name, hash(name, self.seed))?;
        Some(self.record(slot.address()))
    }

    /// Members before a place.
    pub fn rank(self, cut: &Cut<'a>) -> usize {
        self.tree().rank(&self.by_score(*cut))
    }

    /// A place between names as one between members, where all have the same score: so the sort keys
    /// say more.
    fn by_score(self, cut: Cut<'a>) -> Cut<'a> {
        let (Cut::BeforeName(name) | Cut::BehindName(name)) = cut else { return cut };
        match [self.get(0), self.len().checked_sub(1).and_then(|last| self.get(last))] {
            [Some(first), Some(last)] if first.order() == last.order() => {
                let member = Scored { score: first.score, name };
                match cut {
                    Cut::BeforeName(_) => Cut::BeforeMember(member),
                    _ => Cut::BehindMember(member),
                }
            }
            _ => cut,
        }
    }

    /// Calls `visit` with the members of a range of ranks, in reverse if so asked, until it returns
    /// false.
    pub fn walk(
        self,
        range: Range<usize>,
        reverse: bool,
        visit: &mut dyn FnMut(Scored<'a>) -> bool,
    ) {
        self.tree().walk(range, reverse, visit);
    }

    /// The member of a rank.
    pub fn get(self, rank: usize) -> Option<Scored<'a>> {
        let mut found = None;
        self.walk(rank..rank + 1, false, &mut |member| {
            found = Some(member);
            false
        });
        found
    }

    /// Goes on with a walk in no order: visits at least `count` members, or fewer if many places in a
    /// row have none. Returns the cursor to go on with; 0 is both the start and the end.
    ///
    /// A member that is there throughout the walk is visited, however the table grows or shrinks;
    /// cursors mean the same in every release, and are below 2^46.
    pub fn scan(self, cursor: u64, count: u64, visit: &mut dyn FnMut(Scored<'a>)) -> u64 {
        self.table().scan_some(cursor, count, &mut |address| visit(self.record(address)))
    }

    /// Bytes that table, tree and records take of the heap. Of many records some are measured.
    pub fn bytes(self, heap: Heap) -> usize {
        let usable = |size| heap.usable(size);
        self.tree().bytes(&usable) + self.measured(MEASURED_MAX, usable)
    }

    /// As [`SortedRef::bytes`], roughly and at once.
    pub fn estimated_bytes(self) -> usize {
        const FEW: usize = 16;
        const NODES_PER_MEMBER: usize = 10;
        self.len() * NODES_PER_MEMBER + self.measured(FEW, |size| size)
    }

    fn measured(self, most: usize, usable: impl Fn(usize) -> usize) -> usize {
        let all = self.table().sum(most, |address| usable(self.record(address).size()));
        table::bytes(&self.raw.members) + all
    }
}

/// A sorted set to change.
pub struct Sorted<'a> {
    raw: &'a mut RawSortedSet,
    heap: Heap,
    seed: [u64; 2],
}

impl<'a> Sorted<'a> {
    /// The sorted set, which is all zeros or has only ever been changed through such views with the
    /// same heap and seed.
    #[inline]
    pub const fn of(raw: &'a mut RawSortedSet, heap: Heap, seed: [u64; 2]) -> Self {
        Self { raw, heap, seed }
    }

    /// To look at it.
    #[inline]
    pub const fn view(&self) -> SortedRef<'_> {
        SortedRef { raw: self.raw, seed: self.seed }
    }

    fn table(&mut self) -> Table<'_> {
        Table::new(&mut self.raw.members, self.heap)
    }

    fn tree(&mut self) -> Tree<'_> {
        // SAFETY: records are written before they are in the tree and freed after they were in it.
        unsafe { Tree::new(self.raw, self.heap) }
    }

    /// Adds a member, or gives the one of this name another score. Where memory runs out nothing has
    /// changed.
    pub fn set(&mut self, member: Scored<'_>) {
        let hash = hash(member.name, self.seed);
        let slot = self.view().slot(member.name, hash);
        if let Some(old) = slot.map(Slot::address) {
            let known = Scored { score: self.view().record(old).score, ..member };
            if known.order() == member.order() || self.tree().rescore(known, old, member.score) {
                return;
            }
        }
        if let Some(change) = self.put(member, hash, slot) {
            self.settle(change);
        }
    }

    /// As [`Sorted::set`], of several members of different names. Where memory runs out nothing has
    /// changed.
    pub fn set_all<'e>(&mut self, members: impl Iterator<Item = Scored<'e>>) {
        let mut done = Vec::new();
        or_undo(
            &mut (&mut *self, &mut done),
            |(set, done)| {
                done.extend(members.filter_map(|member| {
                    let hash = hash(member.name, set.seed);
                    let slot = set.view().slot(member.name, hash);
                    set.put(member, hash, slot)
                }));
            },
            |(set, done)| done.drain(..).rev().for_each(|change| set.undo(change)),
        );
        done.into_iter().for_each(|change| self.settle(change));
    }

    /// Puts a record of a member beside the one it has, in a slot that was just found by its hash, of which
    /// only the tree still knows then. None if the score is the same.
    fn put(&mut self, member: Scored<'_>, hash: u64, slot: Option<Slot>) -> Option<Change> {
        let old = slot.map(Slot::address);
        if old.is_some_and(|old| self.view().record(old).order() == member.order()) {
            return None;
        }
        let (heap, seed, new) = (self.heap, self.seed, self.heap.alloc(member.size()));
        // SAFETY: a new allocation of the record's size; nothing refers to it where that is undone.
        unsafe {
            member.write(new);
            or_undo(
                self,
                |set| set.tree().insert(member, new),
                |set| set.heap.free(new, member.size()),
            );
        }
        let Some(slot) = slot else {
            or_undo(
                self,
                |set| set.table().insert(hash, new, hash_of(seed)),
                |set| {
                    set.tree().remove(member, new);
                    // SAFETY: neither tree nor table refers to it.
                    unsafe { heap.free(new, member.size()) };
                },
            );
            return Some(Change { hash, old, new });
        };
        // SAFETY: just found, and the table has not been changed since.
        unsafe { self.table().replace(slot, new) };
        Some(Change { hash, old, new })
    }

    /// Forgets what a change has replaced.
    fn settle(&mut self, change: Change) {
        if let Some(old) = change.old {
            self.drop_record(old);
        }
    }

    /// Takes a record out of the tree, when the table does not have it any more, and frees it.
    fn drop_record(&mut self, address: u64) {
        // SAFETY: a record of the tree, to which nothing refers when it is out of that.
        unsafe {
            let record = Scored::at(address);
            self.tree().remove(record, address);
            self.heap.free(address, record.size());
        }
    }

    fn undo(&mut self, change: Change) {
        let Change { hash, old, new } = change;
        let Some(slot) = self.table().find_address(hash, new) else { return };
        // SAFETY: just found; what was replaced goes back to where it was.
        unsafe {
            match old {
                Some(old) => {
                    self.table().replace(slot, old);
                }
                None => {
                    self.table().remove(slot, hash);
                }
            }
        }
        self.drop_record(new);
    }

    /// Removes the member of a name. Tells whether there was one. Does not fail.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let hash = hash(name, self.seed);
        let Some(slot) = self.view().slot(name, hash) else { return false };
        // SAFETY: just found.
        let address = unsafe { self.table().remove(slot, hash) };
        self.drop_record(address);
        true
    }

    /// Removes the members of a range of ranks, which are there. Does not fail.
    pub fn remove_range(&mut self, range: Range<usize>) {
        for _ in range.clone() {
            let Some(member) = self.view().get(range.start) else { return };
            let name = member.name.to_vec();
            self.remove(&name);
        }
    }

    /// Frees everything, whatever seed names were hashed with.
    pub fn clear(&mut self) {
        self.tree().clear();
        let heap = self.heap;
        self.table().clear(&mut |address| {
            // SAFETY: items of the table are records, and it gives them up; the tree is gone.
            unsafe { heap.free(address, Scored::at(address).size()) };
        });
    }
}

/// The hash of an item's name, for tables that grow.
fn hash_of(seed: [u64; 2]) -> impl Fn(u64) -> u64 + Copy {
    // SAFETY: only called by a table of records for its items while it is changed.
    move |address| hash(unsafe { Scored::at(address) }.name, seed)
}

/// A change that may be undone: the addresses of records.
struct Change {
    hash: u64,
    old: Option<u64>,
    new: u64,
}
