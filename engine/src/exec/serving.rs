//! Serving: the lane that has made a key runs the commands of those who wait for it.
#![allow(unsafe_code, reason = "waits of other clients are reached through the queue of a key")]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::collections::VecDeque;

use abi::client::Client;
use abi::message::{Message, kind as message_kind};
use abi::ptr::Ptr;
use abi::wait::{Wait, Waiter, state, wakes_on};

use crate::exec::call::{call_served, count_error, keys_lock_set, look_up};
use crate::exec::context::{Ctx, Look, Mode};
use crate::exec::panics::{self, Unwound};
use crate::exec::thread::ThreadContext;
use crate::session::blocking::queue::{awaited_keys, first_waiter, unlink};
use crate::session::blocking::wait_of;
use crate::session::command_blob::Blob;
use crate::session::tracking::tell;
use crate::session::{clients, message};
use base::counters::add;
use base::hash::hash;
use base::lock::{ShardSet, set_of};
use base::notices::{Key, Ready, Whom};
use base::resp::write::Reply;
use base::running::About;
use keyspace::{Intent, Keys, Presence};
use value::entry::Entry;

/// Serves those who wait for keys that commands of this lane have changed, under the locks of the
/// last command and such as are needed beyond them.
#[cold]
pub fn serve_ready(thread: &mut ThreadContext) {
    // Serving may change further keys (BLMOVE): they are served in turn.
    let mut ready = VecDeque::from(thread.core.notices.take_ready());
    let mut put_off = Vec::new();
    while let Some(next) = ready.pop_front() {
        if !serve_key(thread, &next) {
            put_off.push(next);
        }
        ready.extend(thread.core.notices.take_ready());
    }
    // After the next command they are looked at again.
    put_off.into_iter().for_each(|ready| thread.core.notices.note_ready(ready));
}

/// Serves a client of this lane that should have been before, by a release that has left it
/// waiting. No shard is locked.
pub fn look_again(thread: &mut ThreadContext, client: &Client) {
    let Some(wait) = wait_of(client) else { return };
    let (value_type, wakes_on) = (wait.value_type, wait.wakes_on);
    thread.refresh();
    for key in awaited_keys(&mut thread.core, client) {
        thread.core.lock(set_of(hash(&key.name, thread.core.roots.seed)));
        let mut keys = Keys::new(&mut thread.core, key.db);
        // One whose time has come is for the next command to find.
        let is_over = keys.presence(&key.name) == Presence::Expired;
        let found = keys.entry(&key.name, Intent::Past).map(Entry::value_type);
        let is_there = found.map(u32::from) == Some(value_type) || wakes_on == wakes_on::ABSENCE;
        if is_there && !is_over && may_find_again(thread, wait, &key) {
            thread.core.notices.note_ready(Ready { key, whom: Whom::All });
            serve_ready(thread);
        }
        thread.core.unlock();
    }
}

/// Whether a waiter's command may find something in a key that it looks at again.
fn may_find_again(thread: &mut ThreadContext, wait: &Wait, key: &Key) -> bool {
    let blob = Blob::decode(&wait.command);
    let Ok(call) = look_up(&thread.exec.index, blob.args()) else { return false };
    let mut keys = Keys::new(&mut thread.core, key.db);
    call.spec.ready.is_none_or(|ready| ready(&mut keys, blob.args(), &key.name, Look::Again))
}

/// Serves the waiters of a key, oldest first, as long as the key holds what they wait for. False:
/// there was no memory to serve one, nor to tell it so.
fn serve_key(thread: &mut ThreadContext, ready: &Ready) -> bool {
    let key = &ready.key;
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
        while let Some((waiter, set)) = unsafe { servable(thread, hash, ready, candidate) } {
            if !thread.core.try_lock_also(set) {
                needed = set;
                continue 'locked;
            }
            // SAFETY: a linked waiter, and its shards are locked by now; its queue changes only
            // under this lock, and by what `serve` does to this waiter alone.
            unsafe {
                candidate = (*waiter).next.as_ptr();
                if !serve(thread, waiter, &key.name) {
                    return false;
                }
            }
        }
        return true;
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
    ready: &Ready,
    mut waiter: *mut Waiter,
) -> Option<(*mut Waiter, ShardSet)> {
    let key = &ready.key;
    let mut keys = Keys::new(&mut thread.core, key.db);
    let found = keys.entry(&key.name, Intent::Peek).map(Entry::value_type);
    let value_type = found.filter(|found| match ready.whom {
        Whom::All => true,
        Whom::Type(awaited) => awaited == *found,
        Whom::Nobody => false,
    });
    // SAFETY: as the caller promises: queues change under the lock of their shard only, and so do
    // their waiters.
    while let Some(candidate) = unsafe { waiter.as_ref() } {
        // SAFETY: the wait of a linked waiter lives until its owner has held the shard's lock, and
        // is referred to exclusively by nobody before that.
        let wait = unsafe { &*candidate.wait.as_ptr() };
        let is_there = value_type.is_some_and(|found| found as u32 == wait.value_type);
        if (is_there || wait.wakes_on == wakes_on::ABSENCE)
            && wait.state.load(Acquire) == state::WAITING
            && let Some(set) = serving_set(thread, wait, hash, &key.name)
        {
            return Some((waiter, set));
        }
        waiter = candidate.next.as_ptr();
    }
    None
}

/// The shards that a waiter's command needs when it is served with the key of a hash. None if
/// this release does not have the command, or it would find nothing.
fn serving_set(thread: &mut ThreadContext, wait: &Wait, hash: u64, key: &[u8]) -> Option<ShardSet> {
    let blob = Blob::decode(&wait.command);
    let call = look_up(&thread.exec.index, blob.args()).ok()?;
    if let Some(ready) = call.spec.ready {
        let mut keys = Keys::new(&mut thread.core, wait.db);
        keys.hint(key, hash);
        if !ready(&mut keys, blob.args(), key, Look::Changed) {
            return None;
        }
    }
    // Keys found by a single rule are alternatives: only the one that is ready is used. Another
    // rule finds what else the command touches: where it moves elements to.
    Some(match call.spec.keys {
        [_] => set_of(hash),
        _ => set_of(hash) | keys_lock_set(thread.core.roots.seed, &call, blob.args()),
    })
}

/// Runs a waiter's command with a key and posts the reply, or lets it go on waiting. Returns whether
/// others may be looked at: not if this one could not be served though its turn has come.
///
/// # Safety
/// The waiter is linked, and all shards of its command are locked by this lane.
unsafe fn serve(thread: &mut ThreadContext, waiter: *mut Waiter, key: &[u8]) -> bool {
    // SAFETY: as the caller promises; while it is linked, nobody frees the wait or refers to it
    // exclusively, and only its atomics change. It is linked until `unlink` below, and its owner
    // cannot go on before this lane unlocks the shard.
    let wait = unsafe { &*(*waiter).wait.as_ptr() };
    if wait.state.compare_exchange(state::WAITING, state::SERVING, AcqRel, Acquire).is_err() {
        return true;
    }
    let reply = match panics::caught(|| run_again(thread, wait, key)) {
        Ok(Some(reply)) => Some(reply.finish(message_kind::SERVE, detail_of(wait))),
        Ok(None) => {
            put_off(thread, wait);
            return true;
        }
        Err(unwound) => give_up(thread, wait, &unwound),
    };
    let Some(reply) = reply else {
        put_off(thread, wait);
        return false;
    };
    let client = wait.client;
    // The wait is its owner's alone from then on, but for its place in the queue.
    wait.state.store(state::SERVED, Release);
    thread.core.host.post()(client, reply);
    // SAFETY: it is still linked, this lane has its shard locked, and no reference to a waiter or
    // queue is in use here.
    unsafe { unlink(&mut thread.core, waiter) };
    true
}

/// Of a message that ends a wait.
fn detail_of(wait: &Wait) -> u64 {
    (&raw const *wait) as u64
}

/// Runs the command of a wait with a key, on behalf of its client. Its reply, unless it goes on
/// waiting.
fn run_again(thread: &mut ThreadContext, wait: &Wait, key: &[u8]) -> Option<message::Draft> {
    let blob = Blob::decode(&wait.command);
    let call = look_up(&thread.exec.index, blob.args()).ok()?;
    let mut reply = message::Draft::new(thread.core.heap);
    let (shards, db) = (thread.core.locked(), wait.db);
    let about = About { client: wait.client, slot: call.slot, db, shards, hashes: &[] };
    thread.core.running.begin(&about);
    let out = Reply::new(reply.text(), thread.core.heap, wait.resp == 3);
    let keys = Keys::new(&mut thread.core, db);
    let mut cx = Ctx::new(keys, out, call.spec, Mode::Serving(key));
    cx.keys.core.is_serving = true;
    call_served(&mut cx, &call, blob.args(), wait.client);
    cx.keys.core.is_serving = false;
    cx.keys.core.effects.flush();
    // Before the client hears of it.
    cx.keys.core.effects.pay();
    cx.keys.core.running.end();
    (cx.mode != Mode::NotServed).then_some(reply)
}

/// Ends a command that was broken off on behalf of a waiting client. The error that is its reply;
/// none if there is no memory for that, and it goes on waiting.
#[cold]
fn give_up(thread: &mut ThreadContext, wait: &Wait, unwound: &Unwound) -> Option<Ptr<Message>> {
    let ThreadContext { core, exec, .. } = thread;
    core.running.end();
    core.is_serving = false;
    if matches!(unwound, Unwound::Panic(_)) {
        tell::doubt(core);
    }
    // What it has done is among the effects, as what its keys have become.
    core.effects.break_off();
    core.effects.flush();
    core.effects.pay();
    let blob = Blob::decode(&wait.command);
    let call = look_up(&exec.index, blob.args()).ok();
    exec.panics.tell_contained(core, unwound, |core| {
        let command = panics::command(core, call.map(|call| call.slot));
        format!("{command}, served on behalf of {}", clients::name(core, wait.client))
    });
    let error = unwound.error();
    let text = [b"-", error.text(), b"\r\n"].concat();
    let detail = detail_of(wait);
    let reply = message::try_allocate(core.heap, message_kind::SERVE, &text, &[], detail, 1)?;
    if let Some(call) = call {
        // It was counted as a call when its client began to wait.
        add(&call.stat.failed, 1);
    }
    count_error(core, &error);
    Some(reply)
}

/// Lets the client go on waiting. Its owner may have tried to end the wait meanwhile: the message
/// makes it try again. Without memory for one it tries again by itself.
fn put_off(thread: &ThreadContext, wait: &Wait) {
    let message = message::try_allocate(thread.core.heap, message_kind::WAKE, &[], &[], 0, 1);
    let client = wait.client;
    wait.state.store(state::WAITING, Release);
    if let Some(message) = message {
        thread.core.host.post()(client, message);
    }
}
