//! Files of data that are damaged in all ways, and memory that runs out while one is loaded.

mod host;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use abi::loading::stage;
use base::crc64::crc64;
use base::heap::testing::{allow_allocations, outstanding};
use base::random::Random;
use host::{Server, table};

/// Files that are damaged. `LOAD_DAMAGED` says otherwise.
const DAMAGED: usize = 3000;
/// How much memory a file may take, for each of its bytes.
const MEMORY_FACTOR: usize = 64;
/// What is needed whatever the file.
const MEMORY_BASE: usize = 1 << 17;
/// What a machine needs in which a library of functions is tried.
const MACHINE: usize = 2 << 20;
/// How a library begins, and the kind of its record.
const LIBRARY: &[u8] = b"#!lua";
const LIBRARY_RECORD: u8 = 245;
const CHECKSUM: usize = 8;

const FILES: [&[u8]; 4] = [
    include_bytes!("../../tests/server/loading/recorded/redis-7.0.15.rdb"),
    include_bytes!("../../tests/server/loading/recorded/redis-8.0.6.rdb"),
    include_bytes!("../../tests/server/loading/recorded/valkey-8.1.1.rdb"),
    include_bytes!("../../tests/server/loading/recorded/valkey-9.1.2.rdb"),
];

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread uses, and the most that it has.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.get().wrapping_add(layout.size());
        IN_USE.set(in_use);
        // Other threads may have freed what this one has made: then it is far below zero.
        MOST.set(MOST.get().max(if in_use > isize::MAX as usize { 0 } else { in_use }));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().wrapping_sub(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most that is in use during `f`, beyond what was before.
fn most_in_use(f: impl FnOnce()) -> usize {
    let before = IN_USE.get();
    MOST.set(before);
    f();
    MOST.get().saturating_sub(before)
}

/// A server in which nothing is kept but what is loaded.
fn server() -> Server {
    let mut server = Server::new();
    // What is kept of it would count as memory.
    table::drop_log();
    server.configure("slowlog-log-slower-than", "-1");
    let who = server.connect();
    // What is made once is made.
    server.say(who, "SET a b");
    server.say(who, "DBSIZE");
    server.say(who, "FLUSHALL");
    server.say(who, "FUNCTION FLUSH");
    server
}

/// Removes all that was loaded.
fn clear(server: &mut Server) {
    // What could not be loaded has left commands refused.
    server.stage().store(stage::NONE, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(server.say(0, "FLUSHALL"), "+OK\r\n");
    assert_eq!(server.say(0, "FUNCTION FLUSH"), "+OK\r\n");
}

/// A file without the records of the database that there is not, sealed.
fn of_two_databases(file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let at = bytes.windows(2).position(|bytes| bytes == [254, 3]).expect("the third database");
    bytes[at + 1] = 1;
    sealed(bytes)
}

/// A file without its library, not sealed.
fn without_library(mut file: Vec<u8>) -> Vec<u8> {
    // Its kind, its length in one byte or, compressed, the lengths of both forms, and the source.
    let at = file.windows(LIBRARY.len()).position(|bytes| bytes == LIBRARY).expect("a library");
    let begin = file[..at].iter().rposition(|byte| *byte == LIBRARY_RECORD).expect("its record");
    let end = file[at..].iter().position(|byte| *byte == 254).expect("the first database") + at;
    file.drain(begin..end);
    file
}

/// Gives a file the checksum that belongs to it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.len().checked_sub(CHECKSUM) {
        let sum = crc64(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&sum);
    }
    bytes
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len().max(1) as u64) as usize;
        let byte = random.next_u64() as u8;
        match random.below(8) {
            _ if bytes.is_empty() => bytes.push(byte),
            0 => bytes[at] = byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes[at] = [0, 0x81, 0x80, 0xff, 0xc3, 0xfe, 14, 18][usize::from(byte % 8)],
            3 => bytes.insert(at, byte),
            4 => drop(bytes.remove(at)),
            5 if byte > 200 => bytes.truncate(at),
            6 => {
                let part = bytes[at..bytes.len().min(at + usize::from(byte))].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                // A number of things that is far too large.
                let claimed = [&[0x81][..], &random.next_u64().to_be_bytes()].concat();
                bytes.splice(at..(at + 1).min(bytes.len()), claimed);
            }
        }
    }
}

#[test]
fn whole_files_are_loaded_and_leave_nothing_behind() {
    let mut server = server();
    let before = outstanding();
    for file in FILES.map(of_two_databases) {
        server.load(&file).expect("it is sound");
        assert_eq!(server.say(0, "DBSIZE"), ":19\r\n");
        clear(&mut server);
        assert_eq!(outstanding(), before);
        assert!(!table::has_file());
        let report = server.check(&file).expect("it is sound");
        assert!(report.contains("checksum\tright\n") && report.contains("faults\t0\n"), "{report}");
        assert_eq!(outstanding(), before);
    }
}

#[test]
fn damaged_files_are_refused_or_loaded_in_bounded_memory() {
    let mut server = server();
    let before = outstanding();
    let mut random = Random::new(0x5eed_10ad);
    let count = std::env::var("LOAD_DAMAGED").map_or(DAMAGED, |count| count.parse().unwrap());
    let (mut refused, mut loaded) = (0, 0);
    for nth in 0..count {
        let mut file = of_two_databases(FILES[nth % FILES.len()]);
        if nth % 3 != 0 {
            file = without_library(file);
        }
        damage(&mut random, &mut file);
        if nth % 8 != 0 {
            file = sealed(file);
        }
        let may_have_library = file.contains(&LIBRARY_RECORD);
        let base = if may_have_library { MEMORY_BASE + MACHINE } else { MEMORY_BASE };
        let bound = base + MEMORY_FACTOR * file.len();
        let mut outcome = Ok(());
        let most = most_in_use(|| outcome = server.load(&file));
        assert!(most <= bound, "file {nth}: {most} bytes, {outcome:?}");
        match &outcome {
            Ok(()) => loaded += 1,
            Err(text) => {
                assert!(text.starts_with("dump.rdb: byte "), "file {nth}: {text}");
                refused += 1;
            }
        }
        clear(&mut server);
        assert_eq!(outstanding(), before, "file {nth}: {outcome:?}");
        let most = most_in_use(|| {
            if let Ok(report) = server.check(&file) {
                // What can be loaded is not found fault with, nor the other way round.
                let is_sound = report.contains("\nfaults\t0\n");
                assert!(is_sound || outcome.is_err(), "file {nth}: {report}");
            }
        });
        assert!(most <= bound, "file {nth}: {most} bytes, {outcome:?}");
        assert_eq!(outstanding(), before, "file {nth}");
    }
    assert!(refused > count / 4 && loaded > 0, "{refused} were refused, {loaded} loaded");
}

#[test]
fn a_full_arena_is_told_and_nothing_is_left_half_done() {
    let mut server = server();
    let before = outstanding();
    let file = of_two_databases(FILES[0]);
    let mut enough = 0;
    for allocations in 0.. {
        allow_allocations(allocations);
        let outcome = server.load(&file);
        allow_allocations(u64::MAX);
        clear(&mut server);
        assert_eq!(outstanding(), before, "{allocations} allocations");
        if outcome.is_ok() {
            enough = allocations;
            break;
        }
        assert_eq!(outcome, Err("status 3".to_owned()), "{allocations} allocations");
    }
    assert!(enough > 20, "only {enough} allocations");
}
