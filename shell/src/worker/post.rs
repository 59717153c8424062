//! What the shell itself has to say to a client.

use std::sync::atomic::AtomicU32;

use abi::client_ref::ClientRef;
use abi::host::HostRef;
use abi::message::Message;
use abi::ptr::Ptr;

/// Posts bytes as a message of this kind. `false`: there is no memory for it.
pub fn post(host: HostRef, client: ClientRef, kind: u32, detail: u64, text: &[u8]) -> bool {
    let address = host.alloc()((size_of::<Message>() + text.len()) as u64);
    if address == 0 {
        return false;
    }
    let message = address as *mut Message;
    let references = AtomicU32::new(1);
    let head = Message { kind, references, len2: text.len() as u32, len3: 0, detail };
    // SAFETY: the allocation has room for the header and the text, and is nobody else's yet.
    unsafe {
        message.write(head);
        message.add(1).cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
    }
    host.post()(client, Ptr::from_raw(message));
    true
}
