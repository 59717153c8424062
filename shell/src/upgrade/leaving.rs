//! Replaced generations: their grace periods, their unloading, and who waits to hear of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::board::{COUNTERS, Shown};
use super::driver::Driver;
use super::flight::{stage, tell};
use super::limits::Work;
use super::phase::Event;
use super::serving::Serving;
use super::staging::Job;
use super::{Report, Retirement, Update};
use crate::logic::generation::{Generation, Retiring};
use crate::logic::loaded::Unloaded;
use crate::refusal::{Code, Refusal};
use crate::worker::clock::unix_ms;
use crate::worker::held_up::{self, HeldUp};
use crate::worker::shared;

/// How long an answer waits for the replaced generation to be unloaded.
pub const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// Most grace periods end with the batches under way; until then it is looked at this often.
const LOOK: Duration = Duration::from_millis(1);
/// After this, a worker is known to be busy for longer.
const LONG: Duration = Duration::from_millis(200);
const LOOK_WHEN_LONG: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::from_secs(3600);

/// A replaced generation and who waits to hear of its end.
pub(super) struct Leaving {
    serving: Serving,
    hold: Hold,
    since: Instant,
    since_ms: u64,
    answer: Option<(Report, mpsc::Sender<Update>)>,
}

enum Hold {
    /// A lane may still use it.
    Draining(Retiring),
    /// No lane uses it.
    Drained(Box<Generation>),
    /// The staging thread has it.
    Unloading,
}

impl Leaving {
    pub(super) fn new(
        serving: Serving,
        retiring: Retiring,
        report: Report,
        updates: mpsc::Sender<Update>,
    ) -> Self {
        let (hold, since) = (Hold::Draining(retiring), Instant::now());
        Self { serving, hold, since, since_ms: unix_ms(), answer: Some((report, updates)) }
    }

    pub(super) fn show(&self) -> (Shown, Arc<AtomicU64>) {
        let state = match self.hold {
            Hold::Draining(_) => "retiring",
            Hold::Drained(_) | Hold::Unloading => "unloading",
        };
        let (shown, panics) = self.serving.show(state);
        (Shown { replaced_ms: Some(self.since_ms), ..shown }, panics)
    }

    /// Moves on if the grace period is over; whether it did.
    fn drain(self) -> (Self, bool) {
        let Hold::Draining(retiring) = self.hold else { return (self, false) };
        match retiring.reclaim() {
            Ok(generation) => (Self { hold: Hold::Drained(generation), ..self }, true),
            Err(retiring) => (Self { hold: Hold::Draining(retiring), ..self }, false),
        }
    }

    fn pass(&mut self, name: &str, took: Duration) {
        let Some((report, updates)) = &mut self.answer else { return };
        let stage = stage(name, took);
        tell(updates, Update::Stage(stage.clone()));
        report.stages.push(stage);
    }

    /// Answers, whether or not it is gone, with who is held up: those serve no client, whichever
    /// generation they are in.
    fn answer(&mut self) {
        let Some((mut report, updates)) = self.answer.take() else { return };
        let (server, held_up) = (shared::get(), held_up::all());
        let serve_none = held_up.iter().filter(|held_up| !held_up.serves_others).count();
        if server.is_none_or(|server| serve_none < server.workers() as usize) {
            report.warnings.extend(held_up.iter().map(HeldUp::to_string));
            return tell(&updates, Update::Done(Box::new(report)));
        }
        let message = format!(
            "{} serves as generation {}, but no client is served: {}",
            report.to.label(),
            report.generation,
            held_up::told(&held_up)
        );
        tracing::error!("{message}");
        tell(&updates, Update::Error(Refusal::new(Code::Stuck, message)));
    }
}

impl Driver {
    /// When [`Driver::look_at_leaving`] has something to do again.
    pub(super) fn next_look(&self) -> Duration {
        let draining = self.leaving.iter().filter(|l| matches!(l.hold, Hold::Draining(_)));
        let looks = draining.map(|l| if l.since.elapsed() < LONG { LOOK } else { LOOK_WHEN_LONG });
        let waiting = self.leaving.iter().filter(|l| l.answer.is_some());
        let answers = waiting.map(|l| ANSWER_WAIT.saturating_sub(l.since.elapsed()));
        looks.chain(answers).min().unwrap_or(NEVER)
    }

    /// Notices grace periods that are over, and answers who has waited long enough.
    pub(super) fn look_at_leaving(&mut self) {
        let mut drained = Vec::new();
        for leaving in std::mem::take(&mut self.leaving) {
            let (mut leaving, moved_on) = leaving.drain();
            if moved_on {
                leaving.pass("retired", leaving.since.elapsed());
                drained.push((leaving.serving.number, leaving.since.elapsed()));
            }
            if leaving.since.elapsed() >= ANSWER_WAIT {
                leaving.answer();
            }
            self.leaving.push(leaving);
        }
        for (number, took) in drained {
            self.board.lock().history.add_stage(number + 1, stage("retired", took));
            self.step(Event::GracePassed(number));
        }
    }

    pub(super) fn unload(&mut self, number: u64) {
        let Some(leaving) = self.leaving.iter_mut().find(|l| l.serving.number == number) else {
            return;
        };
        if let Hold::Drained(generation) = std::mem::replace(&mut leaving.hold, Hold::Unloading)
            && !self.hand_over(Work::Unload(number), Job::Unload(generation))
        {
            tracing::error!(generation = number, "the staging thread does not take any work");
        }
    }

    /// Notes that a generation is gone, or is not.
    pub(super) fn unloaded(
        &mut self,
        number: u64,
        result: Result<Unloaded, Refusal>,
        took: Duration,
    ) {
        let unloaded = result.unwrap_or_else(|refusal| {
            tracing::error!(generation = number, %refusal, "it cannot be told what is mapped");
            Unloaded { pinned: true, leaked_bytes: 0 }
        });
        count(number, unloaded);
        let name = if unloaded.pinned { "pinned" } else { "unloaded" };
        self.board.lock().history.add_stage(number + 1, stage(name, took));
        let Some(at) = self.leaving.iter().position(|l| l.serving.number == number) else { return };
        let mut leaving = self.leaving.remove(at);
        leaving.pass(name, took);
        if let Some((report, _)) = &mut leaving.answer {
            let gone = if unloaded.pinned { Retirement::Pinned } else { Retirement::Unloaded };
            report.retirement = gone;
            report.leaked_bytes = unloaded.leaked_bytes;
        }
        leaving.answer();
    }
}

fn count(number: u64, unloaded: Unloaded) {
    let Unloaded { pinned, leaked_bytes } = unloaded;
    if pinned {
        COUNTERS.pinned.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(generation = number, "a closed library stays mapped");
    }
    if leaked_bytes > 0 {
        COUNTERS.leaked_bytes.fetch_add(leaked_bytes.unsigned_abs(), Ordering::Relaxed);
        tracing::warn!(generation = number, leaked_bytes, "a detached library left memory behind");
    }
    tracing::info!(generation = number, pinned, "a replaced generation is gone");
}
