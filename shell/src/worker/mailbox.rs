//! What other threads have for a worker.

use abi::client_ref::ClientRef;
use abi::message::Message;
use abi::ptr::Ptr;

use crate::client::open::Accepted;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError, Waker};

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
    /// When it last served others beside what it is at, monotonic ms; 0: never.
    beside_ms: AtomicU64,
}

/// A worker that has not served others beside what it is at for longer does so no more.
const BESIDE_MS_MAX: u64 = 1000;

/// Rounds of a worker's loop that take longer hold its clients up.
pub(super) const ROUND_MS_MAX: u64 = 50;

impl Mailbox {
    /// A mailbox whose waker makes the worker's poll return.
    pub fn new(waker: Waker) -> Self {
        Self {
            mail: Mutex::default(),
            pending: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            waker,
            clients: AtomicU32::new(0),
            working_since_ms: AtomicU64::new(0),
            beside_ms: AtomicU64::new(0),
        }
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
        self.at_work_for_ms(now_ms).is_some_and(|ms| ms > ROUND_MS_MAX)
    }

    /// How long the worker has not been in its poll; none if it is there.
    pub fn at_work_for_ms(&self, now_ms: u64) -> Option<u64> {
        let since_ms = self.working_since_ms.load(Ordering::Relaxed);
        (since_ms != 0).then(|| now_ms.saturating_sub(since_ms))
    }

    /// The worker serves others beside what it is at.
    pub fn work_beside(&self, now_ms: u64) {
        self.beside_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Whether the worker serves others beside what it is at.
    pub fn works_beside(&self, now_ms: u64) -> bool {
        let beside_ms = self.beside_ms.load(Ordering::Relaxed);
        beside_ms > self.working_since_ms.load(Ordering::Relaxed)
            && now_ms.saturating_sub(beside_ms) <= BESIDE_MS_MAX
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
