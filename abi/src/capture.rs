//! Captured commands: what one did, with the values of the keys that it names before and after, so
//! that another version can be given the same and compared. docs/capture.md draws the bytes.
//!
//! A record is made by the logic that serves, handed to the shell by [`crate::host::Host::captured`],
//! and is nowhere stored: a version of the format says what is in it.

use abi_stable::StableAbi;

/// The version of the format.
pub const FORMAT: u8 = 1;

/// Bytes of a record before its texts.
pub const HEAD_BYTES: usize = 32;

/// Where the parts of the head are. Numbers are little-endian.
pub mod at {
    /// `u32`: bytes of the record, this number included.
    pub const LEN: usize = 0;
    /// `u8`: [`super::FORMAT`].
    pub const FORMAT: usize = 4;
    /// `u8`: one of [`super::rule`].
    pub const RULE: usize = 5;
    /// `u8`: bits of [`super::flag`].
    pub const FLAGS: usize = 6;
    /// `u32`: the database that was selected.
    pub const DB: usize = 8;
    /// `u32`: how many keys there are.
    pub const KEYS: usize = 12;
    /// `u64`: the time that the command saw, Unix time in microseconds.
    pub const TIME_US: usize = 16;
    /// `u64`: how long it took, in nanoseconds.
    pub const ELAPSED_NS: usize = 24;
}

/// How what two versions answer to a command is compared: a column of the command's row.
pub mod rule {
    /// Byte for byte.
    pub const EXACT: u8 = 0;
    /// The elements may come in any order.
    pub const UNORDERED: u8 = 1;
    /// As pairs of elements, which may come in any order.
    pub const PAIRS: u8 = 2;
    /// By types and numbers of elements alone: what is in them is left to chance, or to how things
    /// are stored. What writes so leaves values of the same kind.
    pub const SHAPE: u8 = 3;
}

/// Bits of a record's flags.
pub mod flag {
    /// The command may change what its keys hold.
    pub const CHANGES: u8 = 1;
    /// Its client speaks RESP3.
    pub const RESP3: u8 = 1 << 1;
}

/// In the place of a value's length: there is no such key.
pub const ABSENT: u32 = u32::MAX;
/// In the place of a value's length: it is as it was before.
pub const SAME: u32 = u32::MAX - 1;

/// What is to be captured, as the shell says.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capturing {
    /// Of 2^32 commands, how many. 0: none, 2^32: all.
    pub share: u64,
    /// Commands on keys whose values take more are left out.
    pub bytes_max: u64,
    /// Zero.
    pub reserved: [u64; 2],
}

/// What [`crate::host::Host::captured`] is told of a command.
pub mod outcome {
    /// There is a record.
    pub const RECORD: u32 = 0;
    /// None: a key's value, or what was said, is too large.
    pub const TOO_LARGE: u32 = 1;
    /// None: it names no keys, or reads others than it names.
    pub const BEYOND_ITS_KEYS: u32 = 2;
    /// None: it waits for something.
    pub const WAITS: u32 = 3;
    /// None: it concerns its client, or does something outside of the keys.
    pub const NOT_KEYS_ALONE: u32 = 4;
    /// None: it found a key whose time had come and that was still there.
    pub const EXPIRED_KEY: u32 = 5;
    /// How many there are.
    pub const COUNT: usize = 6;
}
