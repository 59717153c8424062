//! A worker's timers: at most one a client.

use std::collections::BTreeSet;

/// Clients by the time they are to be looked at, Unix ms.
///
/// The caller keeps each client's armed time, so that a timer can be found again. A client whose
/// deadline moves later keeps its earlier timer and is armed anew when that goes off: blocking
/// again and again with the same time-out costs nothing.
#[derive(Default)]
pub struct Timers {
    due: BTreeSet<(u64, u32)>,
}

impl Timers {
    /// Sees to it that a timer goes off for the client in `slot` at `deadline_ms` or before.
    pub fn arm(&mut self, slot: u32, armed_ms: &mut u64, deadline_ms: u64) {
        if *armed_ms != 0 && *armed_ms <= deadline_ms {
            return;
        }
        self.disarm(slot, armed_ms);
        self.due.insert((deadline_ms, slot));
        *armed_ms = deadline_ms;
    }

    /// Removes the client's timer, if it has one.
    pub fn disarm(&mut self, slot: u32, armed_ms: &mut u64) {
        if *armed_ms != 0 {
            self.due.remove(&(*armed_ms, slot));
            *armed_ms = 0;
        }
    }

    /// When the next timer goes off.
    pub fn next_ms(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out a client whose time has come. Its armed time is to be set to 0.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<u32> {
        self.next_ms().filter(|at| *at <= now_ms)?;
        self.due.pop_first().map(|(_, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_timer_a_client_the_earliest() {
        let (mut timers, mut armed) = (Timers::default(), 0);
        timers.arm(1, &mut armed, 50);
        timers.arm(1, &mut armed, 80);
        assert_eq!((armed, timers.due.len()), (50, 1), "a later deadline keeps the timer");
        timers.arm(1, &mut armed, 20);
        assert_eq!((armed, timers.due.len()), (20, 1), "an earlier one replaces it");
        assert_eq!(timers.pop_due(19), None);
        assert_eq!(timers.pop_due(20), Some(1));
        assert_eq!(timers.next_ms(), None);
    }

    #[test]
    fn equal_times_keep_both_clients() {
        let mut timers = Timers::default();
        let (mut a, mut b) = (0, 0);
        timers.arm(1, &mut a, 5);
        timers.arm(2, &mut b, 5);
        timers.disarm(1, &mut a);
        assert_eq!(timers.pop_due(9), Some(2));
        assert_eq!(timers.pop_due(9), None);
    }
}
