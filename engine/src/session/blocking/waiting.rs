//! Waiting: how a client begins to wait, for keys or for anything else, and how it ends.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use abi::arena::Ptr;
use abi::client::{Client, ClientState, flag};
use abi::container::RawBytes;
use abi::wait::{Wait, Waiter, kind, on_timeout, state};

use super::queue::{enqueue, unlink};
use super::{Awaited, timeout_reply};
use crate::command::args::Args;
use crate::context::Ctx;
use crate::heap::or_undo;
use crate::keyspace::lock::set_of;
use crate::lane::Lane;
use crate::resp::write::Reply;
use crate::session::{self, Session, command_blob, guarded};
use crate::store::bytes::Bytes;

/// Makes the client of a command wait for keys, whose shards are locked. Where memory runs out it
/// does not wait, and nobody finds it in a queue.
pub(crate) fn block(cx: &mut Ctx<'_>, args: Args<'_>, keys: &[&[u8]], awaited: Awaited) {
    let mut distinct = keys.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let wait = new_keyless(cx.keys.lane, &cx.session, kind::KEYS, cx.out.resp3);
    or_undo(
        cx,
        |cx| wait_for(cx, wait, args, &distinct, awaited),
        // SAFETY: a new wait, which the client does not have yet; its shards are held.
        |cx| unsafe { free(cx.keys.lane, wait) },
    );
    let client = cx.session.client();
    client.deadline_ms = awaited.deadline.unwrap_or(0) as u64;
    begin(cx.keys.lane, client, wait);
}

/// Puts a new wait into the queues of keys.
fn wait_for(cx: &mut Ctx<'_>, wait: Ptr<Wait>, args: Args<'_>, keys: &[&[u8]], awaited: Awaited) {
    let heap = cx.keys.lane.heap;
    // SAFETY: a new wait, of which nobody else knows before its first waiter is in a queue.
    unsafe {
        let raw = &mut *wait.as_ptr();
        (raw.db, raw.value_type) = (cx.keys.db, awaited.value_type as u32);
        raw.on_timeout = on_timeout::NULL_ARRAY;
        command_blob::append(&mut Bytes::new(&mut raw.command, heap), args);
        let bytes = keys.len() * size_of::<Waiter>();
        raw.waiters = Ptr::new(heap.alloc(bytes));
        // All zeros: a waiter in no queue.
        raw.waiters.as_ptr().write_bytes(0, keys.len());
        raw.key_count = keys.len() as u32;
    }
    for (index, key) in keys.iter().enumerate() {
        enqueue(&mut cx.keys, wait, index, key);
    }
}

/// Puts a client into a wait.
pub(crate) fn begin(lane: &Lane, client: &mut ClientState, wait: Ptr<Wait>) {
    set_wait(lane, client, wait);
    client.flags.fetch_or(flag::BLOCKED, Relaxed);
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*lane.roots.shared()).blocked_clients.fetch_add(1, Relaxed) };
}

/// Sets what a client waits for, for its owner and for others.
fn set_wait(lane: &Lane, client: &mut ClientState, wait: Ptr<Wait>) {
    client.wait = wait;
    guarded::with(lane, client, |guarded| guarded.wait = wait);
}

/// Makes the client of a command wait until a deadline, or until it is unblocked, for nothing.
pub(crate) fn sleep(cx: &mut Ctx<'_>, deadline: Option<i64>, on_timeout: u32) {
    let lane = &mut *cx.keys.lane;
    let wait = new_keyless(lane, &cx.session, kind::SLEEP, cx.out.resp3);
    // SAFETY: a new wait, of which nobody else knows.
    unsafe { (*wait.as_ptr()).on_timeout = on_timeout };
    let client = cx.session.client();
    client.deadline_ms = deadline.unwrap_or(0) as u64;
    begin(lane, client, wait);
}

/// A wait without keys: for the control thread, or for time.
pub(crate) fn new_keyless(lane: &Lane, session: &Session<'_>, kind: u32, resp3: bool) -> Ptr<Wait> {
    let wait = Wait {
        state: state::WAITING.into(),
        kind,
        client: session.reference(),
        resp: if resp3 { 3 } else { 2 },
        db: 0,
        value_type: 0,
        on_timeout: on_timeout::NULL,
        key_count: 0,
        reserved0: 0,
        waiters: Ptr::NULL,
        command: RawBytes::EMPTY,
        since_ns: lane.host.monotonic_ns()(),
        reserved: [0; 4],
    };
    allocate(lane, wait)
}

fn allocate(lane: &Lane, wait: Wait) -> Ptr<Wait> {
    let place = lane.heap.alloc(size_of::<Wait>()) as *mut Wait;
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

/// Ends a client's wait without a reply. False: somebody has ended it, and the reply is under way.
pub fn give_up(lane: &mut Lane, client: &mut Client) -> bool {
    // SAFETY: a blocked client's wait is live until its owner, this lane, frees it.
    let Some(wait) = (unsafe { client.wait.as_ptr().as_ref() }) else { return true };
    let ended = end(wait) == Ending::Ended;
    if ended {
        finish(lane, client);
    }
    ended
}

/// Ends a client's wait with a reply, if it wants replies. As [`finish`].
pub fn finish_with(lane: &mut Lane, client: &mut Client, write: impl FnOnce(&mut Reply<'_>)) {
    let (mut out, session) = session::split(client, lane.heap);
    if !session.has(flag::REPLY_OFF | flag::REPLY_SKIP) {
        write(&mut out);
    }
    finish(lane, client);
}

/// Ends a client's wait: it may run again. No shard is locked.
pub fn finish(lane: &mut Lane, client: &mut Client) {
    leave(lane, client);
    if !client.input.is_empty() {
        client.flags.fetch_or(flag::MORE_INPUT, Relaxed);
    }
}

/// Takes a wait off its client and frees it. No shard is locked.
pub(crate) fn leave(lane: &mut Lane, client: &mut ClientState) {
    let wait = client.wait;
    set_wait(lane, client, Ptr::NULL);
    client.deadline_ms = 0;
    client.flags.fetch_and(!(flag::BLOCKED | flag::REPLY_SKIP), Relaxed);
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*lane.roots.shared()).blocked_clients.fetch_sub(1, Relaxed) };
    // SAFETY: a blocked client's wait is live, and only its owner, this lane, frees it.
    unsafe { free(lane, wait) };
}

/// Frees a wait with its waiters, which are taken out of their queues. Shards that this lane does
/// not hold already it locks one after the other.
///
/// # Safety
/// Only this lane frees it, and no client refers to it.
unsafe fn free(lane: &mut Lane, wait: Ptr<Wait>) {
    // SAFETY: as the caller promises. Once each waiter's shard has been locked and the waiter is
    // out of its queue, nobody can reach the wait.
    unsafe {
        let raw = &mut *wait.as_ptr();
        for index in 0..raw.key_count as usize {
            let waiter = raw.waiters.as_ptr().add(index);
            let needed = set_of((*waiter).hash);
            let held = lane.locks.held() & needed != 0;
            if !held {
                lane.locks.acquire(needed);
            }
            unlink(lane, waiter);
            if !held {
                lane.locks.release();
            }
        }
        if raw.key_count > 0 {
            let bytes = raw.key_count as usize * size_of::<Waiter>();
            lane.heap.free(raw.waiters.address(), bytes);
        }
        Bytes::new(&mut raw.command, lane.heap).free();
        lane.heap.free(wait.address(), size_of::<Wait>());
    }
}

/// Ends a client's wait with the reply of a timeout, unless somebody is serving it right now.
pub fn time_out(lane: &mut Lane, client: &mut Client) {
    // SAFETY: a blocked client's wait is live until its owner, this lane, frees it.
    let Some(wait) = (unsafe { client.wait.as_ptr().as_ref() }) else { return };
    if end(wait) != Ending::Ended {
        return;
    }
    let what = wait.on_timeout;
    finish_with(lane, client, |out| timeout_reply(out, what));
}
