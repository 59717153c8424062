//! The stream's real code, run through many interleavings of its threads by `shuttle`.
//!
//! Each test says how many it explored.

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU32 as Word;

use super::layout::DEFERRED_MAX;
use super::sync::{AtomicU32, Ordering::Relaxed, pause};
use super::{
    Calls, Consumer, Credit, Dbs, Debt, EffectsStream, Lost, Policy, Ring, Stream, Writer,
};
use crate::lock::{Holder, Locker, protocol};

const FREED: u64 = 0xeeee_eeee_eeee_eeee;

extern "C" fn never_wait(_: &Word, _: u32) {}
extern "C" fn never_wake(_: &Word) {}

/// The memory of one interleaving: all its tasks are on one thread.
#[derive(Default)]
struct Memory {
    in_use: Vec<Box<[u64]>>,
    /// Filled with [`FREED`]; kept, so that a late write is seen and does no harm.
    freed: Vec<Box<[u64]>>,
}

thread_local!(static MEMORY: RefCell<Memory> = RefCell::default());

extern "C" fn alloc(size: u64) -> u64 {
    let memory = vec![0u64; size.div_ceil(8) as usize].into_boxed_slice();
    let address = memory.as_ptr() as u64;
    MEMORY.with_borrow_mut(|all| all.in_use.push(memory));
    address
}

extern "C" fn free(address: u64, size: u64) {
    MEMORY.with_borrow_mut(|all| {
        let at = all.in_use.iter().position(|memory| memory.as_ptr() as u64 == address);
        let mut memory = all.in_use.swap_remove(at.expect("it is in use"));
        assert_eq!(memory.len() as u64, size.div_ceil(8));
        memory.fill(FREED);
        all.freed.push(memory);
    });
}

/// All is freed, and has not been written to since.
fn check_memory() {
    let Memory { in_use, freed } = MEMORY.take();
    assert!(in_use.is_empty(), "{} allocations are left", in_use.len());
    assert!(freed.iter().flatten().all(|word| *word == FREED), "written to after it was freed");
}

pub(super) struct Fixture {
    pub(super) raw: EffectsStream,
}

impl Fixture {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { raw: EffectsStream::default() })
    }

    pub(super) fn stream(&self) -> Stream<'_> {
        // SAFETY: they allocate and free; the lock of this build needs no waiting.
        Stream::new(&self.raw, unsafe { Calls::new(never_wait, never_wake, alloc, free) })
    }

    pub(super) fn writer(&self, lane: u32) -> Writer<'_> {
        // SAFETY: each test gives a lane to one task.
        unsafe { self.stream().writer(lane) }
    }

    pub(super) fn open(&self, capacity: u64) -> Ring {
        let ring = Ring { address: alloc(capacity), capacity };
        // SAFETY: the memory is freed after the stream was closed, or never.
        assert!(unsafe { self.stream().open(ring, 1024) });
        ring
    }

    pub(super) fn join(&self, policy: Policy) -> Consumer {
        self.stream().join("explorer", policy, None).unwrap()
    }

    /// Everybody has left: nothing must be left behind.
    pub(super) fn end(&self) {
        let ring = self.stream().close(pause).unwrap();
        free(ring.address, ring.capacity);
        assert!(!self.stream().is_on());
        let places = self.raw.lanes.iter().map(|lane| lane.deferred_place.load(Relaxed));
        places.filter(|place| *place != 0).for_each(|place| free(place, DEFERRED_MAX));
        check_memory();
    }
}

/// Effects are `<lane:number:db:fill>`; a `SELECT` is as it is.
fn effect(lane: u32, number: u32, db: u32, fill: usize) -> String {
    format!("<{lane}:{number}:{db}:{}>", "abcdefghij".repeat(10)[..fill].to_owned())
}

/// Reads effects and checks each: whole, in its lane's order, in the database it names.
#[derive(Default)]
struct Checker {
    rest: Vec<u8>,
    next: [u32; 3],
    db: Option<u32>,
    is_begun: bool,
}

impl Checker {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(len) = self.first_len() {
            let piece: Vec<u8> = self.rest.drain(..len).collect();
            self.check(std::str::from_utf8(&piece).expect("effects are whole"));
        }
    }

    fn first_len(&self) -> Option<usize> {
        let ends = |end: &u8| self.rest.iter().position(|byte| byte == end).map(|at| at + 1);
        match self.rest.first()? {
            b'<' => ends(&b'>'),
            // A SELECT of a database of one digit.
            b'*' => (self.rest.len() >= 23).then_some(23),
            other => panic!("no effect begins with {other:#x}"),
        }
    }

    fn check(&mut self, piece: &str) {
        if let Some(select) = piece.strip_prefix("*2\r\n$6\r\nSELECT\r\n$1\r\n") {
            self.db = Some(select.trim_end().parse().unwrap());
            return;
        }
        let mut parts = piece[1..piece.len() - 1].split(':');
        let mut number = || parts.next().unwrap().parse::<u32>().unwrap();
        let (lane, seen, db) = (number() as usize, number(), number());
        assert_eq!(Some(db), self.db, "{piece} is in another database");
        if self.is_begun {
            assert!(seen >= self.next[lane], "{piece} comes again or late");
        } else {
            assert_eq!(seen, self.next[lane], "an effect before {piece} is missing");
        }
        assert!(effect(0, 0, 0, 100).contains(parts.next().unwrap()), "{piece} is mixed up");
        self.next[lane] = seen + 1;
    }
}

fn read_until(fixture: &Fixture, consumer: &mut Consumer, want: [u32; 3]) -> Result<(), Lost> {
    let (mut checker, mut buffer) = (Checker::default(), [0; 24]);
    while checker.next != want {
        let read = fixture.stream().read(consumer, &mut buffer)?;
        checker.take(&buffer[..read]);
        fixture.stream().advance(consumer, read as u64)?;
        if read == 0 {
            pause();
        }
    }
    assert!(checker.rest.is_empty());
    Ok(())
}

fn ask_patiently(writer: &mut Writer<'_>, bytes: usize) {
    loop {
        match writer.ask(bytes as u64) {
            Credit::Granted => return,
            Credit::Wait => pause(),
            Credit::CutOff(_) => {}
            Credit::Refused => panic!("{bytes} bytes are few"),
        }
    }
}

pub(super) fn config() -> Config {
    let mut config = Config::default();
    // That it knows no weaker orderings than SeqCst: `mod.rs` argues those.
    config.silence_warnings = true;
    // A stream of the scheduler's atomics is large, and made on the stack.
    config.stack_size = 256 << 10;
    config
}

/// Explores a scenario at random, then with few changes of thread at well chosen places.
/// `EFFECTS_INTERLEAVINGS` in the environment says how often, in per cent of the usual.
fn explore(name: &str, count: usize, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let percent = std::env::var("EFFECTS_INTERLEAVINGS").ok().and_then(|n| n.parse().ok());
    let half = count * percent.unwrap_or(100) / 200;
    let random = Runner::new(RandomScheduler::new(half), config()).run(scenario.clone());
    let chosen = Runner::new(PctScheduler::new(3, half), config()).run(scenario);
    println!("{name}: {} interleavings explored", random + chosen);
    assert_eq!(random + chosen, 2 * half);
}

/// Appends one effect a lane, each in database 0 and without credit.
fn append_each(fixture: &Arc<Fixture>, lanes: &[u32], fill: usize) -> Vec<thread::JoinHandle<()>> {
    let append = |lane: &u32| {
        let (fixture, lane) = (Arc::clone(fixture), *lane);
        thread::spawn(move || {
            let text = effect(lane, 0, 0, fill);
            fixture.writer(lane).append(Dbs::one(0), text.as_bytes()).unwrap();
        })
    };
    lanes.iter().map(append).collect()
}

#[test]
fn whatever_is_before_the_frontier_is_whole() {
    explore("the frontier", 10_000, || {
        let fixture = Fixture::new();
        let ring = fixture.open(256);
        let consumer = fixture.join(Policy::Hold);
        let writers = append_each(&fixture, &[0], 10);
        (0..2).for_each(|_| check_published(&fixture, ring));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        fixture.stream().leave(consumer);
        fixture.end();
    });
}

/// All that is before the frontier has been copied.
fn check_published(fixture: &Fixture, ring: Ring) {
    let frontier = fixture.stream().frontier() as usize;
    // SAFETY: the ring is in use; all tasks of an interleaving are on one thread.
    let bytes = unsafe { core::slice::from_raw_parts(ring.address as *const u8, frontier) };
    assert!(!bytes.contains(&0), "published before it was copied");
}

#[test]
fn who_is_paid_for_may_append_meanwhile() {
    explore("a lane that another pays for", 6000, || {
        let fixture = Fixture::new();
        let ring = fixture.open(2048);
        let consumer = fixture.join(Policy::Hold);
        let mut writer = fixture.writer(0);
        ask_patiently(&mut writer, 20);
        assert!(writer.defer(0, &[b'x'; 20]));
        let payer = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || assert_eq!(fixture.stream().pay(0, 20), 20))
        };
        let writers = append_each(&fixture, &[0], 10);
        (0..6).for_each(|_| check_published(&fixture, ring));
        writers.into_iter().chain([payer]).for_each(|thread| thread.join().unwrap());
        fixture.stream().leave(consumer);
        fixture.end();
    });
}

#[test]
fn an_extent_outlives_the_last_reader_while_it_is_written() {
    explore("an extent without readers", 4000, || {
        let fixture = Fixture::new();
        fixture.open(64);
        let consumer = fixture.join(Policy::Hold);
        let writers = append_each(&fixture, &[0], 90);
        fixture.stream().leave(consumer);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        fixture.end();
    });
}

#[test]
fn effects_are_whole_and_in_order_and_name_their_database() {
    explore("writers and a reader", 800, || {
        let fixture = Fixture::new();
        fixture.open(256);
        let mut consumer = fixture.join(Policy::Hold);
        let writers = [0, 1].map(|lane| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let mut writer = fixture.writer(lane);
                for number in 0..4 {
                    let db = (lane + number) % 2;
                    let text = effect(lane, number, db, 20);
                    ask_patiently(&mut writer, text.len());
                    writer.append(Dbs::one(db), text.as_bytes()).unwrap();
                }
            })
        });
        read_until(&fixture, &mut consumer, [4, 4, 0]).unwrap();
        assert_eq!(fixture.stream().counts().spills, 0, "credit was enough");
        assert_eq!(fixture.stream().leave(consumer), 0);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        fixture.end();
    });
}

#[test]
fn a_reader_that_is_cut_off_has_read_nothing_wrong() {
    explore("a reader that is cut off", 1000, || {
        let fixture = Fixture::new();
        fixture.open(128);
        let mut consumer = fixture.join(Policy::CutOff);
        let writing = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let mut writer = fixture.writer(0);
                for number in 0..6 {
                    let text = effect(0, number, 1, 16);
                    ask_patiently(&mut writer, text.len());
                    writer.append(Dbs::one(1), text.as_bytes()).unwrap();
                }
            })
        };
        let outcome = read_until(&fixture, &mut consumer, [6, 0, 0]);
        assert_eq!(outcome.is_err(), fixture.stream().counts().cut_offs > 0);
        writing.join().unwrap();
        fixture.stream().leave(consumer);
        fixture.end();
    });
}

#[test]
fn extents_come_in_their_turn_and_are_freed_once() {
    explore("extents", 800, || {
        let fixture = Fixture::new();
        fixture.open(64);
        let mut consumer = fixture.join(Policy::Hold);
        let writers = [0, 1].map(|lane| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let mut writer = fixture.writer(lane);
                for number in 0..3 {
                    let text = effect(lane, number, 0, 40 - 15 * number as usize);
                    writer.append(Dbs::one(0), text.as_bytes()).unwrap();
                }
            })
        });
        read_until(&fixture, &mut consumer, [3, 3, 0]).unwrap();
        fixture.stream().leave(consumer);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        fixture.end();
    });
}

#[test]
fn nobody_writes_to_a_ring_that_was_taken_away() {
    explore("closing and opening", 2000, || {
        let fixture = Fixture::new();
        let first = fixture.open(256);
        let consumer = fixture.join(Policy::CutOff);
        let writing = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let mut writer = fixture.writer(0);
                for number in 0..4 {
                    let text = effect(0, number, 0, 30);
                    ask_patiently(&mut writer, text.len());
                    writer.append(Dbs::one(0), text.as_bytes()).unwrap();
                }
            })
        };
        fixture.stream().leave(consumer);
        assert_eq!(fixture.stream().close(pause), Some(first));
        free(first.address, first.capacity);
        fixture.open(256);
        let mut consumer = fixture.join(Policy::Hold);
        writing.join().unwrap();
        let mut buffer = [0; 256];
        let read = fixture.stream().read(&mut consumer, &mut buffer).unwrap();
        Checker { is_begun: true, ..Checker::default() }.take(&buffer[..read]);
        fixture.stream().leave(consumer);
        fixture.end();
    });
}

/// Shards of the last scenario, each with its lock and how often it was changed.
#[derive(Default)]
struct Shards([Shard; 2]);

#[derive(Default)]
struct Shard {
    /// As in a [`crate::lock::RawLock`], but of the scheduler's atomics.
    lock: AtomicU32,
    debt: Debt,
    changes: AtomicU32,
}

/// A lane that takes shards.
#[derive(Clone, Copy)]
struct Lane<'a> {
    fixture: &'a Fixture,
    number: u32,
}

impl Locker<AtomicU32> for Lane<'_> {
    fn holder(self) -> Holder {
        Holder::lane(self.number)
    }

    fn wait(self, _: &AtomicU32, _: u32) {
        pause();
    }

    fn wake(self, _: &AtomicU32) {}
}

impl Lane<'_> {
    /// Changes a shard: its effect says the how manieth change it is, and puts it by if it can.
    fn change(self, shard: &Shard, of: usize, writer: &mut Writer<'_>, paid: &mut [u64]) {
        ask_patiently(writer, 30);
        protocol::lock(&shard.lock, self);
        if shard.debt.is_of_others(self.number) {
            shard.debt.settle(self.fixture.stream(), self.number, paid);
        }
        let number = shard.changes.load(Relaxed);
        shard.changes.store(number + 1, Relaxed);
        let text = effect(of as u32, number, 0, 10);
        if writer.defer(0, text.as_bytes()) {
            shard.debt.owe(self.number, writer.put());
        } else {
            writer.append(Dbs::one(0), text.as_bytes()).unwrap();
        }
        protocol::unlock(&shard.lock, self);
    }

    /// Appends what is not put by.
    fn append(self, text: &str, writer: &mut Writer<'_>) {
        ask_patiently(writer, text.len());
        writer.append(Dbs::one(0), text.as_bytes()).unwrap();
    }
}

/// Two lanes change shards of which one is shared. What a reader sees of each shard is in the order
/// in which it was changed, and all that a lane has done is in the stream once it has paid.
fn change_in_turn(fixture: &Arc<Fixture>, shards: &Arc<Shards>) -> Vec<thread::JoinHandle<()>> {
    let start = |number: u32| {
        let (fixture, shards) = (Arc::clone(fixture), Arc::clone(shards));
        thread::spawn(move || {
            let (lane, mut writer) = (Lane { fixture: &fixture, number }, fixture.writer(number));
            let mut paid = [0; 3];
            for shard in [0, number as usize, 0] {
                lane.change(&shards.0[shard], shard, &mut writer, &mut paid);
            }
            if number == 0 {
                lane.append(&effect(2, 0, 0, 20), &mut writer);
            }
            writer.pay();
        })
    };
    [0, 1].map(start).into()
}

#[test]
fn effects_that_are_put_by_stay_in_the_order_of_their_shards() {
    explore("effects put by", 3000, || {
        let (fixture, shards) = (Fixture::new(), Arc::new(Shards::default()));
        fixture.open(2048);
        let mut consumer = fixture.join(Policy::Hold);
        let lanes = change_in_turn(&fixture, &shards);
        read_until(&fixture, &mut consumer, [5, 1, 1]).unwrap();
        lanes.into_iter().for_each(|lane| lane.join().unwrap());
        assert_eq!(fixture.stream().leave(consumer), 0);
        fixture.end();
    });
}

#[test]
fn nobody_puts_by_behind_a_ring_that_was_taken_away() {
    explore("effects put by, and closing", 3000, || {
        let (fixture, shards) = (Fixture::new(), Arc::new(Shards::default()));
        let first = fixture.open(2048);
        let consumer = fixture.join(Policy::CutOff);
        let lanes = change_in_turn(&fixture, &shards);
        fixture.stream().leave(consumer);
        assert_eq!(fixture.stream().close(pause), Some(first));
        free(first.address, first.capacity);
        fixture.open(2048);
        let mut consumer = fixture.join(Policy::Hold);
        lanes.into_iter().for_each(|lane| lane.join().unwrap());
        let mut buffer = [0; 2048];
        let read = fixture.stream().read(&mut consumer, &mut buffer).unwrap();
        Checker { is_begun: true, ..Checker::default() }.take(&buffer[..read]);
        fixture.stream().leave(consumer);
        fixture.end();
    });
}
