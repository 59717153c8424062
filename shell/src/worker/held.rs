//! Replies that are held until what they tell of is safe on disk: `appendfsync always`.
//!
//! A reply that is made while effects in the stream are not safe yet is held, whoever caused them:
//! so nobody hears of anything that may be lost. Its client runs nothing more until it is sent, others
//! do. At the end of a worker's round whoever writes the log is woken once, for all clients of it; and
//! once the log has come so far, it wakes the workers.
//!
//! While the log cannot be written, commands that write are refused, and who has only read need not
//! wait for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use abi::client::flag;
use abi::effects::Stream;
use abi::logic::close_reason;

use super::Worker;
use super::slab::Place;
use crate::client::output::{self, Flush};
use crate::client::state;
use crate::logic::roster::Online;

/// Bytes in the stream that the log has yet to take for which its writer is woken: long before the
/// stream's ring is full, and writers have to wait.
const BEHIND_BYTES: u64 = 2 << 20;

/// What workers and the writer of the log tell each other.
pub struct Gate {
    /// Whether there is a log that is being written.
    is_read: AtomicBool,
    /// How far it has come.
    taken: AtomicU64,
    holds: AtomicBool,
    fails: AtomicBool,
    safe: AtomicU64,
    wanted: AtomicU64,
    /// Replies that have been held so far.
    held: AtomicU64,
    asleep: AtomicBool,
    stream: OnceLock<Stream<'static>>,
    writer: OnceLock<Thread>,
}

/// That of this process.
pub static GATE: Gate = Gate {
    is_read: AtomicBool::new(false),
    taken: AtomicU64::new(0),
    holds: AtomicBool::new(false),
    fails: AtomicBool::new(false),
    safe: AtomicU64::new(0),
    wanted: AtomicU64::new(0),
    held: AtomicU64::new(0),
    asleep: AtomicBool::new(false),
    stream: OnceLock::new(),
    writer: OnceLock::new(),
};

impl Gate {
    /// Whether replies are held.
    #[inline(always)]
    pub fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    /// The log reads this stream.
    pub fn follow(&self, stream: Stream<'static>) {
        // There is one in the life of a process.
        let _ = self.stream.set(stream);
    }

    /// The calling thread is the writer of the log.
    pub fn attend(&self) {
        // There is one in the life of a process.
        let _ = self.writer.set(thread::current());
    }

    /// The log has taken all of the stream up to a position, or is none any more.
    pub fn take(&self, position: Option<u64>) {
        self.taken.store(position.unwrap_or(0), Ordering::Relaxed);
        self.is_read.store(position.is_some(), Ordering::Relaxed);
    }

    /// Whether the writer of the log sleeps while there is much for it to do.
    #[inline]
    fn oversleeps(&self) -> bool {
        self.is_read.load(Ordering::Relaxed) && self.is_behind()
    }

    fn is_behind(&self) -> bool {
        let behind = self.position().saturating_sub(self.taken.load(Ordering::Relaxed));
        behind >= BEHIND_BYTES && self.asleep.load(Ordering::Relaxed)
    }

    /// Whether replies are to be held. Returns whether that is another thing than before.
    pub fn hold(&self, holds: bool) -> bool {
        self.holds.swap(holds, Ordering::SeqCst) != holds
    }

    /// Whether the log cannot be written.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// All effects up to a position are safe. Returns whether somebody waits for that.
    pub fn let_pass(&self, safe: u64) -> bool {
        let before = self.safe.swap(safe, Ordering::SeqCst);
        safe > before && self.wanted.load(Ordering::SeqCst) > before
    }

    /// The writer sleeps, until somebody waits for more than is safe, or the time is over.
    pub fn sleep(&self, at_most: Duration) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.wanted.load(Ordering::SeqCst) <= self.safe.load(Ordering::SeqCst) {
            thread::park_timeout(at_most);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// The writer sleeps, until more replies are held, or the time is over.
    pub fn sleep_a_moment(&self, at_most: Duration) {
        self.asleep.store(true, Ordering::SeqCst);
        thread::park_timeout(at_most);
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// How many replies have been held so far.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// Wakes the writer.
    pub fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Somebody waits for all effects up to a position.
    fn want(&self, position: u64) {
        self.wanted.fetch_max(position, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn fails(&self) -> bool {
        self.fails.load(Ordering::SeqCst)
    }

    fn is_safe(&self, position: u64) -> bool {
        !self.holds() || position <= self.safe.load(Ordering::SeqCst)
    }

    fn position(&self) -> u64 {
        self.stream.get().map_or(0, Stream::position)
    }
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    place: Place,
    /// The position in the stream.
    at: u64,
    /// Bytes of output that may be sent then.
    bytes: usize,
}

/// Clients whose output is held.
#[derive(Default)]
pub(super) struct HeldClients {
    clients: Vec<Held>,
    /// What the writer of the log is to be told at the end of the round; 0: nothing.
    wants: u64,
    /// Some need not wait any more.
    are_due: bool,
}

impl HeldClients {
    /// Whether some need not wait any more, of which the poll does not tell.
    #[inline]
    pub(super) fn are_due(&self) -> bool {
        self.are_due
    }

    /// Whether there are any.
    #[inline]
    pub(super) fn are_any(&self) -> bool {
        !self.clients.is_empty()
    }

    fn add(&mut self, held: Held) {
        self.wants = self.wants.max(held.at);
        GATE.held.fetch_add(1, Ordering::SeqCst);
        self.clients.push(held);
    }
}

impl Worker {
    /// Keeps the output of a client if it has to wait, and notes for what. None: it may be sent.
    #[cold]
    pub(super) fn hold_back(&mut self, slot: u32) -> Option<Flush> {
        let place = self.clients.place(slot);
        let connection = self.clients.get(slot);
        if !connection.is(state::HELD_BACK) {
            let at = GATE.position();
            let need_not_wait = GATE.fails() && connection.is(state::ONLY_READ);
            if need_not_wait || GATE.is_safe(at) {
                return None;
            }
            connection.set(state::HELD_BACK);
            let bytes = connection.client().output.len();
            self.held.add(Held { place, at, bytes });
        }
        let client = self.clients.get(slot).client();
        let kept = output::keep(client);
        output::publish(client);
        Some(kept)
    }

    /// At the end of a round: has the log written up to what clients wait for, and before it falls far
    /// behind.
    #[inline]
    pub(super) fn want_held(&mut self) {
        if GATE.oversleeps() {
            GATE.wake();
        }
        let wants = std::mem::take(&mut self.held.wants);
        if wants != 0 {
            GATE.want(wants);
            // The log may have come so far before it was told that somebody waits for that: then it
            // wakes nobody.
            self.held.are_due = self.held.clients.iter().any(|held| GATE.is_safe(held.at));
        }
    }

    /// Sends what need not wait any more.
    pub(super) fn release_held(&mut self, online: &mut Online) {
        self.held.are_due = false;
        for held in std::mem::take(&mut self.held.clients) {
            let Some(connection) = self.clients.at(held.place) else { continue };
            let has_only_read = connection.is(state::ONLY_READ);
            match GATE.is_safe(held.at) || GATE.fails() && has_only_read {
                true => self.release(online, held),
                false => self.held.clients.push(held),
            }
        }
    }

    fn release(&mut self, online: &mut Online, held: Held) {
        let (slot, at) = (held.place.slot, GATE.position());
        let connection = self.clients.get(slot);
        connection.clear(state::HELD_BACK);
        let has_more = connection.client().output.len() > held.bytes;
        if !has_more || GATE.is_safe(at) {
            if !self.server.rounds_are_over() {
                return self.settle_and_serve(online, slot);
            }
            if let Some(reason) = self.settle(slot) {
                self.close(online, slot, reason);
            }
            return;
        }
        // What came meanwhile waits in its turn, and what was before does not wait for it.
        if self.send(slot, held.bytes) == Flush::Failed {
            return self.close(online, slot, close_reason::PEER);
        }
        let connection = self.clients.get(slot);
        let bytes = connection.client().output.len();
        if bytes > 0 {
            connection.set(state::HELD_BACK);
            self.held.add(Held { at, bytes, ..held });
        }
    }

    /// Before logic is called for a client: what has been changed so far.
    #[inline]
    pub(super) fn changes_before(&mut self, slot: u32) -> Option<u64> {
        GATE.holds().then(|| self.note_before(slot))
    }

    #[cold]
    fn note_before(&mut self, slot: u32) -> u64 {
        let connection = self.clients.get(slot);
        let client = connection.client();
        // What who waits for a key is told may be what others have done.
        let is_blocked = client.flags.load(Ordering::Relaxed) & flag::BLOCKED != 0;
        let has_none = client.output.is_empty();
        if has_none && !is_blocked {
            connection.set(state::ONLY_READ);
        } else if is_blocked {
            connection.clear(state::ONLY_READ);
        }
        self.stats.dirty.load(Ordering::Relaxed)
    }

    /// After it: notes whether anything was.
    #[inline]
    pub(super) fn note_changes(&mut self, slot: u32, before: Option<u64>) {
        if before.is_some_and(|before| before != self.stats.dirty.load(Ordering::Relaxed)) {
            self.clients.get(slot).clear(state::ONLY_READ);
        }
    }
}
