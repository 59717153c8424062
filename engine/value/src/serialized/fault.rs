//! What is wrong with bytes that were to be read.

/// Of which sort a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No server writes this.
    Damage,
    /// Nothing is wrong but that this release does not know it.
    Unknown,
    /// A value without elements, which no key may have; old servers have written some.
    Empty,
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How many bytes of the value had been read.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
    /// Of which sort it is.
    pub cause: Cause,
}

impl Fault {
    /// Damage.
    pub const fn damage(at: usize, what: &'static str) -> Self {
        Self { at, what, cause: Cause::Damage }
    }

    /// Something that this release does not know.
    pub const fn unknown(at: usize, what: &'static str) -> Self {
        Self { at, what, cause: Cause::Unknown }
    }

    /// A value without elements.
    pub const fn empty(at: usize) -> Self {
        Self { at, what: "a value without elements", cause: Cause::Empty }
    }
}
