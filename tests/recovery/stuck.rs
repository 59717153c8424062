//! Commands that never come back, and versions that have yet to prove themselves.

use super::kept_with;
use crate::harness::{Connection, Server, eventually};

/// A client whose command never comes back, and another that is served.
fn hang(server: &Server) -> (Connection, Connection) {
    let (mut stuck, mut other) = (server.connect(), server.connect());
    other.ask("SET other value");
    stuck.send(&["FAULTY.CRASH", "spin"]);
    eventually("it runs", || other.ask("CLIENT LIST").raw().contains("cmd=faulty.crash"));
    (stuck, other)
}

#[test]
fn a_command_that_never_comes_back_is_told_and_the_server_recovered_when_asked() {
    let server = kept_with("faulty", &[]);
    let (mut stuck, mut other) = hang(&server);
    eventually("it is told", || server.cli(&["status"]).stdout.contains("FAULTY.CRASH"));
    assert_eq!(other.ask("GET other"), "$5\r\nvalue\r\n", "other workers go on");
    let refused = server.cli(&["recover", "--with-previous"]);
    assert_eq!(refused.exit, 42, "{}", refused.stderr);
    let before = server.kept_pid();
    let done = server.cli(&["recover", "--json"]);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert_ne!(server.kept_pid(), before);
    assert!(stuck.read().raw().starts_with("-INTERRUPTED "));
    assert_eq!(other.ask("GET other"), "$5\r\nvalue\r\n");
}

#[test]
fn a_command_that_runs_for_too_long_has_the_server_recovered_and_a_script_has_not() {
    let server =
        kept_with("faulty", &["--stuck-command-timeout", "1s", "--busy-reply-threshold", "50"]);
    let (mut busy, mut other) = (server.connect(), server.connect());
    busy.send(&["EVAL", "while true do end", "0"]);
    eventually("others hear that it is busy", || other.ask("PING").raw().starts_with("-BUSY"));
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(server.servers(), 1, "{}", server.log());
    assert_eq!(other.ask("SCRIPT KILL"), "+OK\r\n");
    busy.read();
    let (mut stuck, _other) = hang(&server);
    assert!(stuck.read().raw().starts_with("-INTERRUPTED "));
    eventually("another serves", || server.servers() == 2);
    assert!(server.log().contains("does not come back"), "{}", server.log());
}

#[test]
fn a_version_on_probation_that_crashes_is_gone_back_from() {
    let server = kept_with("logic_v1", &[]);
    let mut client = server.connect();
    client.ask("SET key value");
    server.upgrade("faulty", &["--probation", "1h"]).report();
    assert!(client.call(&["FAULTY.CRASH", "wild"]).raw().starts_with("-INTERRUPTED "));
    assert_eq!(client.ask("GET key"), "$5\r\nvalue\r\n");
    assert!(client.call(&["FAULTY.CRASH", "wild"]).raw().starts_with("-ERR unknown command"));
    let history = server.cli(&["history"]).stdout;
    assert!(history.contains("signal 11") && history.contains("on probation"), "{history}");
    // It is not come back to, however often the server ends.
    for _ in 0..2 {
        server.kill_kept();
        assert!(client.call(&["FAULTY.CRASH", "wild"]).raw().starts_with("-ERR unknown"));
    }
}

#[test]
fn a_final_version_that_crashes_serves_on_and_the_one_before_when_asked() {
    let server = kept_with("logic_v1", &[]);
    let mut client = server.connect();
    server.upgrade("faulty", &["--probation", "0s"]).report();
    server.kill_kept();
    assert!(client.call(&["FAULTY.PUSH", "list", "x"]).raw().starts_with(":1"));
}

#[test]
fn the_version_before_is_gone_back_to_when_that_is_asked_for() {
    let server = kept_with("logic_v1", &[]);
    let mut client = server.connect();
    server.upgrade("faulty", &["--probation", "0s"]).report();
    client.call(&["FAULTY.PUSH", "list", "x"]);
    let done = server.cli(&["recover", "--with-previous"]);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert!(done.stdout.contains("logic-v1"), "{}", done.stdout);
    assert_eq!(client.ask("LLEN list"), ":1\r\n");
    assert!(client.call(&["FAULTY.PUSH", "list", "x"]).raw().starts_with("-ERR unknown command"));
}

#[test]
fn nobody_goes_back_to_a_version_that_does_not_know_the_data() {
    let server = kept_with("logic_v1", &[]);
    let mut client = server.connect();
    server.upgrade("logic_v2", &["--probation", "1h"]).report();
    assert_eq!(server.cli(&["finalize", "--json"]).report()["result"], "finalized");
    client.ask("HSET hash field value other value");
    assert_eq!(client.ask("HEXPIRE hash 10000 FIELDS 1 field"), "*1\r\n:1\r\n");
    // The version before would serve after the second.
    server.kill_kept();
    server.kill_kept();
    assert_eq!(client.ask("HEXPIRE hash 20000 GT FIELDS 1 field"), "*1\r\n:1\r\n");
    assert!(server.log().contains("schema level 2 is in force"), "{}", server.log());
    let asked = server.cli(&["recover", "--with-previous"]);
    assert_eq!(client.ask("HLEN hash"), ":2\r\n", "{} {}", asked.stdout, asked.stderr);
    assert_eq!(client.ask("HPERSIST hash FIELDS 1 field"), "*1\r\n:1\r\n");
}
