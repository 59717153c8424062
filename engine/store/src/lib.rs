//! Containers over the raw layouts of the arena. They know nothing of keys and types.

pub mod ids;
pub mod ints;
pub mod list;
pub mod listpack;
pub mod named;
pub mod packed;
pub mod records;
pub mod rows;
pub mod sorted;
pub mod stream;
pub mod table;
pub mod timed;
