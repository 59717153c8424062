//! Records with a name: a struct and, behind it in the same allocation, the bytes of its name. A
//! table finds them by that name; their addresses do not change while they are in it.

use core::marker::PhantomData;

use abi::client::Subscription;
use abi::container::RawTable;
use abi::keyspace::WatchedKey;
use abi::script::{CachedScript, FunctionLibrary};
use abi::shared::{Channel, ErrorStat};
use abi::stream::{StreamConsumer, StreamGroup};
use abi::tracking::{TrackedKey, TrackingClient};
use abi::wait::BlockedKey;

use super::table::{self, Table, TableRef};
use base::hash::hash;
use base::heap::{Heap, or_undo};
use base::mover::Mover;
use base::walk::Walker;

/// What a record is found by.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    bytes: &'a [u8],
    hash: u64,
    db: u32,
}

impl<'a> Name<'a> {
    /// A name that needs no database beside it.
    pub fn new(bytes: &'a [u8], seed: [u64; 2]) -> Self {
        Self { bytes, hash: hash(bytes, seed), db: 0 }
    }

    /// The name of a key of a database, whose hash is known.
    pub fn of_key(bytes: &'a [u8], hash: u64, db: u32) -> Self {
        Self { bytes, hash, db }
    }

    /// Its hash.
    pub fn hash(self) -> u64 {
        self.hash
    }

    /// Its length in bytes, as records hold it.
    pub fn bytes(self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a name is below 4 GiB")
    }
}

/// A struct that its name follows.
///
/// # Safety
/// `name_len` tells what it told when the record was added. Nothing but the table's memory is given
/// back with a record.
pub unsafe trait Record {
    /// Bytes of name behind the struct.
    fn name_len(&self) -> usize;

    /// The database of which the name is a key.
    fn db(&self) -> u32 {
        0
    }
}

macro_rules! records {
    ($($record:ty, $len:ident $(, $db:ident)?;)*) => {$(
        // SAFETY: the length is written when the record is made and never after.
        unsafe impl Record for $record {
            fn name_len(&self) -> usize {
                self.$len as usize
            }
            $(fn db(&self) -> u32 {
                self.$db
            })?
        }
    )*};
}

records! {
    Channel, name_len;
    Subscription, name_len;
    ErrorStat, name_len;
    CachedScript, name_len;
    FunctionLibrary, name_len;
    WatchedKey, key_len, db;
    BlockedKey, key_len, db;
    StreamGroup, name_len;
    StreamConsumer, name_len;
    TrackedKey, key_len;
    TrackingClient, name_len;
}

/// The name of a record.
pub fn name_of<R: Record>(record: &R) -> &[u8] {
    // SAFETY: records are only made by `Named::find_or_add`, which puts the name there.
    unsafe { core::slice::from_raw_parts(behind(record), record.name_len()) }
}

/// Where the bytes that follow a struct in its allocation begin: found by its address, as a
/// reference to the struct does not extend to them.
pub fn behind<T>(header: &T) -> *const u8 {
    (&raw const *header as u64 + size_of::<T>() as u64) as *const u8
}

/// The address of a record.
pub fn address_of<R: Record>(record: &R) -> u64 {
    &raw const *record as u64
}

/// A raw struct that is a table of records of one type.
///
/// # Safety
/// [`RecordTable::table`] gives the same table always, and its items are records of that type: it
/// is all zeros or has only ever been changed through [`Named`] views of them with the same heap
/// and seed.
pub unsafe trait RecordTable {
    /// What its items are.
    type Record: Record;

    /// The table.
    fn table(&self) -> &RawTable;
}

/// A table of records to look things up in.
pub struct NamedRef<'a, R> {
    raw: &'a RawTable,
    records: PhantomData<&'a R>,
}

impl<R> Clone for NamedRef<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for NamedRef<'_, R> {}

impl<'a, R: Record> NamedRef<'a, R> {
    /// The records of a table that nobody changes for `'a`.
    pub fn of(raw: &'a impl RecordTable<Record = R>) -> Self {
        Self { raw: raw.table(), records: PhantomData }
    }

    /// Records.
    pub fn len(self) -> usize {
        table::len(self.raw)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The record of a name.
    pub fn find(self, name: Name<'_>) -> Option<&'a R> {
        let is_it = |record: &R| record.db() == name.db && name_of(record) == name.bytes;
        self.find_by(name.hash, is_it)
    }

    /// The first record whose hash is `hash` as far as a table looks at it, and that fits.
    pub fn find_by(self, hash: u64, fits: impl Fn(&R) -> bool) -> Option<&'a R> {
        // SAFETY: the address is that of a record of the table, which is not changed for 'a: it is
        // borrowed, or whoever made the view promised it.
        let record = |address: u64| unsafe { &*(address as *const R) };
        let slot = self.table().find(hash, |address| fits(record(address)))?;
        Some(record(slot.address()))
    }

    /// The record at an address, if it is one of this table and has this hash.
    pub fn find_address(self, hash: u64, address: u64) -> Option<&'a R> {
        let slot = self.table().find_address(hash, address)?;
        // SAFETY: as in `find_by`.
        Some(unsafe { &*(slot.address() as *const R) })
    }

    /// The table, to look at it.
    fn table(self) -> TableRef<'a> {
        // SAFETY: the table is not changed for 'a: it is borrowed, or whoever made the view promised
        // it.
        unsafe { TableRef::new(self.raw) }
    }

    /// Calls `visit` with each record.
    pub fn for_each(self, visit: &mut dyn FnMut(&'a R)) {
        // SAFETY: as in `find_by`.
        self.table().for_each(&mut |address| visit(unsafe { &*(address as *const R) }));
    }

    /// A record chosen by `random`, 64 random bits; none if there are none.
    pub fn sample(self, random: u64) -> Option<&'a R> {
        // SAFETY: as in `find_by`.
        self.table().sample(random).map(|address| unsafe { &*(address as *const R) })
    }
}

/// A table of records.
pub struct Named<'a, R> {
    raw: &'a RawTable,
    heap: Heap,
    seed: [u64; 2],
    records: PhantomData<&'a mut R>,
}

impl<'a, R: Record> Named<'a, R> {
    /// The records of a table that nobody else uses for `'a`, to change them. `heap` and `seed` are
    /// those that it has been changed with before.
    pub fn of(raw: &'a mut impl RecordTable<Record = R>, heap: Heap, seed: [u64; 2]) -> Self {
        Self { raw: raw.table(), heap, seed, records: PhantomData }
    }

    /// A view of `raw`, which others may look at meanwhile. Names are hashed with `seed`.
    ///
    /// # Safety
    /// `raw` is all zeros or has only ever been changed through such views with the same heap, seed
    /// and type of record. Whoever makes the view holds what guards the table, and uses no other
    /// view of it, nor anything found through one, while this is used.
    #[inline(always)]
    pub unsafe fn new(raw: &'a RawTable, heap: Heap, seed: [u64; 2]) -> Self {
        Self { raw, heap, seed, records: PhantomData }
    }

    /// To look things up.
    pub fn view(&self) -> NamedRef<'_, R> {
        NamedRef { raw: self.raw, records: PhantomData }
    }

    /// Records.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record of a name.
    pub fn find(&self, name: Name<'_>) -> Option<&R> {
        self.view().find(name)
    }

    /// The record of a name, to change it.
    pub fn find_mut(&mut self, name: Name<'_>) -> Option<&mut R> {
        // SAFETY: the address is that of a record of the table, which `&mut self` makes this one's.
        self.place(name).map(|address| unsafe { &mut *(address as *mut R) })
    }

    /// The first record whose hash is `hash` as far as a table looks at it, and that fits.
    pub fn find_by(&self, hash: u64, fits: impl Fn(&R) -> bool) -> Option<&R> {
        self.view().find_by(hash, fits)
    }

    /// The record at an address, if it is one of this table and has this hash.
    pub fn find_address(&self, hash: u64, address: u64) -> Option<&R> {
        self.view().find_address(hash, address)
    }

    /// As [`Named::find_address`], to change the record.
    pub fn find_address_mut(&mut self, hash: u64, address: u64) -> Option<&mut R> {
        let address = self.find_address(hash, address).map(address_of)?;
        // SAFETY: as in `find_mut`.
        Some(unsafe { &mut *(address as *mut R) })
    }

    /// The table, to change it.
    fn table(&mut self) -> Table<'_> {
        // SAFETY: whoever made this view holds what guards the table and uses no other view of it;
        // `&mut self` keeps this one from being used otherwise.
        unsafe { Table::shared(self.raw, self.heap) }
    }

    fn place(&self, name: Name<'_>) -> Option<u64> {
        self.find(name).map(address_of)
    }

    /// The record of a name; made by `fresh` if there is none. Where memory runs out nothing has
    /// changed.
    pub fn find_or_add(&mut self, name: Name<'_>, fresh: impl FnOnce() -> R) -> &mut R {
        let address = self.place(name).unwrap_or_else(|| self.add(name, fresh()));
        // SAFETY: as in `find_mut`.
        unsafe { &mut *(address as *mut R) }
    }

    fn add(&mut self, name: Name<'_>, record: R) -> u64 {
        assert_eq!((record.name_len(), record.db()), (name.bytes.len(), name.db));
        let size = size_of::<R>() + name.bytes.len();
        let address = self.heap.alloc(size);
        let place = address as *mut R;
        // SAFETY: a new allocation with room for the struct and the name behind it.
        unsafe {
            place.write(record);
            place
                .add(1)
                .cast::<u8>()
                .copy_from_nonoverlapping(name.bytes.as_ptr(), name.bytes.len());
        }
        let (heap, seed) = (self.heap, self.seed);
        // SAFETY: items of the table are records.
        let hash_of = move |item: u64| hash(name_of(unsafe { &*(item as *const R) }), seed);
        or_undo(
            &mut self.table(),
            |table| table.insert(name.hash, address, hash_of),
            // SAFETY: the table did not take it.
            |_| unsafe { heap.free(address, size) },
        );
        address
    }

    /// Takes the record at an address out and frees it, if it is one of this table and has this
    /// hash. It owns nothing any more.
    pub fn remove(&mut self, hash: u64, address: u64) {
        let heap = self.heap;
        let mut table = self.table();
        if let Some(slot) = table.find_address(hash, address) {
            // SAFETY: just found. Nobody refers to the record: `&mut self` keeps references that
            // were had from this view away, and others are not used, as was promised to `new`.
            unsafe {
                table.remove(slot, hash);
                free::<R>(heap, address);
            }
        }
    }

    /// Takes the record of a name out and frees it. Tells whether there was one.
    pub fn remove_name(&mut self, name: Name<'_>) -> bool {
        let place = self.place(name);
        if let Some(address) = place {
            self.remove(name.hash, address);
        }
        place.is_some()
    }

    /// Takes all records out and frees them. They own nothing any more.
    pub fn clear(&mut self) {
        self.drain(&mut |_| ());
    }

    /// Takes all records out and frees them, each once `give_back` has given back what it owns.
    pub fn drain(&mut self, give_back: &mut dyn FnMut(&mut R)) {
        let heap = self.heap;
        // SAFETY: items of the table are records, and it gives them up; nobody else refers to them,
        // as in `remove`.
        self.table().clear(&mut |address| unsafe {
            give_back(&mut *(address as *mut R));
            free::<R>(heap, address);
        });
    }

    /// Takes all records out, and the table's memory with them.
    pub fn take(&mut self) -> RawTable {
        self.table().take()
    }

    /// Moves the records at a position of the table, and what they own by `relocate_owned`. Returns the
    /// next position, if any.
    ///
    /// # Safety
    /// Nobody has kept the address of a record of this table.
    pub unsafe fn relocate(
        &mut self,
        position: u64,
        mover: &mut Mover,
        relocate_owned: &mut dyn FnMut(&mut Mover, &mut R),
    ) -> Option<u64> {
        self.table().relocate(position, mover, &mut |mover, item| {
            // SAFETY: items of the table are records; nobody else refers to them, as in `remove`.
            let record = unsafe { &mut *(item.address() as *mut R) };
            relocate_owned(mover, record);
            let size = record_bytes(record);
            // SAFETY: its allocation, of this size, to which the slot alone refers, and nothing to
            // what is in it, as whoever calls this says.
            unsafe {
                mover.relocate(item.address(), size, |moved| item.set_address(moved));
            }
        })
    }

    /// Calls `visit` with each record.
    pub fn for_each(&self, visit: &mut dyn FnMut(&R)) {
        self.view().for_each(&mut |record| visit(record));
    }
}

/// Bytes of a record with its name, as asked from the heap.
pub fn record_bytes<R: Record>(record: &R) -> usize {
    size_of::<R>() + record.name_len()
}

/// Frees a record.
///
/// # Safety
/// It is out of its table, and nothing refers to it.
unsafe fn free<R: Record>(heap: Heap, address: u64) {
    // SAFETY: as the caller promises; it was allocated with this size.
    unsafe {
        heap.free(address, record_bytes(&*(address as *const R)));
    }
}

/// Walks over a table of records that is not believed, whose names are hashed with `seed`. `owned`
/// claims what a record owns beside its own allocation. What is wrong is told.
pub fn check<'w, R: Record + 'w>(
    raw: &RawTable,
    walker: &mut Walker<'w>,
    seed: [u64; 2],
    owned: &mut dyn FnMut(&mut Walker<'w>, &'w R),
) -> table::Checked {
    table::check(raw, walker, "records", &mut |walker, address| {
        let block = walker.block(address).filter(|block| block.len() >= size_of::<R>());
        let Some(block) = block else {
            walker.wrong(format_args!("record at {address:#x}: there is none"));
            return None;
        };
        // SAFETY: so many bytes may be read, any are a record, whose fields are integers, addresses
        // and atomics, and allocations are aligned to 8 as those are.
        let record = unsafe { &*(address as *const R) };
        let size = size_of::<R>().saturating_add(record.name_len());
        if !walker.claim("record", address, size) {
            return None;
        }
        owned(walker, record);
        block.get(size_of::<R>()..size).map(|name| hash(name, seed))
    })
}
