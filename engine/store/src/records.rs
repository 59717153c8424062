//! Names of bytes in a table, each with or without a value, as `abi::container::record` lays down:
//! the fields of a large hash, the members of a large set. A record is one allocation.

use abi::container::{RawHash, RawSet, RawTable};

use super::table::{self, POSITION_BITS, Slot, Table, TableRef};
use base::hash::hash;
use base::heap::{Heap, or_undo};

/// Records looked at to tell how much memory many take.
const MEASURED_MAX: usize = 2048;
/// Places of a table that [`RecordsRef::scan`] looks at for each record it is asked for.
const POSITIONS_PER_RECORD: u64 = 10;
/// The low bits of a position that are always zero.
const CURSOR_SHIFT: u32 = u64::BITS - POSITION_BITS;
/// Longest length as it is written.
const LENGTH_BYTES_MAX: usize = 10;

/// A name, and its value if the table has values; else empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at an address.
    ///
    /// # Safety
    /// A record of a table that has values if `VALUES` is there, and neither changed nor freed for
    /// `'a`.
    #[inline]
    unsafe fn at<const VALUES: bool>(address: u64) -> Self {
        // SAFETY: a record begins with the length of its name; the rest is as the lengths say.
        unsafe {
            let (name, behind) = text(address);
            let value = if VALUES { text(behind).0 } else { &[] };
            Self { name, value }
        }
    }

    /// Bytes of its allocation.
    #[inline]
    fn size<const VALUES: bool>(self) -> usize {
        let of = |text: &[u8]| length_len(text.len()) + text.len();
        of(self.name) + if VALUES { of(self.value) } else { 0 }
    }

    /// Writes it to an allocation of its size.
    ///
    /// # Safety
    /// The allocation is the caller's.
    unsafe fn write<const VALUES: bool>(self, address: u64) {
        // SAFETY: what is written is as long as `size` says.
        unsafe {
            let behind = write(address, self.name);
            if VALUES {
                write(behind, self.value);
            }
        }
    }
}

/// A text that begins with its length, and the address behind it.
///
/// # Safety
/// One is there, complete and unchanged for `'a`.
#[inline(always)]
unsafe fn text<'a>(address: u64) -> (&'a [u8], u64) {
    let (mut len, mut at, mut shift) = (0, address, 0);
    loop {
        // SAFETY: the bytes of a length, of which only the last has its top bit clear.
        let byte = unsafe { *(at as *const u8) };
        at += 1;
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    // SAFETY: so many bytes follow the length.
    (unsafe { core::slice::from_raw_parts(at as *const u8, len) }, at + len as u64)
}

/// Writes a text with its length and returns the address behind it.
///
/// # Safety
/// The room for both is the caller's.
unsafe fn write(address: u64, text: &[u8]) -> u64 {
    let mut length = [0u8; LENGTH_BYTES_MAX];
    let (mut left, count) = (text.len(), length_len(text.len()));
    for (index, byte) in length[..count].iter_mut().enumerate() {
        *byte = (left & 0x7f) as u8 | if index + 1 < count { 0x80 } else { 0 };
        left >>= 7;
    }
    let to = address as *mut u8;
    // SAFETY: as the caller promises.
    unsafe {
        to.copy_from_nonoverlapping(length.as_ptr(), count);
        to.add(count).copy_from_nonoverlapping(text.as_ptr(), text.len());
    }
    address + (count + text.len()) as u64
}

/// Bytes of a length as it is written.
#[inline]
const fn length_len(len: usize) -> usize {
    if len < 1 << 7 { 1 } else { len.ilog2() as usize / 7 + 1 }
}

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
    /// cursors mean the same in every release, and are below 2^36.
    pub fn scan(self, cursor: u64, count: u64, visit: &mut dyn FnMut(Record<'a>)) -> u64 {
        let mut position = cursor << CURSOR_SHIFT;
        let mut seen = 0;
        for _ in 0..count.saturating_mul(POSITIONS_PER_RECORD) {
            let next = self.table().scan(position, &mut |address| {
                seen += 1;
                visit(self.record(address));
            });
            let Some(next) = next else { return 0 };
            position = next;
            if seen >= count {
                break;
            }
        }
        position >> CURSOR_SHIFT
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
        let (mut seen, mut bytes, mut next) = (0, 0, Some(0));
        while let (Some(position), true) = (next, seen < most) {
            next = self.table().scan(position, &mut |address| {
                seen += 1;
                bytes += usable(self.record(address).size::<VALUES>());
            });
        }
        let all = (bytes as u128 * self.len() as u128 / seen.max(1) as u128) as usize;
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

#[cfg(test)]
mod tests {
    use super::*;
    use base::heap::testing::{heap, outstanding, with_allocations};
    use proptest::prelude::*;
    use std::collections::HashMap;

    const SEED: [u64; 2] = [1, 2];

    type Model = HashMap<Vec<u8>, Vec<u8>>;

    fn raw() -> RawHash {
        RawHash { fields: RawTable::new() }
    }

    fn fields(raw: &mut RawHash) -> Records<'_, true> {
        Records::<true>::of(raw, heap(), SEED)
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => "[ab]{0,3}".prop_map(String::into_bytes),
            2 => prop::collection::vec(any::<u8>(), 0..40),
            1 => (120..136usize).prop_map(|len| vec![b'x'; len]),
            1 => (16_380..16_388usize).prop_map(|len| vec![b'y'; len]),
        ]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
        /// Sets, or removes, names of a run of numbers.
        Run(u16, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (text(), text()).prop_map(|(name, value)| Step::Set(name, value)),
            4 => text().prop_map(Step::Remove),
            1 => (0..300u16, any::<bool>()).prop_map(|(count, sets)| Step::Run(count, sets)),
        ]
    }

    fn apply(raw: &mut RawHash, model: &mut Model, step: Step) {
        match step {
            Step::Set(name, value) => {
                assert_eq!(fields(raw).set(&name, &value), model.insert(name, value).is_none());
            }
            Step::Remove(name) => {
                assert_eq!(fields(raw).remove(&name), model.remove(&name).is_some());
            }
            Step::Run(count, sets) => {
                for name in (0..count).map(|number| number.to_string().into_bytes()) {
                    let value = name.repeat(3);
                    apply(
                        raw,
                        model,
                        if sets { Step::Set(name, value) } else { Step::Remove(name) },
                    );
                }
            }
        }
    }

    fn check(raw: &RawHash, model: &Model, held: i64) {
        let view = RecordsRef::<true>::of(raw, SEED);
        let mut seen = Model::new();
        view.for_each(&mut |record| {
            assert!(seen.insert(record.name.to_vec(), record.value.to_vec()).is_none());
        });
        assert_eq!((&seen, view.len()), (model, model.len()));
        for (name, value) in model {
            assert_eq!(view.find(name).map(|record| record.value), Some(&value[..]));
        }
        let mut walked = 0;
        let mut cursor = 0;
        loop {
            cursor = view.scan(cursor, 3, &mut |_| walked += 1);
            if cursor == 0 {
                break;
            }
            assert!(cursor < 1 << 36);
        }
        assert_eq!(walked, model.len());
        if model.len() < MEASURED_MAX {
            assert_eq!(view.bytes(heap()) as i64, outstanding() - held);
        }
        assert_eq!(view.sample(7).is_some(), !model.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 128 }))]
        #[test]
        fn agree_with_a_model(steps in prop::collection::vec(step(), 0..60)) {
            let held = outstanding();
            let (mut raw, mut model) = (raw(), Model::new());
            for step in steps {
                apply(&mut raw, &mut model, step);
                check(&raw, &model, held);
            }
            let mut copy = self::raw();
            fields(&mut copy).copy_from(RecordsRef::<true>::of(&raw, SEED));
            fields(&mut raw).clear();
            check(&copy, &model, held);
            fields(&mut copy).clear();
            assert_eq!(outstanding(), held);
        }
    }

    #[test]
    fn where_memory_runs_out_nothing_has_changed() {
        let held = outstanding();
        let (mut raw, mut model) = (raw(), Model::new());
        for number in 0..300 {
            let name = (number % 200).to_string().into_bytes();
            let value = vec![b'v'; number];
            let mut allowed = 0;
            while !with_allocations(allowed, || {
                fields(&mut raw).set(&name, &value);
            }) {
                check(&raw, &model, held);
                allowed += 1;
            }
            model.insert(name, value);
        }
        check(&raw, &model, held);
        fields(&mut raw).clear();
        assert_eq!(outstanding(), held);
    }

    #[test]
    fn several_are_set_all_or_none() {
        let held = outstanding();
        let (mut raw, mut model) = (raw(), Model::new());
        for round in 0..8 {
            let names = (0..30 * round).map(|number| (number % (20 * round)).to_string());
            let pairs: Vec<(String, String)> =
                names.map(|name| (name.clone(), name.repeat(round))).collect();
            let record = |(name, value): &'_ (String, String)| -> (Vec<u8>, Vec<u8>) {
                (name.clone().into_bytes(), value.clone().into_bytes())
            };
            let mut allowed = 0;
            let mut added = 0;
            while !with_allocations(allowed, || {
                let records = pairs
                    .iter()
                    .map(|(name, value)| Record { name: name.as_bytes(), value: value.as_bytes() });
                added = fields(&mut raw).set_all(records);
            }) {
                check(&raw, &model, held);
                allowed += 1;
            }
            let before = model.len();
            model.extend(pairs.iter().map(record));
            assert_eq!(added, model.len() - before);
            check(&raw, &model, held);
        }
        fields(&mut raw).clear();
        assert_eq!(outstanding(), held);
    }

    #[test]
    fn a_short_member_takes_one_byte_more_than_its_text() {
        let mut raw = RawSet { members: RawTable::new() };
        let mut members = Records::<false>::of(&mut raw, heap(), SEED);
        let before = outstanding();
        members.set(&[b'm'; 16], b"");
        members.set(&[b'm'; 16], b"");
        assert_eq!(outstanding() - before, 17 + 64);
        members.clear();
    }
}
