//! The schema level: when it is raised, and how the data go back below it.
//!
//! It is raised by `finalize`, once no lane uses a generation any more but the one that serves. A rollback
//! to a version that cannot read it is refused, or if that was asked for the data are converted first:
//!
//! ```text
//! verified ──► counted ──────► the level is lowered, data are converted ──► counted again: none ──► loaded
//!                 │ something is lost and nobody has agreed    │ a conversion would change data
//!                 └──────────────────────────────► refused ◄───┘ (and the level is what it was)
//! ```
//!
//! Logic does both in passes over all keys, in steps under traffic ([`abi::keyspace::Schema`]).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use abi::keyspace::{Schema, pass};

use super::audit::Who;
use super::driver::Driver;
use super::flight::{Flight, stage, tell};
use super::phase::{Event, Order, Step};
use super::{Ask, Consent, Direction, Report, Request, Update};
use crate::logic::level;
use crate::logic::verify::Verdict;
use crate::refusal::{Code, Refusal};

/// How often a pass under way is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// A pass that comes on nowhere for so long is given up.
const STANDS_STILL: Duration = Duration::from_secs(60);
/// Passes that convert, at most: the second finds what a command had in hand during the first.
const PASSES_MAX: u32 = 3;
/// How often it is looked whether something else has changed the level.
const LOOK_IDLE: Duration = Duration::from_secs(5);

/// Who waits for the level to be raised.
pub(super) struct Raising {
    request: Request,
    report: Report,
}

/// What a pass is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// To know what would be lost.
    Count,
    Convert,
    /// To see that nothing is left.
    Check,
}

/// The data on their way down.
pub(super) struct Converting {
    verdict: Arc<Verdict>,
    verified: Duration,
    consent: Consent,
    from: u32,
    to: u32,
    part: Part,
    passes: u32,
    since: Instant,
    /// Where the pass stood when it was last seen to come on, and when that was.
    seen: ([u64; 4], Instant),
}

fn begin_pass(schema: &Schema, kind: u64) {
    let counters = [&schema.shard, &schema.db, &schema.position, &schema.values, &schema.parts];
    counters.iter().for_each(|counter| counter.store(0, Relaxed));
    schema.pass.store(kind, Relaxed);
}

/// Raising it.
impl Driver {
    /// Whether a request is one to raise the level, of a version that has been proven before.
    pub(super) fn is_to_raise(&self, request: &Request) -> bool {
        request.ask == Ask::Order(Order::Finalize)
            && self.phase.step == Step::Idle
            && self.phase.probation.is_none()
            && self.raising.is_none()
            && self.newest_level() > level::in_force(self.host)
    }

    /// The newest level that what serves writes.
    fn newest_level(&self) -> u32 {
        self.current.generation.loaded().schema_writes()
    }

    pub(super) fn raise_for(&mut self, request: Request) {
        let report = self.report_of(Direction::Finalized, &self.current.clone(), Duration::ZERO);
        self.raising = Some(Raising { request, report });
    }

    /// What serves has just been made final: if somebody has ordered it, the level is raised before they
    /// are told.
    pub(super) fn raise_when_released(&mut self) {
        if self.newest_level() <= level::in_force(self.host) {
            return;
        }
        let order = Ask::Order(Order::Finalize);
        let ordered = self.asked.take_if(|request| request.ask == order);
        let Some(request) = ordered else { return };
        if let Some(report) = self.done.take() {
            self.raising = Some(Raising { request, report });
        }
    }

    /// Raises the level, if somebody waits for that and nothing else is in use.
    fn raise(&mut self) {
        if !self.leaving.iter().all(|leaving| leaving.is_drained()) || !self.rosters.is_empty() {
            return;
        }
        let Some(Raising { request, mut report }) = self.raising.take() else { return };
        let (level, newest) = (level::in_force(self.host), self.newest_level());
        level::schema(self.host).level.store(newest.into(), Relaxed);
        report.schema_level = newest;
        let text = format!("schema level {newest} is in force, {level} before");
        tracing::info!("{text}");
        self.audit.note(Who::server(), "ended", text);
        self.note_level();
        tell(&request.updates, Update::Done(Box::new(report)));
    }
}

/// Going back below it.
impl Driver {
    /// Whether a library that has passed its trial reads the level in force.
    pub(super) fn reads_level(&self, verdict: Arc<Verdict>) -> Result<Arc<Verdict>, Refusal> {
        let in_force = level::in_force(self.host);
        level::check(in_force, &verdict.identity, &verdict.abilities)?;
        Ok(verdict)
    }

    /// Begins to convert the data for a rollback that asks for it and needs it. Tells whether it did.
    pub(super) fn begin_conversion(&mut self, verdict: &Arc<Verdict>, verified: Duration) -> bool {
        let from = level::in_force(self.host);
        let to = verdict.abilities.schema_writes.min(verdict.abilities.schema_reads.1);
        let Some(flight) = &self.flight else { return false };
        let Ask::Rollback { convert: Some(consent), .. } = flight.request.ask else { return false };
        if from <= to || self.phase.step == Step::Idle {
            return false;
        }
        begin_pass(level::schema(self.host), pass::COUNT);
        self.converting = Some(Converting {
            verdict: Arc::clone(verdict),
            verified,
            consent,
            from,
            to,
            part: Part::Count,
            passes: 0,
            since: Instant::now(),
            seen: ([0; 4], Instant::now()),
        });
        true
    }

    /// When [`Driver::look_at_levels`] has something to do again.
    pub(super) fn next_level(&self) -> Duration {
        if self.converting.is_some() || self.raising.is_some() { LOOK } else { LOOK_IDLE }
    }

    /// Has the journal tell the level in force: loading may have raised it, too.
    fn note_level(&mut self) {
        let level = level::in_force(self.host);
        if std::mem::replace(&mut self.noted_level, level) != level {
            self.note_in_journal();
        }
    }

    pub(super) fn look_at_levels(&mut self) {
        if self.converting.is_none() {
            self.note_level();
        }
        if self.raising.is_some() {
            self.raise();
        }
        let Some(mut converting) = self.converting.take() else { return };
        let schema = level::schema(self.host);
        let outcome = match schema.pass.load(Relaxed) {
            pass::NONE => converting.go_on(schema),
            pass::FAILED => {
                let message = "a hash would not be the same afterwards, and is as it was";
                Some(Err(Refusal::new(Code::ConversionFailed, message)))
            }
            _ if converting.stands_still(schema) => {
                let message = "what serves does not convert data, or cannot come to it";
                Some(Err(Refusal::new(Code::ConversionFailed, message)))
            }
            _ => None,
        };
        let Some(outcome) = outcome else {
            self.converting = Some(converting);
            return;
        };
        let outcome = outcome.inspect_err(|_| {
            schema.level.store(converting.from.into(), Relaxed);
        });
        schema.pass.store(pass::NONE, Relaxed);
        self.end_conversion(converting, outcome);
    }

    fn end_conversion(&mut self, converting: Converting, outcome: Result<(), Refusal>) {
        let Converting { verdict, verified, since, to, .. } = converting;
        if outcome.is_ok() {
            let text = format!("data are of schema level {to}");
            tracing::warn!("{text}");
            self.audit.note(Who::server(), "ended", text);
        }
        self.note_level();
        let result = outcome.map(|()| verdict);
        let event = self.passed("verified", verified, result, |flight: &mut Flight, verdict| {
            flight.pass(stage("converted", since.elapsed()));
            flight.verdict = Some(verdict);
            Event::Verified
        });
        self.step(event);
    }
}

impl Converting {
    /// A pass is at its end. Tells whether all is, and how.
    fn go_on(&mut self, schema: &Schema) -> Option<Result<(), Refusal>> {
        let (values, parts) = (schema.values.load(Relaxed), schema.parts.load(Relaxed));
        match self.part {
            Part::Count if parts > 0 && self.consent == Consent::Asked => {
                let message = format!(
                    "{parts} fields of {values} hashes are to end, and would stay for good: schema level \
                     {} cannot tell when",
                    self.to
                );
                return Some(Err(Refusal::new(Code::NotAgreed, message)));
            }
            Part::Count => {
                tracing::warn!(
                    "data go back to schema level {}: {parts} fields of {values} hashes stay for good",
                    self.to
                );
                schema.level.store(self.to.into(), Relaxed);
                self.convert(schema);
            }
            Part::Convert => {
                self.part = Part::Check;
                begin_pass(schema, pass::COUNT);
            }
            Part::Check if values == 0 => return Some(Ok(())),
            Part::Check if self.passes < PASSES_MAX => self.convert(schema),
            Part::Check => {
                let message = format!("{values} hashes could not be converted");
                return Some(Err(Refusal::new(Code::ConversionFailed, message)));
            }
        }
        None
    }

    fn convert(&mut self, schema: &Schema) {
        self.part = Part::Convert;
        self.passes += 1;
        begin_pass(schema, pass::CONVERT);
    }

    /// Whether the pass has come on nowhere for long.
    fn stands_still(&mut self, schema: &Schema) -> bool {
        let stand = [&schema.shard, &schema.db, &schema.position, &schema.values]
            .map(|counter| counter.load(Relaxed));
        if stand != self.seen.0 {
            self.seen = (stand, Instant::now());
        }
        self.seen.1.elapsed() > STANDS_STILL
    }
}
