//! `INFO`: which fields there are.

use std::collections::BTreeSet;

use crate::harness::{Connection, Peer, Server, eventually};

/// The fields of each section: `Server tcp_port`.
fn fields(connection: &mut Connection) -> BTreeSet<String> {
    let text = connection.ask("INFO everything").text();
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(name) => section = name,
            None => found.extend(line.split_once(':').map(|(name, _)| format!("{section} {name}"))),
        }
    }
    found
}

#[test]
fn every_field_of_redis_is_there() {
    let (peer, server) = (Peer::start(), Server::start());
    let [theirs, ours] = [peer.port, server.port].map(|port| {
        let mut connection = Connection::open(port);
        for line in ["SET a 1", "GET a", "NOSUCH"] {
            connection.ask(line);
        }
        fields(&mut connection)
    });
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(theirs.len() > 150, "{theirs:?}");
}

#[test]
fn clients_that_wait_until_a_deadline_are_counted() {
    let server = Server::start();
    let [mut observer, mut limited, mut patient] = [(); 3].map(|()| server.connect());
    limited.send(&["BLPOP", "a", "100"]);
    patient.send(&["BLPOP", "a", "0"]);
    eventually("both wait", || observer.info("blocked_clients") == 2);
    assert_eq!(observer.info("clients_in_timeout_table"), 1);
    observer.ask("RPUSH a 1 2");
    assert_eq!(observer.info("clients_in_timeout_table"), 0);
}
