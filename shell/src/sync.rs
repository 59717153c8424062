//! What threads meet through where the order of their steps decides what happens.
//!
//! A file that takes its atomics, locks and wakers from here is compiled a second time by
//! `tests/interleavings`, as it stands, over types of the same names that let a scheduler choose
//! who makes the next step. Such a file takes nothing of the kind from elsewhere.

pub use mio::Waker;
pub use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
