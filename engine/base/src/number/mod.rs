//! Numbers as C has them: what Redis computes with `long double`.

mod big;
mod extended;

pub use extended::Extended;
