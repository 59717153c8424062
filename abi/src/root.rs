//! What every root struct begins with.

use abi_stable::StableAbi;

/// What every root struct begins with, so that a reader can refuse what it does not know.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootHead {
    /// Which struct this is: one of the `kind` constants.
    pub kind: u32,
    /// Layout version of this struct, raised when reserved space is given a meaning.
    pub version: u32,
    /// Size of the struct in bytes.
    pub size_bytes: u32,
    /// Zero.
    pub reserved: u32,
}

/// Values of [`RootHead::kind`].
pub mod kind {
    /// [`crate::keyspace::Keyspace`]
    pub const KEYSPACE: u32 = 0x4b45_5953;
    /// [`crate::client::Client`]
    pub const CLIENT: u32 = 0x434c_4e54;
    /// [`crate::client::ClientTable`]
    pub const CLIENT_TABLE: u32 = 0x4354_424c;
    /// [`crate::shared::Shared`]
    pub const SHARED: u32 = 0x5348_4152;
    /// [`crate::effects::EffectsStream`]
    pub const EFFECTS: u32 = 0x4546_4643;
}

impl RootHead {
    /// The head of a `T` of layout `version`.
    pub const fn of<T>(kind: u32, version: u32) -> Self {
        Self { kind, version, size_bytes: size_of::<T>() as u32, reserved: 0 }
    }
}
