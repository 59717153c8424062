//! What follows from the end of a server.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::board::Stage;

/// How often a server may end unasked within a minute, unless the operator says otherwise.
pub const CRASHES_MAX: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);
/// Exit status of a keeper that has given up.
pub const EXIT_GAVE_UP: u8 = 8;
/// Exit status of a server that could not go on with an arena: no other one could.
pub const EXIT_UNUSABLE: u8 = 9;
/// What it says then.
pub const GAVE_UP: &str = "the server has ended again and again; its log says how. With --arena FILE \
    its memory is still in the file, for `shell check-arena`";

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with a status.
    Exited(u8),
    /// By a signal.
    Signalled(u8),
    /// Nobody has seen how: it was another process's child.
    Unseen,
}

impl End {
    /// As a number.
    pub const fn encode(self) -> u32 {
        match self {
            Self::Exited(status) => status as u32,
            Self::Signalled(signal) => 1 << 8 | signal as u32,
            Self::Unseen => 2 << 8,
        }
    }

    /// The end of a number.
    pub const fn decode(number: u32) -> Self {
        match number >> 8 {
            0 => Self::Exited(number as u8),
            1 => Self::Signalled(number as u8),
            _ => Self::Unseen,
        }
    }

    /// The exit status to pass on.
    pub const fn status(self) -> u8 {
        match self {
            Self::Unseen => 1,
            Self::Exited(status) => status,
            Self::Signalled(signal) => 128_u8.saturating_add(signal),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
            Self::Unseen => f.write_str("unseen"),
        }
    }
}

/// What the keeper does.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It starts another server, which goes on.
    Again,
    /// It has a server of another build go on.
    Replace,
    /// It ends, with this status.
    End(u8),
    /// It ends, as servers end again and again.
    GiveUp,
}

/// What follows from the end of a server that had come so far, the first or another. `crashes`: of
/// those that ended unasked it is how many within a minute, this one included; `max`: so many are
/// allowed.
///
/// A first server that has never served had nothing to go on with: what is wrong is told by its status.
pub fn of(end: End, stage: Stage, is_first: bool, crashes: usize, max: usize) -> Verdict {
    if stage == Stage::HandsOver {
        return Verdict::Replace;
    }
    // Before a server can act on one of these signals, it is ended by it.
    const ASKED: [u8; 3] = [libc::SIGTERM as u8, libc::SIGINT as u8, libc::SIGQUIT as u8];
    let is_asked = matches!(end, End::Signalled(signal) if ASKED.contains(&signal));
    let is_final = is_asked || matches!(end, End::Exited(0 | EXIT_UNUSABLE));
    if is_final || stage == Stage::Stopping || stage == Stage::Starting && is_first {
        return Verdict::End(end.status());
    }
    if crashes > max { Verdict::GiveUp } else { Verdict::Again }
}

/// The last times at which a server ended unasked.
pub struct Ends {
    max: usize,
    times: VecDeque<Instant>,
}

impl Ends {
    /// None so far; `max` within a minute are allowed.
    pub fn new(max: usize) -> Self {
        Self { max, times: VecDeque::with_capacity(max.saturating_add(1)) }
    }

    /// How many are allowed.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Notes one. Returns how many there were within a minute.
    pub fn note(&mut self, now: Instant) -> usize {
        if self.times.len() > self.max {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.times.iter().filter(|at| now.duration_since(**at) < MINUTE).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        use Stage::{HandsOver, Serving, Starting, Stopping};
        const KILLED: End = End::Signalled(9);
        for (end, stage, is_first, crashes, expect) in [
            (End::Exited(0), Serving, true, 1, Verdict::End(0)),
            (End::Exited(3), Starting, true, 1, Verdict::End(3)),
            (KILLED, Starting, true, 1, Verdict::End(137)),
            (KILLED, Serving, true, 1, Verdict::Again),
            (End::Exited(6), Serving, false, 1, Verdict::Again),
            (KILLED, Starting, false, 2, Verdict::Again),
            (End::Signalled(15), Starting, false, 2, Verdict::End(143)),
            (End::Exited(EXIT_UNUSABLE), Starting, false, 2, Verdict::End(EXIT_UNUSABLE)),
            (End::Exited(1), Stopping, true, 1, Verdict::End(1)),
            (KILLED, Stopping, true, 1, Verdict::End(137)),
            (End::Unseen, Serving, true, 1, Verdict::Again),
            (End::Exited(0), HandsOver, true, 1, Verdict::Replace),
            (KILLED, HandsOver, false, 9, Verdict::Replace),
            (KILLED, Serving, false, 5, Verdict::Again),
            (KILLED, Serving, false, 6, Verdict::GiveUp),
        ] {
            assert_eq!(of(end, stage, is_first, crashes, 5), expect, "{end:?} {stage:?} {crashes}");
            assert_eq!(End::decode(end.encode()), end);
        }
    }

    #[test]
    fn ends_of_the_last_minute_count() {
        let (mut ends, begin) = (Ends::new(2), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let counts = [0, 1, 2, 3, 61, 62, 200].map(|seconds| ends.note(at(seconds)));
        assert_eq!(counts, [1, 2, 3, 3, 3, 3, 1]);
    }
}
