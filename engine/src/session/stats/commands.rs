//! What is counted for each command.

use core::sync::atomic::Ordering::Relaxed;

use abi::stats::CommandStat;

use super::histogram::Durations;
use super::{reset, slot_name};
use base::roots::Roots;

/// A command's counters, over all lanes and since the last reset.
pub struct CommandTotals {
    /// Full name.
    pub name: &'static str,
    /// Times it ran.
    pub calls: u64,
    /// Nanoseconds it took.
    pub time_ns: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and replied with an error.
    pub failed: u64,
    /// Which slot it has.
    slot: usize,
}

impl CommandTotals {
    fn of(roots: Roots, slot: usize, name: &'static str) -> Self {
        let mut totals = Self { name, calls: 0, time_ns: 0, rejected: 0, failed: 0, slot };
        roots.all_stats().for_each(|core| totals.fold(&core.command[slot], u64::wrapping_add));
        if let Some(before) = reset::baseline(roots) {
            totals.fold(&before.command[slot], u64::wrapping_sub);
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
        roots.all_stats().for_each(|core| durations.add(&core.command[self.slot]));
        if let Some(before) = reset::baseline(roots) {
            durations.subtract(&before.command[self.slot]);
        }
        durations
    }
}

/// The counters of all commands that have ever been called, in alphabetical order.
pub fn command_totals(roots: Roots) -> Vec<CommandTotals> {
    let named = (0..).map_while(|slot| slot_name(slot, roots).map(|name| (slot, name)));
    let mut all: Vec<_> = named
        .map(|(slot, name)| CommandTotals::of(roots, slot, name))
        .filter(|totals| totals.calls | totals.rejected | totals.failed != 0)
        .collect();
    all.sort_by_key(|totals| totals.name);
    all
}
