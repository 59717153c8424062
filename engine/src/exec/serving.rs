//! Serving: the lane that has made a key runs the commands of those who wait for it.
#![allow(unsafe_code, reason = "waits of other clients are reached through the queue of a key")]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::collections::VecDeque;

use abi::container::RawBuffer;
use abi::host::HostRef;
use abi::message::{Message, kind as message_kind};
use abi::ptr::Ptr;
use abi::wait::{Wait, Waiter, state, wakes_on};

use crate::exec::call::{call_served, keys_lock_set, look_up};
use crate::exec::context::{Ctx, Mode};
use crate::exec::thread::ThreadContext;
use crate::session::blocking::queue::{first_waiter, unlink};
use crate::session::command_blob::Blob;
use crate::session::message;
use base::args::Args;
use base::hash::hash;
use base::heap::Heap;
use base::lock::{ShardSet, set_of};
use base::notices::Key;
use base::resp::write::Reply;
use keyspace::{Intent, Keys};
use value::entry::Entry;

/// Serves those who wait for keys that commands of this lane have changed, under the locks of the
/// last command and such as are needed beyond them.
#[cold]
pub fn serve_ready(thread: &mut ThreadContext) {
    // Serving may change further keys (BLMOVE): they are served in turn.
    let mut ready = VecDeque::from(thread.core.notices.take_ready());
    while let Some(key) = ready.pop_front() {
        serve_key(thread, &key);
        ready.extend(thread.core.notices.take_ready());
    }
}

/// Serves the waiters of a key, oldest first, as long as the key holds what they wait for.
fn serve_key(thread: &mut ThreadContext, key: &Key) {
    let hash = hash(&key.name, thread.core.roots.seed);
    let mut needed = set_of(hash);
    'locked: loop {
        if !thread.core.try_lock_also(needed) {
            thread.core.unlock();
            thread.core.lock(needed);
        }
        let mut candidate = first_waiter(&mut thread.core, key.db, hash, &key.name);
        // SAFETY: a waiter of the key's queue, or null, and the key's shard has been locked since
        // it was read there.
        while let Some((waiter, set)) = unsafe { servable(thread, hash, key, candidate) } {
            if !thread.core.try_lock_also(set) {
                needed = set;
                continue 'locked;
            }
            // SAFETY: a linked waiter, and its shards are locked by now; its queue changes only
            // under this lock, and by what `serve` does to this waiter alone.
            unsafe {
                candidate = (*waiter).next.as_ptr();
                serve(thread, waiter, &key.name);
            }
        }
        return;
    }
}

/// The first waiter of a key, from one on, that is to look at the key as it is now, and the shards
/// that its command needs.
///
/// # Safety
/// This lane has the key's shard locked, and the waiter is in the key's queue, or null.
unsafe fn servable(
    thread: &mut ThreadContext,
    hash: u64,
    key: &Key,
    mut waiter: *mut Waiter,
) -> Option<(*mut Waiter, ShardSet)> {
    let mut keys = Keys::new(&mut thread.core, key.db);
    let value_type = keys.entry(&key.name, Intent::Peek).map(Entry::value_type);
    // SAFETY: as the caller promises: queues change under the lock of their shard only, and so do
    // their waiters.
    while let Some(candidate) = unsafe { waiter.as_ref() } {
        // SAFETY: the wait of a linked waiter lives until its owner has held the shard's lock, and
        // is referred to exclusively by nobody before that.
        let wait = unsafe { &*candidate.wait.as_ptr() };
        let is_there = value_type.is_some_and(|found| found as u32 == wait.value_type);
        if (is_there || wait.wakes_on == wakes_on::ABSENCE)
            && wait.state.load(Acquire) == state::WAITING
            && let Some(set) = serving_set(thread, wait, hash)
        {
            return Some((waiter, set));
        }
        waiter = candidate.next.as_ptr();
    }
    None
}

/// The shards that a waiter's command needs when it is served with the key of a hash. None if
/// this release does not have the command.
fn serving_set(thread: &ThreadContext, wait: &Wait, hash: u64) -> Option<ShardSet> {
    let blob = Blob::decode(&wait.command);
    let call = look_up(&thread.exec.index, blob.args()).ok()?;
    // Keys found by a single rule are alternatives: only the one that is ready is used. Another
    // rule finds what else the command touches: where it moves elements to.
    Some(match call.spec.keys {
        [_] => set_of(hash),
        _ => set_of(hash) | keys_lock_set(thread.core.roots.seed, &call, blob.args()),
    })
}

/// Runs a waiter's command with a key and posts the reply, or lets it go on waiting.
///
/// # Safety
/// The waiter is linked, and all shards of its command are locked by this lane.
unsafe fn serve(thread: &mut ThreadContext, waiter: *mut Waiter, key: &[u8]) {
    // SAFETY: as the caller promises; while it is linked, nobody frees the wait or refers to it
    // exclusively, and only its atomics change. It is linked until `unlink` below, and its owner
    // cannot go on before this lane unlocks the shard.
    let wait = unsafe { &*(*waiter).wait.as_ptr() };
    if wait.state.compare_exchange(state::WAITING, state::SERVING, AcqRel, Acquire).is_err() {
        return;
    }
    let heap = thread.core.heap;
    let debt = Debt { wait, heap, host: thread.core.host };
    let blob = Blob::decode(&wait.command);
    let mut reply = message::Draft::new(heap);
    let served = run_again(thread, wait, blob.args(), key, reply.text());
    if served {
        debt.pay(reply);
        // SAFETY: it is still linked, this lane has its shard locked, and no reference to a waiter
        // or queue is in use here.
        unsafe { unlink(&mut thread.core, waiter) };
    } else {
        debt.put_off();
    }
}

/// Runs the command of a wait with a key, on behalf of its client. Tells whether it is served.
fn run_again(
    thread: &mut ThreadContext,
    wait: &Wait,
    args: Args<'_>,
    key: &[u8],
    output: &mut RawBuffer,
) -> bool {
    let Ok(call) = look_up(&thread.exec.index, args) else { return false };
    let out = Reply::new(output, thread.core.heap, wait.resp == 3);
    let keys = Keys::new(&mut thread.core, wait.db);
    let mut cx = Ctx::new(keys, out, call.spec, Mode::Serving(key));
    call_served(&mut cx, &call, args);
    cx.keys.core.effects.flush();
    // Before the client hears of it.
    cx.keys.core.effects.pay();
    cx.mode != Mode::NotServed
}

/// What a lane owes the client whose wait it has taken on: a reply, or that it goes on waiting.
/// Where a panic prevents both, the reply is an error, or without memory for it the wait goes on.
struct Debt<'a> {
    wait: &'a Wait,
    heap: Heap,
    host: HostRef,
}

impl Debt<'_> {
    fn pay(self, reply: message::Draft) {
        let detail = (&raw const *self.wait) as u64;
        self.serve(reply.finish(message_kind::SERVE, detail));
        core::mem::forget(self);
    }

    /// Posts a reply. The wait is its owner's alone from then on.
    fn serve(&self, message: Ptr<Message>) {
        let client = self.wait.client;
        self.wait.state.store(state::SERVED, Release);
        self.host.post()(client, message);
    }

    /// Lets the client go on waiting. Its owner may have tried to end the wait meanwhile: the
    /// message makes it try again.
    fn put_off(self) {
        let message = message::allocate(self.heap, message_kind::WAKE, &[], &[], 0, 1);
        let client = self.wait.client;
        self.wait.state.store(state::WAITING, Release);
        self.host.post()(client, message);
        core::mem::forget(self);
    }
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        let detail = (&raw const *self.wait) as u64;
        let text = b"-ERR internal error\r\n";
        match message::try_allocate(self.heap, message_kind::SERVE, text, &[], detail, 1) {
            Some(message) => self.serve(message),
            None => self.wait.state.store(state::WAITING, Release),
        }
    }
}
