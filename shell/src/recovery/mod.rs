//! An arena that no server works on: walking over it, and going on with it.
//!
//! - [`walk`]: over all of it, to say what is wrong, or to take that out
//! - [`own`]: the shell's part of that: roots, lanes, clients

mod own;
pub mod walk;
