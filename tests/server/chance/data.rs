//! All that a server stores, as one would read it.

use std::collections::BTreeMap;

use super::families::SORTED;
use super::streams::{self, Counts};
use crate::harness::Connection;
use crate::harness::connection::{Reply, encode};

/// Databases that runs use.
const DATABASES: usize = 2;
/// Milliseconds by which the ends of keys may differ that were told how long to live.
const NEAR_MS: u64 = 5_000;

/// A key and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    kind: String,
    encoding: String,
    /// As `PEXPIRETIME` tells it.
    ends_ms: i64,
    content: Vec<u8>,
}

/// All keys, by database and name.
pub type Data = BTreeMap<(usize, Vec<u8>), Item>;

/// How two servers' data are held against each other.
#[derive(Clone, Copy, PartialEq)]
pub enum Sameness {
    /// Both were sent the same commands. What counts of what is told of streams depends on who tells it.
    SameCommands(Counts),
    /// One was told the effects of the other.
    SameEffects,
}

/// Reads all data. The connection speaks RESP2.
pub fn read(connection: &mut Connection) -> Data {
    let mut data = Data::new();
    for db in 0..DATABASES {
        assert_eq!(connection.ask(&format!("SELECT {db}")), "+OK\r\n");
        // Unlike `KEYS`, this removes keys whose time has come.
        let scanned = connection.ask("SCAN 0 COUNT 1000000").elements();
        assert_eq!(scanned[0], "$1\r\n0\r\n");
        let keys: Vec<_> = scanned[1].elements().iter().map(value).collect();
        let kinds = all(connection, keys.iter().map(|key| command("TYPE", key, &[])));
        let keys: Vec<_> = keys.into_iter().zip(kinds.iter().map(Reply::text)).collect();
        let commands = keys.iter().flat_map(|(key, kind)| {
            [
                command("OBJECT", b"ENCODING", &[key]),
                command("PEXPIRETIME", key, &[]),
                content_of(key, kind),
            ]
        });
        let replies = all(connection, commands);
        for ((key, kind), replies) in keys.into_iter().zip(replies.chunks(3)) {
            let content = content(&kind, &replies[2]);
            let (encoding, ends_ms) = (replies[0].text(), replies[1].number());
            data.insert((db, key), Item { kind, encoding, ends_ms, content });
        }
    }
    data
}

/// What a bulk string says.
pub fn value(reply: &Reply) -> Vec<u8> {
    let begin = reply.0.windows(2).position(|two| two == b"\r\n").expect("a bulk string") + 2;
    reply.0[begin..reply.0.len() - 2].to_vec()
}

fn command(name: &str, key: &[u8], more: &[&[u8]]) -> Vec<u8> {
    encode(&[&[name.as_bytes(), key], more].concat())
}

/// Sends all and reads the replies.
fn all(connection: &mut Connection, commands: impl Iterator<Item = Vec<u8>>) -> Vec<Reply> {
    let commands: Vec<_> = commands.collect();
    connection.send_raw(&commands.concat());
    commands.iter().map(|_| connection.read()).collect()
}

/// The command that reads a value whole.
fn content_of(key: &[u8], kind: &str) -> Vec<u8> {
    match kind {
        "string" => command("GET", key, &[]),
        "list" => command("LRANGE", key, &[b"0", b"-1"]),
        "hash" => command("HGETALL", key, &[]),
        "set" => command("SMEMBERS", key, &[]),
        "zset" => command("ZRANGE", key, &[b"0", b"-1", b"WITHSCORES"]),
        "stream" => command("XINFO", b"STREAM", &[key, b"FULL", b"COUNT", b"0"]),
        // It has gone just now.
        "none" => command("GET", key, &[]),
        _ => panic!("a type that nobody reads here: {kind}"),
    }
}

/// What such a command has told, in an order that says nothing of how it is stored.
fn content(kind: &str, reply: &Reply) -> Vec<u8> {
    let mut parts: Vec<_> = reply.elements().into_iter().map(|part| part.0).collect();
    match kind {
        "hash" => parts = parts.chunks(2).map(<[_]>::concat).collect(),
        "set" => {}
        "stream" => return streams::told(reply),
        _ => return reply.0.clone(),
    }
    parts.sort();
    parts.concat()
}

/// What differs; nothing if both are the same.
pub fn differences(ours: &Data, theirs: &Data, sameness: Sameness) -> Vec<String> {
    let mut found = Vec::new();
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for name in keys {
        let items = [ours.get(name), theirs.get(name)];
        let same = match items {
            [Some(a), Some(b)] if name.1 == SORTED && a.kind != "stream" => {
                signless(&a.content) == signless(&b.content)
            }
            [Some(a), Some(b)] => is_same(a, b, sameness),
            _ => false,
        };
        if !same {
            let [a, b] = items.map(|item| item.map_or("nothing".into(), Item::to_string));
            found.push(format!(
                "{} {:?}\n  here  {a}\n  there {b}",
                name.0,
                name.1.escape_ascii().to_string()
            ));
        }
    }
    found
}

fn is_same(a: &Item, b: &Item, sameness: Sameness) -> bool {
    let same_time = match sameness {
        Sameness::SameCommands(_) if a.ends_ms > 0 && b.ends_ms > 0 => {
            a.ends_ms.abs_diff(b.ends_ms) <= NEAR_MS
        }
        _ => a.ends_ms == b.ends_ms,
    };
    let same_encoding = match (&*a.encoding, &*b.encoding) {
        _ if sameness == Sameness::SameEffects => true,
        // As the second release has it.
        ("listpack", "hashtable") => a.kind == "set",
        (a, b) => a == b,
    };
    let same_content = match sameness {
        Sameness::SameCommands(counts) if a.kind == "stream" => {
            streams::same(&a.content, &b.content, counts)
        }
        Sameness::SameEffects if a.kind == "stream" => {
            streams::same(&a.content, &b.content, Counts::Data)
        }
        Sameness::SameCommands(_) => a.content == b.content,
        Sameness::SameEffects => signless(&a.content) == signless(&b.content),
    };
    a.kind == b.kind && same_encoding && same_time && same_content
}

/// A value with every zero as one that is positive: a small sorted set does not keep the sign, and
/// which are small says a setting, which is not told.
fn signless(content: &[u8]) -> String {
    content.escape_ascii().to_string().replace(r"$2\r\n-0\r\n", r"$1\r\n0\r\n")
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let content = self.content.escape_ascii().to_string();
        write!(f, "{} ({}, until {}): {content:.2000}", self.kind, self.encoding, self.ends_ms)
    }
}
