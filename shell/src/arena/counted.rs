//! What lanes have counted, copied for those who compare.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use abi::host::HostRef;
use abi::shared::CommandName;
use abi::stats::{CommandSegment, CommandStat, FAMILIES, HISTOGRAM_BUCKETS, Histogram, LaneStats};

use super::futex::ThisThread;
use super::look;

/// A command's name and family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Lower case.
    pub name: String,
    /// One of [`FAMILIES`]; empty if it is not told.
    pub family: &'static str,
}

/// What was counted of a command by all lanes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// Times it ran.
    pub calls: u64,
    /// Nanoseconds it took.
    pub time_ns: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and replied with an error.
    pub failed: u64,
    /// How often it took how long, see [`Histogram`]. Empty where nothing was recorded.
    pub durations: Vec<u64>,
}

/// What was counted in one of the two sets of counters of each lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Commands executed.
    pub commands: u64,
    /// Error replies.
    pub errors: u64,
    /// Changes to keys.
    pub changes: u64,
    /// By command slot; those that were called, refused or failed.
    pub by_command: BTreeMap<u32, Command>,
}

impl Counted {
    /// What is in the first, or the second, set of all lanes now.
    pub fn now(host: HostRef, second: bool) -> Self {
        let mut counted = Self::default();
        match second {
            false => look::first_counters(host).for_each(|lane| counted.add_lane(lane)),
            true => look::second_counters(host).for_each(|lane| counted.add_lane(lane)),
        }
        counted
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        self.commands = self.commands.wrapping_sub(before.commands);
        self.errors = self.errors.wrapping_sub(before.errors);
        self.changes = self.changes.wrapping_sub(before.changes);
        for (slot, command) in &mut self.by_command {
            if let Some(before) = before.by_command.get(slot) {
                command.fold(before, u64::wrapping_sub);
            }
        }
        self.by_command.retain(|_, command| command.calls | command.rejected | command.failed != 0);
        self
    }

    /// Adds what was counted at another time.
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.errors += other.errors;
        self.changes += other.changes;
        for (slot, command) in &other.by_command {
            self.by_command.entry(*slot).or_default().fold(command, u64::wrapping_add);
        }
    }

    fn add_lane(&mut self, lane: &LaneStats) {
        self.commands += lane.commands.load(Relaxed);
        self.errors += lane.errors.load(Relaxed);
        self.changes += lane.dirty.load(Relaxed);
        let mut next = &lane.segments;
        let mut slot = 0;
        while let Some(segment) = segment(next) {
            for stat in &segment.stats {
                self.add_command(slot, stat);
                slot += 1;
            }
            next = &segment.next;
        }
    }

    fn add_command(&mut self, slot: u32, stat: &CommandStat) {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let counts = [&stat.calls, &stat.time_ns, &stat.rejected, &stat.failed].map(read);
        let [calls, time_ns, rejected, failed] = counts;
        if calls | rejected | failed == 0 {
            return;
        }
        let durations = histogram(stat).map_or(vec![], |of| of.counts.iter().map(read).collect());
        let lane = Command { calls, time_ns, rejected, failed, durations };
        self.by_command.entry(slot).or_default().fold(&lane, u64::wrapping_add);
    }
}

impl Command {
    fn fold(&mut self, other: &Self, f: impl Fn(u64, u64) -> u64) {
        self.calls = f(self.calls, other.calls);
        self.time_ns = f(self.time_ns, other.time_ns);
        self.rejected = f(self.rejected, other.rejected);
        self.failed = f(self.failed, other.failed);
        if self.durations.len() < other.durations.len() {
            self.durations.resize(HISTOGRAM_BUCKETS, 0);
        }
        for (count, other) in self.durations.iter_mut().zip(&other.durations) {
            *count = f(*count, *other);
        }
    }
}

/// All names, by slot. Waits for whoever adds some.
pub fn names(host: HostRef) -> Vec<Named> {
    let names = look::shared(host).names.lock(ThisThread);
    let slots = &names.slots;
    if slots.len == 0 {
        return Vec::new();
    }
    // SAFETY: so many words are there, and nobody adds to them while they are locked. Each is the
    // address of a name, which stays as it is for the life of the process.
    let addresses = unsafe { std::slice::from_raw_parts(slots.data.as_ptr(), slots.len as usize) };
    let named = |address: &u64| {
        // SAFETY: as above; so many bytes of name follow it.
        let (name, bytes) = unsafe {
            let name = &*(*address as *const CommandName);
            let bytes = std::ptr::from_ref(name).add(1).cast::<u8>();
            (name, std::slice::from_raw_parts(bytes, name.name_len as usize))
        };
        let family = (name.family as usize).checked_sub(1).and_then(|at| FAMILIES.get(at));
        Named {
            name: String::from_utf8_lossy(bytes).into_owned(),
            family: family.copied().unwrap_or_default(),
        }
    };
    addresses.iter().map(named).collect()
}

fn segment(address: &AtomicU64) -> Option<&CommandSegment> {
    // SAFETY: 0, or set once to a segment that is complete by then, stays as long as the counters that
    // it belongs to, and is all atomics but for what is reserved.
    unsafe { (address.load(Acquire) as *const CommandSegment).as_ref() }
}

fn histogram(stat: &CommandStat) -> Option<&Histogram> {
    // SAFETY: 0, or set once to a histogram that stays as long as the counters, all atomics.
    unsafe { (stat.histogram.load(Acquire) as *const Histogram).as_ref() }
}
