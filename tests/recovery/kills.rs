//! A server that is killed under its clients.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::checked::{Checked, INTERRUPTED};
use super::parties::Parties;
use super::{kept, kill_soon};
use crate::harness::{Connection, Random, eventually};

#[test]
fn clients_go_on_where_they_stood() {
    let server = kept(&[]);
    let mut client = server.connect();
    let mut parties = Parties::of(&server);
    let mut other_db = server.connect();
    other_db.ask("SELECT 5");
    client.ask("SCRIPT LOAD return");
    let run_id = |client: &mut Connection| field(client, "run_id");
    let before = run_id(&mut client);
    Parties::settle(&mut client);
    server.kill_kept();
    assert_eq!(run_id(&mut client), before);
    parties.go_on(&mut client);
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
            kill_soon(&server, &mut random);
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
