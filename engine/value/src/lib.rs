//! Values: entries, a file for each type, and the table of encodings. They know nothing of
//! databases and clients.

pub mod body;
pub mod digest;
pub mod dump;
pub mod encoding;
mod encodings;
pub mod entry;
pub mod hash;
pub mod hyperloglog;
pub mod limits;
pub mod list;
pub mod rdb;
pub mod remake;
pub mod serialized;
pub mod set;
pub mod stream;
pub mod string;
pub mod zset;

use abi::keyspace::value_type;

/// The name `TYPE` gives a type.
pub fn type_name(kind: u8) -> &'static str {
    match kind {
        value_type::STRING => "string",
        value_type::LIST => "list",
        value_type::SET => "set",
        value_type::ZSET => "zset",
        value_type::HASH => "hash",
        value_type::STREAM => "stream",
        _ => "unknown",
    }
}

/// Whether blocking commands may wait for a value of this type.
pub fn is_awaitable(kind: u8) -> bool {
    matches!(kind, value_type::LIST | value_type::ZSET | value_type::STREAM)
}
