//! Numbers as C has them: what Redis computes with `long double`.
#![forbid(unsafe_code)]

mod big;
mod extended;

pub use extended::Extended;
