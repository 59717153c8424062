//! Settings: what there are, what values each takes, where they are kept, and how they change.
//!
//! The numbers that commands need all the time are read through `base::settings`.
#![forbid(unsafe_code)]

pub mod change;
pub mod kind;
pub mod spec;
mod store;
mod table;

pub use store::{configure, get, init, is_default, output_limits, put, take_text, text};
