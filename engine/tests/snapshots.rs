//! Snapshots: whatever changes while one is made, it is of the moment at which it began.
//!
//! Random commands are run while the walk goes on a little between them, over tables that grow and
//! shrink, with memory that runs out now and then. The file is loaded by another server and compared
//! with one that has run the commands up to the beginning and no more.

mod host;

use base::heap::testing;
use host::{Server, table};
use proptest::prelude::*;

const KEYS: u64 = 12;
/// Keys that come and go many at a time.
const MANY: u64 = 600;
/// Bytes that the shell has yet to write with which the walk pauses after each step.
const MUCH: u64 = 1 << 40;

fn server() -> Server {
    let mut server = Server::new();
    table::take_jobs_from_now_on(true);
    server.keep_values_small();
    server.connect();
    server.connect();
    server
}

fn letter(n: u64) -> char {
    ['s', 'h', 'e', 'z', 'l', 'x'][(n % 6) as usize]
}

/// A command; some make what is there grow, and some make it shrink. `serial` rises.
fn command(serial: u64, kind: u8, key: u64, n: u64) -> String {
    let long = "x".repeat((n * n % 5000) as usize);
    let numbers =
        |f: &dyn Fn(u64) -> String| (0..90).map(|i| f((n * 7 + i) % MANY)).collect::<String>();
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
        9 => format!("rpush l{key} {} a b c d e f g", n),
        10 => format!("lpop l{key} {}", n % 9),
        11 => format!("xadd x{key} {serial} a {n} b c"),
        12 => format!("xtrim x{key} maxlen {}", n % 40),
        13 => format!("xgroup create x{key} g{} 0 mkstream", n % 3),
        14 => {
            format!("xreadgroup group g{} c{} count {} streams x{key} >", n % 3, n % 5, n % 9 + 1)
        }
        15 => format!("pexpireat {}{key} {}", letter(n), 99_000_000_000_000 + n),
        16 => format!("persist {}{key}", letter(n)),
        17 => format!("rename {}{key} {}{}", letter(n), letter(n), n % KEYS),
        18 => format!("copy {}{key} {}{} replace", letter(n), letter(n), n % KEYS),
        19 => format!("unlink {}{key}", letter(n)),
        20 => format!("move {}{key} 1", letter(n)),
        21 => "swapdb 0 1".to_owned(),
        22 if n.is_multiple_of(4) => "flushdb".to_owned(),
        // Large enough to be written in steps.
        22 => format!("setrange s{key} {} {n}", 70_000 + n % 900),
        23 | 24 => format!("mset{}", numbers(&|i| format!(" g{i} {n}"))),
        25 => format!("del{}", numbers(&|i| format!(" g{i}"))),
        26 => format!("rpush l{key} {}", numbers(&|i| format!(" {i}{long}"))),
        _ => format!("getdel s{key}"),
    }
}

/// All that is there.
fn state(server: &mut Server) -> Vec<String> {
    let mut state = vec![server.say(0, "debug digest")];
    for db in ["select 1", "select 0"] {
        server.say(0, db);
        state.push(server.say(0, "dbsize"));
        for key in 0..KEYS {
            for question in [
                "lrange l{} 0 -1",
                "zrange z{} 0 -1 withscores",
                "xrange x{} - +",
                "strlen s{}",
                "pexpiretime s{}",
                "pexpiretime h{}",
                "pexpiretime l{}",
                "xinfo groups x{}",
            ] {
                state.push(server.say(0, &question.replace("{}", &key.to_string())));
            }
            for group in 0..3 {
                state.push(server.say(0, &format!("xpending x{key} g{group}")));
            }
        }
    }
    state
}

/// A client that waits for nothing.
const ASKING: usize = 1;

fn info(server: &mut Server, field: &str) -> String {
    let text = server.say(ASKING, "info all");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.expect("the field is there").trim().to_owned()
}

/// Goes on to the end of the snapshot under way. The file, if it did not fail.
fn finish(server: &mut Server) -> Option<Vec<u8>> {
    table::set_queued(0);
    for _ in 0..100_000 {
        server.tick();
        server.do_jobs();
        if info(server, "rdb_bgsave_in_progress") == "0" {
            let is_whole = info(server, "rdb_last_bgsave_status") == "ok";
            return is_whole.then(table::take_saved);
        }
        table::pass_ms(100);
    }
    panic!("it does not come to an end");
}

/// One of the commands that are run.
type Step = (u8, u64, u64, u8);

/// Runs a command a few times. Each may make so many allocations.
fn run_step(server: &mut Server, serial: &mut u64, step: &Step, allocations: u64) {
    let &(kind, key, n, repeat) = step;
    for more in 0..u64::from(repeat) {
        *serial += 1;
        server.write(0, &command(*serial, kind, key, n + more * 37));
        testing::allow_allocations(allocations);
        server.run(0);
        testing::allow_allocations(u64::MAX);
        server.read(0);
    }
}

/// Asserts that a file has what a server has.
fn assert_has(file: &[u8], expected: &[String]) -> Result<(), TestCaseError> {
    let mut reader = server();
    prop_assert_eq!(reader.load(file), Ok(()));
    let loaded = state(&mut reader);
    let differs = loaded.iter().zip(expected).find(|(is, was)| is != was);
    prop_assert_eq!(differs, None);
    Ok(())
}

/// When a snapshot is made.
#[derive(Clone, Copy, PartialEq)]
enum When {
    /// While commands are run.
    Meanwhile,
    /// The same, with memory that runs out now and then.
    WithoutMemory,
    /// Before the others are run.
    Before,
}

/// Runs some commands, makes a snapshot, and runs others. Returns how many bytes are in use when
/// everything is removed.
fn run(before: &[Step], during: &[Step], when: When) -> Result<i64, TestCaseError> {
    let held = testing::outstanding();
    let (mut server, mut serial) = (server(), 0);
    before.iter().for_each(|step| run_step(&mut server, &mut serial, step, u64::MAX));
    let expected = state(&mut server);
    prop_assert_eq!(server.say(0, "bgsave"), "+Background saving started\r\n");
    let mut file = if when == When::Before { finish(&mut server) } else { None };
    table::set_queued(MUCH);
    for step in during {
        // Where there is no memory to keep what changes, the snapshot fails, and nothing else.
        let is_short = when == When::WithoutMemory && step.2 % 3 == 0;
        let allocations = if is_short { step.2 % 40 } else { u64::MAX };
        run_step(&mut server, &mut serial, step, allocations);
        server.tick();
        server.do_jobs();
        server.deliver();
    }
    if when != When::Before {
        file = finish(&mut server);
        // What waited for a value to be written.
        server.run(0);
        server.read(0);
    }
    table::set_queued(0);
    prop_assert!(when == When::WithoutMemory || file.is_some());
    // Whatever became of it, the next has all there is.
    let now = state(&mut server);
    prop_assert_eq!(server.say(0, "save"), "+OK\r\n");
    let next = table::take_saved();
    prop_assert_eq!(info(&mut server, "mem_snapshot"), "0");
    server.say(0, "flushall");
    server.tick();
    server.do_jobs();
    drop(server);
    let kept = testing::outstanding() - held;
    if let Some(file) = file {
        assert_has(&file, &expected)?;
    }
    assert_has(&next, &now)?;
    Ok(kept)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..28u8, 0..KEYS, 0..10_000u64, 1..12u8), 1..50)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_of_the_moment_at_which_it_began(before in steps(), during in steps()) {
        let kept = run(&before, &during, When::Meanwhile)?;
        prop_assert_eq!(kept, run(&before, &during, When::Before)?, "bytes");
    }

    #[test]
    fn where_memory_runs_out_only_the_snapshot_fails(before in steps(), during in steps()) {
        /// What is told of errors.
        const STATISTICS_BYTES: i64 = 1024;
        let kept = run(&before, &during, When::WithoutMemory)?;
        prop_assert!(kept <= run(&before, &during, When::Before)? + STATISTICS_BYTES);
    }
}

/// A server with many keys, of which all are to be changed.
fn filled() -> Server {
    let mut server = server();
    for n in 0..40 {
        server.say(0, &command(n, 23, 0, n * 20));
    }
    server
}

#[test]
fn one_that_fails_midway_is_told_and_leaves_no_marks() {
    let mut server = filled();
    server.say(0, "bgsave");
    table::set_queued(MUCH);
    for n in 0..300 {
        server.say(0, &format!("append g{n} x"));
    }
    table::fail_saving();
    assert_eq!(finish(&mut server), None);
    assert_eq!(info(&mut server, "rdb_last_bgsave_status"), "err");
    let now = state(&mut server);
    server.say(0, "bgsave");
    let file = finish(&mut server).expect("it goes well");
    assert_has(&file, &now).expect("all is in it");
}

#[test]
fn a_second_one_is_refused_while_one_is_under_way() {
    let mut server = filled();
    table::set_queued(MUCH);
    assert_eq!(server.say(0, "bgsave"), "+Background saving started\r\n");
    for line in ["bgsave", "save", "bgsave schedule"] {
        assert_eq!(server.say(0, line), "-ERR Background save already in progress\r\n");
    }
    assert!(finish(&mut server).is_some());
    assert_eq!(info(&mut server, "rdb_saves"), "1");
}

#[test]
fn a_writer_of_a_large_value_that_is_yet_to_be_written_waits_and_others_do_not() {
    let mut server = filled();
    server.say(0, "setrange large 300000 x");
    server.say(0, "setrange huge 400000 x");
    server.say(0, "bgsave");
    table::set_queued(MUCH);
    assert_eq!(server.say(0, "append large y"), "", "it is put off");
    assert_eq!(server.say(ASKING, "append g1 y"), ":4\r\n");
    assert_eq!(server.say(ASKING, "unlink huge"), ":1\r\n", "what goes is handed over");
    assert_eq!(server.say(ASKING, "strlen large"), ":300001\r\n", "reading goes on");
    assert_eq!(info(&mut server, "rdb_writers_held_back"), "1");
    // It is written next.
    for _ in 0..60 {
        server.tick();
        server.do_jobs();
    }
    server.run(0);
    let reply = server.read(0);
    let file = finish(&mut server).expect("it goes well");
    let mut reader = self::server();
    reader.load(&file).expect("it can be read");
    assert_eq!(reader.say(0, "strlen large"), ":300001\r\n");
    assert_eq!(reader.say(0, "strlen huge"), ":400001\r\n");
    assert!(reply.is_empty() || reply == ":300002\r\n", "{reply}");
}

#[test]
fn a_long_string_is_written_in_parts_also_if_it_goes_meanwhile() {
    const LONG: u64 = 3_000_000;
    for last in ["get other", "del long", "getdel long", "set long x", "append long x"] {
        let mut server = filled();
        server.say(0, &format!("setrange long {LONG} x"));
        server.say(0, "setrange long 1234567 marked");
        let expected = server.say(0, "debug digest");
        server.say(0, "bgsave");
        table::set_queued(MUCH);
        // It is asked for, and so begun next.
        assert_eq!(server.say(0, "append long y"), "");
        (0..20).for_each(|_| {
            server.tick();
            server.do_jobs();
        });
        // A script that has not named it cannot wait for it.
        let words: Vec<_> = last.split(' ').map(|word| format!("'{word}'")).collect();
        let script = format!("eval \"return redis.call({})\" 0", words.join(","));
        assert_ne!(server.say(ASKING, &script), "", "{last}");
        let file = finish(&mut server).expect("it goes well");
        let mut reader = self::server();
        reader.load(&file).expect("it can be read");
        assert_eq!(reader.say(0, "debug digest"), expected, "{last}");
    }
}
