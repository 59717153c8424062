//! Consumer groups: what each has read, and who has got entries that are not acknowledged.
//!
//! A pending entry is one allocation that two maps lead to: its group's, and its consumer's.

use abi::container::RawTable;
use abi::ptr::Ptr;
use abi::stream::{
    IdSlot, PendingEntry, RawConsumers, RawGroups, RawIds, StreamConsumer, StreamGroup, StreamId,
};

use crate::ids::{Ids, IdsRef};
use crate::named::{Name, Named, NamedRef, RecordTable, address_of, name_of, record_bytes};
use base::heap::{Heap, or_undo};

// SAFETY: the table is the same always, and only changed through `Named` views of groups below.
unsafe impl RecordTable for RawGroups {
    type Record = StreamGroup;

    fn table(&self) -> &RawTable {
        &self.table
    }
}

// SAFETY: as above, of consumers.
unsafe impl RecordTable for RawConsumers {
    type Record = StreamConsumer;

    fn table(&self) -> &RawTable {
        &self.table
    }
}

/// What names are hashed with.
type Seed = [u64; 2];

/// The groups of a stream to look at.
#[derive(Clone, Copy)]
pub struct GroupsRef<'a> {
    table: NamedRef<'a, StreamGroup>,
    seed: Seed,
}

impl<'a> GroupsRef<'a> {
    /// A view of `raw`, which has only ever been changed through [`Groups`] with the same seed.
    pub fn new(raw: &'a RawGroups, seed: Seed) -> Self {
        Self { table: NamedRef::of(raw), seed }
    }

    /// Groups.
    pub fn len(self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.table.is_empty()
    }

    /// The group of a name.
    pub fn get(self, name: &[u8]) -> Option<GroupRef<'a>> {
        let raw = self.table.find(Name::new(name, self.seed))?;
        Some(GroupRef { raw, seed: self.seed })
    }

    /// All groups, in order of their names.
    pub fn sorted(self) -> Vec<GroupRef<'a>> {
        let mut groups = Vec::with_capacity(self.len());
        self.table.for_each(&mut |raw| groups.push(GroupRef { raw, seed: self.seed }));
        groups.sort_unstable_by_key(|group| group.name());
        groups
    }

    /// Allocations that they are made of.
    pub fn allocations(self) -> usize {
        let mut count = 0;
        self.table.for_each(&mut |raw| {
            let group = GroupRef { raw, seed: self.seed };
            count += 1 + group.consumers() + group.pending_len();
        });
        count
    }

    /// Bytes that all of them take.
    pub fn bytes(self, heap: Heap) -> usize {
        let usable = |bytes| heap.usable(bytes);
        let mut bytes = 0;
        self.table.for_each(&mut |raw| {
            let pending = IdsRef::new(&raw.pending);
            bytes += usable(record_bytes(raw)) + pending.bytes(&usable);
            bytes += pending.len() * usable(size_of::<PendingEntry>());
            NamedRef::of(&raw.consumers).for_each(&mut |consumer| {
                bytes += usable(record_bytes(consumer));
                bytes += IdsRef::new(&consumer.pending).bytes(&usable);
            });
        });
        bytes
    }
}

/// A group to look at.
#[derive(Clone, Copy)]
pub struct GroupRef<'a> {
    raw: &'a StreamGroup,
    seed: Seed,
}

impl<'a> GroupRef<'a> {
    /// Its name.
    pub fn name(self) -> &'a [u8] {
        name_of(self.raw)
    }

    /// The greatest id that was delivered.
    pub const fn last_id(self) -> StreamId {
        self.raw.last
    }

    /// How many entries of all that there ever were have been read; none if that is not known.
    pub fn entries_read(self) -> Option<u64> {
        (self.raw.read != -1).then_some(self.raw.read as u64)
    }

    /// Consumers.
    pub fn consumers(self) -> usize {
        NamedRef::of(&self.raw.consumers).len()
    }

    /// The consumer of a name.
    pub fn consumer(self, name: &[u8]) -> Option<ConsumerRef<'a>> {
        let found = NamedRef::of(&self.raw.consumers).find(Name::new(name, self.seed));
        found.map(|raw| ConsumerRef { raw })
    }

    /// All consumers, in order of their names.
    pub fn sorted_consumers(self) -> Vec<ConsumerRef<'a>> {
        let mut consumers = Vec::with_capacity(self.consumers());
        NamedRef::of(&self.raw.consumers).for_each(&mut |raw| consumers.push(ConsumerRef { raw }));
        consumers.sort_unstable_by_key(|consumer| consumer.name());
        consumers
    }

    /// Pending entries.
    pub const fn pending_len(self) -> usize {
        IdsRef::new(&self.raw.pending).len()
    }

    /// The pending entry of an id.
    pub fn pending_at(self, id: StreamId) -> Option<Pending<'a>> {
        let word = IdsRef::new(&self.raw.pending).get(id)?;
        // SAFETY: a word of the group's own map, and the group is borrowed.
        Some(unsafe { pending(IdSlot { id, word }) })
    }

    /// The pending entries from an id on.
    pub fn pending_from(self, id: StreamId) -> impl Iterator<Item = Pending<'a>> + 'a {
        // SAFETY: words of the map, and the group is borrowed: a consumer is only looked at with it.
        IdsRef::new(&self.raw.pending).iter_from(id).map(|slot| unsafe { pending(slot) })
    }

    /// The id of the last pending entry.
    pub fn last_pending(self) -> Option<StreamId> {
        IdsRef::new(&self.raw.pending).last().map(|slot| slot.id)
    }
}

/// A consumer to look at.
#[derive(Clone, Copy)]
pub struct ConsumerRef<'a> {
    raw: &'a StreamConsumer,
}

impl<'a> ConsumerRef<'a> {
    /// Its name.
    pub fn name(self) -> &'a [u8] {
        name_of(self.raw)
    }

    /// When it was last heard of, Unix ms.
    pub const fn seen_ms(self) -> i64 {
        self.raw.seen_ms
    }

    /// When it last got an entry, Unix ms, or -1 if it never has.
    pub const fn active_ms(self) -> i64 {
        self.raw.active_ms
    }

    /// Pending entries.
    pub const fn pending_len(self) -> usize {
        IdsRef::new(&self.raw.pending).len()
    }

    /// Its pending entries from an id on.
    pub fn pending_from(self, id: StreamId) -> impl Iterator<Item = Pending<'a>> + 'a {
        // SAFETY: words of the map, and the group is borrowed: a consumer is only looked at with it.
        IdsRef::new(&self.raw.pending).iter_from(id).map(|slot| unsafe { pending(slot) })
    }
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy)]
pub struct Pending<'a> {
    /// Its id.
    pub id: StreamId,
    /// To whom it was delivered.
    pub consumer: ConsumerRef<'a>,
    /// When it last was, Unix ms.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

/// The pending entry that a slot leads to.
///
/// # Safety
/// A slot of the map of a group or of a consumer, and neither the group nor what belongs to it is changed
/// for `'a`.
unsafe fn pending<'a>(slot: IdSlot) -> Pending<'a> {
    // SAFETY: words of such maps are pending entries, whose consumers are the group's; none of them is
    // changed for 'a, as the caller promises.
    let (entry, raw) = unsafe {
        let entry = &*(slot.word as *const PendingEntry);
        (entry, &*entry.consumer.as_ptr())
    };
    Pending {
        id: slot.id,
        consumer: ConsumerRef { raw },
        delivered_ms: entry.delivered_ms,
        deliveries: entry.deliveries,
    }
}

/// The groups of a stream, to change them.
pub struct Groups<'a> {
    raw: &'a mut RawGroups,
    heap: Heap,
    seed: Seed,
}

impl<'a> Groups<'a> {
    /// A view of `raw`, which is empty or has only ever been changed through such views with the same
    /// heap and seed.
    pub const fn new(raw: &'a mut RawGroups, heap: Heap, seed: Seed) -> Self {
        Self { raw, heap, seed }
    }

    pub(super) const fn heap(&self) -> Heap {
        self.heap
    }

    /// The table of groups.
    pub(super) const fn raw_table(&mut self) -> &mut RawTable {
        &mut self.raw.table
    }

    /// To look at them.
    pub fn view(&self) -> GroupsRef<'_> {
        GroupsRef::new(self.raw, self.seed)
    }

    /// The group of a name, to change it.
    pub fn get(self, name: &[u8]) -> Option<Group<'a>> {
        let (heap, seed) = (self.heap, self.seed);
        let found = Named::of(self.raw, heap, seed)
            .find_mut(Name::new(name, seed))
            .map(|raw| &raw mut *raw);
        // SAFETY: a group of the stream, which `self` had exclusively for 'a and ends here.
        found.map(|raw| Group { raw: unsafe { &mut *raw }, heap, seed })
    }

    /// Adds a group that is not there. Where memory runs out nothing has changed.
    pub fn add(&mut self, name: &[u8], last: StreamId, read: Option<u64>) {
        let name = Name::new(name, self.seed);
        let fresh = || StreamGroup {
            last,
            read: read_as_stored(read),
            pending: RawIds::EMPTY,
            consumers: RawConsumers::new(),
            name_len: name.bytes(),
            reserved0: 0,
            reserved: 0,
        };
        Named::of(self.raw, self.heap, self.seed).find_or_add(name, fresh);
    }

    /// Removes a group with all that it has. Tells whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let (heap, seed) = (self.heap, self.seed);
        let name = Name::new(name, seed);
        let mut table = Named::of(self.raw, heap, seed);
        if let Some(group) = table.find_mut(name) {
            clear(group, heap);
        }
        table.remove_name(name)
    }

    /// Makes these groups copies of others. There are none.
    pub fn copy_from(&mut self, other: GroupsRef<'_>) {
        other.table.for_each(&mut |raw| {
            let from = GroupRef { raw, seed: other.seed };
            self.add(from.name(), from.last_id(), from.entries_read());
            let Some(mut to) = Groups::new(self.raw, self.heap, self.seed).get(from.name()) else {
                return;
            };
            NamedRef::of(&raw.consumers).for_each(&mut |raw| {
                let consumer = ConsumerRef { raw };
                to.add_consumer(consumer.name(), consumer.seen_ms(), consumer.active_ms());
                let Some(mut claims) = to.claims(consumer.name()) else { return };
                for entry in consumer.pending_from(StreamId::MIN) {
                    claims.take(entry.id, entry.delivered_ms, entry.deliveries);
                }
            });
        });
    }

    /// Removes all groups.
    pub fn clear(&mut self) {
        let heap = self.heap;
        let mut table = Named::of(self.raw, heap, self.seed);
        let mut groups = Vec::new();
        table.for_each(&mut |group| groups.push(address_of(group)));
        for address in groups {
            // SAFETY: a group of the table, which this has exclusively; no other view is in use.
            clear(unsafe { &mut *(address as *mut StreamGroup) }, heap);
        }
        table.clear();
    }
}

/// Frees all that a group owns.
fn clear(group: &mut StreamGroup, heap: Heap) {
    // SAFETY: pending entries are allocations of their own, and nothing looks at them through
    // consumers any more, whose maps are cleared without a look at the words.
    Ids::new(&mut group.pending, heap).clear(&mut |word| unsafe { free_pending(heap, word) });
    let mut consumers = Named::of(&mut group.consumers, heap, [0; 2]);
    let mut all = Vec::new();
    consumers.for_each(&mut |consumer| all.push(address_of(consumer)));
    for address in all {
        // SAFETY: a consumer of the table, which this has exclusively; no other view is in use.
        let consumer = unsafe { &mut *(address as *mut StreamConsumer) };
        Ids::new(&mut consumer.pending, heap).clear(&mut |_| ());
    }
    consumers.clear();
}

/// # Safety
/// A pending entry is there, and nothing refers to it any more.
unsafe fn free_pending(heap: Heap, word: u64) {
    // SAFETY: as the caller promises.
    unsafe { heap.free(word, size_of::<PendingEntry>()) };
}

fn read_as_stored(read: Option<u64>) -> i64 {
    read.map_or(-1, |read| read as i64)
}

/// A group, to change it.
pub struct Group<'a> {
    raw: &'a mut StreamGroup,
    heap: Heap,
    seed: Seed,
}

impl Group<'_> {
    /// To look at it.
    pub const fn view(&self) -> GroupRef<'_> {
        GroupRef { raw: self.raw, seed: self.seed }
    }

    /// Says what was read: the greatest id, and how many entries of all there ever were, if that is
    /// known.
    pub fn set_read(&mut self, last: StreamId, read: Option<u64>) {
        (self.raw.last, self.raw.read) = (last, read_as_stored(read));
    }

    /// Adds a consumer, unless there is one of this name; with the times when it was last heard of, and
    /// when it last got an entry or -1. Tells whether it was added. Where memory runs out nothing has
    /// changed.
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: i64, active_ms: i64) -> bool {
        let name = Name::new(name, self.seed);
        let mut is_new = false;
        Named::of(&mut self.raw.consumers, self.heap, self.seed).find_or_add(name, || {
            is_new = true;
            let name_len = name.bytes();
            StreamConsumer { seen_ms, active_ms, pending: RawIds::EMPTY, name_len, reserved: 0 }
        });
        is_new
    }

    /// Removes a consumer with its pending entries. Returns how many those were, if it was there.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let (heap, seed) = (self.heap, self.seed);
        let name = Name::new(name, seed);
        let StreamGroup { pending, consumers, .. } = &mut *self.raw;
        let mut consumers = Named::of(consumers, heap, seed);
        let consumer = consumers.find_mut(name)?;
        let ids = IdsRef::new(&consumer.pending);
        let count = ids.len();
        for slot in ids.iter_from(StreamId::MIN) {
            Ids::new(pending, heap).remove(slot.id);
        }
        // SAFETY: neither the group nor, by the end of this, the consumer refers to them.
        Ids::new(&mut consumer.pending, heap)
            .clear(&mut |word| unsafe { free_pending(heap, word) });
        consumers.remove_name(name);
        Some(count)
    }

    /// Forgets a pending entry. Tells whether there was one. Does not fail.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let heap = self.heap;
        let Some(word) = Ids::new(&mut self.raw.pending, heap).remove(id) else { return false };
        // SAFETY: a pending entry of the group; its consumer is one of the group's, which this has
        // exclusively. Afterwards neither refers to it.
        unsafe {
            let consumer = (*(word as *const PendingEntry)).consumer.as_ptr();
            Ids::new(&mut (*consumer).pending, heap).remove(id);
            free_pending(heap, word);
        }
        true
    }

    /// What can be done on behalf of a consumer that is there.
    pub fn claims(&mut self, name: &[u8]) -> Option<Claims<'_>> {
        let (heap, seed) = (self.heap, self.seed);
        let StreamGroup { pending, consumers, .. } = &mut *self.raw;
        let consumer = Named::of(consumers, heap, seed)
            .find_mut(Name::new(name, seed))
            .map(|raw| &raw mut *raw)?;
        Some(Claims { pending, consumer, heap })
    }
}

/// A group's pending entries, to give them to one consumer of the group.
///
/// It has the group exclusively, so no consumer goes and no other view of one is in use meanwhile.
pub struct Claims<'a> {
    pending: &'a mut RawIds,
    consumer: *mut StreamConsumer,
    heap: Heap,
}

impl Claims<'_> {
    /// The consumer.
    pub fn consumer(&self) -> ConsumerRef<'_> {
        // SAFETY: a consumer of the group, which is not changed while `self` is borrowed.
        ConsumerRef { raw: unsafe { &*self.consumer } }
    }

    /// Says when the consumer was last heard of.
    pub fn set_seen(&mut self, ms: i64) {
        // SAFETY: a consumer of the group, of which no other view is in use.
        unsafe { (*self.consumer).seen_ms = ms };
    }

    /// Says when the consumer last got an entry.
    pub fn set_active(&mut self, ms: i64) {
        // SAFETY: as above.
        unsafe { (*self.consumer).active_ms = ms };
    }

    /// Makes a pending entry the consumer's, whoever had it, if anybody had. Where memory runs out
    /// nothing has changed.
    pub fn take(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) {
        let word = match IdsRef::new(self.pending).get(id) {
            Some(word) => word,
            None => return self.add(id, delivered_ms, deliveries),
        };
        // SAFETY: a pending entry of the group, and consumers of the group, of which no other views are
        // in use.
        unsafe {
            let entry = &mut *(word as *mut PendingEntry);
            if entry.consumer.as_ptr() != self.consumer {
                Ids::new(&mut (*self.consumer).pending, self.heap).insert(id, word);
                Ids::new(&mut (*entry.consumer.as_ptr()).pending, self.heap).remove(id);
                entry.consumer = Ptr::from_raw(self.consumer);
            }
            (entry.delivered_ms, entry.deliveries) = (delivered_ms, deliveries);
        }
    }

    /// Adds a pending entry that is not there.
    fn add(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) {
        let heap = self.heap;
        let word = heap.alloc(size_of::<PendingEntry>());
        let consumer = Ptr::from_raw(self.consumer);
        // SAFETY: a new allocation of the struct's size.
        unsafe {
            (word as *mut PendingEntry).write(PendingEntry { consumer, delivered_ms, deliveries })
        };
        or_undo(
            self,
            |claims| claims.enter(id, word),
            // SAFETY: neither map leads to it.
            |_| unsafe { free_pending(heap, word) },
        );
    }

    /// Has both maps lead to a pending entry. Where memory runs out neither does.
    fn enter(&mut self, id: StreamId, word: u64) {
        let heap = self.heap;
        Ids::new(self.pending, heap).insert(id, word);
        // SAFETY: a consumer of the group, of which no other view is in use.
        let own = unsafe { &mut (*self.consumer).pending };
        or_undo(
            self,
            |_| Ids::new(own, heap).insert(id, word),
            |claims| {
                Ids::new(claims.pending, heap).remove(id);
            },
        );
    }
}
