//! Tests of the whole server: the real binary with real libraries, driven over sockets.

mod connections;
mod harness;
mod recovery;
mod server;
mod upgrades;
