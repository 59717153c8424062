//! Client-side caching beyond single replies: caches that stay right across upgrades, order, limits,
//! and state that is given back.

mod limits;
mod near_cache;
mod stays_right;
mod upgrades;

use crate::harness::{Connection, Server};

/// A connection that speaks RESP3 and has sent these commands, which all succeed.
fn tracker(server: &Server, commands: &[&str]) -> Connection {
    let mut client = server.connect();
    assert!(client.ask("HELLO 3").raw().starts_with('%'));
    for command in commands {
        assert_eq!(client.ask(command), "+OK\r\n", "{command}");
    }
    client
}

/// The push that tells of a key.
fn told(key: &str) -> String {
    format!(">2\r\n$10\r\ninvalidate\r\n*1\r\n${}\r\n{key}\r\n", key.len())
}
