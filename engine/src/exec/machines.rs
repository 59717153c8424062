//! The machines that a lane has for scripts and functions.
//!
//! Sources are in the arena ([`crate::session::scripts`]). A machine is made when a lane first runs a
//! script, and made again when scripts were forgotten since; it is dropped with the lane's context,
//! before the release is unloaded.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::lane::Running;
use lua::{Kind, Machine};

use crate::exec::functions::Loaded;
use crate::exec::release::Release;
use crate::session::scripts;
use base::core::Core;

/// The machines of a lane.
pub struct Machines {
    scripts: Option<Machine>,
    /// How often scripts had been forgotten when the machine was made.
    flushes: u64,
    functions: Option<Loaded>,
    /// Where it is told how many bytes they use, and what is told there.
    record: &'static Running,
    told: [u64; 2],
}

impl Machines {
    /// None yet.
    pub fn new(core: &Core) -> Self {
        let lane = core.roots.lane(core.id as usize).expect("the shell makes every lane's record");
        Self { scripts: None, flushes: 0, functions: None, record: &lane.running, told: [0; 2] }
    }

    /// Takes the machine for scripts. Where what it is taken for unwinds, it is gone, and made anew.
    #[inline]
    pub fn take_scripts(&mut self, core: &Core, release: &Release) -> Machine {
        let flushes = scripts::flushes(core.roots);
        match self.scripts.take() {
            Some(machine) if flushes == self.flushes => machine,
            _ => {
                self.flushes = flushes;
                Machine::new(Kind::Scripts, release.redis_version)
            }
        }
    }

    /// Puts it back.
    #[inline]
    pub fn put_scripts(&mut self, machine: Machine) {
        tell(&self.record.script_machine_bytes, &mut self.told[0], machine.bytes());
        self.scripts = Some(machine);
    }

    /// Takes the machine for functions, with all libraries that there are loaded.
    pub fn take_functions(&mut self, core: &Core, release: &Release) -> Loaded {
        let mut loaded = self.functions.take().unwrap_or_else(|| Loaded::new(release));
        loaded.refresh(core, release);
        loaded
    }

    /// Puts it back.
    pub fn put_functions(&mut self, loaded: Loaded) {
        tell(&self.record.function_machine_bytes, &mut self.told[1], loaded.bytes());
        self.functions = Some(loaded);
    }

    /// Drops the machine for scripts if those it knows were forgotten.
    pub fn forget_flushed(&mut self, core: &Core) {
        if self.flushes != scripts::flushes(core.roots) && self.scripts.take().is_some() {
            tell(&self.record.script_machine_bytes, &mut self.told[0], 0);
        }
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        tell(&self.record.script_machine_bytes, &mut self.told[0], 0);
        tell(&self.record.function_machine_bytes, &mut self.told[1], 0);
    }
}

/// Makes what is told of a machine's bytes true. Machines of two releases may be told of together.
fn tell(place: &AtomicU64, told: &mut u64, bytes: usize) {
    let bytes = bytes as u64;
    if bytes != *told {
        place.fetch_add(bytes.wrapping_sub(*told), Relaxed);
        *told = bytes;
    }
}
