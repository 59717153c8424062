//! Blocking: a client waits for a key, and whoever makes the key serves it.
//!
//! A blocked client leaves a `Wait` with its command, and a `Waiter` in the queue of each key.
//! When a key comes into being, the lane that made it runs the oldest waiter's command again, on
//! that client's behalf, and posts the reply. It does so before it gives back the shard, so that
//! elements go from pusher to waiter without a moment in which anybody else could see them, and
//! in the order in which clients came. Only where the waiter's command needs another shard as
//! well, and somebody else holds that one right now, are all locks given back and taken in order.
//!
//! Invariants:
//! - Whoever moves `Wait::state` away from WAITING owes the client its reply, or moves it back: the
//!   serving lane, or the owner (deadline, disconnect), or `CLIENT UNBLOCK`.
//! - A waiter is in its key's queue exactly while `Waiter::key` is not null, under the shard lock.
//! - Only the owner frees a wait, after it has held the shard lock of each of its waiters.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use abi::arena::Ptr;
use abi::client::{Client, ClientState, flag};
use abi::container::{RawBuffer, RawBytes, RawTable};
use abi::host::HostRef;
use abi::message::{Message, kind as message_kind};
use abi::wait::{BlockedKey, Wait, Waiter, kind, on_timeout, state};

use crate::command::args::Args;
use crate::command::dispatch;
use crate::context::{Ctx, Mode};
use crate::heap::Heap;
use crate::keyspace::Keys;
use crate::keyspace::hash::hash;
use crate::keyspace::lock::{ShardSet, set_of, shard_of};
use crate::lane::{Lane, ReadyKey};
use crate::resp::write::Reply;
use crate::session::command_blob::{self, Blob};
use crate::session::{self, Session, message};
use crate::store::buffer::Buffer;
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
        on_timeout::ZERO => out.integer(0),
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

/// The keys of a database that somebody waits for in a shard, which is locked.
pub fn awaited_keys(blocked: &RawTable, db: u32) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    TableRef::new(blocked).for_each(&mut |address| {
        // SAFETY: an item of the table, whose shard the caller has locked.
        let item = unsafe { item(address) };
        if item.db == db {
            keys.push(key_of(item).to_vec());
        }
    });
    keys
}

/// Makes the client of a command wait for keys, whose shards are locked.
pub(crate) fn block(cx: &mut Ctx<'_>, args: Args<'_>, keys: &[&[u8]], awaited: Awaited) {
    let mut distinct = keys.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let wait = Unfinished(new_wait(cx, args, distinct.len(), awaited));
    for (index, key) in distinct.iter().enumerate() {
        enqueue(&mut cx.keys, wait.0, index, key);
    }
    let client = cx.session.client();
    client.deadline_ms = awaited.deadline.unwrap_or(0) as u64;
    begin(cx.keys.lane, client, wait.finish());
}

/// A wait that is being set up. Should memory run out meanwhile, nobody may serve what there is
/// of it.
struct Unfinished(Ptr<Wait>);

impl Unfinished {
    fn finish(self) -> Ptr<Wait> {
        let wait = self.0;
        core::mem::forget(self);
        wait
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // SAFETY: just made, and not freed: it stays behind, ended, in the queues it is in.
        unsafe { (*self.0.as_ptr()).state.store(state::ENDED, Release) };
    }
}

/// Puts a client into a wait.
pub(crate) fn begin(lane: &Lane, client: &mut ClientState, wait: Ptr<Wait>) {
    set_wait(lane, client, wait);
    client.flags.fetch_or(flag::BLOCKED, Relaxed);
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*lane.roots.shared()).blocked_clients.fetch_add(1, Relaxed) };
}

/// Sets what a client waits for, which other threads may look at.
fn set_wait(lane: &Lane, client: &mut ClientState, wait: Ptr<Wait>) {
    let table = lane.roots.clients();
    // SAFETY: the root lives as long as the process; its lock is atomic.
    crate::keyspace::lock::with_lock(unsafe { &(*table).lock }, lane.host, || client.wait = wait);
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

/// Serves those who wait for keys that commands of this lane have made, under the locks of the
/// last command and such as are needed beyond them.
#[cold]
pub fn serve_ready(lane: &mut Lane) {
    // Serving may make further keys (BLMOVE): they are appended and served in turn.
    let mut next = 0;
    while let Some(ReadyKey { db, key }) = lane.ready.get_mut(next) {
        let (db, key) = (*db, core::mem::take(key));
        serve_key(lane, db, &key);
        next += 1;
    }
    lane.ready.clear();
}

/// Serves the waiters of a key, oldest first, as long as the key holds what they wait for.
fn serve_key(lane: &mut Lane, db: u32, key: &[u8]) {
    let hash = hash(key, lane.roots.seed);
    let mut needed = set_of(hash);
    'locked: loop {
        if !lane.locks.try_extend(needed) {
            lane.locks.release();
            lane.locks.acquire(needed);
        }
        let mut candidate = first_waiter(lane, db, hash, key);
        while let Some((waiter, set)) = servable(lane, db, hash, key, candidate) {
            if !lane.locks.try_extend(set) {
                needed = set;
                continue 'locked;
            }
            // SAFETY: a linked waiter; its queue changes only under this lock, and by what
            // `serve` does to this waiter alone.
            unsafe {
                candidate = (*waiter).next.as_ptr();
                serve(lane, waiter, key);
            }
        }
        return;
    }
}

/// The oldest waiter of a key, or null. The key's shard is locked.
fn first_waiter(lane: &Lane, db: u32, hash: u64, key: &[u8]) -> *mut Waiter {
    let shard = lane.roots.shard(shard_of(hash));
    // SAFETY: the shard is locked by this lane, and what is found an item of its table.
    let queue = unsafe { find(&(*shard).blocked, db, hash, key).map(|address| item(address)) };
    queue.map_or(core::ptr::null_mut(), |queue| queue.head.as_ptr())
}

/// The first waiter of a key, from one on, that waits for what the key holds now, and the shards
/// that its command needs. The key's shard is locked.
fn servable(
    lane: &mut Lane,
    db: u32,
    hash: u64,
    key: &[u8],
    mut waiter: *mut Waiter,
) -> Option<(*mut Waiter, ShardSet)> {
    let kind = Keys::new(lane, db).peek(key)?.kind();
    // SAFETY: a waiter of a queue that the shard's lock guards; a linked waiter's wait is not
    // freed before the owner has held that lock.
    while let Some(candidate) = unsafe { waiter.as_ref() } {
        // SAFETY: as above.
        let wait = unsafe { &*candidate.wait.as_ptr() };
        if wait.value_type == kind as u32
            && wait.state.load(Acquire) == state::WAITING
            && let Some(set) = serving_set(lane, wait, hash)
        {
            return Some((waiter, set));
        }
        waiter = candidate.next.as_ptr();
    }
    None
}

/// The shards that a waiter's command needs when it is served with the key of a hash. None if
/// this release does not have the command.
fn serving_set(lane: &Lane, wait: &Wait, hash: u64) -> Option<ShardSet> {
    let blob = Blob::decode(&wait.command);
    let call = dispatch::look_up(lane, blob.args()).ok()?;
    // Keys found by a single rule are alternatives: only the one that is ready is used. Another
    // rule finds what else the command touches: where it moves elements to.
    Some(match call.spec.keys {
        [_] => set_of(hash),
        _ => set_of(hash) | dispatch::keys_lock_set(lane, call, blob.args()),
    })
}

/// Runs a waiter's command with a key and posts the reply, or lets it go on waiting.
///
/// # Safety
/// The waiter is linked, and all shards of its command are locked by this lane.
unsafe fn serve(lane: &mut Lane, waiter: *mut Waiter, key: &[u8]) {
    // SAFETY: as the caller promises; only atomics of the wait change while it is linked.
    let wait = unsafe { &*(*waiter).wait.as_ptr() };
    if wait.state.compare_exchange(state::WAITING, state::SERVING, AcqRel, Acquire).is_err() {
        return;
    }
    let heap = lane.heap;
    let debt = Debt { wait, heap, host: lane.host };
    let blob = Blob::decode(&wait.command);
    let mut output = RawBuffer::EMPTY;
    let served = run_again(lane, wait, blob.args(), key, &mut output);
    let mut output = Buffer::new(&mut output, heap);
    if served {
        debt.pay(output.as_slice());
        unlink(lane, waiter);
    } else {
        debt.put_off();
    }
    output.free();
}

/// Runs the command of a wait with a key, on behalf of its client. Tells whether it is served.
fn run_again(
    lane: &mut Lane,
    wait: &Wait,
    args: Args<'_>,
    key: &[u8],
    output: &mut RawBuffer,
) -> bool {
    let Ok(call) = dispatch::look_up(lane, args) else { return false };
    let out = Reply::new(output, lane.heap, wait.resp == 3);
    let mut cx = Ctx {
        keys: Keys::new(lane, wait.db),
        out,
        session: Session::none(),
        spec: call.spec,
        mode: Mode::Serving(key),
    };
    dispatch::call(&mut cx, call, args);
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
    fn pay(self, reply: &[u8]) {
        let detail = (&raw const *self.wait) as u64;
        let message = message::allocate(self.heap, message_kind::SERVE, reply, &[], detail, 1);
        self.serve(message);
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
    if end(wait) != Ending::Ended {
        return;
    }
    let what = wait.on_timeout;
    finish_with(lane, client, |out| timeout_reply(out, what));
}
