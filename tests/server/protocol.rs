//! What clients send in pieces, in a hurry, or with bad intent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::connection::encode;
use crate::harness::{Connection, Server, command};

const LATER: Duration = Duration::from_millis(100);

fn push_of_many(key: &str, elements: usize) -> Vec<u8> {
    let mut words = vec!["RPUSH".to_owned(), key.to_owned()];
    words.extend((0..elements).map(|i| format!("element:{i}")));
    encode(&words)
}

#[test]
fn a_long_command_may_be_half_there_behind_one_that_blocks() {
    let server = Server::start();
    let (mut waiter, mut other) = (server.connect(), server.connect());
    let long = push_of_many("many", 200);
    let (half, rest) = long.split_at(long.len() / 2);
    waiter.send_raw(&[&encode(&command("BLPOP queue 0"))[..], b"PING\r\n", half].concat());
    thread::sleep(LATER);
    assert_eq!(other.ask("RPUSH queue x"), ":1\r\n");
    waiter.send_raw(rest);
    waiter.expect(b"*2\r\n$5\r\nqueue\r\n$1\r\nx\r\n+PONG\r\n:200\r\n");
    assert_eq!(other.ask("LINDEX many 0"), "$9\r\nelement:0\r\n");
    assert_eq!(other.ask("LINDEX many 199"), "$11\r\nelement:199\r\n");
}

#[test]
fn a_long_command_comes_in_any_pieces() {
    let server = Server::start();
    let mut client = server.connect();
    for piece in [997, 8_191, 100_000] {
        client.ask("DEL many");
        push_of_many("many", 50_000).chunks(piece).for_each(|bytes| client.send_raw(bytes));
        assert_eq!(client.read(), ":50000\r\n", "in pieces of {piece}");
        assert_eq!(client.ask("LINDEX many 31234"), "$13\r\nelement:31234\r\n");
    }
}

#[test]
fn behind_the_password_the_limits_of_strangers_are_gone() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("CONFIG SET requirepass secret");
    let mut stranger = server.connect();
    stranger.send_raw(&[encode(&command("AUTH secret")), push_of_many("many", 20)].concat());
    stranger.expect(b"+OK\r\n:20\r\n");
    let mut stranger = server.connect();
    stranger.send_raw(&push_of_many("many", 20));
    stranger.expect(b"-ERR Protocol error: unauthenticated multibulk length\r\n");
    assert!(stranger.is_closed());
}

#[test]
fn http_is_not_answered() {
    let server = Server::start();
    for request in ["POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "host: localhost\r\n"] {
        let mut page = server.connect();
        page.send_raw(format!("{request}SET evil 1\r\n").as_bytes());
        assert!(page.is_closed());
    }
    assert_eq!(server.connect().ask("GET evil"), "$-1\r\n");
}

/// Publishes until told to stop.
fn publish(mut connection: Connection, stop: &AtomicBool) {
    let batch: Vec<_> = (0..20).map(|_| command("PUBLISH news x")).collect();
    while !stop.load(Ordering::Relaxed) {
        connection.pipeline(&batch);
    }
}

/// What comes behind the end of a subscription in RESP2 must be replies: a client could not tell
/// a message from one.
#[test]
fn no_message_comes_behind_the_end_of_a_subscription() {
    let server = Server::start();
    let mut reader = server.connect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let publisher = server.connect();
            scope.spawn(|| publish(publisher, &stop));
        }
        for _ in 0..100 {
            reader.ask("SUBSCRIBE news");
            assert!(reader.read().raw().contains("message"), "publishers are at work");
            reader.send(&command("UNSUBSCRIBE news"));
            while !reader.read().raw().contains("unsubscribe") {}
            assert_eq!(reader.ask("PING"), "+PONG\r\n");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
