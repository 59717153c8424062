//! Replaced generations: their grace periods, their unloading, and who waits to hear of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::board::{COUNTERS, Shown};
use super::driver::Driver;
use super::flight::{stage, tell};
use super::limits::Work;
use super::meter::Meter;
use super::phase::Event;
use super::serving::{Live, Serving};
use super::staging::Job;
use super::{Report, Retirement, Update};
use crate::logic::generation::Generation;
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
    /// The generation in whose record it is noted what becomes of this one.
    noted_of: u64,
    since: Instant,
    since_ms: u64,
    answer: Option<Answer>,
}

/// What whoever asked is to hear, and where.
pub(super) type Answer = (Report, mpsc::Sender<Update>);

/// A generation that serves nobody from now on. What becomes of it the rules say next.
pub(super) struct Loose {
    pub(super) live: Live,
    /// The generation in whose record it is noted what becomes of it, if in any.
    pub(super) noted_of: u64,
    pub(super) answer: Option<Answer>,
}

enum Hold {
    /// A lane may still use it.
    Draining(Arc<Generation>),
    /// No lane uses it.
    Drained(Box<Generation>),
    /// The staging thread has it.
    Unloading,
}

impl Leaving {
    fn new(loose: Loose) -> Self {
        let Loose { live: Live { serving, generation }, noted_of, answer } = loose;
        serving.meter.end();
        let (hold, since) = (Hold::Draining(generation), Instant::now());
        Self { serving, hold, noted_of, since, since_ms: unix_ms(), answer }
    }

    pub(super) fn show(&self) -> (Shown, Meter) {
        let state = match self.hold {
            Hold::Draining(_) => "retiring",
            Hold::Drained(_) | Hold::Unloading => "unloading",
        };
        let (shown, meter) = self.serving.show(state);
        (Shown { replaced_ms: Some(self.since_ms), ..shown }, meter)
    }

    /// Whether no lane uses it any more.
    pub(super) fn is_drained(&self) -> bool {
        !matches!(self.hold, Hold::Draining(_))
    }

    /// Moves on if no roster that a lane may use names it any more; whether it did.
    fn drain(self) -> (Self, bool) {
        let Hold::Draining(generation) = self.hold else { return (self, false) };
        match Arc::try_unwrap(generation) {
            Ok(generation) => (Self { hold: Hold::Drained(Box::new(generation)), ..self }, true),
            Err(generation) => (Self { hold: Hold::Draining(generation), ..self }, false),
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
        let Some(answer) = self.answer.take() else { return };
        give(answer);
    }
}

/// Answers whoever asked.
fn give((mut report, updates): Answer) {
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

impl Driver {
    /// When [`Driver::look_at_leaving`] has something to do again.
    pub(super) fn next_look(&self) -> Duration {
        let draining = self.leaving.iter().filter(|l| matches!(l.hold, Hold::Draining(_)));
        let looks = draining.map(|l| if l.since.elapsed() < LONG { LOOK } else { LOOK_WHEN_LONG });
        let waiting = self.leaving.iter().filter(|l| l.answer.is_some());
        let answers = waiting.map(|l| ANSWER_WAIT.saturating_sub(l.since.elapsed()));
        looks.chain(answers).min().unwrap_or(NEVER)
    }

    /// Puts a generation that serves nobody among those that leave.
    pub(super) fn leave(&mut self, number: u64) {
        let Some(at) = self.loose.iter().position(|loose| loose.live.number() == number) else {
            return;
        };
        self.leaving.push(Leaving::new(self.loose.remove(at)));
        self.look_at_leaving();
    }

    /// Answers when the generation is gone that another upgrade has released, or at once if none was.
    pub(super) fn answer_after_release(&mut self, answer: Answer) {
        let current = self.current.number();
        let is_it =
            |leaving: &&mut Leaving| leaving.noted_of == current && leaving.answer.is_none();
        match self.leaving.iter_mut().find(is_it) {
            Some(leaving) => leaving.answer = Some(answer),
            None => give(answer),
        }
    }

    /// Notices grace periods that are over, and answers who has waited long enough.
    pub(super) fn look_at_leaving(&mut self) {
        let rosters = std::mem::take(&mut self.rosters);
        // Those that are out of use let go of their generations.
        self.rosters = rosters.into_iter().filter_map(|roster| roster.reclaim().err()).collect();
        let mut drained = Vec::new();
        for leaving in std::mem::take(&mut self.leaving) {
            let (mut leaving, moved_on) = leaving.drain();
            if moved_on {
                leaving.pass("retired", leaving.since.elapsed());
                let Leaving { noted_of, since, .. } = leaving;
                drained.push((leaving.serving.number, noted_of, since.elapsed()));
            }
            if leaving.since.elapsed() >= ANSWER_WAIT {
                leaving.answer();
            }
            self.leaving.push(leaving);
        }
        for (number, noted_of, took) in drained {
            self.board.lock().history.add_stage(noted_of, stage("retired", took));
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
        let Some(at) = self.leaving.iter().position(|l| l.serving.number == number) else { return };
        let mut leaving = self.leaving.remove(at);
        self.board.lock().history.add_stage(leaving.noted_of, stage(name, took));
        leaving.pass(name, took);
        if let Some((report, _)) = &mut leaving.answer {
            let gone = if unloaded.pinned { Retirement::Pinned } else { Retirement::Unloaded };
            if report.retirement == Retirement::Retiring {
                report.retirement = gone;
            }
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
