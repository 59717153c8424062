//! Which names of Redis are known: commands with their subcommands, and settings.

use std::collections::BTreeSet;

use crate::harness::{Connection, Peer, Server};

/// Commands that are still to come.
const TO_COME: &[&str] = &[
    // Replication.
    "failover", "psync", "replconf", "sync",
];

/// The elements of a reply at every `step`th place, in lower case.
fn names(client: &mut Connection, line: &str, step: usize) -> BTreeSet<String> {
    let elements = client.ask(line).elements();
    elements.iter().step_by(step).map(|name| name.text().to_ascii_lowercase()).collect()
}

#[test]
fn what_is_missing_is_what_is_still_to_come() {
    let (server, peer) = (Server::start(), Peer::start());
    let (mut ours, mut theirs) = (server.connect(), Connection::open(peer.port));
    let missing = &names(&mut theirs, "COMMAND LIST", 1) - &names(&mut ours, "COMMAND LIST", 1);
    println!("commands of redis-server that are unknown here: {missing:?}");
    let untold: Vec<_> = missing.iter().filter(|name| !TO_COME.contains(&name.as_str())).collect();
    assert!(untold.is_empty(), "{untold:?}");

    let missing = &names(&mut theirs, "CONFIG GET *", 2) - &names(&mut ours, "CONFIG GET *", 2);
    println!("settings of redis-server that are unknown here: {missing:?}");
    assert!(missing.is_empty(), "{missing:?}");
    let added = &names(&mut ours, "CONFIG GET *", 2) - &names(&mut theirs, "CONFIG GET *", 2);
    assert!(added.is_empty(), "a pattern shows what tools would copy to Redis: {added:?}");
}
