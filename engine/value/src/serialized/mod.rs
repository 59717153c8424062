//! Values as the bytes of Redis's dumps and files: lengths, strings, numbers, and the byte strings
//! that small values are in there.
//!
//! It knows nothing of entries: `dump` puts the two together.
#![forbid(unsafe_code)]

pub mod fault;
pub mod intset;
pub mod kind;
pub mod listpack;
pub mod reader;
pub mod visit;
pub mod writer;
pub mod ziplist;
pub mod zipmap;
