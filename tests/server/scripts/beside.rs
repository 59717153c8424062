//! Scripts that have been seen to keep to the keys of their calls run beside others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::harness::{Connection, Server, eventually};

/// Enough for a script to be known.
const RUNS: usize = 20;

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

/// A client that holds the shard of `long` for long.
fn busy(server: &Server) -> Connection {
    let mut client = server.connect();
    client.ask("SETBIT long 134217727 1");
    client.ask("MULTI");
    (0..60).for_each(|_| drop(client.ask("BITCOUNT long")));
    client
}

#[test]
fn a_script_that_keeps_to_its_keys_waits_for_no_others() {
    let server = Server::start();
    let (mut holder, mut client) = (busy(&server), server.connect());
    client.ask("SET short 1");
    let script = "if KEYS[2] then redis.call('INCR', 'runs') end return redis.call('GET', KEYS[1])";
    runs(&mut client, script, &["short"]);
    holder.send(&["EXEC"]);
    eventually("the shard is held", || !client.ask("CLIENT LIST").text().contains("cmd=bitcount"));
    assert_eq!(client.call(&["EVAL", script, "1", "short"]).text(), "1");
    assert!(!holder.has_reply(), "the script ran beside a command that takes long");
    // One that needs more than it was expected to has to wait, and does all it does once.
    assert_eq!(client.call(&["EVAL", script, "2", "short", "short"]).text(), "1");
    assert!(holder.has_reply(), "a script that changes something waits for all others");
    assert_eq!(client.ask("GET runs").text(), "1");
    assert!(counted(&mut client, "scripts_beside_others") > 0);
    assert_eq!(counted(&mut client, "scripts_run_again"), 1);
}

#[test]
fn only_scripts_that_read_their_own_keys_run_beside_others() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("MSET {a}1 1 b 2");
    for (script, keys) in [
        ("return redis.call('SET', KEYS[1], '1')", vec!["{a}1"]),
        ("return redis.call('GET', 'b')", vec![]),
        ("return redis.call('GET', KEYS[1]) .. redis.call('GET', 'b')", vec!["{a}1"]),
        ("return redis.call('PFCOUNT', KEYS[1])", vec!["none"]),
        ("return redis.call('DBSIZE')", vec![]),
        ("return redis.call('PUBLISH', 'x', 'y')", vec![]),
    ] {
        runs(&mut client, script, &keys);
        assert_eq!(counted(&mut client, "scripts_beside_others"), 0, "{script}");
    }
    runs(&mut client, "return redis.call('GET', KEYS[1]) .. #KEYS", &["{a}1", "b"]);
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
    assert_eq!(counted(&mut one, "scripts_run_again"), 1);
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
                  return left == right and 'same' or left .. ' ' .. right";
    let mut strays = 0;
    for round in 0..60 * RUNS {
        // A fresh script each time: one that has strayed is not trusted again soon.
        let script = format!("{script} -- {}", round / RUNS);
        let is_to_stray = round % RUNS == RUNS - 1;
        strays += u64::from(is_to_stray);
        let flag = u8::from(is_to_stray).to_string();
        assert_eq!(client.call(&["EVAL", &script, "1", "left", &flag]).text(), "same");
    }
    over.store(true, Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("it gets its replies"));
    assert_eq!(client.ask("GET strays").text(), strays.to_string());
    assert!(counted(&mut client, "scripts_run_again") > 0, "some met a writer");
}
