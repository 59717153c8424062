//! Views over the raw containers of `abi::container`. They know nothing of commands.

pub mod table;
