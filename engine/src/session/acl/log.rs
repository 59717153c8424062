//! The log of what was refused.
#![allow(unsafe_code, reason = "entries lie in the arena, each by itself")]

use core::sync::atomic::Ordering::Relaxed;

use abi::acl::AclLogEntry;
use abi::client::ClientShared;
use abi::ptr::Ptr;

use super::{locked, state};
use crate::session::clients::{self, Fields};
use base::bytes::{self, Bytes, OwnedBytes};
use base::core::Core;
use base::heap::{Heap, if_room};
use base::settings::setting;
use base::vec::{self, Words};

/// How long after the last time the same again is the same entry.
const SAME_MS: u64 = 60_000;
/// Entries that are looked through for the same.
const LOOKED_AT: usize = 10;

/// Something that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// See [`abi::acl::reason`].
    pub reason: u32,
    /// See [`abi::acl::context`].
    pub context: u32,
    /// The command, key or channel.
    pub object: &'a [u8],
    /// The user's name.
    pub user: &'a [u8],
}

/// Counts and logs what was refused to a client of this lane. Where memory runs out it is not logged.
#[cold]
pub fn refused(core: &Core, client: &ClientShared, what: Refused<'_>) {
    state(core.roots).refused[what.reason as usize].fetch_add(1, Relaxed);
    if_room(|| remember(core, client, what));
}

/// How often something was refused for a reason of [`abi::acl::reason`].
pub fn refused_times(core: &Core, reason: u32) -> u64 {
    state(core.roots).refused[reason as usize].load(Relaxed)
}

/// Counts anew what is refused.
pub fn reset_counters(core: &Core) {
    state(core.roots).refused.iter().for_each(|counter| counter.store(0, Relaxed));
}

fn remember(core: &Core, client: &ClientShared, what: Refused<'_>) {
    let heap = core.heap;
    let line = clients::describe_own(core, client, false, Fields::Redis7);
    let now = core.clock.now_ms as u64;
    let [object, user, line] =
        [what.object, what.user, line.as_bytes()].map(|text| OwnedBytes::of(text, heap));
    let mut acl = locked(core);
    let kept_max = core.get(setting::ACLLOG_MAX_LEN) as usize;
    let next_id = acl.next_log_id;
    let mut entries = Words::new(&mut acl.log, heap);
    let looked_at = entries.len().saturating_sub(LOOKED_AT)..entries.len();
    for at in looked_at.rev() {
        let address = entries.as_slice()[at];
        // SAFETY: an entry of the log, which is locked, and nobody else refers to it.
        let entry = unsafe { &mut *(address as *mut AclLogEntry) };
        if is_same(entry, what, &object, &user, now) {
            (entry.count, entry.updated_ms) = (entry.count + 1, now);
            Bytes::new(&mut entry.client, heap).free();
            entry.client = line.into_raw();
            // It is the newest again.
            entries.remove(at);
            entries.push(address);
            return;
        }
    }
    entries.reserve(1);
    let place = heap.alloc(size_of::<AclLogEntry>()) as *mut AclLogEntry;
    // Nothing fails from here on.
    let entry = AclLogEntry {
        id: next_id,
        count: 1,
        created_ms: now,
        updated_ms: now,
        reason: what.reason,
        context: what.context,
        object: object.into_raw(),
        user: user.into_raw(),
        client: line.into_raw(),
    };
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(entry) };
    entries.push(Ptr::from_raw(place).address());
    while entries.len() > kept_max {
        let oldest = entries.remove(0);
        // SAFETY: an entry of the log, which is locked, and just taken out of it.
        unsafe { free(heap, oldest) };
    }
    acl.next_log_id = next_id + 1;
}

fn is_same(
    entry: &AclLogEntry,
    what: Refused<'_>,
    object: &OwnedBytes,
    user: &OwnedBytes,
    now: u64,
) -> bool {
    (entry.reason, entry.context) == (what.reason, what.context)
        && now.saturating_sub(entry.updated_ms) <= SAME_MS
        && bytes::slice(&entry.object) == object.as_slice()
        && bytes::slice(&entry.user) == user.as_slice()
}

/// An entry of the log, copied out of it.
pub struct Report {
    /// Unique; rises.
    pub id: u64,
    /// How often.
    pub count: u64,
    /// The first time, Unix ms.
    pub created_ms: u64,
    /// The last time, Unix ms.
    pub updated_ms: u64,
    /// See [`abi::acl::reason`].
    pub reason: u32,
    /// See [`abi::acl::context`].
    pub context: u32,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// The user's name.
    pub user: Vec<u8>,
    /// The client, as it was the last time.
    pub client: Vec<u8>,
}

impl Report {
    fn of(entry: &AclLogEntry) -> Self {
        Self {
            id: entry.id,
            count: entry.count,
            created_ms: entry.created_ms,
            updated_ms: entry.updated_ms,
            reason: entry.reason,
            context: entry.context,
            object: bytes::slice(&entry.object).to_vec(),
            user: bytes::slice(&entry.user).to_vec(),
            client: bytes::slice(&entry.client).to_vec(),
        }
    }
}

/// The newest entries, `count` at most, the newest first.
pub fn newest(core: &Core, count: usize) -> Vec<Report> {
    let acl = locked(core);
    let addresses = vec::slice(&acl.log).iter().rev().take(count);
    // SAFETY: entries of the log live until they are taken out of it, with the lock held.
    addresses.map(|address| Report::of(unsafe { &*(*address as *const AclLogEntry) })).collect()
}

/// Removes all entries.
pub fn clear_log(core: &Core) {
    let mut acl = locked(core);
    let mut entries = Words::new(&mut acl.log, core.heap);
    while let Some(address) = entries.pop() {
        // SAFETY: as in `remember`.
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
        let entry = &mut *(address as *mut AclLogEntry);
        for part in [&mut entry.object, &mut entry.user, &mut entry.client] {
            Bytes::new(part, heap).free();
        }
        heap.free(address, size_of::<AclLogEntry>());
    }
}
