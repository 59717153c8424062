//! Loading libraries into this very process, and refusing those that must not get so far.
//!
//! A binary of its own: it counts what its process has mapped and open.

mod contract;
mod cycles;
mod documents;
#[path = "../harness/libraries.rs"]
mod libraries;
mod refusals;
mod trial;
