//! What is told of backups: by `shell status`, the admin API and the metrics.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::description::Description;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The one that is being made.
    pub under_way: Option<Progress>,
    /// When they are made by themselves.
    pub schedule: Option<Scheduled>,
    /// Backups made since the start.
    pub made: u64,
    /// Those that have failed, or were left out.
    pub failed: u64,
    /// The last that are over, the newest first.
    pub records: Vec<Record>,
}

/// One that is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Its number.
    pub id: u64,
    /// Where it is put.
    pub folder: PathBuf,
    /// Its name, once it is being written.
    pub name: Option<String>,
    /// When it was asked for, Unix ms.
    pub asked_ms: u64,
    /// Whether it waits for the end of another snapshot.
    pub waits: bool,
    /// Keys it is to have; 0 before it has begun.
    pub keys: u64,
    /// Those that have been written.
    pub keys_written: u64,
}

/// When backups are made by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// As the setting says it.
    pub schedule: String,
    /// Where they are put.
    pub folder: PathBuf,
    /// The next time, Unix ms.
    pub next_ms: Option<u64>,
}

/// One that is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number; 0 for one that was left out.
    pub id: u64,
    /// Where it was put.
    pub folder: PathBuf,
    /// Whether the schedule asked for it.
    pub is_scheduled: bool,
    /// When it was asked for, Unix ms.
    pub asked_ms: u64,
    /// How long it took until it was safe.
    pub took_ms: u64,
    /// What is in it, if it was made.
    pub description: Option<Description>,
    /// Why it was not.
    pub error: Option<String>,
    /// Old ones that were removed.
    pub removed: Vec<String>,
    /// Why others were not.
    pub faults: Vec<String>,
}
