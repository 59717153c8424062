//! Nothing in flight breaks: whatever a client is in the middle of goes on in the next release as
//! if nothing had happened.
//!
//! Each test brings about a situation, swaps the logic in the middle of it, mostly there and back,
//! and compares what the client gets with what it must get, to the byte.

mod blocking;
mod input;
mod load;
mod memory;
mod output;
mod panics;
mod pubsub;
mod scan;
mod session;
mod sleep;
mod timers;
mod transactions;
