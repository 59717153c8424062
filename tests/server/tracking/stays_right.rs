//! Caches in clients stay right while others write and the releases are swapped.
//!
//! Every key holds a number that only rises, so a cached one tells how old it is. What is held:
//!
//! - Once a writer has its reply, and the cache was told what there was to tell, it has no older
//!   value than that of the writer.
//! - Writers change the keys of a pair one after the other. Who is answered the second finds no
//!   older value of the first in its cache: nothing it is told is overtaken by what it is answered.
//! - When all is quiet, the cache has what the server has.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::near_cache::{Mode, NearCache};
use crate::harness::{Connection, Random, Server};

const PAIRS: usize = 8;
const SWAPS: usize = 40;
const BETWEEN_SWAPS: Duration = Duration::from_millis(50);

/// Of each pair, the last numbers that were acknowledged to the writer.
struct Acknowledged([[AtomicU64; 2]; PAIRS]);

fn first(pair: usize) -> String {
    format!("near:{pair}:first")
}

fn second(pair: usize) -> String {
    format!("near:{pair}:second")
}

/// Gives a key a number in one of several ways.
fn write(client: &mut Connection, way: u64, key: &str, number: u64) {
    let number = number.to_string();
    match way {
        0 => drop(client.call(&["INCR", key])),
        1 => drop(client.call(&["SET", key, &number])),
        2 => {
            let other = format!("{key}:new");
            client.call(&["SET", &other, &number]);
            assert_eq!(client.call(&["RENAME", &other, key]), "+OK\r\n");
        }
        3 => {
            let script = "return redis.call('set', KEYS[1], ARGV[1])";
            assert_eq!(client.call(&["EVAL", script, "1", key, &number]), "+OK\r\n");
        }
        _ => {
            client.call(&["MULTI"]);
            client.call(&["DEL", key]);
            client.call(&["SET", key, &number]);
            client.call(&["EXEC"]);
        }
    }
}

/// Writes to pairs until it is to end; a writer has pairs of its own.
fn write_pairs(server: &Server, pairs: &[usize], known: &Acknowledged, is_over: &AtomicBool) {
    let mut client = server.connect();
    let mut random = Random(pairs[0] as u64 + 1);
    for number in 1.. {
        if is_over.load(SeqCst) {
            return;
        }
        let pair = pairs[random.below(pairs.len() as u64) as usize];
        for (nth, key) in [first(pair), second(pair)].iter().enumerate() {
            let number = known.0[pair][nth].load(SeqCst) + 1;
            write(&mut client, random.below(5), key, number);
            known.0[pair][nth].store(number, SeqCst);
        }
        if number % 64 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Reads through a cache until it is to end, and looks whether that is right.
fn read_pairs(cache: &mut NearCache, known: &Acknowledged, is_over: &AtomicBool, seed: u64) {
    let mut random = Random(seed + 1);
    let is_in_order = cache.mode() != Mode::Redirect;
    while !is_over.load(SeqCst) {
        let pair = random.below(PAIRS as u64) as usize;
        let (one, other) = (first(pair), second(pair));
        if cache.cached(&one).is_none() {
            cache.fetch(&one);
        }
        let floor = known.0[pair][0].load(SeqCst);
        if random.below(2) == 0 {
            let newer = cache.fetch(&other);
            if let Some(value) = cache.cached(&one).filter(|_| is_in_order) {
                assert!(value >= newer, "{one} is {value} here, but {other} is {newer} already");
            }
        }
        cache.catch_up();
        if let Some(value) = cache.cached(&one) {
            assert!(value >= floor, "{one} is {value} here, but {floor} was acknowledged");
        }
    }
}

fn stays_right(mode: Mode) {
    let server = Server::start();
    let known = Acknowledged(Default::default());
    let is_over = AtomicBool::new(false);
    let mut caches: Vec<_> = (0..3).map(|_| NearCache::new(&server, mode)).collect();
    thread::scope(|scope| {
        let (server, known, is_over) = (&server, &known, &is_over);
        for pairs in [[0, 1, 2, 3], [4, 5, 6, 7]] {
            scope.spawn(move || write_pairs(server, &pairs, known, is_over));
        }
        for (seed, cache) in caches.iter_mut().enumerate() {
            scope.spawn(move || read_pairs(cache, known, is_over, seed as u64));
        }
        for _ in 0..SWAPS {
            server.swap();
            thread::sleep(BETWEEN_SWAPS);
        }
        is_over.store(true, SeqCst);
    });
    let mut client = server.connect();
    for cache in &mut caches {
        cache.catch_up();
        for (key, value) in cache.all() {
            assert_eq!(client.call(&["GET", &key]).text(), value.to_string(), "{key}");
        }
        assert!(cache.invalidations > 100, "only {} invalidations", cache.invalidations);
    }
}

#[test]
fn a_cache_of_what_was_read_stays_right_while_releases_are_swapped() {
    stays_right(Mode::Default);
}

#[test]
fn a_cache_of_what_is_kept_stays_right_while_releases_are_swapped() {
    stays_right(Mode::OptIn);
}

#[test]
fn a_cache_of_prefixes_stays_right_while_releases_are_swapped() {
    stays_right(Mode::Prefix);
}

#[test]
fn a_cache_that_is_told_elsewhere_stays_right_while_releases_are_swapped() {
    stays_right(Mode::Redirect);
}
