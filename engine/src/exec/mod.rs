//! How commands run: batches, admission, locks, calls, transactions, serving who waits, delivery.
//!
//! It knows nothing of what any one command does.
#![deny(unsafe_code)]

pub mod admin;
pub mod admission;
mod aftermath;
pub mod argument;
pub mod batch;
pub mod call;
pub mod context;
mod declared;
pub mod deliver;
pub mod dispatch;
pub mod first_of;
pub mod functions;
pub mod header;
pub mod index;
pub mod machines;
mod monitor;
pub mod options;
pub mod panics;
pub mod release;
mod rename;
pub mod script;
pub mod secrets;
pub mod serving;
mod slow;
pub mod spec;
pub mod thread;
pub mod tracked;
pub mod transaction;

pub use rename::configure;
