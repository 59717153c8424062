//! The protocol: requests in, replies out. RESP2 and RESP3 behind one writer.
#![forbid(unsafe_code)]

pub mod inline;
pub mod parse;
pub mod write;
