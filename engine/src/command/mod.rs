//! Commands: a row and a function each, a file or folder per family.

pub mod bitmap;
pub mod connection;
pub mod help;
pub mod keys;
pub mod list;
pub mod pubsub;
pub mod server;
pub mod string;
pub mod transaction;

use crate::exec::spec::Spec;

/// The tables of all commands of the engine, a table a family.
pub const ALL: &[&[Spec]] = &[
    bitmap::COMMANDS,
    connection::COMMANDS,
    keys::COMMANDS,
    list::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
];

/// The row of a command, to be changed by a release that does it differently.
pub const fn row(name: &str) -> Spec {
    let mut table = 0;
    while table < ALL.len() {
        let mut at = 0;
        while at < ALL[table].len() {
            if equal(ALL[table][at].name.as_bytes(), name.as_bytes()) {
                return ALL[table][at];
            }
            at += 1;
        }
        table += 1;
    }
    panic!("no table has a command of this name")
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
