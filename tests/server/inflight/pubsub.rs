//! Subscriptions and MONITOR.

use crate::harness::{Connection, Server};

/// Subscribes to one of each kind and reads the confirmations.
fn subscribe(client: &mut Connection, mark: char) {
    let subscriptions = [("SUBSCRIBE", "news"), ("PSUBSCRIBE", "n*s"), ("SSUBSCRIBE", "shard")];
    for (n, (verb, name)) in subscriptions.iter().enumerate() {
        let (kind, count) = (verb.to_lowercase(), if *verb == "SSUBSCRIBE" { 1 } else { n + 1 });
        client.send(&[verb, name]);
        client.expect(&message(mark, &[&kind, name], &format!(":{count}\r\n")));
    }
}

/// An array or push of texts with something behind them.
fn message(mark: char, texts: &[&str], last: &str) -> Vec<u8> {
    let bulk = |text: &&str| format!("${}\r\n{text}\r\n", text.len());
    let texts_in_form: String = texts.iter().map(bulk).collect();
    format!("{mark}{}\r\n{texts_in_form}{last}", texts.len() + 1).into_bytes()
}

/// The messages of one publication of `text` to each of the channels.
fn published(mark: char, text: &str) -> Vec<u8> {
    let last = format!("${}\r\n{text}\r\n", text.len());
    let parts: [&[&str]; 3] =
        [&["message", "news"], &["pmessage", "n*s", "news"], &["smessage", "shard"]];
    parts.iter().flat_map(|texts| message(mark, texts, &last)).collect()
}

#[test]
fn subscribers_hear_what_the_next_release_publishes() {
    let server = Server::start();
    let mut publisher = server.connect();
    let mut old: Vec<_> = (0..2).map(|_| server.connect()).collect();
    let mut new: Vec<_> = (0..2).map(|_| server.connect()).collect();
    old.iter_mut().for_each(|client| subscribe(client, '*'));
    for client in &mut new {
        assert!(client.ask("HELLO 3").raw().starts_with('%'));
        subscribe(client, '>');
    }
    for n in 0..3 {
        let text = format!("message {n}");
        assert_eq!(publisher.call(&["PUBLISH", "news", &text]), ":8\r\n");
        assert_eq!(publisher.call(&["SPUBLISH", "shard", &text]), ":4\r\n");
        old.iter_mut().for_each(|client| client.expect(&published('*', &text)));
        new.iter_mut().for_each(|client| client.expect(&published('>', &text)));
        server.swap();
    }
    assert_eq!(publisher.ask("PUBSUB NUMSUB news"), "*2\r\n$4\r\nnews\r\n:4\r\n");
    assert_eq!(publisher.ask("PUBSUB NUMPAT"), ":1\r\n");
    assert_eq!(publisher.ask("PUBSUB SHARDCHANNELS"), "*1\r\n$5\r\nshard\r\n");

    // Rules and counts go on where they were.
    assert!(old[0].ask("GET k").raw().starts_with("-ERR Can't execute 'get'"));
    assert_eq!(new[0].ask("GET k"), "_\r\n");
    old[0].send(&["UNSUBSCRIBE", "news"]);
    old[0].expect(&message('*', &["unsubscribe", "news"], ":1\r\n"));
    new[0].send(&["PUNSUBSCRIBE"]);
    new[0].expect(&message('>', &["punsubscribe", "n*s"], ":1\r\n"));
    server.swap();
    assert_eq!(publisher.ask("PUBLISH news x"), ":6\r\n");
    old[0].expect(&message('*', &["pmessage", "n*s", "news"], "$1\r\nx\r\n"));
    new[0].expect(&message('>', &["message", "news"], "$1\r\nx\r\n"));
    drop(old);
    crate::harness::eventually("they are forgotten", || {
        publisher.ask("PUBSUB NUMSUB news") == "*2\r\n$4\r\nnews\r\n:2\r\n"
    });
}

#[test]
fn messages_are_neither_lost_nor_doubled_while_releases_are_swapped() {
    let server = Server::start();
    let mut subscribers: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut subscribers {
        client.send(&["SUBSCRIBE", "sequence"]);
        client.expect(&message('*', &["subscribe", "sequence"], ":1\r\n"));
    }
    let mut publisher = server.connect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut n = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(publisher.ask(&format!("PUBLISH sequence {n}")), ":4\r\n");
                n += 1;
            }
            n
        });
        (0..4).for_each(|_| server.swap());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        publishing.join().expect("the publisher ends well")
    });
    for client in &mut subscribers {
        for n in 0..sent {
            let text = n.to_string();
            let last = format!("${}\r\n{text}\r\n", text.len());
            client.expect(&message('*', &["message", "sequence"], &last));
        }
        client.send(&["PING"]);
        client.expect(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    }
}

#[test]
fn events_of_keys_are_told_by_the_next_release() {
    let server = Server::start_with(&["--notify-keyspace-events", "KEA"]);
    let (mut client, mut writer) = (server.connect(), server.connect());
    client.send(&["PSUBSCRIBE", "__key*__:*"]);
    client.expect(&message('*', &["psubscribe", "__key*__:*"], ":1\r\n"));
    for (command, event) in [("SET k 1", "set"), ("INCR k", "incrby"), ("DEL k", "del")] {
        writer.ask(command);
        let space = ["pmessage", "__key*__:*", "__keyspace@0__:k"];
        client.expect(&message('*', &space, &format!("${}\r\n{event}\r\n", event.len())));
        let channel = format!("__keyevent@0__:{event}");
        client.expect(&message('*', &["pmessage", "__key*__:*", &channel], "$1\r\nk\r\n"));
        server.swap();
    }
}

/// Reads the line of a command sent from a port; only what follows the time is compared.
fn monitored(monitor: &mut Connection, port: u16, command: &str) {
    let line = monitor.read().raw();
    let shown = format!(" [0 127.0.0.1:{port}] {command}\r\n");
    assert!(line.starts_with('+') && line.ends_with(&shown), "{line}{shown}");
}

fn port_of(client: &mut Connection) -> u16 {
    client.stream().local_addr().expect("an address").port()
}

#[test]
fn a_monitor_sees_the_commands_of_every_release() {
    let server = Server::start();
    let mut monitor = server.connect();
    assert_eq!(monitor.ask("MONITOR"), "+OK\r\n");
    let own = port_of(&mut monitor);
    let mut clients: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for n in 0..3 {
        for client in &mut clients {
            let port = port_of(client);
            client.ask(&format!("SET key {n}"));
            monitored(&mut monitor, port, &format!("\"SET\" \"key\" \"{n}\""));
        }
        assert_eq!(monitor.ask("PING"), "+PONG\r\n");
        monitored(&mut monitor, own, "\"PING\"");
        server.swap();
    }
    let port = port_of(&mut clients[0]);
    assert_eq!(clients[0].ask("MULTI"), "+OK\r\n");
    assert_eq!(clients[0].ask("GET key"), "+QUEUED\r\n");
    server.swap();
    assert_eq!(clients[0].ask("EXEC"), "*1\r\n$1\r\n2\r\n");
    for command in ["\"MULTI\"", "\"GET\" \"key\"", "\"EXEC\""] {
        monitored(&mut monitor, port, command);
    }
    assert_eq!(monitor.ask("GET key"), "-ERR Replica can't interact with the keyspace\r\n");
    assert_eq!(monitor.ask("RESET"), "+RESET\r\n");
    clients[0].ask("PING");
    assert_eq!(monitor.ask("GET key"), "$1\r\n2\r\n");
}
