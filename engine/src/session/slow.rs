//! The slow log, and those of commands that were large.

use abi::client::{ClientGuarded, ClientShared};
use abi::lock::Guard;
use abi::ptr::Ptr;
use abi::shared::{Slowlog, SlowlogEntry};

use crate::session::command_blob::Blob;
use base::bytes::{self, Bytes, OwnedBytes};
use base::core::{Core, FutexLocker};
use base::heap::Heap;
use base::settings::setting;
use base::vec::{self, Words};

/// What is remembered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Commands that took long.
    Slow,
    /// Commands that were large.
    LargeRequest,
    /// Commands whose replies were large.
    LargeReply,
}

impl Log {
    /// The log, locked.
    fn locked(self, core: &Core) -> Guard<'static, Slowlog, FutexLocker> {
        let shared = core.roots.shared();
        let log = match self {
            Self::Slow => &shared.slowlog,
            Self::LargeRequest => &shared.large_requests,
            Self::LargeReply => &shared.large_replies,
        };
        log.lock(core.locker())
    }

    /// Entries kept at most.
    fn kept_max(self, core: &Core) -> usize {
        core.get(match self {
            Self::Slow => setting::SLOWLOG_MAX_LEN,
            Self::LargeRequest => setting::COMMANDLOG_LARGE_REQUEST_MAX_LEN,
            Self::LargeReply => setting::COMMANDLOG_LARGE_REPLY_MAX_LEN,
        }) as usize
    }
}

/// Who has sent a command, as the logs tell it.
pub struct Sender {
    peer: OwnedBytes,
    name: OwnedBytes,
}

impl Sender {
    /// A client, with what it tells of itself.
    pub fn of(heap: Heap, client: &ClientShared, guarded: &ClientGuarded) -> Self {
        let copy = |text| OwnedBytes::of(bytes::slice(text), heap);
        Self { peer: copy(&client.peer), name: copy(&guarded.name) }
    }

    /// A client of this lane.
    pub fn own(core: &Core, client: &ClientShared) -> Self {
        Self::of(core.heap, client, &client.guarded.lock(core.locker()))
    }
}

/// Remembers a command, already shortened: with how many microseconds it took, or bytes.
///
/// Where memory runs out it is not remembered.
pub fn add(core: &Core, which: Log, sender: Sender, command: OwnedBytes, amount: u64) {
    let heap = core.heap;
    let kept_max = which.kept_max(core);
    let mut log = which.locked(core);
    let id = log.next_id;
    let mut entries = Words::new(&mut log.entries, heap);
    entries.reserve(1);
    let place = heap.alloc(size_of::<SlowlogEntry>()) as *mut SlowlogEntry;
    // Nothing fails from here on.
    let entry = SlowlogEntry {
        id,
        time_s: (core.clock.now_ms / 1000) as u64,
        amount,
        command: command.into_raw(),
        peer: sender.peer.into_raw(),
        name: sender.name.into_raw(),
    };
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(entry) };
    entries.push(Ptr::from_raw(place).address());
    while entries.len() > kept_max {
        let oldest = entries.remove(0);
        // SAFETY: an entry of the log, which is locked, and just taken out of it.
        unsafe { free(heap, oldest) };
    }
    log.next_id += 1;
}

/// An entry of the log, copied out of it.
pub struct Report {
    /// Unique; rises.
    pub id: u64,
    /// When the command ran, Unix seconds.
    pub time_s: u64,
    /// How long it took, in microseconds, or how large it was, in bytes.
    pub amount: u64,
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
            amount: entry.amount,
            args: Blob::decode(&entry.command).args().from(0).map(<[u8]>::to_vec).collect(),
            peer: bytes::slice(&entry.peer).to_vec(),
            name: bytes::slice(&entry.name).to_vec(),
        }
    }
}

/// The newest entries, `count` at most, the newest first.
pub fn newest(core: &Core, which: Log, count: usize) -> Vec<Report> {
    let log = which.locked(core);
    let addresses = vec::slice(&log.entries).iter().rev().take(count);
    // SAFETY: entries of the log live until they are taken out of it, with the lock held.
    addresses.map(|address| Report::of(unsafe { &*(*address as *const SlowlogEntry) })).collect()
}

/// How many entries there are.
pub fn len(core: &Core, which: Log) -> usize {
    which.locked(core).entries.len as usize
}

/// Removes all entries.
pub fn clear(core: &Core, which: Log) {
    let mut log = which.locked(core);
    let mut entries = Words::new(&mut log.entries, core.heap);
    while let Some(address) = entries.pop() {
        // SAFETY: as in `add`.
        unsafe { free(core.heap, address) };
    }
    entries.free();
}

/// Frees an entry.
///
/// # Safety
/// One lives at the address that the log owned, and nothing refers to it any more.
unsafe fn free(heap: Heap, address: u64) {
    // SAFETY: as the caller promises.
    unsafe {
        let entry = &mut *(address as *mut SlowlogEntry);
        for part in [&mut entry.command, &mut entry.peer, &mut entry.name] {
            Bytes::new(part, heap).free();
        }
        heap.free(address, size_of::<SlowlogEntry>());
    }
}
