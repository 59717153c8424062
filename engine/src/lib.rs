//! The cache as a library: protocol, commands, data structures, expiry, eviction.
//!
//! A release (a `cdylib` such as `logic-v1`) picks a table of commands and exports this library
//! behind the function table of `abi::logic`.

pub mod heap;
pub mod store;
