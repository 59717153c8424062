//! Waiting: how a client begins to wait, for keys or for anything else, and how it ends.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use abi::client::{Client, ClientGuarded, ClientShared, ClientState, flag};
use abi::container::RawBytes;
use abi::ptr::Ptr;
use abi::wait::{Wait, Waiter, kind, on_timeout, state, wakes_on};

use super::queue::{enqueue, lock_set, unlink};
use super::{Awaited, timeout_reply};
use crate::session::{self, command_blob};
use base::args::Args;
use base::bytes::Bytes;
use base::clock::Clock;
use base::core::{Core, SHARD_RETRY_MS};
use base::heap::or_undo;
use base::lock::set_of;
use base::resp::write::Reply;
use keyspace::Keys;

/// A command that is to be run again when one of its keys is ready.
pub(crate) struct Keyed<'a> {
    /// Database of the keys.
    pub db: u32,
    /// The keys, whose shards are locked.
    pub keys: Vec<&'a [u8]>,
    /// The whole command.
    pub args: Args<'a>,
    /// What is waited for.
    pub awaited: Awaited,
    /// Whether the reply is in RESP3.
    pub resp3: bool,
}

/// Makes a client wait for keys. Where memory runs out it does not wait, and nobody finds it in a
/// queue.
pub(crate) fn block(core: &mut Core, client: &mut ClientState, mut keyed: Keyed<'_>) {
    keyed.keys.sort_unstable();
    keyed.keys.dedup();
    let wait = new_keyless(core, client, kind::KEYS, keyed.resp3);
    or_undo(
        core,
        // SAFETY: a new wait, of which nobody else knows.
        |core| unsafe { wait_for(core, wait, &keyed) },
        // SAFETY: the client does not have it yet; this lane holds its shards.
        |core| unsafe { free(core, wait) },
    );
    client.deadline_ms = keyed.awaited.deadline.unwrap_or(0) as u64;
    begin(core, client, wait);
}

/// Puts a new wait into the queues of keys.
///
/// # Safety
/// The wait lives, and nobody else knows of it.
unsafe fn wait_for(core: &mut Core, wait: Ptr<Wait>, keyed: &Keyed<'_>) {
    let heap = core.heap;
    // SAFETY: nobody else knows of it before its first waiter is in a queue, and the reference ends
    // here.
    unsafe {
        let raw = &mut *wait.as_ptr();
        (raw.db, raw.value_type) = (keyed.db, keyed.awaited.value_type as u32);
        raw.on_timeout = on_timeout::NULL_ARRAY;
        raw.wakes_on = keyed.awaited.wakes_on;
        raw.deadline_ms = keyed.awaited.deadline.unwrap_or(0) as u64;
        command_blob::append(&mut Bytes::new(&mut raw.command, heap), keyed.args);
        let bytes = keyed.keys.len() * size_of::<Waiter>();
        raw.waiters = Ptr::new(heap.alloc(bytes));
        // All zeros: a waiter in no queue.
        raw.waiters.as_ptr().write_bytes(0, keyed.keys.len());
        raw.key_count = keyed.keys.len() as u32;
    }
    let mut keys = Keys::new(core, keyed.db);
    for (index, key) in keyed.keys.iter().enumerate() {
        // SAFETY: it has a waiter for each key, in no queue so far; from now on nobody refers to it
        // exclusively before `free` has taken all of them out.
        unsafe { enqueue(&mut keys, wait, index, key) };
    }
}

/// Puts a client into a wait.
pub(crate) fn begin(core: &Core, client: &mut ClientState, wait: Ptr<Wait>) {
    set_wait(core, client, wait);
    client.flags.fetch_or(flag::BLOCKED, Relaxed);
    core.roots.shared().blocked_clients.fetch_add(1, Relaxed);
}

/// Sets what a client waits for, for its owner and for others.
fn set_wait(core: &Core, client: &mut ClientState, wait: Ptr<Wait>) {
    client.wait = wait;
    client.guarded.lock(core.locker()).wait = wait;
}

/// Makes a client wait until a deadline, or until it is unblocked, for nothing.
pub(crate) fn sleep(
    core: &Core,
    client: &mut ClientState,
    deadline: Option<i64>,
    on_timeout: u32,
    resp3: bool,
) {
    let wait = new_keyless(core, client, kind::SLEEP, resp3);
    let deadline_ms = deadline.unwrap_or(0) as u64;
    // SAFETY: a new wait, of which nobody else knows.
    unsafe {
        (*wait.as_ptr()).on_timeout = on_timeout;
        (*wait.as_ptr()).deadline_ms = deadline_ms;
    }
    client.deadline_ms = deadline_ms;
    begin(core, client, wait);
}

/// A wait without keys: for the control thread, or for time.
pub(crate) fn new_keyless(core: &Core, client: &ClientShared, kind: u32, resp3: bool) -> Ptr<Wait> {
    let wait = Wait {
        state: state::WAITING.into(),
        kind,
        client: client.reference(),
        resp: if resp3 { 3 } else { 2 },
        db: 0,
        value_type: 0,
        on_timeout: on_timeout::NULL,
        key_count: 0,
        wakes_on: wakes_on::VALUE,
        waiters: Ptr::NULL,
        command: RawBytes::EMPTY,
        since_ns: core.host.monotonic_ns()(),
        deadline_ms: 0,
        reserved: [0; 3],
    };
    allocate(core, wait)
}

fn allocate(core: &Core, wait: Wait) -> Ptr<Wait> {
    let place = core.heap.alloc(size_of::<Wait>()) as *mut Wait;
    // SAFETY: a new allocation of the struct's size, aligned to 8.
    unsafe { place.write(wait) };
    Ptr::from_raw(place)
}

/// What came of trying to end a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It has ended: the client is owed a reply.
    Ended,
    /// Its command is being run right now, by somebody who holds all locks that it takes: it will
    /// be served, or go on.
    Undecided,
    /// Somebody else has ended it.
    Over,
}

/// Ends a wait, if nobody has: what a deadline, a disconnect or `CLIENT UNBLOCK` does.
pub fn end(wait: &Wait) -> Ending {
    match wait.state.compare_exchange(state::WAITING, state::ENDED, AcqRel, Acquire) {
        Ok(_) => Ending::Ended,
        Err(state::SERVING) => Ending::Undecided,
        Err(_) => Ending::Over,
    }
}

/// What a client waits for.
pub(crate) fn wait_of(client: &ClientState) -> Option<&Wait> {
    // SAFETY: a blocked client's wait lives until its owner frees it, who needs the client
    // exclusively for that. Until then nobody refers to it exclusively.
    unsafe { client.wait.as_ptr().as_ref() }
}

/// Whether a client, whose part for others is locked, waits until a deadline at most.
pub fn has_deadline(guarded: &ClientGuarded) -> bool {
    // SAFETY: a wait is taken off its client under the lock that is held, and freed after.
    let wait = unsafe { guarded.wait.as_ptr().as_ref() };
    wait.is_some_and(|wait| wait.deadline_ms != 0)
}

/// Ends a client's wait without a reply. False: somebody has ended it, and the reply is under way.
pub fn give_up(core: &mut Core, client: &mut Client) -> bool {
    let Some(wait) = wait_of(client) else { return true };
    let ended = end(wait) == Ending::Ended;
    if ended {
        finish(core, client);
    }
    ended
}

/// Ends a client's wait with a reply, if it wants replies. As [`finish`].
pub fn finish_with(core: &mut Core, client: &mut Client, write: impl FnOnce(&mut Reply<'_>)) {
    let (mut out, session) = session::split(client, core.heap);
    if !session.has(flag::REPLY_OFF | flag::REPLY_SKIP) {
        write(&mut out);
    }
    finish(core, client);
}

/// Ends a client's wait: it may run again. The shards of its keys are locked, or none are.
pub fn finish(core: &mut Core, client: &mut Client) {
    leave(core, client);
    if !client.input.is_empty() {
        client.flags.fetch_or(flag::MORE_INPUT, Relaxed);
    }
}

/// Takes a wait off its client and frees it. The shards of its keys are locked, or none are.
pub(crate) fn leave(core: &mut Core, client: &mut ClientState) {
    let wait = client.wait;
    set_wait(core, client, Ptr::NULL);
    client.deadline_ms = 0;
    client.flags.fetch_and(!(flag::BLOCKED | flag::REPLY_SKIP), Relaxed);
    core.roots.shared().blocked_clients.fetch_sub(1, Relaxed);
    // SAFETY: a blocked client's wait is live, and only its owner, this lane, frees it.
    unsafe { free(core, wait) };
}

/// Frees a wait with its waiters, which are taken out of their queues. Shards that this lane does
/// not hold already it locks one after the other.
///
/// # Safety
/// Only this lane frees it, and no client refers to it.
unsafe fn free(core: &mut Core, wait: Ptr<Wait>) {
    // SAFETY: as the caller promises. While waiters are in their queues whoever has a shard locked
    // may look at the wait: so no reference is made to it before all of them are out, from when on
    // nobody can reach it. Each is taken out under the lock of its shard.
    unsafe {
        let raw = wait.as_ptr();
        let (waiters, count) = ((*raw).waiters, (*raw).key_count as usize);
        for index in 0..count {
            let waiter = waiters.as_ptr().add(index);
            let needed = set_of((*waiter).hash);
            let held = core.locked() & needed != 0;
            if !held {
                core.lock(needed);
            }
            unlink(core, waiter);
            if !held {
                core.unlock();
            }
        }
        if count > 0 {
            core.heap.free(waiters.address(), count * size_of::<Waiter>());
        }
        Bytes::new(&mut (*raw).command, core.heap).free();
        core.heap.free(wait.address(), size_of::<Wait>());
    }
}

/// What a blocked client is told when nobody serves it in time: one of `abi::wait::on_timeout`.
pub fn on_timeout_of(client: &Client) -> u32 {
    wait_of(client).map_or(on_timeout::NULL, |wait| wait.on_timeout)
}

/// Ends a client's wait with the reply of a timeout, unless somebody is serving it right now. While
/// others hold shards of its keys for long it goes on.
pub fn time_out(core: &mut Core, client: &mut Client) {
    if !core.lock_soon(lock_set(client)) {
        client.deadline_ms = (Clock::read(core.host).now_ms + SHARD_RETRY_MS) as u64;
        return;
    }
    if let Some(wait) = wait_of(client)
        && end(wait) == Ending::Ended
    {
        let what = wait.on_timeout;
        finish_with(core, client, |out| timeout_reply(out, what));
    }
    core.unlock();
}
