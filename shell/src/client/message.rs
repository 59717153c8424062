//! The way and the end of a message.

use std::sync::atomic::Ordering;

use abi::message::Message;
use abi::ptr::Ptr;

use crate::arena;

/// Notes that a message is on its way, with one of its references.
pub fn note_posted(message: Ptr<Message>) {
    // SAFETY: the caller holds a reference, so the message is live.
    arena::note_posted(bytes_of(unsafe { &*message.as_ptr() }) as i64);
}

fn bytes_of(header: &Message) -> u64 {
    size_of::<Message>() as u64 + u64::from(header.len2) + u64::from(header.len3)
}

/// Gives one reference of a message back that was on its way; the last frees it.
pub fn drop_message(message: Ptr<Message>) {
    // SAFETY: the caller holds a reference, so the message is live.
    let header = unsafe { &*message.as_ptr() };
    let bytes = bytes_of(header);
    arena::note_posted(-(bytes as i64));
    if header.references.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: that was the last reference, and messages are allocated with just this size.
        unsafe { arena::free(message.address(), bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn drops_of_a_message_free_it_with_the_last() {
        let references = AtomicU32::new(2);
        let message = Message { kind: 1, references, len2: 0, len3: 0, detail: 0 };
        drop_message(Ptr::new(&raw const message as u64));
        assert_eq!(message.references.load(Ordering::Relaxed), 1);
    }
}
