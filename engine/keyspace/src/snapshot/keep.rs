//! What whoever changes keys does for a snapshot under way.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::container::{RawBytes, RawTable};
use abi::keyspace::mark as marks;
use abi::ptr::Ptr;
use abi::snapshot::{Handed, WALKED, large, phase};
use abi::tracking::interest;

use super::{
    Due, Form, Keeping, concerns, due, form, is_ahead, is_walking, records, state, with_kept,
};
use base::bytes::{self, Bytes};
use base::core::Core;
use base::heap::if_room;
use base::lock::shard_of;
use value::entry::{Entry, EntryMut, OwnedEntry};

/// Bytes of records after which further ones are kept apart, so that none is copied time and again.
const RECORDS_BYTES: usize = 256 << 10;

/// Where a key is: its database and its hash.
pub type At = (u32, u64);

/// Keeps an entry as it is, if a snapshot has yet to write it: it is about to change, or to leave
/// for another place. One that is being written in steps is written to its end.
///
/// # Safety
/// An entry of the table of this database and hash is at the address, the shard is locked by this
/// lane, and no view of the entry that can change it is in use.
#[cold]
pub unsafe fn keep(core: &mut Core, db: u32, hash: u64, address: u64) {
    // SAFETY: as the caller promises.
    let entry = unsafe { Entry::at(address) };
    match due(core, (db, hash), entry.mark()) {
        Due::Nothing => return,
        Due::Whole(walk_db) => write_ahead(core, walk_db, entry),
        Due::Rest => write_rest(core, entry),
    }
    // SAFETY: as the caller promises; `entry` is not used any more.
    unsafe { EntryMut::at(address) }.set_mark(marks::WRITTEN);
}

/// Writes the record of a key ahead of the walk.
fn write_ahead(core: &mut Core, walk_db: u64, entry: Entry<'_>) {
    let mut record = Vec::new();
    records::whole(core, entry, &mut record);
    let form = form(core.roots);
    let is_kept = with_kept(core, |keeping| keeping.append(form, walk_db, &record));
    if is_kept {
        state(core.roots).keys_written.fetch_add(1, Relaxed);
    } else {
        give_up(core, Some("there was no memory to keep a key that changed"));
    }
}

impl Keeping<'_> {
    /// Appends the record of a key. Tells whether there was room.
    fn append(&mut self, form: Form, walk_db: u64, record: &[u8]) -> bool {
        if self.kept.records.len as usize >= RECORDS_BYTES && !self.put_records_by() {
            return false;
        }
        let mut bytes = Vec::new();
        if self.kept.selected != walk_db + 1 {
            records::select(form, &mut bytes, walk_db);
        }
        bytes.extend_from_slice(record);
        let (heap, before) = (self.heap, self.kept.records.len);
        if_room(|| Bytes::new(&mut self.kept.records, heap).append(&bytes));
        let is_kept = self.kept.records.len != before;
        if is_kept {
            self.kept.selected = walk_db + 1;
            self.count(bytes.len() as u64);
        }
        is_kept
    }

    /// Hands the records over that there are. Tells whether there was room for that.
    fn put_records_by(&mut self) -> bool {
        let records = core::mem::replace(&mut self.kept.records, RawBytes::EMPTY);
        let bytes = records.len;
        let db = self.kept.selected.saturating_sub(1);
        let handed = Handed { records, ..handed(db, bytes) };
        // They are counted already.
        self.uncount(bytes);
        match self.push(handed) {
            Ok(()) => {
                self.kept.selected = 0;
                true
            }
            Err(handed) => {
                self.kept.records = handed.records;
                self.count(bytes);
                false
            }
        }
    }
}

/// Something that is handed over, with nothing in it yet.
const fn handed(db: u64, bytes: u64) -> Handed {
    Handed {
        next: Ptr::NULL,
        db,
        entry: 0,
        records: RawBytes::EMPTY,
        table: RawTable::new(),
        walked: 0,
        bytes,
    }
}

/// Writes what is left of the value that is being written in steps.
fn write_rest(core: &mut Core, entry: Entry<'_>) {
    let place = with_kept(core, |keeping| keeping.kept.large.place);
    let mut rest = Vec::new();
    records::rest(core, entry, place, &mut rest);
    let is_kept = with_kept(core, |keeping| {
        let heap = keeping.heap;
        if_room(|| keeping.kept.large.rest = bytes::from_slice(&rest, heap));
        let is_kept = keeping.kept.large.rest.len as usize == rest.len();
        if is_kept {
            keeping.kept.large.state = large::WRITTEN;
            keeping.count(rest.len() as u64);
        }
        is_kept
    });
    if !is_kept {
        give_up(core, Some("there was no memory to keep a key that changed"));
    }
}

/// An entry has come to be in a table: as part of no snapshot, and with no mark of another one.
///
/// # Safety
/// As for [`keep`].
#[inline(always)]
pub unsafe fn mark(core: &Core, at: At, address: u64) {
    if concerns(core.roots, at.1) {
        // SAFETY: as the caller promises.
        unsafe { mark_arrived(core, at, address) };
    }
}

#[cold]
unsafe fn mark_arrived(core: &Core, (db, hash): At, address: u64) {
    let walked = core.roots.part(shard_of(hash), db).walked.load(Relaxed);
    let is_part_of_none = is_walking(core.roots) && is_ahead(walked, hash);
    let mark = if is_part_of_none { marks::NOT_PART } else { marks::NONE };
    // SAFETY: as the caller promises.
    unsafe { EntryMut::at(address) }.set_mark(mark);
}

/// Takes an entry that was in the table of this database and hash until now, if a snapshot has yet to
/// write it. Gives it back to be freed if not.
#[inline(always)]
pub fn retire(core: &Core, at: At, entry: OwnedEntry) -> Option<OwnedEntry> {
    if concerns(core.roots, at.1) { retire_for_snapshot(core, at, entry) } else { Some(entry) }
}

#[cold]
fn retire_for_snapshot(core: &Core, at: At, entry: OwnedEntry) -> Option<OwnedEntry> {
    let outcome = match due(core, at, entry.view().mark()) {
        Due::Nothing => return Some(entry),
        Due::Whole(db) => hand_over(core, db, entry),
        Due::Rest => {
            detach_large(core, entry);
            Ok(())
        }
    };
    let entry = outcome.err()?;
    give_up(core, Some("there was no memory to keep a key that was removed"));
    Some(entry)
}

/// Hands an entry over. Gives it back if there is no memory.
fn hand_over(core: &Core, db: u64, entry: OwnedEntry) -> Result<(), OwnedEntry> {
    let bytes = entry.view().estimated_memory(core.heap) as u64;
    let address = entry.into_address();
    let handed = Handed { entry: address, ..handed(db, bytes) };
    let pushed = with_kept(core, |keeping| keeping.push(handed));
    // SAFETY: it was just given up, and nobody has taken it.
    pushed.map_err(|_| unsafe { OwnedEntry::from_address(address, core.heap) })
}

/// The entry of the value that is being written in steps is in no table any more.
fn detach_large(core: &Core, entry: OwnedEntry) {
    let bytes = entry.view().estimated_memory(core.heap) as u64;
    with_kept(core, |keeping| {
        keeping.kept.large.entry = entry.into_address();
        keeping.kept.large.state = large::DETACHED;
        keeping.kept.large.bytes = bytes;
        keeping.count(bytes);
    });
}

/// Takes the table of keys that was taken out of a shard's part of a database, if a snapshot has yet to
/// write some of it, and leaves an empty one; `bytes` tells what it is counted with.
pub fn hand_over_table(
    core: &mut Core,
    (db, shard): (u32, usize),
    keys: &mut RawTable,
    bytes: impl FnOnce(&mut Core, &RawTable) -> u64,
) {
    let part = core.roots.part(shard, db);
    let walked = part.walked.load(Relaxed);
    let is_concerned = core.roots.shard(shard).interest.load(Relaxed) & interest::SNAPSHOT != 0;
    if !is_concerned || !is_walking(core.roots) || walked == WALKED {
        return;
    }
    let bytes = bytes(core, keys);
    let table = core::mem::replace(keys, RawTable::new());
    let handed = Handed { table, walked, ..handed(part.walk_db.load(Relaxed), bytes) };
    if let Err(handed) = with_kept(core, |keeping| keeping.push(handed)) {
        *keys = handed.table;
        return give_up(core, Some("there was no memory to keep keys that were removed"));
    }
    part.walked.store(WALKED, Relaxed);
}

/// Gives the snapshot under way up, if there is one: because it has failed, or for another reason.
pub fn give_up(core: &Core, failure: Option<&str>) {
    let state = state(core.roots);
    let phases = (phase::WALKING, phase::GIVEN_UP);
    if state.phase.compare_exchange(phases.0, phases.1, AcqRel, Relaxed).is_err() {
        return;
    }
    core.host.save_end()(0);
    if let Some(failure) = failure {
        super::note_failure(core, failure);
    }
}
