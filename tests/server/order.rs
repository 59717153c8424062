//! What one client is told before another is answered stays before what that one is answered later.

use std::thread;

use crate::harness::{Connection, Server, eventually};

/// Which message of a channel this is, in RESP2.
fn message(channel: &str, payload: &str) -> String {
    let (channel_len, payload_len) = (channel.len(), payload.len());
    format!("*3\r\n$7\r\nmessage\r\n${channel_len}\r\n{channel}\r\n${payload_len}\r\n{payload}\r\n")
}

const CONFIRMED: &str = "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n";
const ENDED: &str = "*3\r\n$11\r\nunsubscribe\r\n$2\r\nch\r\n:0\r\n";
const PONG: &str = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";

/// Subscribers on both workers; whoever is told that a message went out finds it before whatever
/// the subscriber sends then.
#[test]
fn a_message_comes_before_what_its_subscriber_is_answered_later() {
    const ROUNDS: usize = 400;
    let server = Server::start();
    let swapper = || (0..20).for_each(|_| server.swap());
    let subscribers = |_| {
        let (mut publisher, mut subscriber) = (server.connect(), server.connect());
        for _ in 0..ROUNDS {
            assert_eq!(subscriber.ask("SUBSCRIBE ch"), CONFIRMED);
            publisher.ask("PUBLISH ch m");
            subscriber.send(&["PING"]);
            read_until(&mut subscriber, PONG, 1);
            publisher.ask("PUBLISH ch m");
            subscriber.send(&["UNSUBSCRIBE", "ch"]);
            read_until(&mut subscriber, ENDED, 1);
        }
    };
    thread::scope(|scope| {
        (0..4).for_each(|n| {
            scope.spawn(move || subscribers(n));
        });
        scope.spawn(swapper);
    });
}

/// Reads messages, at least so many, and then a reply.
fn read_until(subscriber: &mut Connection, reply: &str, at_least: usize) {
    let mut messages = 0;
    loop {
        let next = subscriber.read();
        if next == reply {
            break;
        }
        assert_eq!(next, message("ch", "m").as_str());
        messages += 1;
    }
    assert!(messages >= at_least, "the reply came before the message");
}

#[test]
fn an_event_of_a_key_comes_before_what_its_listener_is_answered_later() {
    let server = Server::start();
    let (mut writer, mut listener) = (server.connect(), server.connect());
    writer.ask("CONFIG SET notify-keyspace-events KEA");
    listener.ask("SUBSCRIBE __keyevent@0__:set");
    for _ in 0..400 {
        assert_eq!(writer.ask("SET k v"), "+OK\r\n");
        listener.send(&["PING"]);
        assert_eq!(listener.read(), message("__keyevent@0__:set", "k").as_str());
        assert_eq!(listener.read(), PONG);
    }
}

#[test]
fn who_is_killed_is_served_nothing_from_then_on() {
    let server = Server::start();
    for _ in 0..50 {
        let (mut killer, mut waiter) = (server.connect(), server.connect());
        let mut subscriber = server.connect();
        let ids = [waiter.id(), subscriber.id()];
        waiter.send(&["BLPOP", "q", "0"]);
        assert_eq!(subscriber.ask("SUBSCRIBE ch"), CONFIRMED);
        eventually("the client waits", || {
            killer.ask("INFO clients").raw().contains("blocked_clients:1\r\n")
        });
        let [waits, listens] = ids;
        killer.send_raw(
            format!(
                "CLIENT KILL ID {waits}\r\nRPUSH q job\r\nLLEN q\r\nCLIENT KILL ID {listens}\r\n\
                 PUBLISH ch m\r\nDEL q\r\n"
            )
            .as_bytes(),
        );
        for reply in [1, 1, 1, 1, 0, 1] {
            assert_eq!(killer.read(), format!(":{reply}\r\n").as_str());
        }
        assert!(waiter.is_closed() && subscriber.is_closed());
    }
}

#[test]
fn who_is_killed_is_seen_by_nobody_from_then_on() {
    let server = Server::start();
    let mut killer = server.connect();
    for _ in 0..20 {
        let mut subscriber = server.connect();
        let id = subscriber.id();
        for confirmed in ["SUBSCRIBE ch", "PSUBSCRIBE c*"] {
            subscriber.ask(confirmed);
        }
        killer.send_raw(
            format!(
                "CLIENT KILL ID {id}\r\nPUBSUB CHANNELS\r\nPUBSUB NUMPAT\r\n\
                 PUBSUB NUMSUB ch\r\nCLIENT KILL ID {id}\r\nCLIENT LIST ID {id}\r\n"
            )
            .as_bytes(),
        );
        let no_channel = "*2\r\n$2\r\nch\r\n:0\r\n";
        for reply in [":1\r\n", "*0\r\n", ":0\r\n", no_channel, ":0\r\n", "$0\r\n\r\n"] {
            assert_eq!(killer.read(), reply);
        }
        assert!(subscriber.is_closed());
    }
}
