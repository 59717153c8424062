//! How threads interleave where no lock orders them.
//!
//! The files under test are compiled here as they stand, with another [`sync`] beneath: each use of
//! an atomic, a lock or a waker is a place where the scheduler may let another thread go on. Small
//! scenarios are explored whole, larger ones at random from a fixed seed. A failure prints the
//! schedule that led to it, and a thread that nobody wakes is a failure.
//!
//! All operations are sequentially consistent here: what is explored is the order of steps, not
//! what weaker orderings allow.

mod explore;
mod grace_period;
mod mail;
mod sync;

#[allow(dead_code, reason = "the product uses more of it")]
#[path = "../../src/logic/grace.rs"]
mod grace;
#[allow(dead_code, reason = "the product uses more of it")]
#[path = "../../src/worker/mailbox.rs"]
mod mailbox;
#[allow(dead_code, reason = "the product uses more of it")]
#[path = "../../src/client/message.rs"]
mod message;

/// Where the mailbox gives messages back.
mod arena {
    pub use crate::mail::free;

    pub fn note_posted(_bytes: i64) {}
}

/// What the mailbox knows of clients.
mod client {
    pub use shell::client::open;
}
