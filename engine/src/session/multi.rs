//! Commands queued with a client by `MULTI`.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, MultiState, flag};
use abi::container::RawBytes;
use abi::ptr::Ptr;

use crate::session::command_blob::{self, Blob};
use crate::session::watch;
use base::args::Args;
use base::bytes::{self, Bytes};
use base::core::Core;
use base::heap::Heap;

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

/// Queues a command.
pub fn queue(heap: Heap, client: &mut ClientState, args: Args<'_>) {
    // What will not be executed need not be kept.
    if client.flags.load(Relaxed) & flag::DIRTY_EXEC != 0 {
        return;
    }
    // SAFETY: a client between MULTI and EXEC has a queue, which is reached through the client
    // alone, and that is borrowed exclusively.
    let multi = unsafe { &mut *client.multi.as_ptr() };
    command_blob::append(&mut Bytes::new(&mut multi.commands, heap), args);
    multi.count += 1;
    let (count, bytes) = (multi.count as i64, multi.commands.capacity);
    client.multi_count.store(count, Relaxed);
    client.multi_bytes.store(bytes, Relaxed);
}

/// The commands that a client has queued, taken off it: they are freed when this is dropped.
pub struct Queued {
    state: Option<Ptr<MultiState>>,
    heap: Heap,
}

impl Queued {
    /// Takes the queue off a client, which has an empty one from then on.
    pub fn take(heap: Heap, client: &mut ClientState) -> Self {
        let state = core::mem::replace(&mut client.multi, Ptr::NULL);
        Self { state: (!state.is_null()).then_some(state), heap }
    }

    /// The commands.
    pub fn commands(&self) -> impl Iterator<Item = Blob<'_>> {
        // SAFETY: a queue is live until it is freed below, and this is all that refers to it.
        commands(self.state.as_ref().map(|state| unsafe { &*state.as_ptr() }))
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let Some(place) = self.state else { return };
        // SAFETY: live until here, and nothing else refers to it.
        unsafe {
            Bytes::new(&mut (*place.as_ptr()).commands, self.heap).free();
            self.heap.free(place.address(), size_of::<MultiState>());
        }
    }
}

/// The queued commands of a client, one after the other.
pub fn queued(client: &ClientState) -> impl Iterator<Item = Blob<'_>> {
    // SAFETY: null or live, and reached through the client alone, which is borrowed.
    commands(unsafe { client.multi.as_ptr().as_ref() })
}

fn commands(multi: Option<&MultiState>) -> impl Iterator<Item = Blob<'_>> {
    let mut rest = multi.map_or(&[][..], |multi| bytes::slice(&multi.commands));
    let mut left = multi.map_or(0, |multi| multi.count);
    core::iter::from_fn(move || {
        // Behind the last there may be a part of one for which memory ran out.
        left = left.checked_sub(1)?;
        let blob = Blob::read(rest);
        rest = blob.rest();
        Some(blob)
    })
}

/// Ends queueing: forgets commands and watches. `locked`: the shards of the watches are locked.
pub fn end(core: &mut Core, client: &mut ClientState, locked: bool) {
    watch::clear(core, client, locked);
    client.flags.fetch_and(!(flag::MULTI | flag::DIRTY_EXEC), Relaxed);
    client.multi_count.store(-1, Relaxed);
    client.multi_bytes.store(0, Relaxed);
    drop(Queued::take(core.heap, client));
}
