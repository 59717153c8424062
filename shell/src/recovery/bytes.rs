//! Which of a client's bytes the kernel has taken or given, when the server ended in between.
//!
//! TCP counts them: what it has received and nobody has read yet is less than what it has received by
//! what was read; what was acknowledged and what is still on its way are what was written. A Unix
//! socket tells nothing: who was in the middle of a read or a write over one cannot go on.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag};

/// Looks at the counters until the kernel has not changed them meanwhile.
const ATTEMPTS: usize = 100;
/// Where a `tcp_info` has the bytes that were acknowledged, and behind them those received.
const ACKED_OFFSET: usize = 120;
/// States in which the peer has closed its end: its FIN counts as a byte received.
const AFTER_FIN: [u8; 4] = [CLOSE_WAIT, LAST_ACK, CLOSING, TIME_WAIT];
const TIME_WAIT: u8 = 6;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

/// Bytes that went through a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Those that were read.
    pub read: u64,
    /// Those that were written.
    pub written: u64,
    /// Whether the FIN of the peer may be counted among those read.
    pub has_fin: bool,
}

/// What the kernel has counted of a TCP connection. None: it does not tell.
pub fn count(socket: impl AsFd) -> Option<Counted> {
    let fd = socket.as_fd().as_raw_fd();
    let mut last = look(fd)?;
    for _ in 0..ATTEMPTS {
        let again = look(fd)?;
        if again == last {
            return Some(again);
        }
        last = again;
    }
    None
}

fn look(fd: i32) -> Option<Counted> {
    const BYTES: usize = ACKED_OFFSET + 16;
    let mut info = [0u8; BYTES];
    let mut len = BYTES as libc::socklen_t;
    let (mut unread, mut unsent) = (0i32, 0i32);
    // SAFETY: the kernel writes at most so many bytes, and an integer each.
    let is_told = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        ) == 0
            && libc::ioctl(fd, libc::FIONREAD, &raw mut unread) == 0
            && libc::ioctl(fd, libc::TIOCOUTQ, &raw mut unsent) == 0
    };
    if !is_told || (len as usize) < BYTES {
        return None;
    }
    let number = |at: usize| u64::from_le_bytes(*info[at..].first_chunk().unwrap_or(&[0; 8]));
    Some(Counted {
        read: number(ACKED_OFFSET + 8).checked_sub(unread as u64)?,
        written: number(ACKED_OFFSET) + unsent as u64,
        has_fin: AFTER_FIN.contains(&info[0]),
    })
}

/// Sets a client's buffers and counters to what was read and written. `counted`: what the kernel has
/// counted, if it counts. False: that cannot be told.
pub fn settle(client: &mut Client, counted: Option<Counted>) -> bool {
    let is_tcp = client.flags.load(Relaxed) & flag::UNIX_SOCKET == 0;
    let Some(counted) = counted.filter(|_| is_tcp) else {
        let is_still = client.under_way.reading == 0 && client.under_way.writing == 0;
        return is_still && !is_tcp;
    };
    read(client, counted) && write(client, counted)
}

/// What was read may be counted already, or be behind the end and not counted, or not even that.
fn read(client: &mut Client, counted: Counted) -> bool {
    let known = client.bytes_in.load(Relaxed);
    let Some(mut more) = counted.read.checked_sub(known) else { return false };
    let Some(from) = client.under_way.reading.checked_sub(1) else {
        return more == 0 || more == 1 && counted.has_fin;
    };
    more -= u64::from(counted.has_fin && more > 0);
    client.under_way.reading = 0;
    let input = &mut client.input;
    if more == 0 {
        return input.end >= from;
    }
    if from + more > input.capacity || input.end != from && input.end != from + more {
        return false;
    }
    input.end = from + more;
    client.bytes_in.store(known + more, Relaxed);
    true
}

/// As [`read`], of what was written.
fn write(client: &mut Client, counted: Counted) -> bool {
    let known = client.bytes_out.load(Relaxed);
    let Some(more) = counted.written.checked_sub(known) else { return false };
    let Some(from) = client.under_way.writing.checked_sub(1) else { return more == 0 };
    client.under_way.writing = 0;
    let output = &mut client.output;
    if more == 0 {
        return output.start >= from;
    }
    if from + more > output.end || output.start != from && output.start != from + more {
        return false;
    }
    output.start = from + more;
    client.bytes_out.store(known + more, Relaxed);
    true
}
