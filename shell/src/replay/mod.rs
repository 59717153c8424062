//! Running captured commands with another version, and comparing: a shadow beside live traffic, and
//! the rehearsal of a recording.
//!
//! ```text
//! logic ─captured─► capture ─records─► shadow thread ─socket─► process: the other version in an
//!                      │                   ▲                   arena of its own
//!                      ▼                   └──────tally──────────────┘
//!                  a recording ──► `shell rehearse` ──► the same process, or two in a row
//! ```
//!
//! Reading order: [`record`] (bytes), [`reply`] (the clients' protocol), [`player`] (runs one),
//! [`compare`], [`tally`] (what came of it), [`child`] (the process), [`parent`] (its other end),
//! [`shadow`] (feeds one from live traffic), [`file`](mod@file) (recordings).
//!
//! Invariant: a version that is compared runs in a process that shares no memory with the server. So
//! whatever it does, a crash and an endless loop included, ends that process alone.

pub mod child;
pub mod compare;
pub mod file;
pub mod parent;
pub mod player;
pub mod record;
pub mod reply;
pub mod shadow;
pub mod tally;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use tally::Tally;

/// What the process is to do, beside running what it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Databases that there are.
    pub databases: u32,
    /// Whether samples are without contents.
    pub redacts: bool,
    /// Whether it is measured what commands take.
    pub measures: bool,
    /// Whether each record is sent back, with what was done here in the place of what it had.
    pub rewrites: bool,
}

/// A line of what the process reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    /// It is ready.
    Ready,
    /// What has come of it so far.
    Tally(Box<Tally>),
    /// It cannot go on.
    Refused(Refusal),
}
