//! The sources of scripts and of libraries of functions, which outlive every machine that has
//! compiled them.

mod cached;
mod libraries;
pub mod slow;

pub use cached::{add, digest_of, find, flush, has};
pub use libraries::{
    FunctionText, LibraryText, change, libraries, library_names, owner_of, remove_library,
};

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use abi::lock::Guard;
use abi::script::{ScriptState, Scripts};

use base::core::{Core, FutexLocker};
use base::roots::Roots;
use store::named::NamedRef;

/// What is to be seen of scripts without a lock.
#[inline]
pub fn state(roots: Roots) -> &'static ScriptState {
    &roots.shared().script_state
}

/// How often all scripts were forgotten.
#[inline]
pub fn flushes(roots: Roots) -> u64 {
    state(roots).flushes.load(Acquire)
}

/// How often libraries were changed.
#[inline]
pub fn changes(roots: Roots) -> u64 {
    state(roots).changes.load(Acquire)
}

/// Scripts and libraries, locked.
fn locked(core: &Core) -> Guard<'static, Scripts, FutexLocker> {
    core.roots.shared().scripts.lock(core.locker())
}

/// What there is, and how many bytes it takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Scripts.
    pub cached: u64,
    /// Bytes of arena memory that they take.
    pub cached_bytes: u64,
    /// Libraries.
    pub libraries: u64,
    /// Functions in them.
    pub functions: u64,
    /// Bytes of arena memory that the libraries take.
    pub library_bytes: u64,
    /// Bytes that all lanes' machines for scripts use, in memory of logic's own.
    pub script_machine_bytes: u64,
    /// Bytes that all lanes' machines for functions use, in memory of logic's own.
    pub function_machine_bytes: u64,
}

impl Totals {
    /// As things are.
    pub fn now(core: &Core) -> Self {
        let scripts = locked(core);
        let machines = |bytes: fn(&abi::lane::Running) -> u64| {
            core.roots.lanes().map(|lane| bytes(&lane.running)).sum()
        };
        Self {
            cached: NamedRef::of(&cached::Cached(&scripts.cached)).len() as u64,
            cached_bytes: scripts.cached_bytes,
            libraries: NamedRef::of(&libraries::Libraries(&scripts.libraries)).len() as u64,
            functions: scripts.functions,
            library_bytes: scripts.library_bytes,
            script_machine_bytes: machines(|of| of.script_machine_bytes.load(Relaxed)),
            function_machine_bytes: machines(|of| of.function_machine_bytes.load(Relaxed)),
        }
    }

    /// Bytes of all machines.
    pub fn machine_bytes(&self) -> u64 {
        self.script_machine_bytes + self.function_machine_bytes
    }

    /// Bytes of all sources.
    pub fn source_bytes(&self) -> u64 {
        self.cached_bytes + self.library_bytes
    }
}
