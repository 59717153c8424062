//! Settings: what there are, what values each takes, where they are kept, and how they change.
//!
//! Code reads them through `base::settings`, where those that it reads are declared.
#![forbid(unsafe_code)]

pub mod change;
pub mod kind;
pub mod spec;
mod store;
mod unread;

pub use store::{configure, get, init, is_default, output_limits, put};
