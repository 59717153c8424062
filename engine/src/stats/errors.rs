//! Error replies by their first word.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::container::RawTable;
use abi::shared::ErrorStat;

use crate::heap::Heap;
use crate::keyspace::hash::hash;
use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::store::table::{Table, TableRef};

/// Counts an error reply by its first word.
#[cold]
pub fn count_error(lane: &Lane, text: &[u8]) {
    let word = text.split(|b| *b == b' ').next().unwrap_or_default();
    let hash = hash(word, lane.roots.seed);
    let (heap, seed) = (lane.heap, lane.roots.seed);
    with_table(lane, |table| {
        let found = TableRef::new(table).find(hash, |address| error_name(address) == word);
        let address = found.map(|slot| slot.address()).unwrap_or_else(|| {
            let address = new_error(heap, word);
            let hash_of = |a| crate::keyspace::hash::hash(error_name(a), seed);
            Table::new(table, heap).insert(hash, address, hash_of);
            address
        });
        // SAFETY: an item of the table; the counter is atomic.
        unsafe { (*(address as *const ErrorStat)).count.fetch_add(1, Relaxed) };
    });
}

/// All of them, with how often each was given, in alphabetical order.
pub fn errors(lane: &Lane) -> Vec<(String, u64)> {
    with_table(lane, |table| {
        let mut all = Vec::new();
        TableRef::new(table).for_each(&mut |address| {
            // SAFETY: an item of the table; the counter is atomic.
            let count = unsafe { (*(address as *const ErrorStat)).count.load(Relaxed) };
            all.push((String::from_utf8_lossy(error_name(address)).into_owned(), count));
        });
        all.sort();
        all
    })
}

/// Forgets all of them.
pub(super) fn forget(lane: &Lane) {
    let heap = lane.heap;
    with_table(lane, |table| {
        Table::new(table, heap).clear(&mut |address| {
            let size = size_of::<ErrorStat>() + error_name(address).len();
            // SAFETY: an item of the table that is being cleared, allocated with this size.
            unsafe { heap.free(address, size) };
        });
    });
}

/// Runs `f` with the table of errors, under its lock.
fn with_table<R>(lane: &Lane, f: impl FnOnce(&mut RawTable) -> R) -> R {
    let shared = lane.roots.shared();
    // SAFETY: the root lives as long as the process; what the lock guards is only touched here,
    // with it held.
    unsafe { with_lock(&(*shared).names.lock, lane.host, || f(&mut (*shared).errors)) }
}

fn error_name<'a>(address: u64) -> &'a [u8] {
    let item = address as *const ErrorStat;
    // SAFETY: callers pass items of the table of errors, whose names follow the struct and never
    // change.
    unsafe { core::slice::from_raw_parts(item.add(1).cast(), (*item).name_len as usize) }
}

fn new_error(heap: Heap, word: &[u8]) -> u64 {
    let address = heap.alloc(size_of::<ErrorStat>() + word.len());
    let place = address as *mut ErrorStat;
    let fresh = ErrorStat { count: AtomicU64::new(0), name_len: word.len() as u32, reserved: 0 };
    // SAFETY: a new allocation with room for the struct and the word behind it.
    unsafe {
        place.write(fresh);
        core::ptr::copy_nonoverlapping(word.as_ptr(), place.add(1).cast(), word.len());
    }
    address
}
