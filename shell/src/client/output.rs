//! Bytes out: replies are written to the socket at once; only what it does not take is kept.
//!
//! While a client without unsent output is served, it borrows its worker's output buffer. Logic
//! that needs more room than that moves to an allocation of the client's own and clears `lent`.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use abi::client::{Client, UnderWay};
use abi::container::RawBuffer;
use abi::ptr::Ptr;
use rustix::io::Errno;

use super::bump;
use super::input::{copy, release};
use crate::arena::{NoMemory, alloc};

/// Bytes of a worker's output buffer. Only what replies reach of it ever takes memory.
pub const SHARED_BYTES: u64 = 256 * 1024;

/// A buffer with more than this already sent in front is compacted.
const COMPACT_MIN: u64 = 64 * 1024;

/// How a flush ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Flush {
    /// Everything was sent.
    Done,
    /// The socket is full; the rest is in a buffer of the client's own.
    Full,
    /// The connection broke, or there was no memory for the rest.
    Failed,
}

/// Lends the worker's buffer to a client that has nothing unsent.
#[inline]
pub fn lend(client: &mut Client, shared: u64) {
    if client.output.capacity == 0 {
        let data = Ptr::new(shared);
        client.output = RawBuffer { data, start: 0, end: 0, capacity: SHARED_BYTES, lent: 1 };
    }
}

/// Sends what can be sent. On return the client owns its output buffer or has none.
pub fn flush(fd: &OwnedFd, client: &mut Client) -> Flush {
    flush_some(fd, client, usize::MAX)
}

/// As [`flush`], of so many bytes at most. If those are sent and there are more, they are kept, as if
/// the socket were full.
pub fn flush_some(fd: &OwnedFd, client: &mut Client, mut at_most: usize) -> Flush {
    while !client.output.is_empty() {
        // SAFETY: `start..end` are bytes of the buffer's allocation that logic has written.
        let bytes = unsafe { unsent(&client.output) };
        let bytes = &bytes[..bytes.len().min(at_most)];
        if bytes.is_empty() {
            return keep_rest(client);
        }
        let len = bytes.len();
        client.under_way.writing = client.output.start + 1;
        UnderWay::step();
        let written = rustix::io::write(fd, bytes);
        if let Ok(n) = written {
            client.output.start += n as u64;
            UnderWay::step();
            bump(&client.bytes_out, n as u64);
            at_most -= n;
        }
        UnderWay::step();
        client.under_way.writing = 0;
        UnderWay::step();
        match written {
            Ok(n) => {
                if n < len {
                    return keep_rest(client);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return keep_rest(client),
            Err(_) => return Flush::Failed,
        }
    }
    release(&mut client.output);
    Flush::Done
}

/// The bytes of a buffer that is not empty.
///
/// # Safety
/// `start..end` of its allocation have been written, and stay as they are while they are referred
/// to.
unsafe fn unsent<'a>(output: &RawBuffer) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe {
        std::slice::from_raw_parts(output.data.as_ptr().add(output.start as usize), output.len())
    }
}

/// Keeps what is unsent. On return the client owns its output buffer.
pub fn keep(client: &mut Client) -> Flush {
    if client.output.lent == 1 { keep_rest(client) } else { Flush::Full }
}

/// Keeps what was not sent in a buffer of the client's own, which gives back memory of what is sent:
/// each byte moves only after as many others were sent.
#[cold]
fn keep_rest(client: &mut Client) -> Flush {
    let output = &client.output;
    let is_mostly_sent = output.start >= COMPACT_MIN
        && output.start >= output.len() as u64
        && output.capacity / 4 > output.len() as u64;
    if output.lent == 0 && !is_mostly_sent {
        return Flush::Full;
    }
    match move_to_own(client) {
        Ok(()) => Flush::Full,
        Err(NoMemory) => Flush::Failed,
    }
}

/// Has a client borrow no buffer of a worker's any more.
///
/// # Errors
/// [`NoMemory`]: it still does.
pub fn park(client: &mut Client) -> Result<(), NoMemory> {
    match (client.output.lent, client.output.is_empty()) {
        (0, false) => Ok(()),
        (_, true) => {
            discard(client);
            Ok(())
        }
        _ => move_to_own(client),
    }
}

/// Exchanges the buffer for one of the client's own that has room for just what is unsent. Whoever
/// finds the client half way, after the end of the process, finds the one before, whole.
fn move_to_own(client: &mut Client) -> Result<(), NoMemory> {
    let RawBuffer { data, start, end, capacity, lent } = client.output;
    let before = || RawBuffer { data, start, end, capacity, lent };
    let len = end - start;
    let own = alloc(len);
    if own == 0 {
        return Err(NoMemory);
    }
    copy(data.address() + start, own, len);
    client.under_way.before = before();
    UnderWay::step();
    client.under_way.moving = 2;
    UnderWay::step();
    client.output = RawBuffer { data: Ptr::new(own), start: 0, end: len, capacity: len, lent: 0 };
    UnderWay::step();
    client.under_way.moving = 0;
    UnderWay::step();
    release(&mut before());
    Ok(())
}

/// Tells readers on other threads how much is unsent.
#[inline]
pub fn publish(client: &Client) {
    let len = client.output.len() as u64;
    if client.output_bytes.load(Ordering::Relaxed) != len {
        client.output_bytes.store(len, Ordering::Relaxed);
    }
}

/// Takes what is unsent.
pub fn take(client: &mut Client) -> Vec<u8> {
    let mut taken = Vec::new();
    if !client.output.is_empty() {
        // SAFETY: `start..end` are bytes of the buffer's allocation that logic has written.
        taken.extend_from_slice(unsafe { unsent(&client.output) });
    }
    discard(client);
    publish(client);
    taken
}

/// Drops what is unsent.
pub fn discard(client: &mut Client) {
    release(&mut client.output);
}
