//! Long pipelines, and replies that wait for a slow reader.

use crate::harness::connection::encode;
use crate::harness::{Connection, Server, eventually};

/// `count` commands on keys that begin with `name`, and the replies to them.
fn pipeline(name: &str, count: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut commands, mut replies) = (Vec::new(), Vec::new());
    for n in 0..count {
        let (words, reply) = match n % 4 {
            0 => (vec!["SET".into(), format!("{name}:{n}"), n.to_string()], "+OK\r\n".into()),
            1 => {
                let last = (n - 1).to_string();
                (
                    vec!["GET".into(), format!("{name}:{last}")],
                    format!("${}\r\n{last}\r\n", last.len()),
                )
            }
            2 => (vec!["INCR".into(), name.into()], format!(":{}\r\n", n / 4 + 1)),
            _ => (vec!["GETX".into()], UNKNOWN.into()),
        };
        commands.extend(encode(&words));
        replies.extend_from_slice(String::as_bytes(&reply));
    }
    (commands, replies)
}

const UNKNOWN: &str = "-ERR unknown command 'GETX', with args beginning with: \r\n";

/// Waits until somebody is blocked.
fn blocked(watcher: &mut Connection) {
    let is_blocked = || watcher.ask("CLIENT LIST").raw().contains(" flags=b ");
    eventually("the client is blocked", is_blocked);
}

#[test]
fn a_pipeline_of_ten_thousand_goes_on_where_it_was() {
    let server = Server::start();
    let (mut client, mut pusher) = (server.connect(), server.connect());
    let ((first, replies), (last, more)) = (pipeline("a", 5000), pipeline("b", 5000));
    let wait = encode(&["BLPOP", "gate", "0"]);
    client.send_raw(&[&first[..], &wait, &last].concat());
    blocked(&mut pusher);
    server.swap();
    assert_eq!(pusher.ask("RPUSH gate open"), ":1\r\n");
    client.expect(&replies);
    client.expect(b"*2\r\n$4\r\ngate\r\n$4\r\nopen\r\n");
    client.expect(&more);
    assert_eq!(client.ask("PING"), "+PONG\r\n");
}

#[test]
fn a_pipeline_can_upgrade_the_logic_it_runs_on() {
    let server = Server::start();
    let mut client = server.connect();
    let mut commands = Vec::new();
    for (n, release) in ["logic_v2", "logic_v1", "logic_v2"].into_iter().enumerate() {
        let path = crate::harness::libraries::library(release);
        commands.extend(pipeline(&n.to_string(), 2500).0);
        commands.extend(encode(&["SHELL", "UPGRADE", path.to_str().expect("a path in UTF-8")]));
        commands.extend(encode(&["SET", "absent", "v", "IFEQ", "x"]));
    }
    client.send_raw(&commands);
    for (n, reply) in ["$-1\r\n", "-ERR syntax error\r\n", "$-1\r\n"].into_iter().enumerate() {
        client.expect(&pipeline(&n.to_string(), 2500).1);
        assert!(client.read().text().starts_with("{\"result\":\"upgraded\""));
        client.expect(reply.as_bytes());
    }
    assert_eq!(client.info("logic_generation"), 4);
}

#[test]
fn a_slow_reader_gets_all_it_asked_for() {
    let server = Server::start();
    let (mut slow, mut other) = (server.connect(), server.connect());
    let value = "0123456789abcdef".repeat(4096);
    assert_eq!(other.call(&["SET", "big", &value]), "+OK\r\n");
    const COUNT: usize = 500;
    slow.send_raw(&encode(&["GET", "big"]).repeat(COUNT));
    let is_owed = |other: &mut Connection| {
        let list = other.ask("CLIENT LIST").text();
        let owed = list.lines().filter(|line| !line.contains(" omem=0 "));
        owed.count() == 1
    };
    eventually("replies wait", || is_owed(&mut other));
    let reply = [b"$65536\r\n", value.as_bytes(), b"\r\n"].concat();
    slow.expect(&reply);
    for _ in 0..3 {
        server.swap();
        assert!(is_owed(&mut other));
        slow.expect(&reply.repeat(2));
    }
    slow.send(&["STRLEN", "big"]);
    slow.expect(&reply.repeat(COUNT - 7));
    slow.expect(b":65536\r\n");
    eventually("nothing is owed", || !is_owed(&mut other));
}

#[test]
fn replies_that_are_not_wanted_stay_away() {
    let server = Server::start();
    let (mut off, mut skip) = (server.connect(), server.connect());
    assert_eq!(off.ask("SET n 0"), "+OK\r\n");
    let incr = encode(&["INCR", "n"]);
    let quiet = |client: &mut Connection, how: &str| client.send(&["CLIENT", "REPLY", how]);
    let until = |what: &mut Connection, n: &str| {
        eventually("it has counted", || what.ask("GET n").text() == n)
    };
    let mut watcher = server.connect();

    quiet(&mut off, "OFF");
    off.send_raw(&incr);
    until(&mut watcher, "1");
    // What follows SKIP is only known to the next release.
    quiet(&mut skip, "SKIP");
    eventually("it is heard", || watcher.ask("CLIENT LIST").raw().contains("cmd=client|reply"));
    server.swap();
    skip.send_raw(&incr);
    until(&mut watcher, "2");
    assert_eq!(skip.ask("GET n"), "$1\r\n2\r\n");
    off.send_raw(&incr);
    until(&mut watcher, "3");
    server.swap();
    off.send_raw(&incr);
    off.send(&["CLIENT", "REPLY", "ON"]);
    off.expect(b"+OK\r\n");
    assert_eq!(off.ask("GET n"), "$1\r\n4\r\n");
}
