//! What logic hangs on clients.

use std::collections::HashSet;

use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;

use abi::client::{
    Client, ClientBlock, ClientGuarded, ClientShared, MultiState, Subscription, Subscriptions, flag,
};
use abi::container::{RawBytes, RawTable, RawVec};
use abi::ptr::Ptr;
use abi::wait::{Wait, Waiter, kind as wait_kind, state};

use super::part;
use base::roots::Roots;
use base::vec;
use base::walk::{About, Walker};
use store::named;

/// Walks over what clients have that the shell has found to be whole. Returns the places in queues of
/// those that wait, by their addresses.
pub fn walk(walker: &mut Walker<'_>, roots: Roots) -> HashSet<u64> {
    let mut waiters = HashSet::new();
    // SAFETY: nobody else runs, so it is of no account who has it locked.
    let slots = unsafe { &*roots.clients().slots.as_ptr() };
    for address in vec::slice(slots).iter().filter(|address| **address != 0) {
        let block = address - offset_of!(ClientBlock, shared) as u64;
        // SAFETY: the shell has claimed the client, and nobody else runs.
        let client = unsafe { &mut *(block as *mut Client) };
        let about = About::Client(client.id);
        let mut own = HashSet::new();
        let check = |walker: &mut Walker<'_>, client: &Client| {
            check_client(walker, roots, client, &mut own);
        };
        if part(walker, about, client, check, forget) {
            waiters.extend(own);
        }
    }
    waiters
}

/// What a client owns that is in its own part, and what is in the other.
fn check_client(
    walker: &mut Walker<'_>,
    roots: Roots,
    client: &Client,
    waiters: &mut HashSet<u64>,
) {
    walker.claim_words("found arguments", &client.parse.spans);
    walker.claim_bytes("exchange", &client.exchange);
    check_guarded(walker, client);
    let multi = client.multi.address();
    if multi != 0 && walker.claim("transaction", multi, size_of::<MultiState>()) {
        // SAFETY: just claimed with the size of the struct, any bytes of which are one.
        walker.claim_bytes("queued commands", &unsafe { &*client.multi.as_ptr() }.commands);
    }
    let subscriptions = client.subscriptions.address();
    if subscriptions != 0
        && walker.claim("subscriptions", subscriptions, size_of::<Subscriptions>())
    {
        // SAFETY: as above.
        let Subscriptions { channels, patterns, shard_channels } =
            unsafe { &*client.subscriptions.as_ptr() };
        for table in [channels, patterns, shard_channels] {
            check_names(walker, roots, table);
        }
    }
    let wait = client.wait.address();
    if wait != 0 && walker.claim("wait", wait, size_of::<Wait>()) {
        // SAFETY: as above.
        check_wait(walker, unsafe { &*client.wait.as_ptr() }, waiters);
    }
}

fn check_names(walker: &mut Walker<'_>, roots: Roots, table: &RawTable) {
    named::check::<Subscription>(table, walker, roots.seed, &mut |_, _| {});
}

fn check_guarded(walker: &mut Walker<'_>, client: &ClientShared) {
    // SAFETY: nobody else runs, so it is of no account who has it locked.
    let ClientGuarded { name, lib_name, lib_version, user, wait: _, watches } =
        unsafe { &*client.guarded.as_ptr() };
    for text in [name, lib_name, lib_version, user] {
        walker.claim_bytes("text of a client", text);
    }
    walker.claim_words("watches", watches);
}

fn check_wait(walker: &mut Walker<'_>, wait: &Wait, waiters: &mut HashSet<u64>) {
    walker.claim_bytes("command that waits", &wait.command);
    let count = wait.key_count as usize;
    let first = wait.waiters.address();
    if count == 0 || !walker.claim("places in queues", first, count * size_of::<Waiter>()) {
        return;
    }
    waiters.extend((0..count).map(|index| first + (index * size_of::<Waiter>()) as u64));
}

/// Has a client own nothing any more, and be closed.
fn forget(client: &mut Client) {
    client.flags.fetch_or(flag::KILLED, Relaxed);
    client.parse.spans = RawVec::EMPTY;
    (client.parse.arguments, client.parse.found, client.parse.offset) = (0, 0, 0);
    client.exchange = RawBytes::EMPTY;
    client.multi = Ptr::NULL;
    client.subscriptions = Ptr::NULL;
    client.wait = Ptr::NULL;
    // SAFETY: nobody else runs.
    let guarded = unsafe { &mut *client.guarded.as_ptr() };
    let ClientGuarded { name, lib_name, lib_version, user, wait, watches } = guarded;
    for text in [name, lib_name, lib_version, user] {
        *text = RawBytes::EMPTY;
    }
    (*wait, *watches) = (Ptr::NULL, RawVec::EMPTY);
    client.watch_count.store(0, Relaxed);
}

/// Calls `f` with the owner's part of each client.
///
/// # Safety
/// No worker has clients yet: nobody refers to one.
pub unsafe fn for_each_owner(roots: Roots, f: &mut dyn FnMut(&mut Client)) {
    // SAFETY: nobody adds or takes out clients meanwhile.
    let slots = unsafe { &*roots.clients().slots.as_ptr() };
    let all: Vec<u64> = vec::slice(slots).iter().copied().filter(|slot| *slot != 0).collect();
    for address in all {
        // SAFETY: a client of the table, to which nobody else refers, as the caller promises.
        f(unsafe { &mut *((address - offset_of!(ClientBlock, shared) as u64) as *mut Client) });
    }
}

/// Whether a client waits for what will not come any more: for what a thread of the server that ended
/// had to do, or for keys in whose queues it is not.
pub fn waits_in_vain(client: &Client) -> bool {
    // SAFETY: a blocked client's wait lives until its owner frees it.
    let Some(wait) = (unsafe { client.wait.as_ptr().as_ref() }) else {
        return client.flags.load(Relaxed) & flag::BLOCKED != 0;
    };
    let is_in_queues = (0..wait.key_count as usize).all(|index| {
        // SAFETY: it has so many waiters.
        !unsafe { &*wait.waiters.as_ptr().add(index) }.key.is_null()
    });
    wait.kind == wait_kind::ADMIN || wait.state.load(Relaxed) != state::WAITING || !is_in_queues
}
