//! Tests of the whole server: the real binary with the real libraries, driven over sockets.

mod administration;
mod blocking;
mod commands;
mod eviction;
mod expiry;
mod harness;
mod inflight;
mod limits;
mod oracle;
mod protocol;
mod scan;
