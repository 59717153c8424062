//! The contract between the shell, which owns all state, and the logic, which decides.
//!
//! Everything here is layout, identity or a function table. Nothing in this crate performs I/O or
//! makes a decision that a release could want to make differently. Two releases built from the
//! same `abi` can work side by side on the same memory; the rules of what may change, and how, are
//! in [`version`].
//!
//! Reading order: [`ptr`] and [`arena`] (where things live), [`container`] (the raw containers),
//! [`keyspace`], [`client`], [`shared`], [`effects`] (the root structs), [`logic`] and [`host`] (the two
//! function tables), [`manifest`] (who a logic is).
#![warn(missing_docs)]

pub mod acl;
pub mod aof;
pub mod arena;
pub mod capture;
pub mod client;
pub mod client_ref;
pub mod config;
pub mod container;
pub mod effects;
pub mod host;
pub mod job;
pub mod keyspace;
pub mod lane;
pub mod loading;
pub mod lock;
pub mod logic;
pub mod manifest;
pub mod message;
pub mod ptr;
pub mod root;
pub mod schema;
pub mod script;
pub mod shared;
pub mod snapshot;
pub mod stats;
pub mod status;
pub mod stream;
pub mod tracking;
pub mod version;
pub mod wait;
pub mod walk;
pub mod warming;
