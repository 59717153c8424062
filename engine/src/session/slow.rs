//! The slow log.

use abi::client::ClientShared;
use abi::container::RawBytes;
use abi::lock::Guard;
use abi::ptr::Ptr;
use abi::shared::{Slowlog, SlowlogEntry};

use crate::session::command_blob::Blob;
use base::bytes::{self, Bytes};
use base::core::{Core, FutexLocker};
use base::heap::Heap;
use base::settings::setting;
use base::vec::{self, Words};

/// The slow log, locked.
fn locked(core: &Core) -> Guard<'static, Slowlog, FutexLocker> {
    core.roots.shared().slowlog.lock(core.locker())
}

/// Remembers a command of a client, already shortened, that took long.
pub fn add(core: &Core, client: &ClientShared, command: RawBytes, duration_us: u64) {
    let heap = core.heap;
    let kept_max = core.get(setting::SLOWLOG_MAX_LEN) as usize;
    let name = bytes::from_slice(bytes::slice(&client.guarded.lock(core.locker()).name), heap);
    let mut entry = SlowlogEntry {
        id: 0,
        time_s: (core.clock.now_ms / 1000) as u64,
        duration_us,
        command,
        peer: bytes::from_slice(bytes::slice(&client.peer), heap),
        name,
    };
    let place = heap.alloc(size_of::<SlowlogEntry>()) as *mut SlowlogEntry;
    let mut log = locked(core);
    entry.id = log.next_id;
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(entry) };
    log.next_id += 1;
    let mut entries = Words::new(&mut log.entries, heap);
    entries.push(Ptr::from_raw(place).address());
    while entries.len() > kept_max {
        free(heap, entries.remove(0));
    }
}

/// An entry of the log, copied out of it.
pub struct Report {
    /// Unique; rises.
    pub id: u64,
    /// When the command ran, Unix seconds.
    pub time_s: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The command, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's `address:port`.
    pub peer: Vec<u8>,
    /// The client's name.
    pub name: Vec<u8>,
}

impl Report {
    fn of(entry: &SlowlogEntry) -> Self {
        Self {
            id: entry.id,
            time_s: entry.time_s,
            duration_us: entry.duration_us,
            args: Blob::decode(&entry.command).args().from(0).map(<[u8]>::to_vec).collect(),
            peer: bytes::slice(&entry.peer).to_vec(),
            name: bytes::slice(&entry.name).to_vec(),
        }
    }
}

/// The newest entries, `count` at most, the newest first.
pub fn newest(core: &Core, count: usize) -> Vec<Report> {
    let log = locked(core);
    let addresses = vec::slice(&log.entries).iter().rev().take(count);
    // SAFETY: entries of the log live until they are taken out of it, with the lock held.
    addresses.map(|address| Report::of(unsafe { &*(*address as *const SlowlogEntry) })).collect()
}

/// How many entries there are.
pub fn len(core: &Core) -> usize {
    locked(core).entries.len as usize
}

/// Removes all entries.
pub fn clear(core: &Core) {
    let mut log = locked(core);
    let mut entries = Words::new(&mut log.entries, core.heap);
    while let Some(address) = entries.pop() {
        free(core.heap, address);
    }
}

/// Frees an entry of the log by its address.
fn free(heap: Heap, address: u64) {
    // SAFETY: the caller has taken the entry out of the log, which owned it.
    unsafe {
        let entry = &mut *(address as *mut SlowlogEntry);
        for part in [&mut entry.command, &mut entry.peer, &mut entry.name] {
            Bytes::new(part, heap).free();
        }
        heap.free(address, size_of::<SlowlogEntry>());
    }
}
