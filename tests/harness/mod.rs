//! Servers, connections and libraries for tests.

pub mod cli;
pub mod connection;
pub mod libraries;
pub mod lines;
pub mod patience;
pub mod peer;
pub mod random;
pub mod server;
pub mod setup;
pub mod text;
pub mod words;

pub use connection::Connection;
pub use libraries::library;
pub use lines::Lines;
pub use patience::eventually;
pub use peer::Peer;
pub use random::Random;
pub use server::Server;
pub use setup::{Setup, free_port};
pub use text::command;
