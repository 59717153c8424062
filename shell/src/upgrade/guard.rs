//! Whether one version does worse than another: from what both have counted, nothing else.
//!
//! A percentile is not compared with a percentile, which says nothing of how sure it is. It is
//! counted how many of the candidate's commands took longer than the limit that follows from the
//! same command of the version before. One in a hundred may, that is what a 99th percentile means. The
//! same is asked of the median, for where a few commands take very long on both sides the 99th
//! percentile tells late.
//! It does worse where so many more do that chance does not explain it (a Wilson interval, four
//! standard deviations wide to each side), in nearly every short window of time as well as in all of
//! them together: a noisy moment is one window. Commands of a family are judged together, each by
//! its own limit, so that a different mixture of them is no difference.

use std::collections::BTreeMap;

use abi::stats::longest_in;

use super::plan::Limits;
use crate::arena::counted::{Command, Counted, Named};

/// Windows of time that must have something to say.
const WINDOWS_MIN: usize = 3;
/// Of those, how many in a hundred must say so.
const AGREEING_PERCENT: usize = 80;
/// Commands on either side without which nothing is concluded.
const COMMANDS_MIN: u64 = 100;
/// The same, in one window.
const COMMANDS_IN_WINDOW_MIN: u64 = 10;
/// From so many commands on either side something rare would have shown too.
const COMMANDS_ENOUGH: u64 = 1_000;
/// Standard deviations that chance is granted.
const DEVIATIONS: f64 = 4.0;
/// What is compared: its name, and which share may take longer.
const PERCENTILES: [(&str, f64); 2] = [("p99", 0.01), ("p50", 0.5)];
/// By less than this no command is slower, in nanoseconds: that is how far clocks and caches go.
const SLOWER_MIN_NS: u64 = 2_000;
/// The same where the candidate runs few of the commands: its code is out of the caches between them.
const SLOWER_MIN_NS_OF_FEW: u64 = 50_000;
/// From this share of the commands on they are not few, in percent.
const FEW_PERCENT: u64 = 20;
/// By less than this memory has not grown: buffers come and go.
const GROWN_MIN_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// Changes without which it is not known what a change takes.
const CHANGES_MIN: u64 = 1_000;
/// What a new key may take more than those before.
const LARGER_KEYS: f64 = 1.5;

/// What is compared.
pub struct Evidence<'a> {
    /// Names of commands, by slot.
    pub names: &'a [Named],
    /// What counts as worse.
    pub limits: &'a Limits,
    /// What the candidate has counted, in windows of time that follow one another.
    pub candidate: &'a [Counted],
    /// What the version before has counted.
    pub before: &'a Counted,
    /// Whether it was in the same time.
    pub is_same_time: bool,
}

/// Memory, at two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Memory {
    /// Bytes in use in the arena.
    pub used_bytes: u64,
    /// Bytes that the candidate itself has, beside the arena.
    pub own_bytes: i64,
    /// Keys.
    pub keys: u64,
    /// Changes so far.
    pub changes: u64,
}

impl Evidence<'_> {
    /// In what the candidate does worse, with the figures; none if it does not, or nothing can be
    /// concluded.
    pub fn finding(&self) -> Option<String> {
        self.fails_more().or_else(|| self.is_slower())
    }

    /// Whether there was enough on both sides for a difference to show.
    pub fn is_enough(&self) -> bool {
        let commands: u64 = self.candidate.iter().map(|window| window.commands).sum();
        self.candidate.len() >= WINDOWS_MIN && commands.min(self.before.commands) >= COMMANDS_ENOUGH
    }

    fn fails_more(&self) -> Option<String> {
        let limit = self.limits.errors? / 100.0;
        let before = Rate::of(self.before);
        let rates: Vec<Rate> = self.candidate.iter().map(Rate::of).collect();
        let all = rates.iter().fold(Rate::default(), |sum, rate| sum.and(*rate));
        if all.of.min(before.of) < COMMANDS_MIN || all.above(before) <= limit {
            return None;
        }
        let is_more = |rate: &Rate| rate.share() - before.share() > limit;
        if !agree(rates.iter().filter(|rate| rate.of >= COMMANDS_IN_WINDOW_MIN).map(is_more)) {
            return None;
        }
        let kinds = self.kinds_of_errors();
        Some(format!(
            "{:.2}% of {} commands ended with an error, {:.2}% of {} before; +{}% is allowed{kinds}",
            all.share() * 100.0,
            all.of,
            before.share() * 100.0,
            before.of,
            limit * 100.0
        ))
    }

    /// Which commands fail more often than before, and how.
    fn kinds_of_errors(&self) -> String {
        let all = sum(self.candidate);
        let per = |count: u64, of: &Counted| count as f64 / (of.commands.max(1)) as f64;
        let mut kinds: Vec<(f64, String)> = Vec::new();
        for (slot, command) in &all.by_command {
            let before = self.before.by_command.get(slot);
            let more = |of: fn(&Command) -> u64| {
                per(of(command), &all) - before.map_or(0.0, |before| per(of(before), self.before))
            };
            let name = self.name(*slot).to_uppercase().replace('|', " ");
            kinds.push((more(|c| c.failed), format!("{name} failed")));
            kinds.push((more(|c| c.rejected), format!("{name} refused")));
        }
        kinds.retain(|(more, _)| *more > 0.0);
        kinds.sort_by(|a, b| b.0.total_cmp(&a.0));
        let first =
            kinds.iter().take(3).map(|(more, kind)| format!("{kind} +{:.2}%", more * 100.0));
        let first: Vec<String> = first.collect();
        if first.is_empty() { String::new() } else { format!(": {}", first.join(", ")) }
    }

    fn is_slower(&self) -> Option<String> {
        let factor = self.limits.p99?;
        let all = sum(self.candidate);
        let few = all.commands * 100 < (all.commands + self.before.commands) * FEW_PERCENT;
        let least = if few && self.is_same_time { SLOWER_MIN_NS_OF_FEW } else { SLOWER_MIN_NS };
        PERCENTILES.iter().find_map(|(name, above)| {
            let limit = |of: &Command| {
                let before = highest(&of.durations, 1.0 - above)?;
                Some(((before as f64 * factor) as u64).max(before + least))
            };
            let mut families: BTreeMap<&str, Vec<(u32, u64)>> = BTreeMap::new();
            for (slot, command) in &self.before.by_command {
                if let Some(limit) = limit(command) {
                    families.entry(self.family(*slot)).or_default().push((*slot, limit));
                }
            }
            let mut families = families.into_iter();
            families.find_map(|(family, commands)| {
                let family = Family { name: family, commands };
                self.is_family_slower(&family, (name, *above), &all)
            })
        })
    }

    fn is_family_slower(
        &self,
        family: &Family<'_>,
        (percentile, above): (&str, f64),
        all: &Counted,
    ) -> Option<String> {
        let total = family.slow(all);
        if total.of < COMMANDS_MIN || total.lowest() <= above {
            return None;
        }
        let windows = self.candidate.iter().map(|window| family.slow(window));
        let said = windows.filter(|rate| rate.of >= COMMANDS_IN_WINDOW_MIN);
        if !agree(said.map(|rate| rate.share() > above)) {
            return None;
        }
        let (slot, limit) = family.slowest(all)?;
        let us = |of: &Counted| {
            let durations = of.by_command.get(&slot).map_or(&[][..], |c| &c.durations);
            at_share(durations, 1.0 - above).unwrap_or(0) as f64 / 1000.0
        };
        Some(format!(
            "{percentile} of {} is {:.1} us, {:.1} us before, and {:.1} us are allowed; of {} commands \
             of the family '{}' {:.1}% took longer than theirs",
            self.name(slot).to_uppercase().replace('|', " "),
            us(all),
            us(self.before),
            limit as f64 / 1000.0,
            total.of,
            family.name,
            total.share() * 100.0
        ))
    }

    fn name(&self, slot: u32) -> &str {
        self.names.get(slot as usize).map_or("a command", |named| &named.name)
    }

    fn family(&self, slot: u32) -> &'static str {
        self.names.get(slot as usize).map_or("", |named| named.family)
    }
}

/// Whether memory has grown by more than is explained: by keys that have come, by what changes took
/// before, from `earlier` to `start`. `now` is some time after `start`.
pub fn grows(limits: &Limits, earlier: Memory, start: Memory, now: Memory) -> Option<String> {
    let limit = limits.memory? / 100.0;
    let allowed = (start.used_bytes as f64 * limit).max(GROWN_MIN_BYTES);
    let own = (now.own_bytes - start.own_bytes) as f64;
    if own > allowed {
        let text = "the library has taken {own} bytes for itself since it serves";
        return Some(told(text, own, allowed));
    }
    let changes = now.changes.wrapping_sub(start.changes);
    let changes_before = start.changes.wrapping_sub(earlier.changes);
    let grown_before = start.used_bytes.saturating_sub(earlier.used_bytes);
    if changes > 0 && changes_before < CHANGES_MIN {
        return None;
    }
    let by_changes = grown_before as f64 / changes_before.max(1) as f64 * changes as f64;
    let key_bytes = start.used_bytes as f64 / start.keys.max(1) as f64;
    let by_keys = now.keys.saturating_sub(start.keys) as f64 * key_bytes * LARGER_KEYS;
    let grown = now.used_bytes as f64 - start.used_bytes as f64 - by_changes.max(by_keys);
    let text = "{own} bytes more are in use than changes and new keys explain";
    (grown > allowed).then(|| told(text, grown, allowed))
}

fn told(text: &str, bytes: f64, allowed: f64) -> String {
    format!("{}; {allowed:.0} are allowed", text.replace("{own}", &format!("{bytes:.0}")))
}

/// The sum of windows.
pub fn sum(windows: &[Counted]) -> Counted {
    let mut all = Counted::default();
    windows.iter().for_each(|window| all.add(window));
    all
}

/// The commands of a family that can be compared, by slot, with how many nanoseconds each may take.
struct Family<'a> {
    name: &'a str,
    commands: Vec<(u32, u64)>,
}

impl Family<'_> {
    /// How many of its commands took longer than they may.
    fn slow(&self, of: &Counted) -> Rate {
        self.commands.iter().fold(Rate::default(), |sum, (slot, limit)| {
            let durations = of.by_command.get(slot).map_or(&[][..], |c| &c.durations);
            sum.and(Rate { hits: longer_than(durations, *limit), of: count(durations) })
        })
    }

    /// The command that did most often.
    fn slowest(&self, of: &Counted) -> Option<(u32, u64)> {
        let slow = self.commands.iter().filter_map(|(slot, limit)| {
            let durations = &of.by_command.get(slot)?.durations;
            Some((longer_than(durations, *limit), *slot, *limit))
        });
        slow.max().map(|(_, slot, limit)| (slot, limit))
    }
}

/// How many of how many.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    hits: u64,
    of: u64,
}

impl Rate {
    /// Errors of commands. Some errors are of no command.
    fn of(counted: &Counted) -> Self {
        Self { hits: counted.errors, of: counted.commands.max(counted.errors) }
    }

    fn and(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, of: self.of + other.of }
    }

    fn share(self) -> f64 {
        self.hits as f64 / self.of.max(1) as f64
    }

    /// The lower end of the Wilson interval.
    fn lowest(self) -> f64 {
        let (n, p, z) = (self.of.max(1) as f64, self.share(), DEVIATIONS);
        let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        (p + z * z / (2.0 * n) - spread) / (1.0 + z * z / n)
    }

    /// By how much this share is above another at least.
    fn above(self, other: Self) -> f64 {
        let variance = |rate: Self| rate.share() * (1.0 - rate.share()) / rate.of.max(1) as f64;
        self.share() - other.share() - DEVIATIONS * (variance(self) + variance(other)).sqrt()
    }
}

/// Whether nearly all windows say so, and there are enough of them.
fn agree(windows: impl Iterator<Item = bool>) -> bool {
    let said: Vec<bool> = windows.collect();
    let agreeing = said.iter().filter(|window| **window).count();
    agreeing >= WINDOWS_MIN && agreeing * 100 >= said.len() * AGREEING_PERCENT
}

fn count(durations: &[u64]) -> u64 {
    durations.iter().sum()
}

/// How many took longer than so many nanoseconds, for certain.
fn longer_than(durations: &[u64], ns: u64) -> u64 {
    let first = durations
        .iter()
        .enumerate()
        .position(|(bucket, _)| bucket > 0 && longest_in(bucket - 1) >= ns);
    first.map_or(0, |first| durations[first..].iter().sum())
}

/// The duration in nanoseconds that a share of them does not exceed. None without any.
pub fn at_share(durations: &[u64], share: f64) -> Option<u64> {
    let all = count(durations);
    at_rank(durations, (all as f64 * share).ceil() as u64).filter(|_| all > 0)
}

/// The same, as high as it may be in truth where so many were counted. None if they are too few.
fn highest(durations: &[u64], share: f64) -> Option<u64> {
    let all = count(durations);
    if all < COMMANDS_MIN {
        return None;
    }
    let spread = DEVIATIONS / 2.0 * (share * (1.0 - share) / all as f64).sqrt();
    at_rank(durations, ((share + spread).min(1.0) * all as f64).ceil() as u64)
}

fn at_rank(durations: &[u64], rank: u64) -> Option<u64> {
    let mut seen = 0;
    let reached = durations.iter().position(|count| {
        seen += count;
        seen >= rank.max(1)
    });
    reached.map(longest_in)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
