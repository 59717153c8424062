//! What other threads have for a worker.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::arena::Ptr;
use abi::client::ClientRef;
use abi::message::Message;
use mio::{Registry, Token, Waker};

use crate::arena;
use crate::client::open::Accepted;

/// Everything that came since the last look, in the order it came.
#[derive(Default)]
pub struct Mail {
    /// Messages for clients. Each carries one of its references.
    pub messages: Vec<(ClientRef, Ptr<Message>)>,
    /// New connections for this worker.
    pub connections: Vec<Accepted>,
    /// Postponed clients are to be looked at.
    pub wake_postponed: bool,
}

// SAFETY: a message belongs to no thread; whoever holds a reference may read it.
unsafe impl Send for Mail {}

/// A worker's mailbox. Anybody may post, only the worker collects.
///
/// A post wakes the worker only if it sleeps or is about to: `asleep` is set before the last look
/// at `pending`, and `pending` before the look at `asleep`, so one of the two sees the other.
pub struct Mailbox {
    mail: Mutex<Mail>,
    pending: AtomicBool,
    asleep: AtomicBool,
    waker: Waker,
    clients: AtomicU32,
    /// When the worker last left its poll, monotonic ms; 0: it is there.
    working_since_ms: AtomicU64,
}

/// Rounds of a worker's loop that take longer hold its clients up.
const ROUND_MS_MAX: u64 = 50;

impl Mailbox {
    /// A mailbox whose waker makes `registry`'s poll return an event with `token`.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self {
            mail: Mutex::default(),
            pending: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            waker: Waker::new(registry, token)?,
            clients: AtomicU32::new(0),
            working_since_ms: AtomicU64::new(0),
        })
    }

    /// Clients the worker has or is about to get.
    pub fn clients(&self) -> &AtomicU32 {
        &self.clients
    }

    /// The worker goes to its poll.
    #[inline]
    pub fn rest(&self) {
        self.working_since_ms.store(0, Ordering::Relaxed);
    }

    /// The worker has left its poll.
    #[inline]
    pub fn work(&self, now_ms: u64) {
        self.working_since_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Whether something that the worker does takes so long that a new client should not wait for
    /// it.
    pub fn is_held_up(&self, now_ms: u64) -> bool {
        let since_ms = self.working_since_ms.load(Ordering::Relaxed);
        since_ms != 0 && now_ms.saturating_sub(since_ms) > ROUND_MS_MAX
    }

    /// Posts a message. Takes over one of its references.
    pub fn post(&self, client: ClientRef, message: Ptr<Message>) {
        self.put(|mail| mail.messages.push((client, message)));
    }

    /// Hands over a connection.
    pub fn connect(&self, accepted: Accepted) {
        self.put(|mail| mail.connections.push(accepted));
    }

    /// Has the worker look at its postponed clients.
    pub fn wake_postponed(&self) {
        self.put(|mail| mail.wake_postponed = true);
    }

    /// Has the worker go once around its loop.
    pub fn nudge(&self) {
        self.put(|_| {});
    }

    /// Makes the worker's poll report an event, whatever the worker does.
    pub fn ring(&self) {
        self.pending.store(true, Ordering::SeqCst);
        // Fails only when the eventfd is gone, and with it the worker.
        let _ = self.waker.wake();
    }

    fn put(&self, add: impl FnOnce(&mut Mail)) {
        add(&mut self.lock());
        self.pending.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            // Fails only when the eventfd is gone, and with it the worker.
            let _ = self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces that the worker is about to sleep. Returns whether it may: not if there is mail.
    pub fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        !self.pending.load(Ordering::SeqCst)
    }

    /// The worker no longer sleeps.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Whether there is something to collect.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Takes all mail, leaving the emptied `into` in its place.
    pub fn collect(&self, into: &mut Mail) {
        self.pending.store(false, Ordering::SeqCst);
        std::mem::swap(&mut *self.lock(), into);
    }
}

/// Gives one reference of a message back; the last frees it.
pub fn drop_message(message: Ptr<Message>) {
    // SAFETY: the caller holds a reference, so the message is live.
    let header = unsafe { &*message.as_ptr() };
    let bytes = size_of::<Message>() as u64 + u64::from(header.len2) + u64::from(header.len3);
    if header.references.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: that was the last reference, and messages are allocated with just this size.
        unsafe { arena::free(message.address(), bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::time::Duration;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, NOW).unwrap();
        !events.is_empty()
    }

    #[test]
    fn many_posts_wake_a_sleeper_once() {
        let mut poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry(), Token(1)).unwrap();
        mailbox.wake_postponed();
        assert!(!woken(&mut poll), "a worker that is awake needs no waking");
        assert!(!mailbox.may_sleep(), "there is mail");
        mailbox.awake();
        mailbox.collect(&mut Mail::default());
        assert!(mailbox.may_sleep());
        mailbox.nudge();
        assert!(woken(&mut poll));
        mailbox.nudge();
        assert!(!woken(&mut poll), "it has been woken already");
        assert!(mailbox.has_mail());
    }

    #[test]
    fn a_long_round_holds_up_and_a_long_sleep_does_not() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry(), Token(1)).unwrap();
        assert!(!mailbox.is_held_up(1_000));
        mailbox.work(1_000);
        assert!(!mailbox.is_held_up(1_000 + ROUND_MS_MAX));
        assert!(mailbox.is_held_up(1_001 + ROUND_MS_MAX));
        mailbox.rest();
        assert!(!mailbox.is_held_up(9_000));
    }

    #[test]
    fn mail_keeps_its_order() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry(), Token(1)).unwrap();
        for n in 1..=3 {
            mailbox.post(ClientRef::new(0, n), Ptr::new(8 * n));
        }
        let mut mail = Mail::default();
        mailbox.collect(&mut mail);
        let ids: Vec<_> = mail.messages.iter().map(|(client, _)| client.id()).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert!(!mailbox.has_mail());
    }

    #[test]
    fn drops_of_a_message_free_it_with_the_last() {
        let message = Message {
            kind: 1,
            references: std::sync::atomic::AtomicU32::new(2),
            len2: 0,
            len3: 0,
            detail: 0,
        };
        drop_message(Ptr::new(&raw const message as u64));
        assert_eq!(message.references.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
