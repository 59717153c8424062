//! A worker: a poll loop with the clients it was given. [`scheduler`] says which thread runs it.
//!
//! ```text
//!            poll ──► events ──► mail ──► queue ──► timers ──► tick ─┐
//!              ▲   offline │ online: may run logic                   │
//!              └───────────┴─────────────────────────────────────────┘
//! ```
//!
//! - [`shared`], [`listeners`]: what all threads of the server share
//! - [`scheduler`], [`load`]: which thread runs which worker
//! - [`event`]: what a poll reports
//! - [`serve`]: a client's turn: read, run logic, write
//! - [`round`]: the first reads of several clients' turns, before any of them goes on
//! - [`accept`]: new connections, and the end of one
//! - [`mail`], [`mailbox`], [`post`]: what other threads have for its clients
//! - [`swap`]: what another logic than before owes to clients
//! - [`timers`], [`tick`]: what is done because time has passed
//! - [`background`]: what logic wants done beside its requests
//! - [`meanwhile`]: other clients, while a command of one takes long
//! - [`held`]: replies that wait for the disk
//! - [`hand_over`]: what a worker leaves to that of another process
//! - [`held_up`]: workers that do not come back, for whoever asks
//!
//! Invariant: a worker rests only between its turns, and is offline (see
//! [`crate::logic::roster`]) there. Logic is called with no lock of the shell's held.

pub mod accept;
pub mod background;
pub mod clock;
pub mod event;
pub mod hand_over;
pub mod held;
pub mod held_up;
pub mod listeners;
pub mod load;
pub mod mail;
pub mod mailbox;
#[cfg(test)]
mod mailbox_tests;
pub mod meanwhile;
pub mod post;
pub mod round;
pub mod scheduler;
pub mod serve;
pub mod shared;
pub mod slab;
pub mod stop;
pub mod swap;
pub mod tick;
pub mod timers;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::client::flag;
use abi::config::ConfigStore;
use abi::lane::Running;
use abi::stats::LaneStats;
use mio::{Events, Poll};

use crate::arena::{self, NoMemory};
use crate::client::{bump, input, output, state};
use crate::logic::roster::Online;
use clock::Clock;
use event::{Event, Readiness};
use held::HeldClients;
use mail::Posted;
use mailbox::{Mail, Mailbox};
use meanwhile::{Left, Meanwhile};
use round::Round;
use shared::ServerShared;
use slab::{Place, Slab};
use swap::Swap;
use tick::Ticker;
use timers::Timers;

/// Events taken from the system at once.
const EVENTS_PER_POLL: usize = 512;

/// Until a connection is closed again that could not be closed at once.
const CLOSE_AGAIN: Duration = Duration::from_millis(2);

/// What a worker lends to the client it serves. Arena addresses.
#[derive(Debug)]
struct Buffers {
    input: u64,
    /// For a round of reads, see [`round`].
    round: u64,
    output: u64,
}

impl Buffers {
    const NONE: Self = Self { input: 0, round: 0, output: 0 };

    fn new() -> Result<Self, NoMemory> {
        let buffers = Self {
            input: arena::alloc(input::SHARED_BYTES),
            round: arena::alloc(input::ROUND_BUFFER_BYTES),
            output: arena::alloc(output::SHARED_BYTES),
        };
        if [buffers.input, buffers.round, buffers.output].contains(&0) {
            buffers.free();
            return Err(NoMemory);
        }
        Ok(buffers)
    }

    /// Says where they are, for who finds the arena after the end of the process: clients borrow them.
    fn tell(&self, running: &Running) {
        let places = [self.input, self.round, self.output];
        let told = running.lent.iter().zip(places);
        told.for_each(|(told, place)| told.store(place, Ordering::Relaxed));
    }

    /// Gives their memory back. None of them is lent, and they are not used again.
    fn free(&self) {
        let sizes = [input::SHARED_BYTES, input::ROUND_BUFFER_BYTES, output::SHARED_BYTES];
        for (address, size) in [self.input, self.round, self.output].into_iter().zip(sizes) {
            if address != 0 {
                // SAFETY: allocated with this size, and as the caller promises.
                unsafe { arena::free(address, size) };
            }
        }
    }
}

/// One worker. Run by one thread at a time.
pub struct Worker {
    lane: u32,
    /// The lane on which it calls logic: its own, but for what is done beside a command.
    acts_as: u32,
    /// The slot of the client that logic has been called for.
    in_logic: Option<u32>,
    server: &'static ServerShared,
    mailbox: &'static Mailbox,
    config: &'static ConfigStore,
    stats: &'static LaneStats,
    poll: Poll,
    buffers: Buffers,
    clients: Slab,
    timers: Timers,
    ticker: Ticker,
    clock: Clock,
    round: Round,
    /// Clients with more to do than their turn allowed.
    queue: VecDeque<u32>,
    /// Clients that were postponed; some may no longer be.
    postponed: Vec<u32>,
    /// Mail that waits for the end of a client's turn: all but messages.
    mail: Mail,
    /// Messages that wait for it, and those delivered since the last look at all mail.
    messages: Vec<Posted>,
    /// Room for the mailbox's next mail. Empty.
    taken: Mail,
    /// Room for the clients that are given messages. Empty.
    mailed: Vec<u32>,
    /// Clients that the logic which serves has not been shown yet.
    swap: Swap,
    accept_again: bool,
    /// There while others are served beside a command.
    meanwhile: Option<Box<Meanwhile>>,
    /// Connections that ended and could not be closed at once: beside a command, or while others hold
    /// what that takes.
    closing: Vec<Left>,
    /// Clients whose output is held until what it tells of is safe on disk.
    held: HeldClients,
    /// The last poll may not have reported all there was.
    more_events: bool,
}

// SAFETY: its clients and buffers are its own, wherever it goes; what it shares with other workers
// (settings, counters, mailbox) is atomic or behind a lock.
unsafe impl Send for Worker {}

/// Room for what a worker's poll reports at once.
pub fn events() -> Events {
    Events::with_capacity(EVENTS_PER_POLL)
}

/// Polls; a signal is no event and no error.
fn poll(poll: &mut Poll, events: &mut Events, timeout: Duration) -> io::Result<()> {
    match poll.poll(events, Some(timeout)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        outcome => outcome,
    }
}

impl Worker {
    /// A worker with index `lane` that polls `poll`.
    pub fn new(lane: u32, server: &'static ServerShared, poll: Poll) -> Result<Self, NoMemory> {
        let buffers = Buffers::new()?;
        let clock = Clock::new();
        buffers.tell(server.running(lane));
        Ok(Self {
            lane,
            acts_as: lane,
            in_logic: None,
            server,
            mailbox: server.mailbox(lane),
            config: server.config(),
            stats: server.lane_stats(lane),
            poll,
            buffers,
            clients: Slab::default(),
            timers: Timers::default(),
            ticker: Ticker::new(&clock),
            clock,
            round: Round::default(),
            queue: VecDeque::new(),
            postponed: Vec::new(),
            mail: Mail::default(),
            messages: Vec::new(),
            taken: Mail::default(),
            mailed: Vec::new(),
            swap: Swap::default(),
            accept_again: false,
            meanwhile: None,
            closing: Vec::new(),
            held: HeldClients::default(),
            more_events: false,
        })
    }

    /// The lane that this worker is.
    pub fn lane(&self) -> u32 {
        self.lane
    }

    /// Does what the poll has reported, and what is due besides.
    pub fn turn(&mut self, events: &Events) {
        let mut online = Online::enter(self.lane);
        // Connections first: what a client asks for may take long.
        for number in events.iter().filter_map(event::listener) {
            self.accept(number);
        }
        for event in events {
            self.handle(&mut online, event.into());
        }
        self.run_round(&mut online);
        self.after_events(&mut online);
        self.more_events = events.iter().count() == EVENTS_PER_POLL;
    }

    /// The descriptor of its poll, for another poll to poll.
    pub fn poll_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// How long this worker may sleep; `clock` says from when. Whoever posts to it wakes it from here on.
    pub fn may_sleep(&mut self, clock: &Clock) -> Duration {
        self.clock.follow(clock);
        let idle = !self.is_behind() && self.mailbox.may_sleep();
        if idle { self.until_next_work() } else { Duration::ZERO }
    }

    /// The sleep is over; this is the time.
    pub fn wake(&mut self, clock: &Clock) {
        self.mailbox.awake();
        self.clock.follow(clock);
    }

    /// Whether there is something to do that the poll does not know of.
    pub fn has_work(&self) -> bool {
        self.is_behind() || self.mailbox.has_mail() || self.until_next_work().is_zero()
    }

    /// Whether mail was looked at in a client's turn and not all of it acted on.
    fn has_mail_left(&self) -> bool {
        let Mail { connections, wake_postponed, .. } = &self.mail;
        *wake_postponed || !connections.is_empty() || !self.messages.is_empty()
    }

    fn is_behind(&self) -> bool {
        self.more_events
            || self.has_mail_left()
            || self.held.are_due()
            || !self.queue.is_empty()
            || self.swap.is_under_way()
            || self.accept_again
    }

    /// Waits for events for so long at most.
    ///
    /// # Errors
    /// The poll failed: the worker cannot go on.
    pub fn wait(&mut self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        self.mailbox.rest();
        poll(&mut self.poll, events, timeout)?;
        self.mailbox.awake();
        self.clock.read();
        self.mailbox.work(self.clock.monotonic_ms());
        Ok(())
    }

    /// A pause between turns, in which nothing holds its clients up.
    pub fn rest(&self) {
        self.mailbox.rest();
    }

    fn until_next_work(&self) -> Duration {
        let tick = match self.closing.is_empty() {
            true => self.ticker.until_due(&self.clock),
            false => CLOSE_AGAIN,
        };
        match self.timers.next_ms() {
            Some(at) => tick.min(Duration::from_millis(at.saturating_sub(self.clock.unix_ms()))),
            None => tick,
        }
    }

    fn handle(&mut self, online: &mut Online, event: Event) {
        match event {
            Event::Mail | Event::Accept => {}
            Event::Client(place, readiness) => match self.note(place, readiness) {
                Some(true) => self.resume_output(online, place.slot),
                Some(false) => self.read_ahead(online, place),
                None => {}
            },
        }
    }

    /// Notes what the socket of a client is ready for, if the client is there. Tells whether it takes
    /// bytes again for which it had no room.
    #[inline]
    fn note(&mut self, place: Place, readiness: Readiness) -> Option<bool> {
        let connection = self.clients.at(place)?;
        if readiness.readable || readiness.hangup {
            connection.set(state::READABLE);
        }
        if readiness.hangup {
            connection.set(state::HANGUP);
        }
        Some(readiness.writable && connection.is(state::WRITE_WAIT))
    }

    fn after_events(&mut self, online: &mut Online) {
        if self.mailbox.has_mail() || self.has_mail_left() {
            self.collect_mail(online);
        }
        if self.accept_again {
            self.accept_all();
        }
        self.run_queue(online);
        if !self.closing.is_empty() {
            self.close_all_left(online);
        }
        if self.held.are_any() {
            self.release_held(online);
        }
        self.follow_swap(online);
        self.run_timers(online);
        if self.ticker.is_due(&self.clock) {
            self.tick(online);
        }
        self.want_held();
    }

    /// Gives each client that was queued before now one turn.
    fn run_queue(&mut self, online: &mut Online) {
        for _ in 0..self.queue.len() {
            if let Some(slot) = self.next_queued() {
                self.serve(online, slot);
            }
        }
    }

    /// Takes the first slot of the queue, if its client still wants a turn. A slot whose client has
    /// gone may have been queued by it; its heir loses nothing.
    fn next_queued(&mut self) -> Option<u32> {
        let slot = self.queue.pop_front()?;
        let connection = self.clients.try_get(slot)?;
        let is_queued = connection.is(state::QUEUED);
        connection.clear(state::QUEUED);
        is_queued.then_some(slot)
    }

    fn run_timers(&mut self, online: &mut Online) {
        if self.timers.next_ms().is_none_or(|at| at > self.clock.unix_ms()) {
            return;
        }
        // Logic reads its own clock: a deadline must have passed by that one too.
        let now_ms = clock::unix_ms();
        // All are taken out first: a client whose reply is under way in the mailbox still waits,
        // and is armed again at once. The mail comes before its next turn.
        let due: Vec<u32> = std::iter::from_fn(|| self.timers.pop_due(now_ms)).collect();
        for slot in &due {
            self.clients.get(*slot).armed_ms = 0;
        }
        for slot in due {
            self.check_deadline(online, slot, now_ms);
        }
    }

    fn check_deadline(&mut self, online: &mut Online, slot: u32, now_ms: u64) {
        let Some(connection) = self.clients.try_get(slot) else { return };
        let client = connection.client();
        let waits = client.flags.load(std::sync::atomic::Ordering::Relaxed)
            & (flag::BLOCKED | flag::POSTPONED)
            != 0;
        if !waits || client.deadline_ms == 0 {
            return;
        }
        if client.deadline_ms > now_ms {
            let at = client.deadline_ms;
            self.timers.arm(slot, &mut self.clients.get(slot).armed_ms, at);
            return;
        }
        output::lend(client, self.buffers.output);
        let before = self.changes_before(slot);
        self.with_logic(slot, |lane, client| {
            online.generation_of(lane, client).deadline(lane, client);
        });
        self.note_changes(slot, before);
        bump(&self.stats.batches, 1);
        self.settle_and_serve(online, slot);
    }
}
