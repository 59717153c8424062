//! Commands: the table's rows, how a command is found and run, and a file or folder per family.

pub mod args;
pub mod connection;
pub mod dispatch;
pub mod error;
pub mod help;
pub mod index;
pub mod keys;
pub mod list;
pub mod pubsub;
pub mod server;
pub mod spec;
pub mod string;
pub mod transaction;

use spec::Spec;

/// The tables of all commands of the engine, a table a family.
pub const ALL: &[&[Spec]] = &[
    connection::COMMANDS,
    keys::COMMANDS,
    list::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
];
