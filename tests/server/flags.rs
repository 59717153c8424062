//! The flags of a client in `CLIENT LIST`, side by side with those that `redis-server` shows.

use std::thread;
use std::time::Duration;

use crate::harness::{Connection, Peer, Server};

/// What `CLIENT LIST` shows of a client as its flags.
fn flags(observer: &mut Connection, id: &str) -> String {
    let line = observer.ask(&format!("CLIENT LIST ID {id}")).text();
    let words = line.split(' ');
    words.filter_map(|word| word.strip_prefix("flags=")).collect()
}

/// The client's flags after each of the lines. One that begins with `>` another client sends.
fn after_each(port: u16, lines: &[&str]) -> Vec<String> {
    let [mut client, mut other] = [(); 2].map(|()| Connection::open(port));
    let id = client.id();
    let mut seen = Vec::new();
    for line in lines {
        match line.strip_prefix('>') {
            Some("sleep") => thread::sleep(Duration::from_millis(20)),
            Some(command) => drop(other.ask(command)),
            None => drop(client.ask(line)),
        }
        seen.push(format!("{line}: {}", flags(&mut other, &id)));
    }
    seen
}

fn check(lines: &[&str]) {
    let (server, peer) = (Server::start(), Peer::start());
    assert_eq!(after_each(server.port, lines), after_each(peer.port, lines));
}

#[test]
fn a_watched_key_that_has_changed_shows_at_once() {
    check(&[
        "WATCH k",
        ">SET k 1",
        ">SET k 2",
        "MULTI",
        "GET k",
        "EXEC",
        "WATCH k",
        "SET k 3",
        "UNWATCH",
        "WATCH k other",
        ">DEL none",
        ">DEL k",
        "RESET",
        "WATCH k",
        ">RPUSH k a",
        "MULTI",
        "DISCARD",
    ]);
}

#[test]
fn a_transaction_that_is_spoilt_otherwise_does_not_show() {
    check(&["MULTI", "NOPE", "GET", "EXEC", "WATCH k", "MULTI", "NOPE", ">SET k 1", "EXEC"]);
}

#[test]
fn a_watched_key_that_was_not_there_any_more_may_vanish() {
    check(&[
        "DEBUG SET-ACTIVE-EXPIRE 0",
        ">SET k v PX 1",
        ">sleep",
        "WATCH k none",
        ">GET k",
        ">FLUSHALL",
        ">SET none 1",
        "UNWATCH",
        "WATCH none",
        ">FLUSHALL",
        "UNWATCH",
        ">SELECT 1",
        ">SET k 1",
        "WATCH k",
        ">SWAPDB 0 1",
    ]);
}

#[test]
fn many_who_watch_a_key_are_each_told() {
    let server = Server::start();
    let mut observer = server.connect();
    let mut clients: Vec<_> = (0..30).map(|_| server.connect()).collect();
    let ids: Vec<_> = clients.iter_mut().map(Connection::id).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.ask("WATCH a b");
        if n % 3 == 0 {
            client.ask("UNWATCH");
        }
    }
    clients.remove(1);
    observer.ask("SET b 1");
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| *n != 1) {
        let expected = if n % 3 == 0 { "N" } else { "d" };
        assert_eq!(flags(&mut observer, id), expected, "client {n}");
    }
    drop(clients);
    assert_eq!(observer.ask("SET a 1"), "+OK\r\n");
}
