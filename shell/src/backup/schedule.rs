//! When backups are made by themselves. Pure: the time is given.
//!
//! Invariant: a look at the time makes one backup at most, however far it is from the look before; and
//! a moment that has had its backup has no other unless the clock went back by more than the time
//! from it to the next.
#![forbid(unsafe_code)]

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};

/// A clock that was put back by less than this has not been: others look at it too.
const STEP_MS: u64 = 1000;

/// Reads an expression of cron, of five fields, or of six that begin with seconds.
///
/// # Errors
/// What is wrong with it, and what was expected.
pub fn parse(text: &str) -> Result<Cron, String> {
    const HINT: &str = "give minute, hour, day of the month, month and day of the week, in UTC, as in \
                        \"30 3 * * *\"";
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    let cron = parser.parse(text).map_err(|error| format!("{error}; {HINT}"))?;
    match after(&cron, 0) {
        Some(_) => Ok(cron),
        None => Err(format!("there is no such time; {HINT}")),
    }
}

/// The first moment of an expression behind a time, in Unix ms.
fn after(cron: &Cron, ms: u64) -> Option<u64> {
    let time = DateTime::<Utc>::from_timestamp_millis(i64::try_from(ms).ok()?)?;
    let next = cron.find_next_occurrence(&time, false).ok()?;
    u64::try_from(next.timestamp_millis()).ok()
}

/// What it goes by.
pub struct Schedule {
    text: String,
    cron: Option<Cron>,
    next_ms: Option<u64>,
    /// When it was looked at last.
    seen_ms: u64,
    /// The moment that had the last backup.
    done_ms: u64,
}

impl Schedule {
    /// One that has not been told an expression.
    pub const NEVER: Self =
        Self { text: String::new(), cron: None, next_ms: None, seen_ms: 0, done_ms: 0 };

    /// The next moment, in Unix ms.
    pub fn next_ms(&self) -> Option<u64> {
        self.next_ms
    }

    /// Whether a backup is due now, by an expression: empty for none. One that is wrong is none.
    pub fn is_due(&mut self, text: &str, now_ms: u64) -> bool {
        let went_back = now_ms + STEP_MS < self.seen_ms;
        self.seen_ms = now_ms;
        if text != self.text {
            self.text = text.to_owned();
            self.cron = if text.is_empty() { None } else { parse(text).ok() };
            self.done_ms = 0;
            self.plan(now_ms);
            return false;
        }
        if went_back {
            self.plan(now_ms);
        }
        let Some(next_ms) = self.next_ms.filter(|next_ms| now_ms >= *next_ms) else { return false };
        self.done_ms = next_ms;
        self.plan(now_ms);
        true
    }

    fn plan(&mut self, now_ms: u64) {
        let Some(cron) = &self.cron else {
            self.next_ms = None;
            return;
        };
        // What was done is not done again because the clock was put right.
        let period_ms = after(cron, self.done_ms).map_or(0, |next_ms| next_ms - self.done_ms);
        let is_near = self.done_ms > now_ms && self.done_ms - now_ms <= period_ms;
        self.next_ms = after(cron, if is_near { self.done_ms } else { now_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    /// 2026-11-28 00:00:00 UTC
    const NOW: u64 = 1_795_824_000_000;

    fn at(text: &str, now_ms: u64) -> Schedule {
        let mut schedule = Schedule::NEVER;
        assert!(!schedule.is_due(text, now_ms), "not at once");
        schedule
    }

    #[test]
    fn moments_are_told_and_come_once() {
        let text = "30 3 * * *";
        let mut schedule = at(text, NOW);
        let due = NOW + 3 * HOUR + 30 * MINUTE;
        assert_eq!(schedule.next_ms(), Some(due));
        assert!(!schedule.is_due(text, due - 1));
        assert!(schedule.is_due(text, due + 400));
        assert!(!schedule.is_due(text, due + 1400));
        assert_eq!(schedule.next_ms(), Some(due + DAY));
        assert!(!schedule.is_due("", due + 2 * DAY) && schedule.next_ms().is_none());
        let seconds = at("*/10 * * * * *", NOW);
        assert_eq!(seconds.next_ms(), Some(NOW + 10_000));
    }

    #[test]
    fn a_clock_that_leaps_ahead_makes_one_backup() {
        let text = "0 * * * *";
        let mut schedule = at(text, NOW);
        let later = NOW + 300 * DAY + MINUTE;
        assert!(schedule.is_due(text, later));
        assert!(!schedule.is_due(text, later + 1000));
        assert_eq!(schedule.next_ms(), Some(NOW + 300 * DAY + HOUR));
    }

    #[test]
    fn a_clock_that_is_put_right_does_not_repeat_a_moment() {
        let text = "0 * * * *";
        let mut schedule = at(text, NOW);
        assert!(schedule.is_due(text, NOW + HOUR));
        for back in [2000, MINUTE, 59 * MINUTE] {
            assert!(!schedule.is_due(text, NOW + HOUR - back), "{back}");
            assert_eq!(schedule.next_ms(), Some(NOW + 2 * HOUR), "{back}");
        }
        assert!(!schedule.is_due(text, NOW + HOUR + 1));
        assert!(schedule.is_due(text, NOW + 2 * HOUR));
    }

    #[test]
    fn a_clock_that_was_years_ahead_is_no_reason_to_wait_for_years() {
        let text = "0 * * * *";
        let mut schedule = at(text, NOW + 2000 * DAY);
        assert!(schedule.is_due(text, NOW + 2000 * DAY + HOUR));
        assert!(!schedule.is_due(text, NOW));
        assert_eq!(schedule.next_ms(), Some(NOW + HOUR));
        assert!(schedule.is_due(text, NOW + HOUR));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        for text in ["x", "* * * *", "61 * * * *", "0 0 31 2 *", "1 2 3 4 5 6 7 8"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("30 3 * * *"), "{text}: {error}");
        }
        for text in ["0 3 * * *", "@daily", "*/15 2-4 * * MON-FRI", "0 0 3 * * *"] {
            parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}
