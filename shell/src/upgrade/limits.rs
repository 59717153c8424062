//! How long the staging thread may take, and what becomes of what hangs.
//!
//! A thread inside a library cannot be stopped. It is left where it is, another takes its place,
//! and what it finishes one day is thrown away. A library that hangs while the dynamic linker runs
//! its initialisers holds the linker's lock too: then nothing else can be loaded in this process.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::phase::Event;
use crate::refusal::{Code, Refusal};

/// For copying a library: a disk that is slower than this does not answer.
const STAGE_MAX: Duration = Duration::from_secs(60);
/// For what the trial's parent does beside waiting for its child, which has a limit of its own.
const BESIDE_TRIAL_MAX: Duration = Duration::from_secs(60);
const NEVER: Duration = Duration::from_secs(3600);

/// What the staging thread is given to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Copying and checking a library.
    Stage,
    /// Trying it out.
    Verify,
    /// Loading it.
    Load,
    /// Unloading the generation with this number.
    Unload(u64),
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Stage => "copying the library",
            Self::Verify => "trying the library out",
            Self::Load => "loading the library",
            Self::Unload(_) => "unloading a library",
        }
    }
}

/// What the thread has to do, in order, and since when it is at the first.
pub(super) struct Watch {
    time_limit: Duration,
    works: VecDeque<Work>,
    since: Instant,
}

impl Watch {
    /// Nothing. `time_limit`: for calls into a library.
    pub(super) fn new(time_limit: Duration) -> Self {
        Self { time_limit, works: VecDeque::new(), since: Instant::now() }
    }

    /// The thread was given something more.
    pub(super) fn begin(&mut self, work: Work) {
        if self.works.is_empty() {
            self.since = Instant::now();
        }
        self.works.push_back(work);
    }

    /// It has done what it was at.
    pub(super) fn end(&mut self) {
        self.works.pop_front();
        self.since = Instant::now();
    }

    /// How long it may still take.
    pub(super) fn left(&self) -> Duration {
        let first = self.works.front();
        first.map_or(NEVER, |work| self.limit(*work).saturating_sub(self.since.elapsed()))
    }

    /// What it should have done by now. It is not waited for any more.
    fn take_overdue(&mut self) -> Option<(Work, Duration)> {
        let work = *self.works.front()?;
        let limit = self.limit(work);
        if self.since.elapsed() < limit {
            return None;
        }
        self.end();
        Some((work, limit))
    }

    fn limit(&self, work: Work) -> Duration {
        match work {
            Work::Stage => STAGE_MAX,
            Work::Verify => self.time_limit + BESIDE_TRIAL_MAX,
            Work::Load | Work::Unload(_) => self.time_limit,
        }
    }
}

impl Driver {
    /// Gives up on what takes too long.
    pub(super) fn give_up_overdue(&mut self) {
        let Some((work, limit)) = self.watch.take_overdue() else { return };
        let message = format!("{} has not ended within {limit:?}, and is given up", work.name());
        tracing::error!("{message}");
        let refusal = Refusal::new(Code::LoadHung, message);
        if let Err(error) = self.stager.relieve() {
            tracing::error!(%error, "there is no thread to stage further upgrades on");
        }
        let event = match work {
            Work::Unload(number) => {
                self.unloaded(number, Err(refusal), limit);
                Event::Unloaded(number)
            }
            Work::Stage | Work::Verify | Work::Load => self.failed(refusal),
        };
        self.step(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_is_what_is_waited_for() {
        let mut watch = Watch::new(Duration::ZERO);
        assert_eq!((watch.left(), watch.take_overdue()), (NEVER, None));
        watch.begin(Work::Stage);
        watch.begin(Work::Unload(3));
        assert!(watch.left() > Duration::from_secs(1));
        assert_eq!(watch.take_overdue(), None);
        watch.end();
        assert_eq!(watch.take_overdue(), Some((Work::Unload(3), Duration::ZERO)));
        assert_eq!(watch.left(), NEVER);
    }
}
