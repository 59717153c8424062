//! Watches what a version that is being proven does, and compares it with the one before.
//!
//! A canary is compared with what serves the others, in the same time. What serves all has nobody to
//! be compared with: against what was before, it can only become suspect. Then the one before, which
//! is held ready, serves half of the connections for a few seconds, and what both do in the same time
//! decides. So noise that has begun in between puts nothing back.

use std::time::{Duration, Instant};

use abi::host::HostRef;

use super::carried::Carried;
use super::guard::{self, Evidence, Memory};
use super::meter;
use super::plan::Limits;
use crate::arena::counted::{self, Counted};
use crate::logic::generation::Counts;

/// How long a window of time is.
pub const WINDOW: Duration = Duration::from_millis(500);
/// Windows kept.
const WINDOWS_MAX: usize = 40;
/// Windows after a change of who serves whom that are not looked at: code is cold, waits end.
const UNSETTLED: usize = 1;
/// Windows after which a comparison that has found nothing ends.
const COMPARED: usize = 8;
/// The same, where few commands come.
const COMPARED_MAX: usize = 24;
/// Windows after it in which nothing is suspected again.
const QUIET: usize = 20;
/// Windows in a row in which memory has grown too much.
const GROWN: usize = 3;

/// With what the candidate is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Against {
    /// With what serves others in the same time.
    Beside,
    /// With what was counted before.
    Before(Box<Counted>),
    /// As `Beside`, because it has become suspect.
    Comparing,
}

/// What follows from a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does worse, for this reason.
    Worse(String),
    /// It may do worse.
    Suspect(String),
    /// It does not, after all.
    Cleared(String),
}

/// What is watched.
pub struct Watcher {
    host: HostRef,
    limits: Limits,
    counts: Counts,
    against: Against,
    next: Instant,
    last: [Counted; 2],
    /// The candidate's, and those of what it is compared with.
    windows: [Vec<Counted>; 2],
    unsettled: usize,
    quiet: usize,
    memory: (Memory, Memory),
    grown: usize,
}

impl Watcher {
    /// Watches what counts in `counts` from now on. `memory`: what it was when the version before began
    /// to serve, and is now.
    pub fn begin(
        host: HostRef,
        limits: Limits,
        counts: Counts,
        against: Against,
        memory: (Memory, Memory),
    ) -> Self {
        Self {
            host,
            limits,
            counts,
            against,
            next: Instant::now() + WINDOW,
            last: [meter::now(host, counts), meter::now(host, counts.other())],
            windows: [Vec::new(), Vec::new()],
            unsettled: UNSETTLED,
            quiet: 0,
            memory,
            grown: 0,
        }
    }

    /// How long until the next look.
    pub fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Others are served by what it is compared with than before.
    pub fn changed(&mut self, against: Against) {
        self.against = against;
        self.windows = [Vec::new(), Vec::new()];
        self.unsettled = UNSETTLED;
        self.last = [self.counts, self.counts.other()].map(|counts| meter::now(self.host, counts));
    }

    /// What memory was when the version before began to serve.
    pub fn since(&mut self, memory: Memory) {
        self.memory.0 = memory;
    }

    /// Looks, if it is time; always at the panics.
    pub fn look(&mut self, panics: u64, own_bytes: i64, carried: &Carried) -> Option<Verdict> {
        let is_due = self.left().is_zero();
        if is_due {
            self.next = Instant::now() + WINDOW;
        }
        if let Some(max) = self.limits.panics.filter(|max| panics > *max) {
            let text = format!("{panics} calls into it ended in a panic; {max} are allowed");
            return Some(Verdict::Worse(text));
        }
        if !is_due {
            return None;
        }
        let ended = self.end_window();
        self.look_at_memory(own_bytes, carried).or_else(|| self.look_at_windows(ended))
    }

    /// What was counted since the last look.
    fn end_window(&mut self) -> [Counted; 2] {
        let now = [self.counts, self.counts.other()].map(|counts| meter::now(self.host, counts));
        let before = std::mem::replace(&mut self.last, now.clone());
        let [now, other] = now;
        [now.since(&before[0]), other.since(&before[1])]
    }

    fn look_at_memory(&mut self, own_bytes: i64, carried: &Carried) -> Option<Verdict> {
        let changes = self.last[0].changes + self.last[1].changes;
        let used_bytes = carried.memory.used_bytes;
        let now = Memory { used_bytes, own_bytes, keys: carried.keys, changes };
        let (earlier, start) = self.memory;
        let found = guard::grows(&self.limits, earlier, start, now);
        self.grown = if found.is_some() { self.grown + 1 } else { 0 };
        found.filter(|_| self.grown >= GROWN).map(Verdict::Worse)
    }

    fn look_at_windows(&mut self, ended: [Counted; 2]) -> Option<Verdict> {
        if self.unsettled > 0 {
            self.unsettled -= 1;
            return None;
        }
        for (windows, window) in self.windows.iter_mut().zip(ended) {
            if windows.len() == WINDOWS_MAX {
                windows.remove(0);
            }
            windows.push(window);
        }
        let names = counted::names(self.host);
        let [candidate, others] = &self.windows;
        let before = match &self.against {
            Against::Before(before) => before.as_ref().clone(),
            Against::Beside | Against::Comparing => guard::sum(others),
        };
        let is_same_time = !matches!(self.against, Against::Before(_));
        let evidence = Evidence {
            names: &names,
            limits: &self.limits,
            candidate,
            before: &before,
            is_same_time,
        };
        match (&self.against, evidence.finding()) {
            (Against::Beside | Against::Comparing, Some(found)) => Some(Verdict::Worse(found)),
            (Against::Before(_), Some(found)) if self.quiet == 0 => Some(Verdict::Suspect(found)),
            (Against::Comparing, None)
                if candidate.len() >= COMPARED_MAX
                    || candidate.len() >= COMPARED && evidence.is_enough() =>
            {
                self.quiet = QUIET;
                let text = match evidence.is_enough() {
                    true => "side by side it does no worse",
                    false => "too few commands came to compare it side by side",
                };
                Some(Verdict::Cleared(text.to_owned()))
            }
            _ => {
                self.quiet = self.quiet.saturating_sub(1);
                None
            }
        }
    }
}
