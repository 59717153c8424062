//! The cache as a library: protocol, commands, data structures, expiry, eviction.
//!
//! A release (a `cdylib` such as `logic-v1`) picks tables of commands and exports this library
//! behind the function table of `abi::logic` with [`export_logic`].

pub mod api;
pub mod background;
pub mod clock;
pub mod command;
pub mod context;
pub mod effects;
pub mod glob;
pub mod heap;
pub mod keyspace;
pub mod lane;
pub mod manifest;
pub mod memory;
pub mod number;
pub mod random;
pub mod release;
pub mod resp;
pub mod roots;
pub mod self_test;
pub mod session;
pub mod settings;
pub mod sha1;
pub mod stats;
pub mod store;
pub mod text;
pub mod tick;
pub mod value;

/// The version of Redis whose behaviour this is, for clients that ask.
pub const REDIS_VERSION: &str = "7.0.15";
