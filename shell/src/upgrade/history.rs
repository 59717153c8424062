//! What was upgraded, refused and rolled back, for `shell history`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::logic::identity::Identity;
use crate::refusal::Refusal;

/// Records kept; older ones are forgotten.
pub const RECORDS_MAX: usize = 256;

/// A step that an upgrade has passed and the time it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `staged`, `verified`, `loaded`, `committed`, `retired`, then `unloaded` or `pinned`.
    pub name: String,
    /// Microseconds.
    pub us: f64,
}

/// What became of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server started with it.
    Started,
    /// It was upgraded to.
    Upgraded,
    /// It was gone back to.
    RolledBack,
    /// It was not let in, or failed on the way; the server was not touched.
    Refused,
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was asked for, Unix ms.
    pub at_ms: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The generation that served afterwards.
    pub generation: u64,
    /// What served before; none at the start.
    pub from: Option<Identity>,
    /// What was asked for, as far as it was known.
    pub to: Option<Identity>,
    /// The generation that a rollback brought back, or was to.
    pub restored: Option<u64>,
    /// The file it came from.
    pub path: String,
    /// Steps passed, in order. Those after the commit are added when they end.
    pub stages: Vec<Stage>,
    /// Why it was refused.
    pub error: Option<Refusal>,
}

impl Record {
    /// Whether this is how a generation came to serve.
    fn made(&self, generation: u64) -> bool {
        self.generation == generation && self.outcome != Outcome::Refused
    }
}

/// The records as they are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Oldest first.
    pub records: Vec<Record>,
}

/// The latest records, oldest first.
#[derive(Debug, Default)]
pub struct History {
    records: VecDeque<Record>,
}

impl History {
    /// Adds a record, forgetting the oldest if there are too many.
    pub fn push(&mut self, record: Record) {
        if self.records.len() == RECORDS_MAX {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// Adds a stage to the record of the upgrade that made `generation` current.
    pub fn add_stage(&mut self, generation: u64, stage: Stage) {
        if let Some(record) = self.records.iter_mut().rfind(|record| record.made(generation)) {
            record.stages.push(stage);
        }
    }

    /// The SHA-256 of the library that served as the generation with this number, if it is known.
    pub fn served(&self, generation: u64) -> Option<String> {
        let record = self.records.iter().rfind(|record| record.made(generation))?;
        record.to.as_ref().map(|identity| identity.sha256.clone())
    }

    /// Oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(generation: u64, outcome: Outcome) -> Record {
        let (from, to, error) = (None, None, None);
        let path = String::new();
        let (stages, restored) = (vec![], None);
        Record { at_ms: 0, outcome, generation, from, to, restored, path, stages, error }
    }

    #[test]
    fn the_oldest_records_are_forgotten() {
        let mut history = History::default();
        let most = RECORDS_MAX as u64;
        (0..most + 3).for_each(|n| history.push(record(n, Outcome::Upgraded)));
        let kept: Vec<u64> = history.records().map(|r| r.generation).collect();
        assert_eq!((kept.len(), kept[0], kept[kept.len() - 1]), (RECORDS_MAX, 3, most + 2));
    }

    #[test]
    fn a_late_stage_goes_to_the_upgrade_and_not_to_a_refusal_after_it() {
        let mut history = History::default();
        history.push(record(2, Outcome::Upgraded));
        history.push(record(2, Outcome::Refused));
        history.add_stage(2, Stage { name: "retired".to_owned(), us: 1.0 });
        history.add_stage(9, Stage { name: "retired".to_owned(), us: 1.0 });
        let stages: Vec<usize> = history.records().map(|r| r.stages.len()).collect();
        assert_eq!(stages, [1, 0]);
    }
}
