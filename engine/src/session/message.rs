//! Messages: what one lane has for a client of another.

use core::sync::atomic::AtomicU32;

use abi::container::RawBuffer;
use abi::message::Message;
use abi::ptr::Ptr;

use base::buffer::OwnedBuffer;
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

/// A message that is being written, in the memory in which it is posted: once its text is complete,
/// nothing can fail any more.
pub struct Draft(OwnedBuffer);

impl Draft {
    /// One without text.
    pub fn new(heap: Heap) -> Self {
        let mut buffer = OwnedBuffer::new(heap);
        // Room for the header.
        buffer.view().append(&[0; size_of::<Message>()]);
        Self(buffer)
    }

    /// Where to append the text.
    pub fn text(&mut self) -> &mut RawBuffer {
        self.0.raw()
    }

    /// The message, which has this text for both protocols, to be posted once.
    pub fn finish(self, kind: u32, detail: u64) -> Ptr<Message> {
        let raw = self.0.into_raw();
        assert_eq!((raw.start, raw.lent), (0, 0), "the header is at the start");
        let text = raw.end - size_of::<Message>() as u64;
        let header = Message {
            kind,
            references: AtomicU32::new(1),
            len2: u32::try_from(text).expect("a message is below 4 GiB"),
            // What is left of the memory counts as text that nobody asks for.
            len3: u32::try_from(raw.capacity - raw.end).expect("a message is below 4 GiB"),
            detail,
        };
        let place = raw.data.as_ptr().cast::<Message>();
        // SAFETY: an allocation of the buffer's own, aligned to 8, that begins with room for the
        // header and is given up by the buffer; all of it is accounted for by the two lengths.
        unsafe { place.write(header) };
        Ptr::from_raw(place)
    }
}

/// The bytes a message has for a protocol.
pub fn text(message: &Message, resp3: bool) -> &[u8] {
    let (len2, len3) = (message.len2 as usize, message.len3 as usize);
    let (start, len) = if resp3 && len3 > 0 { (len2, len3) } else { (0, len2) };
    // SAFETY: both texts follow the header in the same allocation; of a draft, which has only one,
    // the other is not asked for.
    unsafe { core::slice::from_raw_parts(behind(message).add(start), len) }
}
