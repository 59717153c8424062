//! Result codes that cross the boundary.

use abi_stable::StableAbi;

/// How a call into logic, or from it, ended.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// A panic was caught at the boundary. State is consistent: locks are free, the client has an
    /// error reply.
    pub const PANICKED: Self = Self(1);
    /// The other side does not know or allow what was asked.
    pub const REFUSED: Self = Self(2);
    /// There is no memory for it. State is consistent, as after a panic.
    pub const NO_MEMORY: Self = Self(3);
    /// What was named does not exist.
    pub const NOT_FOUND: Self = Self(4);
    /// It failed; where the call has room for a text, the text says why.
    pub const FAILED: Self = Self(5);
    /// Others hold for long what it takes. Nothing has been done: call again a little later.
    pub const LATER: Self = Self(6);

    /// Whether the call succeeded.
    pub const fn is_ok(self) -> bool {
        self.0 == Self::OK.0
    }
}
