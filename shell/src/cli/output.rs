//! How results are printed.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::refusal::Refusal;

/// Prints a text for people or, with `json`, the value.
pub fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) {
    if json {
        line(&serde_json::to_string(value).unwrap_or_else(|e| e.to_string()));
    } else {
        line(text(value).trim_end());
    }
}

/// Prints why something was refused; returns the exit status that says so.
pub fn refuse(json: bool, refusal: &Refusal) -> ExitCode {
    if json {
        line(&refusal.to_json().to_string());
    } else {
        eprintln!("error: {refusal} ({})", refusal.code.row().name);
        eprintln!("hint: {}", refusal.hint);
    }
    ExitCode::from(refusal.code.row().exit)
}

/// Prints a line. A reader that has gone away needs none.
pub fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        IS_READ.store(false, Ordering::Relaxed);
    }
}

static IS_READ: AtomicBool = AtomicBool::new(true);

/// Whether what was printed so far has found a reader.
pub fn is_read() -> bool {
    IS_READ.load(Ordering::Relaxed)
}

/// A duration as people read it.
pub fn time(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.1} us"),
        us if us < 1_000_000.0 => format!("{:.2} ms", us / 1_000.0),
        us => format!("{:.2} s", us / 1_000_000.0),
    }
}

/// Unix milliseconds as `2026-01-31 12:00:00 UTC`.
pub fn date(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The Gregorian date of a day counted from 1970. Counts in 400-year eras that begin on 1 March, so
/// that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let check = |seconds: u64, expect: &str| assert_eq!(date(seconds * 1000), expect);
        check(0, "1970-01-01 00:00:00 UTC");
        check(951_782_400, "2000-02-29 00:00:00 UTC");
        check(1_740_787_199, "2025-02-28 23:59:59 UTC");
        check(4_102_444_800, "2100-01-01 00:00:00 UTC");
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        assert_eq!(time(0.25), "0.2 us");
        assert_eq!(time(1_500.0), "1.50 ms");
        assert_eq!(time(2_000_000.0), "2.00 s");
    }
}
