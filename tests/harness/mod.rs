//! Servers and connections for tests.

pub mod connection;
pub mod process;
pub mod text;
pub mod words;

pub use connection::Connection;
pub use process::{Peer, Server, eventually};
pub use text::command;
