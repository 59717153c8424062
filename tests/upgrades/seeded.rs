//! Bugs that a release may have, each found at the step that docs/upgrade.md promises, before any client
//! was served by it. What a canary and a probation find is in `guarded`.

use std::time::{Duration, Instant};

use super::shadow::{LONG, begin, last_record};
use crate::harness::cli::finish;
use crate::harness::{Connection, Server, eventually};

/// A bug that a shadow finds.
struct Bug {
    /// What is asked again and again, with the same replies each time.
    lines: &'static [&'static str],
    /// What the operator is told.
    told: &'static [&'static str],
}

const BUGS: &[Bug] = &[
    // A panic in a rare command.
    Bug { lines: &["STRLEN faulty:1"], told: &["STRLEN faulty:1 (panic)", "the library panicked"] },
    // One answer in a thousand is wrong.
    Bug { lines: &["SET wrong:1 x", "EXISTS wrong:1"], told: &["exists 1;", "(reply)", "not :7"] },
    // The right reply, and a wrong value.
    Bug { lines: &["SET wrong:2 a", "APPEND wrong:2 b"], told: &["(value)", "ab", "abb"] },
    // A read that changes a value.
    Bug { lines: &["LINDEX wrong:3 0"], told: &["LINDEX wrong:3 0 (changed by a read)"] },
    // An effect that differs from what was done.
    Bug { lines: &["SETRANGE wrong:4 0 x"], told: &["(effects)", "SETRANGE", "DEL"] },
    // Memory that is kept.
    Bug { lines: &["STRLEN leaky:1"], told: &["bytes in", "commands and kept them"] },
    // A command that does not end.
    Bug { lines: &["GETSET wrong:5 x"], told: &["does not come back from getset"] },
    // One that ends the process.
    Bug { lines: &["ZSCORE wrong:6 m"], told: &["ended by signal 6 in zscore"] },
];

/// Asks all lines; the replies.
fn ask(client: &mut Connection, lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| client.ask(line).raw()).collect()
}

/// Asks until the shadow has ended; every reply must be what it was before.
fn ask_until_it_ends(server: &Server, client: &mut Connection, lines: &[&str]) {
    let (expected, until) = (ask(client, lines), Instant::now() + Duration::from_secs(60));
    while server.status()["phase"] == "shadow" {
        for _ in 0..60 {
            assert_eq!(ask(client, lines), expected, "{lines:?}");
        }
        assert!(Instant::now() < until, "the shadow has not found it: {lines:?}");
    }
    assert_eq!(ask(client, lines), expected, "{lines:?}");
}

#[test]
fn a_shadow_finds_bugs_before_any_client_is_served_by_them() {
    let server = Server::start();
    let [mut client, mut other] = [(); 2].map(|()| server.connect());
    for line in ["RPUSH wrong:3 a b c", "SET wrong:4 x"] {
        client.ask(line);
    }
    for Bug { lines, told } in BUGS {
        // The first time there may be other replies.
        ask(&mut client, lines);
        let digest = client.ask("DEBUG DIGEST").raw();
        let waiting = begin(&server, "faulty", &["--shadow-time", LONG]);
        ask_until_it_ends(&server, &mut client, lines);
        let ended = finish(waiting);
        assert_eq!((ended.exit, ended.code().as_str()), (85, "diverged"), "{lines:?}");
        let message = ended.json()["error"]["message"].as_str().unwrap().to_owned();
        for word in *told {
            assert!(message.contains(word), "{word}: {message}");
        }
        let record = last_record(&server);
        assert_eq!(record["outcome"], "refused", "{record}");
        assert_eq!(client.ask("DEBUG DIGEST").raw(), digest, "{lines:?}");
    }
    // It was never loaded, nobody was disconnected, nothing was counted.
    let status = server.status();
    assert_eq!((&status["phase"], &status["generation"]), (&"idle".into(), &1.into()));
    assert_eq!((server.images(), status["refused"].as_u64()), (1, Some(BUGS.len() as u64)));
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    assert_eq!(client.info("total_panics"), 0);
    eventually("its processes are gone", || !is_replaying(server.pid()));
}

/// Whether a process of this parent runs a shadow.
fn is_replaying(parent: u32) -> bool {
    let children = format!("/proc/{parent}/task");
    let tasks = std::fs::read_dir(children).into_iter().flatten().flatten();
    let children =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let lines =
        children.iter().filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
    lines.into_iter().any(|line| line.windows(8).any(|word| word == b"__replay"))
}

#[test]
fn what_crashes_in_its_own_test_never_comes_near_the_server() {
    let server = Server::start();
    let mut client = server.connect();
    let refused = server.upgrade("crashes_in_self_test", &["--shadow", "100%"]);
    assert_eq!((refused.exit, refused.code().as_str()), (31, "load_aborted"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("self_test"));
    assert_eq!((client.ask("PING").raw().as_str(), server.images()), ("+PONG\r\n", 1));
}

#[test]
fn a_difference_that_is_allowed_or_not_seen_lets_it_go_on() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("SET wrong:1 x");
    let more = ["--shadow-time", "2s", "--divergences", "1000000", "--redact", "--probation", "0"];
    let waiting = begin(&server, "faulty", &more);
    while server.status()["phase"] == "shadow" {
        (0..50).for_each(|_| drop(client.ask("APPEND wrong:2 secret")));
    }
    assert_eq!(finish(waiting).report()["to"]["name"], "faulty");
    let record = last_record(&server);
    let decisions = record["decisions"].to_string();
    assert!(
        decisions.contains("differ") && decisions.contains("APPEND <7 bytes> <6 bytes>"),
        "{record}"
    );
    assert!(!decisions.contains("secret"), "{record}");
}
