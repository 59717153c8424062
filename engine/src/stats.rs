//! Counters: each lane writes its own, everybody reads the sum.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::shared::{CommandNames, ErrorStat, Shared};
use abi::stats::{COMMAND_SLOTS, LaneStats};

use crate::heap::Heap;
use crate::keyspace::hash::hash;
use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::roots::Roots;
use crate::store::table::{Table, TableRef};

/// Adds to a counter that only the calling lane writes.
#[inline(always)]
pub fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The sum of a counter over all lanes.
pub fn sum(roots: Roots, counter: impl Fn(&LaneStats) -> &AtomicU64) -> u64 {
    roots.all_stats().map(|lane| counter(lane).load(Relaxed)).fold(0, u64::wrapping_add)
}

/// The slot of a command's name, given out on first use. `None` when all are taken.
///
/// Called while a release is being attached, on the control thread: the list is append-only and
/// a name is complete before the count that shows it.
pub fn command_slot(name: &str, roots: Roots) -> Option<u16> {
    let shared: *mut Shared = roots.shared();
    // SAFETY: the root lives as long as the process. Names are only written here, by the one
    // thread that attaches releases, beyond the published count.
    let names: &mut CommandNames = unsafe { &mut (*shared).names };
    let count = names.count.load(Relaxed) as usize;
    let mut padded = [0u8; 32];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    if let Some(slot) = names.names[..count].iter().position(|known| *known == padded) {
        return Some(slot as u16);
    }
    if count == COMMAND_SLOTS {
        return None;
    }
    names.names[count] = padded;
    names.count.store(count as u32 + 1, core::sync::atomic::Ordering::Release);
    Some(count as u16)
}

/// The name that has a slot.
pub fn slot_name(slot: usize, roots: Roots) -> Option<&'static str> {
    let shared: *mut Shared = roots.shared();
    // SAFETY: the root lives as long as the process; published names never change.
    let names: &CommandNames = unsafe { &(*shared).names };
    let count = names.count.load(core::sync::atomic::Ordering::Acquire) as usize;
    let name = names.names[..count].get(slot)?;
    let len = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    core::str::from_utf8(&name[..len]).ok()
}

/// Counts an error reply by its first word.
#[cold]
pub fn count_error(lane: &Lane, text: &[u8]) {
    let word = text.split(|b| *b == b' ').next().unwrap_or_default();
    let hash = hash(word, lane.roots.seed);
    let (shared, heap, seed) = (lane.roots.shared(), lane.heap, lane.roots.seed);
    // SAFETY: the root lives as long as the process; what the lock guards is only touched with it.
    let (lock, table) = unsafe { (&(*shared).names.lock, &mut (*shared).errors) };
    with_lock(lock, lane.host, || {
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

/// Error replies by their first word, with how often each was given.
pub fn errors(lane: &Lane) -> Vec<(String, u64)> {
    let shared = lane.roots.shared();
    // SAFETY: the root lives as long as the process; what the lock guards is only touched with it.
    let (lock, table) = unsafe { (&(*shared).names.lock, &(*shared).errors) };
    with_lock(lock, lane.host, || {
        let mut all = Vec::new();
        TableRef::new(table).for_each(&mut |address| {
            // SAFETY: an item of the table; the counter is atomic.
            let count = unsafe { (*(address as *const ErrorStat)).count.load(Relaxed) };
            all.push((String::from_utf8_lossy(error_name(address)).into_owned(), count));
        });
        all
    })
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
