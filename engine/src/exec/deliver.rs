//! Messages: what one lane has for a client of another, and what becomes of it there.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag};
use abi::message::{Message, kind, push_for};
use abi::ptr::Ptr;

use crate::exec::dispatch;
use base::error;
use base::heap::Heap;
use base::core::Core;
use crate::session::{self, blocking, pubsub};
use crate::session::stats;
use store::named::behind;

/// Makes a message that will be posted `references` times.
pub fn allocate(
    heap: Heap,
    kind: u32,
    resp2: &[u8],
    resp3: &[u8],
    detail: u64,
    references: u32,
) -> Ptr<Message> {
    try_allocate(heap, kind, resp2, resp3, detail, references)
        .unwrap_or_else(|| base::heap::give_up())
}

/// As [`allocate`], or nothing if the arena is full.
pub fn try_allocate(
    heap: Heap,
    kind: u32,
    resp2: &[u8],
    resp3: &[u8],
    detail: u64,
    references: u32,
) -> Option<Ptr<Message>> {
    let size = size_of::<Message>() + resp2.len() + resp3.len();
    let place = heap.try_alloc(size)? as *mut Message;
    let header = Message {
        kind,
        references: AtomicU32::new(references),
        len2: u32::try_from(resp2.len()).expect("a message is below 4 GiB"),
        len3: u32::try_from(resp3.len()).expect("a message is below 4 GiB"),
        detail,
    };
    // SAFETY: a new allocation with room for the header and both texts behind it.
    unsafe {
        place.write(header);
        let bytes = place.add(1).cast::<u8>();
        core::ptr::copy_nonoverlapping(resp2.as_ptr(), bytes, resp2.len());
        core::ptr::copy_nonoverlapping(resp3.as_ptr(), bytes.add(resp2.len()), resp3.len());
    }
    Some(Ptr::from_raw(place))
}

/// The bytes a message has for a protocol.
fn text(message: &Message, resp3: bool) -> &[u8] {
    let (len2, len3) = (message.len2 as usize, message.len3 as usize);
    // SAFETY: both texts follow the header in the same allocation.
    let both = unsafe { core::slice::from_raw_parts(behind(message), len2 + len3) };
    if resp3 && len3 > 0 { &both[len2..] } else { &both[..len2] }
}

/// Gives a message to its client.
pub fn deliver(lane: &mut Lane, client: &mut Client, message: &Message) {
    let resp3 = client.resp.load(Relaxed) == 3;
    match message.kind {
        kind::PUSH if is_wanted(lane, client, message.detail) => {
            let (mut out, _) = session::split(client, lane.heap);
            out.raw(text(message, resp3));
        }
        kind::SERVE if client.wait.address() == message.detail => {
            blocking::finish_with(lane, client, |out| out.raw(text(message, false)));
        }
        kind::ADMIN_REPLY if client.wait.address() == message.detail => {
            session::admin::reply(lane, client, text(message, false));
        }
        kind::UNBLOCK if !client.wait.is_null() => unblock(lane, client, message.detail == 1),
        // A wait that could not be served after all may have missed its deadline meanwhile.
        kind::WAKE if is_overdue(lane, client) => blocking::time_out(lane, client),
        _ => {}
    }
}

fn is_overdue(lane: &mut Lane, client: &Client) -> bool {
    lane.refresh();
    client.deadline_ms != 0 && client.deadline_ms as i64 <= lane.clock.now_ms
}

/// Whether a client still has what a push is for. See [`push_for`].
fn is_wanted(lane: &Lane, client: &mut Client, detail: u64) -> bool {
    if detail & push_for::MASK == push_for::MONITOR {
        let flags = client.flags.load(Relaxed) & (flag::MONITOR | flag::REPLY_OFF);
        return flags == flag::MONITOR;
    }
    pubsub::is_subscribed(lane, client, detail)
}

/// Ends the wait of a client that `CLIENT UNBLOCK` has already ended for everybody else.
fn unblock(lane: &mut Lane, client: &mut Client, with_error: bool) {
    // SAFETY: a blocked client's wait is live until its owner, this lane, frees it.
    let what = unsafe { (*client.wait.as_ptr()).on_timeout };
    if !with_error {
        return blocking::finish_with(lane, client, |out| blocking::timeout_reply(out, what));
    }
    if let Some(slot) = client.last_command.load(Relaxed).checked_sub(1) {
        stats::add(&lane.command_stat(slot as u16).failed, 1);
    }
    dispatch::count_error(lane, &error::UNBLOCKED);
    blocking::finish_with(lane, client, |out| out.error(error::UNBLOCKED.text()));
}
