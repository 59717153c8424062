//! Transactions: commands queued with the client, then run with all their shards locked at once.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientState, MultiState, flag};
use abi::container::RawBytes;
use abi::ptr::Ptr;

use base::args::Args;
use crate::exec::dispatch::{self, keys_lock_set};
use base::error::Error;
use crate::exec::context::{Ctx, Mode};
use base::heap::Heap;
use base::lock::{ALL_SHARDS, ShardSet};
use base::core::Core;
use crate::session::command_blob::{self, Blob};
use crate::session::{self, watch};
use base::bytes::Bytes;

/// Begins to queue.
pub fn begin(heap: Heap, client: &mut ClientState) {
    let place = heap.alloc(size_of::<MultiState>()) as *mut MultiState;
    let fresh = MultiState { count: 0, reserved: 0, commands: RawBytes::EMPTY };
    // SAFETY: a new allocation of the struct's size.
    unsafe { place.write(fresh) };
    client.multi = Ptr::from_raw(place);
    client.multi_count.store(0, Relaxed);
    client.flags.fetch_or(flag::MULTI, Relaxed);
}

/// Queues a command and says so.
#[cold]
pub fn queue(lane: &mut Lane, client: &mut Client, args: Args<'_>) {
    // What will not be executed need not be kept.
    if client.flags.load(Relaxed) & flag::DIRTY_EXEC == 0 {
        // SAFETY: a client between MULTI and EXEC has a queue, which only its own lane touches.
        let multi = unsafe { &mut *client.multi.as_ptr() };
        command_blob::append(&mut Bytes::new(&mut multi.commands, lane.heap), args);
        multi.count += 1;
        client.multi_count.store(multi.count as i64, Relaxed);
        client.multi_bytes.store(multi.commands.capacity, Relaxed);
    }
    let (mut out, _) = session::split(client, lane.heap);
    out.simple("QUEUED");
}

/// The queued commands, one after the other.
fn queued(client: &ClientState) -> impl Iterator<Item = Blob<'static>> + use<> {
    let mut rest: &'static [u8] = &[];
    let mut left = 0;
    // SAFETY: null or live. Its bytes do not change and are not freed before `end`, and nobody
    // keeps a command beyond that.
    if let Some(multi) = unsafe { client.multi.as_ptr().as_ref() }
        && multi.commands.len > 0
    {
        left = multi.count;
        // SAFETY: as above; a byte string's data is `len` bytes.
        rest = unsafe {
            core::slice::from_raw_parts(multi.commands.data.as_ptr(), multi.commands.len as usize)
        };
    }
    core::iter::from_fn(move || {
        // Behind the last there may be a part of one for which memory ran out.
        left = left.checked_sub(1)?;
        let blob = Blob::read(rest);
        rest = blob.rest();
        Some(blob)
    })
}

/// Whether any queued command satisfies a condition.
pub fn any_queued(
    lane: &Lane,
    client: &ClientState,
    condition: impl Fn(&crate::exec::spec::Spec) -> bool,
) -> bool {
    queued(client)
        .any(|blob| dispatch::look_up(lane, blob.args()).is_ok_and(|call| condition(call.spec)))
}

/// The shards of all queued commands and watched keys.
///
/// Commands that lock what they need themselves (they name no keys but look at many) find every
/// shard locked.
pub fn lock_set(lane: &Lane, client: &mut ClientState) -> ShardSet {
    let watched = watch::lock_set(lane, client);
    queued(client).fold(watched, |set, blob| match dispatch::look_up(lane, blob.args()) {
        Ok(call) if call.spec.has(crate::exec::spec::flag::LOCKS_ITSELF) => ALL_SHARDS,
        Ok(call) => set | keys_lock_set(lane, call, blob.args()),
        Err(_) => set,
    })
}

/// Runs the queued commands, whose shards are locked, and writes the array of their replies.
pub fn execute(cx: &mut Ctx<'_>) {
    let blobs = queued(cx.session.peek());
    let count = cx.session.peek().multi_count.load(Relaxed).max(0) as usize;
    let (spec, mode) = (cx.spec, cx.mode);
    cx.mode = Mode::Transaction;
    cx.out.array(count);
    for blob in blobs {
        // A release that no longer has the command says so in its place.
        match dispatch::look_up(cx.keys.lane, blob.args()) {
            Ok(call) => {
                cx.spec = call.spec;
                dispatch::call(cx, call, blob.args());
                cx.keys.db = cx.session.db();
                cx.out.resp3 = cx.session.peek().resp.load(Relaxed) == 3;
            }
            Err(error) => dispatch::fail(cx.keys.lane, &mut cx.out, &error),
        }
    }
    (cx.spec, cx.mode) = (spec, mode);
}

/// Ends queueing: forgets commands and watches. `locked`: the shards of the watches are locked.
pub fn end(lane: &mut Lane, client: &mut ClientState, locked: bool) {
    watch::clear(lane, client, locked);
    client.flags.fetch_and(!(flag::MULTI | flag::DIRTY_EXEC), Relaxed);
    client.multi_count.store(-1, Relaxed);
    client.multi_bytes.store(0, Relaxed);
    if client.multi.is_null() {
        return;
    }
    let place = client.multi;
    client.multi = Ptr::NULL;
    // SAFETY: live until here; the client no longer refers to it.
    unsafe {
        Bytes::new(&mut (*place.as_ptr()).commands, lane.heap).free();
        lane.heap.free(place.address(), size_of::<MultiState>());
    }
}

/// After a panic in a command of this client: `EXEC` has ended the transaction all the same, and
/// any other spoils it.
pub fn break_off(lane: &mut Lane, client: &mut ClientState) {
    if client.flags.load(Relaxed) & flag::MULTI == 0 {
        return;
    }
    let exec = lane.index.find(b"exec").map(|at| lane.index[at].slot as u32 + 1);
    if exec == Some(client.last_command.load(Relaxed)) {
        end(lane, client, false);
    } else {
        client.flags.fetch_or(flag::DIRTY_EXEC, Relaxed);
    }
}

/// Why `EXEC` runs nothing, if it does not.
pub fn refusal(session: &session::Session<'_>) -> Option<Error> {
    session.has(flag::DIRTY_EXEC).then_some(base::error::EXEC_ABORT)
}
