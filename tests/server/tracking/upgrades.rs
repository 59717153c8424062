//! What is tracked, and how, outlives a release; and how clients are told while they come and go.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::{told, tracker};
use crate::harness::{Connection, Server, eventually};

fn broken(id: &str) -> String {
    format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n")
}

fn flags(client: &mut Connection) -> String {
    let line = client.ask("CLIENT INFO").raw();
    let flags = line.split("flags=").nth(1).expect("flags");
    flags.split(' ').next().expect("flags").to_owned()
}

#[test]
fn all_modes_go_on_in_the_next_release() {
    let server = Server::start();
    let mut writer = server.connect();
    let mut reader = tracker(&server, &["CLIENT TRACKING ON NOLOOP"]);
    let mut prefixes = tracker(&server, &["CLIENT TRACKING ON BCAST PREFIX pre"]);
    let mut opt_in = tracker(&server, &["CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES"]);
    let mut receiver = server.connect();
    let redirect = format!("CLIENT TRACKING ON REDIRECT {}", receiver.id());
    let mut redirected = tracker(&server, &[&redirect]);
    receiver.ask("SUBSCRIBE __redis__:invalidate");
    for client in [&mut reader, &mut redirected] {
        client.ask("GET before");
    }
    let told_over_resp2 = told("before")
        .replace(">2\r\n$10\r\ninvalidate", "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate");
    for _ in 0..4 {
        server.swap();
        // It was to be kept by the command before the swap.
        opt_in.ask("GET before");
        assert_eq!(writer.ask("SET before v"), "+OK\r\n");
        for client in [&mut reader, &mut opt_in] {
            assert_eq!(client.read(), told("before").as_str());
        }
        assert_eq!(receiver.read(), told_over_resp2.as_str());
        writer.ask("MSET prefix v pres w");
        let both = ">2\r\n$10\r\ninvalidate\r\n*2\r\n$6\r\nprefix\r\n$4\r\npres\r\n";
        assert_eq!(prefixes.read(), both);
        // For the next round.
        opt_in.ask("GET before");
        opt_in.ask("CLIENT CACHING YES");
        reader.ask("GET before");
        redirected.ask("GET before");
        reader.ask("SET own v");
    }
    assert_eq!(writer.info("tracking_clients"), 4);
    assert!(reader.is_silent(Duration::from_millis(50)), "its own changes are not told");
}

/// Whoever is to be told in a client's place is looked for each time.
#[test]
fn who_is_gone_is_told_of_and_replaced() {
    let server = Server::start();
    let mut writer = server.connect();
    let mut client = tracker(&server, &[]);
    for way in ["close", "kill", "quit"] {
        let mut receiver = tracker(&server, &[]);
        let id = receiver.id();
        assert_eq!(client.ask(&format!("CLIENT TRACKING ON REDIRECT {id}")), "+OK\r\n");
        assert_eq!(client.ask("CLIENT GETREDIR"), format!(":{id}\r\n").as_str());
        client.ask("GET k");
        assert_eq!(writer.ask("SET k v"), "+OK\r\n");
        assert_eq!(receiver.read(), told("k").as_str());
        client.ask("GET k");
        match way {
            "close" => drop(receiver),
            "kill" => drop(writer.ask(&format!("CLIENT KILL ID {id}"))),
            _ => assert_eq!(receiver.ask("QUIT"), "+OK\r\n"),
        }
        if way != "kill" {
            let id = id.as_str();
            eventually("it is gone", || writer.ask(&format!("CLIENT LIST ID {id}")).text() == "");
        }
        assert_eq!(flags(&mut client), "t", "nobody has missed anything");
        assert_eq!(writer.ask("SET k v"), "+OK\r\n");
        assert_eq!(client.read(), broken(&id).as_str(), "{way}");
        assert_eq!(flags(&mut client), "tR");
        assert!(client.ask("CLIENT TRACKINGINFO").raw().contains("broken_redirect"));
        assert_eq!(
            client.ask(&format!("CLIENT TRACKING ON REDIRECT {id}")),
            "-ERR The client ID you want redirect to does not exist\r\n"
        );
    }
    // What was remembered before is told where it is to be told now.
    client.ask("GET k");
    let mut receiver = tracker(&server, &[]);
    let id = receiver.id();
    client.ask(&format!("CLIENT TRACKING ON REDIRECT {id}"));
    assert_eq!(flags(&mut client), "t");
    writer.ask("SET k v");
    assert_eq!(receiver.read(), told("k").as_str());
    client.ask("GET k");
    client.ask("CLIENT TRACKING ON");
    writer.ask("SET k v");
    assert_eq!(client.read(), told("k").as_str());
}

#[test]
fn what_a_client_is_told_comes_before_what_it_is_answered_later() {
    let server = Server::start();
    let mut writer = server.connect();
    for _ in 0..8 {
        // On either worker.
        let mut client = tracker(&server, &["CLIENT TRACKING ON"]);
        for _ in 0..100 {
            client.ask("GET k");
            assert_eq!(writer.ask("SET k v"), "+OK\r\n");
            client.send(&["PING"]);
            assert_eq!(client.read(), told("k").as_str());
            assert_eq!(client.read(), "+PONG\r\n");
        }
    }
}

/// A blocked client is served by another, which is told what it has to be told itself.
#[test]
fn an_event_of_a_served_command_reaches_its_client_alone() {
    let server = Server::start();
    let mut waiter = tracker(&server, &[]);
    let mut others: Vec<_> = (0..4).map(|_| tracker(&server, &[])).collect();
    others[0].ask("CONFIG SET notify-keyspace-events KEA");
    waiter.ask("SUBSCRIBE __keyevent@0__:rpush");
    waiter.send(&["BLMOVE", "from", "to", "LEFT", "RIGHT", "0"]);
    eventually("it waits", || others[0].info("blocked_clients") == 1);
    for other in &mut others {
        assert_eq!(other.ask("LPUSH from x"), ":1\r\n");
        assert_eq!(other.ask("PING"), "+PONG\r\n");
        let mut heard = vec![waiter.read().raw(), waiter.read().raw()];
        heard.sort();
        assert!(heard[0].starts_with("$1\r\nx"), "{heard:?}");
        assert!(heard[1].contains("to"), "{heard:?}");
        waiter.send(&["BLMOVE", "from", "to", "LEFT", "RIGHT", "0"]);
        eventually("it waits again", || other.info("blocked_clients") == 1);
    }
}

/// What a command that panicked has changed by then is not known.
#[test]
fn after_a_panic_all_is_told_to_be_invalid() {
    let server = Server::start();
    let mut client = tracker(&server, &["CLIENT TRACKING ON"]);
    let mut other = server.connect();
    let all = ">2\r\n$10\r\ninvalidate\r\n_\r\n";
    client.ask("GET k");
    assert!(other.ask("DEBUG PANIC").is_error());
    assert_eq!(client.read(), all);
    for command in ["MULTI", "DEBUG PANIC", "EXEC"] {
        other.ask(command);
    }
    assert_eq!(client.read(), all);
    client.send(&["DEBUG", "PANIC"]);
    assert!(client.read().is_error());
    assert_eq!(client.read(), all);
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    // What was remembered is told of as ever.
    other.ask("SET k v");
    assert_eq!(client.read(), told("k").as_str());
}

/// Without RESP3 a push cannot be told from a reply.
#[test]
fn no_push_is_taken_for_a_reply_by_who_can_no_longer_tell_them_apart() {
    const ROUNDS: usize = 400;
    let server = Server::start();
    let is_over = AtomicBool::new(false);
    let write = || {
        let mut writer = server.connect();
        while !is_over.load(SeqCst) {
            writer.ask("MSET k v other w");
        }
    };
    thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(write)));
        scope.spawn(|| {
            let mut client = tracker(&server, &["CLIENT TRACKING ON BCAST"]);
            for _ in 0..ROUNDS {
                client.send(&["HELLO", "2"]);
                read_until(&mut client, |reply| reply.starts_with("*14"));
                assert_eq!(client.ask("PING"), "+PONG\r\n");
                client.send(&["HELLO", "3"]);
                read_until(&mut client, |reply| reply.starts_with('%'));
                client.send(&["GET", "k"]);
                read_until(&mut client, |reply| !reply.starts_with('>'));
            }
            is_over.store(true, SeqCst);
        });
        scope.spawn(|| {
            let mut receiver = server.connect();
            let redirect = format!("CLIENT TRACKING ON BCAST REDIRECT {}", receiver.id());
            let _tracker = tracker(&server, &[&redirect]);
            for _ in 0..ROUNDS {
                assert!(receiver.ask("SUBSCRIBE ch").raw().contains("subscribe"));
                receiver.send(&["UNSUBSCRIBE", "ch"]);
                read_until(&mut receiver, |reply| reply.contains("unsubscribe"));
                assert_eq!(receiver.ask("PING"), "+PONG\r\n");
            }
        });
    });
}

/// Reads pushes, and then a reply.
fn read_until(client: &mut Connection, is_it: impl Fn(&str) -> bool) {
    loop {
        let next = client.read().raw();
        if is_it(&next) {
            return;
        }
        assert!(next.contains("invalidate"), "{next}");
    }
}
