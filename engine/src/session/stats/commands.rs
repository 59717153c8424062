//! What is counted for each command.

use core::sync::atomic::Ordering::Relaxed;

use abi::stats::CommandStat;

use super::histogram::Durations;
use super::names::{self, counted};
use super::reset;
use base::core::Core;
use base::roots::Roots;

/// The totals of a command over all lanes, since the last reset.
pub struct CommandTotals {
    /// The command's name.
    pub name: &'static str,
    /// Times it ran.
    pub calls: u64,
    /// Nanoseconds it took.
    pub time_ns: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and replied with an error.
    pub failed: u64,
    slot: u32,
}

impl CommandTotals {
    fn of(roots: Roots, slot: u32, name: &'static str) -> Self {
        let mut totals = Self { name, calls: 0, time_ns: 0, rejected: 0, failed: 0, slot };
        let lanes = roots.counters().filter_map(|stats| counted(stats, slot));
        lanes.for_each(|stat| totals.fold(stat, u64::wrapping_add));
        if let Some(before) = reset::baseline(roots).and_then(|lane| counted(lane, slot)) {
            totals.fold(before, u64::wrapping_sub);
        }
        totals
    }

    fn fold(&mut self, stat: &CommandStat, f: impl Fn(u64, u64) -> u64) {
        self.calls = f(self.calls, stat.calls.load(Relaxed));
        self.time_ns = f(self.time_ns, stat.time_ns.load(Relaxed));
        self.rejected = f(self.rejected, stat.rejected.load(Relaxed));
        self.failed = f(self.failed, stat.failed.load(Relaxed));
    }

    /// How long it took, how often.
    pub fn durations(&self, roots: Roots) -> Durations {
        let mut durations = Durations::default();
        let lanes = roots.counters().filter_map(|stats| counted(stats, self.slot));
        lanes.for_each(|stat| durations.add(stat));
        if let Some(before) = reset::baseline(roots).and_then(|lane| counted(lane, self.slot)) {
            durations.subtract(before);
        }
        durations
    }
}

/// The totals of all commands that have been called, refused or failed, by name.
pub fn command_totals(core: &Core) -> Vec<CommandTotals> {
    let mut all: Vec<_> = (0..)
        .zip(names::all(core))
        .map(|(slot, name)| CommandTotals::of(core.roots, slot, name))
        .filter(|totals| totals.calls | totals.rejected | totals.failed != 0)
        .collect();
    all.sort_by_key(|totals| totals.name);
    all
}
