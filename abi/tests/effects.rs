//! The effects stream: what goes in comes out, whole, in order, at every reader's own pace.

use abi::effects::{
    Calls, Consumer, Credit, Dbs, EffectsStream, JoinError, Lost, NoRoom, Policy, Ring, SELECT_MAX,
    Stream, Writer,
};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const SPILL_MAX: u64 = 4096;

extern "C" fn lock_wait(_: &AtomicU32, _: u32) {
    std::thread::yield_now();
}

extern "C" fn lock_wake(_: &AtomicU32) {}

thread_local! {
    static OUTSTANDING: Cell<u64> = const { Cell::new(0) };
    static IS_FULL: Cell<bool> = const { Cell::new(false) };
}

fn layout(size: u64) -> Layout {
    Layout::from_size_align(size as usize, 8).unwrap()
}

extern "C" fn test_alloc(size: u64) -> u64 {
    if IS_FULL.get() {
        return 0;
    }
    OUTSTANDING.set(OUTSTANDING.get().wrapping_add(size));
    // SAFETY: no size is zero.
    unsafe { alloc(layout(size)) as u64 }
}

extern "C" fn test_free(address: u64, size: u64) {
    OUTSTANDING.set(OUTSTANDING.get().wrapping_sub(size));
    // SAFETY: the stream gives back what `test_alloc` returned for this size.
    unsafe { dealloc(address as *mut u8, layout(size)) }
}

/// A stream with a ring of its own.
struct Fixture {
    raw: Box<EffectsStream>,
    ring: Ring,
}

impl Fixture {
    fn new(capacity: u64) -> Self {
        let fixture = Self::closed(capacity);
        fixture.open();
        fixture
    }

    fn closed(capacity: u64) -> Self {
        let raw = Box::<EffectsStream>::default();
        Self { raw, ring: Ring { address: test_alloc(capacity), capacity } }
    }

    fn open(&self) {
        // SAFETY: the ring's memory lives until the fixture is dropped, which closes the stream.
        assert!(unsafe { self.stream().open(self.ring, SPILL_MAX) });
    }

    fn stream(&self) -> Stream<'_> {
        // SAFETY: they are the system's allocator and a lock that is spun on.
        Stream::new(&self.raw, unsafe { Calls::new(lock_wait, lock_wake, test_alloc, test_free) })
    }

    fn writer(&self, lane: u32) -> Writer<'_> {
        // SAFETY: no test makes two writers of one lane that it uses at a time.
        unsafe { self.stream().writer(lane) }
    }

    fn join(&self, policy: Policy) -> Consumer {
        self.stream().join("test", policy, None).unwrap()
    }

    /// All there is for the consumer, in pieces of `piece` bytes.
    fn drain(&self, consumer: &mut Consumer, piece: usize) -> Result<Vec<u8>, Lost> {
        let mut all = Vec::new();
        let mut buffer = vec![0; piece];
        loop {
            match self.stream().read(consumer, &mut buffer)? {
                0 => return Ok(all),
                n => {
                    all.extend_from_slice(&buffer[..n]);
                    self.stream().advance(consumer, n as u64)?;
                }
            }
        }
    }

    fn text(&self, consumer: &mut Consumer) -> String {
        String::from_utf8(self.drain(consumer, 7).unwrap()).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        test_free(self.ring.address, self.ring.capacity);
    }
}

const SELECT_0: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";

fn append(writer: &mut Writer<'_>, text: &str) -> u64 {
    writer.append(Dbs::one(0), text.as_bytes()).unwrap()
}

#[test]
fn effects_come_out_as_they_went_in() {
    let fixture = Fixture::new(256);
    let mut consumer = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    assert_eq!(append(&mut writer, "one"), SELECT_0.len() as u64 + 3);
    append(&mut writer, "two");
    assert_eq!(fixture.text(&mut consumer), format!("{SELECT_0}onetwo"));
    assert_eq!(fixture.text(&mut consumer), "");
}

#[test]
fn an_effect_names_its_database_when_it_differs_from_the_one_before() {
    let fixture = Fixture::new(512);
    let mut consumer = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    let select = |db: u32| format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.to_string().len());
    for (first, last, text) in [(3, 3, "a"), (3, 12, "b"), (12, 12, "c"), (u32::MAX - 1, 0, "d")] {
        writer.append(Dbs { first, last }, text.as_bytes()).unwrap();
    }
    fixture.writer(1).append(Dbs::one(0), b"e").unwrap();
    let expect = format!("{}abc{}de", select(3), select(u32::MAX - 1));
    assert_eq!(fixture.text(&mut consumer), expect);
    assert!(select(u32::MAX).len() as u64 <= SELECT_MAX);
}

#[test]
fn who_joins_later_is_told_the_database() {
    let fixture = Fixture::new(256);
    let _first = fixture.join(Policy::Hold);
    append(&mut fixture.writer(0), "before");
    let mut second = fixture.join(Policy::Hold);
    append(&mut fixture.writer(0), "after");
    assert_eq!(fixture.text(&mut second), format!("{SELECT_0}after"));
}

#[test]
fn the_ring_wraps_at_every_offset() {
    let fixture = Fixture::new(64);
    let mut consumer = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    append(&mut writer, "");
    fixture.text(&mut consumer);
    for round in 0..500 {
        let text: String = (0..round % 31).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        append(&mut writer, &text);
        assert_eq!(fixture.text(&mut consumer), text);
    }
    assert_eq!(fixture.stream().counts().spills, 0);
}

#[test]
fn consumers_keep_their_own_pace() {
    let fixture = Fixture::new(1024);
    let (mut fast, mut slow) = (fixture.join(Policy::Hold), fixture.join(Policy::CutOff));
    let mut expect = String::from(SELECT_0);
    for n in 0..10 {
        let text = format!("effect {n};");
        append(&mut fixture.writer(n % 3), &text);
        expect += &text;
        fixture.text(&mut fast);
    }
    assert_eq!(fixture.text(&mut slow), expect);
    assert_eq!(fixture.stream().position_of(&fast), fixture.stream().position());
}

#[test]
fn a_consumer_that_holds_makes_writers_wait_before_they_write() {
    let fixture = Fixture::new(512);
    let mut consumer = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    let mut written = 0;
    while writer.ask(100) == Credit::Granted {
        append(&mut writer, &"x".repeat(100));
        written += 1;
    }
    assert!((3..=4).contains(&written), "{written} effects of 100 bytes fit");
    assert_eq!(writer.ask(100), Credit::Wait);
    assert_eq!(fixture.stream().counts().waits, 2);
    assert_eq!(fixture.stream().counts().spills, 0);
    assert_eq!(fixture.text(&mut consumer).len(), SELECT_0.len() + written * 100);
    assert_eq!(writer.ask(100), Credit::Granted);
}

#[test]
fn all_credit_together_fits_the_ring() {
    let fixture = Fixture::new(4096);
    let mut consumer = fixture.join(Policy::Hold);
    let mut writers: Vec<_> = (0..72).map(|lane| fixture.writer(lane)).collect();
    let mut granted: Vec<usize> =
        (0..72).filter(|lane| writers[*lane].ask(300) == Credit::Granted).collect();
    assert!((8..=12).contains(&granted.len()), "{} lanes were granted 333 bytes", granted.len());
    granted.reverse();
    let text = "y".repeat(300);
    for lane in &granted {
        append(&mut writers[*lane], &text);
    }
    assert_eq!(fixture.stream().counts().spills, 0);
    assert_eq!(fixture.text(&mut consumer), SELECT_0.to_owned() + &text.repeat(granted.len()));
}

#[test]
fn credit_that_was_not_used_is_given_back() {
    let fixture = Fixture::new(4096);
    let _consumer = fixture.join(Policy::Hold);
    for lane in 0..72 {
        let mut writer = fixture.writer(lane);
        assert_eq!(writer.ask(1900), Credit::Granted, "lane {lane}");
        writer.settle();
        assert_eq!(writer.ask(3000), Credit::Granted, "in extents, lane {lane}");
        writer.settle();
    }
}

#[test]
fn what_lanes_keep_while_idle_leaves_room_for_anything() {
    let fixture = Fixture::new(4096);
    let _consumer = fixture.join(Policy::Hold);
    for lane in 0..72 {
        let mut writer = fixture.writer(lane);
        assert_eq!(writer.ask(20), Credit::Granted, "lane {lane}");
        writer.settle();
    }
    assert_eq!(fixture.writer(0).ask(2048 - SELECT_MAX), Credit::Granted);
}

#[test]
fn a_consumer_that_may_be_cut_off_never_holds_writers() {
    let fixture = Fixture::new(512);
    let mut slow = fixture.join(Policy::CutOff);
    let mut log = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    let mut cut = Vec::new();
    for _ in 0..20 {
        fixture.text(&mut log);
        loop {
            match writer.ask(100) {
                Credit::Granted => break,
                Credit::CutOff(id) => cut.push(id),
                other => panic!("{other:?}"),
            }
        }
        append(&mut writer, &"x".repeat(100));
    }
    assert_eq!(cut, [slow.id()]);
    let mut buffer = [0; 16];
    assert_eq!(fixture.stream().read(&mut slow, &mut buffer), Err(Lost));
    assert_eq!(fixture.stream().advance(&mut slow, 1), Err(Lost));
    let info = fixture.stream().consumers();
    assert!(info.iter().any(|info| info.id == slow.id() && info.is_cut));
    assert_eq!(fixture.stream().leave(slow), 1);
    assert_eq!(fixture.text(&mut log).len(), 100);
}

#[test]
fn a_slow_consumer_keeps_its_place_when_its_going_would_not_help() {
    let fixture = Fixture::new(512);
    let mut replica = fixture.join(Policy::CutOff);
    let _log = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    while writer.ask(100) == Credit::Granted {
        append(&mut writer, &"x".repeat(100));
    }
    assert_eq!(writer.ask(100), Credit::Wait);
    assert!(fixture.drain(&mut replica, 50).is_ok());
}

#[test]
fn what_is_larger_than_its_credit_goes_to_an_extent_in_its_turn() {
    let fixture = Fixture::new(256);
    let mut consumer = fixture.join(Policy::Hold);
    let mut late = fixture.join(Policy::Hold);
    let before = OUTSTANDING.get();
    let mut expect = String::from(SELECT_0);
    for (n, len) in [30, 500, 20, 20, 700, 300, 90, 5, 400, 10].into_iter().enumerate() {
        let text = char::from(b'a' + n as u8).to_string().repeat(len);
        append(&mut fixture.writer(n as u32 % 3), &text);
        expect += &text;
    }
    assert!(fixture.stream().counts().spills >= 4);
    assert!(OUTSTANDING.get() > before);
    assert_eq!(fixture.text(&mut consumer), expect);
    assert!(OUTSTANDING.get() > before, "extents wait for all consumers");
    assert_eq!(fixture.drain(&mut late, 33).unwrap(), expect.as_bytes());
    assert_eq!(OUTSTANDING.get(), before);
    append(&mut fixture.writer(0), "again");
    assert_eq!(fixture.text(&mut consumer), "again");
}

#[test]
fn extents_are_bounded_by_credit_and_more_is_refused() {
    let fixture = Fixture::new(256);
    let mut consumer = fixture.join(Policy::Hold);
    let (mut writer, mut other) = (fixture.writer(0), fixture.writer(1));
    let largest = fixture.stream().largest();
    assert_eq!(largest, SPILL_MAX - SELECT_MAX);
    assert_eq!(writer.ask(largest + 1), Credit::Refused);
    assert_eq!(writer.ask(u64::MAX), Credit::Refused);
    assert_eq!(writer.ask(largest), Credit::Granted);
    assert_eq!(other.ask(1000), Credit::Wait, "it is all promised");
    append(&mut writer, &"x".repeat(largest as usize));
    assert_eq!(other.ask(1000), Credit::Wait, "it is all in use");
    fixture.text(&mut consumer);
    assert_eq!(other.ask(1000), Credit::Granted);
}

#[test]
fn without_room_and_memory_nothing_is_appended() {
    let fixture = Fixture::new(256);
    let mut consumer = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    IS_FULL.set(true);
    assert_eq!(writer.append(Dbs::one(0), &[b'x'; 300]), Err(NoRoom));
    IS_FULL.set(false);
    assert_eq!(fixture.stream().position(), 0);
    assert_eq!(fixture.text(&mut consumer), "");
    append(&mut writer, "small");
    assert_eq!(fixture.text(&mut consumer), format!("{SELECT_0}small"));
}

#[test]
fn a_reader_goes_on_where_it_was_while_the_ring_still_has_it() {
    let fixture = Fixture::new(256);
    let stream = fixture.stream();
    let mut log = fixture.join(Policy::Hold);
    let mut writer = fixture.writer(0);
    append(&mut writer, "seen");
    fixture.text(&mut log);
    let from = stream.position();
    append(&mut writer, &"m".repeat(40));
    append(&mut writer, &"n".repeat(500));
    append(&mut writer, "o");
    let mut again = stream.join("again", Policy::Hold, Some(from)).unwrap();
    let expect = "m".repeat(40) + &"n".repeat(500) + "o";
    assert_eq!(fixture.text(&mut again), expect);
    assert_eq!(stream.leave(again), 1);
    fixture.text(&mut log);
    let end = stream.position();
    assert!(matches!(
        stream.join("ahead", Policy::Hold, Some(end + 1)),
        Err(JoinError::Gone { end: at, .. }) if at == end
    ));
    let Err(JoinError::Gone { oldest, .. }) = stream.join("old", Policy::Hold, Some(from)) else {
        panic!("the extent behind it has been freed");
    };
    let last = stream.join("oldest", Policy::Hold, Some(oldest)).unwrap();
    stream.leave(last);
    for _ in 0..20 {
        append(&mut writer, &"p".repeat(40));
        fixture.text(&mut log);
    }
    assert!(stream.join("passed", Policy::Hold, Some(oldest)).is_err(), "it was written over");
}

#[test]
fn places_for_consumers_are_bounded_and_come_free() {
    let fixture = Fixture::new(256);
    let stream = fixture.stream();
    let mut all: Vec<_> = (0..8).map(|_| fixture.join(Policy::Hold)).collect();
    assert_eq!(stream.join("ninth", Policy::Hold, None), Err(JoinError::Full));
    assert!(stream.is_on());
    assert_eq!(stream.leave(all.pop().unwrap()), 7);
    all.push(stream.join("näme that is longer than it may be", Policy::CutOff, None).unwrap());
    let info = stream.consumers().pop().unwrap();
    assert_eq!(info.name, *"näme that is longer than".as_bytes().first_chunk::<24>().unwrap());
    for consumer in all {
        stream.leave(consumer);
    }
    assert!(!stream.is_on());
}

#[test]
fn a_closed_stream_takes_nothing_and_goes_on_where_it_was() {
    let fixture = Fixture::closed(256);
    let stream = fixture.stream();
    let mut writer = fixture.writer(0);
    assert_eq!(stream.join("early", Policy::Hold, None), Err(JoinError::Closed));
    assert_eq!(writer.ask(1 << 40), Credit::Granted);
    assert_eq!(append(&mut writer, "nobody reads"), 0);
    fixture.open();
    let consumer = fixture.join(Policy::Hold);
    assert_eq!(writer.ask(10), Credit::Granted);
    let end = append(&mut writer, "somebody does");
    assert_eq!(stream.close(|| ()), None, "it is read");
    assert_eq!(stream.leave(consumer), 0);
    append(&mut writer, &"to be dropped ".repeat(40));
    let end_of_first = stream.position();
    assert!(end_of_first > end);
    assert_eq!(stream.close(|| ()), Some(fixture.ring));
    fixture.open();
    let mut consumer = fixture.join(Policy::Hold);
    assert_eq!(stream.position_of(&consumer), end_of_first);
    assert!(stream.join("old", Policy::Hold, Some(end)).is_err());
    append(&mut writer, "anew");
    assert_eq!(fixture.text(&mut consumer), format!("{SELECT_0}anew"));
}

/// Checks that a reader gets every writer's numbers in order, and that effects are whole.
fn check_order(bytes: &[u8], next: &mut [u64], rest: &mut Vec<u8>) {
    rest.extend_from_slice(bytes);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = rest.drain(..=end).collect();
        let line = std::str::from_utf8(&line).unwrap();
        if let Some((lane, number)) = line.strip_prefix('@').and_then(|l| l.split_once(' ')) {
            let (number, filler) = number.strip_suffix('\n').unwrap().split_once(' ').unwrap();
            let (lane, number): (usize, u64) = (lane.parse().unwrap(), number.parse().unwrap());
            assert_eq!(number, next[lane], "of lane {lane}");
            assert_eq!(filler.len() as u64, number * 7 % 97);
            assert!(filler.bytes().all(|byte| byte == b'a' + lane as u8));
            next[lane] += 1;
        }
    }
}

fn wait_for_room(writer: &mut Writer<'_>, bytes: u64) {
    for _ in 0..100_000 {
        if writer.ask(bytes) == Credit::Granted {
            return;
        }
        std::thread::sleep(Duration::from_micros(20));
    }
    panic!("no reader goes on");
}

#[test]
fn threads_write_and_read_at_once() {
    const WRITERS: u32 = 3;
    const EFFECTS: u64 = 5_000;
    let fixture = Fixture::new(4096);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for piece in [97, 4096] {
            let mut consumer = fixture.join(Policy::Hold);
            let (fixture, is_done) = (&fixture, &is_done);
            scope.spawn(move || {
                let (mut next, mut rest) = ([0; WRITERS as usize], Vec::new());
                loop {
                    let is_last = is_done.load(Ordering::Acquire);
                    let bytes = fixture.drain(&mut consumer, piece).unwrap();
                    check_order(&bytes, &mut next, &mut rest);
                    if is_last {
                        break assert_eq!(next, [EFFECTS; WRITERS as usize]);
                    }
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|lane| {
                let mut writer = fixture.writer(lane);
                scope.spawn(move || {
                    for number in 0..EFFECTS {
                        let filler = char::from(b'a' + lane as u8).to_string();
                        let filler = filler.repeat((number * 7 % 97) as usize);
                        let text = format!("@{lane} {number} {filler}\n");
                        if number % 11 != 0 {
                            wait_for_room(&mut writer, text.len() as u64);
                        }
                        let db = number as u32 / 5 % 3;
                        writer.append(Dbs::one(db), text.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_done.store(true, Ordering::Release);
    });
}
