//! What was upgraded, refused and rolled back, for `shell history`.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::builds::Builds;
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
    /// It has served some clients, and serves none any more.
    Withdrawn,
    /// Another build of the shell took over, with the same logic.
    Replaced,
    /// The build of the shell before took over again.
    ReplacedBack,
    /// Another build of the shell was refused, or did not come to serve; the one before goes on.
    NotReplaced,
}

impl Outcome {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Upgraded => "upgraded",
            Self::RolledBack => "rolled back",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Replaced => "replaced",
            Self::ReplacedBack => "replaced back",
            Self::NotReplaced => "not replaced",
        }
    }
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
    /// Why it was refused or withdrawn.
    pub error: Option<Refusal>,
    /// Why it was gone back to, if nobody has asked for it.
    #[serde(default)]
    pub reason: Option<String>,
    /// What was decided while it was being proven, and why, in order.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// The builds of the shell, if it is about those, as far as they are known.
    #[serde(default)]
    pub builds: Option<Builds>,
}

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When, Unix ms.
    pub at_ms: u64,
    /// What, and why.
    pub text: String,
}

impl Record {
    /// Of a replacement of the shell that was asked for then, to the program of a file, while this
    /// generation served.
    pub fn of_shell(at_ms: u64, outcome: Outcome, path: String, generation: u64) -> Self {
        Self {
            at_ms,
            outcome,
            generation,
            from: None,
            to: None,
            restored: None,
            path,
            stages: Vec::new(),
            error: None,
            reason: None,
            decisions: Vec::new(),
            builds: None,
        }
    }

    /// Whether this is how a generation came to serve.
    fn made(&self, generation: u64) -> bool {
        let serves =
            matches!(self.outcome, Outcome::Started | Outcome::Upgraded | Outcome::RolledBack);
        self.generation == generation && serves
    }
}

impl fmt::Display for Record {
    /// In a line, for the audit log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.outcome.name(), self.path)?;
        if let Some(Builds { from, to }) = &self.builds {
            write!(f, " ({}, sha256 {}) from {}", to.label(), to.sha256, from.label())?;
        }
        if let Some(to) = &self.to {
            write!(f, " ({}, sha256 {})", to.label(), to.sha256)?;
        }
        if let Some(from) = &self.from {
            write!(f, " from {}", from.label())?;
        }
        if let Some(error) = &self.error {
            return write!(f, ": {}: {error}", error.code.row().name);
        }
        write!(f, ", generation {}", self.generation)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ", because {reason}"))
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

    /// Adds records, oldest first.
    pub fn extend(&mut self, records: Vec<Record>) {
        records.into_iter().for_each(|record| self.push(record));
    }

    /// Adds a stage to the record of the upgrade that made `generation` current.
    pub fn add_stage(&mut self, generation: u64, stage: Stage) {
        if let Some(record) = self.records.iter_mut().rfind(|record| record.made(generation)) {
            record.stages.push(stage);
        }
    }

    /// Adds a decision to the record of how `generation` came to serve.
    pub fn add_decision(&mut self, generation: u64, decision: Decision) {
        if let Some(record) = self.records.iter_mut().rfind(|record| record.made(generation)) {
            record.decisions.push(decision);
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
        let (reason, decisions, builds) = (None, vec![], None);
        let at_ms = 0;
        Record {
            at_ms,
            outcome,
            generation,
            from,
            to,
            restored,
            path,
            stages,
            error,
            reason,
            decisions,
            builds,
        }
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
