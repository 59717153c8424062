//! What is told of an upgrade that is over: to who has asked, in the counters and in the history.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::audit::Who;
use super::board::COUNTERS;
use super::driver::Driver;
use super::flight::{Flight, micros};
use super::history::{Outcome, Record};
use super::serving::Serving;
use super::{Direction, Report, Retirement, carried};
use crate::logic::identity::Identity;
use crate::logic::level;

impl Driver {
    /// What is answered to who has asked for the upgrade.
    pub(super) fn report(&self, flight: &Flight, old: &Serving, took: Duration) -> Report {
        let carried = carried::count(self.host);
        let mut warnings = Vec::new();
        if flight.verdict.as_ref().is_some_and(|verdict| !verdict.unloads) {
            let warning = "this library cannot be unloaded: each upgrade away from it leaves its \
                           image in memory; see docs/writing-logic.md on thread-locals";
            warnings.push(warning.to_owned());
        }
        Report {
            result: match flight.is_rollback() {
                false => Direction::Upgraded,
                true => Direction::RolledBack,
            },
            generation: self.current.number(),
            from: old.identity.clone(),
            to: self.current.serving.identity.clone(),
            schema_level: level::in_force(self.host),
            restored: flight.restored,
            rollback_to: self.kept.target().map(Serving::former),
            stages: flight.stages.clone(),
            commit_us: micros(took),
            clients: carried.clients,
            keys: carried.keys,
            retirement: Retirement::Retiring,
            probation_ms: None,
            leaked_bytes: 0,
            changes: flight.verdict.as_ref().map_or(vec![], |v| v.abilities.changes.clone()),
            warnings,
        }
    }

    /// Counts an upgrade.
    pub(super) fn count(&self, report: &Report, took: Duration) {
        let counter = match report.result {
            Direction::RolledBack => &COUNTERS.rollbacks,
            _ => &COUNTERS.upgrades,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        COUNTERS.last_commit_ns.store(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// What the history has of an upgrade.
    pub(super) fn record(
        &self,
        flight: &Flight,
        report: Option<&Report>,
        from: Identity,
        to: Option<Identity>,
    ) -> Record {
        let outcome = match report.map(|report| report.result) {
            Some(Direction::RolledBack) => Outcome::RolledBack,
            Some(_) => Outcome::Upgraded,
            None => Outcome::Refused,
        };
        Record {
            at_ms: flight.at_ms,
            outcome,
            generation: report.map_or(self.current.number(), |report| report.generation),
            from: Some(from),
            to,
            restored: flight.restored,
            path: flight.path.clone(),
            stages: flight.stages.clone(),
            error: flight.error.clone(),
            reason: None,
            decisions: flight.decisions.clone(),
            builds: None,
        }
    }

    /// Puts down what has happened.
    pub(super) fn remember(&self, record: Record) {
        self.audit.note(Who::server(), "ended", record.to_string());
        self.board.lock().history.push(record);
    }

    /// Puts down that this version serves, and why if it is not the one that was to be expected.
    pub(super) fn record_start(&mut self, reason: Option<String>) {
        self.board.lock().history.push(Record {
            at_ms: self.current.serving.since_ms,
            outcome: Outcome::Started,
            generation: self.current.number(),
            from: None,
            to: Some(self.current.serving.identity.clone()),
            restored: None,
            path: self.current.serving.path(),
            stages: Vec::new(),
            error: None,
            reason,
            decisions: Vec::new(),
            builds: None,
        });
    }
}
