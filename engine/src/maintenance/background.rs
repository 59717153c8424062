//! Work for background threads: what would take too long for a command to wait for.

use core::sync::atomic::Ordering::Relaxed;

use abi::container::RawTable;
use abi::job::Job;
use abi::shared::Upkeep;
use abi::status::Status;

use value::entry::Entry;
use crate::maintenance::expire::upkeep;
use base::lock::ShardSet;
use crate::maintenance::{evict, expire};
use base::core::Core;
use store::table::{Table, TableRef};
use value;

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

/// What a job is about to free: values, and roughly how many bytes.
#[derive(Clone, Copy, Default)]
struct Load {
    values: u64,
    bytes: u64,
}

fn submit(core: &Core, kind: u32, argument: u64, load: Load) -> bool {
    let arguments = [argument, load.values, load.bytes, 0, 0, 0];
    let job = Job { kind, reserved: 0, arguments };
    let upkeep = upkeep(core.roots);
    upkeep.lazy_pending.fetch_add(load.values, Relaxed);
    upkeep.lazy_bytes.fetch_add(load.bytes, Relaxed);
    let accepted = core.host.submit()(&job).is_ok();
    if !accepted {
        upkeep.lazy_pending.fetch_sub(load.values, Relaxed);
        upkeep.lazy_bytes.fetch_sub(load.bytes, Relaxed);
    }
    accepted
}

/// Counts the load of a job as freed, also if that ends in a panic.
struct Freed(&'static Upkeep, Load);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.lazy_pending.fetch_sub(self.1.values, Relaxed);
        self.0.lazy_freed.fetch_add(self.1.values, Relaxed);
        self.0.lazy_bytes.fetch_sub(self.1.bytes, Relaxed);
    }
}

/// Has an entry freed that is out of all tables. False: the caller must do it.
pub fn free_later(core: &Core, entry: Entry<'_>) -> bool {
    let load = Load { values: 1, bytes: value::estimate(core.heap, entry) as u64 };
    submit(core, job::FREE_ENTRY, entry.address(), load)
}

/// Has an expire cycle go on for a set of shards. That it may be refused does no harm.
pub fn expire_later(core: &Core, pending: ShardSet) {
    submit(core, job::EXPIRE, pending, Load::default());
}

/// Has room made. That it may be refused does no harm.
pub fn make_room_later(core: &Core) {
    submit(core, job::MAKE_ROOM, 0, Load::default());
}

/// Frees the detached tables of a database's part of a shard, and the entries in them.
/// `lazily`: in the background if possible.
pub fn free_tables(core: &mut Core, keys: RawTable, expires: RawTable, lazily: bool) {
    for (kind, table) in [(job::FREE_INDEX, expires), (job::FREE_TABLE, keys)] {
        if TableRef::new(&table).is_empty() {
            continue;
        }
        if lazily {
            free_table_later(core, kind, table);
        } else {
            free_table(core, kind, table);
        }
    }
}

fn free_table_later(core: &mut Core, kind: u32, table: RawTable) {
    let load = if kind == job::FREE_TABLE { load_of(core, &table) } else { Load::default() };
    let place = core.heap.alloc(size_of::<RawTable>()) as *mut RawTable;
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(table) };
    if !submit(core, kind, place as u64, load) {
        free_table(core, kind, take_table(core, place as u64));
    }
}

/// The load of a detached table of entries, from a look at some of them.
fn load_of(core: &mut Core, table: &RawTable) -> Load {
    const SAMPLES: u64 = 16;
    let table = TableRef::new(table);
    let estimates =
        (0..SAMPLES).filter_map(|_| table.sample(core.random.next_u64())).map(|address| {
            // SAFETY: the table was detached with its entries; nobody else refers to them.
            value::estimate(core.heap, unsafe { Entry::at(address) }) as u64
        });
    let values = table.len() as u64;
    Load { values, bytes: estimates.sum::<u64>() * values / SAMPLES }
}

/// Takes a table out of the allocation that a job refers to.
fn take_table(core: &Core, address: u64) -> RawTable {
    // SAFETY: `free_table_later` made the allocation and gave it away.
    unsafe {
        let table = (address as *mut RawTable).read();
        core.heap.free(address, size_of::<RawTable>());
        table
    }
}

/// Runs a job.
pub fn run(core: &mut Core, job: &Job) -> Status {
    let load = Load { values: job.arguments[1], bytes: job.arguments[2] };
    let _freed = Freed(upkeep(core.roots), load);
    match job.kind {
        job::FREE_ENTRY => {
            // SAFETY: the job's maker took the entry out of all tables and gave it away.
            unsafe { value::free_now(core.heap, Entry::at(job.arguments[0])) };
        }
        job::FREE_TABLE | job::FREE_INDEX => {
            free_table(core, job.kind, take_table(core, job.arguments[0]));
        }
        job::EXPIRE => expire::job(core, job.arguments[0]),
        job::MAKE_ROOM => evict::job(core),
        _ => return Status::REFUSED,
    }
    Status::OK
}

fn free_table(core: &Core, kind: u32, mut table: RawTable) {
    let heap = core.heap;
    Table::new(&mut table, heap).clear(&mut |entry| {
        if kind == job::FREE_TABLE {
            // SAFETY: the table was detached with its entries, and nothing else refers to them.
            unsafe { value::free_now(heap, Entry::at(entry)) };
        }
    });
}
