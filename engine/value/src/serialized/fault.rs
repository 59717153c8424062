//! What is wrong with bytes that were to be read.

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How many bytes of the value had been read.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
    /// Whether nothing is wrong but that this release does not know it.
    pub is_unknown: bool,
}

impl Fault {
    /// Damage.
    pub const fn damage(at: usize, what: &'static str) -> Self {
        Self { at, what, is_unknown: false }
    }

    /// Something that this release does not know.
    pub const fn unknown(at: usize, what: &'static str) -> Self {
        Self { at, what, is_unknown: true }
    }
}
