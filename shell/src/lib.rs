//! The process that owns sockets, connections and memory, and swaps the logic over them.

pub mod admin;
pub mod arena;
pub mod cli;
pub mod client;
pub mod config;
pub mod effects;
mod lock;
pub mod log;
pub mod logic;
pub mod metrics;
pub mod refusal;
pub mod server;
pub mod upgrade;
pub mod worker;
