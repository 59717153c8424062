//! The cache as a library: protocol, commands, data structures, expiry, eviction.
//!
//! A release (a `cdylib` such as `logic-v1`) picks tables of commands and exports this library
//! behind the function table of `abi::logic` with [`export_logic`].

pub mod api;
pub mod battery;
pub mod command;
pub mod exec;
pub mod maintenance;
pub mod manifest;
pub mod self_test;
pub mod session;

// For releases, which depend on this crate alone.
pub use {base, keyspace, store, value};
