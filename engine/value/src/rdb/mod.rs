//! The files of Redis and Valkey that hold a whole data set (RDB).
//!
//! ```text
//! file      magic and version (nine bytes), record …, EOF, checksum u64
//!
//! magic     "REDIS" and a version of four digits, or "VALKEY" and one of three
//! checksum  of all before it, in little-endian order; 0: none was made. Before version 5 there is
//!           none.
//!
//! record    a byte, then:
//!
//!           byte                   then
//!           243  SLOT_IMPORT       what a server of a cluster was taking over: is not read
//!           244  SLOT_INFO         slot, its keys, those of them with a time to live
//!           245  FUNCTION2         the source of a library
//!           246  FUNCTION_PRE_GA   a library in the form of release candidates of Redis 7.0
//!           247  MODULE_AUX        a module's number, when it is to be read, its data, 0
//!           248  IDLE              seconds for which the next key was not used
//!           249  FREQ              u8: how often the next key was used, as LFU counts
//!           250  AUX               name and value of a field about the file
//!           251  RESIZEDB          keys of the database, those of them with a time to live
//!           252  EXPIRETIME_MS     u64: when the next key expires, in Unix milliseconds
//!           253  EXPIRETIME        u32: the same in seconds
//!           254  SELECTDB          number of the database that the next keys are in
//!           255  EOF
//!           other                  a key, and a value of this type
//! ```
//!
//! Types, and how strings, numbers and values are written: [`serialized`](crate::serialized). Numbers
//! named `u…` are in little-endian order.
#![forbid(unsafe_code)]

pub mod head;
pub mod pass;
pub mod records;
pub mod write;

pub use head::{Head, HeadFault};
pub use records::{Key, Place, Record, Records};

/// Begins a file that Redis has written, and Valkey before version 9.
pub const MAGIC_REDIS: &[u8] = b"REDIS";
/// Begins a file that Valkey has written from version 9 on.
pub const MAGIC_VALKEY: &[u8] = b"VALKEY";
/// Bytes of magic and version together.
pub const HEAD_BYTES: usize = 9;
/// Bytes of the checksum at the end.
pub const CHECKSUM_BYTES: usize = 8;
/// The first version with a checksum.
pub const VERSION_CHECKSUM: u16 = 5;

/// What begins a record that is no key.
pub mod opcode {
    /// Slots that were on their way from another server.
    pub const SLOT_IMPORT: u8 = 243;
    /// How many keys a slot of a cluster has.
    pub const SLOT_INFO: u8 = 244;
    /// A library of functions.
    pub const FUNCTION2: u8 = 245;
    /// The same as release candidates of Redis 7.0 have written it.
    pub const FUNCTION_PRE_GA: u8 = 246;
    /// Data of a module that belongs to no key.
    pub const MODULE_AUX: u8 = 247;
    /// How long the next key was not used.
    pub const IDLE: u8 = 248;
    /// How often the next key was used.
    pub const FREQ: u8 = 249;
    /// A field about the file.
    pub const AUX: u8 = 250;
    /// How many keys the database has.
    pub const RESIZEDB: u8 = 251;
    /// When the next key expires, in milliseconds.
    pub const EXPIRETIME_MS: u8 = 252;
    /// When the next key expires, in seconds.
    pub const EXPIRETIME: u8 = 253;
    /// The database that the next keys are in.
    pub const SELECTDB: u8 = 254;
    /// The end of the records.
    pub const EOF: u8 = 255;
}
