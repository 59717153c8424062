//! What the kernel ends first when memory runs out: `oom-score-adj`.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::sync::{Mutex, PoisonError};

const FILE: &str = "/proc/self/oom_score_adj";
const SCORES: std::ops::RangeInclusive<i32> = -1000..=1000;

/// How the score of the settings is meant, by the number of the setting's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The score stays what whoever started the process made it.
    No,
    /// It is added to that.
    Relative,
    /// It is that.
    Absolute,
}

impl Mode {
    /// The mode of a number.
    pub fn from_number(number: u64) -> Self {
        match number {
            0 => Self::No,
            1 => Self::Relative,
            _ => Self::Absolute,
        }
    }
}

/// The score before it was changed, while it is.
static BEFORE: Mutex<Option<i32>> = Mutex::new(None);

/// Makes the process's score what the mode and the first of the scores say.
///
/// # Errors
/// It cannot be read or written: without privileges it can be raised only.
pub fn apply(mode: Mode, scores: &str) -> io::Result<()> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let score = scores.split(' ').next().and_then(|score| score.parse().ok()).unwrap_or(0);
    let base = match *before {
        Some(base) => base,
        None if mode == Mode::No => return Ok(()),
        None => *before.insert(read()?),
    };
    if mode == Mode::No {
        // Whoever changes it from now on says what is next added to.
        *before = None;
    }
    fs::write(FILE, wanted(mode, base, score).to_string())
}

fn read() -> io::Result<i32> {
    fs::read_to_string(FILE)?.trim().parse().map_err(io::Error::other)
}

fn wanted(mode: Mode, base: i32, score: i32) -> i32 {
    let wanted = match mode {
        Mode::No => base,
        Mode::Relative => base.saturating_add(score),
        Mode::Absolute => score,
    };
    wanted.clamp(*SCORES.start(), *SCORES.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stay_within_what_the_kernel_takes() {
        for (mode, base, score, expect) in [
            (Mode::No, 7, 100, 7),
            (Mode::Relative, 7, 100, 107),
            (Mode::Relative, 900, 800, 1000),
            (Mode::Relative, -900, -2000, -1000),
            (Mode::Absolute, 7, 100, 100),
        ] {
            assert_eq!(wanted(mode, base, score), expect, "{mode:?} {base} {score}");
        }
    }
}
