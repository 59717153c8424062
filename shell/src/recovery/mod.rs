//! An arena that no server works on: walking over it, and going on with it.
//!
//! - [`walk`]: over all of it, to say what is wrong, or to take that out
//! - [`own`]: the shell's part of that: roots, lanes, clients
//! - [`descriptors`]: what the server before has left open
//! - [`held`]: what lanes were at when it ended, and whether all else may be believed
//! - [`locks`]: opening those whose holders are no more
//! - [`bytes`]: which bytes the kernel has taken and given
//! - [`clients`]: those of the server before, as the next one goes on with them

pub mod bytes;
pub mod clients;
pub mod descriptors;
pub mod held;
pub mod locks;
mod own;
pub mod walk;
