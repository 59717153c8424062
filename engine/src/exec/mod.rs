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
mod capture;
pub mod categories;
mod configure;
pub mod context;
mod declared;
pub mod deliver;
pub mod describe;
pub mod dispatch;
pub mod first_of;
pub mod functions;
pub mod granted;
mod habits;
pub mod header;
pub mod index;
pub mod key_spec;
pub mod loading;
pub mod machines;
mod monitor;
pub mod options;
pub mod panics;
pub mod permissions;
pub mod recovery;
pub mod refusal;
pub mod release;
mod rename;
pub mod schema;
pub mod script;
pub mod secrets;
pub mod serving;
mod slow;
mod snapshot;
pub mod spec;
pub mod thread;
pub mod tracked;
pub mod transaction;
pub mod users;
mod vocabulary;
pub mod warming;

pub use configure::configure;
