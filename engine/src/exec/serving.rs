//! Serving: the lane that has made a key runs the commands of those who wait for it.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use abi::container::RawBuffer;
use abi::host::HostRef;
use abi::message::{Message, kind as message_kind};
use abi::ptr::Ptr;
use abi::wait::{Wait, Waiter, state};

use super::queue::{first_waiter, unlink};
use base::args::Args;
use crate::exec::dispatch;
use crate::exec::context::{Ctx, Mode};
use base::heap::Heap;
use keyspace::Keys;
use base::hash::hash;
use base::lock::{ShardSet, set_of};
use base::core::Core;
use base::notices::ReadyKey;
use base::resp::write::Reply;
use crate::session::command_blob::Blob;
use crate::session::Session;
use crate::exec::deliver;
use base::buffer::Buffer;

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
