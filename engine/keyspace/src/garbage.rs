//! What is out of all tables, and how it is freed.

use abi::container::RawTable;
use abi::tracking::TrackedKey;

use crate::part::Part;
use base::core::Core;
use base::garbage::{Garbage, GarbagePlace};
use base::heap::Heap;
use base::vec::Words;
use store::named::Named;
use store::table::{self, Table, TableRef};
use value::entry::{Entry, OwnedEntry};

/// Allocations above which a value is left to a background thread to free.
pub(crate) const LAZY_MIN: usize = 64;
/// Entries of a table that are looked at to tell how large all are.
const SAMPLES: u64 = 16;

/// Frees an entry with its value; one of many allocations, if `lazily`, is left to be freed on a
/// background thread.
pub fn dispose(core: &mut Core, entry: OwnedEntry, lazily: bool) {
    if !lazily || entry.view().allocations() <= LAZY_MIN {
        return drop(entry);
    }
    let bytes = entry.view().estimated_memory(core.heap) as u64;
    let place = GarbagePlace::Entry(entry.into_address());
    // SAFETY: the entry was this function's alone.
    core.notices.note_garbage(unsafe { Garbage::new(place, 1, bytes) });
}

/// The tables of a database's part of a shard, taken out of it whole.
pub struct DetachedTables {
    keys: RawTable,
    expires: RawTable,
    count: usize,
}

impl DetachedTables {
    /// Takes them out of a part.
    pub fn out_of(part: &mut Part<'_>, heap: Heap) -> Self {
        let keys = part.keys_mut(heap).take();
        part.forget_listed();
        Self { count: table::len(&keys), keys, expires: part.expires_mut(heap).take() }
    }

    /// Keys that were in them.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The table of all keys, for whoever has other use for it.
    pub(crate) fn keys_mut(&mut self) -> &mut RawTable {
        &mut self.keys
    }
}

/// Frees detached tables and the entries in them; if `lazily`, they are left to be freed on a
/// background thread.
pub fn dispose_tables(core: &mut Core, tables: DetachedTables, lazily: bool) {
    let DetachedTables { keys, expires, .. } = tables;
    // SAFETY: they were taken out together; views of their entries would borrow the core, which this
    // has exclusively.
    let garbage =
        unsafe { [Garbage::new(GarbagePlace::Index(expires), 0, 0), weighed(core, keys)] };
    for garbage in garbage {
        if lazily && !is_empty(&garbage) {
            core.notices.note_garbage(garbage);
        } else {
            free(core.heap, garbage);
        }
    }
}

/// Leaves a table with its entries to be freed on a background thread. Nothing else refers to them.
pub(crate) fn dispose_table(core: &mut Core, keys: RawTable) {
    let expires = RawTable::new();
    let count = table::len(&keys);
    dispose_tables(core, DetachedTables { keys, expires, count }, true);
}

fn is_empty(garbage: &Garbage) -> bool {
    match garbage.place() {
        GarbagePlace::Entry(_) => false,
        GarbagePlace::Table(table) | GarbagePlace::Index(table) | GarbagePlace::Tracked(table) => {
            table::len(table) == 0
        }
    }
}

/// A detached table of entries, with a guess at what it gives back.
///
/// # Safety
/// Nothing refers to the table or to its entries.
unsafe fn weighed(core: &mut Core, table: RawTable) -> Garbage {
    let bytes = estimated_bytes(core, &table);
    let values = table::len(&table) as u64;
    // SAFETY: as the caller promises.
    unsafe { Garbage::new(GarbagePlace::Table(table), values, bytes) }
}

/// A guess at what the entries of a detached table give back, from a look at some of them.
pub(crate) fn estimated_bytes(core: &mut Core, table: &RawTable) -> u64 {
    // SAFETY: the table is nobody's but the caller's, as it was detached, and is borrowed.
    let view = unsafe { TableRef::new(table) };
    let samples = (0..SAMPLES).filter_map(|_| view.sample(core.random.next_u64()));
    let sampled: u64 = samples
        .map(|address| {
            // SAFETY: the table was detached with its entries; nobody else refers to them.
            unsafe { Entry::at(address) }.estimated_memory(core.heap) as u64
        })
        .sum();
    sampled * view.len() as u64 / SAMPLES
}

/// Frees garbage here and now.
pub fn free(heap: Heap, garbage: Garbage) {
    match garbage.into_place() {
        // SAFETY: nothing else refers to it, as was promised to `Garbage::new`.
        GarbagePlace::Entry(address) => drop(unsafe { OwnedEntry::from_address(address, heap) }),
        GarbagePlace::Index(mut table) => Table::new(&mut table, heap).clear(&mut |_| ()),
        GarbagePlace::Tracked(table) => {
            // SAFETY: a table of such records, which was detached with them; to take all out, no
            // name is hashed.
            let mut records = unsafe { Named::<TrackedKey>::new(&table, heap, [0; 2]) };
            records.drain(&mut |record| Words::new(&mut record.others, heap).free());
        }
        GarbagePlace::Table(mut table) => {
            Table::new(&mut table, heap).clear(&mut |address| {
                // SAFETY: the table was detached with its entries, and gives them up.
                drop(unsafe { OwnedEntry::from_address(address, heap) });
            });
        }
    }
}
