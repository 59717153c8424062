//! Queued commands and watched keys.

use crate::harness::Server;

#[test]
fn queued_commands_are_executed_by_the_next_release() {
    let server = Server::start();
    let (mut client, mut other) = (server.connect(), server.connect());
    let big = "x".repeat(100_000);
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("SET n 5"), "+QUEUED\r\n");
    assert_eq!(client.call(&["SET", "big", &big]), "+QUEUED\r\n");
    server.swap();
    assert_eq!(client.ask("INCR n"), "+QUEUED\r\n");
    assert_eq!(client.ask("LPUSH n x"), "+QUEUED\r\n");
    assert_eq!(other.ask("EXISTS n big"), ":0\r\n");
    server.swap();
    assert_eq!(client.ask("STRLEN big"), "+QUEUED\r\n");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    let reply = format!("*5\r\n+OK\r\n+OK\r\n:6\r\n{wrong}:100000\r\n");
    assert_eq!(client.ask("EXEC"), reply.as_str());
    assert_eq!(other.ask("GET n"), "$1\r\n6\r\n");
    assert_eq!(client.ask("EXEC"), "-ERR EXEC without MULTI\r\n");
}

#[test]
fn a_spoilt_transaction_stays_spoilt_and_a_discarded_one_leaves_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("SET k 1"), "+QUEUED\r\n");
    let arity = "-ERR wrong number of arguments for 'get' command\r\n";
    assert_eq!(client.ask("GET"), arity);
    server.swap();
    assert_eq!(client.ask("SET k 2"), "+QUEUED\r\n");
    let spoilt = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    assert_eq!(client.ask("EXEC"), spoilt);
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("SET k 3"), "+QUEUED\r\n");
    server.swap();
    assert_eq!(client.ask("DISCARD"), "+OK\r\n");
    assert_eq!(client.ask("EXISTS k"), ":0\r\n");
}

#[test]
fn a_watch_is_broken_by_a_change_before_or_after_and_by_nothing_else() {
    let server = Server::start();
    let mut writer = server.connect();
    assert_eq!(writer.ask("MSET before 1 after 1 same 1"), "+OK\r\n");
    assert_eq!(writer.ask("SET dying 1 PX 700"), "+OK\r\n");
    let keys = ["before", "after", "same", "dying", "absent"];
    let mut watchers: Vec<_> = keys.iter().map(|_| server.connect()).collect();
    for (watcher, key) in watchers.iter_mut().zip(keys) {
        assert_eq!(watcher.ask(&format!("WATCH other {key}")), "+OK\r\n");
        assert_eq!(
            watcher.ask(&format!("STRLEN {key}")),
            if key == "absent" { ":0\r\n" } else { ":1\r\n" }
        );
    }
    assert_eq!(writer.ask("APPEND before x"), ":2\r\n");
    server.swap();
    watchers.iter_mut().for_each(|watcher| assert_eq!(watcher.ask("MULTI"), "+OK\r\n"));
    assert_eq!(writer.ask("DEL after"), ":1\r\n");
    assert_eq!(writer.ask("RPUSH absent x"), ":1\r\n");
    crate::harness::eventually("it dies", || writer.ask("EXISTS dying") == ":0\r\n");
    watchers.iter_mut().for_each(|watcher| assert_eq!(watcher.ask("PING"), "+QUEUED\r\n"));
    server.swap();
    for (watcher, key) in watchers.iter_mut().zip(keys) {
        let reply = if key == "same" { "*1\r\n+PONG\r\n" } else { "*-1\r\n" };
        assert_eq!(watcher.ask("EXEC"), reply, "{key}");
    }
    // Nothing is watched any more.
    assert_eq!(writer.ask("SET other 1"), "+OK\r\n");
    for watcher in &mut watchers {
        assert_eq!(watcher.ask("MULTI"), "+OK\r\n");
        assert_eq!(watcher.ask("EXEC"), "*0\r\n");
    }
}

#[test]
fn a_watch_can_be_given_up_in_the_next_release() {
    let server = Server::start();
    let (mut client, mut writer) = (server.connect(), server.connect());
    assert_eq!(client.ask("WATCH a b"), "+OK\r\n");
    server.swap();
    assert_eq!(writer.ask("SET a 1"), "+OK\r\n");
    assert_eq!(client.ask("UNWATCH"), "+OK\r\n");
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("GET a"), "+QUEUED\r\n");
    assert_eq!(client.ask("EXEC"), "*1\r\n$1\r\n1\r\n");
}
