//! Moving what a stream is made of: nodes of entries, then groups with their pending entries and
//! consumers.

use abi::container::RawTable;
use abi::ptr::Ptr;
use abi::stream::{PendingEntry, StreamConsumer, StreamGroup, StreamId};

use super::edit::Entries;
use super::group::Groups;
use super::node::Node;
use crate::ids::{Ids, IdsRef};
use crate::named::{Record, record_bytes};
use crate::table::{Item, Table};
use base::heap::Heap;
use base::mover::Mover;

/// Pending entries of a consumer above which its record stays where it is: each refers to it.
const REFERRERS_MAX: usize = 256;

/// Where it goes on among the groups: at one, and there at a part. A record is found again as the
/// one at a position of its table, counted there from 0: the sum of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The group.
    pub group: u64,
    /// What of it.
    pub part: GroupPart,
}

/// A part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPart {
    /// Its pending entries from an id on.
    Pending(StreamId),
    /// The consumer at a place, and what leads to its pending entries from an id on.
    Consumer(u64, StreamId),
}

impl Place {
    /// The first group.
    pub const START: Self = Self { group: 0, part: GroupPart::START };
}

impl GroupPart {
    const START: Self = Self::Pending(StreamId::MIN);
}

impl Entries<'_> {
    /// Moves nodes, from an id on, until `mover` is spent. Returns the id to go on at, unless it has
    /// come to the end.
    pub fn relocate(&mut self, from: StreamId, mover: &mut Mover) -> Option<StreamId> {
        self.ids().relocate(from, mover, &mut |mover, _, word| {
            let node = *word;
            // SAFETY: a node of the stream, which is had exclusively; the word alone refers to it.
            unsafe {
                mover.relocate(node, Node::at(node).bytes(), |moved| *word = moved);
            }
        })
    }
}

impl Groups<'_> {
    /// Moves what groups are made of, from a place on, until `mover` is spent. Returns the place to
    /// go on at, unless it has come to the end. What has changed meanwhile may be left out.
    pub fn relocate(&mut self, from: Place, mover: &mut Mover) -> Option<Place> {
        let heap = self.heap();
        let mut place = from;
        loop {
            let (group, at) =
                record_at(self.raw_table(), heap, place.group, mover, &mut |mover, item| {
                    relocate_record::<StreamGroup>(&item, mover, |_| ());
                })?;
            // SAFETY: a group of the table, which this has exclusively.
            let group = unsafe { &mut *(group as *mut StreamGroup) };
            if let Some(part) = relocate_group(group, heap, place.part, mover) {
                return Some(Place { group: at, part });
            }
            place = Place { group: at + 1, part: GroupPart::START };
            if mover.is_spent() {
                return Some(place);
            }
        }
    }
}

/// As [`Groups::relocate`], of a group.
fn relocate_group(
    group: &mut StreamGroup,
    heap: Heap,
    from: GroupPart,
    mover: &mut Mover,
) -> Option<GroupPart> {
    let (mut place, mut from) = match from {
        GroupPart::Consumer(consumer, id) => (consumer, id),
        GroupPart::Pending(id) => {
            let mut pending = Ids::new(&mut group.pending, heap);
            if let Some(next) = pending.relocate(id, mover, &mut |mover, id, word| {
                relocate_pending(heap, id, word, mover);
            }) {
                return Some(GroupPart::Pending(next));
            }
            (0, StreamId::MIN)
        }
    };
    loop {
        if mover.is_spent() {
            return Some(GroupPart::Consumer(place, from));
        }
        let table = &mut group.consumers.table;
        let (consumer, at) = record_at(table, heap, place, mover, &mut relocate_consumer)?;
        // SAFETY: a consumer of the group, which is had exclusively.
        let pending = unsafe { &mut (*(consumer as *mut StreamConsumer)).pending };
        if let Some(next) = Ids::new(pending, heap).relocate(from, mover, &mut |_, _, _| ()) {
            return Some(GroupPart::Consumer(at, next));
        }
        (place, from) = (at + 1, StreamId::MIN);
    }
}

/// Moves the pending entry that a word of its group's map leads to.
fn relocate_pending(heap: Heap, id: StreamId, word: &mut u64, mover: &mut Mover) {
    let entry = *word;
    // SAFETY: a pending entry of a group that is had exclusively: its consumer is the group's, and
    // the maps of both are all that refers to it.
    unsafe {
        mover.relocate(entry, size_of::<PendingEntry>(), |moved| {
            *word = moved;
            let consumer = (*(moved as *const PendingEntry)).consumer.as_ptr();
            if let Some(word) = Ids::new(&mut (*consumer).pending, heap).get_mut(id) {
                *word = moved;
            }
        });
    }
}

/// Moves the record of a consumer, unless many refer to it.
fn relocate_consumer(mover: &mut Mover, item: Item<'_>) {
    // SAFETY: a consumer of a group that is had exclusively; what its map leads to are pending
    // entries of the group.
    let ids = unsafe { IdsRef::new(&(*(item.address() as *const StreamConsumer)).pending) };
    if ids.len() > REFERRERS_MAX {
        return;
    }
    relocate_record::<StreamConsumer>(&item, mover, |moved| {
        // SAFETY: as above, of the copy, which has the same map.
        unsafe {
            let ids = IdsRef::new(&(*(moved as *const StreamConsumer)).pending);
            for slot in ids.iter_from(StreamId::MIN) {
                (*(slot.word as *mut PendingEntry)).consumer = Ptr::new(moved);
            }
        }
    });
}

/// Moves a record that its slot, and what `repoint` sees to, refer to.
fn relocate_record<R: Record>(item: &Item<'_>, mover: &mut Mover, repoint: impl FnOnce(u64)) {
    let address = item.address();
    // SAFETY: only called with items of tables of such records, which are had exclusively.
    unsafe {
        mover.relocate(address, record_bytes(&*(address as *const R)), |moved| {
            item.set_address(moved);
            repoint(moved);
        });
    }
}

/// The address of the record at a place, or of the next one, and its place; `arrive` sees it first,
/// and may move it. None if there are no more.
fn record_at(
    raw: &mut RawTable,
    heap: Heap,
    from: u64,
    mover: &mut Mover,
    arrive: &mut dyn FnMut(&mut Mover, Item<'_>),
) -> Option<(u64, u64)> {
    const ORDINAL: u64 = 0xffff;
    let mut table = Table::new(raw, heap);
    let (mut position, mut ordinal) = (from & !ORDINAL, from & ORDINAL);
    loop {
        let (mut seen, mut is_there) = (0, false);
        let next = table.relocate(position, mover, &mut |mover, item| {
            if seen == ordinal {
                arrive(mover, item);
                is_there = true;
            }
            seen += 1;
        });
        if is_there {
            return Some((nth_item(&table, position, ordinal)?, position | ordinal));
        }
        (position, ordinal) = (next?, 0);
    }
}

/// The address of an item at a position.
fn nth_item(table: &Table<'_>, position: u64, ordinal: u64) -> Option<u64> {
    let (mut seen, mut found) = (0, None);
    table.scan(position, &mut |address| {
        if seen == ordinal {
            found = Some(address);
        }
        seen += 1;
    });
    found
}
