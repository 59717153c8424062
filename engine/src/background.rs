//! Work for background threads: what would take too long for a command to wait for.

use core::sync::atomic::Ordering::Relaxed;

use abi::container::RawTable;
use abi::logic::Job;
use abi::shared::Upkeep;
use abi::status::Status;

use crate::keyspace::entry::Entry;
use crate::keyspace::expire::upkeep;
use crate::keyspace::lock::ShardSet;
use crate::keyspace::{evict, expire};
use crate::lane::Lane;
use crate::store::table::{Table, TableRef};
use crate::value;

/// Kinds of jobs. Append-only: a job may be run by another release than the one that made it.
mod job {
    /// Free an entry and its value: its address.
    pub const FREE_ENTRY: u32 = 1;
    /// Free a table with all its entries: the address of the detached `RawTable`.
    pub const FREE_TABLE: u32 = 2;
    /// Free a table without its items: the address of the detached `RawTable`.
    pub const FREE_INDEX: u32 = 3;
    /// Go on with an expire cycle: the set of shards.
    pub const EXPIRE: u32 = 4;
    /// Remove keys until memory is within its limit.
    pub const MAKE_ROOM: u32 = 5;
}

/// Hands a job over that frees so many values.
fn submit(lane: &Lane, kind: u32, argument: u64, values: u64) -> bool {
    let job = Job { kind, reserved: 0, arguments: [argument, values, 0, 0, 0, 0] };
    let pending = &upkeep(lane.roots).lazy_pending;
    pending.fetch_add(values, Relaxed);
    let accepted = lane.host.submit()(&job).is_ok();
    if !accepted {
        pending.fetch_sub(values, Relaxed);
    }
    accepted
}

/// Counts the values of a job as freed, also if that ends in a panic.
struct Freed(&'static Upkeep, u64);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.lazy_pending.fetch_sub(self.1, Relaxed);
        self.0.lazy_freed.fetch_add(self.1, Relaxed);
    }
}

/// Has an entry freed that is out of all tables. False: the caller must do it.
pub fn free_later(lane: &Lane, entry: Entry<'_>) -> bool {
    submit(lane, job::FREE_ENTRY, entry.address(), 1)
}

/// Has an expire cycle go on for a set of shards. That it may be refused does no harm.
pub fn expire_later(lane: &Lane, pending: ShardSet) {
    submit(lane, job::EXPIRE, pending, 0);
}

/// Has room made. That it may be refused does no harm.
pub fn make_room_later(lane: &Lane) {
    submit(lane, job::MAKE_ROOM, 0, 0);
}

/// Frees the detached tables of a database's part of a shard, and the entries in them.
/// `lazily`: in the background if possible.
pub fn free_tables(lane: &Lane, keys: RawTable, expires: RawTable, lazily: bool) {
    for (kind, table) in [(job::FREE_INDEX, expires), (job::FREE_TABLE, keys)] {
        if TableRef::new(&table).is_empty() {
            continue;
        }
        if lazily {
            free_table_later(lane, kind, table);
        } else {
            free_table(lane, kind, table);
        }
    }
}

fn free_table_later(lane: &Lane, kind: u32, table: RawTable) {
    let values = if kind == job::FREE_TABLE { TableRef::new(&table).len() as u64 } else { 0 };
    let place = lane.heap.alloc(size_of::<RawTable>()) as *mut RawTable;
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(table) };
    if !submit(lane, kind, place as u64, values) {
        free_table(lane, kind, take_table(lane, place as u64));
    }
}

/// Takes a table out of the allocation that a job refers to.
fn take_table(lane: &Lane, address: u64) -> RawTable {
    // SAFETY: `free_table_later` made the allocation and gave it away.
    unsafe {
        let table = (address as *mut RawTable).read();
        lane.heap.free(address, size_of::<RawTable>());
        table
    }
}

/// Runs a job.
pub fn run(lane: &mut Lane, job: &Job) -> Status {
    let _freed = Freed(upkeep(lane.roots), job.arguments[1]);
    match job.kind {
        job::FREE_ENTRY => {
            // SAFETY: the job's maker took the entry out of all tables and gave it away.
            unsafe { value::free_now(lane.heap, Entry::at(job.arguments[0])) };
        }
        job::FREE_TABLE | job::FREE_INDEX => {
            free_table(lane, job.kind, take_table(lane, job.arguments[0]));
        }
        job::EXPIRE => expire::job(lane, job.arguments[0]),
        job::MAKE_ROOM => evict::job(lane),
        _ => return Status::REFUSED,
    }
    Status::OK
}

fn free_table(lane: &Lane, kind: u32, mut table: RawTable) {
    let heap = lane.heap;
    Table::new(&mut table, heap).clear(&mut |entry| {
        if kind == job::FREE_TABLE {
            // SAFETY: the table was detached with its entries, and nothing else refers to them.
            unsafe { value::free_now(heap, Entry::at(entry)) };
        }
    });
}
