//! The lock's real code, run through interleavings of its threads by `shuttle`: nobody is inside
//! beside another, nobody sleeps for ever, and the word names who is inside.
//!
//! Each test says how many it explored. A thread that nobody wakes ends an exploration as a
//! deadlock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Plain, Ordering, Ordering::SeqCst};

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::sync::atomic::AtomicU32;
use shuttle::sync::{Condvar, Mutex};
use shuttle::{Config, Runner, thread};

use super::protocol::{self, Holder, Locker, Word};

/// Schedules explored at random, and as many again with few but well-chosen switches.
const RANDOM: usize = 10_000;
/// Switches at which a schedule of the second kind goes against a thread that could go on.
const SWITCHES: usize = 4;
const SEED: u64 = 0x10c4;

/// A lock, the futex it sleeps on, and who is inside.
struct Shared {
    word: AtomicU32,
    /// Held while a thread compares and falls asleep, and while one wakes others: what the kernel
    /// does in one step.
    queue: Mutex<()>,
    sleepers: Condvar,
    /// How often sleep is over although nobody has woken the thread.
    early: Plain,
    /// Zero, or the number of who is inside and one.
    inside: Plain,
}

/// A thread that takes the lock.
#[derive(Clone, Copy)]
struct Thread<'a> {
    shared: &'a Shared,
    number: u32,
}

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    fn swap(&self, new: u32, order: Ordering) -> u32 {
        self.swap(new, order)
    }

    fn replace(&self, old: u32, new: u32) -> bool {
        self.compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

impl Locker<AtomicU32> for Thread<'_> {
    fn holder(self) -> Holder {
        self.lane().map_or(Holder::SHELL, Holder::lane)
    }

    fn wait(self, word: &AtomicU32, expected: u32) {
        let queue = self.shared.queue.lock().unwrap();
        let early = self.shared.early.load(SeqCst);
        if early > 0 {
            self.shared.early.store(early - 1, SeqCst);
        } else if word.load(SeqCst) == expected {
            drop(self.shared.sleepers.wait(queue).unwrap());
        }
    }

    fn wake(self, _word: &AtomicU32) {
        let _queue = self.shared.queue.lock().unwrap();
        self.shared.sleepers.notify_one();
    }
}

impl Thread<'_> {
    /// The first has no lane, as a thread of the shell.
    fn lane(self) -> Option<u32> {
        self.number.checked_sub(1)
    }

    /// What is done while the lock is held, and giving it back.
    fn work_and_unlock(self) {
        let (word, inside) = (&self.shared.word, &self.shared.inside);
        assert_eq!(inside.swap(self.number + 1, SeqCst), 0, "somebody is inside already");
        // The load lets others come in between.
        let holder = protocol::holder(word).expect("somebody holds it");
        assert_eq!(
            (holder, holder.lane_number()),
            (self.holder(), self.lane()),
            "another is named"
        );
        assert_eq!(inside.swap(0, SeqCst), self.number + 1, "somebody came in meanwhile");
        protocol::unlock(word, self);
    }

    fn lock(self) {
        protocol::lock(&self.shared.word, self);
        self.work_and_unlock();
    }

    fn try_lock(self) {
        if protocol::try_lock(&self.shared.word, self) {
            self.work_and_unlock();
        }
    }
}

/// What threads do of which each takes the lock some times.
#[derive(Clone, Copy, Default)]
struct Scenario {
    threads: u32,
    times: u32,
    /// The first only takes it where it is free.
    tries: bool,
    /// So many sleeps end early.
    early: u32,
}

impl Scenario {
    const fn new(threads: u32, times: u32) -> Self {
        Self { threads, times, tries: false, early: 0 }
    }

    fn run(self) {
        run(self);
    }
}

fn run(Scenario { threads, times, tries, early }: Scenario) {
    let shared = Arc::new(Shared {
        word: AtomicU32::new(protocol::FREE),
        queue: Mutex::new(()),
        sleepers: Condvar::new(),
        early: early.into(),
        inside: 0.into(),
    });
    let start = |number: u32| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let this = Thread { shared: &shared, number };
            (0..times)
                .for_each(|_| if tries && number == 0 { this.try_lock() } else { this.lock() });
        })
    };
    let started: Vec<_> = (0..threads).map(start).collect();
    started.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(shared.word.load(SeqCst), protocol::FREE);
}

fn config() -> Config {
    let mut config = Config::new();
    // Orderings are known to be taken for the strongest.
    config.silence_warnings = true;
    config
}

/// Past the harness, which would keep it to itself.
fn tell(count: usize, which: &str, name: &str) {
    use std::io::{Write, stderr};
    let line = format!("{count} interleavings explored ({which}): {name}\n");
    stderr().write_all(line.as_bytes()).unwrap();
}

/// Explores every interleaving there is.
fn all(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let count = Runner::new(DfsScheduler::new(None, false), config()).run(scenario);
    tell(count, "all there are", name);
}

/// Explores some of more than one can go through.
fn many(name: &str, scenario: impl Fn() + Send + Sync + Copy + 'static) {
    let scheduler = RandomScheduler::new_from_seed(SEED, RANDOM);
    let random = Runner::new(scheduler, config()).run(scenario);
    let scheduler = PctScheduler::new_from_seed(SEED, SWITCHES, RANDOM);
    tell(random + Runner::new(scheduler, config()).run(scenario), "at random", name);
}

#[test]
fn two_threads() {
    all("lock, two threads", || Scenario::new(2, 1).run());
    many("lock, two threads, three times each", || Scenario::new(2, 3).run());
}

#[test]
fn three_threads() {
    many("lock, three threads, twice each", || Scenario::new(3, 2).run());
    many("lock, four threads", || Scenario::new(4, 1).run());
}

#[test]
fn a_thread_that_does_not_wait() {
    let scenario = Scenario { tries: true, ..Scenario::new(3, 2) };
    many("lock, two threads and one that only tries", move || scenario.run());
}

#[test]
fn sleep_that_ends_early() {
    let scenario = Scenario { early: 1, ..Scenario::new(2, 1) };
    all("lock, two threads, one early end of sleep", move || scenario.run());
    let scenario = Scenario { early: 2, ..Scenario::new(3, 2) };
    many("lock, three threads, two early ends of sleep", move || scenario.run());
}
