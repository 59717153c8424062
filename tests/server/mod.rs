//! The two releases, with clients that speak the protocol.

mod administration;
mod battery;
mod blocking;
mod chance;
mod commands;
mod dump;
mod effects;
mod eviction;
mod expiry;
mod flags;
mod huge_pages;
mod hyperloglog;
mod inflight;
mod info;
mod limits;
mod migrate;
mod oracle;
mod order;
mod protocol;
mod ranks;
mod readme;
mod redis_crate;
mod scan;
mod scheduler;
mod settings;
