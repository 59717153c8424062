//! Scripts that have been seen to keep to the keys of their calls run beside others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::harness::{Connection, Server, eventually};
use crate::server::effects::replay::{Recorder, assert_replayed};

/// Enough for a script to be known to a thread, whichever of two runs it.
const RUNS: usize = 40;

fn runs(client: &mut Connection, script: &str, keys: &[&str]) {
    let count = keys.len().to_string();
    let call = [&["EVAL", script, &count], keys].concat();
    (0..RUNS).for_each(|_| drop(client.call(&call)));
}

fn counted(client: &mut Connection, field: &str) -> u64 {
    let info = client.ask("INFO stats").text();
    let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {info}")).parse().expect("a number")
}

/// A client that can hold the shard of `long` for long.
fn busy(server: &Server) -> Connection {
    let mut client = server.connect();
    client.ask("SETBIT long 134217727 1");
    client
}

/// Has `holder` hold the shard of `long`, and returns once it does.
fn hold(holder: &mut Connection, client: &mut Connection) {
    holder.ask("MULTI");
    (0..100).for_each(|_| drop(holder.ask("BITCOUNT long")));
    holder.send(&["EXEC"]);
    eventually("the shard is held", || !client.ask("CLIENT LIST").text().contains("cmd=bitcount"));
}

/// Waits until it is held no longer.
fn let_go(holder: &mut Connection) {
    assert!(holder.read().raw().starts_with("*100"));
}

/// Tries time and again, until it goes as it does with a thread that has come to know the script:
/// which thread serves a client may change.
fn until_known(mut attempt: impl FnMut(usize) -> bool) {
    const ATTEMPTS: usize = 20;
    assert!((0..ATTEMPTS).any(&mut attempt), "no script ran as was to be expected");
}

#[test]
fn a_script_that_keeps_to_its_keys_waits_for_no_others() {
    let server = Server::start();
    let (mut holder, mut client) = (busy(&server), server.connect());
    let script = "redis.call('INCR', KEYS[1]) return redis.call('GET', KEYS[1])";
    let mut expect = 0;
    until_known(|_| {
        runs(&mut client, script, &["short"]);
        hold(&mut holder, &mut client);
        expect += RUNS + 1;
        assert_eq!(client.call(&["EVAL", script, "1", "short"]).text(), expect.to_string());
        let ran_beside = !holder.has_reply();
        let_go(&mut holder);
        ran_beside
    });
    assert!(counted(&mut client, "scripts_beside_others") > 0);
    assert_eq!(counted(&mut client, "scripts_run_again"), 0);
}

/// What a script changes before it asks for a key that somebody holds.
const CHANGES: &str = "redis.call('INCR', KEYS[1]) \
    redis.call('RPUSH', KEYS[2], 'x', 'y') \
    redis.call('LPOP', KEYS[2]) \
    redis.call('HSET', KEYS[3], 'f', redis.call('GET', KEYS[1])) \
    redis.call('PEXPIRE', KEYS[3], 1000000) \
    redis.call('DEL', KEYS[4]) \
    redis.call('SET', KEYS[5], 'new') \
    redis.call('RENAME', KEYS[6], KEYS[7]) \
    redis.call('APPEND', KEYS[4], 'again') \
    redis.call('XADD', KEYS[8], '*', 'a', 'b') \
    redis.call('PERSIST', KEYS[9]) \
    redis.call('SET', KEYS[6], 'back') \
    if ARGV[1] == '1' then redis.call('STRLEN', 'long') end \
    return redis.call('GET', KEYS[1])";

/// The keys of a call of it, so that each call finds others.
fn names(round: usize) -> Vec<String> {
    (1..=9).map(|n| if n == 1 { "n".to_owned() } else { format!("{round}:{n}") }).collect()
}

#[test]
fn what_a_script_has_changed_is_undone_before_it_runs_again() {
    let server = Server::start();
    let recorder = Recorder::start(&server);
    let (mut holder, mut client) = (busy(&server), server.connect());
    until_known(|attempt| {
        for run in 0..=RUNS {
            let strays = run == RUNS;
            if strays {
                hold(&mut holder, &mut client);
            }
            run_changes(&mut client, attempt * (RUNS + 1) + run, strays);
        }
        let_go(&mut holder);
        counted(&mut client, "scripts_run_again") == 1
    });
    assert_replayed("scripts", &server, &recorder);
}

/// Runs the script that changes much, and looks whether it has done all that once.
fn run_changes(client: &mut Connection, round: usize, strays: bool) {
    let names = names(round);
    let name = |n: usize| names[n - 1].as_str();
    client.call(&["RPUSH", name(2), "a", "b"]);
    client.call(&["HSET", name(3), "g", "h"]);
    client.call(&["SET", name(4), "old"]);
    client.call(&["SET", name(6), "moved", "PX", "5000000"]);
    client.call(&["SET", name(7), "gone"]);
    client.call(&["SET", name(9), "stays", "PX", "5000000"]);
    let keys: Vec<_> = names.iter().map(String::as_str).collect();
    let flag = u8::from(strays).to_string();
    let call = [&["EVAL", CHANGES, "9"], &keys[..], &[&flag]].concat();
    assert_eq!(client.call(&call).text(), (round + 1).to_string());
    assert_eq!(client.ask(&format!("LINDEX {} 0", name(2))).text(), "b");
    assert_eq!(client.ask(&format!("LLEN {}", name(2))).number(), 3);
    assert_eq!(client.ask(&format!("HLEN {}", name(3))).number(), 2);
    assert_eq!(client.ask(&format!("GET {}", name(4))).text(), "again");
    assert_eq!(client.ask(&format!("GET {}", name(7))).text(), "moved");
    assert_eq!(client.ask(&format!("XLEN {}", name(8))).number(), 1);
    assert_eq!(client.ask(&format!("TTL {}", name(9))).number(), -1);
}

/// A key whose time has come goes when a script is undone that has found it so, and is told to be gone.
#[test]
fn keys_that_have_expired_stay_gone_when_a_script_is_undone() {
    let server = Server::start_with(&["--enable-debug-command", "yes"]);
    let recorder = Recorder::start(&server);
    let (mut holder, mut client) = (busy(&server), server.connect());
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    let script = "redis.call('GET', KEYS[2]) redis.call('APPEND', KEYS[1], 'x') \
                  if ARGV[1] == '1' then redis.call('STRLEN', 'long') end \
                  return redis.call('GET', KEYS[1])";
    until_known(|attempt| {
        (0..RUNS).for_each(|_| drop(client.call(&["EVAL", script, "2", "other", "none", "0"])));
        let (written, read) = (format!("written{attempt}"), format!("read{attempt}"));
        client.call(&["SET", &written, "1", "PX", "1"]);
        client.call(&["SET", &read, "1", "PX", "1"]);
        std::thread::sleep(std::time::Duration::from_millis(20));
        hold(&mut holder, &mut client);
        assert_eq!(client.call(&["EVAL", script, "2", &written, &read, "1"]).text(), "x");
        let_go(&mut holder);
        counted(&mut client, "scripts_run_again") == 1
    });
    assert_replayed("expired keys", &server, &recorder);
}

#[test]
fn only_scripts_that_keep_to_small_keys_of_their_own_run_beside_others() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("MSET {a}1 1 b 2");
    client.ask("SETRANGE {a}large 10000 x");
    for (script, keys) in [
        ("return redis.call('GET', 'b')", vec![]),
        ("return redis.call('INCR', 'b')", vec!["{a}1"]),
        ("return redis.call('GET', KEYS[1]) .. redis.call('GET', 'b')", vec!["{a}1"]),
        ("return redis.call('APPEND', KEYS[1], 'x')", vec!["{a}large"]),
        ("return redis.call('COPY', KEYS[1], KEYS[1], 'DB', 1)", vec!["{a}1"]),
        ("return redis.call('PFCOUNT', KEYS[1])", vec!["none"]),
        ("return redis.call('DBSIZE')", vec![]),
        ("return redis.call('FLUSHDB')", vec![]),
        ("return redis.call('PUBLISH', 'x', 'y')", vec![]),
    ] {
        runs(&mut client, script, &keys);
        assert_eq!(counted(&mut client, "scripts_beside_others"), 0, "{script}");
    }
    let own = "return redis.call('SET', KEYS[1], #KEYS)";
    client.ask("CONFIG SET notify-keyspace-events KEA");
    runs(&mut client, own, &["{a}1", "b"]);
    assert_eq!(counted(&mut client, "scripts_beside_others"), 0, "events are published once");
    client.call(&["CONFIG", "SET", "notify-keyspace-events", ""]);
    runs(&mut client, own, &["{a}1", "b"]);
    assert!(counted(&mut client, "scripts_beside_others") > 0);
    assert_eq!(counted(&mut client, "scripts_run_again"), 0);
}

#[test]
fn functions_and_scripts_by_digest_run_beside_others() {
    let server = Server::start();
    let mut client = server.connect();
    let code = "#!lua name=l\nredis.register_function('f', function(keys) \
                return redis.call('GET', keys[1]) end)";
    client.call(&["FUNCTION", "LOAD", code]);
    (0..RUNS).for_each(|_| drop(client.ask("FCALL f 1 key")));
    let of_functions = counted(&mut client, "scripts_beside_others");
    assert!(of_functions > 0);
    let digest = client.call(&["SCRIPT", "LOAD", "return redis.call('EXISTS', KEYS[1])"]).text();
    (0..RUNS).for_each(|_| assert_eq!(client.ask(&format!("EVALSHA {digest} 1 f")).number(), 0));
    assert!(counted(&mut client, "scripts_beside_others") > of_functions);
}

#[test]
fn one_that_runs_for_long_can_be_ended_though_it_began_beside_others() {
    let server = Server::start_with(&["--busy-reply-threshold", "50"]);
    let (mut one, mut other) = (server.connect(), server.connect());
    let script = "if redis.call('GET', KEYS[1]) then \
                  while true do pcall(function() redis.call('GET', KEYS[1]) end) end end return 'no'";
    runs(&mut one, script, &["key"]);
    assert!(counted(&mut one, "scripts_beside_others") > 0);
    one.ask("SET key 1");
    one.send(&["EVAL", script, "1", "key"]);
    eventually("it is told of", || other.ask("PING").raw().starts_with("-BUSY"));
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    assert!(one.read().raw().starts_with("-ERR Script killed by user"));
    assert!(counted(&mut one, "scripts_run_again") <= 1);
}

/// What writers keep equal a script finds equal, though it finds out in the middle that it needs more
/// keys; and what it writes is not lost.
#[test]
fn a_script_that_strays_sees_and_does_all_at_once() {
    let server = Server::start();
    let over = Arc::new(AtomicBool::new(false));
    let mut client = server.connect();
    client.ask("MSET left 0 right 0 strays 0");
    client.ask("SETBIT long 33554431 1");
    let writers: Vec<_> = (0..2)
        .map(|number| {
            let (mut client, over) = (server.connect(), Arc::clone(&over));
            std::thread::spawn(move || {
                for round in 0.. {
                    if over.load(Relaxed) {
                        break;
                    }
                    let value = (round * 2 + number).to_string();
                    client.call(&["MSET", "left", &value, "right", &value]);
                    // Somebody holds another shard for a while.
                    client.ask("BITCOUNT long");
                }
            })
        })
        .collect();
    let script = "local left = redis.call('GET', KEYS[1]) \
                  if ARGV[1] == '0' then return 'same' end \
                  local right = redis.call('GET', 'right') \
                  redis.call('INCR', 'strays') \
                  redis.call('STRLEN', 'long') \
                  return left == right and 'same' or left .. ' ' .. right";
    let (mut strays, mut round) = (0, 0);
    while strays < 60 || counted(&mut client, "scripts_run_again") == 0 {
        // A fresh script each time: one that has strayed is not trusted again soon.
        let script = format!("{script} -- {}", round / RUNS);
        let is_to_stray = round % RUNS == RUNS - 1;
        strays += u64::from(is_to_stray);
        round += 1;
        let flag = u8::from(is_to_stray).to_string();
        assert_eq!(client.call(&["EVAL", &script, "1", "left", &flag]).text(), "same");
        assert!(strays < 5000, "none has met a writer");
    }
    over.store(true, Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("it gets its replies"));
    assert_eq!(client.ask("GET strays").text(), strays.to_string());
}
