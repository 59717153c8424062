//! A server that is killed under its clients.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::checked::{Checked, INTERRUPTED};
use super::kept;
use crate::harness::{Connection, Random, eventually};

#[test]
fn clients_go_on_where_they_stood() {
    let server = kept(&[]);
    let mut client = server.connect();
    let mut others: Vec<Connection> = (0..7).map(|_| server.connect()).collect();
    let [waits, queues, listens, watches, half, named, other_db] = &mut others[..] else {
        panic!()
    };
    waits.send(&["BLPOP", "nothing:a", "nothing:b", "0"]);
    queues.ask("MULTI");
    queues.ask("INCR queued");
    listens.ask("SUBSCRIBE channel");
    watches.ask("WATCH watched");
    watches.ask("MULTI");
    half.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\n01234");
    named.ask("HELLO 3 SETNAME me");
    other_db.ask("SELECT 5");
    client.ask("CONFIG SET maxmemory 123456789");
    client.ask("SCRIPT LOAD return");
    let run_id = |client: &mut Connection| field(client, "run_id");
    let before = run_id(&mut client);
    eventually("one waits", || client.ask("INFO clients").raw().contains("blocked_clients:1"));
    eventually("the rest is read", || client.ask("CLIENT LIST").raw().contains("qbuf=33"));
    server.kill_kept();
    assert_eq!(run_id(&mut client), before);
    assert!(client.ask("INFO clients").raw().contains("blocked_clients:1"));
    assert_eq!(client.ask("CONFIG GET maxmemory"), "*2\r\n$9\r\nmaxmemory\r\n$9\r\n123456789\r\n");
    assert_eq!(client.ask("RPUSH nothing:b x"), ":1\r\n");
    assert_eq!(waits.read(), "*2\r\n$9\r\nnothing:b\r\n$1\r\nx\r\n");
    assert_eq!(queues.ask("EXEC"), "*1\r\n:1\r\n");
    assert_eq!(client.ask("PUBLISH channel text"), ":1\r\n");
    assert_eq!(listens.read(), "*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$4\r\ntext\r\n");
    assert_eq!(client.ask("SET watched x"), "+OK\r\n");
    assert_eq!(watches.ask("EXEC"), "*-1\r\n");
    half.send_raw(b"56789\r\n");
    assert_eq!(half.read(), "+OK\r\n");
    assert_eq!(client.ask("GET half"), "$10\r\n0123456789\r\n");
    assert_eq!(named.ask("CLIENT GETNAME"), "$2\r\nme\r\n");
    assert_eq!(named.ask("GET nothing"), "_\r\n", "it speaks RESP3");
    other_db.ask("SET here x");
    assert_eq!(client.ask("INFO keyspace").raw().matches("db5:keys=1").count(), 1);
}

fn field(client: &mut Connection, name: &str) -> String {
    let info = client.ask("INFO").raw();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.expect("a field of INFO").to_owned()
}

#[test]
fn a_command_that_is_broken_off_is_answered_and_what_is_behind_it_runs() {
    let server = kept(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    client.ask("SET key before");
    let command = |words: &[&str]| crate::harness::connection::encode(words);
    client.send_raw(
        &[
            command(&["GET", "key"]),
            command(&["DEBUG", "SLEEP", "100"]),
            command(&["SET", "key", "after"]),
            command(&["GET", "key"]),
        ]
        .concat(),
    );
    eventually("it runs", || other.ask("CLIENT LIST").raw().contains("cmd=debug"));
    server.kill_kept();
    assert_eq!(client.read(), "$6\r\nbefore\r\n");
    assert!(client.read().raw().starts_with(INTERRUPTED));
    assert_eq!(client.read(), "+OK\r\n");
    assert_eq!(client.read(), "$5\r\nafter\r\n");
    assert_eq!(other.ask("PING"), "+PONG\r\n", "nobody else hears of it");
    assert!(other.ask("INFO errorstats").raw().contains("errorstat_INTERRUPTED:count=1"));
}

#[test]
fn nobody_finds_half_of_a_transaction_or_script() {
    let server = kept(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    let keys = ["MSET", "one", "before", "two", "before", "script", "before", "apart", "before"];
    client.call(&keys);
    for line in ["MULTI", "SET one after", "DEBUG SLEEP 100", "SET two after"] {
        client.ask(line);
    }
    client.send(&["EXEC"]);
    eventually("it runs", || other.ask("CLIENT LIST").raw().contains("cmd=exec"));
    server.kill_kept();
    assert!(client.read().raw().starts_with(INTERRUPTED));
    assert_eq!(client.ask("MGET one two apart"), "*3\r\n$-1\r\n$6\r\nbefore\r\n$6\r\nbefore\r\n");
    assert!(server.log().contains(r#"key="one""#), "{}", server.log());
    let script = "redis.call('SET', KEYS[1], 'after') while true do end";
    client.send(&["EVAL", script, "1", "script"]);
    eventually("it runs", || other.ask("CLIENT LIST").raw().contains("cmd=eval"));
    eventually("it has written", || other.ask("SCRIPT KILL").raw().starts_with("-UNKILLABLE"));
    server.kill_kept();
    assert!(client.read().raw().starts_with(INTERRUPTED));
    assert_eq!(client.ask("MGET script apart"), "*2\r\n$-1\r\n$6\r\nbefore\r\n");
    assert_eq!(other.call(&["EVAL", "return 1", "0"]), ":1\r\n");
}

/// How often the server is killed; more if the environment says so.
fn kills() -> usize {
    std::env::var("RECOVERY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn kills_at_random_moments_cost_one_error_a_lane_at_most() {
    const CLIENTS: u64 = 16;
    const WORKERS: u64 = 2;
    let server = kept(&[]);
    let (is_over, mut random) = (AtomicBool::new(false), Random(7));
    let interrupted: u64 = thread::scope(|scope| {
        let is_over = &is_over;
        let clients: Vec<_> = (0..CLIENTS).map(|number| Checked::new(&server, number)).collect();
        let threads: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        client.round();
                    }
                    client.interrupted
                })
            })
            .collect();
        for _ in 0..kills() {
            let served = server.servers();
            thread::sleep(Duration::from_micros(random.below(60_000)));
            let pid = server.kept_pid().expect("one serves");
            kill_process(pid, Signal::KILL).expect("it is there");
            eventually("another server goes on", || server.servers() > served);
        }
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("all replies are right")).sum()
    });
    let (log, kills) = (server.log(), kills() as u64);
    assert_eq!(log.matches("lost=0 ").count() as u64, kills, "{log}");
    assert_eq!(log.matches("the arena is as it should be").count() as u64, kills, "{log}");
    assert!(interrupted <= kills * WORKERS, "{interrupted} errors in {kills} kills");
    // Only what was being changed is dropped.
    assert!(log.matches("dropped db=").count() as u64 <= kills * WORKERS, "{log}");
}
