//! What `COMMAND` tells of commands is what Redis tells of the same commands. Which of them are not
//! there, `readme` holds against the list in the README.

use std::collections::BTreeMap;

use crate::harness::connection::Reply;
use crate::harness::{Connection, Peer, Server};

/// What release 1 has and `redis-server` does not know.
const OWN: &[&str] = &[
    "shell",
    "shell|abort",
    "shell|backup",
    "shell|finalize",
    "shell|help",
    "shell|history",
    "shell|promote",
    "shell|replace",
    "shell|rollback",
    "shell|status",
    "shell|upgrade",
];

/// A reply taken apart.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Leaf(String),
    List(Vec<Value>),
}

impl Value {
    fn of(reply: &Reply) -> Self {
        match reply.0[0] {
            b'*' => Value::List(reply.elements().iter().map(Self::of).collect()),
            _ => Value::Leaf(reply.text()),
        }
    }

    fn list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            Value::Leaf(leaf) => panic!("not a list: {leaf}"),
        }
    }

    fn leaf(&self) -> &str {
        match self {
            Value::Leaf(leaf) => leaf,
            Value::List(list) => panic!("a list: {list:?}"),
        }
    }

    /// A map that came as a list of names and values.
    fn map(&self) -> BTreeMap<&str, &Value> {
        self.list().chunks_exact(2).map(|pair| (pair[0].leaf(), &pair[1])).collect()
    }

    /// Without the members of maps that have these names.
    fn without(&self, names: &[&str]) -> Value {
        let Value::List(list) = self else { return self.clone() };
        let mut kept = Vec::new();
        let mut rest = list.iter();
        while let Some(value) = rest.next() {
            match value {
                Value::Leaf(name) if names.contains(&name.as_str()) => drop(rest.next()),
                _ => kept.push(value.without(names)),
            }
        }
        Value::List(kept)
    }
}

fn ask(connection: &mut Connection, line: &str) -> Value {
    Value::of(&connection.ask(line))
}

/// Rows of `COMMAND` by name, subcommands included.
fn rows(commands: &Value, into: &mut BTreeMap<String, Value>) {
    const SUBCOMMANDS: usize = 9;
    for row in commands.list() {
        let fields = row.list();
        rows(&fields[SUBCOMMANDS], into);
        let kept = Value::List(fields[..SUBCOMMANDS].to_vec()).without(&["notes"]);
        into.insert(fields[0].leaf().to_owned(), kept);
    }
}

fn all_rows(port: u16) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    rows(&ask(&mut Connection::open(port), "COMMAND"), &mut found);
    found
}

#[test]
fn rows_are_those_of_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let [ours, theirs] = [server.port, peer.port].map(all_rows);
    for (name, row) in &ours {
        if let Some(expected) = theirs.get(name) {
            assert_eq!(row, expected, "{name}");
        }
    }
}

#[test]
fn no_command_is_there_that_redis_does_not_know_but_its_own() {
    let (server, peer) = (Server::start(), Peer::start());
    let [ours, theirs] = [server.port, peer.port].map(all_rows);
    let beyond: Vec<_> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
    assert_eq!(beyond, OWN);
}

/// Documentation by name, subcommands included, as maps.
fn documents(docs: &Value, into: &mut BTreeMap<String, BTreeMap<String, Value>>) {
    for (name, document) in docs.map() {
        let mut fields = BTreeMap::new();
        for (field, value) in document.map() {
            match field {
                "subcommands" => documents(value, into),
                // What it says is its own, that it says something is not.
                "summary" | "complexity" => {
                    assert!(!value.leaf().is_empty(), "{name}: {field}");
                    fields.insert(field.to_owned(), Value::Leaf(String::new()));
                }
                "history" => {
                    let versions = value.list().iter().map(|change| change.list()[0].clone());
                    fields.insert(field.to_owned(), Value::List(versions.collect()));
                }
                _ => {
                    fields.insert(field.to_owned(), value.clone());
                }
            }
        }
        into.insert(name.to_owned(), fields);
    }
}

#[test]
fn documentation_is_that_of_redis_but_for_sentences() {
    let (server, peer) = (Server::start(), Peer::start());
    let [ours, theirs] = [server.port, peer.port].map(|port| {
        let mut found = BTreeMap::new();
        documents(&ask(&mut Connection::open(port), "COMMAND DOCS"), &mut found);
        found
    });
    for (name, document) in &ours {
        if let Some(expected) = theirs.get(name) {
            assert_eq!(document, expected, "{name}");
        }
    }
}
