//! What is freed later, on a background thread.

use abi::container::RawTable;

/// What is out of all tables and takes long to free.
pub struct Garbage {
    place: GarbagePlace,
    /// Values it is made of.
    pub values: u64,
    /// Bytes it gives back, roughly.
    pub bytes: u64,
}

impl Garbage {
    /// What is at a place, of so many values and bytes.
    ///
    /// # Safety
    /// It is whole, and from now on nothing but this refers to it.
    pub unsafe fn new(place: GarbagePlace, values: u64, bytes: u64) -> Self {
        Self { place, values, bytes }
    }

    /// Where it is.
    pub fn place(&self) -> &GarbagePlace {
        &self.place
    }

    /// Where it is, for whoever frees it.
    pub fn into_place(self) -> GarbagePlace {
        self.place
    }
}

/// Where garbage is.
pub enum GarbagePlace {
    /// An entry with its value, at an address.
    Entry(u64),
    /// A table of entries, detached with them.
    Table(RawTable),
    /// A table without its items.
    Index(RawTable),
    /// A table of tracked keys, detached with them.
    Tracked(RawTable),
}
