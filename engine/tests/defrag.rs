//! Active defragmentation: whatever is moved, and whenever, nobody can tell but by where it lies.
//!
//! Random commands are run twice: on a server that moves all it can between them, some at a time, and
//! on one that moves nothing. Memory that was given up is overwritten.

mod host;

use base::heap::testing;
use host::{Server, table};
use proptest::prelude::*;

const KEYS: u64 = 14;
/// A number of bytes that is always worth it.
const MUCH: u64 = 1 << 50;

/// A server whose jobs are done when it is asked to, and which defragments if so asked.
fn server(defrags: bool) -> Server {
    let mut server = Server::new();
    table::set_scattered(MUCH);
    table::take_jobs_from_now_on(true);
    server.keep_values_small();
    for (name, value) in [
        ("hz", "500"),
        ("active-defrag-max-scan-fields", "7"),
        ("activedefrag", if defrags { "yes" } else { "no" }),
    ] {
        server.configure(name, value);
    }
    server.connect();
    server
}

/// Does what is due until there is nothing: the pass under way, and the one that may begin.
fn finish(server: &mut Server) {
    table::pass_ms(61_000);
    for _ in 0..100_000 {
        go_on(server);
        if info(server, "active_defrag_running") == 0 {
            return;
        }
    }
    panic!("it does not come to an end");
}

/// Does what is due.
fn go_on(server: &mut Server) {
    server.tick();
    server.do_jobs();
}

fn info(server: &mut Server, field: &str) -> u64 {
    let text = server.say(0, "info all");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.expect("the field is there").parse().expect("a number")
}

/// A command on a key of some type; some grow and some shrink what is there. `serial` rises.
fn command(serial: u64, kind: u8, key: u64, n: u64) -> String {
    let long = "x".repeat((n * n % 6000) as usize);
    let key = key % KEYS;
    match kind {
        0 => format!("set s{key} {n}"),
        1 => format!("set s{key} {long}y"),
        2 => format!("append s{key} {long}z"),
        3 => format!("hset h{key} f{} v{n} f{} {}", n % 50, n % 7, &long[..long.len().min(90)]),
        4 => format!("hdel h{key} f{} f{}", n % 50, n % 9),
        5 => format!("sadd e{key} {} m{} m{}", n % 30, n % 60, n % 8),
        6 => format!("srem e{key} {} m{}", n % 30, n % 60),
        7 => format!("zadd z{key} {} m{} {} m{}", n % 20, n % 300, n % 9, n % 90),
        8 => format!("zrem z{key} m{} m{}", n % 300, n % 90),
        9 => format!("rpush l{key} {} {} a b c d e f g", n, &long[..long.len().min(300)]),
        10 => format!("lpop l{key} {}", n % 9),
        11 => format!("rpop l{key} {}", n % 9),
        12 => format!("linsert l{key} before a i{n}"),
        13 => format!("lrem l{key} 3 b"),
        14 => format!("xadd x{key} {serial} a {n} b {}", &long[..long.len().min(60)]),
        15 => format!("xtrim x{key} maxlen {}", n % 40),
        16 => format!("xgroup create x{key} g{} 0 mkstream", n % 3),
        17 => {
            format!("xreadgroup group g{} c{} count {} streams x{key} >", n % 3, n % 5, n % 9 + 1)
        }
        18 => format!("xautoclaim x{key} g{} c{} 0 0 count {} justid", n % 3, n % 5, n % 6 + 1),
        19 => format!("xgroup delconsumer x{key} g{} c{}", n % 3, n % 5),
        20 => format!("pexpireat {}{key} {}", letter(n), 99_000_000_000_000 + n),
        21 => format!("persist {}{key}", letter(n)),
        22 => format!("rename {}{key} {}{}", letter(n), letter(n), n % KEYS),
        23 => format!("copy {}{key} {}{} replace", letter(n), letter(n), n % KEYS),
        24 => format!("unlink {}{key}", letter(n)),
        _ => format!("move {}{key} 1", letter(n)),
    }
}

fn letter(n: u64) -> char {
    ['s', 'h', 'e', 'z', 'l', 'x'][(n % 6) as usize]
}

/// How many keys there are, and how many of them have a time to live, by the tables of both.
fn counts(server: &mut Server) -> String {
    let text = server.say(0, "info keyspace");
    text.lines().skip(1).filter_map(|line| line.split(",avg").next()).collect()
}

/// All that clients can see.
fn state(server: &mut Server) -> String {
    let mut state = server.say(0, "debug digest") + &counts(server);
    for key in 0..KEYS {
        for question in ["lrange l{} 0 -1", "zrange z{} 0 -1 withscores", "xrange x{} - +"] {
            state += &server.say(0, &question.replace("{}", &key.to_string()));
        }
        for group in 0..3 {
            state += &server.say(0, &format!("xpending x{key} g{group}"));
            state += &server.say(0, &format!("xgroup setid x{key} g{group} 0 entriesread 0"));
        }
        state += &server.say(0, &format!("xinfo groups x{key}"));
    }
    state
}

/// Runs commands, as many times each as told, in between some defragmentation: what was replied, what
/// is there afterwards, and how many bytes are in use when everything is removed.
fn run(steps: &[(u8, u64, u64, u8)], defrags: bool) -> (Vec<String>, String, i64) {
    let held = testing::outstanding();
    let mut server = server(defrags);
    let mut replies = Vec::new();
    for &(kind, key, n, repeat) in steps {
        for more in 0..u64::from(repeat) {
            let serial = replies.len() as u64 + 1;
            replies.push(server.say(0, &command(serial, kind, key, n + more * 37)));
        }
        server.deliver();
        if n % 3 == 0 {
            server.tick();
        }
        // Where there is no memory for a copy, what was to move stays.
        testing::allow_allocations(if n % 4 == 0 { n % 60 } else { u64::MAX });
        server.do_jobs();
        testing::allow_allocations(u64::MAX);
    }
    if defrags {
        finish(&mut server);
    }
    let state = state(&mut server);
    server.say(0, "flushall");
    server.do_jobs();
    server.deliver();
    drop(server);
    (replies, state, testing::outstanding() - held)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_tell(
        steps in prop::collection::vec((0..26u8, 0..KEYS, 0..10_000u64, 1..40u8), 1..60)
    ) {
        let (replies, state, kept) = run(&steps, true);
        let (expected, expected_state, expected_kept) = run(&steps, false);
        for (reply, expected) in replies.iter().zip(&expected) {
            prop_assert_eq!(reply, expected);
        }
        let changed = state.lines().zip(expected_state.lines()).find(|(is, was)| is != was);
        prop_assert_eq!(changed, None);
        prop_assert_eq!(state.len(), expected_state.len());
        prop_assert_eq!(kept, expected_kept, "bytes");
    }
}

fn fill(server: &mut Server) {
    for n in 0..60 {
        for kind in [0, 1, 3, 5, 7, 9, 14, 16, 17] {
            server.say(0, &command(n + 1, kind, n % 5, n * 41));
        }
        server.say(0, &format!("pexpireat s{} 99000000000000", n % 5));
    }
    (0..2000).for_each(|n| drop(server.say(0, &format!("zadd zlarge {n} member:{n}"))));
    (0..2000).for_each(|n| drop(server.say(0, &format!("hset hlarge field:{n} {n}"))));
    (0..2000).for_each(|n| drop(server.say(0, &format!("rpush llarge {n}"))));
}

#[test]
fn a_pass_moves_all_that_keys_are_made_of() {
    let mut server = server(true);
    fill(&mut server);
    table::take_jobs();
    let state = server.say(0, "debug digest");
    finish(&mut server);
    let hits = info(&mut server, "active_defrag_hits");
    assert!(hits > 2000 + 2000 + 400, "{hits} allocations have moved");
    assert_eq!(info(&mut server, "active_defrag_running"), 0, "it rests after a pass in vain");
    assert_eq!(server.say(0, "debug digest"), state);
    assert!(info(&mut server, "active_defrag_key_hits") > 25);
    assert!(counts(&mut server).contains("expires=5"));
    (0..5).for_each(|n| assert_eq!(server.say(0, &format!("persist s{n}")), ":1\r\n"));
    assert!(counts(&mut server).contains("expires=0"), "both tables have the same entries");
    server.say(0, "config resetstat");
    assert_eq!(info(&mut server, "active_defrag_hits"), 0);
    server.say(0, "flushall");
}

/// What is remembered for clients that cache keys is moved as well.
#[test]
fn tracked_keys_are_moved_and_told_of_all_the_same() {
    const TRACKED: usize = 300;
    let mut server = server(true);
    let caches: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for cache in &caches {
        server.say(*cache, "hello 3");
        server.say(*cache, "client tracking on");
    }
    // One key that is there, for the walk comes by no database without any.
    server.say(0, "set there v");
    finish(&mut server);
    let before = info(&mut server, "active_defrag_hits");
    for cache in &caches {
        (0..TRACKED).for_each(|n| drop(server.say(*cache, &format!("get tracked:{n}"))));
    }
    finish(&mut server);
    let hits = info(&mut server, "active_defrag_hits") - before;
    assert!(hits as usize >= 2 * TRACKED, "{hits} allocations: records, and ids of others");
    for n in 0..TRACKED {
        server.say(0, &format!("set tracked:{n} v"));
    }
    server.deliver();
    for cache in caches {
        assert_eq!(server.read(cache).matches("invalidate").count(), TRACKED);
    }
    assert_eq!(info(&mut server, "tracking_total_items"), 0);
    server.say(0, "flushall");
}

#[test]
fn it_ends_when_it_is_switched_off() {
    let mut server = server(true);
    fill(&mut server);
    go_on(&mut server);
    assert_eq!(info(&mut server, "active_defrag_hits"), 0, "a pass begins");
    // How far it comes at a time is a matter of how fast the machine is.
    for _ in 0..1000 {
        go_on(&mut server);
        if info(&mut server, "active_defrag_hits") > 0 {
            break;
        }
    }
    let hits = info(&mut server, "active_defrag_hits");
    assert!(hits > 0 && info(&mut server, "active_defrag_running") == 25);
    assert!(table::is_compacting(), "it is under way");
    server.say(0, "config set activedefrag no");
    go_on(&mut server);
    assert!(!table::is_compacting(), "the pass is ended");
    go_on(&mut server);
    assert_eq!(info(&mut server, "active_defrag_running"), 0);
    assert_eq!(info(&mut server, "active_defrag_hits"), hits);
    assert_eq!(info(&mut server, "current_active_defrag_time"), 0);
    server.say(0, "flushall");
}

#[test]
fn nothing_is_done_below_the_thresholds() {
    for (name, value) in
        [("active-defrag-ignore-bytes", "2000000"), ("active-defrag-threshold-lower", "1000")]
    {
        let mut server = server(true);
        fill(&mut server);
        table::take_jobs();
        table::set_scattered(1_000_000);
        server.configure("active-defrag-ignore-bytes", "1000");
        server.configure("active-defrag-threshold-lower", "10");
        server.configure(name, value);
        (0..3).for_each(|_| go_on(&mut server));
        assert_eq!(info(&mut server, "active_defrag_hits"), 0, "{name}");
        assert!(!table::is_compacting(), "{name}");
        server.say(0, "flushall");
    }
}
