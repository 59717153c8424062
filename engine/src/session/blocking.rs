//! Blocking: a client waits for a key, and whoever makes the key serves it.
//!
//! A blocked client leaves a `Wait` with its command, and a `Waiter` in the queue of each key.
//! When a key comes into being, the lane that made it runs the oldest waiter's command again, on
//! that client's behalf, and posts the reply. So elements go from pusher to waiter without a
//! moment in which anybody else could see them, and in the order in which clients came.
//!
//! Invariants:
//! - Whoever moves `Wait::state` away from WAITING owes the client its reply: the serving lane, or
//!   the owner (deadline, disconnect), or `CLIENT UNBLOCK`.
//! - A waiter is in its key's queue exactly while `Waiter::key` is not null, under the shard lock.
//! - Only the owner frees a wait, after it has held the shard lock of each of its waiters.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use abi::arena::Ptr;
use abi::client::{Client, flag};
use abi::container::{RawBuffer, RawBytes, RawTable};
use abi::message::kind as message_kind;
use abi::wait::{BlockedKey, Wait, Waiter, kind, on_timeout, state};

use crate::command::args::Args;
use crate::command::dispatch;
use crate::context::{Ctx, Mode};
use crate::keyspace::Keys;
use crate::keyspace::hash::hash;
use crate::keyspace::lock::{ShardSet, set_of, shard_of};
use crate::lane::{Lane, ReadyKey};
use crate::resp::write::Reply;
use crate::session::command_blob::{self, Blob};
use crate::session::{self, Session, message};
use crate::store::bytes::Bytes;
use crate::store::table::{Table, TableRef};

/// What a client waits for, and what it is told if it waits in vain.
#[derive(Clone, Copy)]
pub struct Awaited {
    /// One of `abi::keyspace::value_type`.
    pub value_type: u8,
    /// Unix time in ms when it has waited long enough.
    pub deadline: Option<i64>,
    /// One of `abi::wait::on_timeout`: the reply where it must not wait, in a transaction.
    pub without_waiting: u32,
}

impl Awaited {
    /// Waits for a value of a type. The reply in vain is a null array.
    pub fn value(value_type: u8, deadline: Option<i64>) -> Self {
        Self { value_type, deadline, without_waiting: on_timeout::NULL_ARRAY }
    }

    /// Where it must not wait the reply is a null. One that has waited in vain has a null array
    /// all the same.
    pub fn or_null(self) -> Self {
        Self { without_waiting: on_timeout::NULL, ..self }
    }
}

/// The reply of a wait in vain.
pub fn timeout_reply(out: &mut Reply<'_>, what: u32) {
    match what {
        on_timeout::NULL => out.null(),
        _ => out.null_array(),
    }
}

fn key_of<'a>(blocked: &BlockedKey) -> &'a [u8] {
    let start = (&raw const *blocked).wrapping_add(1).cast::<u8>();
    // SAFETY: the key's bytes follow the struct in the same allocation.
    unsafe { core::slice::from_raw_parts(start, blocked.key_len as usize) }
}

/// The item of a table of blocked keys.
///
/// # Safety
/// The address is that of an item, its shard is locked, and no other reference to it is used.
unsafe fn item<'a>(address: u64) -> &'a mut BlockedKey {
    // SAFETY: as the caller promises.
    unsafe { &mut *(address as *mut BlockedKey) }
}

fn find(blocked: &RawTable, db: u32, hash: u64, key: &[u8]) -> Option<u64> {
    let is_key = |address| {
        // SAFETY: an item of the table, whose shard the caller has locked.
        let item = unsafe { item(address) };
        item.db == db && key_of(item) == key
    };
    TableRef::new(blocked).find(hash, is_key).map(|slot| slot.address())
}

/// Whether somebody waits for a key. Its shard is locked.
pub fn is_awaited(blocked: &RawTable, db: u32, hash: u64, key: &[u8]) -> bool {
    find(blocked, db, hash, key).is_some()
}

/// Makes the client of a command wait for keys, whose shards are locked.
pub(crate) fn block(cx: &mut Ctx<'_>, args: Args<'_>, keys: &[&[u8]], awaited: Awaited) {
    let mut distinct: Vec<&[u8]> = Vec::with_capacity(keys.len());
    for key in keys {
        if !distinct.contains(key) {
            distinct.push(key);
        }
    }
    let wait = new_wait(cx, args, distinct.len(), awaited);
    for (index, key) in distinct.iter().enumerate() {
        enqueue(&mut cx.keys, wait, index, key);
    }
    let client = cx.session.client();
    client.deadline_ms = awaited.deadline.unwrap_or(0) as u64;
    begin(cx.keys.lane, client, wait);
}

/// Puts a client into a wait.
pub(crate) fn begin(lane: &Lane, client: &mut Client, wait: Ptr<Wait>) {
    client.wait = wait;
    client.flags.fetch_or(flag::BLOCKED, Relaxed);
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*lane.roots.shared()).blocked_clients.fetch_add(1, Relaxed) };
}

fn new_wait(cx: &mut Ctx<'_>, args: Args<'_>, keys: usize, awaited: Awaited) -> Ptr<Wait> {
    let heap = cx.keys.lane.heap;
    let command = command_blob::encode(heap, args);
    let waiters = heap.alloc(keys * size_of::<Waiter>());
    let wait = Wait {
        state: state::WAITING.into(),
        kind: kind::KEYS,
        client: cx.session.reference(),
        resp: if cx.out.resp3 { 3 } else { 2 },
        db: cx.keys.db,
        value_type: awaited.value_type as u32,
        on_timeout: on_timeout::NULL_ARRAY,
        key_count: keys as u32,
        reserved0: 0,
        waiters: Ptr::new(waiters),
        command,
        since_ns: cx.keys.lane.host.monotonic_ns()(),
        reserved: [0; 4],
    };
    allocate(cx.keys.lane, wait)
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

/// Appends waiter `index` of a wait to a key's queue.
fn enqueue(keys: &mut Keys<'_>, wait: Ptr<Wait>, index: usize, key: &[u8]) {
    let (hash, heap, db) = (keys.hash(key), keys.lane.heap, keys.db);
    let shard = keys.shard(hash);
    // SAFETY: the shard is locked by this lane.
    let table = unsafe { &mut (*shard).blocked };
    let address = find(table, db, hash, key).unwrap_or_else(|| {
        let address = heap.alloc(size_of::<BlockedKey>() + key.len());
        let fresh = BlockedKey {
            head: Ptr::NULL,
            tail: Ptr::NULL,
            count: 0,
            db,
            key_len: key.len() as u32,
            reserved: 0,
        };
        let place = address as *mut BlockedKey;
        // SAFETY: a new allocation with room for the struct and the key behind it.
        unsafe {
            place.write(fresh);
            core::ptr::copy_nonoverlapping(key.as_ptr(), place.add(1).cast(), key.len());
        }
        let seed = keys.lane.roots.seed;
        // SAFETY: items of the table, whose shard is locked.
        let hash_of = move |a| crate::keyspace::hash::hash(key_of(unsafe { item(a) }), seed);
        Table::new(table, heap).insert(hash, address, hash_of);
        address
    });
    // SAFETY: an item of the table, whose shard is locked; the waiter is within the wait's own
    // allocation; the queue's pointers are to live waiters.
    unsafe {
        let queue = item(address);
        let waiter = (*wait.as_ptr()).waiters.as_ptr().add(index);
        waiter.write(Waiter {
            wait,
            key: Ptr::new(address),
            prev: queue.tail,
            next: Ptr::NULL,
            hash,
        });
        match queue.tail.as_ptr().as_mut() {
            Some(last) => last.next = Ptr::from_raw(waiter),
            None => queue.head = Ptr::from_raw(waiter),
        }
        queue.tail = Ptr::from_raw(waiter);
        queue.count += 1;
    }
}

/// Takes a waiter out of its queue if it still is in one. Its shard is locked by this lane.
fn unlink(lane: &mut Lane, waiter: *mut Waiter) {
    // SAFETY: waiters live until their owner frees the wait, which needs the shard's lock; the
    // queue and its neighbours are guarded by the same lock.
    unsafe {
        let Some(queue) = (*waiter).key.as_ptr().as_mut() else { return };
        let (prev, next) = ((*waiter).prev, (*waiter).next);
        match prev.as_ptr().as_mut() {
            Some(prev) => prev.next = next,
            None => queue.head = next,
        }
        match next.as_ptr().as_mut() {
            Some(next) => next.prev = prev,
            None => queue.tail = prev,
        }
        queue.count -= 1;
        let (address, hash) = ((*waiter).key.address(), (*waiter).hash);
        (*waiter).key = Ptr::NULL;
        if queue.count == 0 {
            let shard = lane.roots.shard(shard_of(hash));
            let mut table = Table::new(&mut (*shard).blocked, lane.heap);
            if let Some(slot) = table.find_address(hash, address) {
                table.remove(slot, hash);
            }
            lane.heap.free(address, size_of::<BlockedKey>() + queue.key_len as usize);
        }
    }
}

/// Serves those who wait for keys that commands of this lane have made. No shard is locked.
#[cold]
pub fn serve_ready(lane: &mut Lane) {
    // Serving may make further keys (BLMOVE): they are appended and served in turn.
    let mut next = 0;
    while next < lane.ready.len() {
        let ReadyKey { db, ref key } = lane.ready[next];
        let key = key.clone();
        while serve_one(lane, db, &key) {}
        next += 1;
    }
    lane.ready.clear();
}

/// The oldest waiter of a key that waits for what the key holds now, and the shards that its
/// command needs. The key's shard is locked.
fn servable(lane: &mut Lane, db: u32, hash: u64, key: &[u8]) -> Option<(*mut Waiter, ShardSet)> {
    let shard = lane.roots.shard(shard_of(hash));
    // SAFETY: the shard is locked by this lane.
    let address = find(unsafe { &(*shard).blocked }, db, hash, key)?;
    let kind = Keys::new(lane, db).peek(key)?.kind();
    // SAFETY: an item of the table and its queue, guarded by the shard's lock; a linked waiter's
    // wait is not freed before the owner has held that lock.
    unsafe {
        let mut waiter = item(address).head.as_ptr();
        while let Some(candidate) = waiter.as_ref() {
            let wait = &*candidate.wait.as_ptr();
            if wait.value_type == kind as u32 && wait.state.load(Acquire) == state::WAITING {
                let blob = Blob::decode(&wait.command);
                let call = dispatch::look_up(lane, blob.args()).ok()?;
                let set = dispatch::keys_lock_set(lane, call, blob.args());
                return Some((waiter, set | set_of(hash)));
            }
            waiter = candidate.next.as_ptr();
        }
    }
    None
}

/// Serves the oldest fitting waiter of a key. Tells whether there may be another.
fn serve_one(lane: &mut Lane, db: u32, key: &[u8]) -> bool {
    let hash = hash(key, lane.roots.seed);
    lane.locks.acquire(set_of(hash));
    let mut target = servable(lane, db, hash, key);
    if let Some((_, set)) = target
        && set != set_of(hash)
    {
        // Its command needs more shards: take all in order, and look again who is the oldest.
        lane.locks.release();
        lane.locks.acquire(set);
        target = servable(lane, db, hash, key).filter(|(_, again)| again & !set == 0);
    }
    // SAFETY: `servable` returned a linked waiter, and its shard is still locked.
    let served = target.is_some_and(|(waiter, _)| unsafe { serve(lane, waiter, key) });
    lane.locks.release();
    served
}

/// Runs a waiter's command with a key and posts the reply. Tells whether it was served.
///
/// # Safety
/// The waiter is linked, and all shards of its command are locked by this lane.
unsafe fn serve(lane: &mut Lane, waiter: *mut Waiter, key: &[u8]) -> bool {
    // SAFETY: as the caller promises; only atomics of the wait change while it is linked.
    let wait = unsafe { &*(*waiter).wait.as_ptr() };
    if wait.state.compare_exchange(state::WAITING, state::SERVED, AcqRel, Acquire).is_err() {
        return true;
    }
    let blob = Blob::decode(&wait.command);
    let Ok(call) = dispatch::look_up(lane, blob.args()) else { return false };
    let mut output = RawBuffer::EMPTY;
    let heap = lane.heap;
    let mut cx = Ctx {
        keys: Keys::new(lane, wait.db),
        out: Reply::new(&mut output, heap, wait.resp == 3),
        session: Session::none(),
        spec: call.spec,
        mode: Mode::Serving(key),
    };
    dispatch::call(&mut cx, call, blob.args());
    let served = cx.mode != Mode::NotServed;
    let kind = if served { message_kind::SERVE } else { message_kind::WAKE };
    let detail = (&raw const *wait) as u64;
    let posted = message::allocate(heap, kind, cx.out.since(0), &[], detail, 1);
    crate::store::buffer::Buffer::new(&mut output, heap).free();
    if served {
        unlink(lane, waiter);
    } else {
        // The owner may have tried to end the wait meanwhile: the message makes it try again.
        wait.state.store(state::WAITING, core::sync::atomic::Ordering::Release);
    }
    lane.host.post()(wait.client, posted);
    served
}

/// Ends a wait, if nobody has: what a deadline, a disconnect or `CLIENT UNBLOCK` does.
pub fn try_end(wait: &Wait) -> bool {
    wait.state.compare_exchange(state::WAITING, state::ENDED, AcqRel, Acquire).is_ok()
}

/// Takes a wait off its client and frees it. No shard is locked. The client may run again.
pub fn finish(lane: &mut Lane, client: &mut Client) {
    let wait = client.wait;
    let table = lane.roots.clients();
    // SAFETY: the root lives as long as the process; its lock is atomic.
    crate::keyspace::lock::with_lock(unsafe { &(*table).lock }, lane.host, || {
        client.wait = Ptr::NULL;
    });
    client.deadline_ms = 0;
    client.flags.fetch_and(!flag::BLOCKED, Relaxed);
    if !client.input.is_empty() {
        client.flags.fetch_or(flag::MORE_INPUT, Relaxed);
    }
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*lane.roots.shared()).blocked_clients.fetch_sub(1, Relaxed) };
    // SAFETY: a blocked client's wait is live, and only its owner, this lane, frees it. Once each
    // waiter's shard has been locked and the waiter is out of its queue, nobody can reach it.
    unsafe {
        let raw = &mut *wait.as_ptr();
        for index in 0..raw.key_count as usize {
            let waiter = raw.waiters.as_ptr().add(index);
            lane.locks.acquire(set_of((*waiter).hash));
            unlink(lane, waiter);
            lane.locks.release();
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
    if !try_end(wait) {
        return;
    }
    let what = wait.on_timeout;
    let (mut out, _) = session::split(client, lane.heap);
    timeout_reply(&mut out, what);
    finish(lane, client);
}
