//! The two releases, with clients that speak the protocol.

mod administration;
mod blocking;
mod commands;
mod effects;
mod eviction;
mod expiry;
mod huge_pages;
mod inflight;
mod limits;
mod oracle;
mod order;
mod protocol;
mod redis_crate;
mod scan;
mod scheduler;
