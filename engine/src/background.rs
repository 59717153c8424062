//! Work for background threads: what would take too long for a command to wait for.

use abi::container::RawTable;
use abi::logic::Job;
use abi::status::Status;

use crate::keyspace::entry::Entry;
use crate::lane::Lane;
use crate::store::table::Table;
use crate::value;

/// Kinds of jobs. Append-only: a job may be run by another release than the one that made it.
mod job {
    /// Free an entry and its value: its address.
    pub const FREE_ENTRY: u32 = 1;
    /// Free a table with all its entries: the address of the detached `RawTable`.
    pub const FREE_TABLE: u32 = 2;
}

fn submit(lane: &Lane, kind: u32, address: u64) -> bool {
    let job = Job { kind, reserved: 0, arguments: [address, 0, 0, 0, 0, 0] };
    lane.host.submit()(&job).is_ok()
}

/// Has an entry freed that is out of all tables. False: the caller must do it.
pub fn free_later(lane: &Lane, entry: Entry<'_>) -> bool {
    submit(lane, job::FREE_ENTRY, entry.address())
}

/// Has a detached table freed with all its entries, in the background if possible.
pub fn free_table_later(lane: &Lane, table: RawTable) {
    let place = lane.heap.alloc(size_of::<RawTable>()) as *mut RawTable;
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(table) };
    if !submit(lane, job::FREE_TABLE, place as u64) {
        free_table(lane, place as u64);
    }
}

/// Runs a job.
pub fn run(lane: &mut Lane, job: &Job) -> Status {
    match job.kind {
        job::FREE_ENTRY => {
            // SAFETY: the job's maker took the entry out of all tables and gave it away.
            unsafe { value::free_now(lane.heap, Entry::at(job.arguments[0])) };
        }
        job::FREE_TABLE => free_table(lane, job.arguments[0]),
        _ => return Status::REFUSED,
    }
    Status::OK
}

fn free_table(lane: &Lane, address: u64) {
    let heap = lane.heap;
    // SAFETY: the job's maker detached the table with its entries and gave both away.
    unsafe {
        let raw = &mut *(address as *mut RawTable);
        Table::new(raw, heap).clear(&mut |entry| value::free_now(heap, Entry::at(entry)));
        heap.free(address, size_of::<RawTable>());
    }
}
