//! A client's turn.

use std::sync::atomic::Ordering;

use abi::client::flag;
use abi::logic::close_reason;
use mio::Interest;
use mio::unix::SourceFd;
use std::os::fd::AsRawFd;

use super::Worker;
use super::held::GATE;
use crate::arena::NoMemory;
use crate::client::input::{self, Fill};
use crate::client::limits::{self, OutputVerdict};
use crate::client::output::{self, Flush};
use crate::client::{bump, state};
use crate::logic::roster::Online;

/// Reads or batches of one client before others get their turn.
const ROUNDS_MAX: u32 = 16;

/// What follows a step of a turn.
pub(super) enum Next {
    /// There may be more to do.
    Again,
    /// Nothing before another event.
    Wait,
    /// The connection ends, for a reason of [`close_reason`].
    Close(u32),
}

impl Worker {
    /// Reads what a client has sent, runs it and sends the replies, as far as its turn goes.
    pub(super) fn serve(&mut self, online: &mut Online, slot: u32) {
        for _ in 0..ROUNDS_MAX {
            match self.step(online, slot) {
                Next::Again => {}
                Next::Wait => return self.park(online, slot),
                Next::Close(reason) => return self.close(online, slot, reason),
            }
        }
        self.enqueue(slot);
        self.park(online, slot);
    }

    pub(super) fn enqueue(&mut self, slot: u32) {
        let connection = self.clients.get(slot);
        if !connection.is(state::QUEUED) {
            connection.set(state::QUEUED);
            self.queue.push_back(slot);
        }
    }

    /// Runs what is there, or else reads.
    fn step(&mut self, online: &mut Online, slot: u32) -> Next {
        let connection = self.clients.get(slot);
        if connection.is(state::HELD_BACK) {
            return Next::Wait;
        }
        let fresh = connection.is(state::FRESH);
        let client = connection.client();
        let more = client.flags.load(Ordering::Relaxed) & flag::MORE_INPUT != 0;
        if (fresh || more) && limits::runnable(client) && !limits::is_stuffed(self.config, client) {
            connection.clear(state::FRESH);
            return self.batch(online, slot);
        }
        if !connection.is(state::READABLE) {
            return Next::Wait;
        }
        self.read(slot, self.buffers.input)
    }

    /// Reads once, into a buffer of the client's own or the one it is lent.
    pub(super) fn read(&mut self, slot: u32, lent: u64) -> Next {
        let connection = self.clients.get(slot);
        let hangup = connection.is(state::HANGUP);
        let (fd, client) = connection.parts();
        if !limits::accepts_input(self.config, client) {
            let killed = client.flags.load(Ordering::Relaxed) & flag::KILLED != 0;
            return match (killed, hangup) {
                (true, _) => Next::Close(close_reason::LOGIC),
                (false, true) => Next::Close(close_reason::PEER),
                (false, false) => Next::Wait,
            };
        }
        let bytes_max = limits::input_max(self.config, client);
        let before = client.input.len();
        if before as u64 > bytes_max {
            return self.over_input_limit(slot);
        }
        let filled = input::fill(fd, client, lent, bytes_max);
        let (len, needed) = (client.input.len(), client.input_need);
        bump(&self.stats.bytes_in, (len - before) as u64);
        match filled {
            Ok(Fill::More | Fill::Drained) => bump(&self.stats.reads, 1),
            Ok(Fill::Nothing) => {
                connection.clear(state::READABLE);
                return Next::Wait;
            }
            Ok(Fill::Closed) => return Next::Close(close_reason::PEER),
            Err(NoMemory) => return self.no_memory(slot),
        }
        if filled == Ok(Fill::Drained) && !hangup {
            connection.clear(state::READABLE);
        }
        connection.set(state::FRESH);
        // What logic can do something with it takes first, and only the rest counts.
        let is_incomplete = (len as u64) < needed;
        if is_incomplete && len as u64 > bytes_max {
            return self.over_input_limit(slot);
        }
        Next::Again
    }

    /// More input than a client may have: the end of it, unless it is held back and not to blame.
    #[cold]
    fn over_input_limit(&mut self, slot: u32) -> Next {
        let client = self.clients.get(slot).client();
        if client.flags.load(Ordering::Relaxed) & (flag::BLOCKED | flag::POSTPONED) != 0 {
            return Next::Again;
        }
        tracing::warn!(id = client.id, "client closed: its input is above the query buffer limit");
        Next::Close(close_reason::LIMIT)
    }

    #[cold]
    fn no_memory(&mut self, slot: u32) -> Next {
        let id = self.clients.get(slot).client().id;
        tracing::warn!(id, "client closed: the arena is full");
        Next::Close(close_reason::LIMIT)
    }

    fn batch(&mut self, online: &mut Online, slot: u32) -> Next {
        self.deliver_before_batch(online, slot);
        self.run_logic(online, slot);
        self.settle(slot).map_or(Next::Again, Next::Close)
    }

    /// One call of `process`.
    pub(super) fn run_logic(&mut self, online: &mut Online, slot: u32) {
        let client = self.clients.get(slot).client();
        output::lend(client, self.buffers.output);
        client.active_ms.store(self.clock.unix_ms(), Ordering::Relaxed);
        let before = self.changes_before(slot);
        self.with_logic(slot, |lane, client| {
            online.generation_of(lane, client).process(lane, client);
        });
        self.note_changes(slot, before);
        bump(&self.stats.batches, 1);
    }

    /// After every call of logic for a client: sends what there is to send and looks at what logic
    /// wants of the shell. Returns why the connection is to end, if it is.
    pub(super) fn settle(&mut self, slot: u32) -> Option<u32> {
        let client = self.clients.get(slot).client();
        let flags = client.flags.load(Ordering::Relaxed);
        if flags & flag::KILLED != 0 {
            return Some(close_reason::LOGIC);
        }
        if flags & (flag::BLOCKED | flag::POSTPONED) != 0 {
            self.note_wait(slot, flags);
        }
        let client = self.clients.get(slot).client();
        if limits::is_unsendable(self.config, client) {
            return self.judge_output(slot);
        }
        if self.flush(slot) == Flush::Failed {
            return Some(close_reason::PEER);
        }
        let client = self.clients.get(slot).client();
        if client.output.is_empty() {
            return (flags & flag::CLOSE_AFTER_REPLY != 0).then_some(close_reason::LOGIC);
        }
        self.judge_output(slot)
    }

    pub(super) fn note_wait(&mut self, slot: u32, flags: u64) {
        let connection = self.clients.get(slot);
        let deadline_ms = connection.client().deadline_ms;
        if deadline_ms != 0 {
            self.timers.arm(slot, &mut connection.armed_ms, deadline_ms);
        }
        if flags & flag::POSTPONED != 0 && !connection.is(state::POSTPONED) {
            connection.set(state::POSTPONED);
            self.postponed.push(slot);
        }
    }

    fn flush(&mut self, slot: u32) -> Flush {
        if (GATE.holds() || self.held.are_any())
            && !self.clients.get(slot).client().output.is_empty()
            && let Some(kept) = self.hold_back(slot)
        {
            return kept;
        }
        self.send(slot, usize::MAX)
    }

    /// Sends so many bytes of what there is, if the socket takes them.
    pub(super) fn send(&mut self, slot: u32, at_most: usize) -> Flush {
        let connection = self.clients.get(slot);
        let write_waits = connection.is(state::WRITE_WAIT);
        let (fd, client) = connection.parts();
        let before = client.output.len();
        let flushed = if before == 0 {
            output::discard(client);
            Flush::Done
        } else if write_waits {
            output::publish(client);
            return Flush::Full;
        } else {
            bump(&self.stats.writes, 1);
            output::flush_some(fd, client, at_most)
        };
        let sent = before - client.output.len();
        bump(&self.stats.bytes_out, sent as u64);
        output::publish(client);
        if flushed == Flush::Full && sent < at_most && !self.poll_writable(slot, true) {
            return Flush::Failed;
        }
        flushed
    }

    /// Has the poll report when the socket takes bytes again, or no longer. Returns whether it
    /// could. It reports at once if the socket is ready already.
    fn poll_writable(&mut self, slot: u32, wanted: bool) -> bool {
        let place = self.clients.place(slot);
        let connection = self.clients.get(slot);
        let interest = if wanted {
            connection.set(state::WRITE_WAIT);
            Interest::READABLE | Interest::WRITABLE
        } else {
            connection.clear(state::WRITE_WAIT);
            Interest::READABLE
        };
        let fd = connection.fd.as_raw_fd();
        self.poll.registry().reregister(&mut SourceFd(&fd), place.token(), interest).is_ok()
    }

    /// Has the poll report again that a socket takes bytes, which was not acted on.
    pub(super) fn poll_writable_again(&mut self, slot: u32) {
        // Where it fails, the socket's next event is its end.
        let _ = self.poll_writable(slot, true);
    }

    /// The socket of a client with unsent output takes bytes again.
    pub(super) fn resume_output(&mut self, online: &mut Online, slot: u32) {
        self.clients.get(slot).clear(state::WRITE_WAIT);
        let close = self.settle(slot);
        if let Some(reason) = close {
            return self.close(online, slot, reason);
        }
        let sent = self.clients.get(slot).client().output.is_empty();
        if sent && !self.poll_writable(slot, false) {
            return self.close(online, slot, close_reason::PEER);
        }
        self.serve(online, slot);
    }

    fn judge_output(&mut self, slot: u32) -> Option<u32> {
        let now_ms = self.clock.unix_ms();
        let client = self.clients.get(slot).client();
        if limits::judge_output(self.config, client, now_ms) == OutputVerdict::Fine {
            return None;
        }
        let (id, bytes) = (client.id, client.output.len());
        tracing::warn!(id, bytes, "client closed: it does not read its replies");
        client.flags.fetch_or(flag::OUTPUT_LIMIT, Ordering::Relaxed);
        bump(&self.stats.output_limit_closed, 1);
        Some(close_reason::LIMIT)
    }

    /// As [`Worker::settle`], then the client's turn: what it had sent may now run.
    pub(super) fn settle_and_serve(&mut self, online: &mut Online, slot: u32) {
        match self.settle(slot) {
            Some(reason) => self.close(online, slot, reason),
            None => self.serve_again(online, slot),
        }
    }

    /// A turn for a client whose state has changed since logic last looked.
    pub(super) fn serve_again(&mut self, online: &mut Online, slot: u32) {
        self.clients.get(slot).set(state::FRESH);
        self.serve(online, slot);
    }

    /// Closes a client that unsent output has put over its limit since. Returns whether it did.
    pub(super) fn recheck_output(&mut self, online: &mut Online, slot: u32) -> bool {
        if self.clients.get(slot).client().output.is_empty() {
            return false;
        }
        let close = self.judge_output(slot);
        if let Some(reason) = close {
            self.close(online, slot, reason);
        }
        close.is_some()
    }

    /// Ends a turn: no buffer of the worker's stays lent.
    pub(super) fn park(&mut self, online: &mut Online, slot: u32) {
        let connection = self.clients.get(slot);
        let client = connection.client();
        let waits = client.flags.load(Ordering::Relaxed) & flag::BLOCKED != 0;
        let is_held = waits || !client.input.is_empty();
        let parked = input::park(client);
        connection.put(state::HELD, is_held);
        if parked == Err(NoMemory)
            && let Next::Close(reason) = self.no_memory(slot)
        {
            self.close(online, slot, reason);
        }
    }
}
