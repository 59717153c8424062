//! Who a logic is and what it can read and write.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

/// A logic library's statement about itself. Static for the life of the library.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Manifest {
    /// [`crate::version::ABI_VERSION`] it was built against.
    pub abi_version: u32,
    /// Oldest schema level it reads.
    pub schema_reads_min: u32,
    /// Newest schema level it reads.
    pub schema_reads_max: u32,
    /// Newest schema level it can write.
    pub schema_writes_max: u32,
    /// [`crate::version::LAYOUT_FINGERPRINT`] it was built against.
    pub layout_fingerprint: u64,
    /// Short name: `logic-v1`.
    pub name: RStr<'static>,
    /// Semantic version of the release.
    pub version: RStr<'static>,
    /// What a user notices that differs from the release before, a line each.
    pub changes: RSlice<'static, RStr<'static>>,
    /// Names of its commands, lower case.
    pub commands: RSlice<'static, RStr<'static>>,
}
