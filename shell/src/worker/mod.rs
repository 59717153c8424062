//! A worker: a thread with its own poll loop and the clients it was given.
//!
//! ```text
//!            poll ──► events ──► mail ──► queue ──► timers ──► tick ─┐
//!              ▲   offline │ online: may run logic                   │
//!              └───────────┴─────────────────────────────────────────┘
//! ```
//!
//! - [`event`]: what a poll reports
//! - [`serve`]: a client's turn: read, run logic, write
//! - [`accept`]: new connections, and the end of one
//! - [`mail`], [`mailbox`]: what other threads have for its clients
//! - [`timers`], [`tick`]: what is done because time has passed
//! - [`host`], [`background`]: what logic asks of the threads
//!
//! Invariant: a worker sleeps only in its poll, and is offline (see
//! [`crate::logic::generation`]) there. Logic is called with no lock of the shell's held.

pub mod accept;
pub mod background;
pub mod clock;
pub mod event;
pub mod host;
pub mod mail;
pub mod mailbox;
pub mod serve;
pub mod slab;
pub mod stop;
pub mod tick;
pub mod timers;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use abi::client::flag;
use abi::config::ConfigStore;
use abi::stats::LaneStats;
use mio::{Events, Poll};

use crate::arena;
use crate::client::input::NoMemory;
use crate::client::{bump, input, output, state};
use crate::logic::generation::Online;
use crate::server::hub::Hub;
use clock::Clock;
use event::Event;
use mailbox::{Mail, Mailbox};
use slab::Slab;
use tick::Ticker;
use timers::Timers;

/// Events taken from the system at once.
const EVENTS_PER_POLL: usize = 512;

/// What a worker lends to the client it serves. Arena addresses.
#[derive(Clone, Copy, Debug)]
struct Buffers {
    input: u64,
    output: u64,
}

/// One worker. Made on the thread that starts the server, run on its own.
pub struct Worker {
    lane: u32,
    hub: &'static Hub,
    mailbox: &'static Mailbox,
    config: &'static ConfigStore,
    stats: &'static LaneStats,
    poll: Poll,
    buffers: Buffers,
    clients: Slab,
    timers: Timers,
    ticker: Ticker,
    clock: Clock,
    /// Clients with more to do than their turn allowed.
    queue: VecDeque<u32>,
    /// Clients that were postponed; some may no longer be.
    postponed: Vec<u32>,
    mail: Mail,
    /// For each message of `mail` the next one for the same client.
    mail_links: Vec<u32>,
    accept_again: bool,
}

// SAFETY: a worker moves to its thread before it has any client; what it shares with other threads
// (settings, counters, mailbox) is atomic or behind a lock.
unsafe impl Send for Worker {}

impl Worker {
    /// A worker with index `lane` that polls `poll`.
    pub fn new(lane: u32, hub: &'static Hub, poll: Poll) -> Result<Self, NoMemory> {
        let buffers = Buffers {
            input: arena::alloc(input::SHARED_BYTES),
            output: arena::alloc(output::SHARED_BYTES),
        };
        if buffers.input == 0 || buffers.output == 0 {
            return Err(NoMemory);
        }
        let clock = Clock::new();
        Ok(Self {
            lane,
            hub,
            mailbox: hub.mailbox(lane),
            config: hub.config(),
            stats: hub.lane_stats(lane),
            poll,
            buffers,
            clients: Slab::default(),
            timers: Timers::default(),
            ticker: Ticker::new(&clock),
            clock,
            queue: VecDeque::new(),
            postponed: Vec::new(),
            mail: Mail::default(),
            mail_links: Vec::new(),
            accept_again: false,
        })
    }

    /// Serves until the server stops.
    ///
    /// # Errors
    /// The poll failed: the worker cannot go on.
    pub fn run(mut self) -> io::Result<()> {
        arena::bind_thread(self.lane);
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        while !self.hub.is_stopping() {
            self.sleep(&mut events)?;
            let mut online = Online::enter(self.lane);
            // Connections first: what a client asks for may take long.
            for number in events.iter().filter_map(event::listener) {
                self.accept(number);
            }
            for event in &events {
                self.handle(&mut online, event.into());
            }
            self.after_events(&mut online);
        }
        self.stop(&mut events)
    }

    /// Waits for events, or until something is to be done.
    fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        // With several clients at work, whoever gets the processor meanwhile is likely to bring
        // more: that saves a sleep and a wake-up, which cost more than a few requests.
        if events.iter().nth(1).is_some() {
            std::thread::yield_now();
        }
        let idle = self.queue.is_empty() && !self.accept_again && self.mailbox.may_sleep();
        let timeout = if idle { self.until_next_work() } else { Duration::ZERO };
        self.wait(events, timeout)
    }

    fn wait(&mut self, events: &mut Events, timeout: Duration) -> io::Result<()> {
        self.mailbox.rest();
        let polled = self.poll.poll(events, Some(timeout));
        self.mailbox.awake();
        self.clock.read();
        self.mailbox.work(self.clock.unix_ms());
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn until_next_work(&self) -> Duration {
        let tick = self.ticker.until_due(&self.clock);
        match self.timers.next_ms() {
            Some(at) => tick.min(Duration::from_millis(at.saturating_sub(self.clock.unix_ms()))),
            None => tick,
        }
    }

    fn handle(&mut self, online: &mut Online, event: Event) {
        match event {
            Event::Mail | Event::Accept => {}
            Event::Client(place, readiness) => {
                let Some(connection) = self.clients.at(place) else { return };
                if readiness.readable || readiness.hangup {
                    connection.set(state::READABLE);
                }
                if readiness.hangup {
                    connection.set(state::HANGUP);
                }
                if readiness.writable && connection.is(state::WRITE_WAIT) {
                    self.resume_output(online, place.slot);
                } else {
                    self.serve(online, place.slot);
                }
            }
        }
    }

    fn after_events(&mut self, online: &mut Online) {
        if self.mailbox.has_mail() {
            self.collect_mail(online);
        }
        if self.accept_again {
            self.accept_all();
        }
        self.run_queue(online);
        self.run_timers(online);
        if self.ticker.is_due(&self.clock) {
            self.tick(online);
        }
    }

    /// Gives each client that was queued before now one turn.
    fn run_queue(&mut self, online: &mut Online) {
        for _ in 0..self.queue.len() {
            let Some(slot) = self.queue.pop_front() else { return };
            // A slot whose client has gone may have been queued by it; its heir loses nothing.
            if let Some(connection) = self.clients.try_get(slot)
                && connection.is(state::QUEUED)
            {
                connection.clear(state::QUEUED);
                self.serve(online, slot);
            }
        }
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
        online.generation().deadline(self.lane, self.clients.get(slot).client());
        bump(&self.stats.batches, 1);
        self.settle_and_serve(online, slot);
    }
}
