//! Messages: what one lane has for a client of another.

use core::sync::atomic::AtomicU32;

use abi::message::Message;
use abi::ptr::Ptr;

use base::heap::{Heap, give_up};
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
    try_allocate(heap, kind, resp2, resp3, detail, references).unwrap_or_else(|| give_up())
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
pub fn text(message: &Message, resp3: bool) -> &[u8] {
    let (len2, len3) = (message.len2 as usize, message.len3 as usize);
    // SAFETY: both texts follow the header in the same allocation.
    let both = unsafe { core::slice::from_raw_parts(behind(message), len2 + len3) };
    if resp3 && len3 > 0 { &both[len2..] } else { &both[..len2] }
}
