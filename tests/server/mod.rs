//! The two releases, with clients that speak the protocol.

mod administration;
mod blocking;
mod chance;
mod commands;
mod effects;
mod eviction;
mod expiry;
mod inflight;
mod limits;
mod oracle;
mod order;
mod protocol;
mod ranks;
mod redis_crate;
mod scan;
mod scheduler;
