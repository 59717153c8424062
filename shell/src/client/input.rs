//! Bytes in: which buffer they are read into, and what becomes of what is left.
//!
//! A client between commands owns no input buffer. While it is served it borrows its worker's;
//! an incomplete command that is left over moves to an allocation of the client's own, of just
//! that size, and moves back when more arrives. Only a command that does not fit the worker's
//! buffer is read where it will stay.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use abi::client::{Client, UnderWay};
use abi::container::RawBuffer;
use abi::ptr::Ptr;
use rustix::io::Errno;

use super::bump;
use crate::arena::{self, NoMemory, alloc, free};

/// Bytes of a worker's input buffer.
pub const SHARED_BYTES: u64 = 64 * 1024;

/// Input that a worker reads of several clients before it runs any of it: more would no longer be
/// in the processor's cache when its turn comes.
pub const ROUND_BYTES: u64 = 16 * 1024;

/// Bytes of a worker's buffer for a round of reads: the last may be as long as any.
pub const ROUND_BUFFER_BYTES: u64 = ROUND_BYTES + SHARED_BYTES;

/// Left-over input up to this size moves back into the worker's buffer.
const MOVE_BACK_MAX: u64 = 16 * 1024;

/// Room made for a read into a buffer of the client's own, at least.
const READ_MIN: u64 = 16 * 1024;

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Fill {
    /// It filled its room: there may be more.
    More,
    /// It got some bytes and emptied the socket.
    Drained,
    /// There was nothing to read.
    Nothing,
    /// The peer closed the connection, or it broke.
    Closed,
}

/// Reads once. `lent` is where the worker lends [`SHARED_BYTES`] to the client; `bytes_max` the most
/// input the client may have. Errors: [`NoMemory`], nothing was read.
pub fn fill(
    fd: &OwnedFd,
    client: &mut Client,
    lent: u64,
    bytes_max: u64,
) -> Result<Fill, NoMemory> {
    make_room(client, client.input_need.min(bytes_max.saturating_add(1)), lent)?;
    client.under_way.reading = client.input.end + 1;
    let filled = read_into(fd, client);
    client.under_way.reading = 0;
    UnderWay::step();
    filled
}

/// Reads once into the room there is.
fn read_into(fd: &OwnedFd, client: &mut Client) -> Result<Fill, NoMemory> {
    UnderWay::step();
    let input = &mut client.input;
    let room = (input.capacity - input.end) as usize;
    // SAFETY: `start..capacity` of the allocation belongs to this buffer, and nothing else refers
    // to the part behind `end`.
    let space = unsafe {
        std::slice::from_raw_parts_mut(input.data.as_ptr().add(input.end as usize), room)
    };
    match read_retrying(fd, space) {
        Ok(0) => Ok(Fill::Closed),
        Ok(n) => {
            input.end += n as u64;
            UnderWay::step();
            bump(&client.bytes_in, n as u64);
            UnderWay::step();
            publish(client);
            Ok(if n == room { Fill::More } else { Fill::Drained })
        }
        Err(Errno::AGAIN) => Ok(Fill::Nothing),
        Err(_) => Ok(Fill::Closed),
    }
}

/// Puts bytes behind the input of a client that has a buffer of its own or none, as if they had been
/// read. Errors: [`NoMemory`], nothing was put.
pub fn put(client: &mut Client, bytes: &[u8]) -> Result<(), NoMemory> {
    let len = bytes.len() as u64;
    let needed = client.input.len() as u64 + len;
    grow_own(client, needed)?;
    copy(bytes.as_ptr() as u64, client.input.data.address() + client.input.end, len);
    client.input.end += len;
    bump(&client.bytes_in, len);
    publish(client);
    Ok(())
}

fn read_retrying(fd: &OwnedFd, space: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::read(fd, &mut *space) {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

/// Sees to it that there is room behind `end`, and for a command of `need` bytes in all.
fn make_room(client: &mut Client, need: u64, lent: u64) -> Result<(), NoMemory> {
    let input = &client.input;
    let len = input.len() as u64;
    let is_elsewhere = input.lent == 1 && input.data.address() != lent;
    if is_elsewhere || input.lent == 0 && len <= MOVE_BACK_MAX && need <= SHARED_BYTES {
        let data = Ptr::new(lent);
        move_to(client, RawBuffer { data, start: 0, end: len, capacity: SHARED_BYTES, lent: 1 });
    } else if input.lent == 0 {
        return grow_own(client, need);
    }
    if need > SHARED_BYTES || len > SHARED_BYTES / 2 {
        return move_to_own(client, need.max(2 * len));
    }
    let input = &client.input;
    match input.start {
        0 => Ok(()),
        start if start > len => {
            move_to_front(client);
            Ok(())
        }
        // What is moved must not be written over: see `move_to`.
        _ if input.capacity - input.end >= READ_MIN => Ok(()),
        _ => move_to_own(client, 2 * len),
    }
}

/// Exchanges the input buffer for another, which what is left is copied to: its place is the caller's.
/// Whoever finds the client half way, after the end of the process, finds the one before, whole.
fn move_to(client: &mut Client, to: RawBuffer) {
    let RawBuffer { data, start, end, capacity, lent } = client.input;
    let before = || RawBuffer { data, start, end, capacity, lent };
    copy_left(&before(), &to);
    client.under_way.before = before();
    UnderWay::step();
    client.under_way.moving = 1;
    UnderWay::step();
    client.input = to;
    UnderWay::step();
    client.under_way.moving = 0;
    UnderWay::step();
    release(&mut before());
}

fn copy_left(from: &RawBuffer, to: &RawBuffer) {
    if !from.is_empty() {
        copy(from.data.address() + from.start, to.data.address(), from.len() as u64);
    }
}

/// Moves what is left to the front of a buffer of which more is consumed than that.
fn move_to_front(client: &mut Client) {
    let RawBuffer { data, capacity, lent, .. } = client.input;
    let end = client.input.len() as u64;
    let to = RawBuffer { data, start: 0, end, capacity, lent };
    copy_left(&client.input, &to);
    // Until both are stored the start is beyond the end, or where it was.
    UnderWay::step();
    client.input.end = end;
    UnderWay::step();
    client.input.start = 0;
    UnderWay::step();
}

fn move_to_own(client: &mut Client, capacity: u64) -> Result<(), NoMemory> {
    let end = client.input.len() as u64;
    let data = alloc(capacity);
    if data == 0 {
        return Err(NoMemory);
    }
    move_to(client, RawBuffer { data: Ptr::new(data), start: 0, end, capacity, lent: 0 });
    Ok(())
}

/// Growth by half keeps the copying of a command with many large arguments linear.
fn grow_own(client: &mut Client, need: u64) -> Result<(), NoMemory> {
    if client.input.start > client.input.len() as u64 {
        move_to_front(client);
    }
    let RawBuffer { start, end, capacity, .. } = client.input;
    let wanted = (start + need).max(end + 1);
    if wanted <= capacity {
        return Ok(());
    }
    // The first allocation is exact: one large value, announced by its length.
    let room = match capacity {
        0 => wanted,
        _ => wanted.max(end + READ_MIN).max(capacity / 2 * 3),
    };
    resize(client, room - start)
}

/// Exchanges a buffer of the client's own for one of so many bytes, in the same place if it can be.
fn resize(client: &mut Client, capacity: u64) -> Result<(), NoMemory> {
    let input = &mut client.input;
    let is_front = input.start == 0 && input.capacity != 0;
    // SAFETY: only buffers that are not lent are resized: the allocation is theirs.
    if is_front && unsafe { arena::resize(input.data.address(), input.capacity, capacity) } {
        input.capacity = capacity;
        return Ok(());
    }
    move_to_own(client, capacity)
}

/// Ends the client's turn: returns the worker's buffer, frees an empty one, and tells readers on
/// other threads what is left.
#[inline]
pub fn park(client: &mut Client) -> Result<(), NoMemory> {
    if client.input.is_empty() {
        if client.input.capacity != 0 {
            release(&mut client.input);
            publish(client);
        }
        return Ok(());
    }
    park_rest(client)
}

#[cold]
fn park_rest(client: &mut Client) -> Result<(), NoMemory> {
    let input = &client.input;
    let len = input.len() as u64;
    let is_roomy = input.capacity > READ_MIN && input.capacity / 4 > len.max(client.input_need);
    if input.lent == 1 || is_roomy {
        move_to_own(client, len)?;
    }
    publish(client);
    Ok(())
}

fn publish(client: &Client) {
    let len = client.input.len() as u64;
    client.input_bytes.store(len, Ordering::Relaxed);
    client.input_free_bytes.store(client.input.capacity - len, Ordering::Relaxed);
}

/// Drops what is left.
pub fn discard(client: &mut Client) {
    release(&mut client.input);
}

/// Empties the buffer and gives its memory back, unless it is the worker's.
#[inline]
pub(super) fn release(buffer: &mut RawBuffer) {
    if buffer.lent == 0 && buffer.capacity != 0 {
        // SAFETY: not lent, so it is the buffer's own, and the buffer forgets it below.
        unsafe { free(buffer.data.address(), buffer.capacity) };
    }
    *buffer = RawBuffer::EMPTY;
}

pub(super) fn copy(from: u64, to: u64, len: u64) {
    // SAFETY: callers pass allocations of at least `len` bytes that do not overlap: one is the
    // client's own, the other the worker's or new.
    unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, len as usize) };
}
