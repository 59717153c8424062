//! The process that owns sockets, connections and memory, and swaps the logic over them.

pub mod admin;
pub mod aof;
pub mod arena;
pub mod backup;
pub mod cli;
pub mod client;
pub mod config;
mod control_groups;
pub mod crash;
pub mod effects;
pub mod exchange;
pub mod host;
pub mod keeper;
pub mod log;
pub mod logic;
mod mapped;
pub mod metrics;
mod priority;
mod process;
mod random;
pub mod recovery;
pub mod refusal;
mod saving;
pub mod server;
mod sync;
pub mod upgrade;
pub mod worker;
