//! The steps of a walk.

use core::sync::atomic::Ordering::Relaxed;

use abi::container::RawBytes;
use abi::keyspace::mark as marks;
use abi::ptr::Ptr;
use abi::snapshot::{Handed, WALKED, large as states};

use super::{Due, Keeping, LARGE_BYTES, Records, due, is_walking, part_of, state, with_kept};
use crate::{Keys, garbage};
use base::bytes::{self, Bytes};
use base::core::Core;
use base::hash::hash;
use base::heap::if_room;
use base::lock::shard_of;
use store::table::{TableRef, prefetch_line};
use value::entry::{Entry, EntryMut, OwnedEntry};

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is nothing more to do.
    Done,
    /// There is.
    More,
    /// Somebody else holds the shard.
    Busy,
}

/// Whether a step has taken long enough.
pub type IsOver<'a> = &'a mut dyn FnMut(&Core) -> bool;

impl Keys<'_> {
    /// Goes on in a shard's part of the database that had this number when the snapshot began, for as
    /// long as `is_over` says not to stop. The shard is locked.
    pub fn walk(
        &mut self,
        shard: usize,
        walk_db: u64,
        records: &mut Records,
        is_over: IsOver<'_>,
    ) -> Step {
        let Some(db) = part_of(self.core, shard, walk_db) else { return Step::Done };
        self.in_db(db, |keys| {
            loop {
                let part = keys.part_at(shard);
                let position = part.walked().load(Relaxed);
                if position == WALKED {
                    return Step::Done;
                }
                let mut addresses = Vec::new();
                let next = part.keys().scan(position, &mut |address| {
                    prefetch_line(address);
                    addresses.push(address);
                });
                if !keys.walk_pair(position, walk_db, &addresses, records, is_over) {
                    return Step::More;
                }
                keys.part_at(shard).walked().store(next.unwrap_or(WALKED), Relaxed);
                if next.is_none() {
                    return Step::Done;
                }
                if is_over(keys.core) {
                    return Step::More;
                }
            }
        })
    }

    /// Writes the entries at a position, of a locked shard. Tells whether all are done: then none is
    /// marked any more; else those are that have been written.
    fn walk_pair(
        &mut self,
        position: u64,
        walk_db: u64,
        addresses: &[u64],
        records: &mut Records,
        is_over: IsOver<'_>,
    ) -> bool {
        let (seed, heap) = (self.core.roots.seed, self.core.heap);
        let writes = is_walking(self.core.roots);
        let mut written = Vec::new();
        let mut marked = Vec::new();
        for address in addresses {
            // SAFETY: an item of the table of a locked shard, which nobody changes meanwhile.
            let entry = unsafe { Entry::at(*address) };
            // A table that has grown or shrunk begins this pair earlier.
            if hash(entry.key(), seed) < position {
                continue;
            }
            if entry.mark() != marks::NONE {
                marked.push(*address);
            }
            if entry.mark() != marks::NONE || !writes {
                continue;
            }
            if entry.estimated_memory(heap) >= LARGE_BYTES {
                if !begin_large(self.core, walk_db, entry, records) {
                    set_marks(&written, marks::WRITTEN);
                    // SAFETY: as above; `entry` is not used any more.
                    unsafe { EntryMut::at(*address) }.set_mark(marks::BEING_WRITTEN);
                    return false;
                }
            } else {
                records.key(self.core, walk_db, entry);
            }
            state(self.core.roots).keys_written.fetch_add(1, Relaxed);
            written.push(*address);
            if is_over(self.core) {
                set_marks(&written, marks::WRITTEN);
                return false;
            }
        }
        set_marks(&marked, marks::NONE);
        true
    }
}

/// Marks entries of a locked shard of which no view is in use.
fn set_marks(addresses: &[u64], mark: u8) {
    for address in addresses {
        // SAFETY: only called for items of the table of a shard that has stayed locked; no view of
        // them is in use, as those of the loops that call this are over.
        unsafe { EntryMut::at(*address) }.set_mark(mark);
    }
}

/// Begins with the large value that somebody waits for, if somebody does. Not to be called while one
/// is being written in steps.
pub fn wanted(core: &mut Core, records: &mut Records) -> Step {
    let state = state(core.roots);
    let Some(db) = state.wanted_db.load(Relaxed).checked_sub(1) else { return Step::Done };
    let hash = state.wanted.load(Relaxed);
    let shard = shard_of(hash);
    let is_locked = core.has_locked(shard);
    if !is_locked && !core.lock_soon(1 << shard) {
        return Step::Busy;
    }
    state.wanted_db.store(0, Relaxed);
    begin_with_wanted(core, db as u32, hash, records);
    if !is_locked {
        core.unlock();
    }
    Step::More
}

fn begin_with_wanted(core: &mut Core, db: u32, wanted: u64, records: &mut Records) {
    let (seed, heap) = (core.roots.seed, core.heap);
    if db >= core.roots.databases() {
        return;
    }
    let found = Keys::new(core, db).part_at(shard_of(wanted)).keys().find(wanted, |address| {
        // SAFETY: an item of the table of a locked shard, which nobody changes meanwhile.
        let entry = unsafe { Entry::at(address) };
        let is_large = || entry.estimated_memory(heap) >= LARGE_BYTES;
        hash(entry.key(), seed) == wanted && entry.mark() == marks::NONE && is_large()
    });
    let Some(found) = found else { return };
    // SAFETY: as above.
    let entry = unsafe { Entry::at(found.address()) };
    let Due::Whole(walk_db) = due(core, (db, wanted), entry.mark()) else { return };
    let is_whole = begin_large(core, walk_db, entry, records);
    if is_whole {
        state(core.roots).keys_written.fetch_add(1, Relaxed);
    }
    set_marks(&[found.address()], if is_whole { marks::WRITTEN } else { marks::BEING_WRITTEN });
}

/// Writes the first part of a large value. Tells whether that was all; if not, the rest follows in
/// steps.
fn begin_large(core: &mut Core, walk_db: u64, entry: Entry<'_>, records: &mut Records) -> bool {
    let place = records.begin_key(core, walk_db, entry);
    if place == 0 {
        return true;
    }
    let hash = hash(entry.key(), core.roots.seed);
    let is_noted = with_kept(core, |keeping| {
        let (heap, large) = (keeping.heap, &mut keeping.kept.large);
        let mut is_noted = false;
        if_room(|| {
            large.key = bytes::from_slice(entry.key(), heap);
            (large.state, large.db, large.hash, large.place) =
                (states::IN_PLACE, walk_db, hash, place);
            is_noted = true;
        });
        is_noted
    });
    if !is_noted {
        // Without memory to note how far it is, it is written to its end at once.
        super::records::rest(core, entry, place, &mut records.bytes);
    }
    !is_noted
}

/// What is known of the value that is being written in steps.
struct Known {
    state: u64,
    db: u64,
    hash: u64,
    key: Vec<u8>,
    place: u64,
    entry: u64,
}

impl Keeping<'_> {
    fn known(&self) -> Known {
        let large = &self.kept.large;
        let key = bytes::slice(&large.key).to_vec();
        let (state, db, hash) = (large.state, large.db, large.hash);
        Known { state, db, hash, key, place: large.place, entry: large.entry }
    }

    /// The entry of a key in a table that was handed over.
    fn find_handed(&mut self, known: &Known) -> Option<u64> {
        let mut next = self.kept.first;
        // SAFETY: elements of the list are live while it is locked, and what is in them is the
        // walk's alone, which is at this.
        while let Some(handed) = unsafe { next.as_ptr().as_ref() } {
            // SAFETY: as above.
            let table = unsafe { TableRef::new(&handed.table) };
            let found = table.find(known.hash, |address| {
                // SAFETY: as above.
                unsafe { Entry::at(address) }.key() == known.key
            });
            if let Some(found) = found.filter(|_| handed.db == known.db) {
                return Some(found.address());
            }
            next = handed.next;
        }
        None
    }
}

/// Goes on with the value that is being written in steps. `Done`: there is none.
pub fn large(core: &mut Core, records: &mut Records) -> Step {
    let known = with_kept(core, |keeping| keeping.known());
    if known.state == states::NONE {
        return Step::Done;
    }
    let shard = shard_of(known.hash);
    if core.has_locked(shard) {
        return go_on_with_large(core, records);
    }
    if !core.lock_soon(1 << shard) {
        return Step::Busy;
    }
    let step = go_on_with_large(core, records);
    core.unlock();
    step
}

/// As [`large`], with the shard locked: nobody changes the value or takes it away meanwhile.
fn go_on_with_large(core: &mut Core, records: &mut Records) -> Step {
    let known = with_kept(core, |keeping| keeping.known());
    let is_given_up = !is_walking(core.roots);
    match known.state {
        states::WRITTEN => {
            with_kept(core, |keeping| {
                records.bytes.extend_from_slice(bytes::slice(&keeping.kept.large.rest));
                keeping.forget_large();
            });
            state(core.roots).keys_written.fetch_add(1, Relaxed);
        }
        states::IN_PLACE if is_given_up => with_kept(core, |keeping| keeping.forget_large()),
        states::IN_PLACE => {
            let Some(address) = find_large(core, &known) else {
                super::give_up(core, Some("a key that was being written is gone"));
                return Step::More;
            };
            // SAFETY: just found, in a locked shard or among what was handed over.
            let place = records.go_on(core, unsafe { Entry::at(address) }, known.place);
            with_kept(core, |keeping| match place {
                0 => keeping.forget_large(),
                _ => keeping.kept.large.place = place,
            });
            if place == 0 {
                set_marks(&[address], marks::WRITTEN);
                state(core.roots).keys_written.fetch_add(1, Relaxed);
            }
        }
        _ => go_on_with_detached(core, &known, is_given_up, records),
    }
    Step::More
}

/// Where the value is now that is being written in steps, and that nobody has taken out alone.
fn find_large(core: &mut Core, known: &Known) -> Option<u64> {
    let shard = shard_of(known.hash);
    let in_place = part_of(core, shard, known.db).and_then(|db| {
        let mut keys = Keys::new(core, db);
        let slot = keys.part_at(shard).keys().find(known.hash, |address| {
            // SAFETY: an item of the table of a locked shard.
            let entry = unsafe { Entry::at(address) };
            entry.mark() == marks::BEING_WRITTEN && entry.key() == known.key
        });
        slot.map(|slot| slot.address())
    });
    in_place.or_else(|| with_kept(core, |keeping| keeping.find_handed(known)))
}

fn go_on_with_detached(core: &mut Core, known: &Known, is_given_up: bool, records: &mut Records) {
    // SAFETY: it was handed over, and is the walk's alone, which is at this; it is put back below
    // unless it is done.
    let entry = unsafe { OwnedEntry::from_address(known.entry, core.heap) };
    let place = match is_given_up {
        true => 0,
        false => records.go_on(core, entry.view(), known.place),
    };
    if place != 0 {
        entry.into_address();
        return with_kept(core, |keeping| keeping.kept.large.place = place);
    }
    with_kept(core, |keeping| keeping.forget_large());
    state(core.roots).keys_written.fetch_add(1, Relaxed);
    garbage::dispose(core, entry, true);
}

/// Writes what was handed over and written ahead, for as long as `is_over` says not to stop. Not to
/// be called while a value is being written in steps.
pub fn resume(core: &mut Core, records: &mut Records, is_over: IsOver<'_>) -> Step {
    loop {
        let first = with_kept(core, |keeping| keeping.kept.first);
        // SAFETY: an element of the list, which only the walk takes out, which is at this. Of its
        // fields others touch only `next`, to which no reference is made.
        let is_table = !first.is_null() && unsafe { is_table(first) };
        if is_table && write_table(core, first, records, is_over) {
            return Step::More;
        }
        let Some(handed) = with_kept(core, |keeping| keeping.pop()) else {
            take_records(core, records);
            return Step::Done;
        };
        match () {
            () if is_table => garbage::dispose_table(core, handed.table),
            () if handed.entry != 0 => {
                if write_handed(core, handed, records) {
                    return Step::More;
                }
            }
            () => {
                let mut raw = handed.records;
                append(core, records, &mut raw, handed.db + 1);
            }
        }
        if is_over(core) {
            return Step::More;
        }
    }
}

/// Whether what was handed over is a table.
///
/// # Safety
/// It is an element of the list, and no other is made of it meanwhile.
unsafe fn is_table(handed: Ptr<Handed>) -> bool {
    // SAFETY: as the caller promises.
    unsafe { (*handed.as_ptr()).entry == 0 && (*handed.as_ptr()).records.capacity == 0 }
}

/// Takes the newest records.
fn take_records(core: &Core, records: &mut Records) {
    let (mut raw, selected) = with_kept(core, |keeping| {
        keeping.uncount(keeping.kept.records.len);
        let raw = core::mem::replace(&mut keeping.kept.records, RawBytes::EMPTY);
        (raw, core::mem::take(&mut keeping.kept.selected))
    });
    if raw.capacity != 0 {
        append(core, records, &mut raw, selected);
    }
}

/// Appends records, which are freed.
fn append(core: &Core, records: &mut Records, raw: &mut RawBytes, selected: u64) {
    if is_walking(core.roots) {
        records.append(bytes::slice(raw), selected);
    }
    Bytes::new(raw, core.heap).free();
}

/// Writes an entry that was handed over. Tells whether it has only begun.
fn write_handed(core: &mut Core, handed: Handed, records: &mut Records) -> bool {
    // SAFETY: it was handed over, and is the walk's alone, which is at this.
    let entry = unsafe { OwnedEntry::from_address(handed.entry, core.heap) };
    if is_walking(core.roots) {
        if handed.bytes as usize >= LARGE_BYTES {
            if !begin_large(core, handed.db, entry.view(), records) {
                with_kept(core, |keeping| {
                    keeping.count(handed.bytes);
                    keeping.kept.large.bytes = handed.bytes;
                    keeping.kept.large.state = states::DETACHED;
                    keeping.kept.large.entry = entry.into_address();
                });
                return true;
            }
        } else {
            records.key(core, handed.db, entry.view());
        }
        state(core.roots).keys_written.fetch_add(1, Relaxed);
    }
    garbage::dispose(core, entry, true);
    false
}

/// Writes the entries of a table that was handed over, the first of the list. Tells whether there are
/// more.
fn write_table(
    core: &mut Core,
    handed: Ptr<Handed>,
    records: &mut Records,
    is_over: IsOver<'_>,
) -> bool {
    let handed = handed.as_ptr();
    while is_walking(core.roots) {
        // SAFETY: an element of the list, which only the walk takes out, which is at this; others
        // touch only its `next`. What is in the table is the walk's alone.
        let (table, db, position) =
            unsafe { (TableRef::new(&(*handed).table), (*handed).db, (*handed).walked) };
        let mut addresses = Vec::new();
        let next = table.scan(position, &mut |address| addresses.push(address));
        if !Keys::new(core, 0).walk_pair(position, db, &addresses, records, is_over) {
            return true;
        }
        let Some(next) = next else { return false };
        // SAFETY: as above.
        unsafe { (*handed).walked = next };
        if is_over(core) {
            return true;
        }
    }
    false
}
