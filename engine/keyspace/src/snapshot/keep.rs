//! What whoever changes keys does for a snapshot under way.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::container::{RawBytes, RawTable};
use abi::host::level;
use abi::keyspace::mark as marks;
use abi::ptr::Ptr;
use abi::snapshot::{Handed, WALKED, large, phase};
use abi::tracking::interest;

use super::{
    Due, Keeping, LARGE_BYTES, concerns, due, is_ahead, is_walking, records, state, with_kept,
};
use crate::garbage::{self, DetachedTables};
use crate::{Intent, Keys};
use base::attention;
use base::bytes::{self, Bytes};
use base::core::Core;
use base::heap::if_room;
use base::lock::shard_of;
use value::entry::{Entry, EntryMut, OwnedEntry};
use value::rdb::write;

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
    match due(core, (db, hash), entry) {
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
    let is_kept = with_kept(core, |keeping| keeping.append(walk_db, &record));
    if is_kept {
        state(core.roots).keys_written.fetch_add(1, Relaxed);
    } else {
        give_up(core, Some("there was no memory to keep a key that changed"));
    }
}

impl Keeping<'_> {
    /// Appends the record of a key. Tells whether there was room.
    fn append(&mut self, walk_db: u64, record: &[u8]) -> bool {
        if self.kept.records.len as usize >= RECORDS_BYTES && !self.put_records_by() {
            return false;
        }
        let mut bytes = Vec::new();
        if self.kept.selected != walk_db + 1 {
            write::select(&mut bytes, walk_db);
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
        let handed = Handed { db, records, bytes, ..NOTHING };
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

/// Nothing that is handed over.
const NOTHING: Handed = Handed {
    next: Ptr::NULL,
    db: 0,
    entry: 0,
    records: RawBytes::EMPTY,
    table: RawTable::new(),
    walked: 0,
    bytes: 0,
};

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

/// Frees an entry that was in the table of this database and hash until now, once no snapshot needs
/// it any more. See [`garbage::dispose`].
#[inline(always)]
pub fn retire(core: &mut Core, at: At, entry: OwnedEntry, lazily: bool) {
    if concerns(core.roots, at.1) {
        return retire_for_snapshot(core, at, entry, lazily);
    }
    garbage::dispose(core, entry, lazily);
}

#[cold]
fn retire_for_snapshot(core: &mut Core, at: At, entry: OwnedEntry, lazily: bool) {
    let is_kept = match due(core, at, entry.view()) {
        Due::Nothing => return garbage::dispose(core, entry, lazily),
        Due::Whole(db) => hand_over(core, db, entry),
        Due::Rest => return detach_large(core, entry),
    };
    if let Err(entry) = is_kept {
        give_up(core, Some("there was no memory to keep a key that was removed"));
        garbage::dispose(core, entry, lazily);
    }
}

/// Hands an entry over. Gives it back if there is no memory.
fn hand_over(core: &mut Core, db: u64, entry: OwnedEntry) -> Result<(), OwnedEntry> {
    let bytes = entry.view().estimated_memory(core.heap) as u64;
    let address = entry.into_address();
    let handed = Handed { db, entry: address, bytes, ..NOTHING };
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

impl Keys<'_> {
    /// Whether a key may be ahead of a snapshot's walk. Its shard need not be locked.
    pub fn may_be_ahead_of_snapshot(&self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let walked = self.core.roots.part(shard_of(hash), self.db).walked.load(Relaxed);
        is_ahead(walked, hash)
    }

    /// Whether a key of a locked shard is ahead of a snapshot's walk with a value that would take long
    /// to write: then it is written next, and who wants to change it waits for that.
    pub fn waits_for_snapshot(&mut self, key: &[u8]) -> bool {
        let (at, heap) = ((self.db, self.hash(key)), self.core.heap);
        let Some(entry) = self.entry(key, Intent::Past) else { return false };
        if entry.estimated_memory(heap) < LARGE_BYTES {
            return false;
        }
        let address = entry.address();
        // SAFETY: an entry of a locked shard, which nobody changes meanwhile.
        let due = due(self.core, at, unsafe { Entry::at(address) });
        if let Due::Whole(_) = due {
            let state = state(self.core.roots);
            state.wanted.store(at.1, Relaxed);
            state.wanted_db.store(u64::from(at.0) + 1, Relaxed);
        }
        due != Due::Nothing
    }
}

/// Hands the table of keys over that was taken out of a shard's part of a database, if a snapshot
/// has yet to write some of it.
pub fn hand_over_table(core: &mut Core, (db, shard): (u32, usize), tables: &mut DetachedTables) {
    let part = core.roots.part(shard, db);
    let walked = part.walked.load(Relaxed);
    let is_concerned = core.roots.shard(shard).interest.load(Relaxed) & interest::SNAPSHOT != 0;
    if !is_concerned || !is_walking(core.roots) || !is_ahead(walked, u64::MAX) {
        return;
    }
    let bytes = tables.bytes(core);
    let table = core::mem::replace(tables.keys_mut(), RawTable::new());
    let walk_db = part.walk_db.load(Relaxed);
    let handed = Handed { db: walk_db, table, walked, bytes, ..NOTHING };
    if let Err(handed) = with_kept(core, |keeping| keeping.push(handed)) {
        *tables.keys_mut() = handed.table;
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
        attention::set(core.roots, attention::FAILED, true);
        let text = format!("a snapshot has failed: {failure}");
        core.host.log()(level::WARN, text.as_str().into());
    }
}
