//! Views over the raw containers of `abi::container`. They know nothing of commands.

pub mod buffer;
pub mod bytes;
pub mod list;
pub mod named;
pub mod packed;
pub mod table;
pub mod vec;
