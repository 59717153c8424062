//! Which thread runs which worker.
//!
//! A worker belongs to no thread in particular: whoever holds its seat runs it. There are as many
//! threads as workers, and two ways to share the work:
//!
//! - *gathered*: one thread, the leader, runs all workers, sleeping in a poll of their polls. While
//!   it has time for them all, that costs less than waking several threads for a few requests
//!   each. The others stand by, and one of them watches the leader.
//! - *spread*: each thread has a seat of its own and sleeps in that worker's poll.
//!
//! The leader spreads the work when it no longer gets to sleep; its watcher does so when a turn
//! takes long, so that a slow command holds up the clients of its own worker alone. Work that
//! would fit into one thread again is gathered.
//!
//! Invariant: a thread holds at most one seat, so that one that has none finds one.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::Worker;
use super::clock::Clock;
use super::load::{Hold, Load};
use super::shared::ServerShared;
use crate::arena;

/// A leader that is at work for this share of its time has too much of it.
const FULL: f64 = 0.9;
/// Threads that are at work for this share of one thread's time, together, are too many.
const FITS: f64 = 0.8;
/// A leader that sleeps looks up from time to time.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How often the leader is looked at while it is at work.
const LOOK: Duration = Duration::from_millis(5);
/// The same while it sleeps.
const LOOK_SELDOM: Duration = Duration::from_millis(40);
/// Looks at one and the same turn until it counts as long.
const LOOKS_MAX: u32 = 3;
/// Until a seat is looked for again by a thread that found none free.
const SEAT_WAIT: Duration = Duration::from_millis(1);

/// The workers and what their threads agree on.
pub struct Scheduler {
    server: &'static ServerShared,
    seats: Box<[Seat]>,
    gathered: AtomicBool,
    /// Guards changes of `gathered`; `changed` tells those who stand by.
    change: Mutex<Hold>,
    changed: Condvar,
    /// The poll of all workers' polls. Whoever holds it is the leader. The polls are registered
    /// while they are empty, once: that takes time in proportion to what they poll.
    leading: Mutex<Poll>,
    /// Held by the watcher.
    watching: Mutex<()>,
    /// Odd while the leader sleeps in its poll.
    round: AtomicU64,
}

/// Why a thread's part of the work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server stops.
    Stopped,
    /// It rests: the workers are in their seats, as they are between two turns.
    Rests,
}

/// A worker's place.
#[repr(align(64))]
struct Seat {
    /// None once the worker has stopped.
    worker: Mutex<Option<Worker>>,
    /// Time its thread has not slept, in microseconds, while the work is spread.
    busy_us: AtomicU64,
}

type Occupied<'a> = MutexGuard<'a, Option<Worker>>;

impl Scheduler {
    /// A scheduler of all workers of a server.
    ///
    /// # Errors
    /// The system has no poll for the leader.
    pub fn new(server: &'static ServerShared, workers: Vec<Worker>) -> io::Result<Self> {
        let polls = Poll::new()?;
        for (number, worker) in workers.iter().enumerate() {
            let source = &mut SourceFd(&worker.poll_fd());
            polls.registry().register(source, Token(number), Interest::READABLE)?;
        }
        let gathered = AtomicBool::new(workers.len() > 1);
        let seat = |worker| Seat { worker: Mutex::new(Some(worker)), busy_us: AtomicU64::new(0) };
        Ok(Self {
            server,
            seats: workers.into_iter().map(seat).collect(),
            gathered,
            change: Mutex::default(),
            changed: Condvar::new(),
            leading: Mutex::new(polls),
            watching: Mutex::new(()),
            round: AtomicU64::new(0),
        })
    }

    /// A thread's part of the work, until the server stops, or rests. To be called by as many threads as
    /// there are workers.
    ///
    /// # Errors
    /// A poll failed: a worker cannot go on.
    pub fn work(&self) -> io::Result<Ended> {
        let mut events = super::events();
        loop {
            if self.server.is_resting() {
                self.spread(None);
                return Ok(Ended::Rests);
            }
            if self.is_gathered() {
                match try_lock(&self.leading) {
                    Some(mut polls) => self.lead(&mut polls, &mut events)?,
                    None => self.stand_by(),
                }
            } else if let Some((lane, mut seat)) = self.free_seat() {
                if self.run_alone(&mut seat, &mut events)? {
                    return Ok(Ended::Stopped);
                }
                drop(seat);
                // The leader may have found the seat taken when it was told of an event.
                self.server.mailbox(lane).ring();
            } else {
                std::thread::sleep(SEAT_WAIT);
            }
        }
    }

    /// Takes all workers out of their seats, once no thread runs any.
    pub fn take_workers(&self) -> Vec<Worker> {
        self.seats.iter().filter_map(|seat| try_lock(&seat.worker)?.take()).collect()
    }

    fn is_gathered(&self) -> bool {
        self.gathered.load(Ordering::Acquire)
    }

    fn free_seat(&self) -> Option<(u32, Occupied<'_>)> {
        let free =
            (0..).zip(&self.seats).filter_map(|(lane, seat)| Some((lane, try_lock(&seat.worker)?)));
        free.into_iter().find(|(_, worker)| worker.is_some())
    }

    /// Runs one worker, until it has stopped, which is told by `true`, or the work is gathered.
    fn run_alone(&self, seat: &mut Occupied<'_>, events: &mut Events) -> io::Result<bool> {
        let Some(worker) = seat.as_mut() else { return Ok(false) };
        let _lane = arena::enter(worker.lane());
        let mut clock = Clock::new();
        let mut load = Load::new(&clock, self.busy_us());
        // What was reported while another thread ran this worker may still be to do.
        worker.wait(events, Duration::ZERO)?;
        loop {
            clock.read();
            worker.turn(events);
            if self.server.rounds_are_over() {
                break;
            }
            self.count(worker.lane(), &mut clock);
            if worker.lane() == 0 && load.is_complete(&clock) {
                self.weigh(&clock, &mut load);
            }
            if self.is_gathered() {
                worker.rest();
                return Ok(false);
            }
            linger(events);
            let timeout = worker.may_sleep(&clock);
            worker.wait(events, timeout)?;
        }
        if self.server.is_resting() {
            worker.rest();
            arena::flush();
            return Ok(false);
        }
        let stopped = worker.stop(events);
        arena::flush();
        **seat = None;
        stopped.map(|()| true)
    }

    /// Counts the time since the clock was read as spent at work.
    fn count(&self, lane: u32, clock: &mut Clock) {
        let began_us = clock.monotonic_us();
        clock.read();
        let busy_us = &self.seats[lane as usize].busy_us;
        busy_us.fetch_add(clock.monotonic_us() - began_us, Ordering::Relaxed);
    }

    fn busy_us(&self) -> u64 {
        self.seats.iter().map(|seat| seat.busy_us.load(Ordering::Relaxed)).sum()
    }

    /// Gathers the work if it would fit into one thread.
    fn weigh(&self, clock: &Clock, load: &mut Load) {
        let fits = load.share(clock, self.busy_us()) < FITS;
        let now_ms = clock.monotonic_ms();
        if self.seats.len() == 1 || !fits || self.server.is_any_held_up(now_ms) {
            return;
        }
        let hold = self.lock_change();
        if hold.is_over(now_ms) {
            self.gathered.store(true, Ordering::Release);
            self.server.nudge_workers();
        }
    }

    /// Runs all workers until the work is spread.
    fn lead(&self, polls: &mut Poll, events: &mut Events) -> io::Result<()> {
        let outcome = self.lead_rounds(polls, events);
        if outcome.is_err() {
            // Nobody would run the other workers, and the watcher might take this for a sleep.
            self.spread(None);
        }
        outcome
    }

    fn lead_rounds(&self, polls: &mut Poll, events: &mut Events) -> io::Result<()> {
        let mut ready = Events::with_capacity(self.seats.len());
        let (mut clock, mut busy_us) = (Clock::new(), 0);
        let mut load = Load::new(&clock, busy_us);
        while self.is_gathered() {
            let began_us = clock.monotonic_us();
            clock.read();
            busy_us += clock.monotonic_us() - began_us;
            let full = load.is_complete(&clock) && load.share(&clock, busy_us) > FULL;
            if full || self.server.rounds_are_over() {
                self.spread(None);
                return Ok(());
            }
            linger(events);
            let timeout = self.timeout(&clock);
            self.round.fetch_add(1, Ordering::Relaxed);
            let polled = super::poll(polls, &mut ready, timeout);
            self.round.fetch_add(1, Ordering::Relaxed);
            polled?;
            clock.read();
            self.run_all(&clock, &ready, events)?;
        }
        Ok(())
    }

    /// How long the leader may sleep. Whoever posts to a worker wakes it from here on.
    fn timeout(&self, clock: &Clock) -> Duration {
        let mut shortest = SLEEP_MAX;
        for seat in &self.seats {
            // Another thread has not left this seat yet; it rings when it does.
            let Some(mut seat) = try_lock(&seat.worker) else { continue };
            let Some(worker) = seat.as_mut() else { continue };
            shortest = shortest.min(worker.may_sleep(clock));
        }
        shortest
    }

    /// Gives each worker that has something to do its turn.
    fn run_all(&self, clock: &Clock, ready: &Events, events: &mut Events) -> io::Result<()> {
        events.clear();
        for (number, seat) in self.seats.iter().enumerate() {
            let Some(mut seat) = try_lock(&seat.worker) else { continue };
            let Some(worker) = seat.as_mut() else { continue };
            worker.wake(clock);
            if worker.has_work() || ready.iter().any(|event| event.token() == Token(number)) {
                let _lane = arena::enter(worker.lane());
                worker.wait(events, Duration::ZERO)?;
                worker.turn(events);
                worker.rest();
            }
            if !self.is_gathered() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until the work is spread, watching the leader if nobody does.
    fn stand_by(&self) {
        match try_lock(&self.watching) {
            Some(_watching) => self.watch(),
            None => {
                let mut hold = self.lock_change();
                while self.is_gathered() {
                    hold = self.changed.wait(hold).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn watch(&self) {
        let (mut seen, mut looks, mut pause) = (self.round.load(Ordering::Relaxed), 0, LOOK);
        while self.pause(pause) {
            let round = self.round.load(Ordering::Relaxed);
            let at_work = round.is_multiple_of(2);
            looks = if at_work && round == seen { looks + 1 } else { 0 };
            if looks == LOOKS_MAX {
                return self.spread(Some(Clock::new().monotonic_ms()));
            }
            let quiet = !at_work && round == seen;
            pause = if quiet { (pause * 2).min(LOOK_SELDOM) } else { LOOK };
            seen = round;
        }
    }

    /// Waits for a time, or until the work is spread. Returns whether it still is gathered.
    fn pause(&self, time: Duration) -> bool {
        let hold = self.lock_change();
        if self.is_gathered() {
            let waited = self.changed.wait_timeout(hold, time);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
        self.is_gathered()
    }

    /// Gives every thread a worker of its own. `held_up_ms`: the time, if that is because the
    /// leader is held up.
    fn spread(&self, held_up_ms: Option<u64>) {
        let mut hold = self.lock_change();
        if let Some(now_ms) = held_up_ms {
            hold.extend(now_ms);
        }
        self.gathered.store(false, Ordering::Release);
        self.changed.notify_all();
    }

    fn lock_change(&self) -> MutexGuard<'_, Hold> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With several clients at work, whoever gets the processor meanwhile is likely to bring more: that
/// saves a sleep and a wake-up, which cost more than a few requests.
fn linger(events: &Events) {
    if events.iter().nth(1).is_some() {
        std::thread::yield_now();
    }
}

/// The lock, if nobody has it. Who has panicked under it ends the server; until then it goes on.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
