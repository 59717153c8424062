//! Work for background threads: what would take too long for a command to wait for.
#![allow(unsafe_code, reason = "a job names what it frees by its address")]

use core::sync::atomic::Ordering::Relaxed;

use abi::aof::state;
use abi::container::RawTable;
use abi::job::{Job, kind};
use abi::shared::Upkeep;
use abi::status::Status;

use crate::maintenance::evict::{self, Pool};
use crate::maintenance::expire::{self, upkeep};
use crate::maintenance::{defrag, schema, snapshot};
use base::core::Core;
use base::garbage::{Garbage, GarbagePlace};
use base::lock::ShardSet;
use keyspace::{Revert, garbage};

/// Kinds of jobs. Append-only: a job may be run by another release than the one that made it.
pub mod job {
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
    /// Go on with defragmentation.
    pub const DEFRAG: u32 = 6;
    /// Free a table of tracked keys: the address of the detached `RawTable`.
    pub const FREE_TRACKED: u32 = 7;
    /// Go on with the snapshot under way.
    pub const SNAPSHOT: u32 = 8;
    /// Go on with the pass that concerns the schema level.
    pub const SCHEMA: u32 = 9;
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

/// Has garbage freed. Where a background thread cannot take it, it is freed here and now.
pub fn free_later(core: &Core, garbage: Garbage) {
    let load = Load { values: garbage.values, bytes: garbage.bytes };
    let Some((kind, argument)) = argument_of(core, garbage.place()) else {
        return garbage::free(core.heap, garbage);
    };
    if !submit(core, kind, argument, load) {
        // SAFETY: the job was refused, so what it speaks of is taken over here and nowhere else.
        let refused = unsafe { taken_over(core, kind, argument, load) };
        refused.into_iter().for_each(|garbage| garbage::free(core.heap, garbage));
    }
}

/// What a job says of garbage. A table is moved to an allocation of its own, if there is room.
fn argument_of(core: &Core, place: &GarbagePlace) -> Option<(u32, u64)> {
    let (kind, table) = match place {
        GarbagePlace::Entry(address) => return Some((job::FREE_ENTRY, *address)),
        GarbagePlace::Table(table) => (job::FREE_TABLE, table),
        GarbagePlace::Index(table) => (job::FREE_INDEX, table),
        GarbagePlace::Tracked(table) => (job::FREE_TRACKED, table),
    };
    let address = core.heap.try_alloc(size_of::<RawTable>())?;
    // SAFETY: a new allocation of the struct's size; the original is not used again, for whoever
    // has a place that a job tells takes it from there.
    unsafe { (address as *mut RawTable).copy_from_nonoverlapping(table, 1) };
    Some((kind, address))
}

/// The garbage that a job speaks of; it is no longer the job's. None: there is no such kind.
///
/// # Safety
/// [`argument_of`] gave kind and argument for garbage, which nobody has taken over.
unsafe fn taken_over(core: &Core, kind: u32, argument: u64, load: Load) -> Option<Garbage> {
    // SAFETY: only called for kinds that have one: `argument_of` made the allocation and gave it
    // away.
    let table = || unsafe {
        let table = (argument as *mut RawTable).read();
        core.heap.free(argument, size_of::<RawTable>());
        table
    };
    let place = match kind {
        job::FREE_ENTRY => GarbagePlace::Entry(argument),
        job::FREE_TABLE => GarbagePlace::Table(table()),
        job::FREE_INDEX => GarbagePlace::Index(table()),
        job::FREE_TRACKED => GarbagePlace::Tracked(table()),
        _ => return None,
    };
    // SAFETY: it was garbage before, and is nobody else's, as the caller promises.
    Some(unsafe { Garbage::new(place, load.values, load.bytes) })
}

/// Has an expire cycle go on for a set of shards. That it may be refused does no harm.
pub fn expire_later(core: &Core, pending: ShardSet) {
    submit(core, job::EXPIRE, pending, Load::default());
}

/// Has room made. That it may be refused does no harm.
pub fn make_room_later(core: &Core) {
    submit(core, job::MAKE_ROOM, 0, Load::default());
}

/// Has defragmentation go on. Tells whether it will.
pub fn defrag_later(core: &Core) -> bool {
    submit(core, job::DEFRAG, 0, Load::default())
}

/// Has the snapshot under way go on. Tells whether it will.
pub fn snapshot_later(core: &Core) -> bool {
    submit(core, job::SNAPSHOT, 0, Load::default())
}

/// Has the pass go on that concerns the schema level. Tells whether it will.
pub fn schema_later(core: &Core) -> bool {
    submit(core, job::SCHEMA, 0, Load::default())
}

fn has_log(core: &Core) -> bool {
    core.roots.aof().is_some_and(|aof| aof.state.load(Relaxed) != state::OFF)
}

/// Runs a job. Values are converted by `revert`.
pub fn run(core: &mut Core, pool: &mut Pool, revert: Revert, job: &Job) -> Status {
    let [argument, values, bytes, ..] = job.arguments;
    let load = Load { values, bytes };
    let _freed = Freed(upkeep(core.roots), load);
    match job.kind {
        job::EXPIRE => expire::job(core, argument),
        job::MAKE_ROOM => evict::job(core, pool),
        job::DEFRAG => defrag::job(core),
        job::SNAPSHOT => snapshot::job(core),
        job::SCHEMA => {
            // An older release does not know all commands that are in the log.
            if schema::job(core, revert) && has_log(core) {
                snapshot::ask_for_rewriting(core);
            }
        }
        kind::STOP => snapshot::asked_by_signal(core, argument),
        // SAFETY: jobs of other kinds are made of garbage, and the shell runs each once.
        kind => match unsafe { taken_over(core, kind, argument, load) } {
            Some(garbage) => garbage::free(core.heap, garbage),
            None => return Status::REFUSED,
        },
    }
    Status::OK
}
