//! Commands that panic: each costs its client its reply and nobody anything else.

use std::time::Duration;

use crate::harness::connection::encode;
use crate::harness::{Server, eventually};

const INTERNAL: &str = "-ERR internal error\r\n";

#[test]
fn what_is_behind_a_panic_is_read_as_it_came() {
    let server = Server::start();
    let mut client = server.connect();
    let words: Vec<String> = (0..100).map(|n| format!("word{n}")).collect();
    let last = encode(&[&["RPUSH".into(), "list".into()], &words[..]].concat());
    let (first, rest) = last.split_at(last.len() / 2);
    let panic = encode(&["DEBUG", "PANIC"]);
    let incr = encode(&["INCR", "n"]);
    client.send_raw(&[&incr[..], &panic, &incr, &panic, &panic, &incr, first].concat());
    client.expect(format!(":1\r\n{INTERNAL}:2\r\n{INTERNAL}{INTERNAL}:3\r\n").as_bytes());
    server.swap();
    client.send_raw(rest);
    client.expect(b":100\r\n");
    assert_eq!(client.info("total_panics"), 3);
}

#[test]
fn a_transaction_goes_on_behind_a_panic_in_it_and_frees_its_locks() {
    let server = Server::start();
    let mut clients = [server.connect(), server.connect()];
    let mut waiter = server.connect();
    waiter.send(&["BLPOP", "list", "0"]);
    eventually("it waits", || clients[0].ask("CLIENT LIST").raw().contains(" flags=b "));
    assert_eq!(clients[0].ask("WATCH k"), "+OK\r\n");
    assert_eq!(clients[0].ask("MULTI"), "+OK\r\n");
    for command in ["SET k 1", "RPUSH list x", "DEBUG PANIC", "SET k 2"] {
        assert_eq!(clients[0].ask(command), "+QUEUED\r\n");
    }
    let replies = format!("*4\r\n+OK\r\n:1\r\n{INTERNAL}+OK\r\n");
    assert_eq!(clients[0].ask("EXEC"), replies.as_str());
    waiter.expect(b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
    assert_eq!(clients[0].ask("GET k"), "$1\r\n2\r\n");
    for client in &mut clients {
        assert_eq!(client.ask("DISCARD"), "-ERR DISCARD without MULTI\r\n");
        assert_eq!(client.ask("FLUSHALL"), "+OK\r\n");
        assert_eq!(client.ask("SET k 1"), "+OK\r\n");
        // A new transaction is not spoilt by the old one, nor are its watches.
        assert_eq!(client.ask("MULTI"), "+OK\r\n");
        assert_eq!(client.ask("GET k"), "+QUEUED\r\n");
        assert_eq!(client.ask("EXEC"), "*1\r\n$1\r\n1\r\n");
    }
}

#[test]
fn a_client_that_was_put_off_hears_of_its_panic() {
    let server = Server::start();
    let (mut master, mut client) = (server.connect(), server.connect());
    assert_eq!(master.ask("CLIENT PAUSE 300"), "+OK\r\n");
    client.send(&["DEBUG", "PANIC"]);
    client.send(&["PING"]);
    client.expect(format!("{INTERNAL}+PONG\r\n").as_bytes());
}

#[test]
fn who_wants_no_replies_is_not_told_of_a_panic() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(&["CLIENT", "REPLY", "OFF"]);
    client.send(&["DEBUG", "PANIC"]);
    assert!(client.is_silent(Duration::from_millis(50)));
    assert_eq!(client.ask("CLIENT REPLY ON"), "+OK\r\n");
    assert_eq!(client.ask("PING"), "+PONG\r\n");
}

#[test]
fn a_library_whose_commands_have_panicked_is_unloaded_without_a_leak() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..50 {
        assert_eq!(client.ask("DEBUG PANIC"), INTERNAL);
    }
    let report = server.upgrade("logic_v2", &[]).report();
    assert_eq!(report["retirement"], "unloaded", "{report}");
    assert_eq!(report["leaked_bytes"], 0, "{report}");
    assert_eq!(client.ask("PING"), "+PONG\r\n");
}
