//! Names of bytes in a table, each with or without a value, as `abi::container::record` lays down:
//! the fields of a large hash, the members of a large set. A record is one allocation.

mod check;
mod record;
#[cfg(test)]
mod tests;
pub(crate) mod text;

pub use check::{check_fields, check_members};
pub use record::Record;

use abi::container::{RawHash, RawSet, RawTable};

use super::table::{self, Slot, Table, TableRef};
use base::hash::hash;
use base::heap::{Heap, or_undo};
use base::mover::Mover;

/// Records looked at to tell how much memory many take.
const MEASURED_MAX: usize = 2048;

/// A table of records to look things up in. `VALUES`: whether they have values.
#[derive(Clone, Copy)]
pub struct RecordsRef<'a, const VALUES: bool> {
    raw: &'a RawTable,
    seed: [u64; 2],
}

impl<'a> RecordsRef<'a, true> {
    /// The fields of a hash. Their names are hashed with `seed`.
    #[inline]
    pub const fn of(raw: &'a RawHash, seed: [u64; 2]) -> Self {
        Self { raw: &raw.fields, seed }
    }
}

impl<'a> RecordsRef<'a, false> {
    /// The members of a set. Their names are hashed with `seed`.
    #[inline]
    pub const fn of(raw: &'a RawSet, seed: [u64; 2]) -> Self {
        Self { raw: &raw.members, seed }
    }
}

impl<'a, const VALUES: bool> RecordsRef<'a, VALUES> {
    /// Records.
    #[inline]
    pub fn len(self) -> usize {
        table::len(self.raw)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn table(self) -> TableRef<'a> {
        // SAFETY: it is borrowed for 'a, and only `Records`, which borrow it exclusively, change it.
        unsafe { TableRef::new(self.raw) }
    }

    /// The record at the address of an item.
    #[inline]
    fn record(self, address: u64) -> Record<'a> {
        // SAFETY: items of the table are records, which are not changed for 'a.
        unsafe { Record::at::<VALUES>(address) }
    }

    #[inline]
    fn slot(self, name: &[u8], hash: u64) -> Option<Slot> {
        self.table().find(hash, |address| self.record(address).name == name)
    }

    /// The record of a name.
    #[inline]
    pub fn find(self, name: &[u8]) -> Option<Record<'a>> {
        let slot = self.slot(name, hash(name, self.seed))?;
        Some(self.record(slot.address()))
    }

    /// Calls `visit` with each record.
    pub fn for_each(self, visit: &mut dyn FnMut(Record<'a>)) {
        self.table().for_each(&mut |address| visit(self.record(address)));
    }

    /// A record chosen by `random`, 64 random bits; none if there are none.
    pub fn sample(self, random: u64) -> Option<Record<'a>> {
        self.table().sample(random).map(|address| self.record(address))
    }

    /// Goes on with a walk: visits at least `count` records, or fewer if many places in a row have
    /// none. Returns the cursor to go on with; 0 is both the start and the end.
    ///
    /// A record that is there throughout the walk is visited, however the table grows or shrinks;
    /// cursors mean the same in every release, and are below 2^46.
    pub fn scan(self, cursor: u64, count: u64, visit: &mut dyn FnMut(Record<'a>)) -> u64 {
        self.table().scan_some(cursor, count, &mut |address| visit(self.record(address)))
    }

    /// Bytes that table and records take of the heap. Of many records some are measured.
    pub fn bytes(self, heap: Heap) -> usize {
        self.measured(MEASURED_MAX, |size| heap.usable(size))
    }

    /// As [`RecordsRef::bytes`], roughly and at once.
    pub fn estimated_bytes(self) -> usize {
        const FEW: usize = 16;
        self.measured(FEW, |size| size)
    }

    fn measured(self, most: usize, usable: impl Fn(usize) -> usize) -> usize {
        let all = self.table().sum(most, |address| usable(self.record(address).size::<VALUES>()));
        table::bytes(self.raw) + all
    }
}

/// A table of records to change. `VALUES`: whether they have values.
pub struct Records<'a, const VALUES: bool> {
    raw: &'a mut RawTable,
    heap: Heap,
    seed: [u64; 2],
}

impl<'a> Records<'a, true> {
    /// The fields of a hash, which is all zeros or has only ever been changed through such views
    /// with the same heap and seed.
    #[inline]
    pub const fn of(raw: &'a mut RawHash, heap: Heap, seed: [u64; 2]) -> Self {
        Self { raw: &mut raw.fields, heap, seed }
    }
}

impl<'a> Records<'a, false> {
    /// As the other `of`, of the members of a set.
    #[inline]
    pub const fn of(raw: &'a mut RawSet, heap: Heap, seed: [u64; 2]) -> Self {
        Self { raw: &mut raw.members, heap, seed }
    }
}

impl<const VALUES: bool> Records<'_, VALUES> {
    /// To look things up.
    #[inline]
    pub const fn view(&self) -> RecordsRef<'_, VALUES> {
        RecordsRef { raw: self.raw, seed: self.seed }
    }

    fn table(&mut self) -> Table<'_> {
        Table::new(self.raw, self.heap)
    }

    /// Adds a record, or gives the one of this name another value. Tells whether it was added. Where
    /// memory runs out nothing has changed.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let record = Record { name, value };
        let hash = hash(name, self.seed);
        match self.view().slot(name, hash) {
            Some(slot) => {
                if VALUES {
                    self.replace(slot, record);
                }
                false
            }
            None => {
                self.insert(hash, record);
                true
            }
        }
    }

    /// As [`Records::set`], of several records, one after the other; returns how many were added.
    /// Where memory runs out nothing has changed.
    pub fn set_all<'e>(&mut self, records: impl Iterator<Item = Record<'e>>) -> usize {
        let (mut added, mut done) = (0, Vec::new());
        or_undo(
            &mut (&mut *self, &mut done),
            |(table, done)| {
                for record in records {
                    added += usize::from(table.set_undoably(record, done));
                }
            },
            |(table, done)| done.drain(..).rev().for_each(|change| table.undo(change)),
        );
        // SAFETY: the records were replaced, and nothing refers to them any more.
        done.into_iter().filter_map(|change| change.old).for_each(|old| unsafe {
            self.heap.free(old, self.view().record(old).size::<VALUES>());
        });
        added
    }

    /// As [`Records::set`], but what it replaces stays allocated.
    fn set_undoably(&mut self, record: Record<'_>, done: &mut Vec<Change>) -> bool {
        let hash = hash(record.name, self.seed);
        let Some(slot) = self.view().slot(record.name, hash) else {
            let new = self.insert(hash, record);
            done.push(Change { hash, old: None, new });
            return true;
        };
        if VALUES {
            let new = self.make(record);
            // SAFETY: the slot was just found. The old record is nobody's but of what is done.
            unsafe { self.table().replace(slot, new) };
            done.push(Change { hash, old: Some(slot.address()), new });
        }
        false
    }

    fn undo(&mut self, change: Change) {
        let (heap, Change { hash, old, new }) = (self.heap, change);
        let size = self.view().record(new).size::<VALUES>();
        let mut table = self.table();
        let Some(slot) = table.find_address(hash, new) else { return };
        // SAFETY: just found. Nothing refers to the new record once it is out of the table; the old
        // one goes back to where it was.
        unsafe {
            match old {
                Some(old) => {
                    table.replace(slot, old);
                }
                None => {
                    table.remove(slot, hash);
                }
            }
            heap.free(new, size);
        }
    }

    /// Adds a record whose name is not there. Returns its address.
    fn insert(&mut self, hash: u64, record: Record<'_>) -> u64 {
        let (heap, size, address) = (self.heap, record.size::<VALUES>(), self.make(record));
        let hash_of = hash_of::<VALUES>(self.seed);
        or_undo(
            &mut self.table(),
            |table| table.insert(hash, address, hash_of),
            // SAFETY: the table did not take it.
            |_| unsafe { heap.free(address, size) },
        );
        address
    }

    /// An allocation that holds a record.
    fn make(&self, record: Record<'_>) -> u64 {
        let address = self.heap.alloc(record.size::<VALUES>());
        // SAFETY: a new allocation of the record's size.
        unsafe { record.write::<VALUES>(address) };
        address
    }

    /// Puts a record in the place of another of the same name: where it is, if it has the room.
    fn replace(&mut self, slot: Slot, record: Record<'_>) {
        let (heap, size) = (self.heap, record.size::<VALUES>());
        let old = self.view().record(slot.address()).size::<VALUES>();
        if heap.usable(old) == heap.usable(size) {
            // SAFETY: the allocation is this record's, and `&mut self` keeps views of it away. It
            // would be freed by the new size, which is handed out in the same blocks.
            return unsafe { record.write::<VALUES>(slot.address()) };
        }
        let address = self.make(record);
        // SAFETY: the slot was just found; nothing refers to the old record once it is replaced.
        unsafe {
            self.table().replace(slot, address);
            heap.free(slot.address(), old);
        }
    }

    /// Removes the record of a name. Tells whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let hash = hash(name, self.seed);
        let Some(slot) = self.view().slot(name, hash) else { return false };
        let (heap, size) = (self.heap, self.view().record(slot.address()).size::<VALUES>());
        // SAFETY: just found; the record is the table's, and nothing refers to it afterwards.
        unsafe {
            let address = self.table().remove(slot, hash);
            heap.free(address, size);
        }
        true
    }

    /// Adds a copy of each record of another table, none of which is in this one.
    pub fn copy_from(&mut self, other: RecordsRef<'_, VALUES>) {
        let seed = self.seed;
        other.for_each(&mut |record| {
            self.insert(hash(record.name, seed), record);
        });
    }

    /// Moves records and what their table is made of, from a cursor on, until `mover` is spent.
    /// Returns the cursor to go on with; 0 is both the start and the end. What is there throughout is
    /// come by, as with [`RecordsRef::scan`].
    pub fn relocate(&mut self, cursor: u64, mover: &mut Mover) -> u64 {
        self.table().relocate_some(cursor, mover, &mut |mover, item| {
            let address = item.address();
            // SAFETY: an item of the table, to which its slot alone refers, and of which `&mut self`
            // keeps views away.
            unsafe {
                let size = Record::at::<VALUES>(address).size::<VALUES>();
                mover.relocate(address, size, |new| item.set_address(new));
            }
        })
    }

    /// Frees all records, whatever seed their names were hashed with.
    pub fn clear(&mut self) {
        let heap = self.heap;
        self.table().clear(&mut |address| {
            // SAFETY: items of the table are records, and it gives them up.
            unsafe { heap.free(address, Record::at::<VALUES>(address).size::<VALUES>()) };
        });
    }
}

/// A change of a table that may be undone: the addresses of records.
struct Change {
    hash: u64,
    old: Option<u64>,
    new: u64,
}

/// The hash of an item's name, for tables that grow.
fn hash_of<const VALUES: bool>(seed: [u64; 2]) -> impl Fn(u64) -> u64 + Copy {
    // SAFETY: only called by a table of records for its items while it is changed.
    move |address| hash(unsafe { Record::at::<VALUES>(address) }.name, seed)
}
