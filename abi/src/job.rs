//! Work that logic hands over.

use abi_stable::StableAbi;

/// Values of [`Job::kind`] that the shell gives itself. Those of logic count from 1.
pub mod kind {
    /// A signal asks the server to stop: the first argument says which. Logic does what is to be done
    /// before and calls [`crate::host::Host::shutdown`]; if it does not the server goes on. Where it
    /// refuses the job, the server stops.
    pub const STOP: u32 = 1 << 31;
    /// First argument of [`STOP`].
    pub const SIGTERM: u64 = 15;
    /// First argument of [`STOP`].
    pub const SIGINT: u64 = 2;
}

/// Work for a background thread: an allocation whose meaning only logic knows.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Job {
    /// What is to be done; an id that stays the same over releases.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Meaning depends on `kind`; usually the address of what was detached.
    pub arguments: [u64; 6],
}
